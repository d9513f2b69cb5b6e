"""Penalties on weights, to be added to a loss."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence

from ... import ops
from ..._numbers import number
from ...record import Tensor
from .._module import Module
from ._select import selected


def l1_penalty(module: Module, weight: float = 1.0, select: str | Sequence[str] = "*weight") -> Tensor:
    """`weight · Σ |w|`, to be added to a loss: it drives weights to 0, so that few remain.

    Args:
        module: whose parameters.
        weight: factor, at least 0.
        select: patterns of names as in the shell; all weights by default, no biases.

    Raises ValueError for a pattern that no parameter matches, and for another weight.

    Example:
        >>> import numpy as np, ravine as rv
        >>> from ravine import nn
        >>> model = nn.Linear(3, 1)
        >>> def loss(output, y):
        ...     return ((output - y) ** 2).mean() + nn.utils.l1_penalty(model, 0.1)
        >>> step = rv.TrainStep(model, loss, rv.optim.SGD(lr=0.02))
        >>> losses = [step(np.eye(3), np.zeros((3, 1))) for _ in range(300)]
        >>> bool(abs(model.weight.data).max() < 0.005)
        True
    """
    factor = number("l1_penalty", "weight", weight)
    parts = [ops.sum(ops.abs(p)) for _, p in selected("l1_penalty", module, select)]
    return functools.reduce(operator.add, parts) * factor


def l2_penalty(module: Module, weight: float = 1.0, select: str | Sequence[str] = "*weight") -> Tensor:
    """`weight · Σ w²`, to be added to a loss. For SGD the same as weight_decay = 2 · weight.

    Arguments and errors as of `l1_penalty`.

    Example:
        >>> from ravine import nn
        >>> model = nn.Linear(2, 1, weight_init=3.0)
        >>> nn.utils.l2_penalty(model, 0.5)
        tensor(9., dtype=float32)
    """
    factor = number("l2_penalty", "weight", weight)
    parts = [ops.sum(ops.square(p)) for _, p in selected("l2_penalty", module, select)]
    return functools.reduce(operator.add, parts) * factor
