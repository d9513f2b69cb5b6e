"""Order along a dimension: sorting, quantiles, searching; running sums, products and extremes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._dims import normalise_dim, numpy_names
from .._numbers import whole
from ..record import FLOATING, Operand, Tensor, apply, as_tensor, dtype_name, is_number
from ._elementwise import where
from ._reduce import Extreme
from ._shape import broadcast_to, concat, narrow, reshape, squeeze, transpose, unsqueeze


def _vector(x: Operand) -> Operand:
    return x if x.ndim else reshape(x, (1,))


def _argsorted(op: str, x: Operand, dim: int, descending: bool) -> Tensor:
    """Indices that sort along a dimension, stable; NaN counts as the largest."""
    axis = normalise_dim(dim, x.ndim, op, scalar=True)
    v = _vector(x)
    last = v if axis == v.ndim - 1 else transpose(v, axis, -1)
    indices = apply("argsort", last, descending=bool(descending))
    return indices if axis == v.ndim - 1 else transpose(indices, axis, -1)


@numpy_names
def sort(input: Any, dim: int = -1, descending: bool = False, *, stable: bool = True) -> Extreme:
    """(values, indices) sorted along a dimension; equal numbers keep their order, NaN counts as the largest.

    The sort is stable whether `stable` asks for it or not.

    Example:
        >>> import ravine as rv
        >>> values, indices = rv.ops.sort([3.0, 1.0, 2.0])
        >>> indices
        tensor([1, 2, 0], dtype=int64)
    """
    x = as_tensor(input)
    indices = _argsorted("sort", x, dim, descending)
    v = _vector(x)
    values = apply("gather", v, indices, axis=normalise_dim(dim, v.ndim, "sort"))
    return Extreme(reshape(values, x.shape), reshape(indices, x.shape))


@numpy_names
def argsort(input: Any, dim: int = -1, descending: bool = False, *, stable: bool = True) -> Tensor:
    """The indices that sort along a dimension; see `sort`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.argsort([3.0, 1.0, 2.0], descending=True)
        tensor([0, 2, 1], dtype=int64)
    """
    x = as_tensor(input)
    return reshape(_argsorted("argsort", x, dim, descending), x.shape)


def msort(input: Any) -> Tensor:
    """The values sorted along the first dimension.

    Example:
        >>> import ravine as rv
        >>> rv.ops.msort([3.0, 1.0, 2.0])
        tensor([1., 2., 3.], dtype=float32)
    """
    return sort(input, 0).values


@numpy_names
def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Extreme:
    """The k largest (or smallest) along a dimension, sorted, as (values, indices); of equal ones the first.

    Example:
        >>> import ravine as rv
        >>> rv.ops.topk([3.0, 1.0, 2.0], 2).indices
        tensor([0, 2], dtype=int64)
    """
    x = as_tensor(input)
    axis = normalise_dim(dim, x.ndim, "topk", scalar=True)
    count, v = whole("topk", "k", k, low=0), _vector(x)
    if count > v.shape[axis]:
        raise ValueError(f"topk: k={count} exceeds dimension {dim} of shape {x.shape}")
    indices = narrow(_argsorted("topk", x, dim, largest), axis, 0, count)
    values = apply("gather", v, indices, axis=axis)
    return (
        Extreme(values, indices)
        if x.ndim or count != 1
        else Extreme(reshape(values, ()), reshape(indices, ()))
    )


def _picked(op: str, x: Operand, dim: int, place: Any, keepdim: bool) -> Extreme:
    """The element at a place of the sorted dimension; `place` is a number or has the result's shape, kept."""
    axis = normalise_dim(dim, x.ndim, op, scalar=True)
    v = _vector(x)
    order = _argsorted(op, x, dim, False)
    if is_number(place):
        index = narrow(order, axis, int(place), 1)
    else:
        index = apply("gather", order, place, axis=axis)
    values = apply("gather", v, index, axis=axis)
    if x.ndim == 0:
        return Extreme(reshape(values, ()), reshape(index, ()))
    return Extreme(values, index) if keepdim else Extreme(squeeze(values, axis), squeeze(index, axis))


@numpy_names
def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False) -> Extreme:
    """The k-th smallest (from 1) along a dimension, as (values, indices).

    Example:
        >>> import ravine as rv
        >>> rv.ops.kthvalue([3.0, 1.0, 2.0], 2).values
        tensor(2., dtype=float32)
    """
    x = as_tensor(input)
    extent = _vector(x).shape[normalise_dim(dim, x.ndim, "kthvalue", scalar=True)]
    number = whole("kthvalue", "k", k)
    if number > extent:
        raise ValueError(f"kthvalue: k={number} exceeds dimension {dim} of shape {x.shape}")
    return _picked("kthvalue", x, dim, number - 1, keepdim)


def _median(op: str, input: Any, dim: int | None, keepdim: bool, ignore_nan: bool) -> Any:
    x = as_tensor(input)
    if dim is None:
        flat = reshape(x, (x.numel(),))
        if not x.numel():
            return as_tensor(np.full((), np.nan, x.dtype))
        return _median(op, flat, 0, False, ignore_nan).values
    axis = normalise_dim(dim, x.ndim, op, scalar=True)
    v = _vector(x)
    extent = v.shape[axis]
    if extent == 0:
        raise IndexError(f"{op}: there is no median of no elements (dimension {dim} of shape {x.shape})")
    if x.dtype not in FLOATING:
        return _picked(op, x, dim, (extent - 1) // 2, keepdim)
    nan = apply("cast", apply("not_equal", v, v), dtype="int64")
    count = apply("sum", nan, axes=(axis,), keepdims=True)
    if ignore_nan:  # the middle of the numbers, which come first; of none of them the first NaN
        place = apply("maximum", extent - 1 - count, 0)
        place = apply("cast", apply("floor", apply("cast", place, dtype="float64") * 0.5), dtype="int64")
    else:  # a NaN makes the median one: the first of them, which follows the numbers
        place = apply("where", count > 0, extent - count, np.asarray((extent - 1) // 2))
    return _picked(op, x, dim, place, keepdim)


@numpy_names
def median(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The median: of all elements, or with `dim` the pair (values, indices) along it.

    Of an even number of elements it is the lower of the two in the middle; where there is a NaN it is NaN.

    Example:
        >>> import ravine as rv
        >>> rv.ops.median([3.0, 1.0, 2.0])
        tensor(2., dtype=float32)
    """
    return _median("median", input, dim, keepdim, ignore_nan=False)


@numpy_names
def nanmedian(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """`median` of what is not NaN.

    Example:
        >>> import ravine as rv
        >>> rv.ops.nanmedian([3.0, float("nan"), 2.0])
        tensor(2., dtype=float32)
    """
    return _median("nanmedian", input, dim, keepdim, ignore_nan=True)


@numpy_names
def mode(input: Any, dim: int = -1, keepdim: bool = False) -> Extreme:
    """The most frequent number along a dimension, the smallest of equally frequent ones, and its last index.

    Example:
        >>> import ravine as rv
        >>> rv.ops.mode([1.0, 2.0, 2.0]).values
        tensor(2., dtype=float32)
    """
    x = as_tensor(input)
    axis = normalise_dim(dim, x.ndim, "mode", scalar=True)
    v = _vector(x)
    if v.shape[axis] == 0:
        raise IndexError(f"mode: there is no mode of no elements (dimension {dim} of shape {x.shape})")
    order = _argsorted("mode", x, dim, False)
    values = apply("stop_gradient", apply("gather", v, order, axis=axis))
    # How far the run of equal numbers has come: the place, counted from the newest start of a run.
    extent = v.shape[axis]
    if extent > 1:
        ahead, behind = narrow(values, axis, 1, extent - 1), narrow(values, axis, 0, extent - 1)
        starts = concat([np.ones((*v.shape[:axis], 1, *v.shape[axis + 1 :]), bool), ahead != behind], axis)
    else:
        starts = as_tensor(np.ones(v.shape, bool))
    places = np.arange(extent).reshape((-1, *(1,) * (v.ndim - 1 - axis)))
    newest = apply("where", starts, places, np.zeros((), "int64"))
    newest = apply("gather", newest, apply("cumargmax", newest, axis=axis), axis=axis)
    best = apply("argmax", places - newest, axis=axis, keepdims=True)
    index = apply("gather", order, best, axis=axis)
    found = apply("gather", v, index, axis=axis)
    if x.ndim == 0:
        return Extreme(reshape(found, ()), reshape(index, ()))
    return Extreme(found, index) if keepdim else Extreme(squeeze(found, axis), squeeze(index, axis))


def _quantile(
    op: str, input: Any, q: Any, dim: int | None, keepdim: bool, interpolation: str, ignore_nan: bool
) -> Tensor:
    if interpolation not in ("linear", "lower", "higher", "nearest", "midpoint"):
        raise ValueError(
            f"{op}: interpolation must be linear, lower, higher, nearest or midpoint, got {interpolation!r}"
        )
    x = as_tensor(input)
    if x.dtype not in FLOATING:
        raise TypeError(f"{op}: input must be floating, got {x.dtype}")
    levels = np.asarray(q, x.dtype) if is_number(q) or not isinstance(q, Operand) else q
    if isinstance(levels, np.ndarray) and levels.size and not ((levels >= 0) & (levels <= 1)).all():
        raise ValueError(f"{op}: q must lie in [0, 1], got {q!r}")
    if len(levels.shape) > 1:
        raise ValueError(f"{op}: q must be a number or a vector, got shape {levels.shape}")
    levels = as_tensor(levels)
    rank = x.ndim
    axis = 0 if dim is None else normalise_dim(dim, x.ndim, op, scalar=True)
    v = reshape(x, (x.numel(),)) if dim is None else _vector(x)
    v = v if axis == v.ndim - 1 else transpose(v, axis, -1)
    extent = v.shape[-1]
    if extent == 0:
        raise ValueError(f"{op}: there are no quantiles of no elements (shape {x.shape})")
    values = sort(v, -1).values
    nans = apply("sum", v != v, axes=(v.ndim - 1,), keepdims=True)
    numbers = apply("cast", apply("maximum", extent - nans, 1), dtype=x.dtype)
    flat = reshape(levels, (-1,)) if levels.numel() else reshape(levels, (0,))
    place = flat * (numbers - 1.0 if ignore_nan else np.asarray(extent - 1.0, x.dtype))
    place = broadcast_to(place, (*v.shape[:-1], flat.shape[0]))
    if not ignore_nan:  # a NaN makes all quantiles NaN: it stands at the end
        place = where(broadcast_to(nans, place.shape) > 0, np.asarray(extent - 1.0, x.dtype), place)
    below = apply("stop_gradient", apply("floor", place))
    if interpolation == "nearest":
        below = above = apply("stop_gradient", apply("round", place))
    elif interpolation == "lower":
        above = below
    else:
        above = apply("stop_gradient", apply("ceil", place))
        below = above if interpolation == "higher" else below
    low = apply("gather", values, apply("cast", below, dtype="int64"), axis=v.ndim - 1)
    result = low
    if interpolation in ("linear", "midpoint"):
        high = apply("gather", values, apply("cast", above, dtype="int64"), axis=v.ndim - 1)
        share = place - below if interpolation == "linear" else np.asarray(0.5, x.dtype)
        result = where(above == below, low, low + (high - low) * share)
    # The levels in front, then the other dimensions.
    result = reshape(result, result.shape)
    if dim is None:
        shape = (1,) * rank if keepdim else ()
        result = reshape(result, (flat.shape[0], *shape))
    else:
        moved = apply("transpose", result, axes=(result.ndim - 1, *range(result.ndim - 1)))
        kept = unsqueeze(moved, -1)
        if axis != v.ndim - 1:
            kept = transpose(kept, axis + 1, -1)
        result = kept if keepdim else squeeze(kept, axis + 1)
        if not rank:
            result = reshape(result, (flat.shape[0],))
    return result if levels.ndim else squeeze(result, 0)


@numpy_names
def quantile(
    input: Any, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """Quantiles along a dimension, or of all elements; NaN where there is a NaN.

    Args:
        input: floating, any shape.
        q: a level in [0, 1], or a vector of levels, which is then the first dimension of the result.
        dim: the dimension; None takes the flattened input.
        keepdim: keep the reduced dimension, with size 1.
        interpolation: "linear", "lower", "higher", "nearest" or "midpoint" between two elements.

    Example:
        >>> import ravine as rv
        >>> rv.ops.quantile([1.0, 2.0, 3.0, 4.0], 0.5)
        tensor(2.5, dtype=float32)
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation, ignore_nan=False)


@numpy_names
def nanquantile(
    input: Any, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """`quantile` of what is not NaN.

    Example:
        >>> import ravine as rv
        >>> rv.ops.nanquantile([1.0, float("nan"), 3.0], 0.5)
        tensor(2., dtype=float32)
    """
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, ignore_nan=True)


def searchsorted(
    sorted_sequence: Any,
    values: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Any = None,
) -> Tensor:
    """Where values belong in ascending sequences: how many of these are less (`right`: or equal).

    Args:
        sorted_sequence: a vector, or [..., n] with the leading dimensions of `values`.
        values: any shape, or one number.
        out_int32: int32 instead of int64.
        right: count equal ones too; `side="right"` means the same.
        side: "left" or "right".
        sorter: indices that sort the sequences, where these are not sorted.

    Example:
        >>> import ravine as rv
        >>> rv.ops.searchsorted([1.0, 3.0, 5.0], [3.0, 6.0])
        tensor([1, 3], dtype=int64)
    """
    if side not in (None, "left", "right"):
        raise ValueError(f"searchsorted: side must be 'left' or 'right', got {side!r}")
    if side == "left" and right:
        raise ValueError("searchsorted: side='left' and right=True contradict each other")
    boundaries = as_tensor(sorted_sequence)
    if sorter is not None:
        boundaries = apply("gather", boundaries, sorter, axis=boundaries.ndim - 1)
    v = as_tensor(np.asarray(values).astype(boundaries.dtype)) if is_number(values) else as_tensor(values)
    if v.dtype != boundaries.dtype:
        raise TypeError(
            f"searchsorted: sequence and values must have one dtype, got {boundaries.dtype} and {v.dtype}"
        )
    found = apply("search_sorted", boundaries, _vector(v), right=bool(right or side == "right"))
    found = reshape(found, v.shape)
    return apply("cast", found, dtype="int32") if out_int32 else found


def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """The number of the bucket between ascending boundaries that each value falls into; see `searchsorted`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.bucketize([0.5, 3.0], [1.0, 3.0, 5.0])
        tensor([0, 1], dtype=int64)
    """
    edges = as_tensor(boundaries)
    if edges.ndim != 1:
        raise ValueError(f"bucketize: boundaries must be a vector, got shape {edges.shape}")
    return searchsorted(edges, input, out_int32=out_int32, right=right)


# ---- running sums, products, extremes


def _running(op: str, input: Any, dim: int, dtype: Any) -> tuple[Operand, int]:
    x = as_tensor(input)
    axis = normalise_dim(dim, x.ndim, op, scalar=True)
    wanted = dtype_name(dtype) if dtype is not None else x.dtype if x.dtype in FLOATING else "int64"
    return x if x.dtype == wanted else apply("cast", x, dtype=wanted), axis


@numpy_names
def cumsum(input: Any, dim: int, *, dtype: Any = None) -> Tensor:
    """Running sums along a dimension, in the order of the elements; float32 is summed in float64.

    Args:
        input: any shape.
        dim: the dimension.
        dtype: cast the input to it first; None keeps floating ones (bools and integers: int64).

    Example:
        >>> import ravine as rv
        >>> rv.ops.cumsum([1.0, 2.0, 3.0], 0)
        tensor([1., 3., 6.], dtype=float32)
    """
    x, axis = _running("cumsum", input, dim, dtype)
    return apply("cumsum", x, axis=axis) if x.ndim else reshape(x, ())


def _scanned(combine: Any, x: Operand, axis: int, neutral: float) -> Tensor:
    """Running results of an associative operation, by doubling distances (Hillis and Steele 1986)."""
    y: Any = x
    distance, extent = 1, x.shape[axis]
    while distance < extent:
        before, after = [0] * x.ndim, [0] * x.ndim
        before[axis] = distance
        earlier = narrow(y, axis, 0, extent - distance)
        earlier = apply("pad", earlier, before=tuple(before), after=tuple(after), value=neutral)
        y = combine(earlier, y)
        distance *= 2
    return reshape(y, y.shape)


@numpy_names
def cumprod(input: Any, dim: int, *, dtype: Any = None) -> Tensor:
    """Running products along a dimension; arguments as for `cumsum`. Right and differentiable at zeros.

    Example:
        >>> import ravine as rv
        >>> rv.ops.cumprod([1.0, 2.0, 3.0], 0)
        tensor([1., 2., 6.], dtype=float32)
    """
    x, axis = _running("cumprod", input, dim, dtype)
    return _scanned(lambda a, b: apply("mul", a, b), x, axis, 1.0) if x.ndim else reshape(x, ())


@numpy_names
def logcumsumexp(input: Any, dim: int) -> Tensor:
    """Logarithms of running sums of exponentials along a dimension, without overflow.

    Example:
        >>> import ravine as rv
        >>> rv.ops.logcumsumexp([1000.0, 1000.0], 0)
        tensor([1000.    , 1000.6932], dtype=float32)
    """
    x, axis = _running("logcumsumexp", input, dim, None)
    if x.dtype not in FLOATING:
        raise TypeError(f"logcumsumexp: input must be floating, got {as_tensor(input).dtype}")
    if not x.ndim:
        return reshape(x, ())
    return _scanned(lambda a, b: apply("logaddexp", a, b), x, axis, -np.inf)


def _running_extreme(op: str, kernel: str, input: Any, dim: int) -> Extreme:
    x = as_tensor(input)
    axis = normalise_dim(dim, x.ndim, op, scalar=True)
    v = _vector(x)
    indices = apply(kernel, v, axis=axis)
    values = apply("gather", v, indices, axis=axis)
    return Extreme(reshape(values, x.shape), reshape(indices, x.shape))


@numpy_names
def cummax(input: Any, dim: int) -> Extreme:
    """The largest so far along a dimension and where it is (the latest of equal ones), as (values, indices).

    Example:
        >>> import ravine as rv
        >>> rv.ops.cummax([1.0, 3.0, 2.0], 0).values
        tensor([1., 3., 3.], dtype=float32)
    """
    return _running_extreme("cummax", "cumargmax", input, dim)


@numpy_names
def cummin(input: Any, dim: int) -> Extreme:
    """The smallest so far along a dimension and where it is (the latest of equal ones), as (values, indices).

    Example:
        >>> import ravine as rv
        >>> rv.ops.cummin([2.0, 1.0, 3.0], 0).values
        tensor([2., 1., 1.], dtype=float32)
    """
    return _running_extreme("cummin", "cumargmin", input, dim)


@numpy_names
def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Tensor:
    """Differences of neighbours along a dimension, n times.

    Args:
        input: at least one dimension.
        n: how often.
        dim: the dimension, which becomes smaller by n.
        prepend, append: tensors that come before and behind the input first.

    Example:
        >>> import ravine as rv
        >>> rv.ops.diff([1.0, 4.0, 9.0])
        tensor([3., 5.], dtype=float32)
    """
    x = as_tensor(input)
    times = whole("diff", "n", n, low=0)
    if x.ndim == 0:
        raise ValueError("diff: at least one dimension is expected, got a scalar")
    axis = normalise_dim(dim, x.ndim, "diff")
    if times == 0:  # as in torch, without what would come before and behind
        return reshape(x, x.shape)
    parts = [p for p in (prepend, x, append) if p is not None]
    y: Any = concat(parts, axis) if len(parts) > 1 else x
    for _ in range(times):
        extent = y.shape[axis]
        if extent == 0:
            break
        ahead, behind = narrow(y, axis, 1, extent - 1), narrow(y, axis, 0, extent - 1)
        y = apply("logical_xor", ahead, behind) if y.dtype == "bool" else ahead - behind
    return reshape(y, y.shape)


def _areas(op: str, y: Any, x: Any, dx: Any, dim: int) -> tuple[Tensor, int]:
    """The areas of the trapezoids between neighbours along a dimension."""
    heights = as_tensor(y)
    axis = normalise_dim(dim, heights.ndim, op)
    extent = heights.shape[axis]
    if x is None:
        width: Any = dx
    else:
        places = as_tensor(x)
        if places.ndim == 1:
            places = reshape(places, (-1, *(1,) * (heights.ndim - 1 - axis)))
            width = diff(places, dim=0)
        else:
            width = diff(places, dim=axis - heights.ndim)
    if extent == 0:
        return apply("identity", heights), axis
    both = narrow(heights, axis, 1, extent - 1) + narrow(heights, axis, 0, extent - 1)
    return both * width / 2.0, axis


def trapezoid(y: Any, x: Any = None, *, dx: float = 1, dim: int = -1) -> Tensor:
    """The integral along a dimension by the trapezoidal rule.

    Args:
        y: heights.
        x: their places, a vector or a shape that broadcasts; None for places `dx` apart.
        dx: the distance of places.
        dim: the dimension.

    Example:
        >>> import ravine as rv
        >>> rv.ops.trapezoid([1.0, 3.0, 5.0])
        tensor(6., dtype=float32)
    """
    areas, axis = _areas("trapezoid", y, x, dx, dim)
    return areas.sum(axis if areas.ndim == as_tensor(y).ndim else -1)


def cumulative_trapezoid(y: Any, x: Any = None, *, dx: float = 1, dim: int = -1) -> Tensor:
    """Running integrals along a dimension by the trapezoidal rule; arguments as for `trapezoid`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.cumulative_trapezoid([1.0, 3.0, 5.0])
        tensor([2., 6.], dtype=float32)
    """
    areas, axis = _areas("cumulative_trapezoid", y, x, dx, dim)
    return cumsum(areas, axis)


trapz = trapezoid


@numpy_names
def aminmax(input: Any, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """The pair (smallest, largest) of all elements, or along a dimension.

    Example:
        >>> import ravine as rv
        >>> rv.ops.aminmax([3.0, 1.0, 2.0])[1]
        tensor(3., dtype=float32)
    """
    x = as_tensor(input)
    axes = tuple(range(x.ndim)) if dim is None else (normalise_dim(dim, x.ndim, "aminmax", scalar=True),)
    axes = axes if x.ndim else ()
    low, high = (apply(op, x, axes=axes, keepdims=bool(keepdim)) for op in ("min", "max"))
    if dim is None and keepdim:
        low, high = reshape(low, (1,) * x.ndim), reshape(high, (1,) * x.ndim)
    return Limits(low, high)


class Limits(NamedTuple):
    """What `aminmax` returns."""

    min: Tensor
    max: Tensor
