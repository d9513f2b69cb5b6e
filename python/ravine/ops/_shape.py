"""Shapes: reshaping, reordering, joining, cutting, padding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._dims import Axes, axes_of, is_dim, normalise_dim, numpy_names, sizes_of
from .._numbers import whole
from ..record import Operand, Tensor, apply, apply_all, as_tensor


def reshape(input: Any, shape: Sequence[int]) -> Tensor:
    """The same elements in row-major order under another shape; one size may be -1, the rest decides it.

    Raises ValueError where the numbers of elements differ.

    Example:
        >>> import ravine as rv
        >>> rv.ops.reshape([1.0, 2.0, 3.0, 4.0], (2, -1))
        tensor([[1., 2.],
                [3., 4.]], dtype=float32)
    """
    return apply("reshape", input, shape=sizes_of(shape, "reshape"))


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Joins the dimensions start_dim to end_dim (inclusive) into one.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.flatten(np.zeros((2, 3, 4)), 1).shape
        (2, 12)
    """
    x = as_tensor(input)
    if x.ndim == 0:
        return reshape(x, (1,))
    start, end = normalise_dim(start_dim, x.ndim, "flatten"), normalise_dim(end_dim, x.ndim, "flatten")
    if start > end:
        raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim} in a shape {x.shape}")
    return reshape(x, x.shape[:start] + (math.prod(x.shape[start : end + 1]),) + x.shape[end + 1 :])


@numpy_names
def unflatten(input: Any, dim: int, sizes: Sequence[int]) -> Tensor:
    """Splits dimension `dim` into several of the given sizes, one of which may be -1.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.unflatten(np.zeros((2, 12)), 1, (3, -1)).shape
        (2, 3, 4)
    """
    x = as_tensor(input)
    axis = normalise_dim(dim, x.ndim, "unflatten")
    known = math.prod(n for n in sizes if n != -1)
    if list(sizes).count(-1) == 1 and known and x.shape[axis] % known == 0:
        sizes = [x.shape[axis] // known if n == -1 else n for n in sizes]
    if any(n < 0 for n in sizes) or math.prod(sizes) != x.shape[axis]:
        raise ValueError(f"unflatten: dimension {dim} of shape {x.shape} cannot be split into {tuple(sizes)}")
    return reshape(x, (*x.shape[:axis], *sizes, *x.shape[axis + 1 :]))


def transpose(input: Any, dim0: int, dim1: int) -> Tensor:
    """Swaps two dimensions.

    Example:
        >>> import ravine as rv
        >>> rv.ops.transpose([[1.0, 2.0]], 0, 1).shape
        (2, 1)
    """
    x = as_tensor(input)
    i = normalise_dim(dim0, x.ndim, "transpose", scalar=True)
    j = normalise_dim(dim1, x.ndim, "transpose", scalar=True)
    dims = list(range(x.ndim))
    if dims:
        dims[i], dims[j] = dims[j], dims[i]
    return permute(x, dims)


@numpy_names
def permute(input: Any, dims: Sequence[int]) -> Tensor:
    """Reorders dimensions: dimension i of the result is dimension dims[i] of the input.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.permute(np.zeros((2, 3, 4)), (2, 0, 1)).shape
        (4, 2, 3)
    """
    x = as_tensor(input)
    axes = tuple(normalise_dim(d, x.ndim, "permute") for d in dims)
    if sorted(axes) != list(range(x.ndim)):
        raise ValueError(
            f"permute: dims {tuple(dims)} are not a permutation of the {x.ndim} dimensions of {x.shape}"
        )
    return apply("transpose", x, axes=axes)


@numpy_names
def unsqueeze(input: Any, dim: int) -> Tensor:
    """Inserts a dimension of size 1 at `dim`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.unsqueeze([1.0, 2.0], 1).shape
        (2, 1)
    """
    x = as_tensor(input)
    position = normalise_dim(dim, x.ndim + 1, "unsqueeze")
    return reshape(x, x.shape[:position] + (1,) + x.shape[position:])


@numpy_names
def squeeze(input: Any, dim: Axes = None) -> Tensor:
    """Drops dimensions of size 1: all of them, or those of `dim` whose size is 1.

    Example:
        >>> import ravine as rv
        >>> rv.ops.squeeze([[1.0, 2.0]]).shape
        (2,)
    """
    x = as_tensor(input)
    axes = axes_of(dim, x.ndim, "squeeze")
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if not (i in axes and n == 1)))


def broadcast_to(input: Any, shape: Sequence[int]) -> Tensor:
    """Repeats dimensions of size 1, and adds leading ones, until the shape is `shape`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.broadcast_to([1.0, 2.0], (2, 2))
        tensor([[1., 2.],
                [1., 2.]], dtype=float32)
    """
    return apply("broadcast_to", input, shape=sizes_of(shape, "broadcast_to"))


def expand(input: Any, *sizes: Any) -> Tensor:
    """`broadcast_to` with torch's reading of -1: that dimension keeps its size.

    Args:
        input: any shape that broadcasts to the sizes.
        sizes: the sizes one by one, or as one sequence.

    Example:
        >>> import ravine as rv
        >>> rv.ops.expand([[1.0], [2.0]], -1, 3).shape
        (2, 3)
    """
    x = as_tensor(input)
    wanted = sizes_of(sizes[0] if len(sizes) == 1 else sizes, "expand")
    added = len(wanted) - x.ndim
    return broadcast_to(
        x, [x.shape[i - added] if n == -1 and i >= added else n for i, n in enumerate(wanted)]
    )


@numpy_names
def concat(tensors: Sequence[Any], dim: int = 0) -> Tensor:
    """Joins tensors along an existing dimension; the other sizes must agree.

    A vector without elements, of shape (0,), joins anything, as in torch.

    Example:
        >>> import ravine as rv
        >>> rv.ops.concat([[[1.0], [2.0]], [[3.0], [4.0]]], dim=1)
        tensor([[1., 3.],
                [2., 4.]], dtype=float32)
    """
    parts = list(tensors)
    if not parts:
        raise ValueError("concat: at least one tensor is needed")
    first, *others = [as_tensor(p) for p in parts]
    nothing = (0,)
    if first.shape == nothing:
        first = next((p for p in others if p.shape != nothing), first)
    axis = normalise_dim(dim, first.ndim, "concat")
    if first.ndim > 1:
        empty = (*first.shape[:axis], 0, *first.shape[axis + 1 :])
        parts = [reshape(p, empty) if as_tensor(p).shape == nothing else p for p in parts]
    return apply_all("concat", parts, axis=axis)[0]


cat = concat


@numpy_names
def stack(tensors: Sequence[Any], dim: int = 0) -> Tensor:
    """Joins tensors of one shape along a new dimension.

    Example:
        >>> import ravine as rv
        >>> rv.ops.stack([[1.0, 2.0], [3.0, 4.0]], dim=1)
        tensor([[1., 3.],
                [2., 4.]], dtype=float32)
    """
    parts = [as_tensor(t) for t in tensors]
    if len({p.shape for p in parts}) > 1:
        raise ValueError(f"stack: tensors must have one shape, got {[p.shape for p in parts]}")
    return concat([unsqueeze(p, dim) for p in parts], dim)


@numpy_names
def narrow(input: Any, dim: int, start: Any, length: int) -> Tensor:
    """The part start to start + length of dimension `dim`.

    Args:
        input: at least one dimension.
        dim: the dimension to cut.
        start: where the part begins; negative counts from the end. An integer tensor with one element is
            looked at when the program runs: a program that is compiled once serves every start.
        length: how many elements.

    Raises IndexError where start lies outside of the dimension, ValueError where the part exceeds it.

    Example:
        >>> import ravine as rv
        >>> rv.ops.narrow([1.0, 2.0, 3.0], 0, 1, 2)
        tensor([2., 3.], dtype=float32)
    """
    x = as_tensor(input)
    axis = normalise_dim(dim, x.ndim, "narrow")
    extent, length = x.shape[axis], whole("narrow", "length", length, low=0)
    if isinstance(start, np.ndarray) and start.dtype.kind in "iu" and start.size == 1:
        start = int(start.item())
    if not is_dim(start):
        return _narrow_at(x, axis, as_tensor(start), length)
    if not -extent <= start <= extent:
        raise IndexError(f"narrow: start {start} lies outside of dimension {dim} of shape {x.shape}")
    first = start + extent if start < 0 else start
    if first + length > extent:
        raise ValueError(f"narrow: {start} to {start + length} exceeds dimension {dim} of shape {x.shape}")
    return x[(slice(None),) * axis + (slice(first, first + length),)]


def _narrow_at(x: Operand, axis: int, start: Operand, length: int) -> Tensor:
    """`narrow` from a place that is known once the program runs; there it is checked by the lookup."""
    if start.dtype not in ("int32", "int64") or start.numel() != 1:
        raise TypeError(
            f"narrow: start must be an integer or a tensor with one integer, got {start.dtype}{start.shape}"
        )
    if length > x.shape[axis]:
        raise ValueError(f"narrow: length {length} exceeds dimension {axis} of shape {x.shape}")
    first = reshape(start, ())
    first = apply("where", first < 0, first + x.shape[axis], first)
    return apply("gather_rows", x, first + np.arange(length, dtype=start.dtype), axis=axis)


@numpy_names
def split(input: Any, split_size_or_sections: int | Sequence[int], dim: int = 0) -> list[Tensor]:
    """Cuts a dimension into parts of one size (the last may be smaller), or of the sizes given.

    Example:
        >>> import ravine as rv
        >>> [t.shape for t in rv.ops.split([1.0, 2.0, 3.0], 2)]
        [(2,), (1,)]
    """
    x = as_tensor(input)
    extent = x.shape[normalise_dim(dim, x.ndim, "split")]
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        if size < 1:
            raise ValueError(f"split: the size of a part must be at least 1, got {size}")
        sections = [min(size, extent - start) for start in range(0, extent, size)] or [0]
    else:
        sections = list(split_size_or_sections)
        if sum(sections) != extent or min(sections, default=0) < 0:
            raise ValueError(
                f"split: sections {sections} must add up to {extent}, dimension {dim} of shape {x.shape}"
            )
    starts = [sum(sections[:i]) for i in range(len(sections))]
    return [narrow(x, dim, start, length) for start, length in zip(starts, sections, strict=True)]


@numpy_names
def chunk(input: Any, chunks: int, dim: int = 0) -> list[Tensor]:
    """Cuts a dimension into (at most) `chunks` parts of equal size, the last of which may be smaller.

    Example:
        >>> import ravine as rv
        >>> [t.shape for t in rv.ops.chunk([1.0, 2.0, 3.0], 2)]
        [(2,), (1,)]
    """
    x = as_tensor(input)
    if chunks < 1:
        raise ValueError(f"chunk: the number of parts must be at least 1, got {chunks}")
    extent = x.shape[normalise_dim(dim, x.ndim, "chunk")]
    return split(x, max(1, -(-extent // chunks)), dim)


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Surrounds the last dimensions with a constant, or with the input's own elements.

    Args:
        input: any shape.
        pad: (before, after) of the last dimension, then of the one before it, and so on, as in torch;
            negative amounts cut.
        mode: "constant"; "reflect" mirrors at the first and last element, which are not repeated (an amount
            is below the size); "replicate" repeats them; "circular" goes on at the other end (an amount is at
            most the size).
        value: what to fill in with mode "constant"; None means 0.

    Raises ValueError where amounts and shape do not go together, or a value is given that mode does not use.

    Example:
        >>> import ravine as rv
        >>> rv.ops.pad([[1.0, 2.0]], (1, 0, 0, 1))
        tensor([[0., 1., 2.],
                [0., 0., 0.]], dtype=float32)
    """
    x = as_tensor(input)
    if len(pad) % 2 or len(pad) > 2 * x.ndim:
        raise ValueError(f"pad: {tuple(pad)} must hold (before, after) pairs for at most {x.ndim} dimensions")
    before, after = [0] * x.ndim, [0] * x.ndim
    for i in range(len(pad) // 2):
        before[x.ndim - 1 - i], after[x.ndim - 1 - i] = sizes_of(pad[2 * i : 2 * i + 2], "pad")
    for axis, (size, first, last) in enumerate(zip(x.shape, before, after, strict=True)):
        if size + first + last < 0 or min(first, 0) + size < 0 or min(last, 0) + size < 0:
            raise ValueError(f"pad: {tuple(pad)} cuts more than dimension {axis} of shape {x.shape} has")
    if mode == "constant":
        return _pad_constant(x, before, after, 0.0 if value is None else float(value))
    if mode not in _BORDERS:
        raise ValueError(f"pad: mode must be 'constant', 'reflect', 'replicate' or 'circular', got {mode!r}")
    if value:
        raise ValueError(f"pad: mode {mode!r} takes no value, got {value}")
    y: Operand = x
    for axis, (first, last) in enumerate(zip(before, after, strict=True)):
        if first or last:
            y = apply("gather_rows", y, _border(mode, x.shape, axis, first, last), axis=axis)
    return y if isinstance(y, Tensor) else reshape(y, y.shape)


def _pad_constant(x: Operand, before: list[int], after: list[int], value: float) -> Tensor:
    if min([*before, *after], default=0) < 0:
        sides = zip(x.shape, before, after, strict=True)
        x = x[tuple(slice(max(-first, 0), size + min(last, 0)) for size, first, last in sides)]
        before, after = [max(n, 0) for n in before], [max(n, 0) for n in after]
    return apply("pad", x, before=tuple(before), after=tuple(after), value=value)


# mode -> (the element at a position outside of a dimension, the largest amount less its size)
_BORDERS = {
    "reflect": (lambda i, n: (n - 1) - np.abs((n - 1) - np.abs(i)), -1),
    "replicate": (lambda i, n: np.clip(i, 0, n - 1), None),
    "circular": (lambda i, n: i % n, 0),
}


def _border(mode: str, shape: tuple[int, ...], axis: int, first: int, last: int) -> np.ndarray:
    """Which elements of a dimension stand in its padded form."""
    element, limit = _BORDERS[mode]
    size = shape[axis]
    most = max(first, last)
    if (limit is not None and most > size + limit) or (size == 0 and most > 0):
        raise ValueError(
            f"pad: mode {mode!r} takes at most {max(size + (limit or 0), 0)} elements on a side of dimension "
            f"{axis} of shape {shape}, got {most}"
        )
    if mode == "circular":  # what is cut does not come again at the other end
        kept = np.arange(max(-first, 0), size + min(last, 0))
        return kept[np.arange(-max(first, 0), len(kept) + max(last, 0)) % max(len(kept), 1)]
    return element(np.arange(-first, size + last), max(size, 1)).astype("int64")


@numpy_names
def flip(input: Any, dims: Axes) -> Tensor:
    """Reverses the order along the given dimensions; of none of them, `()`, the input stays as it is.

    Example:
        >>> import ravine as rv
        >>> rv.ops.flip([1.0, 2.0, 3.0], 0)
        tensor([3., 2., 1.], dtype=float32)
    """
    x: Operand = as_tensor(input)
    axes = axes_of(dims, x.ndim, "flip")
    return apply("flip", x, axes=axes) if axes else reshape(x, x.shape)
