"""Looking things up by integer index."""

from __future__ import annotations

from typing import Any

from .._dims import normalise_dim
from .._tensor import Operand, Tensor, apply, as_tensor, dtype_name


def _indices(index: Any, op: str) -> Operand:
    indices = as_tensor(index)
    if indices.dtype == "uint8":
        return apply("cast", indices, dtype="int64")
    if indices.dtype not in ("int32", "int64"):
        raise TypeError(f"{op}: indices must be integers, got dtype {indices.dtype} (shape {indices.shape})")
    return indices


def gather(input: Any, dim: int, index: Any) -> Tensor:
    """Picks one element for each index: `y[i, j] = input[i, index[i, j]]` for dim 1.

    Args:
        input: any shape.
        dim: the dimension the indices count along.
        index: integers in [0, input.shape[dim]), of the input's rank; other dimensions at most as large.

    Returns: the shape of `index`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.gather([[1.0, 2.0], [3.0, 4.0]], 1, [[1], [0]])
        tensor([[2.],
                [3.]], dtype=float32)
    """
    x, indices = as_tensor(input), _indices(index, "gather")
    if indices.ndim != x.ndim:
        raise ValueError(
            f"gather: index must have the input's rank, got shapes {indices.shape} and {x.shape}"
        )
    axis = normalise_dim(dim, x.ndim, "gather")
    outside = [(n, m) for i, (n, m) in enumerate(zip(x.shape, indices.shape, strict=True)) if i != axis]
    if any(m > n for n, m in outside):
        raise ValueError(f"gather: index of shape {indices.shape} exceeds {x.shape} outside dimension {dim}")
    if any(m < n for n, m in outside):
        x = x[tuple(slice(None) if i == axis else slice(m) for i, m in enumerate(indices.shape))]
    return apply("gather", x, indices, axis=axis)


def index_select(input: Any, dim: int, index: Any) -> Tensor:
    """Picks whole slices along `dim`, as numpy.take: the index's shape replaces that dimension.

    Example:
        >>> import ravine as rv
        >>> rv.ops.index_select([[1.0, 2.0], [3.0, 4.0]], 0, [1, 1, 0])
        tensor([[3., 4.],
                [3., 4.],
                [1., 2.]], dtype=float32)
    """
    x = as_tensor(input)
    return apply(
        "gather_rows", x, _indices(index, "index_select"), axis=normalise_dim(dim, x.ndim, "index_select")
    )


def embedding(input: Any, weight: Any, padding_idx: int | None = None) -> Tensor:
    """Rows of a table, one for each index.

    Args:
        input: integers of any shape, in [0, rows).
        weight: the table, [rows, features].
        padding_idx: a row that gets no gradient.

    Returns: [*input.shape, features].

    Raises TypeError where the indices are no integers, ValueError where one is out of range.

    Example:
        >>> import ravine as rv
        >>> rv.ops.embedding([1, 0], [[1.0, 2.0], [3.0, 4.0]])
        tensor([[3., 4.],
                [1., 2.]], dtype=float32)
    """
    indices, table = _indices(input, "embedding"), as_tensor(weight)
    if table.ndim != 2:
        raise ValueError(f"embedding: weight must have shape [rows, features], got {table.shape}")
    skip = -1
    if padding_idx is not None:
        if not -table.shape[0] <= padding_idx < table.shape[0]:
            raise ValueError(
                f"embedding: padding_idx {padding_idx} is out of range for {table.shape[0]} rows"
            )
        skip = padding_idx % table.shape[0]
    return apply("gather_rows", table, indices, axis=0, skip_index=skip)


def one_hot(input: Any, num_classes: int, dtype: Any = "int64") -> Tensor:
    """A vector of zeros with a one at each index.

    Args:
        input: integers of any shape, in [0, num_classes).
        num_classes: length of the vectors.
        dtype: of the result; int64 as in torch.

    Returns: [*input.shape, num_classes].

    Example:
        >>> import ravine as rv
        >>> rv.ops.one_hot([1, 0], 3)
        tensor([[0, 1, 0],
                [1, 0, 0]], dtype=int64)
    """
    if num_classes < 1:
        raise ValueError(f"one_hot: num_classes must be at least 1, got {num_classes}")
    return apply("one_hot", _indices(input, "one_hot"), classes=int(num_classes), dtype=dtype_name(dtype))
