"""Sums, means and maxima of the rows of a table that bags of indices name."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..record import FLOATING, Operand, Tensor, apply, as_tensor, known_numbers
from ._index import embedding, integer_indices
from ._reduce import amax, argmax, sum
from ._scatter import winners
from ._shape import reshape, unsqueeze

_MODES = ("sum", "mean", "max")


def embedding_bag(
    input: Any,
    weight: Any,
    offsets: Any = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Sum, mean or maximum of the rows of a table that each bag of indices names; 0 for an empty bag.

    Args:
        input: integers [N, L], bags of one length, or [n], bags one behind the other, which `offsets` cut.
        weight: the table, [rows, features].
        offsets: where each bag begins in a vector of indices, [N], ascending from 0. They may be inputs of a
            compiled program: other lengths do not compile again.
        max_norm, norm_type: as for `embedding`.
        scale_grad_by_freq: as for `embedding`; not with "max".
        mode: "sum", "mean" or "max"; the gradient of a maximum goes to the first of equal rows.
        sparse: as for `embedding`.
        per_sample_weights: factors of the rows, in the shape of `input` and the dtype of the table; with
            "sum" alone. They have gradients.
        include_last_offset: `offsets` is [N + 1], and ends with the number of indices.
        padding_idx: indices that do not count, neither in means nor for the table's gradient.

    Returns: [N, features].

    Raises TypeError for indices that are no integers, ValueError for shapes, modes and offsets that do not
    fit, and for an index or offset out of range.

    Example:
        >>> import ravine as rv
        >>> table = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
        >>> rv.ops.embedding_bag([0, 2, 1], table, [0, 2], mode="sum")
        tensor([[6., 8.],
                [3., 4.]], dtype=float32)
    """
    indices, table = integer_indices(input, "embedding_bag"), as_tensor(weight)
    if mode not in _MODES:
        raise ValueError(f"embedding_bag: mode must be one of {', '.join(_MODES)}, got {mode!r}")
    if table.ndim != 2:
        raise ValueError(f"embedding_bag: weight must have shape [rows, features], got {table.shape}")
    if scale_grad_by_freq and mode == "max":
        raise ValueError("embedding_bag: scale_grad_by_freq does not go with mode 'max'")
    factors = _factors(per_sample_weights, indices, table, mode)
    if padding_idx is not None:
        if not -table.shape[0] <= padding_idx < table.shape[0]:
            raise ValueError(
                f"embedding_bag: padding_idx {padding_idx} is out of range for {table.shape[0]} rows"
            )
        padding_idx %= table.shape[0]
    if indices.ndim == 2 and offsets is not None:
        raise ValueError("embedding_bag: a matrix of indices has bags of one length, and takes no offsets")
    if indices.ndim != 2 and (indices.ndim != 1 or offsets is None):
        raise ValueError(
            f"embedding_bag: input must be [N, L], or [n] with offsets, got shape {indices.shape}"
            + (" and no offsets" if indices.ndim == 1 else "")
        )
    bags = None if indices.ndim == 2 else _bags(indices, offsets, include_last_offset)
    rows = embedding(indices, table, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)
    counted = None if padding_idx is None else apply("not_equal", indices, padding_idx)
    if bags is None:
        return _of_matrix(rows, factors, counted, mode)
    return _of_vector(rows, factors, counted, mode, *bags)


def _factors(weights: Any, indices: Operand, table: Operand, mode: str) -> Operand | None:
    if weights is None:
        return None
    if mode != "sum":
        raise ValueError(f"embedding_bag: per_sample_weights need mode 'sum', got {mode!r}")
    factors = as_tensor(weights)
    if factors.shape != indices.shape:
        raise ValueError(
            f"embedding_bag: per_sample_weights must have the input's shape {indices.shape}, got "
            f"{factors.shape}"
        )
    if factors.dtype not in FLOATING:
        raise TypeError(f"embedding_bag: per_sample_weights must be floating, got {factors.dtype}")
    return factors if factors.dtype == table.dtype else apply("cast", factors, dtype=table.dtype)


def _bags(indices: Operand, offsets: Any, include_last: bool) -> tuple[Operand, int]:
    """The bag of each index, and how many bags there are."""
    starts = integer_indices(offsets, "embedding_bag: offsets")
    if starts.ndim != 1 or (include_last and not starts.shape[0]):
        raise ValueError(
            f"embedding_bag: offsets must be a vector{' of at least one' if include_last else ''}, got shape "
            f"{starts.shape}"
        )
    n, n_bags = indices.shape[0], starts.shape[0] - bool(include_last)
    if n and not n_bags:
        raise ValueError(f"embedding_bag: offsets of no bag, for {n} indices")
    known = known_numbers(starts)
    if known is not None and known.size:
        ends = known if not include_last else known[-1:]
        if known[0] != 0 or (np.diff(known) < 0).any() or ends[-1] > n or (include_last and known[-1] != n):
            raise ValueError(
                f"embedding_bag: offsets must ascend from 0 to {'' if include_last else 'at most '}{n}, the "
                f"number of indices, got {known.tolist() if known.size < 9 else known}"
            )
    if include_last:
        starts = starts[:-1]
    place = as_tensor(np.arange(n, dtype=starts.dtype))
    found = apply("search_sorted", starts, place, right=True) if n else as_tensor(np.zeros(0, "int64"))
    return apply("sub", found, 1), n_bags


def _of_matrix(rows: Tensor, factors: Operand | None, counted: Operand | None, mode: str) -> Tensor:
    """Of rows [N, L, features]."""
    mask = None if counted is None else unsqueeze(counted, -1)
    if not rows.shape[1]:
        return apply("broadcast_to", np.zeros((), rows.dtype), shape=(rows.shape[0], rows.shape[2]))
    if mode == "max":
        return _largest_of_matrix(rows, mask)
    if factors is not None:
        rows = rows * unsqueeze(factors, -1)
    zero = np.zeros((), rows.dtype)
    total = sum(rows if mask is None else apply("where", mask, rows, zero), 1)
    if mode == "sum":
        return total
    if counted is None:
        return total / float(rows.shape[1])
    count = sum(apply("cast", counted, dtype=rows.dtype), 1, True)
    return total / apply("maximum", count, np.ones((), rows.dtype))


def _largest_of_matrix(rows: Tensor, mask: Operand | None) -> Tensor:
    if mask is not None:
        rows = apply("where", mask, rows, np.asarray(-math.inf, rows.dtype))
    largest = apply("gather", rows, argmax(rows, 1, keepdim=True), axis=1)
    largest = reshape(largest, (rows.shape[0], rows.shape[2]))
    if mask is None:
        return largest
    any_counted = amax(apply("cast", mask, dtype="int32"), 1)
    return apply("where", any_counted > 0, largest, np.zeros((), rows.dtype))


def _of_vector(
    rows: Tensor, factors: Operand | None, counted: Operand | None, mode: str, bag: Operand, n_bags: int
) -> Tensor:
    """Of rows [n, features] of the given bags; those that do not count lie in a bag behind the last."""
    extent = n_bags
    if counted is not None:
        bag, extent = apply("where", counted, bag, n_bags), n_bags + 1
    if mode == "max":
        return _largest_of_vector(rows, bag, extent)[:n_bags]
    if factors is not None:
        rows = rows * unsqueeze(factors, -1)
    total = apply("scatter_add_rows", rows, bag, axis=0, extent=extent)[:n_bags]
    if mode == "sum":
        return total
    ones = apply("broadcast_to", np.ones((), rows.dtype), shape=bag.shape)
    count = apply("scatter_add_rows", ones, bag, axis=0, extent=extent)[:n_bags]
    return total / unsqueeze(apply("maximum", count, np.ones((), rows.dtype)), -1)


def _largest_of_vector(rows: Tensor, bag: Operand, extent: int) -> Tensor:
    if not rows.shape[0]:
        return apply("broadcast_to", np.zeros((), rows.dtype), shape=(extent, rows.shape[1]))
    of_element = apply("broadcast_to", unsqueeze(bag, -1), shape=rows.shape)
    place, there = winners(apply("stop_gradient", rows), of_element, 0, extent, "amax")
    return apply("where", there, apply("gather", rows, place, axis=0), np.zeros((), rows.dtype))
