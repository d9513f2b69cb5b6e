"""Losses as numerators and denominators: uneven batches, weights, ignored labels and accumulation, each as
NumPy computes it in float64 over one batch of all examples."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

import ravine as rv
from ravine import _core, nn, ops, optim

RNG = np.random.default_rng(0)
N, D, C = 7, 2, 3
X = RNG.normal(size=(N, D))
START = RNG.normal(size=(C, D))
LABELS = np.array([0, 2, 1, 1, 0, 2, 1])
IGNORED = np.array([-100, -100, 1, -100, 0, 2, 1])
NUMBERS = RNG.normal(size=(N, C))
YES = (RNG.random((N, C)) < 0.5).astype(np.float64)
SIGNS = YES * 2 - 1
SHARES = RNG.dirichlet(np.ones(C), N)
CLASS_WEIGHT = np.array([0.5, 2.0, 3.0])
MANY = np.array([[2, 0, -1], [1, -1, -1], [0, 1, 2], [2, -1, 0], [0, -1, -1], [1, 2, -1], [2, 1, 0]])
UNEVEN = (slice(0, 3), slice(3, 4), slice(4, 7))
WEIGHT = RNG.random(N) + np.array([0, 0, 0, 1, 0, 0, 2])
WEIGHT[1] = 0.0

# What a loss makes of outputs and targets: the terms of its numerator and of its denominator, by example.
Terms = tuple[np.ndarray, np.ndarray]


class Case(NamedTuple):
    loss: Callable[[Any, Any], Any]
    target: np.ndarray
    terms: Callable[[np.ndarray, np.ndarray], Terms]


def each(function: Callable[..., np.ndarray]) -> Callable[..., Terms]:
    """Terms that count 1 each."""

    def terms(z: np.ndarray, t: np.ndarray) -> Terms:
        losses = function(z, t)
        return losses, np.ones_like(losses)

    return terms


def log_softmax(z: np.ndarray) -> np.ndarray:
    return z - np.logaddexp.reduce(z, axis=1, keepdims=True)


def of_classes(weight: np.ndarray, smoothing: float = 0.0) -> Callable[..., Terms]:
    def terms(z: np.ndarray, t: np.ndarray) -> Terms:
        counts, labels, logs = t >= 0, np.where(t >= 0, t, 0), log_softmax(z)
        own = -logs[np.arange(len(t)), labels] * weight[labels]
        spread = -(logs * weight).sum(1) / len(weight)
        return counts * ((1 - smoothing) * own + smoothing * spread), counts * weight[labels]

    return terms


def logistic(z: np.ndarray, t: np.ndarray, positive: Any = 1.0) -> np.ndarray:
    return positive * t * np.logaddexp(0, -z) + (1 - t) * np.logaddexp(0, z)


def huber(z: np.ndarray, t: np.ndarray, delta: float) -> np.ndarray:
    e = np.abs(z - t)
    return np.where(e < delta, 0.5 * e * e, delta * (e - 0.5 * delta))


def multi_margin(z: np.ndarray, t: np.ndarray) -> np.ndarray:
    gaps = np.maximum(0, 1 - z[np.arange(len(t)), t][:, None] + z)
    return np.where(np.arange(C) == t[:, None], 0, gaps).sum(1) / C


def multilabel_margin(z: np.ndarray, t: np.ndarray) -> np.ndarray:
    rows = []
    for scores, labels in zip(z, t, strict=True):
        own = [label for i, label in enumerate(labels) if (labels[: i + 1] >= 0).all()]
        rest = [i for i in range(C) if i not in own]
        rows.append(sum(max(0.0, 1 - scores[j] + scores[i]) for j in own for i in rest) / C)
    return np.array(rows)


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))


def focal(z: np.ndarray, t: np.ndarray) -> np.ndarray:
    p = 1 / (1 + np.exp(-z))
    return logistic(z, t) * (t + p - 2 * p * t) ** 2 * (0.25 * t + 0.75 * (1 - t))


def ctc(z: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Of 1 step and 1 label: the label itself."""
    return -log_softmax(z)[np.arange(len(t)), t[:, 0]]


def masked(output: Any, target: Any) -> Any:
    return ops.weighted_mean(ops.abs(output - target), target > 0)


def with_penalty(output: Any, target: Any) -> Any:
    return 2.0 * ops.mse_loss(output, target) + 0.5 * ops.l1_loss(output, target) - 3.0


UNIT = np.ones(C)
CASES: dict[str, Case] = {
    "cross_entropy": Case(nn.CrossEntropyLoss(), LABELS, of_classes(UNIT)),
    "cross_entropy, ignored": Case(nn.CrossEntropyLoss(), IGNORED, of_classes(UNIT)),
    "cross_entropy, classes": Case(
        lambda z, t: ops.cross_entropy(z, t, CLASS_WEIGHT, label_smoothing=0.1),
        IGNORED,
        of_classes(CLASS_WEIGHT, 0.1),
    ),
    "cross_entropy, shares": Case(
        nn.CrossEntropyLoss(), SHARES, each(lambda z, t: -(t * log_softmax(z)).sum(1))
    ),
    "nll": Case(
        lambda z, t: ops.nll_loss(ops.log_softmax(z, 1), t, CLASS_WEIGHT),
        IGNORED,
        of_classes(CLASS_WEIGHT),
    ),
    "bce_with_logits": Case(
        nn.BCEWithLogitsLoss(weight=CLASS_WEIGHT, pos_weight=CLASS_WEIGHT[::-1].copy()),
        YES,
        each(lambda z, t: CLASS_WEIGHT * logistic(z, t, CLASS_WEIGHT[::-1])),
    ),
    "bce": Case(lambda z, t: ops.binary_cross_entropy(ops.sigmoid(z), t), YES, each(logistic)),
    "mse": Case(nn.MSELoss(), NUMBERS, each(lambda z, t: (z - t) ** 2)),
    "l1": Case(nn.L1Loss(), NUMBERS, each(lambda z, t: np.abs(z - t))),
    "huber": Case(nn.HuberLoss(delta=0.7), NUMBERS, each(lambda z, t: huber(z, t, 0.7))),
    "smooth_l1": Case(nn.SmoothL1Loss(beta=0.7), NUMBERS, each(lambda z, t: huber(z, t, 0.7) / 0.7)),
    "kl_div": Case(
        lambda z, t: nn.KLDivLoss()(ops.log_softmax(z, 1), t),
        SHARES,
        each(lambda z, t: t * (np.log(t) - log_softmax(z))),
    ),
    "kl_div, batchmean": Case(
        lambda z, t: nn.KLDivLoss(reduction="batchmean")(ops.log_softmax(z, 1), t),
        SHARES,
        each(lambda z, t: (t * (np.log(t) - log_softmax(z))).sum(1)),
    ),
    "soft_margin": Case(nn.SoftMarginLoss(), SIGNS, each(lambda z, t: np.logaddexp(0, -z * t))),
    "hinge_embedding": Case(
        nn.HingeEmbeddingLoss(), SIGNS, each(lambda z, t: np.where(t > 0, z, np.maximum(0, 1 - z)))
    ),
    "multi_margin": Case(nn.MultiMarginLoss(), LABELS, each(multi_margin)),
    "multilabel_margin": Case(nn.MultiLabelMarginLoss(), MANY, each(multilabel_margin)),
    "multilabel_soft_margin": Case(
        nn.MultiLabelSoftMarginLoss(), YES, each(lambda z, t: logistic(z, t).mean(1))
    ),
    "poisson_nll": Case(nn.PoissonNLLLoss(), YES, each(lambda z, t: np.exp(z) - t * z)),
    "gaussian_nll": Case(
        lambda z, t: nn.GaussianNLLLoss()(z, t, ops.exp(z)),
        NUMBERS,
        each(lambda z, t: 0.5 * (z + (z - t) ** 2 / np.exp(z))),
    ),
    "quantile": Case(
        nn.QuantileLoss(q=0.9), NUMBERS, each(lambda z, t: np.maximum(0.9 * (t - z), -0.1 * (t - z)))
    ),
    "sigmoid_focal": Case(nn.SigmoidFocalLoss(), YES, each(focal)),
    "cosine_embedding": Case(
        lambda z, t: nn.CosineEmbeddingLoss()(z, t, np.ones(N)[: t.shape[0]]),
        NUMBERS,
        each(lambda z, t: 1 - cosine(z, t)),
    ),
    "margin_ranking": Case(
        lambda z, t: nn.MarginRankingLoss(margin=0.3)(z, t, np.ones((1, 1))),
        NUMBERS,
        each(lambda z, t: np.maximum(0, 0.3 - (z - t))),
    ),
    "triplet_margin": Case(
        lambda z, t: nn.TripletMarginLoss(margin=2.0, eps=1e-30)(t, z, ops.flip(z, [1])),
        NUMBERS,
        each(
            lambda z, t: np.maximum(
                0, 2 + np.linalg.norm(z - t, axis=1) - np.linalg.norm(z[:, ::-1] - t, axis=1)
            )
        ),
    ),
    "ctc": Case(
        lambda z, t: nn.CTCLoss()(
            ops.unsqueeze(ops.log_softmax(z, 1), 0), t, np.ones(t.shape[0], int), np.ones(t.shape[0], int)
        ),
        LABELS[:, None] % 2 + 1,
        each(ctc),
    ),
    "a function": Case(
        lambda z, t: (z * t).square().sum(1).mean(), NUMBERS, each(lambda z, t: ((z * t) ** 2).sum(1))
    ),
    "a mean of means": Case(
        lambda z, t: (z - t).square().mean(1).mean(), NUMBERS, each(lambda z, t: ((z - t) ** 2).mean(1))
    ),
    "masked": Case(masked, NUMBERS, lambda z, t: ((t > 0) * np.abs(z - t), (t > 0) * 1.0)),
    "a combination": Case(
        with_penalty, NUMBERS, each(lambda z, t: 2 * (z - t) ** 2 + 0.5 * np.abs(z - t) - 3)
    ),
}


def value(case: Case, weights: np.ndarray, rows: Any, weight: np.ndarray) -> float:
    """The loss of some examples at once."""
    terms, counts = case.terms(X[rows] @ weights.T, case.target[rows])
    factor = weight[rows].reshape((-1,) + (1,) * (terms.ndim - 1))
    total = (factor * counts).sum()
    return float((factor * terms).sum() / total) if total else 0.0


def slopes(case: Case, weights: np.ndarray, rows: Any, weight: np.ndarray) -> np.ndarray:
    result, step = np.zeros_like(weights), 1e-5
    for i in np.ndindex(weights.shape):
        away = np.zeros_like(weights)
        away[i] = step
        ends = [value(case, weights + sign * away, rows, weight) for sign in (1, -1)]
        result[i] = (ends[0] - ends[1]) / (2 * step)
    return result


def new_model(dtype: str) -> nn.Linear:
    model = nn.Linear(D, C, bias=False).to(dtype)
    model.weight.data = START
    return model


def groups(accumulate: int) -> Iterator[np.ndarray]:
    """The examples of each update."""
    for first in range(0, len(UNEVEN), accumulate):
        yield np.concatenate([np.arange(N)[rows] for rows in UNEVEN[first : first + accumulate]])


@pytest.mark.parametrize("name", CASES)
def test_uneven_batches_are_one_batch_of_all(name: str) -> None:
    case = CASES[name]
    for dtype, accumulate, weight in (
        ("float64", 1, None),
        ("float64", 2, WEIGHT),
        ("float64", 3, None),
        ("float32", 9, WEIGHT),
    ):
        model, factors = new_model(dtype), np.ones(N) if weight is None else weight
        step = rv.TrainStep(model, case.loss, optim.SGD(lr=0.1, accumulate=accumulate))
        expected, tolerance = START.copy(), {"float64": 2e-7, "float32": 2e-5}[dtype]
        batches = iter(UNEVEN)
        for rows in groups(accumulate):
            for _, batch in zip(range(accumulate), batches, strict=False):
                x, t = X[batch], case.target[batch]
                loss = step(x, t) if weight is None else step(x, t, weight=weight[batch])
                assert loss == pytest.approx(value(case, expected, batch, factors), abs=tolerance)
            expected -= 0.1 * slopes(case, expected, rows, factors)
        assert step.finish_accumulation() == (len(UNEVEN) % accumulate > 0)
        assert not step.finish_accumulation()
        assert step.steps == len(list(groups(accumulate)))
        np.testing.assert_allclose(
            model.weight.data, expected, atol=tolerance, err_msg=f"{dtype} {accumulate}"
        )


@pytest.mark.parametrize("name", CASES)
def test_evaluation_does_not_depend_on_the_batch_size(name: str) -> None:
    case = CASES[name]
    trainer = rv.Trainer(new_model("float64"), case.loss, optim.SGD(lr=0.0))
    for weight in (None, WEIGHT):
        expected = value(case, START, slice(None), np.ones(N) if weight is None else weight)
        for size in (1, 3, 7):
            seen = trainer.evaluate(X, case.target, sample_weight=weight, batch_size=size)["loss"]
            assert seen == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("accumulate", [1, 2, 9])
@pytest.mark.parametrize("weighted", [False, True])
def test_an_epoch_reports_the_loss_of_all_and_applies_its_tail(accumulate: int, weighted: bool) -> None:
    case = CASES["cross_entropy, classes"]
    weight = WEIGHT if weighted else np.ones(N)
    model = new_model("float64")
    updates: list[int] = []

    class Updates(rv.train.Callback):
        def on_update(self, trainer: Any, step: int) -> None:
            updates.append(step)

    trainer = rv.Trainer(model, case.loss, optim.SGD(lr=0.1, accumulate=accumulate))
    options: dict[str, Any] = {"batch_size": 3, "shuffle": False, "verbose": 0, "callbacks": [Updates()]}
    history = trainer.fit(X, case.target, sample_weight=weight if weighted else None, epochs=2, **options)
    expected, sums = START.copy(), []
    batches = [slice(0, 3), slice(3, 6), slice(6, 7)]
    for _ in range(2):
        numerator = denominator = 0.0
        for first in range(0, 3, accumulate):
            own = batches[first : first + accumulate]
            for rows in own:
                counts = weight[rows] @ case.terms(X[rows] @ expected.T, case.target[rows])[1]
                numerator += value(case, expected, rows, weight) * counts
                denominator += counts
            rows = np.concatenate([np.arange(N)[rows] for rows in own])
            expected -= 0.1 * slopes(case, expected, rows, weight)
        sums.append(numerator / denominator)
    np.testing.assert_allclose(history["loss"], sums, rtol=1e-6)
    np.testing.assert_allclose(model.weight.data, expected, atol=1e-6)
    assert updates == list(range(1, 2 * -(-3 // accumulate) + 1))
    assert "optimizer.gathered" not in trainer.step.state_dict()


@pytest.mark.parametrize("accumulate", [1, 2])
def test_where_nothing_counts_nothing_moves(accumulate: int) -> None:
    for target, weight in ((np.full(N, -100), None), (LABELS, np.zeros(N))):
        model = new_model("float32")
        step = rv.TrainStep(model, nn.CrossEntropyLoss(), optim.SGD(lr=0.1, accumulate=accumulate))
        for _ in range(2):
            assert step(X, target, weight=weight) == 0.0
        np.testing.assert_array_equal(model.weight.data, START.astype(np.float32))
        assert (step.steps, step.skipped) == (2 // accumulate, 0)
    ignored = rv.Trainer(model, nn.CrossEntropyLoss(), optim.SGD(lr=0.1)).evaluate(X, np.full(N, -100))
    assert ignored["loss"] == 0.0
    # A call in which nothing counts takes nothing from one in which something does.
    case, model = CASES["cross_entropy"], new_model("float64")
    step = rv.TrainStep(model, case.loss, optim.SGD(lr=0.1, accumulate=2))
    step(X, np.full(N, -100))
    step(X, LABELS)
    expected = START - 0.1 * slopes(case, START, slice(None), np.ones(N))
    np.testing.assert_allclose(model.weight.data, expected, atol=1e-7)


def test_parts_are_averaged_as_the_loss_is() -> None:
    def loss(output: Any, target: Any) -> Any:
        error = output - target
        return error.square().mean(), {"mae": error.abs().mean(), "largest": ops.abs(error).max()}

    model = new_model("float64")
    trainer = rv.Trainer(model, loss, optim.SGD(lr=0.0))
    options: dict[str, Any] = {"batch_size": 3, "shuffle": False, "verbose": 0}
    history = trainer.fit(X, NUMBERS, validation_data=(X, NUMBERS, WEIGHT), **options)
    error = np.abs(X @ START.T - NUMBERS)
    assert history["mae"] == [pytest.approx(error.mean(), rel=1e-12)]
    largest = sum(len(error[rows]) * error[rows].max() for rows in (slice(0, 3), slice(3, 6), slice(6, 7)))
    # What is no mean counts by the loss's denominator.
    assert history["largest"] == [pytest.approx(largest / N, rel=1e-12)]
    by_weight = (WEIGHT[:, None] * error).sum() / (C * WEIGHT.sum())
    assert history["val_mae"] == [pytest.approx(by_weight, rel=1e-12)]
    assert trainer.step(X, NUMBERS, weight=WEIGHT) > 0
    assert trainer.step.parts["mae"] == pytest.approx(by_weight, rel=1e-12)
    named = rv.Trainer(model, loss, optim.SGD(lr=0.0), ["mae"])
    with pytest.raises(ValueError, match="a part of the loss is called 'mae', as something else"):
        named.fit(X, NUMBERS, verbose=0)


def test_functions_of_models_take_weights_and_accumulate() -> None:
    def loss(model: Any, x: Any, t: Any) -> Any:
        penalty = model.weight.square().mean()
        return 0.5 * penalty + (model(x) - t).square().mean(), {"penalty": penalty}

    def whole(weights: np.ndarray, weight: np.ndarray) -> float:
        squares = weight[:, None] * (X @ weights.T - NUMBERS) ** 2
        return float(0.5 * (weights**2).mean() + squares.sum() / (C * weight.sum()))

    model = new_model("float64")
    step = rv.TrainStep(loss, model, optim.SGD(lr=0.1, accumulate=3))
    for rows in UNEVEN:
        step(X[rows], NUMBERS[rows], weight=WEIGHT[rows])
    assert step.parts["penalty"] == pytest.approx((START**2).mean())
    expected = START.copy()
    for i in np.ndindex(START.shape):
        away = np.zeros_like(START)
        away[i] = 1e-5
        expected[i] -= 0.1 * (whole(START + away, WEIGHT) - whole(START - away, WEIGHT)) / 2e-5
    np.testing.assert_allclose(model.weight.data, expected, atol=1e-8)


def test_a_scalar_of_the_loss_weighs_a_mean() -> None:
    beta, model = rv.Scalar(2.0), new_model("float64")
    step = rv.TrainStep(model, lambda z, t: beta * ops.mse_loss(z, t), optim.SGD(lr=0.0))
    expected = value(CASES["mse"], START, slice(None), WEIGHT)
    assert step(X, NUMBERS, weight=WEIGHT) == pytest.approx(2 * expected)
    beta.value = 0.5
    assert step(X, NUMBERS, weight=WEIGHT) == pytest.approx(0.5 * expected)


def test_an_accumulation_resumes_within_and_ends_after_a_loading() -> None:
    case = CASES["cross_entropy, classes"]

    def step_and_model() -> tuple[rv.TrainStep, nn.Linear]:
        model = new_model("float64")
        return rv.TrainStep(model, case.loss, optim.Adam(lr=0.1, accumulate=4)), model

    whole, first, second = (step_and_model() for _ in range(3))
    for rows in UNEVEN:
        whole[0](X[rows], case.target[rows])
    for rows in UNEVEN[:2]:
        first[0](X[rows], case.target[rows])
    state = first[0].state_dict()
    assert state["optimizer.gathered"] == 2
    counted = sum(CLASS_WEIGHT[t] for t in case.target[:4] if t >= 0)
    assert state["optimizer.gathered_weight"] == pytest.approx(counted)
    second[0].load_state_dict(state)
    second[0](X[UNEVEN[2]], case.target[UNEVEN[2]])
    for step, _ in (whole, second):
        assert step.finish_accumulation()
    np.testing.assert_array_equal(whole[1].weight.data, second[1].weight.data)
    # The same where the loading is the last thing before the end.
    third = step_and_model()
    third[0].load_state_dict(state)
    assert third[0].finish_accumulation() and first[0].finish_accumulation()
    np.testing.assert_array_equal(third[1].weight.data, first[1].weight.data)
    assert not np.array_equal(third[1].weight.data, START)
    wrong = state | {"optimizer.gathered_weight": np.array(-1.0)}
    with pytest.raises(ValueError, match="gathered_weight: expected a finite number of at least 0"):
        third[0].load_state_dict(wrong)


def test_an_accumulation_ends_with_the_options_of_its_end() -> None:
    """Another rule's slots come; with the option switched off, what was gathered goes."""
    x, y = X.astype(np.float32), NUMBERS.astype(np.float32)
    changed, plain, off = (small_step(optim.SGD(lr=0.1, accumulate=k)) for k in (3, 1, 3))
    for step in (changed, off):
        step(x, y)
    changed.optimizer.momentum = plain.optimizer.momentum = 0.9
    assert changed.finish_accumulation()
    plain(x, y)
    for name, value in plain.model.state_dict().items():
        np.testing.assert_allclose(changed.model.state_dict()[name], value, rtol=1e-6)
    off.optimizer.accumulate = 1
    assert not off.finish_accumulation()
    assert (off.steps, changed.steps) == (0, 1)


def small_step(optimizer: optim.Optimizer) -> rv.TrainStep:
    rv.seed(0)
    return rv.TrainStep(nn.Linear(D, C), nn.MSELoss(), optimizer)


def test_a_loss_may_be_a_long_sum_and_its_parts_shared() -> None:
    def long_sum(output: Any, target: Any) -> Any:
        loss = ops.mse_loss(output, target)
        for _ in range(40):
            loss = (loss + loss) * 0.5
        for _ in range(1200):
            loss = loss + 0.25
        return loss

    short = small_step(optim.SGD(lr=0.1, accumulate=2))
    long = rv.TrainStep(copy.deepcopy(short.model), long_sum, optim.SGD(lr=0.1, accumulate=2))
    for weight in (None, WEIGHT):
        expected = short(X, NUMBERS, weight=weight) + 300
        assert long(X, NUMBERS, weight=weight) == pytest.approx(expected, rel=1e-5)
    for name, value in short.model.state_dict().items():
        np.testing.assert_allclose(long.model.state_dict()[name], value, rtol=1e-5, atol=1e-6)


def test_outside_of_a_recording_a_mean_keeps_nothing_alive() -> None:
    with rv.eager():
        loss = ops.mse_loss(X, np.zeros_like(X))
        assert (loss + loss).means is None and loss.means is None


@pytest.mark.parametrize("stage", ["sam", "clip", "skip", "noise"])
def test_what_stands_around_an_accumulation_sees_its_tail_or_not(stage: str) -> None:
    optimizer = {
        "sam": lambda: optim.SAM(optim.SGD(lr=0.1, accumulate=3), rho=1e-9),
        "clip": lambda: optim.chain(optim.clip_by_value(1e-3), optim.accumulate(3), optim.SGD(lr=0.1)),
        "skip": lambda: optim.SGD(lr=0.1, accumulate=3, skip_nonfinite=True, clip_norm=1e-3),
        "noise": lambda: optim.SGD(lr=0.1, accumulate=3, noise=0.01),
    }[stage]()
    model = new_model("float64")
    step = rv.TrainStep(model, nn.MSELoss(), optimizer)
    for _ in range(2):
        step(X, NUMBERS)
    before = model.weight.data.copy()
    assert step.finish_accumulation() and step.steps == 1
    moved = np.abs(model.weight.data - before)
    expected = 0.1 * np.abs(slopes(CASES["mse"], START, slice(None), np.ones(N)))
    if stage == "sam":
        np.testing.assert_allclose(moved, expected, rtol=1e-6)
    elif stage == "clip":
        np.testing.assert_allclose(moved, 1e-4, rtol=1e-9)
    elif stage == "skip":
        assert np.linalg.norm(moved) == pytest.approx(1e-4, rel=1e-2)
    else:
        assert not np.allclose(moved, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("loss", "weight", "error", "message"),
    [
        (nn.MSELoss(), WEIGHT[:-1], ValueError, r"by 6 examples, as it is a mean over the shape \(7, 3\)"),
        (nn.MSELoss(), WEIGHT[:, None], ValueError, r"a number for each example, \[n\], got shape \(7, 1\)"),
        (nn.MSELoss(), -WEIGHT, ValueError, "finite and 0 or more, got -"),
        (nn.MSELoss(), np.where(WEIGHT == 0, np.nan, 1), ValueError, "finite and 0 or more, got nan"),
        (nn.MSELoss(), np.where(WEIGHT == 0, np.inf, 1), ValueError, "finite and 0 or more, got 1.0 to inf"),
        (nn.MSELoss(), np.array(["1"] * N), TypeError, "weight must be numbers, got dtype <U1"),
        (
            nn.MSELoss(reduction="sum"),
            WEIGHT,
            ValueError,
            "TrainStep: the loss cannot be weighted by example",
        ),
        (lambda z, t: ops.sqrt(ops.mse_loss(z, t)), WEIGHT, ValueError, "as it is no mean over examples"),
        (lambda z, t: ops.mse_loss(z, t) + z.max(), WEIGHT, ValueError, "a part of it depends on the batch"),
        (lambda z, t: (z - t).t().mean(), WEIGHT, ValueError, r"a mean over the shape \(3, 7\)"),
        (lambda z, t: (z.mean(), {"a": z.max() + z.mean()}), WEIGHT, ValueError, "the part 'a' cannot be"),
    ],
)
def test_weights_that_do_not_fit_change_nothing(loss: Any, weight: Any, error: Any, message: str) -> None:
    model = new_model("float64")
    step = rv.TrainStep(model, loss, optim.SGD(lr=0.1, momentum=0.9))
    with pytest.raises(error, match=message):
        step(X, NUMBERS, weight=weight)
    np.testing.assert_array_equal(model.weight.data, START)
    assert (step.steps, step.skipped) == (0, 0)
    step(X, NUMBERS)


def test_a_call_with_weights_has_a_program_of_its_own() -> None:
    step = rv.TrainStep(new_model("float64"), nn.MSELoss(), optim.SGD(lr=0.0))
    plain, half = step(X, NUMBERS), step(X, NUMBERS, weight=np.full(N, 0.5))
    assert half == pytest.approx(plain, rel=1e-14)
    assert [step(X, NUMBERS), step(X, NUMBERS, weight=WEIGHT), step(X, NUMBERS)] == [
        plain,
        pytest.approx(value(CASES["mse"], START, slice(None), WEIGHT)),
        plain,
    ]
    assert len(step.programs()) == 2
    with rv.eager():
        assert step(X, NUMBERS, weight=WEIGHT) == pytest.approx(
            value(CASES["mse"], START, slice(None), WEIGHT)
        )
    loss, output = step.with_output(X, NUMBERS, weight=WEIGHT)
    assert loss == step(X, NUMBERS, weight=WEIGHT) and output.shape == (N, C)


def test_fits_share_their_programs_and_not_their_sums() -> None:
    trainer = rv.Trainer(nn.Linear(D, C), nn.MSELoss(), optim.SGD(lr=0.0))
    first = trainer.fit(X, NUMBERS, epochs=1, batch_size=N, shuffle=False)["loss"][0]
    loop, n = trainer.loop, len(trainer.step.programs())
    for epochs in (2, 3):
        trainer.fit(X, 2 * NUMBERS, epochs=epochs, batch_size=N, shuffle=False)
    assert len(trainer.step.programs()) == n
    loop.run(epochs=2)  # one that had gone
    losses = loop.metrics.losses()
    assert np.isnan(losses["loss"]) and loop.epoch == 2
    assert trainer.history["loss"][1] == trainer.history["loss"][2] != first


def test_what_depends_on_a_batch() -> None:
    graph = _core.Graph()
    x, other = graph.input((2,), "float32", "x"), graph.input((2,), "float32", "other")
    dependence = _core.Dependence(graph, [x])
    assert dependence.of(x) and not dependence.of(other)
    ours, theirs = graph.apply("neg", [x])[0], graph.apply("neg", [other])[0]  # the graph grows
    assert dependence.of(ours) and not dependence.of(theirs)
    both = graph.apply("add", [theirs, ours])[0]
    assert dependence.of(both) and not _core.Dependence(graph, []).of(both)
    inner = _core.Dependence(graph, [ours])
    assert inner.of(ours) and inner.of(both) and not inner.of(x) and not inner.of(theirs)


def test_what_depends_on_a_batch_is_found_at_one_look_at_each_node() -> None:
    def seconds(n: int) -> float:
        graph = _core.Graph()
        x, other = graph.input((2,), "float32", "x"), graph.input((2,), "float32", "other")
        ours, theirs = [x], [other]
        for _ in range(n):
            ours.append(graph.apply("neg", [ours[-1]])[0])
            theirs.append(graph.apply("add", [theirs[-1], other])[0])
        dependence = _core.Dependence(graph, [x])
        start = time.thread_time()
        assert all(dependence.of(value) for value in reversed(ours))
        assert not any(dependence.of(value) for value in theirs)
        return time.thread_time() - start

    ratios = [seconds(8_000) / seconds(1_000) for _ in range(3)]
    assert min(ratios) < 24, ratios  # a search for each alone: 64


def test_losses_whose_terms_follow_each_other_are_weighted() -> None:
    def loss(output: Any, y: Any) -> Any:
        total = (output - y).square().mean()
        for _ in range(50):
            output = output * 1.0
            total = total + (output - y).square().mean()
        return total

    step = rv.TrainStep(nn.Linear(1, 1), loss, optim.SGD(lr=0.0))
    x, y = np.ones((2, 1)), np.array([[0.0], [1.0]])
    alone = step(x[:1], y[:1])
    assert step(x, y, weight=np.array([1.0, 0.0])) == pytest.approx(alone, rel=1e-5)
