"""Writing and adding where an index says. Repeated indices add in order; of what they set the last stays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._dims import normalise_dim, numpy_names
from ..record import FLOATING, Operand, Tensor, apply, as_tensor, is_number
from ._elementwise import where
from ._index import gather, integer_indices
from ._shape import broadcast_to, pad, reshape

_WINNERS = {"last": 0, "amax": 1, "amin": 2}


def _added(source: Operand | Tensor, indices: Operand, axis: int, extent: int) -> Tensor:
    """`scatter_add` of any numbers: integers by way of float64, which holds them to 2^53."""
    if source.dtype in FLOATING:
        return apply("scatter_add", source, indices, axis=axis, extent=extent)
    wide = apply("cast", source, dtype="float64")
    return apply("cast", apply("scatter_add", wide, indices, axis=axis, extent=extent), dtype=source.dtype)


def winners(source: Any, indices: Operand, axis: int, extent: int, which: str) -> tuple[Tensor, Tensor]:
    """Which position along `axis` has each place (0 where none has), and where there is one."""
    place = apply("scatter_winner", source, indices, axis=axis, extent=extent, winner=_WINNERS[which])
    return apply("maximum", place, 0), apply("greater_equal", place, 0)


def _checked(op: str, input: Any, dim: int, index: Any) -> tuple[Operand, int, Operand]:
    """Input, axis and index of one rank; scalars count as vectors of one element."""
    x, indices = as_tensor(input), integer_indices(index, op)
    axis = normalise_dim(dim, x.ndim, op, scalar=True)
    if x.ndim == 0:
        x = reshape(x, (1,))
    if indices.ndim == 0:
        indices = reshape(indices, (1,))
    if indices.ndim != x.ndim and indices.numel():
        raise ValueError(f"{op}: index must have the input's rank, got shapes {indices.shape} and {x.shape}")
    if indices.numel() and any(
        m > n for i, (n, m) in enumerate(zip(x.shape, indices.shape, strict=True)) if i != axis
    ):
        raise ValueError(f"{op}: index of shape {indices.shape} exceeds {x.shape} outside dimension {dim}")
    return x, axis, indices


def _source(op: str, src: Any, x: Operand, indices: Operand) -> Operand:
    """The part of src that the index names, or one number in its shape."""
    if is_number(src):
        return broadcast_to(np.asarray(src).astype(x.dtype), indices.shape)
    s = as_tensor(src)
    if s.dtype != x.dtype:
        raise TypeError(f"{op}: src must have the input's dtype {x.dtype}, got {s.dtype}")
    if s.ndim == 0:
        s = reshape(s, (1,))
    if s.ndim != indices.ndim or any(n < m for n, m in zip(s.shape, indices.shape, strict=True)):
        raise ValueError(f"{op}: src of shape {s.shape} is smaller than the index {indices.shape}")
    return s if s.shape == indices.shape else s[tuple(slice(n) for n in indices.shape)]


def _grown(y: Tensor, shape: Sequence[int], value: Any = 0) -> Tensor:
    """`y` with `value` behind it in the dimensions in which the index is smaller than the input."""
    if y.shape == tuple(shape):
        return y
    if y.dtype == "bool":
        return apply("cast", _grown(apply("cast", y, dtype="uint8"), shape), dtype="bool")
    amounts = [n for i in reversed(range(y.ndim)) for n in (0, shape[i] - y.shape[i])]
    return pad(y, amounts, value=value)


@numpy_names
def scatter(
    input: Any, dim: int, index: Any, src: Any = None, *, value: Any = None, reduce: str | None = None
) -> Tensor:
    """Sets elements: `y[i, index[i, j]] = src[i, j]` for dim 1, elsewhere the input.

    Args:
        input: any shape.
        dim: the dimension the indices count along.
        index: integers in [0, input.shape[dim]), of the input's rank; other dimensions at most as large.
        src: at least the index's shape; or a number.
        value: a number instead of `src`.
        reduce: None; "add" or "multiply" combines with what is there.

    Where indices repeat, the last one stays, on any number of threads.

    Example:
        >>> import ravine as rv
        >>> rv.ops.scatter([1.0, 2.0, 3.0], 0, [2, 0], [7.0, 8.0])
        tensor([8., 2., 7.], dtype=float32)
    """
    if (src is None) == (value is None):
        raise TypeError("scatter: give one of src and value")
    source = value if src is None else src
    if reduce not in (None, "add", "multiply"):
        raise ValueError(f"scatter: reduce must be None, 'add' or 'multiply', got {reduce!r}")
    if reduce is not None:
        x, _, indices = _checked("scatter", input, dim, index)
        wide = _source("scatter", source, x, indices)
        return scatter_reduce(input, dim, index, wide, "sum" if reduce == "add" else "prod")
    x, axis, indices = _checked("scatter", input, dim, index)
    if not indices.numel():
        return reshape(input, as_tensor(input).shape)
    s = _source("scatter", source, x, indices)
    place, there = winners(indices, indices, axis, x.shape[axis], "last")
    chosen = _grown(apply("gather", s, place, axis=axis), x.shape)
    return reshape(where(_grown(there, x.shape), chosen, x), as_tensor(input).shape)


@numpy_names
def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Tensor:
    """Adds elements: `y = input`, `y[i, index[i, j]] += src[i, j]` for dim 1; in the order of j.

    Arguments as for `scatter`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.scatter_add([1.0, 2.0], 0, [1, 1], [10.0, 20.0])
        tensor([ 1., 32.], dtype=float32)
    """
    x, axis, indices = _checked("scatter_add", input, dim, index)
    if not indices.numel():
        return reshape(input, as_tensor(input).shape)
    s = _source("scatter_add", src, x, indices)
    total = _grown(_added(s, indices, axis, x.shape[axis]), x.shape)
    return reshape(x + total, as_tensor(input).shape)


@numpy_names
def scatter_reduce(
    input: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True
) -> Tensor:
    """Combines elements that an index sends to one place.

    Args:
        input, dim, index, src: as for `scatter`.
        reduce: "sum", "prod", "mean", "amax" or "amin"; equal extremes share the gradient.
        include_self: whether the input's own element counts where an index points.

    "prod" takes memory of the size of `src` times the input's dimension.

    Example:
        >>> import ravine as rv
        >>> rv.ops.scatter_reduce([1.0, 2.0], 0, [1, 1], [10.0, 20.0], "amax")
        tensor([ 1., 20.], dtype=float32)
    """
    if reduce not in ("sum", "prod", "mean", "amax", "amin"):
        raise ValueError(f"scatter_reduce: reduce must be sum, prod, mean, amax or amin, got {reduce!r}")
    x, axis, indices = _checked("scatter_reduce", input, dim, index)
    if not indices.numel():
        return reshape(input, as_tensor(input).shape)
    s = _source("scatter_reduce", src, x, indices)
    extent = x.shape[axis]
    whole = x.shape
    inside = tuple(slice(n) if i != axis else slice(None) for i, n in enumerate(indices.shape))
    here = x[inside]
    y = _combined(here, s, indices, axis, extent, reduce, include_self)
    if here.shape != whole:  # outside of the index the input stays
        mask = np.zeros(whole, bool)
        mask[inside] = True
        y = where(mask, _grown(y, whole), x)
    return reshape(y, as_tensor(input).shape)


def _combined(
    x: Operand, s: Operand, indices: Operand, axis: int, extent: int, reduce: str, include_self: bool
) -> Tensor:
    counts = _added(broadcast_to(np.ones((), "float64"), indices.shape), indices, axis, extent)
    there = counts > 0
    zero, one = np.zeros((), x.dtype), np.ones((), x.dtype)
    if reduce == "sum":
        total = _added(s, indices, axis, extent)
        return x + total if include_self else where(there, total, x)
    if reduce == "mean":
        total = _added(s, indices, axis, extent)
        total, count = (x + total, counts + 1.0) if include_self else (total, counts)
        count = apply("cast", apply("maximum", count, 1.0), dtype=x.dtype)
        mean = total / count if x.dtype in FLOATING else apply("cast", (total / count), dtype=x.dtype)
        return where(there, mean, x)
    if reduce == "prod":
        wide = reshape(indices, (*indices.shape[: axis + 1], 1, *indices.shape[axis + 1 :]))
        places = np.arange(extent).reshape((-1, *(1,) * (indices.ndim - 1 - axis)))
        factors = where(wide == places, reshape(s, wide.shape), one)
        total = factors.prod(axis)
        total = total if total.dtype == x.dtype else apply("cast", total, dtype=x.dtype)
        return x * total if include_self else where(there, total, x)
    best, _ = winners(s, indices, axis, extent, reduce)
    pick = apply("maximum" if reduce == "amax" else "minimum", x, apply("gather", s, best, axis=axis))
    top = apply("stop_gradient", pick if include_self else apply("gather", s, best, axis=axis))
    if x.dtype not in FLOATING:
        return where(there, top, x)
    # Equal extremes share the gradient: their mean, of which each is a part.
    at_top = apply("gather", top, indices, axis=axis)
    chosen = (s == at_top) | ((s != s) & (at_top != at_top))
    share = apply("cast", chosen, dtype=x.dtype)
    number = _added(share, indices, axis, extent)
    own = (x == top) | ((x != x) & (top != top))
    held = apply("cast", own, dtype=x.dtype) if include_self else zero
    # The value is `top`; what is added to it is 0 and has the gradient.
    slack = _added(where(chosen, s - apply("stop_gradient", s), zero), indices, axis, extent)
    if include_self:
        slack = slack + where(own, x - apply("stop_gradient", x), zero)
    return where(there, top + slack / apply("maximum", number + held, one), x)


# ---- whole slices


def _slices(op: str, input: Any, dim: int, index: Any, source: Any) -> tuple[Operand, int, Operand, Operand]:
    """Input, axis, a vector of indices, and the source with as many slices along the axis."""
    x, indices = as_tensor(input), integer_indices(index, op)
    axis = normalise_dim(dim, x.ndim, op, scalar=True)
    if indices.ndim > 1:
        raise ValueError(f"{op}: index must be a vector, got shape {indices.shape}")
    x, indices = reshape(x, x.shape or (1,)), reshape(indices, indices.shape or (1,))
    shape = (*x.shape[:axis], indices.shape[0], *x.shape[axis + 1 :])
    s = as_tensor(np.asarray(source).astype(x.dtype)) if is_number(source) else as_tensor(source)
    if s.dtype != x.dtype:
        raise TypeError(f"{op}: source must have the input's dtype {x.dtype}, got {s.dtype}")
    if s.ndim == 0 or (s.ndim == x.ndim == 1 and s.shape == shape):
        return x, axis, indices, broadcast_to(s, shape)
    if s.shape != shape:
        raise ValueError(
            f"{op}: source must have shape {shape} for {indices.shape[0]} indices, got {s.shape}"
        )
    return x, axis, indices, s


def _along(indices: Operand, shape: tuple[int, ...], axis: int) -> Tensor:
    """A vector of indices in the whole shape of the source."""
    return broadcast_to(reshape(indices, (-1, *(1,) * (len(shape) - 1 - axis))), shape)


def _flat(indices: Operand) -> Operand:
    return indices if indices.numel() else reshape(indices, (0,))


@numpy_names
def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Tensor:
    """Adds `alpha` times the slices of `source` to those of the input that the index names, in its order.

    Example:
        >>> import ravine as rv
        >>> rv.ops.index_add([[1.0], [2.0]], 0, [1, 1], [[10.0], [20.0]])
        tensor([[ 1.],
                [32.]], dtype=float32)
    """
    x, axis, indices, s = _slices("index_add", input, dim, index, source)
    s = s if alpha == 1 else s * alpha
    if x.dtype in FLOATING:
        total = apply("scatter_add_rows", s, _flat(indices), axis=axis, extent=x.shape[axis])
    else:
        total = _added(s, _along(indices, s.shape, axis), axis, x.shape[axis])
    return reshape(x + total, as_tensor(input).shape)


@numpy_names
def index_copy(input: Any, dim: int, index: Any, source: Any) -> Tensor:
    """The input with the slices that the index names set to those of `source`; of repeated ones the last.

    Example:
        >>> import ravine as rv
        >>> rv.ops.index_copy([[1.0], [2.0]], 0, [1], [[7.0]])
        tensor([[1.],
                [7.]], dtype=float32)
    """
    x, axis, indices, s = _slices("index_copy", input, dim, index, source)
    if not s.numel():
        return reshape(x, as_tensor(input).shape)
    place, there = winners(indices, indices, 0, x.shape[axis], "last")
    chosen = apply("gather_rows", s, place, axis=axis)
    mask = reshape(there, (-1, *(1,) * (x.ndim - 1 - axis)))
    return reshape(where(mask, chosen, x), as_tensor(input).shape)


@numpy_names
def index_fill(input: Any, dim: int, index: Any, value: Any) -> Tensor:
    """The input with the slices that the index names set to one number.

    Example:
        >>> import ravine as rv
        >>> rv.ops.index_fill([[1.0], [2.0]], 0, [1], 7.0)
        tensor([[1.],
                [7.]], dtype=float32)
    """
    x, indices = as_tensor(input), integer_indices(index, "index_fill")
    axis = normalise_dim(dim, x.ndim, "index_fill", scalar=True)
    if indices.ndim > 1:
        raise ValueError(f"index_fill: index must be a vector, got shape {indices.shape}")
    if not is_number(value) and as_tensor(value).ndim:
        raise ValueError(
            f"index_fill: value must be a number or a scalar, got shape {as_tensor(value).shape}"
        )
    if not indices.numel() or not x.numel():
        return reshape(x, x.shape)
    extent = x.shape[axis] if x.ndim else 1
    indices = apply("where", indices < 0, indices + extent, indices)
    indices = reshape(indices, (-1,))
    _, there = winners(indices, indices, 0, extent, "last")
    mask = reshape(there, (-1, *(1,) * (x.ndim - 1 - axis)) if x.ndim else ())
    number = np.asarray(value).astype(x.dtype) if is_number(value) else apply("cast", value, dtype=x.dtype)
    return where(mask, number, x)


@numpy_names
def index_reduce(
    input: Any, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True
) -> Tensor:
    """Combines slices of `source` with those of the input that the index names; see `scatter_reduce`.

    Args:
        input, dim, index, source: as for `index_add`.
        reduce: "prod", "mean", "amax" or "amin".
        include_self: whether the input's own slices count where an index points.

    Example:
        >>> import ravine as rv
        >>> rv.ops.index_reduce([1.0, 2.0], 0, [1, 1], [10.0, 20.0], "amin")
        tensor([1., 2.], dtype=float32)
    """
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise ValueError(f"index_reduce: reduce must be prod, mean, amax or amin, got {reduce!r}")
    x, axis, indices, s = _slices("index_reduce", input, dim, index, source)
    wide = _along(indices, s.shape, axis)
    y = scatter_reduce(x, axis, wide, s, reduce, include_self=include_self)
    return reshape(y, as_tensor(input).shape)


def index_put(input: Any, indices: Sequence[Any], values: Any, accumulate: bool = False) -> Tensor:
    """The input with `values` where index arrays point together; `accumulate` adds them, in their order.

    Args:
        input: any shape.
        indices: one array of integers for each of the first dimensions, or a mask whose numbers are known.
        values: a shape that broadcasts to what `input[indices]` has.
        accumulate: add instead of setting; else the last of repeated ones stays.

    Example:
        >>> import ravine as rv
        >>> rv.ops.index_put([1.0, 2.0, 3.0], [[0, 2]], [7.0, 8.0])
        tensor([7., 2., 8.], dtype=float32)
    """
    x, v = as_tensor(input), as_tensor(values)
    if v.dtype != x.dtype:
        raise TypeError(f"index_put: values must have the input's dtype {x.dtype}, got {v.dtype}")
    positions = np.arange(x.numel()).reshape(x.shape)
    chosen = apply("identity", positions)[tuple(indices)]
    return put(x, chosen, broadcast_to(v, chosen.shape), accumulate)


def put(input: Any, index: Any, source: Any, accumulate: bool = False) -> Tensor:
    """The input with elements of the flattened `source` where an index of the flattened input points.

    Example:
        >>> import ravine as rv
        >>> rv.ops.put([[1.0, 2.0], [3.0, 4.0]], [3, 0], [7.0, 8.0])
        tensor([[8., 2.],
                [3., 7.]], dtype=float32)
    """
    x, indices, s = as_tensor(input), integer_indices(index, "put"), as_tensor(source)
    if s.numel() != indices.numel():
        raise ValueError(f"put: as many elements as indices are expected, got {s.shape} and {indices.shape}")
    if s.dtype != x.dtype:
        raise TypeError(f"put: source must have the input's dtype {x.dtype}, got {s.dtype}")
    if not indices.numel():
        return reshape(x, x.shape)
    flat = reshape(indices, (-1,))
    flat = apply("where", flat < 0, flat + x.numel(), flat)
    function = scatter_add if accumulate else scatter
    return reshape(function(reshape(x, (-1,)), 0, flat, reshape(s, (-1,))), x.shape)


# ---- looking up


@numpy_names
def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Tensor:
    """`gather`, with shapes that broadcast outside of the dimension; without `dim` of the flattened input.

    Example:
        >>> import ravine as rv
        >>> rv.ops.take_along_dim([[3.0, 1.0], [2.0, 4.0]], [[1], [0]], 1)
        tensor([[1.],
                [2.]], dtype=float32)
    """
    x, places = as_tensor(input), integer_indices(indices, "take_along_dim")
    if dim is None:
        return take(x, reshape(places, (-1,)))
    if x.ndim != places.ndim:
        raise ValueError(
            f"take_along_dim: input and indices must have one rank, got shapes {x.shape} and {places.shape}"
        )
    axis = normalise_dim(dim, x.ndim, "take_along_dim")
    places = apply("where", places < 0, places + x.shape[axis], places)
    try:
        common = np.broadcast_shapes(
            *(tuple(1 if i == axis else n for i, n in enumerate(y.shape)) for y in (x, places))
        )
    except ValueError:
        raise ValueError(f"take_along_dim: shapes {x.shape} and {places.shape} do not broadcast") from None
    wide = [
        broadcast_to(y, tuple(y.shape[i] if i == axis else n for i, n in enumerate(common)))
        for y in (x, places)
    ]
    return gather(wide[0], axis, wide[1])


def take(input: Any, index: Any) -> Tensor:
    """Elements of the flattened input, in the index's shape.

    Example:
        >>> import ravine as rv
        >>> rv.ops.take([[1.0, 2.0], [3.0, 4.0]], [3, 0])
        tensor([4., 1.], dtype=float32)
    """
    x, places = as_tensor(input), integer_indices(index, "take")
    places = apply("where", places < 0, places + x.numel(), places)
    return apply("gather_rows", reshape(x, (x.numel(),)), places, axis=0)


def masked_fill(input: Any, mask: Any, value: Any) -> Tensor:
    """The input with one number where a mask is true; shapes broadcast.

    Example:
        >>> import ravine as rv
        >>> rv.ops.masked_fill([1.0, 2.0], [True, False], 0.0)
        tensor([0., 2.], dtype=float32)
    """
    x, m = as_tensor(input), as_tensor(mask)
    if m.dtype != "bool":
        raise TypeError(f"masked_fill: the mask must be bool, got {m.dtype}")
    if not is_number(value) and as_tensor(value).ndim:
        raise ValueError(
            f"masked_fill: value must be a number or a scalar, got shape {as_tensor(value).shape}"
        )
    number = np.asarray(value).astype(x.dtype) if is_number(value) else apply("cast", value, dtype=x.dtype)
    return where(m, number, x)


def masked_scatter(input: Any, mask: Any, source: Any) -> Tensor:
    """The input with the elements of `source`, in their order, where a mask is true.

    Example:
        >>> import ravine as rv
        >>> rv.ops.masked_scatter([1.0, 2.0, 3.0], [True, False, True], [7.0, 8.0])
        tensor([7., 2., 8.], dtype=float32)
    """
    x, m, s = as_tensor(input), as_tensor(mask), as_tensor(source)
    if m.dtype != "bool":
        raise TypeError(f"masked_scatter: the mask must be bool, got {m.dtype}")
    if s.dtype != x.dtype:
        raise TypeError(f"masked_scatter: source must have the input's dtype {x.dtype}, got {s.dtype}")
    shape = np.broadcast_shapes(x.shape, m.shape)
    x, m = broadcast_to(x, shape), broadcast_to(m, shape)
    if not x.numel():
        return x
    flat = apply("cast", reshape(m, (-1,)), dtype="int64")
    number = apply("cumsum", flat, axis=0) - 1
    places = where(reshape(m, (-1,)), number, 0)
    chosen = apply("gather_rows", reshape(s, (s.numel(),)), places, axis=0)
    return where(m, reshape(chosen, x.shape), x)
