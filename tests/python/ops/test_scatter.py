"""Setting and adding by index, and what depends on numbers."""

from __future__ import annotations

import numpy as np
import pytest
from helper import Case, bools, case, check, distinct, integers, normal, positive

import ravine as rv
from ravine import ops

INDEX = np.array([[0, 2, 1], [3, 1, 0]])  # along dimension 0 of [4, 3]: no place twice
TWICE = np.array([[0, 2, 1], [0, 2, 0]])
ROWS = np.array([2, 0, 2])


def scattered(x, index, src, combine) -> np.ndarray:
    y = x.copy()
    for place in np.ndindex(*index.shape):
        at = (index[place], place[1])
        y[at] = combine(y[at], src[place])
    return y


def put_rows(x, source, combine) -> np.ndarray:
    y = x.copy()
    for j, row in enumerate(ROWS):
        y[row] = combine(y[row], source[j])
    return y


def mean_of(x, index, src, include: bool) -> np.ndarray:
    total = scattered(x if include else np.zeros_like(x), index, src, lambda a, b: a + b)
    count = scattered(np.full(x.shape, float(include)), index, np.ones(index.shape), lambda a, b: a + b)
    hit = scattered(np.zeros(x.shape), index, np.ones(index.shape), lambda a, b: 1.0) > 0
    return np.where(hit, total / np.maximum(count, 1), x)


def set_by(a, b):
    return b


CASES = [
    case("scatter", lambda x, s: ops.scatter(x, 0, INDEX, s) ** 2,
         lambda x, s: scattered(x, INDEX, s, set_by) ** 2, normal(4, 3), normal(2, 3)),
    case("scatter, the last stays", lambda x, s: ops.scatter(x, 0, TWICE, s),
         lambda x, s: scattered(x, TWICE, s, set_by), normal(4, 3), normal(2, 3)),
    case("scatter of a number", lambda x: ops.scatter(x, 0, INDEX, value=2.0),
         lambda x: scattered(x, INDEX, np.full((2, 3), 2.0), set_by), normal(4, 3)),
    case("scatter, smaller index", lambda x, s: ops.scatter(x, 1, np.array([[1, 0]]), s),
         lambda x, s: np.vstack([[s[0, 1], s[0, 0], x[0, 2]], x[1:]]), normal(4, 3), normal(2, 3)),
    case("scatter, multiply", lambda x, s: ops.scatter(x, 0, TWICE, s, reduce="multiply"),
         lambda x, s: scattered(x, TWICE, s, np.multiply), normal(4, 3), normal(2, 3)),
    case("scatter_add", lambda x, s: ops.scatter_add(x, 0, TWICE, s) ** 2,
         lambda x, s: scattered(x, TWICE, s, np.add) ** 2, normal(4, 3), normal(2, 3)),
    case("scatter_reduce, prod", lambda x, s: ops.scatter_reduce(x, 0, TWICE, s, "prod"),
         lambda x, s: scattered(x, TWICE, s, np.multiply), normal(4, 3), normal(2, 3)),
    case("scatter_reduce, amax", lambda x, s: ops.scatter_reduce(x, 0, TWICE, s, "amax"),
         lambda x, s: scattered(x, TWICE, s, np.maximum), distinct(4, 3), distinct(2, 3, seed=1) + 0.01),
    case("scatter_reduce, amin alone", lambda x, s: ops.scatter_reduce(x, 0, INDEX, s, "amin",
         include_self=False),
         lambda x, s: scattered(x, INDEX, s, set_by), distinct(4, 3), distinct(2, 3, seed=1)),
    case("scatter_reduce, mean", lambda x, s: ops.scatter_reduce(x, 0, TWICE, s, "mean"),
         lambda x, s: mean_of(x, TWICE, s, True), normal(4, 3), normal(2, 3)),
    case("scatter_reduce, mean alone", lambda x, s: ops.scatter_reduce(x, 0, TWICE, s, "mean",
         include_self=False),
         lambda x, s: mean_of(x, TWICE, s, False), normal(4, 3), normal(2, 3)),
    case("index_add", lambda x, s: ops.index_add(x, 0, ROWS, s, alpha=2) ** 2,
         lambda x, s: put_rows(x, 2 * s, np.add) ** 2, normal(3, 2), normal(3, 2, seed=1)),
    case("index_copy", lambda x, s: ops.index_copy(x, 0, ROWS, s), lambda x, s: put_rows(x, s, set_by),
         normal(3, 2), normal(3, 2, seed=1)),
    case("index_fill", lambda x: ops.index_fill(x, 0, np.array([0, -1]), 7.0),
         lambda x: np.where([[True], [False], [True]], 7.0, x), normal(3, 2)),
    case("index_reduce", lambda x, s: ops.index_reduce(x, 0, ROWS, s, "amax"),
         lambda x, s: put_rows(x, s, np.maximum), distinct(3, 2), distinct(3, 2, seed=1) + 0.01),
    case("index_put", lambda x, v: ops.index_put(x, (np.array([0, 2]), np.array([1, 0])), v),
         lambda x, v: np.array([[x[0, 0], v[0]], x[1], [v[1], x[2, 1]]]), normal(3, 2), normal(2)),
    case("index_put, added", lambda x, v: ops.index_put(x, (np.array([1, 1]),), v, accumulate=True),
         lambda x, v: x + np.array([[0], [1], [0]]) * v.sum(0), normal(3, 2), normal(2, 2)),
    case("put", lambda x, s: ops.put(x, np.array([5, -6]), s),
         lambda x, s: np.array([[s[1], x[0, 1]], x[1], [x[2, 0], s[0]]]), normal(3, 2), normal(2)),
    case("take_along_dim", lambda x, i: ops.take_along_dim(x, i, 1), lambda x, i: np.take_along_axis(x, i, 1),
         normal(3, 4), integers(3, 2, high=4)),
    case("take", ops.take, lambda x, i: x.reshape(-1)[i], normal(3, 4), integers(5, low=-12, high=12)),
    case("masked_fill", lambda x, m: ops.masked_fill(x, m, -1.0), lambda x, m: np.where(m, -1.0, x),
         normal(3, 4),
         bools(4)),
    case("masked_scatter", lambda x, m, s: ops.masked_scatter(x, m, s),
         lambda x, m, s: np.array([x[0], s[0], s[1], x[3]]), normal(4), np.array([False, True, True, False]),
         normal(3)),
    case("bincount", lambda i, w: ops.bincount(i, w, 6), lambda i, w: np.bincount(i, w, 6), integers(9,
         high=6),
         normal(9)),
    case("isin", lambda x: ops.isin(x, np.array([1, 3])), lambda x: np.isin(x, [1, 3]), integers(3, 4,
         high=5),
         gradient=False),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operation(case: Case) -> None:
    check(case)


def test_what_depends_on_numbers_is_for_known_ones() -> None:
    x = np.array([[3.0, 0, 1], [3, 3, 0]], "float32")
    np.testing.assert_array_equal(ops.nonzero(x).numpy(), np.argwhere(x))
    np.testing.assert_array_equal(ops.argwhere(x).numpy(), np.argwhere(x))
    assert [i.shape for i in ops.nonzero(x, as_tuple=True)] == [(4,), (4,)]
    np.testing.assert_array_equal(ops.masked_select(x, x > 1).numpy(), x[x > 1])
    values, inverse, counts = ops.unique(x, return_inverse=True, return_counts=True)
    np.testing.assert_array_equal(values.numpy()[inverse.numpy()], x)
    np.testing.assert_array_equal(counts.numpy(), [2, 1, 3])
    values, counts = ops.unique_consecutive(x, return_counts=True)
    np.testing.assert_array_equal(values.numpy(), [3, 0, 1, 3, 0])
    np.testing.assert_array_equal(counts.numpy(), [1, 1, 1, 2, 1])
    for function in (ops.unique, ops.unique_consecutive):
        assert [t.shape for t in function(2.0, return_inverse=True, return_counts=True)] == [(1,), (), (1,)]

    class Count(rv.nn.Module):
        def __init__(self, function) -> None:
            super().__init__()
            self.function = function

        def forward(self, x):
            return self.function(x)

    for function in (ops.nonzero, ops.unique, ops.unique_consecutive, lambda x: ops.masked_select(x, x > 1)):
        with pytest.raises(ValueError, match="shape depends on the numbers"):
            Count(function)(x)


def test_integers_are_scattered_exactly() -> None:
    x = np.array([1, 2, 3])
    np.testing.assert_array_equal(
        ops.scatter_add(x, 0, np.array([1, 1]), np.array([10, 20])).numpy(), [1, 32, 3]
    )
    np.testing.assert_array_equal(ops.scatter(x, 0, np.array([2]), np.array([7])).numpy(), [1, 2, 7])
    mask = ops.scatter(np.zeros(3, bool), 0, np.array([2]), value=True).numpy()
    np.testing.assert_array_equal(mask, [False, False, True])


def test_equal_extremes_share_the_gradient() -> None:
    x, s = np.array([2.0, 5.0]), np.array([2.0, 2.0, 1.0])
    index = np.array([0, 0, 0])
    f = rv.value_and_grad(lambda x, s: ops.scatter_reduce(x, 0, index, s, "amax").sum())
    np.testing.assert_allclose(f(x, s)[1], [1 / 3, 1])


BAD = [
    (lambda: ops.scatter(np.ones(3), 0, np.array([3]), np.ones(1)), (ValueError, IndexError),
     r"index 3 is outside \[0, 3\)"),
    (lambda: ops.scatter(np.ones(3), 0, np.array([0])), TypeError, "scatter: give one of src and value"),
    (lambda: ops.scatter(np.ones(3), 0, np.array([0]), np.ones(1, int)), TypeError,
     "scatter: src must have the input's dtype float64, got int64"),
    (lambda: ops.scatter(np.ones(3), 0, np.array([0, 1]), np.ones(1)), ValueError,
     "is smaller than the index"),
    (lambda: ops.scatter_reduce(np.ones(3), 0, np.array([0]), np.ones(1), "median"), ValueError,
     "reduce must be sum, prod, mean, amax or amin, got 'median'"),
    (lambda: ops.index_add(np.ones((3, 2)), 0, np.array([0]), np.ones((2, 2))), ValueError,
     r"source must have shape \(1, 2\)"),
    (lambda: ops.put(np.ones(3), np.array([0, 1]), np.ones(1)), ValueError,
     "put: as many elements as indices"),
    (lambda: ops.masked_fill(np.ones(3), np.ones(3), 0.0), TypeError, "masked_fill: the mask must be bool"),
    (lambda: ops.take(np.ones(3), np.array([3])), (ValueError, IndexError), r"index 3 is outside \[0, 3\)"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input(call, error, message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_positive_products() -> None:
    check(case("scatter_reduce, sum", lambda x, s: ops.scatter_reduce(x, 0, TWICE, s, "sum",
    include_self=False),
               lambda x, s: np.where(scattered(np.zeros((4, 3)), TWICE, np.ones((2, 3)), np.add) > 0,
                                     scattered(np.zeros((4, 3)), TWICE, s, np.add), x),
               positive(4, 3), positive(2, 3)))  # fmt: skip
