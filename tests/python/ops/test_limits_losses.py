"""Every loss at probabilities of 0 and 1, infinite logits, offsets, masks, ignored labels: value, slope."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from limits import DTYPES, check, expect, functions_of, inf, limit, nan, slope_of
from mpmath import mp
from test_limits_activations import log_softmax, softplus

import ravine as rv
from ravine import nn, ops, optim
from ravine.ops import _loss

# ---- of one prediction and one target each ----


def huber(delta):
    def value(x, t):
        e = abs(x - t)
        return e * e / 2 if e <= delta else delta * (e - delta / 2)

    return value, lambda x, t: min(max(x - t, -delta), delta)


def logistic(x, t):
    """A term whose factor is 0 is 0."""
    return (t * softplus(-x) if t else 0) + ((1 - t) * softplus(x) if t != 1 else 0)


def logistic_slope(x, t):
    return (1 - t) / (1 + mp.exp(-x)) - t / (1 + mp.exp(x))


def bernoulli(x, t):
    yes = max(mp.log(x), -100) if x else mp.mpf(-100)
    no = max(mp.log1p(-x), -100) if x != 1 else mp.mpf(-100)
    return -(t * yes + (1 - t) * no)


def bernoulli_slope(x, t):
    return (x - t) / (x * (1 - x) or mp.mpf(1e-12))


ERRORS = [
    (0, 0),
    (1, 0),
    (-1, 0),
    (1, 1),
    (2.5, 0.5),
    (1e-3, 0),
    (1e4, 0),
    (-1e18, 1),
    (inf, 1),
    (-inf, 0),
    (0.5, 0),
]
LOGITS = list(itertools.product([0, 1, 20, -20, 40, -40, 85, -85, 1e4, -1e4, 1e20, -1e20], [0, 1, 0.25])) + [
    (-inf, 0),
    (inf, 1),
    (inf, 0),
    (-inf, 1),
    (inf, 0.5),
]
PROBABILITIES = list(itertools.product([0, 1, 0.5, 1e-6, 1e-20, 1 - 2.0**-20], [0, 1, 0.5]))
NEGATIVE = [(-0.5, 1), (-2, 0.25), (-1e4, 0.5), (-inf, 0), (-1, 0), (-inf, 0.5), (-20, 1e-10)]
# name: function, value, slope by the prediction, pairs
PAIRS = {
    "mse_loss": (ops.mse_loss, lambda x, t: (x - t) ** 2, lambda x, t: 2 * (x - t), ERRORS),
    "l1_loss": (ops.l1_loss, lambda x, t: abs(x - t), lambda x, t: mp.sign(x - t), ERRORS),
    "huber_loss": (ops.huber_loss, *huber(1), ERRORS),
    "huber_loss, delta": (lambda x, t, r: ops.huber_loss(x, t, r, delta=2.5), *huber(2.5), ERRORS),
    "smooth_l1_loss": (ops.smooth_l1_loss, *huber(1), ERRORS),
    "smooth_l1_loss, beta": (lambda x, t, r: ops.smooth_l1_loss(x, t, r, beta=0.5),
                             lambda x, t: 2 * huber(0.5)[0](x, t), lambda x, t: 2 * huber(0.5)[1](x, t),
                             ERRORS),
    "smooth_l1_loss, beta 0": (lambda x, t, r: ops.smooth_l1_loss(x, t, r, beta=0), lambda x, t: abs(x - t),
                               lambda x, t: mp.sign(x - t), ERRORS),
    "binary_cross_entropy_with_logits": (
        lambda x, t, r: ops.binary_cross_entropy_with_logits(x, t, reduction=r),
        logistic,
        logistic_slope,
        LOGITS,
    ),
    "binary_cross_entropy_with_logits, weights": (
        lambda x, t, r: ops.binary_cross_entropy_with_logits(x, t, np.array(2, x.dtype), r,
                                                             np.array(3, x.dtype)),
        lambda x, t: 2 * ((3 * t * softplus(-x) if t else 0) + ((1 - t) * softplus(x) if t != 1 else 0)),
        lambda x, t: 2 * ((1 - t) / (1 + mp.exp(-x)) - 3 * t / (1 + mp.exp(x))),
        LOGITS,
    ),
    "binary_cross_entropy": (lambda x, t, r: ops.binary_cross_entropy(x, t, reduction=r), bernoulli,
                             bernoulli_slope, PROBABILITIES),
    "kl_div": (ops.kl_div, lambda x, t: t * (mp.log(t) - x) if t else mp.mpf(0), lambda x, t: -t, NEGATIVE),
    "kl_div, logarithms": (
        lambda x, t, r: ops.kl_div(x, t, r, log_target=True),
        lambda x, t: mp.exp(t) * (t - x) if t > -1e5 else mp.mpf(0),
        lambda x, t: -mp.exp(t),
        [(-0.5, 0), (-2, -1), (-3, -inf), (-inf, -inf), (-inf, -1), (-1, -40)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_pairs(name: str) -> None:
    function, value, slope, pairs = PAIRS[name]
    for dtype in DTYPES:
        x, t = (np.array(side).astype(dtype) for side in zip(*pairs, strict=True))
        if dtype == "float32":  # whose squares overflow, as they do anywhere
            large = np.abs(x) > 1e18
            x, t = x[~large | np.isinf(x)], t[~large | np.isinf(x)]

        def wanted(f, x=x, t=t):
            def of(x, t):
                if np.isinf(t):
                    return limit(lambda t: f(mp.mpf(float(x)) if np.isfinite(x) else t, t), t)
                return limit(lambda x: f(x, mp.mpf(float(t))), x)

            return np.array([of(*pair) for pair in zip(x, t, strict=True)], np.longdouble)

        got = np.asarray(function(x, t, "none").numpy())
        expect(got, wanted(value), dtype, f"{name}, {dtype}", relative=2)
        # a difference of the logarithm of the target and the prediction may cancel
        got = rv.value_and_grad(lambda x, t: function(x, t, "none").sum())(x, t)[1]
        expect(got, wanted(slope), dtype, f"slope of {name}, {dtype}", relative=2)
        # NaN stays, in the prediction and in the target
        for pair in ((nan, 0.5), (0.5, nan), (nan, 0), (nan, 1)):
            assert np.isnan(function(*(np.array([p], dtype) for p in pair), "none").numpy()), (name, pair)
        for reduction, empty in (("mean", nan), ("sum", 0.0)):
            got = function(np.zeros((0, 3), dtype), np.zeros((0, 3), dtype), reduction).numpy()
            np.testing.assert_array_equal(got, empty)


def test_a_target_below_zero_has_no_divergence() -> None:
    check(lambda x: ops.kl_div(x, np.full(2, -0.5, x.dtype), "none"), [-1, -2], [nan, nan], None, "kl_div")


def test_the_slope_by_a_target() -> None:
    x = np.array([0.0, 2.0, -30.0])
    check(
        lambda t: ops.binary_cross_entropy_with_logits(x.astype(t.dtype), t, reduction="none"),
        [0.0, 1.0, 0.25],
        lambda t: np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0) - x * t,
        -x * [1, 2, 3],
        "binary_cross_entropy_with_logits by its target",
        absolute=30,
    )
    p = np.array([0.0, 1.0, 0.25])
    check(
        lambda t: ops.binary_cross_entropy(p.astype(t.dtype), t, reduction="none"),
        [0.0, 1.0, 0.5],
        lambda t: -(t * [-100, 0, np.log(0.25)] + (1 - t) * [0, -100, np.log(0.75)]),
        np.array([100, -100, np.log(3)]) * [1, 2, 3],
        "binary_cross_entropy by its target",
    )


# ---- of classes ----


def classes(x, label, weight=None, smoothing=0.0):
    """Losses and slopes of rows [N, C], in long double."""
    log_p, n = log_softmax(x), x.shape[1]
    target = (1 - smoothing) * np.eye(n)[label] + smoothing / n
    target = target * (1 if weight is None else weight)
    losses = -np.where(target == 0, 0, target * log_p).sum(1)
    p = np.exp(log_p)
    slopes = p * target.sum(1, keepdims=True) - target
    if smoothing == 0:  # p - 1 of the label, without cancelling
        rest = np.where(np.arange(n) == np.asarray(label)[:, None], 0, p).sum(1)
        slopes[np.arange(len(x)), label] = -rest * target.sum(1)
    return losses, slopes


QUARTERS = np.array([[0, 1.25, -3, 0.5], [2, 2, -2, -2], [0.25, 0.75, 0, 8]])
LABELS = np.array([1, 3, 3])
CLASS_ROWS = {
    **{f"offset {c:g}": (QUARTERS + c, LABELS) for c in (0, 1e3, -(2.0**14), 2.0**18, -(2.0**20))},
    **{f"equal logits {c:g}": (np.full((3, 4), c), LABELS) for c in (1, 1e4, 1e8, -1e20, 3e38)},
    "saturated": (np.array([[20, 0], [0, 30], [-40, 40], [0, -80]]), np.array([0, 1, 1, 0])),
    "saturated, many classes": (np.array([[30.0] + [0] * 39, [0] * 39 + [17.0]]), np.array([0, 39])),
    "wrong and sure": (np.array([[0, 1e4], [1e20, -1e20]]), np.array([0, 1])),
    "masked": (np.array([[1, -inf, 2], [-inf, 0, -inf]]), np.array([0, 1])),
    "masked label": (np.array([[1, -inf, 2]]), np.array([1])),
    "one class": (np.array([[3.0], [-1e20]]), np.array([0, 0])),
    "one row": (QUARTERS[:1], LABELS[:1]),
}


@pytest.mark.parametrize("kind", CLASS_ROWS)
def test_cross_entropy(kind: str) -> None:
    x, labels = CLASS_ROWS[kind]
    n = x.shape[1]

    def losses(x):
        return ops.cross_entropy(x, labels, reduction="none")

    def slopes(x):
        return classes(x, labels)[1] * np.arange(1, len(x) + 1)[:, None]

    check(losses, x, lambda x: classes(x, labels)[0], slopes, kind, relative=4)
    # As probabilities; and with weights and smoothing, where no class is ruled out.
    target = np.eye(n)[labels]
    check(
        lambda x: ops.cross_entropy(x, target.astype(x.dtype), reduction="none"),
        x,
        lambda x: classes(x, labels)[0],
        slopes,
        f"{kind}, probabilities",
        relative=4,
        absolute=2 * len(x),
    )
    if np.isfinite(x).all():
        w = np.linspace(1, 2, n)
        check(
            lambda x: ops.cross_entropy(x, labels, w.astype(x.dtype), reduction="none", label_smoothing=0.25),
            x,
            lambda x: classes(x, labels, w, 0.25)[0],
            lambda x: classes(x, labels, w, 0.25)[1] * np.arange(1, len(x) + 1)[:, None],
            f"{kind}, weights and smoothing",
            relative=4,
            absolute=8 * len(x),
        )


@pytest.mark.parametrize("kind", [k for k in CLASS_ROWS if "masked" not in k])
def test_second_derivatives_keep_offsets_apart(kind: str) -> None:
    """The product of the Hessian and a vector, by the decomposed form: diag(p) v - p (p v)."""
    x, labels = CLASS_ROWS[kind]
    x64 = x.astype("float64")
    v = np.cos(np.arange(x.size)).reshape(x.shape)
    product = rv.hvp(lambda x: ops.cross_entropy(x, labels, reduction="sum"))(x64, v)
    p = np.exp(log_softmax(x64.astype(np.longdouble)))
    np.testing.assert_allclose(
        product, (p * v - p * (p * v).sum(1, keepdims=True)).astype(float), rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize("classes_", [1, 2, 5, 32, 33, 200])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_batch_whose_labels_are_all_ignored_changes_nothing(
    classes_: int, smoothing: float, weighted: bool
) -> None:
    weight = np.linspace(1, 2, classes_).astype("float32") if weighted else None
    x = np.linspace(-1, 1, 6 * classes_).reshape(6, classes_).astype("float32")
    labels = np.full(6, -100)

    def loss(x):
        return ops.cross_entropy(x, labels, weight, label_smoothing=smoothing)

    value, gradient = rv.value_and_grad(loss)(x)
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros_like(x))
    value, gradient = rv.value_and_grad(lambda x: ops.nll_loss(x, labels, weight))(x)
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros_like(x))
    model = nn.Linear(classes_, classes_)
    before = model.state_dict()
    criterion = nn.CrossEntropyLoss(weight=weight, label_smoothing=smoothing)
    step = rv.TrainStep(model, criterion, optim.SGD(lr=0.1, momentum=0.9))
    assert step(x, labels) == 0
    for key, values in model.state_dict().items():
        np.testing.assert_array_equal(values, before[key])


def test_a_class_without_weight_adds_nothing_behind_a_mask() -> None:
    x = np.array([[0, -inf, 0], [1, 1, 1]])
    w = np.array([1.0, 0.0, 1.0])
    for function in (ops.cross_entropy, ops.nll_loss):
        check(
            lambda x, function=function: function(x, np.array([1, 2]), w.astype(x.dtype), reduction="none"),
            x,
            [0, np.log(np.longdouble(3)) if function is ops.cross_entropy else -1],
            None,
            function.__name__,
        )


def test_nll_loss() -> None:
    x = np.array([[-1, -inf], [-1e20, 0], [nan, -2], [-0.5, nan]])
    for dtype in DTYPES:
        logs, labels = x.astype(dtype), np.array([0, 0, 1, -100])

        def losses(x, labels=labels):
            return ops.nll_loss(x, labels, reduction="none")

        np.testing.assert_array_equal(losses(logs).numpy(), [1, -logs[1, 0], 2, 0])
        np.testing.assert_array_equal(slope_of(losses, logs), [[-1, 0], [-2, 0], [0, -3], [0, 0]])
        assert losses(logs[:1], np.array([1])).numpy() == inf
        assert np.isnan(losses(logs[2:3], np.array([0])).numpy())


def test_cross_entropy_of_what_has_no_limit() -> None:
    """As torch: NaN where no logit is finite and where one is NaN, unless the row is ignored."""
    x = np.array([[-inf, -inf], [nan, 1], [nan, 1], [0, 0]])
    labels = np.array([0, 1, -100, 1])
    half = np.log(np.longdouble(2))
    check(lambda x: ops.cross_entropy(x, labels, reduction="none"), x, [nan, nan, 0, half], None, "no limit")
    slopes = slope_of(lambda x: ops.cross_entropy(x, labels, reduction="none"), x)
    np.testing.assert_array_equal(slopes[2:], [[0, 0], [2, -2]])


def test_ignore_index_is_for_labels() -> None:
    with pytest.raises(
        ValueError, match=r"ignore_index is for class indices, got 1 and probabilities of shape"
    ):
        ops.cross_entropy(np.zeros((2, 3)), np.full((2, 3), 1 / 3), ignore_index=1)


def test_a_net_on_separable_blobs_stays_finite() -> None:
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((64, 2)) + np.repeat([[-40.0], [40.0]], 32, 0)).astype("float32")
    y = np.repeat([[0.0], [1.0]], 32, 0).astype("float32")
    model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1), nn.Sigmoid())
    step = rv.TrainStep(model, nn.BCELoss(), optim.SGD(lr=0.5))
    losses = [step(x, y) for _ in range(60)]
    assert np.isfinite(losses).all()
    assert all(np.isfinite(v).all() for v in model.state_dict().values())


def test_every_loss_has_a_row() -> None:
    rows = {name.split(",")[0] for name in PAIRS} | {"cross_entropy", "nll_loss"}
    assert rows == functions_of(_loss)
