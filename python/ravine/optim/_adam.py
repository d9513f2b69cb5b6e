"""Adam and its relatives: steps along a running mean of the gradient, scaled by a running second moment."""

from __future__ import annotations

from typing import ClassVar

from ._options import Rate
from ._rule import Rule


class Adam(Rule):
    """Adam: steps scaled by running moments of the gradient.

    For a gradient g (weight decay added: `g += weight_decay · w`) in step t from 1:
    `m = β₁ m + (1 - β₁) g`, `v = β₂ v + (1 - β₂) g²`,
    `w -= lr · (m / (1 - β₁ᵗ)) / (sqrt(v / (1 - β₂ᵗ)) + eps)`; amsgrad takes the largest v so far.

    Args:
        lr: learning rate, or a function of the step (from 0) that gives it.
        betas: (β₁, β₂), decay of the first and the second moment, in [0, 1).
        eps: added to the root in the denominator.
        weight_decay: L2 penalty, added to the gradient.
        amsgrad: divide by the largest second moment so far (Reddi et al. 2018).
        maximize: go up instead of down.
        options: as every optimizer's, see `Optimizer`.

    Source: Kingma and Ba 2015, https://arxiv.org/abs/1412.6980.

    Example:
        >>> from ravine import optim
        >>> optim.Adam(lr=lambda step: 1e-3 / (step + 1)).lr_at(1)
        0.0005
    """

    rule = "adam"
    _several: ClassVar = {"betas": ("beta1", "beta2")}
    _fixed: ClassVar = {"decoupled_weight_decay": 0.0}

    lr: Rate = 1e-3
    betas: tuple[Rate, Rate] = (0.9, 0.999)
    eps: Rate = 1e-8
    weight_decay: Rate = 0.0
    amsgrad: bool = False
    maximize: bool = False


class AdamW(Adam):
    """Adam with decoupled weight decay: `w -= lr · weight_decay · w` before Adam's step.

    In this form the decay is as strong for weights with large gradients as for those with small ones.

    Args:
        lr: learning rate, or a function of the step (from 0) that gives it.
        betas: (β₁, β₂), decay of the first and the second moment, in [0, 1).
        eps: added to the root in the denominator.
        weight_decay: share of the weight taken off per unit of lr.
        amsgrad: divide by the largest second moment so far.
        maximize: go up instead of down.
        options: as every optimizer's, see `Optimizer`.

    Source: Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101.

    Example:
        >>> from ravine import optim
        >>> optim.AdamW().weight_decay
        0.01
    """

    _fixed: ClassVar = {"decoupled_weight_decay": 1.0}

    weight_decay: Rate = 1e-2


class SparseAdam(Rule):
    """Adam for tables with sparse gradients: rows without a gradient, and their moments, stay as they are.

    For the rows of a gradient g in step t from 1: `m = β₁ m + (1 - β₁) g`, `v = β₂ v + (1 - β₂) g²`,
    `w -= lr · sqrt(1 - β₂ᵗ) / (1 - β₁ᵗ) · m / (sqrt(v) + eps)`. Unlike `Adam`, which updates sparse gradients
    in the same lazy way, eps is not scaled by the bias correction. Parameters with dense gradients (which
    torch's class refuses) follow the same formula.

    Args:
        lr: learning rate, or a function of the step (from 0) that gives it.
        betas: (β₁, β₂), decay of the first and the second moment, in [0, 1).
        eps: added to the root in the denominator.
        maximize: go up instead of down.
        options: as every optimizer's, see `Optimizer`.

    Source: torch.optim.SparseAdam; Kingma and Ba 2015, https://arxiv.org/abs/1412.6980.

    Example:
        >>> from ravine import nn, optim
        >>> words, optimizer = nn.Embedding(1000, 8, sparse=True), optim.SparseAdam(lr=1e-2)
        >>> optimizer.betas
        (0.9, 0.999)
    """

    rule = "sparse_adam"
    _several: ClassVar = {"betas": ("beta1", "beta2")}

    lr: Rate = 1e-3
    betas: tuple[Rate, Rate] = (0.9, 0.999)
    eps: Rate = 1e-8
    maximize: bool = False


class Adamax(Rule):
    """Adamax: Adam with the largest decayed gradient in place of the second moment.

    For a gradient g (weight decay added) in step t from 1: `m = β₁ m + (1 - β₁) g`,
    `u = max(β₂ u, |g| + eps)`, `w -= lr / (1 - β₁ᵗ) · m / u`.

    Args:
        lr: learning rate, or a function of the step (from 0) that gives it.
        betas: (β₁, β₂), decay of the first moment and of the largest gradient, in [0, 1).
        eps: added to the gradient's size.
        weight_decay: L2 penalty, added to the gradient.
        maximize: go up instead of down.
        options: as every optimizer's, see `Optimizer`.

    Source: Kingma and Ba 2015, https://arxiv.org/abs/1412.6980.

    Example:
        >>> from ravine import optim
        >>> optim.Adamax().lr
        0.002
    """

    rule = "adamax"
    _several: ClassVar = {"betas": ("beta1", "beta2")}

    lr: Rate = 2e-3
    betas: tuple[Rate, Rate] = (0.9, 0.999)
    eps: Rate = 1e-8
    weight_decay: Rate = 0.0
    maximize: bool = False


class NAdam(Rule):
    """NAdam: Adam with Nesterov's momentum.

    Adam's moments of a gradient g (weight decay added) in step t from 1, and
    `μₜ = β₁ (1 - 0.96^(t · momentum_decay) / 2)`, Mₜ the product of all μ up to t:
    `w -= lr · ((1 - μₜ) / (1 - Mₜ) · g + μₜ₊₁ / (1 - Mₜ₊₁) · m) / (sqrt(v / (1 - β₂ᵗ)) + eps)`.

    Args:
        lr: learning rate, or a function of the step (from 0) that gives it.
        betas: (β₁, β₂), decay of the first and the second moment, in [0, 1).
        eps: added to the root in the denominator.
        weight_decay: L2 penalty, added to the gradient.
        momentum_decay: how fast the momentum grows to β₁.
        decoupled_weight_decay: take lr · weight_decay · w off the weight instead, as AdamW does.
        maximize: go up instead of down.
        options: as every optimizer's, see `Optimizer`.

    Source: Dozat 2016, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ.

    Example:
        >>> from ravine import optim
        >>> optim.NAdam().momentum_decay
        0.004
    """

    rule = "nadam"
    _several: ClassVar = {"betas": ("beta1", "beta2")}

    lr: Rate = 2e-3
    betas: tuple[Rate, Rate] = (0.9, 0.999)
    eps: Rate = 1e-8
    weight_decay: Rate = 0.0
    momentum_decay: Rate = 4e-3
    decoupled_weight_decay: bool = False
    maximize: bool = False


class RAdam(Rule):
    """Rectified Adam: no adaptive scale before the second moment is trustworthy.

    Adam's moments of a gradient g (weight decay added); with `ρ∞ = 2 / (1 - β₂) - 1` and
    `ρ = ρ∞ - 2 t β₂ᵗ / (1 - β₂ᵗ)` the step is, where ρ > 5, Adam's times
    `sqrt((ρ - 4) (ρ - 2) ρ∞ / ((ρ∞ - 4) (ρ∞ - 2) ρ))` (eps is added to sqrt(v)), else `lr · m / (1 - β₁ᵗ)`.

    Args:
        lr: learning rate, or a function of the step (from 0) that gives it.
        betas: (β₁, β₂), decay of the first and the second moment, in [0, 1).
        eps: added to the root in the denominator.
        weight_decay: L2 penalty, added to the gradient.
        decoupled_weight_decay: take lr · weight_decay · w off the weight instead, as AdamW does.
        maximize: go up instead of down.
        options: as every optimizer's, see `Optimizer`.

    Source: Liu et al. 2020, https://arxiv.org/abs/1908.03265.

    Example:
        >>> from ravine import optim
        >>> optim.RAdam(decoupled_weight_decay=True).decoupled_weight_decay
        True
    """

    rule = "radam"
    _several: ClassVar = {"betas": ("beta1", "beta2")}

    lr: Rate = 1e-3
    betas: tuple[Rate, Rate] = (0.9, 0.999)
    eps: Rate = 1e-8
    weight_decay: Rate = 0.0
    decoupled_weight_decay: bool = False
    maximize: bool = False


class AdaBelief(Rule):
    """AdaBelief: steps scaled by how far the gradient is from its running mean.

    For a gradient g (weight decay added) in step t from 1: `m = β₁ m + (1 - β₁) g`,
    `s = β₂ s + (1 - β₂) (g - m)² + eps_root`, `w -= lr · (m / (1 - β₁ᵗ)) / (sqrt(s / (1 - β₂ᵗ)) + eps)`.

    Args:
        lr: learning rate, or a function of the step (from 0) that gives it.
        betas: (β₁, β₂), decay of the first and the second moment, in [0, 1).
        eps: added to the root in the denominator.
        weight_decay: L2 penalty, added to the gradient.
        eps_root: added to the second moment in every step.
        decoupled_weight_decay: take lr · weight_decay · w off the weight instead, as AdamW does.
        maximize: go up instead of down.
        options: as every optimizer's, see `Optimizer`.

    Source: Zhuang et al. 2020, https://arxiv.org/abs/2010.07468; optax's form of it.

    Example:
        >>> from ravine import optim
        >>> optim.AdaBelief(lr=1e-2).eps
        1e-16
    """

    rule = "adabelief"
    _several: ClassVar = {"betas": ("beta1", "beta2")}

    lr: Rate = 1e-3
    betas: tuple[Rate, Rate] = (0.9, 0.999)
    eps: Rate = 1e-16
    weight_decay: Rate = 0.0
    eps_root: Rate = 1e-16
    decoupled_weight_decay: bool = False
    maximize: bool = False


class Yogi(Rule):
    """Yogi: Adam whose second moment changes by at most a share of the squared gradient.

    For a gradient g (weight decay added) in step t from 1: `m = β₁ m + (1 - β₁) g`,
    `v -= (1 - β₂) sign(v - g²) g²`, `w -= lr · (m / (1 - β₁ᵗ)) / (sqrt(v / (1 - β₂ᵗ)) + eps)`.

    Args:
        lr: learning rate, or a function of the step (from 0) that gives it.
        betas: (β₁, β₂), decay of the first and the second moment, in [0, 1).
        eps: added to the root in the denominator.
        weight_decay: L2 penalty, added to the gradient.
        initial_accumulator_value: what m and v begin with.
        decoupled_weight_decay: take lr · weight_decay · w off the weight instead, as AdamW does.
        maximize: go up instead of down.
        options: as every optimizer's, see `Optimizer`.

    Source: Zaheer et al. 2018, https://papers.nips.cc/paper/8186; optax's form of it.

    Example:
        >>> from ravine import optim
        >>> optim.Yogi().eps
        0.001
    """

    rule = "yogi"
    _several: ClassVar = {"betas": ("beta1", "beta2")}

    lr: Rate = 1e-2
    betas: tuple[Rate, Rate] = (0.9, 0.999)
    eps: Rate = 1e-3
    weight_decay: Rate = 0.0
    initial_accumulator_value: Rate = 1e-6
    decoupled_weight_decay: bool = False
    maximize: bool = False


class Adan(Rule):
    """Adan: Nesterov's momentum from differences of gradients.

    For a gradient g and its difference d to the last one (0 in the first step): running means m of g (β₁),
    v of d (β₂) and n of `(g + (1 - β₂) d)²` (β₃), each divided by its `1 - βᵗ`:
    `w -= lr · ((m + (1 - β₂) v) / (sqrt(n + eps_root) + eps) + weight_decay · w)`.

    Args:
        lr: learning rate, or a function of the step (from 0) that gives it.
        betas: (β₁, β₂, β₃), decay of the three means, in [0, 1).
        eps: added to the root in the denominator.
        eps_root: added under the root.
        weight_decay: decoupled: share of the weight taken off per unit of lr.
        maximize: go up instead of down.
        options: as every optimizer's, see `Optimizer`.

    Source: Xie et al. 2022, https://arxiv.org/abs/2208.06677; optax's form of it.

    Example:
        >>> from ravine import optim
        >>> optim.Adan().betas
        (0.98, 0.92, 0.99)
    """

    rule = "adan"
    _several: ClassVar = {"betas": ("beta1", "beta2", "beta3")}

    lr: Rate = 1e-3
    betas: tuple[Rate, Rate, Rate] = (0.98, 0.92, 0.99)
    eps: Rate = 1e-8
    eps_root: Rate = 1e-8
    weight_decay: Rate = 0.0
    maximize: bool = False


class LAMB(Rule):
    """LAMB: Adam with steps in proportion to each parameter's norm, for large batches.

    Adam's moments of a gradient g in step t from 1, `u = (m / (1 - β₁ᵗ)) / (sqrt(v / (1 - β₂ᵗ)) + eps) +
    weight_decay · w`, `w -= lr · |w| / |u| · u` (the ratio is 1 where a norm is 0).

    Args:
        lr: learning rate, or a function of the step (from 0) that gives it.
        betas: (β₁, β₂), decay of the first and the second moment, in [0, 1).
        eps: added to the root in the denominator.
        weight_decay: decoupled, part of the step whose norm is taken.
        maximize: go up instead of down.
        options: as every optimizer's, see `Optimizer`.

    Source: You et al. 2020, https://arxiv.org/abs/1904.00962.

    Example:
        >>> from ravine import optim
        >>> optim.LAMB(lr=1e-2, no_decay=True).eps
        1e-06
    """

    rule = "lamb"
    _several: ClassVar = {"betas": ("beta1", "beta2")}

    lr: Rate = 1e-3
    betas: tuple[Rate, Rate] = (0.9, 0.999)
    eps: Rate = 1e-6
    weight_decay: Rate = 0.0
    maximize: bool = False
