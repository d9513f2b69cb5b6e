"""Dropout that keeps mean and variance, and rectifiers with random slopes."""

from __future__ import annotations

import math
from typing import Any

from ..record import Operand, Tensor, apply, as_tensor
from ._elementwise import where
from ._random import rand

# The limit of SELU at minus infinity: -scale · alpha.
_SATURATED = -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False) -> Tensor:
    """Sets elements to SELU's limit with probability p, then scales and shifts: mean and variance stay.

    For self-normalising networks. With q = 1 - p and c = -1.758: `a (x or c) + b`, `a = (q + c² q p)^(-1/2)`,
    `b = -a c p`.

    Source: Klambauer et al. 2017, https://arxiv.org/abs/1706.02515.

    Example:
        >>> import ravine as rv
        >>> rv.ops.alpha_dropout([1.0, 2.0], 0.5)
        tensor([1., 2.], dtype=float32)
    """
    x = as_tensor(input)
    return _alpha("alpha_dropout", x, p, training, x.shape)


def feature_alpha_dropout(input: Any, p: float = 0.5, training: bool = False) -> Tensor:
    """`alpha_dropout` of whole channels of [N, C, ...].

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.feature_alpha_dropout(np.ones((1, 2, 3)), 0.5).shape
        (1, 2, 3)
    """
    x = as_tensor(input)
    if x.ndim < 2:
        raise ValueError(f"feature_alpha_dropout: input must be [N, C, ...], got shape {x.shape}")
    return _alpha("feature_alpha_dropout", x, p, training, (*x.shape[:2], *(1,) * (x.ndim - 2)))


def _alpha(op: str, x: Operand, p: float, training: bool, drawn: tuple[int, ...]) -> Tensor:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"{op}: p must be a probability in [0, 1], got {p}")
    if not training or p == 0:
        return apply("identity", x)
    if p == 1:
        return where(rand(*drawn, dtype=x.dtype) < 0.0, x, 0.0)
    scale = 1 / math.sqrt((1 - p) * (1 + p * _SATURATED**2))
    kept = rand(*drawn, dtype=x.dtype) >= p
    return where(kept, x, _SATURATED) * scale - scale * p * _SATURATED


def rrelu(input: Any, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False) -> Tensor:
    """x above 0, below it x times a slope: in training a random one for each element, else the middle one.

    Source: Xu et al. 2015, https://arxiv.org/abs/1505.00853.

    Example:
        >>> import ravine as rv
        >>> rv.ops.rrelu([-24.0, 2.0], 0.25, 0.75)
        tensor([-12.,   2.], dtype=float32)
    """
    x = as_tensor(input)
    if not lower <= upper:
        raise ValueError(f"rrelu: lower must be at most upper, got {lower} and {upper}")
    slope: Any = (lower + upper) / 2
    if training:
        slope = rand(*x.shape, dtype=x.dtype) * (upper - lower) + lower
    return where(x > 0, x, x * slope)
