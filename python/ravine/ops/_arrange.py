"""Rearranging: repeating, rolling, turning, cutting into parts, stacking."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._dims import Axes, axes_of, is_dim, normalise_dim, numpy_names, sizes_of
from .._numbers import whole
from ..record import Operand, Tensor, apply, as_tensor, known_numbers
from ._create import several
from ._shape import broadcast_to, concat, flip, narrow, permute, reshape, split, stack, transpose

# ---- order of dimensions


def movedim(input: Any, source: Axes, destination: Axes) -> Tensor:
    """Moves dimensions to other places; the others keep their order.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.movedim(np.zeros((2, 3, 4)), 0, -1).shape
        (3, 4, 2)
    """
    x = as_tensor(input)
    take, put = axes_of(source, x.ndim, "movedim"), axes_of(destination, x.ndim, "movedim")
    if len(take) != len(put):
        raise ValueError(f"movedim: {source} and {destination} must name equally many dimensions")
    order = [i for i in range(x.ndim) if i not in take]
    for place, axis in sorted(zip(put, take, strict=True)):
        order.insert(place, axis)
    return permute(x, order)


def swapaxes(input: Any, axis0: int, axis1: int) -> Tensor:
    """Swaps two dimensions, as `transpose`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.swapaxes([[1.0, 2.0]], 0, 1).shape
        (2, 1)
    """
    return transpose(input, axis0, axis1)


def swapdims(input: Any, dim0: int, dim1: int) -> Tensor:
    """Swaps two dimensions, as `transpose`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.swapdims([[1.0, 2.0]], 0, 1).shape
        (2, 1)
    """
    return transpose(input, dim0, dim1)


moveaxis = movedim


def t(input: Any) -> Tensor:
    """The transposed matrix; a vector or a scalar is itself.

    Raises ValueError for more than two dimensions.

    Example:
        >>> import ravine as rv
        >>> rv.ops.t([[1.0, 2.0]]).shape
        (2, 1)
    """
    x = as_tensor(input)
    if x.ndim > 2:
        raise ValueError(f"t: a tensor of at most 2 dimensions is expected, got shape {x.shape}")
    return permute(x, range(x.ndim)[::-1])


def ravel(input: Any) -> Tensor:
    """All elements in one dimension.

    Example:
        >>> import ravine as rv
        >>> rv.ops.ravel([[1.0, 2.0], [3.0, 4.0]])
        tensor([1., 2., 3., 4.], dtype=float32)
    """
    return reshape(input, (-1,) if as_tensor(input).numel() else (0,))


def _at_least(op: str, tensors: tuple[Any, ...], grow: Any) -> Any:
    parts = [grow(x) for x in several(tensors)]
    alone = len(tensors) == 1 and not isinstance(tensors[0], list | tuple)
    return parts[0] if alone else parts


def atleast_1d(*tensors: Any) -> Any:
    """Scalars as vectors of one element; others as they are. Of several tensors a list.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.atleast_1d(np.float32(3.0)).shape
        (1,)
    """
    return _at_least("atleast_1d", tensors, lambda x: reshape(x, x.shape or (1,)))


def atleast_2d(*tensors: Any) -> Any:
    """Vectors as matrices of one row; others as they are. Of several tensors a list.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.atleast_2d(np.ones(3)).shape
        (1, 3)
    """
    return _at_least("atleast_2d", tensors, lambda x: reshape(x, (1,) * (2 - x.ndim) + x.shape))


def atleast_3d(*tensors: Any) -> Any:
    """Vectors as [1, n, 1], matrices as [n, m, 1]; others as they are. Of several tensors a list.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.atleast_3d(np.ones((2, 3))).shape
        (2, 3, 1)
    """

    def grow(x: Operand) -> Tensor:
        shape = x.shape if x.ndim > 2 else ((1,) * (2 - x.ndim) + x.shape + (1,))
        return reshape(x, shape if x.ndim != 1 else (1, *x.shape, 1))

    return _at_least("atleast_3d", tensors, grow)


# ---- repeating, rolling, turning


def _repeated(op: str, x: Operand, times: Sequence[int]) -> Tensor:
    """x, `times[i]` times along dimension i; both are of one rank."""
    if min(times, default=1) < 0:
        raise ValueError(f"{op}: numbers of repeats must not be negative, got {tuple(times)}")
    apart = [n for i in range(x.ndim) for n in (1, x.shape[i])]
    wide = [n for i in range(x.ndim) for n in (times[i], x.shape[i])]
    if x.ndim > 4:  # twice as many dimensions would be too many
        y: Any = x
        for axis, count in enumerate(times):
            y = concat([y] * count, axis) if count else narrow(y, axis, 0, 0)
        return reshape(y, y.shape)
    shape = [n * m for n, m in zip(x.shape, times, strict=True)]
    return reshape(broadcast_to(reshape(x, apart), wide), shape)


def repeat(input: Any, *repeats: Any) -> Tensor:
    """The whole tensor several times along each dimension.

    Args:
        input: any shape.
        repeats: how often, one by one or as a sequence; at least one for each dimension, those in front
            make new ones.

    Example:
        >>> import ravine as rv
        >>> rv.ops.repeat([1.0, 2.0], 2, 2)
        tensor([[1., 2., 1., 2.],
                [1., 2., 1., 2.]], dtype=float32)
    """
    x = as_tensor(input)
    times = sizes_of(repeats[0] if len(repeats) == 1 and not is_dim(repeats[0]) else repeats, "repeat")
    if len(times) < x.ndim:
        raise ValueError(f"repeat: {times} must name every dimension of shape {x.shape}")
    return _repeated("repeat", reshape(x, (1,) * (len(times) - x.ndim) + x.shape), times)


def tile(input: Any, *dims: Any) -> Tensor:
    """`repeat`, where dimensions that are not named are not repeated.

    Example:
        >>> import ravine as rv
        >>> rv.ops.tile([[1.0], [2.0]], 2)
        tensor([[1., 1.],
                [2., 2.]], dtype=float32)
    """
    x = as_tensor(input)
    times = sizes_of(dims[0] if len(dims) == 1 and not is_dim(dims[0]) else dims, "tile")
    return repeat(x, (1,) * (x.ndim - len(times)) + times)


@numpy_names
def repeat_interleave(
    input: Any, repeats: Any, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Each element several times, one after the other; without `dim` of the flattened input.

    Args:
        input: any shape.
        repeats: a number, or an array of one for each element, as the result's size depends on them.
        dim: the dimension to repeat along.
        output_size: taken for torch's sake.

    Example:
        >>> import ravine as rv
        >>> rv.ops.repeat_interleave([1.0, 2.0], 2)
        tensor([1., 1., 2., 2.], dtype=float32)
    """
    x = as_tensor(input)
    if dim is None:
        x, dim = ravel(x), 0
    axis = normalise_dim(dim, x.ndim, "repeat_interleave", scalar=True)
    x = reshape(x, x.shape or (1,))
    times = known_numbers(repeats)
    if times is None:
        raise ValueError(
            "repeat_interleave: repeats must be numbers or an array: the result's size is fixed when a "
            "program is compiled"
        )
    if times.dtype.kind not in "iu" or times.ndim > 1 or (times.size and times.min() < 0):
        raise ValueError(f"repeat_interleave: repeats must be integers of at least 0, got {repeats!r}")
    if times.size not in (1, x.shape[axis]):
        raise ValueError(f"repeat_interleave: {times.size} repeats for dimension {dim} of shape {x.shape}")
    indices = np.repeat(np.arange(x.shape[axis]), times.reshape(-1) if times.size > 1 else int(times.item()))
    return apply("gather_rows", x, indices, axis=axis)


def roll(input: Any, shifts: Any, dims: Axes = None) -> Tensor:
    """Shifts elements along dimensions; what leaves at the end comes in at the front.

    Args:
        input: any shape.
        shifts: by how much; one number for each of `dims`.
        dims: the dimensions; None rolls the flattened tensor.

    Example:
        >>> import ravine as rv
        >>> rv.ops.roll([1.0, 2.0, 3.0], 1)
        tensor([3., 1., 2.], dtype=float32)
    """
    x = as_tensor(input)
    amounts = sizes_of(shifts, "roll")
    if dims is None or dims == ():
        if len(amounts) != 1:
            raise ValueError(f"roll: without dims there is one shift, got {shifts}")
        return reshape(roll(ravel(x), amounts, 0), x.shape) if x.ndim else reshape(x, ())
    axes: tuple[Any, ...] = (dims,) if is_dim(dims) else tuple(dims)  # type: ignore[arg-type]
    if len(axes) != len(amounts):
        raise ValueError(f"roll: shifts {shifts} and dims {dims} must be equally many")
    y: Operand = x
    for amount, dim in zip(amounts, axes, strict=True):
        axis = normalise_dim(dim, y.ndim, "roll", scalar=True)
        if not y.ndim or not y.shape[axis] or amount % y.shape[axis] == 0:
            continue
        cut = y.shape[axis] - amount % y.shape[axis]
        y = concat([narrow(y, axis, cut, y.shape[axis] - cut), narrow(y, axis, 0, cut)], axis)
    return reshape(y, y.shape)


def rot90(input: Any, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Turns k times by 90 degrees, from the first of two dimensions towards the second.

    Example:
        >>> import ravine as rv
        >>> rv.ops.rot90([[1.0, 2.0], [3.0, 4.0]])
        tensor([[2., 4.],
                [1., 3.]], dtype=float32)
    """
    x = as_tensor(input)
    if len(dims) != 2:
        raise ValueError(f"rot90: two dimensions are expected, got {tuple(dims)}")
    a, b = (normalise_dim(d, x.ndim, "rot90") for d in dims)
    if a == b:
        raise ValueError(f"rot90: two different dimensions are expected, got {tuple(dims)}")
    turns = whole("rot90", "k", k, low=-(2**62)) % 4
    if turns == 2:
        return flip(x, (a, b))
    y = flip(x, (b,)) if turns == 1 else flip(transpose(x, a, b), (b,)) if turns == 3 else x
    return transpose(y, a, b) if turns == 1 else reshape(y, y.shape)


def fliplr(input: Any) -> Tensor:
    """Reverses the second dimension.

    Example:
        >>> import ravine as rv
        >>> rv.ops.fliplr([[1.0, 2.0]])
        tensor([[2., 1.]], dtype=float32)
    """
    x = as_tensor(input)
    if x.ndim < 2:
        raise ValueError(f"fliplr: at least 2 dimensions are expected, got shape {x.shape}")
    return flip(x, 1)


def flipud(input: Any) -> Tensor:
    """Reverses the first dimension.

    Example:
        >>> import ravine as rv
        >>> rv.ops.flipud([1.0, 2.0])
        tensor([2., 1.], dtype=float32)
    """
    x = as_tensor(input)
    if x.ndim < 1:
        raise ValueError("flipud: at least 1 dimension is expected, got a scalar")
    return flip(x, 0)


# ---- joining


def hstack(tensors: Sequence[Any]) -> Tensor:
    """Joins along the second dimension, vectors along their only one.

    Example:
        >>> import ravine as rv
        >>> rv.ops.hstack([[1.0, 2.0], [3.0]])
        tensor([1., 2., 3.], dtype=float32)
    """
    parts = [atleast_1d(x) for x in several((list(tensors),))]
    return concat(parts, 0 if parts and parts[0].ndim == 1 else 1)


def vstack(tensors: Sequence[Any]) -> Tensor:
    """Joins along the first dimension; vectors count as rows.

    Example:
        >>> import ravine as rv
        >>> rv.ops.vstack([[1.0, 2.0], [3.0, 4.0]])
        tensor([[1., 2.],
                [3., 4.]], dtype=float32)
    """
    return concat([atleast_2d(x) for x in several((list(tensors),))], 0)


def dstack(tensors: Sequence[Any]) -> Tensor:
    """Joins along the third dimension, see `atleast_3d`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.dstack([[1.0, 2.0], [3.0, 4.0]]).shape
        (1, 2, 2)
    """
    return concat([atleast_3d(x) for x in several((list(tensors),))], 2)


def column_stack(tensors: Sequence[Any]) -> Tensor:
    """Joins along the second dimension; vectors count as columns.

    Example:
        >>> import ravine as rv
        >>> rv.ops.column_stack([[1.0, 2.0], [3.0, 4.0]])
        tensor([[1., 3.],
                [2., 4.]], dtype=float32)
    """
    parts = several((list(tensors),))
    return concat([x if x.ndim > 1 else reshape(x, (x.numel(), 1)) for x in parts], 1)


row_stack = vstack


def block_diag(*tensors: Any) -> Tensor:
    """A matrix of matrices along its diagonal; vectors count as rows.

    Example:
        >>> import ravine as rv
        >>> rv.ops.block_diag([[1.0]], [[2.0, 3.0]])
        tensor([[1., 0., 0.],
                [0., 2., 3.]], dtype=float32)
    """
    blocks = [atleast_2d(as_tensor(x)) for x in tensors] or [reshape(np.zeros(0, "float32"), (1, 0))]
    if any(b.ndim > 2 for b in blocks):
        raise ValueError(f"block_diag: matrices are expected, got shapes {[b.shape for b in blocks]}")
    columns = sum(b.shape[1] for b in blocks)
    rows, before = [], 0
    for b in blocks:
        rows.append(apply("pad", b, before=(0, before), after=(0, columns - before - b.shape[1]), value=0.0))
        before += b.shape[1]
    return concat(rows, 0)


# ---- cutting


@numpy_names
def unbind(input: Any, dim: int = 0) -> list[Tensor]:
    """The slices along a dimension, which each of them has lost.

    Example:
        >>> import ravine as rv
        >>> rv.ops.unbind([[1.0, 2.0], [3.0, 4.0]])[1]
        tensor([3., 4.], dtype=float32)
    """
    x = as_tensor(input)
    axis = normalise_dim(dim, x.ndim, "unbind")
    return [select(x, axis, i) for i in range(x.shape[axis])]


@numpy_names
def select(input: Any, dim: int, index: int) -> Tensor:
    """One slice along a dimension, which it has lost.

    Example:
        >>> import ravine as rv
        >>> rv.ops.select([[1.0, 2.0], [3.0, 4.0]], 1, -1)
        tensor([2., 4.], dtype=float32)
    """
    x = as_tensor(input)
    axis = normalise_dim(dim, x.ndim, "select")
    return x[(slice(None),) * axis + (index,)]


@numpy_names
def tensor_split(input: Any, indices_or_sections: Any, dim: int = 0) -> list[Tensor]:
    """Cuts a dimension into so many parts of almost one size, or before the given places.

    Args:
        input: at least one dimension.
        indices_or_sections: the number of parts, the first of which are larger by one where it does
            not divide the size; or the places where parts begin.
        dim: the dimension to cut.

    Example:
        >>> import ravine as rv
        >>> [t.shape for t in rv.ops.tensor_split([1.0, 2.0, 3.0], 2)]
        [(2,), (1,)]
    """
    x = as_tensor(input)
    axis = normalise_dim(dim, x.ndim, "tensor_split")
    extent = x.shape[axis]
    places = known_numbers(indices_or_sections) if hasattr(indices_or_sections, "shape") else None
    given = indices_or_sections if places is None else places.tolist()
    if is_dim(given):
        parts = whole("tensor_split", "the number of parts", given)
        ends = [extent // parts * (i + 1) + min(i + 1, extent % parts) for i in range(parts)]
    else:
        ends = [*(slice(None, i).indices(extent)[1] for i in sizes_of(given, "tensor_split")), extent]
    starts = [0, *ends[:-1]]
    return [narrow(x, axis, a, max(b - a, 0)) for a, b in zip(starts, ends, strict=True)]


def _split_along(op: str, input: Any, given: Any, least: int, dim: int) -> list[Tensor]:
    x = as_tensor(input)
    if x.ndim < least:
        raise ValueError(f"{op}: at least {least} dimensions are expected, got shape {x.shape}")
    axis = 0 if x.ndim == 1 else dim
    if is_dim(given) and (given < 1 or x.shape[axis] % given):
        raise ValueError(f"{op}: dimension {axis} of shape {x.shape} cannot be cut into {given} equal parts")
    return tensor_split(x, given, axis)


def hsplit(input: Any, indices_or_sections: Any) -> list[Tensor]:
    """`tensor_split` of the second dimension (of a vector: the first), into equal parts.

    Example:
        >>> import ravine as rv
        >>> [t.shape for t in rv.ops.hsplit([[1.0, 2.0]], 2)]
        [(1, 1), (1, 1)]
    """
    return _split_along("hsplit", input, indices_or_sections, 1, 1)


def vsplit(input: Any, indices_or_sections: Any) -> list[Tensor]:
    """`tensor_split` of the first dimension, into equal parts.

    Example:
        >>> import ravine as rv
        >>> [t.shape for t in rv.ops.vsplit([[1.0, 2.0], [3.0, 4.0]], 2)]
        [(1, 2), (1, 2)]
    """
    return _split_along("vsplit", input, indices_or_sections, 2, 0)


def dsplit(input: Any, indices_or_sections: Any) -> list[Tensor]:
    """`tensor_split` of the third dimension, into equal parts.

    Example:
        >>> import numpy as np, ravine as rv
        >>> [t.shape for t in rv.ops.dsplit(np.zeros((1, 1, 2)), 2)]
        [(1, 1, 1), (1, 1, 1)]
    """
    return _split_along("dsplit", input, indices_or_sections, 3, 2)


@numpy_names
def split_with_sizes(input: Any, split_sizes: Sequence[int], dim: int = 0) -> list[Tensor]:
    """`split` into parts of given sizes.

    Example:
        >>> import ravine as rv
        >>> [t.shape for t in rv.ops.split_with_sizes([1.0, 2.0, 3.0], [1, 2])]
        [(1,), (2,)]
    """
    return split(input, list(split_sizes), dim)


def unfold_dim(input: Any, dimension: int, size: int, step: int) -> Tensor:
    """All windows of a size along a dimension, `step` apart; their elements are a new last dimension.

    torch's `Tensor.unfold`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.unfold_dim([1.0, 2.0, 3.0], 0, 2, 1)
        tensor([[1., 2.],
                [2., 3.]], dtype=float32)
    """
    x = as_tensor(input)
    axis = normalise_dim(dimension, x.ndim, "unfold_dim", scalar=True)
    x = reshape(x, x.shape or (1,))
    length = whole("unfold_dim", "size", size, low=0)
    stride = whole("unfold_dim", "step", step)
    if length > x.shape[axis]:
        raise ValueError(f"unfold_dim: windows of {length} exceed dimension {dimension} of shape {x.shape}")
    starts = np.arange(0, x.shape[axis] - length + 1, stride)
    windows = apply("gather_rows", x, starts[:, None] + np.arange(length), axis=axis)
    return movedim(windows, axis + 1, -1) if as_tensor(input).ndim else reshape(windows, (length,))


def expand_as(input: Any, other: Any) -> Tensor:
    """The input in the shape of another tensor, to which it broadcasts.

    Example:
        >>> import ravine as rv
        >>> rv.ops.expand_as([[1.0], [2.0]], [[0.0, 0.0], [0.0, 0.0]]).shape
        (2, 2)
    """
    return broadcast_to(input, as_tensor(other).shape)


def view_as(input: Any, other: Any) -> Tensor:
    """The elements of the input in the shape of another tensor.

    Example:
        >>> import ravine as rv
        >>> rv.ops.view_as([1.0, 2.0], [[0.0], [0.0]]).shape
        (2, 1)
    """
    return reshape(input, as_tensor(other).shape)


reshape_as = view_as


def sum_to_size(input: Any, *size: Any) -> Tensor:
    """Sums over dimensions until the shape is one that broadcasts to the input's.

    Example:
        >>> import ravine as rv
        >>> rv.ops.sum_to_size([[1.0, 2.0], [3.0, 4.0]], 1, 2)
        tensor([[4., 6.]], dtype=float32)
    """
    x = as_tensor(input)
    shape = sizes_of(size[0] if len(size) == 1 and not is_dim(size[0]) else size, "sum_to_size")
    extra = x.ndim - len(shape)
    if extra < 0 or any(n not in (1, m) for n, m in zip(shape, x.shape[extra:], strict=True)):
        raise ValueError(f"sum_to_size: shape {x.shape} cannot be summed to {shape}")
    axes = [i for i in range(x.ndim) if i < extra or (shape[i - extra] == 1 and x.shape[i] != 1)]
    return reshape(x.sum(axes) if axes else x, shape)


def cartesian_prod(*tensors: Any) -> Tensor:
    """All combinations of one element of each vector, as rows.

    Example:
        >>> import ravine as rv
        >>> rv.ops.cartesian_prod([1.0, 2.0], [3.0, 4.0]).shape
        (4, 2)
    """
    vectors = [as_tensor(x) for x in tensors]
    if not vectors or any(v.ndim != 1 for v in vectors):
        raise ValueError(f"cartesian_prod: vectors are expected, got shapes {[v.shape for v in vectors]}")
    if len(vectors) == 1:
        return reshape(vectors[0], vectors[0].shape)
    shape = tuple(v.numel() for v in vectors)
    columns = []
    for i, v in enumerate(vectors):
        along = tuple(n if i == j else 1 for j, n in enumerate(shape))
        columns.append(reshape(broadcast_to(reshape(v, along), shape), (math.prod(shape),)))
    return stack(columns, 1)
