"""Reductions over dimensions. `dim` is an integer, several, or None for all of them."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from .._dims import Axes, axes_of, is_dim, normalise_dim, numpy_names
from .._numbers import flag, number
from ..record import Operand, Tensor, apply, as_operand, as_tensor, dtype_name, is_number, mean_of
from ._shape import reshape, squeeze

# Sums of these fit int64, whatever exists in memory.
_NARROW = ("bool", "uint8", "int32")


class Extreme(NamedTuple):
    """What `max(dim)`, `sort`, `topk` and other choices along a dimension return."""

    values: Tensor
    indices: Tensor


def _reduce(op: str, input: Any, dim: Axes, keepdim: bool, dtype: Any = None) -> Tensor:
    x = as_operand(input, op)
    axes = axes_of(dim, x.ndim, op)
    given, wanted = str(x.dtype), None if dtype is None else dtype_name(dtype)
    floating = wanted in ("float32", "float64")
    if given in _NARROW and (
        (op == "sum" and (floating or wanted == "int64")) or (op == "mean" and (floating or wanted is None))
    ):
        # Counted in int64 the sum is exact, and the input is not copied in a wider dtype.
        total = apply("sum", x, axes=axes, keepdims=bool(keepdim))
        if op == "mean":
            count = math.prod(x.shape[i] for i in axes or range(x.ndim))
            total = apply("cast", total, dtype="float64") / float(count)
        return apply("cast", total, dtype=wanted or "float32")
    if wanted not in (None, given):
        x = apply("cast", x, dtype=wanted)
    return apply(op, x, axes=axes, keepdims=bool(keepdim))


def _arg_extreme(op: str, input: Any, dim: int | None, keepdim: bool) -> Tensor:
    x = as_operand(input, op)
    if dim is None or x.ndim == 0:
        if dim is not None:
            normalise_dim(dim, 0, op, scalar=True)
        index = apply(op, x.reshape((-1,)), axis=0, keepdims=False)
        return reshape(index, (1,) * x.ndim) if keepdim else index
    return apply(op, x, axis=normalise_dim(dim, x.ndim, op), keepdims=bool(keepdim))


def _extreme(op: str, pairwise: str, input: Any, dim: Any, keepdim: bool, other: Any) -> Tensor | Extreme:
    """max and min: of all elements, along a dimension, or of two tensors."""
    if other is None and not is_dim(dim) and hasattr(dim, "shape"):
        dim, other = None, dim
    if other is not None:
        if dim is not None or keepdim:
            raise TypeError(f"{op}: of two tensors there is no dim or keepdim")
        if is_number(input):
            raise TypeError(
                f"{op}: the first of two must be a tensor or an array, got {input!r}; "
                f"{pairwise}({input!r}, other) takes numbers too"
            )
        return apply(pairwise, input, other)
    if dim is None:
        return _reduce(op, input, None, keepdim)
    x = as_operand(input, op)
    indices = _arg_extreme("arg" + op, x, dim, True)
    if x.ndim == 0:
        return Extreme(reshape(x, ()), indices)
    values = apply("gather", x, indices, axis=normalise_dim(dim, x.ndim, op))
    if not keepdim:
        values, indices = squeeze(values, dim), squeeze(indices, dim)
    return Extreme(values, indices)


@numpy_names
def sum(input: Any, dim: Axes = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """Sum over dimensions, in an order that depends on the shape alone.

    Args:
        input: any shape.
        dim: dimension or dimensions to sum over; None sums all.
        keepdim: keep the summed dimensions, with size 1.
        dtype: cast the input to it first; None keeps the input's (bool and narrow integers: int64).

    NumPy's names `axis` and `keepdims` are taken as well, here and wherever there are dims.

    Example:
        >>> import ravine as rv
        >>> rv.ops.sum([[1.0, 2.0], [3.0, 4.0]], dim=0)
        tensor([4., 6.], dtype=float32)
    """
    return _reduce("sum", input, dim, keepdim, dtype)


@numpy_names
def mean(input: Any, dim: Axes = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """Arithmetic mean over dimensions. Arguments as for `sum`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.mean([[1.0, 2.0], [3.0, 4.0]], dim=1)
        tensor([1.5, 3.5], dtype=float32)
    """
    result = _reduce("mean", input, dim, keepdim, dtype)
    of_all = isinstance(input, Operand) and input.ndim > 0 and result.shape == ()
    return mean_of(result, input) if of_all else result


@numpy_names
def prod(input: Any, dim: Axes = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """Product over dimensions. Arguments as for `sum`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.prod([[1.0, 2.0], [3.0, 4.0]], dim=0)
        tensor([3., 8.], dtype=float32)
    """
    return _reduce("prod", input, dim, keepdim, dtype)


@numpy_names
def amax(input: Any, dim: Axes = None, keepdim: bool = False) -> Tensor:
    """Largest value over dimensions; equal largest values share the gradient. Arguments as for `sum`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.amax([[1.0, 2.0], [3.0, 4.0]], dim=0)
        tensor([3., 4.], dtype=float32)
    """
    return _reduce("max", input, dim, keepdim)


@numpy_names
def amin(input: Any, dim: Axes = None, keepdim: bool = False) -> Tensor:
    """Smallest value over dimensions; equal smallest values share the gradient. Arguments as for `sum`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.amin([[1.0, 2.0], [3.0, 4.0]], dim=0)
        tensor([1., 2.], dtype=float32)
    """
    return _reduce("min", input, dim, keepdim)


@numpy_names
def max(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """Largest value: of all elements, or with `dim` the pair (values, indices) along it.

    With `dim` the gradient goes to the element at `indices`, the first of equal ones; equal largest values of
    all elements share it.

    Args:
        input: any shape.
        dim: a dimension; or a second tensor, for the larger of two, elementwise, as `maximum(input, other)`,
            which takes a number in the first place as well.
        keepdim: keep the reduced dimension, with size 1.
        other: the second tensor by name.

    Raises TypeError for a second tensor together with dim or keepdim, or behind a number.

    Example:
        >>> import ravine as rv
        >>> values, indices = rv.ops.max([[1.0, 2.0], [4.0, 3.0]], dim=1)
        >>> indices
        tensor([1, 0], dtype=int64)
    """
    return _extreme("max", "maximum", input, dim, keepdim, other)


@numpy_names
def min(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """Smallest value: of all elements, or with `dim` the pair (values, indices) along it.

    Arguments and gradients as for `max`; of two tensors it is `minimum(input, other)`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.min([[1.0, 2.0], [4.0, 3.0]])
        tensor(1., dtype=float32)
    """
    return _extreme("min", "minimum", input, dim, keepdim, other)


@numpy_names
def argmax(input: Any, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Index (int64) of the first largest value, along `dim` or in the flattened input.

    Example:
        >>> import ravine as rv
        >>> rv.ops.argmax([[1.0, 2.0], [4.0, 3.0]], dim=1)
        tensor([1, 0], dtype=int64)
    """
    return _arg_extreme("argmax", input, dim, keepdim)


@numpy_names
def argmin(input: Any, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Index (int64) of the first smallest value, along `dim` or in the flattened input.

    Example:
        >>> import ravine as rv
        >>> rv.ops.argmin([[1.0, 2.0], [4.0, 3.0]], dim=1)
        tensor([0, 1], dtype=int64)
    """
    return _arg_extreme("argmin", input, dim, keepdim)


def _freedom(op: str, n: int, correction: Any, unbiased: Any) -> float:
    """The divisor n - correction; torch's older `unbiased` is a correction of 1 or 0."""
    if isinstance(correction, bool | np.bool_):  # third in torch's older order of arguments
        unbiased, correction = correction, None
    if unbiased is not None:
        if correction is not None:
            raise TypeError(f"{op}: unbiased and correction mean the same; give one of them")
        correction = int(flag(op, "unbiased", unbiased))
    return n - (1.0 if correction is None else number(op, "correction", correction, -math.inf))


@numpy_names
def var(
    input: Any,
    dim: Any = None,
    correction: float | None = None,
    keepdim: bool = False,
    *,
    unbiased: bool | None = None,
) -> Tensor:
    """Variance, `Σ(x - mean)² / (n - correction)`, in two passes; of equal numbers it is exactly 0.

    Args:
        input: any shape.
        dim: dimension or dimensions to reduce; None takes all. A bool here means `unbiased`, as in torch.
        correction: 1 (the default) for the unbiased estimate, 0 for the biased one. A bool means `unbiased`.
        keepdim: keep the reduced dimensions, with size 1.
        unbiased: True is a correction of 1, False of 0.

    The variance is NaN where n is not above correction.

    Raises TypeError where both correction and unbiased are given.

    Example:
        >>> import ravine as rv
        >>> rv.ops.var([1.0, 2.0, 3.0, 4.0], correction=0)
        tensor(1.25, dtype=float32)
    """
    if isinstance(dim, bool | np.bool_):
        dim, unbiased = None, bool(dim)
    x = as_tensor(input)
    axes = axes_of(dim, x.ndim, "var") or tuple(range(x.ndim))
    freedom = _freedom("var", math.prod(x.shape[i] for i in axes), correction, unbiased)
    # Relative to an element: differences of equal numbers are exact, where their mean is a rounding off.
    first = x[tuple(slice(0, 1) if i in axes and x.shape[i] else slice(None) for i in range(x.ndim))]
    x = x - apply("stop_gradient", first)
    deviation = x - _reduce("mean", x, axes, True)
    total = _reduce("sum", apply("square", deviation), axes, keepdim)
    return total / freedom if freedom > 0 else total * math.nan


@numpy_names
def std(
    input: Any,
    dim: Any = None,
    correction: float | None = None,
    keepdim: bool = False,
    *,
    unbiased: bool | None = None,
) -> Tensor:
    """Standard deviation, the square root of `var`; same arguments. Of equal numbers its gradient is 0.

    Example:
        >>> import ravine as rv
        >>> rv.ops.std([1.0, 3.0], correction=0)
        tensor(1., dtype=float32)
    """
    variance = var(input, dim, correction, keepdim, unbiased=unbiased)
    constant = apply("equal", variance, 0.0)  # where the root has no derivative; 0 there, as in torch
    root = apply("sqrt", apply("where", constant, np.ones((), variance.dtype), variance))
    return apply("where", constant, np.zeros((), variance.dtype), root)


@numpy_names
def logsumexp(input: Any, dim: Axes = None, keepdim: bool = False) -> Tensor:
    """`ln Σ exp(x)`, with the maximum taken out first so that nothing overflows; -infinity of no elements.

    Where all elements are -infinity, so is the result, and its gradient is 0.

    Example:
        >>> import ravine as rv
        >>> rv.ops.logsumexp([1000.0, 1000.0])
        tensor(1000.6932, dtype=float32)
    """
    return _reduce("logsumexp", input, dim, keepdim)


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
