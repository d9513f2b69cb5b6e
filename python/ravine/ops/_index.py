"""Looking things up by integer index."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._dims import normalise_dim, numpy_names
from .._numbers import number
from ..record import Operand, Tensor, apply, as_tensor, dtype_name, known_numbers
from ._elementwise import pow
from ._reduce import amax, sum
from ._shape import reshape, unsqueeze


def integer_indices(index: Any, op: str) -> Operand:
    """An index as integers: int32 or int64; TypeError otherwise."""
    indices = as_tensor(index)
    if indices.dtype == "uint8":
        return apply("cast", indices, dtype="int64")
    if indices.dtype not in ("int32", "int64"):
        raise TypeError(f"{op}: indices must be integers, got dtype {indices.dtype} (shape {indices.shape})")
    return indices


@numpy_names
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
    x, indices = as_tensor(input), integer_indices(index, "gather")
    if 0 in indices.shape and indices.ndim != x.ndim:  # torch looks at no rank where there is no index
        return apply("broadcast_to", np.zeros((), x.dtype), shape=indices.shape)
    if x.ndim == 0 or indices.ndim == 0:  # a scalar counts as a vector of one element
        if max(x.ndim, indices.ndim) > 1:
            raise ValueError(
                f"gather: index must have the input's rank, got shapes {indices.shape} and {x.shape}"
            )
        normalise_dim(dim, 1, "gather")
        return reshape(apply("gather", reshape(x, (-1,)), reshape(indices, (-1,)), axis=0), indices.shape)
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


@numpy_names
def index_select(input: Any, dim: int, index: Any) -> Tensor:
    """Picks whole slices along `dim`, as numpy.take: the index's shape replaces that dimension.

    Example:
        >>> import ravine as rv
        >>> rv.ops.index_select([[1.0, 2.0], [3.0, 4.0]], 0, [1, 1, 0])
        tensor([[3., 4.],
                [3., 4.],
                [1., 2.]], dtype=float32)
    """
    x, indices = as_tensor(input), integer_indices(index, "index_select")
    axis = normalise_dim(dim, x.ndim, "index_select", scalar=True)
    if x.ndim:
        return apply("gather_rows", x, indices, axis=axis)
    # A scalar counts as a vector of one element, and remains a scalar.
    if indices.numel() != 1:
        raise ValueError(f"index_select: a scalar takes one index, got shape {indices.shape}")
    return reshape(apply("gather_rows", reshape(x, (1,)), reshape(indices, (1,)), axis=0), ())


def embedding(
    input: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Rows of a table, one for each index.

    Args:
        input: integers of any shape, in [0, rows).
        weight: the table, [rows, features].
        padding_idx: a row that gets no gradient.
        max_norm: rows that are longer are scaled to this length; the gradient passes as if they were not, as
            in torch. The table itself stays as it is (torch rescales it in place).
        norm_type: p of the norm that `max_norm` limits; infinity for the largest size.
        scale_grad_by_freq: divide each row's gradient by how often its index occurs in `input`.
        sparse: a training step updates the rows that it reads, and looks at no other, so that it costs as
            much for any number of rows. The update is the same for SGD and Adagrad; rules with a memory
            (momentum, Adam) leave that of other rows as it is, see `nn.Embedding`. `value_and_grad` gives a
            whole gradient in any case.

    Returns: [*input.shape, features].

    Raises TypeError where the indices are no integers, ValueError where one is out of range, and for
    `sparse` with `scale_grad_by_freq`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.embedding([1, 0], [[1.0, 2.0], [3.0, 4.0]])
        tensor([[3., 4.],
                [1., 2.]], dtype=float32)
    """
    indices, table = integer_indices(input, "embedding"), as_tensor(weight)
    if table.ndim != 2:
        raise ValueError(f"embedding: weight must have shape [rows, features], got {table.shape}")
    skip = -1
    if padding_idx is not None:
        if not -table.shape[0] <= padding_idx < table.shape[0]:
            raise ValueError(
                f"embedding: padding_idx {padding_idx} is out of range for {table.shape[0]} rows"
            )
        skip = padding_idx % table.shape[0]
    if sparse and scale_grad_by_freq:
        raise ValueError("embedding: scale_grad_by_freq has no sparse gradient; use sparse=False")
    rows = read_rows(table, indices, skip, sparse)
    if scale_grad_by_freq:
        rows = _scaled_by_frequency(rows, indices, table.shape[0])
    return rows if max_norm is None else _shortened(rows, max_norm, norm_type)


def read_rows(table: Operand, indices: Operand, skip: int = -1, sparse: bool = False) -> Tensor:
    """Rows of a table; those of index `skip` give it no gradient. `sparse`: see `embedding`."""
    how = {"sparse": True} if sparse else {}
    return apply("gather_rows", table, indices, axis=0, skip_index=skip, **how)


def _straight_through(rows: Tensor, values: Tensor) -> Tensor:
    """`values`, with the gradient of `rows`."""
    return apply("stop_gradient", values) + (rows - apply("stop_gradient", rows))


def _scaled_by_frequency(rows: Tensor, indices: Operand, extent: int) -> Tensor:
    """The rows themselves; their gradients come divided by how often each index occurs."""
    ones = apply("broadcast_to", np.ones((), rows.dtype), shape=indices.shape)
    counts = apply("scatter_add_rows", ones, indices, axis=0, extent=extent)
    frequency = apply("gather_rows", counts, indices, axis=0)
    return _straight_through(rows / unsqueeze(frequency, -1), rows)


def _shortened(rows: Tensor, max_norm: Any, norm_type: Any) -> Tensor:
    """Rows of at most `max_norm` length; the scale counts as a constant."""
    longest = number("embedding", "max_norm", max_norm)
    sizes = apply("abs", apply("stop_gradient", rows))
    p = float(norm_type)
    if not p > 0:
        raise ValueError(f"embedding: norm_type must be above 0, got {norm_type}")
    lengths = amax(sizes, -1, True) if p == math.inf else pow(sum(pow(sizes, p), -1, True), 1 / p)
    scale = apply("where", lengths > longest, longest / (lengths + 1e-7), np.ones((), rows.dtype))
    return _straight_through(rows, rows * scale)


def one_hot(input: Any, num_classes: int = -1, dtype: Any = "int64") -> Tensor:
    """A vector of zeros with a one at each index.

    Args:
        input: integers of any shape, in [0, num_classes).
        num_classes: length of the vectors; -1 takes the largest index plus one, where the indices are an
            array or inside `rv.eager()` (a program is compiled before it sees indices).
        dtype: of the result; int64 as in torch.

    Returns: [*input.shape, num_classes].

    Example:
        >>> import ravine as rv
        >>> rv.ops.one_hot([1, 0], 3)
        tensor([[0, 1, 0],
                [1, 0, 0]], dtype=int64)
    """
    indices = integer_indices(input, "one_hot")
    if num_classes == -1:
        numbers = known_numbers(indices)
        if numbers is None:
            raise ValueError(
                "one_hot: num_classes must be at least 1, got -1: the largest index is not known when a "
                "program is compiled"
            )
        if numbers.size == 0:
            raise ValueError(f"one_hot: num_classes=-1 needs indices, got none (shape {indices.shape})")
        num_classes = int(numbers.max()) + 1
    if num_classes < 1:
        raise ValueError(f"one_hot: num_classes must be at least 1, got {num_classes}")
    return apply("one_hot", indices, classes=int(num_classes), dtype=dtype_name(dtype))
