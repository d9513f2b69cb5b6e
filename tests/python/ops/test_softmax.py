"""Softmax and log_softmax along any axis."""

from __future__ import annotations

import numpy as np
import pytest
from helper import Case, case, check, normal, record
from scipy import special

from ravine import _core, ops

SHAPES = [
    ((5,), 0),
    ((3, 7), -1),
    ((3, 7), 0),
    ((2, 3, 17), 1),
    ((2, 3, 4, 5), 1),
    ((2, 3, 4, 5), 3),
    ((4, 1), 1),
    ((0, 3), 1),
    ((3, 0), 0),
    ((2, 1000), 1),
]

CASES = [
    *[
        case(
            f"{name}{axis}",
            lambda x, f=f, axis=axis: f(x, axis),
            lambda x, w=want, axis=axis: w(x, axis=axis),
            normal(*s),
        )
        for name, f, want in (
            ("softmax", ops.softmax, special.softmax),
            ("log_softmax", ops.log_softmax, special.log_softmax),
        )
        for s, axis in SHAPES
    ],
    case(
        "softmax_large",
        lambda x: ops.softmax(x * 200.0),
        lambda x: special.softmax(200 * x, -1),
        normal(3, 9),
        gradient=False,
    ),
    case(
        "log_softmax_large",
        lambda x: ops.log_softmax(x * 200.0),
        lambda x: special.log_softmax(200 * x, -1),
        normal(3, 9),
        gradient=False,
    ),
    case(
        "softmax_of_images",  # along the channels, which are adjacent in memory
        lambda x, w: ops.softmax(ops.conv2d(x, w), 1),
        lambda x, w: special.softmax(np.einsum("nchw,oc->nohw", x, w[:, :, 0, 0]), 1),
        normal(2, 3, 4, 3),
        normal(5, 3, 1, 1),
    ),
    case(
        "attention",
        lambda q, k, v: ops.matmul(ops.softmax(ops.matmul(q, ops.transpose(k, -1, -2))), v),
        lambda q, k, v: special.softmax(q @ np.swapaxes(k, -1, -2), -1) @ v,
        normal(2, 3, 4),
        normal(2, 5, 4, seed=1),
        normal(2, 5, 4, seed=2),
    ),
    case("logsumexp", lambda x: ops.logsumexp(x, 1), lambda x: special.logsumexp(x, axis=1), normal(3, 7)),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operation(case: Case) -> None:
    check(case)


def test_infinite_scores_have_no_share() -> None:
    x = np.array([[0.0, -np.inf, 0.0], [-np.inf, 3.0, -np.inf]], dtype=np.float32)
    graph, _, outputs = record(ops.softmax, [x])
    np.testing.assert_array_equal(_core.Program(graph, outputs).run([x])[0], [[0.5, 0, 0.5], [0, 1, 0]])


def test_channels_need_no_copy() -> None:
    graph, _, outputs = record(
        lambda x, w: ops.softmax(ops.conv2d(x, w), 1), [normal(2, 3, 4, 3), normal(5, 3, 1, 1)]
    )
    program = _core.Program(graph, outputs)
    between = program.describe().split("conv2d", 1)[1].split("softmax", 1)[0]
    assert "copy" not in between


@pytest.mark.parametrize("op", ["softmax", "log_softmax"])
def test_axis_outside(op: str) -> None:
    graph = _core.Graph()
    with pytest.raises(ValueError, match=f"{op}: axis 2 is outside a tensor of 2 dimensions"):
        graph.apply(op, [graph.input((3, 4), "float32")], {"axis": 2})
    with pytest.raises(ValueError, match="axis -1 is outside a tensor of 0 dimensions"):
        graph.apply(op, [graph.input((), "float32")], {})
