"""Matrix products: shapes, batches, transposes, empty extents."""

from __future__ import annotations

import numpy as np
import pytest
from helper import Case, case, check, normal, record

from ravine import _core, ops

SHAPES = [
    ((3, 5), (5, 7)),
    ((1, 1), (1, 1)),
    ((65, 33), (33, 17)),
    ((2, 130), (130, 3)),
    ((1, 40), (40, 1)),
    ((0, 5), (5, 3)),
    ((3, 5), (5, 0)),
    ((3, 0), (0, 4)),
    ((4, 3, 5), (5, 2)),
    ((0, 3, 5), (5, 2)),
    ((2, 1, 3, 5), (5, 2)),
    ((4, 3, 5), (4, 5, 2)),
    ((2, 1, 3, 5), (4, 5, 2)),
    ((3, 5), (2, 3, 5, 4)),
    ((2, 3, 1, 5), (1, 3, 5, 1)),
    ((5,), (5, 3)),
    ((4, 3, 5), (5,)),
    ((5,), (5,)),
]


def transposed(x):
    return ops.transpose(x, -1, -2)


CASES = [
    *[case("matmul", ops.matmul, np.matmul, normal(*a), normal(*b, seed=1)) for a, b in SHAPES],
    case(
        "transposed_left",
        lambda a, b: ops.matmul(transposed(a), b),
        lambda a, b: a.T @ b,
        normal(9, 5),
        normal(9, 6),
    ),
    case(
        "transposed_right",
        lambda a, b: ops.matmul(a, transposed(b)),
        lambda a, b: a @ b.T,
        normal(4, 9),
        normal(7, 9),
    ),
    case(
        "transposed_both",
        lambda a, b: ops.matmul(transposed(a), transposed(b)),
        lambda a, b: np.swapaxes(a, 1, 2) @ b.T,
        normal(3, 9, 4),
        normal(7, 9),
    ),
    case(
        "attention_heads",  # [batch, time, heads, d]: the batch axes are not adjacent
        lambda q, k: ops.matmul(ops.permute(q, (0, 2, 1, 3)), ops.permute(k, (0, 2, 3, 1))),
        lambda q, k: np.einsum("bthd,bshd->bhts", q, k),
        normal(2, 5, 3, 4),
        normal(2, 6, 3, 4, seed=1),
    ),
    case(
        "broadcast_operand",
        lambda a, b: ops.matmul(ops.broadcast_to(a, (3, 4, 5)), b),
        lambda a, b: np.broadcast_to(a, (3, 4, 5)) @ b,
        normal(4, 1),
        normal(5, 2),
    ),
    case(
        "every_other_row",
        lambda a, b: ops.matmul(a[::2], b[:, 1::3]),
        lambda a, b: a[::2] @ b[:, 1::3],
        normal(9, 5),
        normal(5, 8),
    ),
    case(
        "epilogue",
        lambda a, b, c: ops.tanh(ops.matmul(a, b) + c) * 2.0,
        lambda a, b, c: np.tanh(a @ b + c) * 2,
        normal(4, 3, 5),
        normal(5, 17),
        normal(17),
    ),
    case(
        "batched_epilogue",
        lambda a, b, c: ops.exp(ops.matmul(a, b) + c),
        lambda a, b, c: np.exp(a @ b + c),
        normal(2, 3, 4, 5),
        normal(2, 1, 5, 6),
        normal(2, 1, 1, 6),
    ),
    case("with_itself", lambda a: ops.matmul(a, transposed(a)), lambda a: a @ a.T, normal(6, 4)),
    case("linear", ops.linear, lambda x, w, b: x @ w.T + b, normal(2, 3, 5), normal(4, 5), normal(4)),
    case("linear_no_bias", ops.linear, lambda x, w: x @ w.T, normal(7, 5), normal(4, 5)),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operation(case: Case) -> None:
    check(case)


def test_bias_and_activation_run_inside_the_product() -> None:
    arrays = (normal(8, 5), normal(5, 3), normal(3))
    graph, _, outputs = record(lambda x, w, b: ops.relu(ops.matmul(x, w) + b), arrays)
    program = _core.Program(graph, outputs)
    assert program.n_calls == 1
    assert "+ add, relu" in program.describe()


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((3, 5), (4, 7)), r"matmul: shapes \(3, 5\) and \(4, 7\) do not fit: .* 5 columns, .* 4 rows"),
        (((2, 3, 5), (3, 5, 7)), r"matmul: the batch axes of shapes \(2, 3, 5\) and \(3, 5, 7\)"),
        (((5,), (5, 7)), r"matmul: expected at least 2 dimensions, got shapes \(5,\) and \(5, 7\)"),
    ],
)
def test_shapes_that_do_not_fit(shapes: tuple, message: str) -> None:
    graph = _core.Graph()
    values = [graph.input(shape, "float32") for shape in shapes]
    with pytest.raises(ValueError, match=message):
        graph.apply("matmul", values, {})
