"""Looking things up by integer index, and adding to where an index says."""

from __future__ import annotations

import numpy as np
import pytest
from helper import Case, case, check, integers, normal

import ravine as rv
from ravine import _core, ops

CASES = [
    case("embedding", ops.embedding, lambda i, t: t[i], integers(4, 3, high=7), normal(7, 5)),
    case("embedding, int32", ops.embedding, lambda i, t: t[i], integers(9, high=7, dtype="int32"),
         normal(7, 33)),
    case("embedding, uint8", ops.embedding, lambda i, t: t[i], integers(9, high=7, dtype="uint8"),
         normal(7, 1)),
    case("embedding, one index", ops.embedding, lambda i, t: t[i], np.array(3), normal(7, 5)),
    case("embedding, no indices", ops.embedding, lambda i, t: t[i], integers(0, 2, high=7), normal(7, 5)),
    case("embedding, often the same row", ops.embedding, lambda i, t: t[i], np.ones(37, int), normal(2, 5)),
    case("embedding, squared", lambda i, t: ops.embedding(i, t) ** 2, lambda i, t: t[i] ** 2,
         integers(6, high=4), normal(4, 3)),
    case("index_select, rows", lambda x, i: ops.index_select(x, 0, i), lambda x, i: x.take(i, 0),
         normal(5, 4), integers(7, high=5)),
    case("index_select, columns", lambda x, i: ops.index_select(x, 1, i), lambda x, i: x.take(i, 1),
         normal(5, 4), integers(7, high=4)),
    case("index_select, middle", lambda x, i: ops.index_select(x, 1, i) ** 2, lambda x, i: x.take(i, 1) ** 2,
         normal(3, 4, 5), integers(2, high=4)),
    case("index_select of a transposed", lambda x, i: ops.index_select(x.transpose(0, 1), 0, i),
         lambda x, i: x.T.take(i, 0), normal(3, 4), integers(2, high=4)),
    case("gather, last", lambda x, i: ops.gather(x, 1, i), lambda x, i: np.take_along_axis(x, i, 1),
         normal(5, 4), integers(5, 3, high=4)),
    case("gather, first", lambda x, i: ops.gather(x, 0, i) ** 2,
         lambda x, i: np.take_along_axis(x, i, 0) ** 2, normal(5, 4), integers(2, 4, high=5)),
    case("gather, middle", lambda x, i: ops.gather(x, 1, i), lambda x, i: np.take_along_axis(x, i, 1),
         normal(2, 5, 3), integers(2, 9, 3, high=5)),
    case("gather, nothing", lambda x, i: ops.gather(x, 1, i), lambda x, i: np.take_along_axis(x, i, 1),
         normal(5, 4), integers(5, 0, high=4)),
    case("gather of integers", lambda x, i: ops.gather(x, 1, i), lambda x, i: np.take_along_axis(x, i, 1),
         integers(5, 4, high=99, dtype="uint8"), integers(5, 3, high=4), gradient=False),
    case("one_hot", lambda i: ops.one_hot(i, 5), lambda i: np.eye(5, dtype=int)[i], integers(3, 4, high=5),
         gradient=False),
    case("one_hot, float64", lambda i: ops.one_hot(i, 5, dtype="float64"), lambda i: np.eye(5)[i],
         integers(7, high=5, dtype="uint8"), gradient=False),
    case("one_hot, one class", lambda i: ops.one_hot(i, 1), lambda i: np.ones((3, 1), int), np.zeros(3, int),
         gradient=False),
    case("one_hot, empty", lambda i: ops.one_hot(i, 4, "float32"), lambda i: np.zeros((0, 4)),
         integers(0, high=4), gradient=False),
    case("one_hot in an expression", lambda i, x: ops.sum(ops.one_hot(i, 5, dtype=x.dtype) * x, 1),
         lambda i, x: x[np.arange(6), i], integers(6, high=5), normal(6, 5)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operation(case: Case) -> None:
    check(case)


def test_padding_idx_gets_no_gradient() -> None:
    indices = np.array([[0, 2, 2], [1, 2, 0]])
    table = normal(4, 3).astype("float32")
    f = rv.value_and_grad(lambda t: ops.sum(ops.embedding(indices, t, padding_idx=2)))
    np.testing.assert_array_equal(f(table)[1], [[2] * 3, [1] * 3, [0] * 3, [0] * 3])
    np.testing.assert_array_equal(ops.embedding(indices, table, padding_idx=-2).numpy(), table[indices])


def test_second_derivative_leaves_padding_out() -> None:
    graph = _core.Graph()
    table = graph.input((3, 2), "float64")
    indices = graph.constant(np.array([0, 1, 1, 2]))
    picked = graph.apply("gather_rows", [table, indices], {"axis": 0, "skip_index": 1})[0]
    cubes = graph.apply("mul", [graph.apply("square", [picked], {})[0], picked], {})[0]
    (gradient,) = graph.gradients(graph.apply("sum", [cubes], {"axes": ()})[0], [table])
    (second,) = graph.gradients(graph.apply("sum", [gradient], {"axes": ()})[0], [table])
    x = normal(3, 2)
    first, curvature = _core.Program(graph, [gradient, second]).run([x])
    np.testing.assert_allclose(first, 3 * x**2 * [[1], [0], [1]])
    np.testing.assert_allclose(curvature, 6 * x * [[1], [0], [1]])


@pytest.mark.parametrize("index", [-1, 7, 10**12])
def test_an_index_outside_is_an_error_and_changes_nothing(index: int) -> None:
    table = _core.Array(normal(7, 3))
    before = table.numpy().copy()
    graph = _core.Graph()
    value, indices = graph.state(table), graph.input((2,), "int64")
    picked = graph.apply("gather_rows", [value, indices], {"axis": 0})[0]
    total = graph.apply("sum", [picked], {"axes": ()})[0]
    (gradient,) = graph.gradients(total, [value])
    graph.assign(table, graph.apply("sub", [value, gradient], {})[0])
    program = _core.Program(graph, [total])
    with pytest.raises(ValueError, match=rf"gather_rows: index {index} is outside \[0, 7\)"):
        program.run([np.array([0, index])])
    np.testing.assert_array_equal(table.numpy(), before)
    program.run([np.array([0, 6])])
    np.testing.assert_array_equal(table.numpy(), before - np.isin(np.arange(7), [0, 6])[:, None])


BAD = [
    (lambda: ops.embedding(np.ones(3), np.ones((4, 2))), TypeError, "embedding: indices must be integers"),
    (lambda: ops.embedding(np.ones(3, int), np.ones(4)), ValueError,
     r"embedding: weight must have shape .* got \(4,\)"),
    (lambda: ops.embedding(np.ones(3, int), np.ones((4, 2)), padding_idx=4), ValueError,
     "padding_idx 4 is out of range"),
    (lambda: ops.embedding(np.array([0, 4]), np.ones((4, 2))), (ValueError, IndexError),
     r"index 4 is outside \[0, 4\)"),
    (lambda: ops.gather(np.ones((3, 2)), 1, np.ones(3, int)), ValueError,
     "gather: index must have the input's rank"),
    (lambda: ops.gather(np.ones((3, 2)), 1, np.ones((4, 1), int)), ValueError,
     r"gather: index of shape \(4, 1\)"),
    (lambda: ops.gather(np.ones((3, 2)), 1, np.full((3, 1), 2)), (ValueError, IndexError),
     r"index 2 is outside \[0, 2\)"),
    (lambda: ops.one_hot(np.array([1.5]), 3), TypeError, "one_hot: indices must be integers"),
    (lambda: ops.one_hot(np.array([1]), 0), ValueError, "one_hot: num_classes must be at least 1"),
    (lambda: ops.one_hot(np.array([0, 3]), 3), (ValueError, IndexError),
     r"one_hot: index 3 is outside \[0, 3\)"),
    (lambda: ops.one_hot(np.array([-1]), 3), (ValueError, IndexError),
     r"one_hot: index -1 is outside \[0, 3\)"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input(call, error, message: str) -> None:
    with pytest.raises(error, match=message):
        call()
