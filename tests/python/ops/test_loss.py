"""Losses: cross-entropy in all its forms, and those composed of elementwise operations."""

from __future__ import annotations

import numpy as np
import pytest
from helper import Case, apart, bools, case, check, integers, normal, positive, record
from scipy import special

import ravine as rv
from ravine import _core, ops

WEIGHTS = positive(5)


def probabilities(*shape, seed=0):
    x = positive(*shape, seed=seed)
    return x / x.sum(1, keepdims=True)


def with_ignored(labels, ignore_index):
    labels = labels.copy()
    labels.reshape(-1)[::3] = ignore_index
    return labels


def cross_entropy(x, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """As torch.nn.functional.cross_entropy documents it, in double precision."""
    classes = x.shape[1]
    rows = np.moveaxis(x, 1, -1).reshape(-1, classes)
    indices = target.dtype.kind != "f"
    w = np.ones(classes) if weight is None else weight
    if indices:
        labels = target.reshape(-1)
        counted = labels != ignore_index
        t = np.eye(classes)[np.where(counted, labels, 0)]
        row_weights = w[np.where(counted, labels, 0)] * counted
    else:
        counted = np.ones(len(rows), bool)
        t = np.moveaxis(target, 1, -1).reshape(-1, classes)
        row_weights = np.ones(len(rows))
    t = (1 - label_smoothing) * t + label_smoothing / classes
    losses = -(t * w * special.log_softmax(rows, axis=1)).sum(1) * counted
    if reduction == "none":
        return losses.reshape(x.shape[:1] + x.shape[2:])
    return losses.sum() / (row_weights.sum() if reduction == "mean" else 1)


def forms():
    """(name, logits, target, keyword arguments)"""
    x, labels, images = normal(7, 5), integers(7, high=5), normal(2, 5, 3, 2)
    yield "labels", x, labels, {}
    yield "int32", x, integers(7, high=5, dtype="int32"), {}
    yield "uint8", x, integers(7, high=5, dtype="uint8"), {}
    yield "sum", x, labels, {"reduction": "sum"}
    yield "none", x, labels, {"reduction": "none"}
    yield "smoothing", x, labels, {"label_smoothing": 0.1}
    yield "smoothing1", x, labels, {"label_smoothing": 1.0}
    yield "weights", x, labels, {"weight": WEIGHTS}
    yield "weights_smoothing", x, labels, {"weight": WEIGHTS, "label_smoothing": 0.3}
    yield "ignored", x, with_ignored(labels, -100), {}
    yield (
        "ignore_index",
        x,
        with_ignored(labels, 2),
        {"ignore_index": 2, "weight": WEIGHTS, "label_smoothing": 0.2},
    )
    yield "ignored_none", x, with_ignored(labels, -1), {"ignore_index": -1, "reduction": "none"}
    yield "images", images, integers(2, 3, 2, high=5), {"label_smoothing": 0.1}
    yield "images_none", images, integers(2, 3, 2, high=5), {"reduction": "none"}
    yield "one_class", normal(4, 1), integers(4, high=1), {}
    yield "many_classes", normal(3, 257), integers(3, high=257), {}
    yield "empty_sum", normal(0, 5), integers(0, high=5), {"reduction": "sum"}
    yield "probabilities", x, probabilities(7, 5), {}
    yield "probabilities_smoothing", x, probabilities(7, 5), {"label_smoothing": 0.1, "reduction": "none"}
    yield "probabilities_weights", x, probabilities(7, 5), {"weight": WEIGHTS, "reduction": "sum"}
    yield "probabilities_images", images, probabilities(2, 5, 3, 2), {}


def composed():
    x, y, labels = apart(4, 5), normal(4, 5, seed=1), bools(4, 5).astype(np.float64)

    def bce(x, t, weight=1.0, pos_weight=1.0):
        return (-weight * (pos_weight * t * special.log_expit(x) + (1 - t) * special.log_expit(-x))).mean()

    def huber(x, y, delta):
        e = np.abs(x - y)
        return np.where(e < delta, 0.5 * e * e, delta * (e - 0.5 * delta)).mean()

    yield case(
        "weighted_mean",
        lambda x, w: ops.weighted_mean(x, w),
        lambda x, w: (x * w).sum() / np.broadcast_to(w, x.shape).sum(),
        x,
        positive(5),
    )
    yield case(
        "weighted_mean_nothing", lambda x: ops.weighted_mean(x, np.zeros((4, 1))), lambda x: 0.0 * x.sum(), x
    )
    yield case("mse_loss", ops.mse_loss, lambda x, y: np.mean((x - y) ** 2), x, y)
    yield case("mse_loss_none", lambda x, y: ops.mse_loss(x, y, "none"), lambda x, y: (x - y) ** 2, x, y)
    yield case("l1_loss", ops.l1_loss, lambda x, y: np.mean(np.abs(x - y)), x, y)
    yield case(
        "huber_loss", lambda x, y: ops.huber_loss(x, y, delta=0.7), lambda x, y: huber(x, y, 0.7), x, y
    )
    yield case(
        "smooth_l1_loss",
        lambda x, y: ops.smooth_l1_loss(x, y, beta=0.7),
        lambda x, y: huber(x, y, 0.7) / 0.7,
        x,
        y,
    )
    yield case("bce_logits", ops.binary_cross_entropy_with_logits, bce, x * 5, labels)
    yield case(
        "bce_logits_weights",
        lambda x, t, w, p: ops.binary_cross_entropy_with_logits(x, t, weight=w, pos_weight=p),
        bce,
        x,
        labels,
        positive(4, 5),
        positive(5),
    )
    yield case(
        "bce",
        ops.binary_cross_entropy,
        lambda p, t: -(t * np.log(p) + (1 - t) * np.log1p(-p)).mean(),
        special.expit(x),
        labels,
        frozen=(1,),
    )
    logs = special.log_softmax(x, 1)
    yield case(
        "nll_loss",
        lambda x, t, w: ops.nll_loss(x, t, w),
        lambda x, t, w: -(w[t] * x[np.arange(4), t]).sum() / w[t].sum(),
        logs,
        integers(4, high=5),
        WEIGHTS,
    )
    yield case(
        "nll_loss_ignored",
        lambda x, t: ops.nll_loss(x, t, ignore_index=-1, reduction="none"),
        lambda x, t: np.where(t == -1, 0, -x[np.arange(4), t]),
        logs,
        with_ignored(integers(4, high=5), -1),
    )
    yield case(
        "kl_div",
        lambda x, t: ops.kl_div(x, t, reduction="batchmean"),
        lambda x, t: (t * (np.log(t) - x)).sum() / 4,
        logs,
        probabilities(4, 5),
    )
    yield case(
        "kl_div_log_target",
        lambda x, t: ops.kl_div(x, t, reduction="sum", log_target=True),
        lambda x, t: (np.exp(t) * (t - x)).sum(),
        logs,
        special.log_softmax(y, 1),
    )


def cross_entropy_case(name, x, target, how):
    how = dict(how)
    weight = how.pop("weight", None)
    operands = (
        (x, target) if weight is None else (x, target, weight)
    )  # weights and probabilities have gradients too
    return case(
        f"cross_entropy-{name}",
        lambda *operands: ops.cross_entropy(*operands, **how),
        lambda *operands: cross_entropy(*operands, **how),
        *operands,
    )


CASES = [*[cross_entropy_case(*form) for form in forms()], *composed()]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operation(case: Case) -> None:
    check(case)


def test_logits_that_are_their_own_target() -> None:
    check(
        case(
            "self",
            lambda x: ops.cross_entropy(x, x),
            lambda x: cross_entropy(x, x),
            probabilities(3, 4),
        )
    )


def test_large_logits_neither_overflow_nor_cancel() -> None:
    x = np.array([[1e4, 0.0, -1e4], [-1e4, -1e4, -1e4]], dtype=np.float32)
    with rv.eager():
        losses = ops.cross_entropy(x, [2, 1], reduction="none").numpy()
    np.testing.assert_allclose(losses, [2e4, np.log(3)], rtol=1e-4)  # float32 has 1e-3 at 1e4


def test_rows_that_are_ignored_have_no_gradient() -> None:
    graph, inputs, outputs = record(
        lambda x, t: ops.cross_entropy(x, t), [normal(4, 3), np.array([0, -100, 2, -100])]
    )
    program = _core.Program(graph, graph.gradients(outputs[0], inputs[:1]))
    (gradient,) = program.run([normal(4, 3), np.array([0, -100, 2, -100])])
    np.testing.assert_array_equal(gradient[[1, 3]], np.zeros((2, 3)))
    assert np.abs(gradient[[0, 2]]).min() > 0


def test_forward_and_gradient_are_one_kernel_each() -> None:
    arrays = [normal(4, 3).astype("float32"), integers(4, high=3)]
    graph, inputs, outputs = record(lambda x, t: ops.cross_entropy(x, t), arrays)
    text = _core.Program(graph, [*outputs, *graph.gradients(outputs[0], inputs[:1])]).describe()
    # "   3 | cross_entropy  (4, 3) ...": number, barrier, kernel
    kernels = [line.replace("|", " ").split()[1] for line in text.splitlines() if line[:4].strip().isdigit()]
    assert kernels.count("cross_entropy") == kernels.count("cross_entropy_grad") == 1
    assert not {"softmax", "log_softmax", "gather", "one_hot"} & set(kernels)


@pytest.mark.parametrize("label", [-1, 3, 2**40])
def test_label_out_of_range(label: int) -> None:
    graph = _core.Graph()
    x, t = graph.input((2, 3), "float32"), graph.input((2,), "int64")
    loss = graph.apply("sum", [graph.apply("cross_entropy", [x, t], {})[0]], {"axes": ()})[0]
    program = _core.Program(graph, [loss, *graph.gradients(loss, [x])])
    x_data = np.zeros((2, 3), np.float32)
    with pytest.raises(ValueError, match=rf"cross_entropy: label {label} is outside \[0, 3\)"):
        program.run([x_data, np.array([0, label])])
    loss_of_good, _ = program.run([x_data, np.array([0, 2])])  # a failed run leaves no trace
    np.testing.assert_allclose(loss_of_good, 2 * np.log(3), rtol=1e-6)


@pytest.mark.parametrize(
    ("inputs", "attributes", "error", "message"),
    [
        (
            [((4, 3), "float32"), ((4,), "float32")],
            {},
            ValueError,
            r"probabilities have shape \(4,\), .* \(4, 3\)",
        ),
        ([((4, 3), "float32"), ((4, 3), "float64")], {}, TypeError, "probabilities are float64, .* float32"),
        ([((4, 3), "float32"), ((4,), "bool")], {}, TypeError, "labels must be int32 or int64 .* got bool"),
        (
            [((4, 3), "float32"), ((5,), "int64")],
            {},
            ValueError,
            r"labels have shape \(5,\), expected \(4,\)",
        ),
        ([((4, 3, 2), "float32"), ((4,), "int64")], {}, ValueError, r"expected logits \[rows, classes\]"),
        ([((4, 0), "float32"), ((4,), "int64")], {}, ValueError, "there are no classes"),
        ([((4, 3), "int64"), ((4,), "int64")], {}, TypeError, "float32 or float64"),
        (
            [((4, 3), "float32"), ((4,), "int64"), ((4,), "float32")],
            {},
            ValueError,
            r"class weights are float32 \(4,\)",
        ),
        (
            [((4, 3), "float32"), ((4,), "int64")],
            {"label_smoothing": 1.5},
            ValueError,
            r"label_smoothing must be in \[0, 1\]",
        ),
        (
            [((4, 3), "float32"), ((4,), "int64")],
            {"ignore_index": 2**40},
            ValueError,
            "ignore_index .* too large",
        ),
        (
            [((4, 3), "float32"), ((4,), "int64")],
            {"smoothing": 0.1},
            TypeError,
            "unknown attribute 'smoothing'",
        ),
    ],
)
def test_bad_arguments(inputs: list, attributes: dict, error: type, message: str) -> None:
    graph = _core.Graph()
    with pytest.raises(error, match=message):
        graph.apply("cross_entropy", [graph.input(shape, dtype) for shape, dtype in inputs], attributes)
