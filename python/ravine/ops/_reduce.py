"""Reductions over dimensions. `dim` is an integer, several, or None for all of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import _tensor
from .._dims import Axes, axes_of
from .._tensor import Extreme, Tensor, apply, as_tensor, reduce


def sum(input: Any, dim: Axes = None, keepdim: bool = False) -> Tensor:
    """Sum over dimensions, in an order that depends on the shape alone.

    Args:
        input: any shape.
        dim: dimension or dimensions to sum over; None sums all.
        keepdim: keep the summed dimensions, with size 1.

    Example:
        >>> import ravine as rv
        >>> rv.ops.sum([[1.0, 2.0], [3.0, 4.0]], dim=0)
        tensor([4., 6.], dtype=float32)
    """
    return reduce("sum", input, dim, keepdim)


def mean(input: Any, dim: Axes = None, keepdim: bool = False) -> Tensor:
    """Arithmetic mean over dimensions. Arguments as for `sum`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.mean([[1.0, 2.0], [3.0, 4.0]], dim=1)
        tensor([1.5, 3.5], dtype=float32)
    """
    return reduce("mean", input, dim, keepdim)


def prod(input: Any, dim: Axes = None, keepdim: bool = False) -> Tensor:
    """Product over dimensions. Arguments as for `sum`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.prod([[1.0, 2.0], [3.0, 4.0]], dim=0)
        tensor([3., 8.], dtype=float32)
    """
    return reduce("prod", input, dim, keepdim)


def amax(input: Any, dim: Axes = None, keepdim: bool = False) -> Tensor:
    """Largest value over dimensions; equal largest values share the gradient. Arguments as for `sum`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.amax([[1.0, 2.0], [3.0, 4.0]], dim=0)
        tensor([3., 4.], dtype=float32)
    """
    return reduce("max", input, dim, keepdim)


def amin(input: Any, dim: Axes = None, keepdim: bool = False) -> Tensor:
    """Smallest value over dimensions; equal smallest values share the gradient. Arguments as for `sum`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.amin([[1.0, 2.0], [3.0, 4.0]], dim=0)
        tensor([1., 2.], dtype=float32)
    """
    return reduce("min", input, dim, keepdim)


def max(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Largest value: of all elements, or with `dim` the pair (values, indices) along it.

    With `dim` the gradient goes to the element at `indices`, the first of equal ones.

    Example:
        >>> import ravine as rv
        >>> values, indices = rv.ops.max([[1.0, 2.0], [4.0, 3.0]], dim=1)
        >>> indices
        tensor([1, 0], dtype=int64)
    """
    return _tensor.extreme("max", input, dim, keepdim)


def min(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Smallest value: of all elements, or with `dim` the pair (values, indices) along it.

    Example:
        >>> import ravine as rv
        >>> rv.ops.min([[1.0, 2.0], [4.0, 3.0]])
        tensor(1., dtype=float32)
    """
    return _tensor.extreme("min", input, dim, keepdim)


def argmax(input: Any, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Index (int64) of the first largest value, along `dim` or in the flattened input.

    Example:
        >>> import ravine as rv
        >>> rv.ops.argmax([[1.0, 2.0], [4.0, 3.0]], dim=1)
        tensor([1, 0], dtype=int64)
    """
    return _tensor.arg_extreme("argmax", input, dim, keepdim)


def argmin(input: Any, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Index (int64) of the first smallest value, along `dim` or in the flattened input.

    Example:
        >>> import ravine as rv
        >>> rv.ops.argmin([[1.0, 2.0], [4.0, 3.0]], dim=1)
        tensor([0, 1], dtype=int64)
    """
    return _tensor.arg_extreme("argmin", input, dim, keepdim)


def var(input: Any, dim: Axes = None, correction: int = 1, keepdim: bool = False) -> Tensor:
    """Variance, `Σ(x - mean)² / (n - correction)`, in two passes.

    Args:
        input: any shape.
        dim: dimension or dimensions to reduce; None takes all.
        correction: 1 for the unbiased estimate, 0 for the biased one.
        keepdim: keep the reduced dimensions, with size 1.

    Example:
        >>> import ravine as rv
        >>> rv.ops.var([1.0, 2.0, 3.0, 4.0], correction=0)
        tensor(1.25, dtype=float32)
    """
    x = as_tensor(input)
    axes = axes_of(dim, x.ndim, "var")
    n = math.prod(x.shape[i] for i in axes)
    deviation = x - reduce("mean", x, axes or None, True)
    total = reduce("sum", apply("square", deviation), axes or None, keepdim)
    freedom = n - correction
    return total / float(freedom) if freedom > 0 else total * math.nan


def std(input: Any, dim: Axes = None, correction: int = 1, keepdim: bool = False) -> Tensor:
    """Standard deviation, the square root of `var`; same arguments.

    Example:
        >>> import ravine as rv
        >>> rv.ops.std([1.0, 3.0], correction=0)
        tensor(1., dtype=float32)
    """
    variance = var(input, dim, correction, keepdim)
    constant = apply("equal", variance, 0.0)  # where the root has no derivative; 0 there, as in torch
    root = apply("sqrt", apply("where", constant, np.ones((), variance.dtype), variance))
    return apply("where", constant, np.zeros((), variance.dtype), root)


def logsumexp(input: Any, dim: Axes = None, keepdim: bool = False) -> Tensor:
    """`ln Σ exp(x)`, with the maximum taken out first so that nothing overflows.

    Example:
        >>> import ravine as rv
        >>> rv.ops.logsumexp([1000.0, 1000.0])
        tensor(1000.6932, dtype=float32)
    """
    x = as_tensor(input)
    axes = axes_of(dim, x.ndim, "logsumexp") or None
    largest = apply("stop_gradient", reduce("max", x, axes, True))
    # An infinite maximum would make inf - inf; the sum alone says what is right then.
    infinite = apply("equal", apply("abs", largest), math.inf)
    shift = apply("where", infinite, np.zeros((), largest.dtype), largest)
    total = reduce("sum", apply("exp", x - shift), axes, True)
    result = apply("log", total) + shift
    return result if keepdim else _tensor.squeeze(result, axes) if axes else result


__all__ = [
    "Extreme",
    "amax",
    "amin",
    "argmax",
    "argmin",
    "logsumexp",
    "max",
    "mean",
    "min",
    "prod",
    "std",
    "sum",
    "var",
]
