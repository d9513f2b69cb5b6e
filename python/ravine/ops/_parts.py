"""Tensors with a part set to another tensor."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._dims import normalise_dim, numpy_names
from ..record import Operand, Tensor, apply, as_tensor
from ._elementwise import where
from ._shape import reshape


def _set(input: Any, src: Any, index: Any, op: str) -> Tensor:
    x, s = as_tensor(input), as_tensor(src)
    positions = np.arange(x.numel()).reshape(x.shape)
    return _set_positions(x, s, positions[index], op)


def _set_positions(x: Operand, s: Operand, positions: np.ndarray, op: str) -> Tensor:
    """x with s at known positions of the flattened tensor."""
    if s.shape != positions.shape:
        raise ValueError(f"{op}: src must have shape {positions.shape}, got {s.shape}")
    source = np.zeros(x.numel(), "int64")
    mask = np.zeros(x.numel(), bool)
    source[positions.reshape(-1)] = np.arange(positions.size)
    mask[positions.reshape(-1)] = True
    if not positions.size:
        return reshape(x, x.shape)
    s = s if s.dtype == x.dtype else apply("cast", s, dtype=x.dtype)
    chosen = apply("gather_rows", reshape(s, (-1,)), source.reshape(x.shape), axis=0)
    return where(mask.reshape(x.shape), chosen, x)


@numpy_names
def select_scatter(input: Any, src: Any, dim: int, index: int) -> Tensor:
    """The input with one slice along a dimension set to `src`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.select_scatter([[1.0, 2.0], [3.0, 4.0]], [7.0, 8.0], 0, 1)
        tensor([[1., 2.],
                [7., 8.]], dtype=float32)
    """
    x = as_tensor(input)
    axis = normalise_dim(dim, x.ndim, "select_scatter")
    if not -x.shape[axis] <= index < x.shape[axis]:
        raise IndexError(
            f"select_scatter: index {index} is out of range for dimension {dim} of shape {x.shape}"
        )
    return _set(x, src, (slice(None),) * axis + (index,), "select_scatter")


@numpy_names
def slice_scatter(
    input: Any, src: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """The input with a part of a dimension, `start` to `end`, set to `src`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.slice_scatter([1.0, 2.0, 3.0], [7.0, 8.0], start=1)
        tensor([1., 7., 8.], dtype=float32)
    """
    x = as_tensor(input)
    axis = normalise_dim(dim, x.ndim, "slice_scatter")
    return _set(x, src, (slice(None),) * axis + (slice(start, end, step),), "slice_scatter")


def diagonal_scatter(input: Any, src: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The input with the diagonals of two dimensions set to `src`; see `diagonal`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.diagonal_scatter([[1.0, 2.0], [3.0, 4.0]], [7.0, 8.0])
        tensor([[7., 2.],
                [3., 8.]], dtype=float32)
    """
    x = as_tensor(input)
    a, b = (normalise_dim(d, x.ndim, "diagonal_scatter") for d in (dim1, dim2))
    positions = np.diagonal(np.arange(x.numel()).reshape(x.shape), offset, a, b)
    return _set_positions(x, as_tensor(src), positions, "diagonal_scatter")
