"""Bags of rows of a table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helper import case, check, distinct, integers, normal, positive

import ravine as rv
from ravine import nn, ops

OFFSETS = np.array([0, 2, 2, 5])
INDICES = integers(9, high=7, seed=3)
MATRIX = integers(4, 3, high=7, seed=4)
PADDING = 2


def bags(offsets: np.ndarray, n: int) -> list[slice]:
    return [slice(a, b) for a, b in zip(offsets, [*offsets[1:], n], strict=True)]


def want(mode: str, padding: int | None = None) -> Any:
    """The same of NumPy's arrays, bag by bag."""

    def reduced(indices: np.ndarray, table: np.ndarray, factors: np.ndarray) -> np.ndarray:
        kept = np.ones(len(indices), bool) if padding is None else indices != padding
        rows = table[indices[kept]] * factors[kept, None]
        if not len(rows):
            return np.zeros(table.shape[1])
        return getattr(np, mode)(rows, axis=0)

    def function(indices: np.ndarray, table: np.ndarray, factors: Any = None) -> np.ndarray:
        factors = np.ones(indices.shape) if factors is None else factors
        if indices.ndim == 2:
            return np.stack([reduced(i, table, f) for i, f in zip(indices, factors, strict=True)])
        return np.stack([reduced(indices[b], table, factors[b]) for b in bags(OFFSETS, len(indices))])

    return function


def ours(mode: str, padding: int | None = None) -> Any:
    def function(indices: Any, table: Any, factors: Any = None) -> Any:
        offsets = OFFSETS if len(indices.shape) == 1 else None
        return ops.embedding_bag(
            indices, table, offsets, mode=mode, padding_idx=padding, per_sample_weights=factors
        )

    return function


TABLE = distinct(7, 5)
CASES = [
    *[
        case(f"embedding_bag, {mode}, padding {padding}", ours(mode, padding), want(mode, padding), indices,
             TABLE)
        for mode in ("sum", "mean", "max")
        for padding in (None, PADDING)
        for indices in (INDICES, MATRIX)
    ],
    *[
        case("embedding_bag, weights", ours("sum", PADDING), want("sum", PADDING), indices, TABLE,
             positive(*indices.shape))
        for indices in (INDICES, MATRIX)
    ],
    case("embedding_bag, int32", ours("mean"), want("mean"), INDICES.astype("int32"), normal(7, 5)),
    case("embedding_bag, nothing in the bags",
         lambda i, t: ops.embedding_bag(i, t, np.zeros(3, int), mode="max"),
         lambda i, t: np.zeros((3, 5)), np.zeros(0, int), TABLE),
]  # fmt: skip


@pytest.mark.parametrize("one", CASES, ids=str)
def test_operation(one: Any) -> None:
    check(one)


def test_last_offsets_and_offsets_that_a_program_is_given() -> None:
    bag = nn.EmbeddingBag(7, 3, mode="sum", include_last_offset=True)
    plain = nn.EmbeddingBag.from_pretrained(bag.weight.data, freeze=False, mode="sum")
    given = np.array([0, 2, 2, 5, 9])
    np.testing.assert_array_equal(bag(INDICES, given), plain(INDICES, given[:-1]))
    function = rv.value_and_grad(lambda m, i, o: m(i, o).sum(), plain)
    for offsets in ([0, 1, 8], [0, 4, 4]):
        assert function(INDICES, np.array(offsets))[0] == pytest.approx(
            plain.weight.data[INDICES].sum(), rel=1e-5
        )


def test_equal_maxima_give_the_gradient_to_the_first() -> None:
    table = np.array([[1.0], [3.0], [3.0]])
    for arguments in (([2, 1, 0], table, [0]), ([[2, 1, 0]], table)):
        slope = rv.value_and_grad(lambda t, a=arguments: ops.embedding_bag(a[0], t, *a[2:], mode="max").sum())
        np.testing.assert_array_equal(slope(table)[1], [[0], [0], [1]])


def test_lengths_and_frequencies_are_those_of_embedding() -> None:
    shortened = ops.embedding_bag([[0, 1]], [[3.0, 4.0], [0.3, 0.4]], max_norm=1.0, mode="sum")
    np.testing.assert_allclose(shortened.numpy(), [[0.9, 1.2]], rtol=1e-6)
    function = rv.value_and_grad(
        lambda t: ops.embedding_bag([[1, 1, 0]], t, scale_grad_by_freq=True, mode="sum").sum()
    )
    np.testing.assert_array_equal(function(np.ones((2, 1)))[1], [[1], [1]])


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: ops.embedding_bag([1], [[1.0]]), ValueError, r"input must be \[N, L\].* no offsets"),
    (lambda: ops.embedding_bag([[1]], [[1.0]], [0]), ValueError, "takes no offsets"),
    (lambda: ops.embedding_bag([[0]], [[1.0]], mode="prod"), ValueError, "mode must be one of sum, mean"),
    (lambda: ops.embedding_bag([[0]], [1.0]), ValueError, r"weight must have shape .* got \(1,\)"),
    (lambda: ops.embedding_bag([0.0], [[1.0]], [0]), TypeError, "indices must be integers"),
    (lambda: ops.embedding_bag([0, 0], [[1.0]], [1]), ValueError,
     r"must ascend from 0 to at most 2.* got \[1\]"),
    (lambda: ops.embedding_bag([0, 0], [[1.0]], [0, 3]), ValueError, r"got \[0, 3\]"),
    (lambda: ops.embedding_bag([0, 0], [[1.0]], [0, 1], include_last_offset=True), ValueError,
     r"ascend from 0 to 2, the number"),
    (lambda: ops.embedding_bag([[0]], [[1.0]], per_sample_weights=[[1.0]]), ValueError, "need mode 'sum'"),
    (lambda: ops.embedding_bag([[0]], [[1.0]], per_sample_weights=[1.0], mode="sum"), ValueError,
     r"input's shape \(1, 1\), got \(1,\)"),
    (lambda: ops.embedding_bag([[0]], [[1.0]], padding_idx=1), ValueError, "padding_idx 1 is out of range"),
    (lambda: ops.embedding_bag([[1]], [[1.0]]), ValueError, "index 1 is outside"),
    (lambda: nn.EmbeddingBag(2, 2, mode="prod"), ValueError, "EmbeddingBag: mode must be sum, mean or max"),
    (lambda: nn.EmbeddingBag.from_pretrained([1.0]), ValueError,
     "EmbeddingBag.from_pretrained: expected a table"),
])  # fmt: skip
def test_errors(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call().numpy()
