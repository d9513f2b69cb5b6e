"""What weights must satisfy after every update: bounds of norms and of numbers.

A constraint belongs to a parameter, `layer.weight.constraint = nn.constraints.MaxNorm(3.0)`, or to many by
`nn.utils.constrain`. With any optimizer, the weights are put onto the nearest point that satisfies it (of
several rows, each by itself) at the end of every update, before anything else can see them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from .. import ops
from .._numbers import number, positive, whole
from ..record import Operand, Tensor

__all__ = ["Bounds", "Constraint", "MaxNorm", "NonNegative", "NormBounds", "UnitNorm"]

_TINY = 1e-12  # least norm that weights are divided by


class Constraint:
    """Base of the constraints: a function of a weight that returns the nearest one that is allowed.

    A subclass defines `__call__(weight)` on tensors; its numbers are fixed at construction.

    Example:
        >>> import numpy as np, ravine as rv
        >>> from ravine import nn
        >>> class ZeroDiagonal(nn.constraints.Constraint):
        ...     def __call__(self, weight):
        ...         return weight * (1.0 - np.eye(2))
        >>> layer = nn.Linear(2, 2, bias=False)
        >>> layer.weight.constraint = ZeroDiagonal()
        >>> step = rv.TrainStep(layer, nn.MSELoss(), rv.optim.SGD(lr=0.1))
        >>> loss = step(np.eye(2), np.eye(2))
        >>> bool(abs(layer.weight.data.diagonal()).max() == 0)
        True
    """

    def __call__(self, weight: Operand) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} does not define __call__")


def _norms(weight: Operand, dim: int | None, what: str) -> Tensor:
    """The Euclidean norm for each index of `dim`, or of all, to be divided by."""
    if dim is not None and not -weight.ndim <= dim < weight.ndim:
        raise ValueError(f"{what}: dim {dim} is out of range for a weight of shape {weight.shape}")
    others = [i for i in range(weight.ndim) if dim is None or i != dim % weight.ndim]
    squares = ops.square(weight)
    return ops.sqrt(ops.sum(squares, others, keepdim=True) if others else squares)


def _dim(owner: str, dim: Any) -> int | None:
    return None if dim is None else whole(owner, "dim", dim, -32)


@dataclass(frozen=True)
class MaxNorm(Constraint):
    """The norm of the weights of each unit is at most `max_norm`: `w *= min(1, max_norm / |w|)`.

    Args:
        max_norm: above 0; with dropout, 3 or 4 is usual.
        dim: each index of it is a unit: 0, the outputs of linear maps and convolutions. None: all weights
            together are one.

    Source: Srivastava et al. 2014, section 5.1, https://jmlr.org/papers/v15/srivastava14a.html.

    Example:
        >>> from ravine import nn
        >>> nn.constraints.MaxNorm(1.0)(nn.Parameter([[3.0, 4.0], [0.3, 0.4]]))
        tensor([[0.6, 0.8],
                [0.3, 0.4]], dtype=float32)
    """

    max_norm: float = 2.0
    dim: int | None = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "max_norm", positive("MaxNorm", "max_norm", self.max_norm))
        object.__setattr__(self, "dim", _dim("MaxNorm", self.dim))

    def __call__(self, weight: Operand) -> Tensor:
        norms = _norms(weight, self.dim, "MaxNorm")
        return ops.where(norms > self.max_norm, weight * (self.max_norm / ops.maximum(norms, _TINY)), weight)


@dataclass(frozen=True)
class UnitNorm(Constraint):
    """The norm of the weights of each unit is 1: `w /= |w|`. Weights that are all 0 stay.

    Args:
        dim: as of `MaxNorm`.

    Example:
        >>> from ravine import nn
        >>> nn.constraints.UnitNorm()(nn.Parameter([[3.0, 4.0]]))
        tensor([[0.6, 0.8]], dtype=float32)
    """

    dim: int | None = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", _dim("UnitNorm", self.dim))

    def __call__(self, weight: Operand) -> Tensor:
        return weight / ops.maximum(_norms(weight, self.dim, "UnitNorm"), _TINY)


@dataclass(frozen=True)
class NormBounds(Constraint):
    """The norm of the weights of each unit lies in [low, high]. Weights that are all 0 stay.

    Args:
        low, high: bounds, 0 ≤ low ≤ high.
        dim: as of `MaxNorm`.

    Example:
        >>> from ravine import nn
        >>> nn.constraints.NormBounds(1.0, 2.0)(nn.Parameter([[0.3, 0.4], [3.0, 4.0]]))
        tensor([[0.6, 0.8],
                [1.2, 1.6]], dtype=float32)
    """

    low: float
    high: float
    dim: int | None = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", number("NormBounds", "low", self.low))
        object.__setattr__(self, "high", number("NormBounds", "high", self.high, self.low))
        object.__setattr__(self, "dim", _dim("NormBounds", self.dim))

    def __call__(self, weight: Operand) -> Tensor:
        norms = _norms(weight, self.dim, "NormBounds")
        return weight * (ops.clip(norms, self.low, self.high) / ops.maximum(norms, _TINY))


@dataclass(frozen=True)
class NonNegative(Constraint):
    """No weight is below 0.

    Example:
        >>> from ravine import nn
        >>> nn.constraints.NonNegative()(nn.Parameter([-1.0, 2.0]))
        tensor([0., 2.], dtype=float32)
    """

    def __call__(self, weight: Operand) -> Tensor:
        return ops.clip(weight, 0.0)


@dataclass(frozen=True)
class Bounds(Constraint):
    """Every weight lies in [low, high].

    Args:
        low, high: bounds, of which one may be infinite.

    Example:
        >>> from ravine import nn
        >>> nn.constraints.Bounds(-0.5, 0.5)(nn.Parameter([-1.0, 0.2]))
        tensor([-0.5,  0.2], dtype=float32)
    """

    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        for name, open_end in (("low", -math.inf), ("high", math.inf)):
            value = getattr(self, name)
            value = value if value == open_end else number("Bounds", name, value, -math.inf)
            object.__setattr__(self, name, value)
        if self.low > self.high:
            raise ValueError(f"Bounds: low must not exceed high, got {self.low:g} and {self.high:g}")

    def __call__(self, weight: Operand) -> Tensor:
        return ops.clip(weight, self.low, self.high)
