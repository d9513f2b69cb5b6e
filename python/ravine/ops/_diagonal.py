"""Diagonals of matrices: taken out, put in, summed."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._dims import normalise_dim
from .._numbers import whole
from ..record import Tensor, apply, as_tensor
from ._arrange import movedim, ravel
from ._shape import narrow, reshape, unsqueeze


def _diagonal_places(rows: int, columns: int, offset: int) -> np.ndarray:
    """Positions of a diagonal's elements in a flattened matrix."""
    below, beside = max(-offset, 0), max(offset, 0)
    count = max(min(rows - below, columns - beside), 0)
    return (np.arange(count) + below) * columns + np.arange(count) + beside


def diagonal(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """Diagonals of matrices in two dimensions, as a last dimension.

    Example:
        >>> import ravine as rv
        >>> rv.ops.diagonal([[1.0, 2.0], [3.0, 4.0]])
        tensor([1., 4.], dtype=float32)
    """
    x = as_tensor(input)
    a, b = normalise_dim(dim1, x.ndim, "diagonal"), normalise_dim(dim2, x.ndim, "diagonal")
    if a == b:
        raise ValueError(f"diagonal: two different dimensions are expected, got {dim1} and {dim2}")
    shift = whole("diagonal", "offset", offset, low=-(2**31))
    x = movedim(x, (a, b), (-2, -1))
    places = _diagonal_places(x.shape[-2], x.shape[-1], shift)
    flat = reshape(x, (*x.shape[:-2], x.shape[-2] * x.shape[-1]))
    return apply("gather_rows", flat, places, axis=flat.ndim - 1)


_diagonal_of = diagonal  # `diag` has an argument of this name


def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices with the last dimension as a diagonal, zeros elsewhere.

    Example:
        >>> import ravine as rv
        >>> rv.ops.diag_embed([1.0, 2.0])
        tensor([[1., 0.],
                [0., 2.]], dtype=float32)
    """
    x = as_tensor(input)
    shift = whole("diag_embed", "offset", offset, low=-(2**31))
    a, b = (normalise_dim(d, x.ndim + 1, "diag_embed") for d in (dim1, dim2))
    if a == b:
        raise ValueError(f"diag_embed: two different dimensions are expected, got {dim1} and {dim2}")
    count = x.shape[-1]
    size = count + abs(shift)
    # Each row begins with its element, and size zeros follow: cut again, they advance by one column a row.
    rows = unsqueeze(x, -1)
    before, after = [0] * rows.ndim, [0] * rows.ndim
    after[-1] = size
    flat = apply("pad", rows, before=tuple(before), after=tuple(after), value=0.0)
    flat = reshape(flat, (*x.shape[:-1], count * (size + 1)))
    wanted = size * size
    first = max(shift, 0) + max(-shift, 0) * size
    flat = narrow(flat, -1, 0, min(flat.shape[-1], wanted - first))
    ends = ([0] * (flat.ndim - 1), [0] * (flat.ndim - 1))
    flat = apply("pad", flat, before=(*ends[0], first), after=(*ends[1], wanted - first - flat.shape[-1]),
                 value=0.0)  # fmt: skip
    return movedim(reshape(flat, (*x.shape[:-1], size, size)), (-2, -1), (a, b))


def diag(input: Any, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix, or a matrix with a vector on its diagonal.

    Example:
        >>> import ravine as rv
        >>> rv.ops.diag([[1.0, 2.0], [3.0, 4.0]], 1)
        tensor([2.], dtype=float32)
    """
    x = as_tensor(input)
    if x.ndim not in (1, 2):
        raise ValueError(f"diag: a vector or a matrix is expected, got shape {x.shape}")
    return diag_embed(x, diagonal) if x.ndim == 1 else _diagonal_of(x, diagonal)


def diagflat(input: Any, offset: int = 0) -> Tensor:
    """A matrix with all elements of the input on its diagonal.

    Example:
        >>> import ravine as rv
        >>> rv.ops.diagflat([[1.0], [2.0]])
        tensor([[1., 0.],
                [0., 2.]], dtype=float32)
    """
    return diag_embed(ravel(input), offset)


def trace(input: Any) -> Tensor:
    """The sum of a matrix's diagonal.

    Example:
        >>> import ravine as rv
        >>> rv.ops.trace([[1.0, 2.0], [3.0, 4.0]])
        tensor(5., dtype=float32)
    """
    x = as_tensor(input)
    if x.ndim != 2:
        raise ValueError(f"trace: a matrix is expected, got shape {x.shape}")
    return diagonal(x).sum()
