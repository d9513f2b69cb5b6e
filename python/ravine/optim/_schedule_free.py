"""Schedule-free rules: averaging in place of a falling learning rate."""

from __future__ import annotations

from typing import ClassVar

from ._options import Rate
from ._rule import Rule


class ScheduleFreeSGD(Rule):
    """Schedule-free SGD: needs no falling learning rate, whenever training ends.

    For a gradient g at the weights y (weight decay added): `z -= lr · g`, `x = (1 - c) x + c z`,
    `y = (1 - beta) z + beta x`. c is the share of this step's `max(lr so far)^weight_lr_power` in the sum of
    all. The model's weights are y; `with optim.averaged(model):` evaluates x, the result of the training.

    Args:
        lr: learning rate, or a function of the step (from 0): a warm-up and then a constant.
        beta: share of x in y, above 0 and below 1.
        weight_decay: L2 penalty, added to the gradient.
        weight_lr_power: how much less steps of a small learning rate count in x.
        maximize: go up instead of down.
        options: as every optimizer's, see `Optimizer`.

    Source: Defazio et al. 2024, https://arxiv.org/abs/2405.15682.

    Example:
        >>> from ravine import optim
        >>> optim.ScheduleFreeSGD(lr=0.5).beta
        0.9
    """

    rule = "schedule_free_sgd"

    lr: Rate = 1.0
    beta: Rate = 0.9
    weight_decay: Rate = 0.0
    weight_lr_power: Rate = 2.0
    maximize: bool = False


class ScheduleFreeAdamW(Rule):
    """Schedule-free AdamW: needs no falling learning rate, whenever training ends.

    As `ScheduleFreeSGD` with β₁ for beta and `z -= lr · (g / (sqrt(v / (1 - β₂ᵗ)) + eps) + weight_decay · y)`
    for a running mean v of g².

    Args:
        lr: learning rate, or a function of the step (from 0): a warm-up and then a constant.
        betas: (β₁, share of x in y, above 0; β₂, decay of the second moment), below 1.
        eps: added to the root in the denominator.
        weight_decay: decoupled: share of the weight taken off per unit of lr.
        weight_lr_power: how much less steps of a small learning rate count in x.
        maximize: go up instead of down.
        options: as every optimizer's, see `Optimizer`.

    Source: Defazio et al. 2024, https://arxiv.org/abs/2405.15682.

    Example:
        >>> from ravine import optim
        >>> optim.ScheduleFreeAdamW(betas=(0.95, 0.99)).lr
        0.0025
    """

    rule = "schedule_free_adamw"
    _several: ClassVar = {"betas": ("beta1", "beta2")}

    lr: Rate = 2.5e-3
    betas: tuple[Rate, Rate] = (0.9, 0.999)
    eps: Rate = 1e-8
    weight_decay: Rate = 0.0
    weight_lr_power: Rate = 2.0
    maximize: bool = False
