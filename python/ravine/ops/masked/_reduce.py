"""Masked reductions. `dim` is a dimension, several, or None for all of them."""

from __future__ import annotations

import math
from typing import Any

from ...record import Tensor
from .. import _order, _reduce, linalg
from .._elementwise import cast, maximum, sqrt, square, where
from ._fill import converted, filled, kept


def sum(input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Tensor:
    """Sum of what the mask lets through.

    Example:
        >>> import ravine as rv
        >>> rv.ops.masked.sum([1.0, 2.0, 4.0], mask=[True, False, True])
        tensor(5., dtype=float32)
    """
    return _reduce.sum(filled("sum", converted(input, dtype), mask, 0), dim, keepdim)


def prod(
    input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """Product of what the mask lets through.

    Example:
        >>> import ravine as rv
        >>> rv.ops.masked.prod([3.0, 2.0, 4.0], mask=[True, False, True])
        tensor(12., dtype=float32)
    """
    return _reduce.prod(filled("prod", converted(input, dtype), mask, 1), dim, keepdim)


def amax(
    input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """Largest of what the mask lets through; equal ones share the gradient.

    Example:
        >>> import ravine as rv
        >>> rv.ops.masked.amax([1.0, 4.0, 2.0], mask=[True, False, True])
        tensor(2., dtype=float32)
    """
    return _reduce.amax(filled("amax", converted(input, dtype), mask, -math.inf), dim, keepdim)


def amin(
    input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """Smallest of what the mask lets through; equal ones share the gradient.

    Example:
        >>> import ravine as rv
        >>> rv.ops.masked.amin([2.0, 1.0, 4.0], mask=[True, False, True])
        tensor(2., dtype=float32)
    """
    return _reduce.amin(filled("amin", converted(input, dtype), mask, math.inf), dim, keepdim)


def argmax(
    input: Any, dim: int | None = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """Index of the largest of what the mask lets through; the first of equal ones.

    Example:
        >>> import ravine as rv
        >>> rv.ops.masked.argmax([1.0, 4.0, 2.0], mask=[True, False, True])
        tensor(2, dtype=int64)
    """
    return _reduce.argmax(filled("argmax", converted(input, dtype), mask, -math.inf), dim, keepdim)


def argmin(
    input: Any, dim: int | None = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """Index of the smallest of what the mask lets through; the first of equal ones.

    Example:
        >>> import ravine as rv
        >>> rv.ops.masked.argmin([2.0, 1.0, 4.0], mask=[True, False, True])
        tensor(0, dtype=int64)
    """
    return _reduce.argmin(filled("argmin", converted(input, dtype), mask, math.inf), dim, keepdim)


def logsumexp(
    input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """`ln Σ exp(x)` over what the mask lets through.

    Example:
        >>> import ravine as rv
        >>> rv.ops.masked.logsumexp([1.0, 9.0], 0, mask=[True, False])
        tensor(1., dtype=float32)
    """
    x = filled("logsumexp", converted(input, dtype), mask, -math.inf)
    return _reduce.logsumexp(x, tuple(range(x.ndim)) if dim is None else dim, keepdim)


def _counts(op: str, x: Any, mask: Any, dim: Any) -> Tensor:
    """How many elements each sum over `dim` has, with that dimension kept."""
    ones = x * 0.0 + 1.0 if mask is None else cast(kept(op, x, mask), x.dtype)
    return _reduce.sum(ones, dim, True)


def mean(
    input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """Mean of what the mask lets through.

    Example:
        >>> import ravine as rv
        >>> rv.ops.masked.mean([1.0, 9.0, 2.0], mask=[True, False, True])
        tensor(1.5, dtype=float32)
    """
    x = converted(input, dtype)
    if mask is None:
        return _reduce.mean(x, dim, keepdim)
    count = _reduce.sum(cast(kept("mean", x, mask), x.dtype), dim, keepdim)
    return _reduce.sum(filled("mean", x, mask, 0), dim, keepdim) / count


def var(
    input: Any,
    dim: Any = None,
    unbiased: bool | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Tensor:
    """Variance of what the mask lets through, Σ (x - mean)² / (n - correction).

    Args:
        input, dim, keepdim, dtype, mask: as of the other reductions.
        unbiased: False for correction 0, True (None) for 1.
        correction: what n is reduced by; give this or unbiased.

    Example:
        >>> import ravine as rv
        >>> rv.ops.masked.var([1.0, 9.0, 3.0], mask=[True, False, True])
        tensor(2., dtype=float32)
    """
    return _variance("var", converted(input, dtype), dim, unbiased, correction, keepdim, mask)


def _variance(
    op: str, x: Any, dim: Any, unbiased: bool | None, correction: float | None, keepdim: bool, mask: Any
) -> Tensor:
    if unbiased is not None and correction is not None:
        raise ValueError(f"masked.{op}: give one of unbiased and correction")
    less = float(correction) if correction is not None else float(unbiased is not False)
    if mask is None:
        return _reduce.var(x, dim, correction=less, keepdim=keepdim)
    m = kept(op, x, mask)
    assert m is not None
    middle = _reduce.sum(where(m, x, 0.0), dim, True) / _reduce.sum(cast(m, x.dtype), dim, True)
    squares = where(m, square(where(m, x, 0.0) - where(m, middle, 0.0)), 0.0)
    count = _reduce.sum(cast(m, x.dtype), dim, keepdim)
    return _reduce.sum(squares, dim, keepdim) / maximum(count - less, 0.0)


def std(
    input: Any,
    dim: Any = None,
    unbiased: bool | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Tensor:
    """Standard deviation of what the mask lets through, the root of `var`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.masked.std([1.0, 9.0, 5.0], unbiased=False, mask=[True, False, True])
        tensor(2., dtype=float32)
    """
    return sqrt(_variance("std", converted(input, dtype), dim, unbiased, correction, keepdim, mask))


def norm(
    input: Any,
    ord: float = 2.0,
    dim: Any = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Tensor:
    """`(Σ |x|^ord)^(1/ord)` over what the mask lets through; the extreme |x| where ord is infinite.

    Example:
        >>> import ravine as rv
        >>> rv.ops.masked.norm([3.0, 9.0, 4.0], mask=[True, False, True])
        tensor(5., dtype=float32)
    """
    neutral = math.inf if ord == -math.inf else 0
    x = filled("norm", converted(input, dtype), mask, neutral)
    return linalg.vector_norm(x, ord, dim, keepdim)


def median(
    input: Any, dim: int = -1, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """Median of what the mask lets through, the lower of two middle ones; NaN counts as kept out.

    Example:
        >>> import ravine as rv
        >>> rv.ops.masked.median([3.0, 9.0, 4.0, 1.0], mask=[True, False, True, True])
        tensor(3., dtype=float32)
    """
    x = converted(input, dtype)
    if not x.dtype.startswith("float"):
        raise TypeError(f"masked.median: input must be floating, got {x.dtype}")
    return _order.nanmedian(filled("median", x, mask, math.nan), dim, keepdim)[0]
