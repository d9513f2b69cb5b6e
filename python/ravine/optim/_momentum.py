"""Plain gradient steps, with momentum, with averaging, by signs."""

from __future__ import annotations

from typing import ClassVar

from ._options import Rate
from ._rule import Rule


class SGD(Rule):
    """Stochastic gradient descent, with momentum.

    For a gradient g (weight decay added: `g += weight_decay · w`):
    `b = momentum · b + (1 - dampening) · g` (b = g in the first step), then `w -= lr · b` (heavy ball), with
    nesterov `w -= lr · (g + momentum · b)`, without momentum `w -= lr · g`.

    Args:
        lr: learning rate, or a function of the step (from 0) that gives it.
        momentum: share of the last step's direction that is kept.
        dampening: reduces the gradient's share in the momentum.
        weight_decay: L2 penalty, added to the gradient.
        nesterov: look ahead along the momentum; needs momentum > 0 and dampening 0.
        maximize: go up instead of down.
        options: as every optimizer's, see `Optimizer`.

    Source: Polyak 1964, https://doi.org/10.1016/0041-5553(64)90137-5; Sutskever et al. 2013,
    https://proceedings.mlr.press/v28/sutskever13.html; torch's form of it.

    Example:
        >>> from ravine import optim
        >>> optim.SGD(lr=0.1, momentum=0.9, nesterov=True).hyper()["momentum"]
        0.9
    """

    rule = "sgd"

    lr: Rate = 1e-3
    momentum: Rate = 0.0
    dampening: Rate = 0.0
    weight_decay: Rate = 0.0
    nesterov: bool = False
    maximize: bool = False


class ASGD(Rule):
    """Averaged stochastic gradient descent.

    In step t from 1, for a gradient g (weight decay added):
    `η = lr / (1 + lambd · lr · (t - 1))^alpha`, `w = (1 - lambd · η) w - η g`; the average of the weights is
    `ax += (w - ax) / max(1, t - 1 - t0)`, which `optim.averaged` evaluates.

    Args:
        lr: learning rate, or a function of the step (from 0) that gives it.
        lambd: decay of the weights and, with alpha, of the learning rate.
        alpha: power of the learning rate's decay.
        t0: the step at which averaging begins; before it the average is the newest weight.
        weight_decay: L2 penalty, added to the gradient.
        maximize: go up instead of down.
        options: as every optimizer's, see `Optimizer`.

    Source: Polyak and Juditsky 1992, https://doi.org/10.1137/0330046; torch's form of it, whose learning rate
    takes effect one step later.

    Example:
        >>> from ravine import optim
        >>> optim.ASGD(lr=0.1, t0=100).t0
        100.0
    """

    rule = "asgd"

    lr: Rate = 1e-2
    lambd: Rate = 1e-4
    alpha: Rate = 0.75
    t0: Rate = 1e6
    weight_decay: Rate = 0.0
    maximize: bool = False


class Rprop(Rule):
    """Resilient backpropagation: each weight has a step size of its own, and moves by the gradient's sign.

    `size = clamp(size · η)` with η = etas[1] where the gradient kept its sign, etas[0] where it changed, else
    1; `w -= size · sign(g)`, where after a change of sign g counts as 0. For full batches.

    Args:
        lr: the first step size.
        etas: (factor after a change of sign, in [0, 1); factor otherwise, at least 1).
        step_sizes: (smallest, largest) step size.
        maximize: go up instead of down.
        options: as every optimizer's, see `Optimizer`.

    Source: Riedmiller and Braun 1993, https://doi.org/10.1109/ICNN.1993.298623.

    Example:
        >>> from ravine import optim
        >>> optim.Rprop(lr=1e-3).etas
        (0.5, 1.2)
    """

    rule = "rprop"
    _several: ClassVar = {"etas": ("eta_minus", "eta_plus"), "step_sizes": ("step_size_min", "step_size_max")}

    lr: Rate = 1e-2
    etas: tuple[Rate, Rate] = (0.5, 1.2)
    step_sizes: tuple[Rate, Rate] = (1e-6, 50.0)
    maximize: bool = False


class Lion(Rule):
    """Lion: the sign of an interpolation between gradient and momentum.

    `w -= lr · (sign(β₁ m + (1 - β₁) g) + weight_decay · w)`, then `m = β₂ m + (1 - β₂) g`.

    Args:
        lr: learning rate, or a function of the step (from 0) that gives it; 3 to 10 times below Adam's.
        betas: (β₁, β₂), in [0, 1).
        weight_decay: decoupled: share of the weight taken off per unit of lr.
        maximize: go up instead of down.
        options: as every optimizer's, see `Optimizer`.

    Source: Chen et al. 2023, https://arxiv.org/abs/2302.06675.

    Example:
        >>> from ravine import optim
        >>> optim.Lion(weight_decay=1e-2).betas
        (0.9, 0.99)
    """

    rule = "lion"
    _several: ClassVar = {"betas": ("beta1", "beta2")}

    lr: Rate = 1e-4
    betas: tuple[Rate, Rate] = (0.9, 0.99)
    weight_decay: Rate = 0.0
    maximize: bool = False


class LARS(Rule):
    """Layer-wise adaptive rate scaling: momentum, with steps in proportion to each parameter's norm.

    For a gradient g (weight decay added): `r = trust_coefficient · |w| / (|g| + eps)` (1 where a norm is 0),
    `b = momentum · b + lr · r · g`, `w -= b`, with nesterov `w -= lr · r · g + momentum · b`. For large
    batches.

    Args:
        lr: learning rate, or a function of the step (from 0) that gives it.
        momentum: share of the last step's direction that is kept.
        weight_decay: L2 penalty, added to the gradient.
        trust_coefficient: step as a share of the parameter's norm.
        eps: added to the gradient's norm.
        nesterov: look ahead along the momentum.
        maximize: go up instead of down.
        options: as every optimizer's, see `Optimizer`.

    Source: You et al. 2017, https://arxiv.org/abs/1708.03888.

    Example:
        >>> from ravine import optim
        >>> optim.LARS(lr=1.0, no_decay=True).trust_coefficient
        0.001
    """

    rule = "lars"

    lr: Rate = 1e-3
    momentum: Rate = 0.9
    weight_decay: Rate = 0.0
    trust_coefficient: Rate = 1e-3
    eps: Rate = 0.0
    nesterov: bool = False
    maximize: bool = False
