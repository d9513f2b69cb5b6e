"""Steps scaled by sums or means of squared gradients, without bias correction."""

from __future__ import annotations

from ._options import Rate
from ._rule import Rule


class Adagrad(Rule):
    """Adagrad: steps scaled by the root of the sum of all squared gradients.

    For a gradient g (weight decay added) in step t from 1: `s += g²`,
    `w -= lr / (1 + (t - 1) · lr_decay) · g / (sqrt(s) + eps)`.

    Args:
        lr: learning rate, or a function of the step (from 0) that gives it.
        lr_decay: decay of the learning rate.
        weight_decay: L2 penalty, added to the gradient.
        initial_accumulator_value: what s begins with.
        eps: added to the root in the denominator.
        maximize: go up instead of down.
        options: as every optimizer's, see `Optimizer`.

    Source: Duchi et al. 2011, https://jmlr.org/papers/v12/duchi11a.html.

    Example:
        >>> from ravine import optim
        >>> optim.Adagrad(lr=0.1).eps
        1e-10
    """

    rule = "adagrad"

    lr: Rate = 1e-2
    lr_decay: Rate = 0.0
    weight_decay: Rate = 0.0
    initial_accumulator_value: Rate = 0.0
    eps: Rate = 1e-10
    maximize: bool = False


class RowWiseAdagrad(Rule):
    """Adagrad with one accumulator a row: a table needs a number a row of state in place of a second table.

    For the gradient g of a row (weight decay added) in step t from 1: `s += mean(g²)`,
    `w -= lr / (1 + (t - 1) · lr_decay) · g / (sqrt(s) + eps)`. The rows of a parameter are along its first
    axis; parameters of one axis have Adagrad.

    Args:
        lr: learning rate, or a function of the step (from 0) that gives it.
        lr_decay: decay of the learning rate.
        weight_decay: L2 penalty, added to the gradient.
        initial_accumulator_value: what s begins with.
        eps: added to the root in the denominator.
        maximize: go up instead of down.
        options: as every optimizer's, see `Optimizer`.

    Source: the embeddings of DLRM, Naumov et al. 2019, https://arxiv.org/abs/1906.00091; torchrec's
    RowWiseAdagrad.

    Example:
        >>> from ravine import optim
        >>> optim.RowWiseAdagrad(lr=0.1).eps
        1e-10
    """

    rule = "rowwise_adagrad"

    lr: Rate = 1e-2
    lr_decay: Rate = 0.0
    weight_decay: Rate = 0.0
    initial_accumulator_value: Rate = 0.0
    eps: Rate = 1e-10
    maximize: bool = False


class Adadelta(Rule):
    """Adadelta: steps in the units of the weights, from running means of squared gradients and steps.

    For a gradient g (weight decay added): `v = rho v + (1 - rho) g²`,
    `d = sqrt(a + eps) / sqrt(v + eps) · g`, `a = rho a + (1 - rho) d²`, `w -= lr · d`.

    Args:
        lr: factor of the step, or a function of the step (from 0) that gives it.
        rho: decay of both means, in [0, 1).
        eps: added under both roots.
        weight_decay: L2 penalty, added to the gradient.
        maximize: go up instead of down.
        options: as every optimizer's, see `Optimizer`.

    Source: Zeiler 2012, https://arxiv.org/abs/1212.5701.

    Example:
        >>> from ravine import optim
        >>> optim.Adadelta().lr
        1.0
    """

    rule = "adadelta"

    lr: Rate = 1.0
    rho: Rate = 0.9
    eps: Rate = 1e-6
    weight_decay: Rate = 0.0
    maximize: bool = False


class RMSprop(Rule):
    """RMSprop: steps scaled by the root of a running mean of squared gradients.

    For a gradient g (weight decay added): `v = alpha v + (1 - alpha) g²`, `d = sqrt(v) + eps`, centered with
    the running mean m of g `d = sqrt(v - m²) + eps`; `w -= lr · g / d`, with momentum
    `b = momentum · b + g / d`, `w -= lr · b`.

    Args:
        lr: learning rate, or a function of the step (from 0) that gives it.
        alpha: decay of the means, in [0, 1).
        eps: added to the root in the denominator.
        weight_decay: L2 penalty, added to the gradient.
        momentum: share of the last step's direction that is kept.
        centered: scale by the variance in place of the second moment.
        maximize: go up instead of down.
        options: as every optimizer's, see `Optimizer`.

    Source: Hinton 2012, https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf; centered:
    Graves 2013, https://arxiv.org/abs/1308.0850.

    Example:
        >>> from ravine import optim
        >>> optim.RMSprop(lr=1e-3, momentum=0.9, centered=True).alpha
        0.99
    """

    rule = "rmsprop"

    lr: Rate = 1e-2
    alpha: Rate = 0.99
    eps: Rate = 1e-8
    weight_decay: Rate = 0.0
    momentum: Rate = 0.0
    centered: bool = False
    maximize: bool = False
