"""Normalisation: batch, layer, group and instance norm, with and without affine parameters."""

from __future__ import annotations

import numpy as np
import pytest
from helper import Case, case, check, normal, positive, record

from ravine import _core, ops

EPS = 1e-3


def normalized(x, axes):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + EPS)


def per_channel(vector, x):
    return vector.reshape(1, -1, *[1] * (x.ndim - 2))


def batch_axes(x):
    return (0, *range(2, x.ndim))


def batch_norm(x, weight, bias):
    return normalized(x, batch_axes(x)) * per_channel(weight, x) + per_channel(bias, x)


def outputs_of(op, attributes):
    """All outputs of an operation of the core, of tensors."""
    from ravine.record import apply_all

    return lambda *x: apply_all(op, list(x), **attributes)


def layer_norm(x, dims, weight=1.0, bias=0.0):
    return normalized(x, tuple(range(-dims, 0))) * weight + bias


def group_norm(x, groups, weight=None, bias=None):
    y = normalized(x.reshape(len(x), groups, np.prod(x.shape[1:]) // groups), (2,)).reshape(x.shape)
    return y if weight is None else y * per_channel(weight, x) + per_channel(bias, x)


def training(x, weight=None, bias=None):
    return ops.batch_norm(x, None, None, weight, bias, training=True, eps=EPS)


def rms_norm(x, dims, weight=1.0):
    return x / np.sqrt(np.square(x).mean(tuple(range(-dims, 0)), keepdims=True) + EPS) * weight


BATCHES = [(4, 3), (33, 17), (2, 1), (3, 4, 5), (2, 3, 4, 5), (5, 17, 3, 3), (1, 2, 3, 3), (2, 3, 2, 3, 2)]
ROWS = [
    ((4, 7), 1),
    ((3, 1), 1),
    ((2, 3, 17), 1),
    ((2, 3, 5), 2),
    ((6,), 1),
    ((0, 5), 1),
    ((3, 0, 5), 1),
    ((130, 3), 1),
]

CASES = [
    case(
        "rms_norm",
        lambda x, w: ops.rms_norm(x, (3, 5), w, EPS),
        lambda x, w: rms_norm(x, 2, w),
        normal(2, 3, 5),
        normal(3, 5),
    ),
    case("rms_norm_plain", lambda x: ops.rms_norm(x, 7, eps=EPS), lambda x: rms_norm(x, 1), normal(4, 7)),
    *[case("batch_norm", training, batch_norm, normal(*s), positive(s[1]), normal(s[1])) for s in BATCHES],
    case("batch_norm_plain", training, lambda x: normalized(x, (0, 2, 3)), normal(3, 2, 4, 3)),
    case(
        "batch_norm_statistics",  # a user may differentiate through them
        outputs_of("batch_norm", {"eps": EPS}),
        lambda x, w, b: [batch_norm(x, w, b), x.mean((0, 2, 3)), x.var((0, 2, 3))],
        normal(3, 2, 4, 3),
        positive(2),
        normal(2),
    ),
    case(
        "batch_norm_of_one_tensor_twice",
        lambda x, w: training(x, w, w),
        lambda x, w: batch_norm(x, w, w),
        normal(3, 2, 4, 3),
        positive(2),
    ),
    case(
        "batch_norm_residual",
        lambda x, w, b: ops.sigmoid(training(x, w, b) + x),
        lambda x, w, b: 1 / (1 + np.exp(-batch_norm(x, w, b) - x)),
        normal(3, 2, 4, 3),
        positive(2),
        normal(2),
    ),
    case(
        "batch_norm_far_from_zero",
        training,
        lambda x: normalized(x, (0,)),
        normal(40, 3) * 0.1 + 1000,
        tolerance32=1e-3,
        tolerance64=1e-9,
        gradient=False,
    ),
    case(
        "batch_norm_evaluation",
        lambda x, m, v, w, b: ops.batch_norm(x, m, v, w, b, training=False, eps=EPS),
        lambda x, m, v, w, b: (
            (x - per_channel(m, x)) / np.sqrt(per_channel(v, x) + EPS) * per_channel(w, x) + per_channel(b, x)
        ),
        normal(3, 2, 4, 3),
        normal(2),
        positive(2),
        positive(2, seed=1),
        normal(2, seed=1),
    ),
    *[
        case(
            f"layer_norm-{dims}",
            lambda x, w, b, dims=dims: ops.layer_norm(x, x.shape[x.ndim - dims :], w, b, eps=EPS),
            lambda x, w, b, dims=dims: layer_norm(x, dims, w, b),
            normal(*shape),
            positive(*shape[len(shape) - dims :]),
            normal(*shape[len(shape) - dims :]),
        )
        for shape, dims in ROWS
    ],
    case(
        "layer_norm_plain", lambda x: ops.layer_norm(x, 5, eps=EPS), lambda x: layer_norm(x, 1), normal(4, 5)
    ),
    case(
        "layer_norm_weight_only",
        outputs_of("layer_norm", {"normalized_dims": 1, "eps": EPS}),
        lambda x, w: [layer_norm(x, 1, w), x.mean(-1), 1 / np.sqrt(x.var(-1) + EPS)],
        normal(4, 5),
        positive(5),
    ),
    case(
        "layer_norm_of_images",  # channels last inside a program, rows of (C, H, W) here
        lambda x, w: ops.layer_norm(ops.conv2d(x, w), (3, 3, 4), eps=EPS),
        lambda x, w: layer_norm(np.einsum("nchw,oc->nohw", x, w[:, :, 0, 0]), 3),
        normal(2, 2, 3, 4),
        normal(3, 2, 1, 1),
    ),
    *[
        case(
            f"group_norm-{groups}",
            lambda x, w, b, groups=groups: ops.group_norm(x, groups, w, b, eps=EPS),
            lambda x, w, b, groups=groups: group_norm(x, groups, w, b),
            normal(*shape),
            positive(shape[1]),
            normal(shape[1]),
        )
        for shape, groups in [
            ((2, 6, 3, 2), 3),
            ((3, 4), 2),
            ((2, 4, 5), 1),
            ((2, 3, 2, 2), 3),
            ((0, 4, 2, 2), 2),
            ((2, 6, 9, 7), 2),
            ((1, 3, 40, 21), 1),
        ]
    ],
    case(
        "group_norm_plain",
        lambda x: ops.group_norm(x, 2, eps=EPS),
        lambda x: group_norm(x, 2),
        normal(2, 4, 3, 3),
    ),
    case(
        "group_norm_bias_only",
        lambda x, b: ops.group_norm(x, 2, bias=b, eps=EPS),
        lambda x, b: group_norm(x, 2) + per_channel(b, x),
        normal(2, 4, 3, 3),
        normal(4),
    ),
    case(
        "group_norm_statistics",
        outputs_of("group_norm", {"groups": 2, "eps": EPS}),
        lambda x: [group_norm(x, 2), *(f(x.reshape(2, 2, -1), 2) for f in (np.mean, np.var))],
        normal(2, 4, 3, 3),
    ),
    case(
        "group_norm_residual",  # in the kernel's epilogue, which may not find x overwritten
        lambda x, w, b: ops.sigmoid(ops.group_norm(x, 3, w, b, eps=EPS) + x),
        lambda x, w, b: 1 / (1 + np.exp(-group_norm(x, 3, w, b) - x)),
        normal(2, 6, 3, 4),
        positive(6),
        normal(6),
    ),
    case(
        "group_norm_of_a_volume",
        outputs_of("group_norm", {"groups": 3, "eps": EPS}),
        lambda x, w, b: [group_norm(x, 3, w, b), *(f(x.reshape(2, 3, -1), 2) for f in (np.mean, np.var))],
        normal(2, 6, 2, 3, 2),
        positive(6),
        normal(6),
    ),
    case(
        "instance_norm",
        lambda x, w, b: ops.instance_norm(x, weight=w, bias=b, eps=EPS),
        lambda x, w, b: group_norm(x, 3, w, b),
        normal(2, 3, 5),
        positive(3),
        normal(3),
    ),
    case(
        "instance_norm",
        lambda x, w, b: ops.instance_norm(x, weight=w, bias=b, eps=EPS),
        lambda x, w, b: group_norm(x, 3, w, b),
        normal(2, 3, 4, 5),
        positive(3),
        normal(3),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operation(case: Case) -> None:
    check(case)


def test_an_empty_batch_gives_an_empty_result_and_no_gradient() -> None:
    graph, inputs, outputs = record(training, [normal(0, 3, 2, 2), positive(3), normal(3)])
    total = graph.apply("sum", [outputs[0]], {"axes": ()})[0]
    program = _core.Program(graph, [outputs[0], *graph.gradients(total, inputs[1:])])
    y, weight, bias = program.run([normal(0, 3, 2, 2), positive(3), normal(3)])
    assert y.shape == (0, 3, 2, 2)
    np.testing.assert_array_equal([weight, bias], np.zeros((2, 3)))


def test_activation_and_residual_are_applied_with_the_normalisation() -> None:
    arrays = [normal(4, 3, 5, 5), normal(4, 3, 5, 5), positive(3), normal(3)]
    graph, _, outputs = record(lambda x, r, w, b: ops.relu(training(x, w, b) + r), arrays)
    text = _core.Program(graph, outputs).describe()
    passes = [
        line
        for line in text.splitlines()
        if "elementwise" in line and "(4, 3, 5, 5)" in line and "copy" not in line
    ]
    assert len(passes) == 1
    assert "relu" in passes[0]


@pytest.mark.parametrize("groups", [2, 4])
def test_group_norm_is_one_pass_with_what_follows(groups: int) -> None:
    arrays = [normal(3, 4, 5, 5), normal(3, 4, 5, 5), positive(4), normal(4)]
    graph, inputs, outputs = record(lambda x, r, w, b: ops.relu(ops.group_norm(x, groups, w, b) + r), arrays)
    total = graph.apply("sum", outputs, {"axes": ()})[0]
    text = _core.Program(graph, graph.gradients(total, inputs)).describe()
    calls = [line for line in text.splitlines() if "(3, 4, 5, 5)" in line and "put" not in line]
    passes = [line for line in calls if "copy" not in line]  # inputs and outputs lie in another order
    assert len(passes) == 2
    assert "group_norm " in passes[0]
    assert "relu, scale_by_positive" in passes[0]
    assert "group_norm_grad" in passes[1]


@pytest.mark.parametrize(
    ("op", "shapes", "attributes", "message"),
    [
        ("batch_norm", [(1, 3)], {}, r"more than 1 value per channel .* got shape \(1, 3\)"),
        ("batch_norm", [(4,)], {}, r"batch_norm: expected \[N, C\] .* got shape \(4,\)"),
        (
            "batch_norm",
            [(4, 3), (4,), (3,)],
            {},
            r"gamma has shape \(4,\), expected \(3,\) .* shape \(4, 3\)",
        ),
        ("batch_norm", [(4, 3), (3,), (1, 3)], {}, r"beta has shape \(1, 3\), expected \(3,\)"),
        ("batch_norm", [(4, 3)], {"eps": -1.0}, "eps must be finite and not negative, got -1"),
        (
            "layer_norm",
            [(4, 3)],
            {"normalized_dims": 3},
            r"cannot normalise the last 3 axes .* shape \(4, 3\)",
        ),
        ("layer_norm", [(4, 3)], {"eps": float("nan")}, "eps must be finite"),
        ("layer_norm", [(4, 3), (4,)], {}, r"gamma has shape \(4,\), expected \(3,\)"),
        ("group_norm", [(4, 6)], {"groups": 2}, r"expected \[N, C, positions\.\.\.\] .* got shape \(4, 6\)"),
        ("group_norm", [(4, 6, 2)], {"groups": 4}, "6 channels cannot be split into 4 groups"),
        ("group_norm", [(4, 6, 2)], {"groups": 0}, "6 channels cannot be split into 0 groups"),
        ("group_norm", [(4, 6, 0)], {"groups": 2}, r"the normalised axes are empty \(shape \(4, 6, 0\)\)"),
        ("group_norm", [(4, 6, 2), (4,), (6,)], {"groups": 2}, r"gamma has shape \(4,\), expected \(6,\)"),
        (
            "group_norm",
            [(4, 6, 2)],
            {"groups": 2, "eps": -1.0},
            "eps must be finite and not negative, got -1",
        ),
        ("layer_norm", [(4, 0)], {}, r"the normalised axes are empty \(shape \(4, 0\)\)"),
    ],
)
def test_bad_arguments(op: str, shapes: list, attributes: dict, message: str) -> None:
    graph = _core.Graph()
    with pytest.raises(ValueError, match=message):
        graph.apply(op, [graph.input(shape, "float32") for shape in shapes], attributes)
