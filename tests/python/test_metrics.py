"""Metrics: scikit-learn's values, however the examples are cut into batches, and states that go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn, optim
from ravine.train import metrics as m

RNG = np.random.default_rng(0)
N = 203
CLASSES = RNG.integers(0, 4, N)
LOGITS = (RNG.normal(size=(N, 4)) + 1.5 * np.eye(4)[CLASSES]).astype(np.float32)
PROBABILITIES = np.exp(LOGITS.astype(np.float64)) / np.exp(LOGITS.astype(np.float64)).sum(
    axis=1, keepdims=True
)
YES = RNG.integers(0, 2, N)
ANSWERS = np.round(RNG.normal(size=N) + YES, 1).astype(np.float32)
MANY = RNG.integers(0, 2, (N, 3))
MANY_ANSWERS = (RNG.normal(size=(N, 3)) + MANY).astype(np.float32)
NUMBERS = RNG.normal(size=(N, 2)) * 3 + 100
GUESSES = (NUMBERS + RNG.normal(size=(N, 2))).astype(np.float32)
BINARY = m.Reading(binary=True)
SURE = m.Reading("probabilities", binary=True)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x.astype(np.float64)))


# Metric, outputs, targets, and what scikit-learn says of them.
CASES: dict[str, tuple[Callable[[], m.Metric], np.ndarray, np.ndarray, Callable[[Any], Any]]] = {
    "accuracy": (m.Accuracy, LOGITS, CLASSES, lambda s: s.accuracy_score(CLASSES, LOGITS.argmax(1))),
    "accuracy, yes": (m.Accuracy, ANSWERS, YES, lambda s: s.accuracy_score(YES, ANSWERS > 0)),
    "accuracy, column": (
        lambda: m.Accuracy(SURE),
        sigmoid(ANSWERS)[:, None],
        YES[:, None],
        lambda s: s.accuracy_score(YES, sigmoid(ANSWERS) > 0.5),
    ),
    "top 2": (
        m.TopKAccuracy,
        LOGITS[:7],
        CLASSES[:7],
        lambda s: s.top_k_accuracy_score(CLASSES[:7], LOGITS[:7], labels=range(4)),
    ),
    "top 3": (
        lambda: m.TopKAccuracy(3),
        PROBABILITIES,
        CLASSES,
        lambda s: s.top_k_accuracy_score(CLASSES, PROBABILITIES, k=3),
    ),
    "confusion": (
        m.ConfusionMatrix,
        LOGITS,
        CLASSES,
        lambda s: s.confusion_matrix(CLASSES, LOGITS.argmax(1)),
    ),
    "confusion, yes": (m.ConfusionMatrix, ANSWERS, YES, lambda s: s.confusion_matrix(YES, ANSWERS > 0)),
    "log loss": (m.LogLoss, LOGITS, CLASSES, lambda s: s.log_loss(CLASSES, PROBABILITIES)),
    "log loss, logarithms": (
        lambda: m.LogLoss(m.Reading("log_probabilities")),
        np.log(PROBABILITIES),
        CLASSES,
        lambda s: s.log_loss(CLASSES, PROBABILITIES),
    ),
    "log loss, yes": (lambda: m.LogLoss(BINARY), ANSWERS, YES, lambda s: s.log_loss(YES, sigmoid(ANSWERS))),
    "roc auc": (m.RocAuc, ANSWERS, YES, lambda s: s.roc_auc_score(YES, ANSWERS)),
    "roc auc, classes": (
        m.RocAuc,
        LOGITS,
        CLASSES,
        lambda s: s.roc_auc_score(CLASSES, PROBABILITIES, multi_class="ovr"),
    ),
    "roc auc, two classes": (
        m.RocAuc,
        LOGITS[:, :2],
        YES,
        lambda s: s.roc_auc_score(YES, LOGITS[:, 1].astype(float) - LOGITS[:, 0]),
    ),
    "roc auc, labels": (
        lambda: m.RocAuc(BINARY),
        MANY_ANSWERS,
        MANY,
        lambda s: s.roc_auc_score(MANY, MANY_ANSWERS),
    ),
    "average precision": (
        m.AveragePrecision,
        ANSWERS,
        YES,
        lambda s: s.average_precision_score(YES, ANSWERS),
    ),
    "average precision, classes": (
        m.AveragePrecision,
        LOGITS,
        CLASSES,
        lambda s: s.average_precision_score(np.eye(4)[CLASSES], PROBABILITIES),
    ),
    "mae": (m.MAE, GUESSES, NUMBERS, lambda s: s.mean_absolute_error(NUMBERS, GUESSES)),
    "rmse": (m.RMSE, GUESSES, NUMBERS, lambda s: s.root_mean_squared_error(NUMBERS, GUESSES)),
    "r2": (m.R2, GUESSES, NUMBERS, lambda s: s.r2_score(NUMBERS, GUESSES)),
    "r2, column": (m.R2, GUESSES[:, :1], NUMBERS[:, 0], lambda s: s.r2_score(NUMBERS[:, 0], GUESSES[:, 0])),
    "r2, all equal": (m.R2, GUESSES[:, 0], np.ones(N), lambda s: s.r2_score(np.ones(N), GUESSES[:, 0])),
    "whole": (
        lambda: m.WholeSet(lambda output, target: float(np.median(output - target))),
        GUESSES,
        NUMBERS,
        lambda s: np.median(GUESSES - NUMBERS),
    ),
}
for _name, _metric, _score in (
    ("precision", m.Precision, "precision_score"),
    ("recall", m.Recall, "recall_score"),
    ("f1", m.F1, "f1_score"),
):
    for _average in ("macro", "micro", "weighted"):
        CASES[f"{_name}, {_average}"] = (
            lambda metric=_metric, average=_average: metric(average),
            LOGITS,
            CLASSES % 3,  # one class is predicted but never true
            lambda s, score=_score, average=_average: getattr(s, score)(
                CLASSES % 3, LOGITS.argmax(1), average=average, zero_division=0
            ),
        )
        CASES[f"{_name}, labels, {_average}"] = (
            lambda metric=_metric, average=_average: metric(average, BINARY),
            MANY_ANSWERS,
            MANY,
            lambda s, score=_score, average=_average: getattr(s, score)(
                MANY, MANY_ANSWERS > 0, average=average
            ),
        )
    CASES[f"{_name}, yes"] = (
        _metric,
        ANSWERS,
        YES,
        lambda s, score=_score: getattr(s, score)(YES, ANSWERS > 0),
    )
    CASES[f"{_name}, two classes"] = (
        _metric,
        LOGITS[:, :2],
        YES,
        lambda s, score=_score: getattr(s, score)(YES, LOGITS[:, :2].argmax(1)),
    )


def pieces(n: int, sizes: tuple[int, ...]) -> list[slice]:
    ends = np.cumsum(sizes)
    return [slice(e - size, e) for e, size in zip(ends[ends <= n], sizes, strict=False)] + [
        slice(max([0, *ends[ends <= n]]), n)
    ]


@pytest.mark.parametrize("name", CASES)
def test_values_are_those_of_scikit_learn_in_any_batches(name: str) -> None:
    scores = pytest.importorskip("sklearn.metrics")
    make, output, target, expected = CASES[name]
    for sizes in ((), (1, 2, 150), (64, 64, 64)):
        metric = make()
        for rows in pieces(len(output), sizes):
            if rows.start < rows.stop:
                metric.update(output[rows], target[rows])
        np.testing.assert_allclose(metric.compute(), expected(scores), rtol=1e-12, err_msg=str(sizes))
        metric.reset()
        np.testing.assert_equal(np.size(metric.compute()) == 0 or np.isnan(metric.compute()), True)


def loss_of(i: int, part: slice) -> dict[str, float]:
    n = part.stop - part.start
    return {"loss": float(i) * n, "weight": n, "batches": 1.0}


@pytest.mark.parametrize("name", CASES)
def test_a_state_goes_on_to_the_same_bits(name: str) -> None:
    make, output, target, _ = CASES[name]
    n = len(output)
    whole, first, second = (m.Metrics({"metric": make()}) for _ in range(3))
    rows = pieces(n, (3, 1, 2) if n < 10 else (31, 1, 77, 16))
    for i, part in enumerate(rows):
        whole.add(loss_of(i, part))
        whole.update(output[part], target[part])
    for i, part in enumerate(rows[:2]):
        first.add(loss_of(i, part))
        first.update(output[part], target[part])
    state = first.state_dict()
    second.load_state_dict({key: np.array(value) for key, value in state.items()})
    for i, part in enumerate(rows[2:], 2):
        second.add(loss_of(i, part))
        second.update(output[part], target[part])
    for key, value in whole.values().items():
        np.testing.assert_array_equal(second.values()[key], value)


@pytest.mark.parametrize(
    ("metric", "output", "target", "message"),
    [
        (m.Accuracy(), LOGITS, CLASSES[:-1], r"Accuracy: output \(203, 4\) and target int64 \(202,\)"),
        (m.Accuracy(), (LOGITS, LOGITS), CLASSES, "got tuple and ndarray"),
        (m.ConfusionMatrix(), LOGITS, CLASSES + 1, "the label 4 is outside of the 4 classes"),
        (m.F1(), LOGITS, CLASSES - 1, "the label -1 is outside"),
        (m.LogLoss(), LOGITS, CLASSES + 1, "the label 4"),
        (m.RocAuc(), LOGITS, CLASSES + 1, "the label 4"),
        (m.TopKAccuracy(), ANSWERS, YES, "no classes to choose from"),
        (m.MAE(), GUESSES, NUMBERS[:, :1], "do not fit"),
        (m.RMSE(), {"a": GUESSES}, NUMBERS, "got dict and ndarray"),
        (m.R2(), GUESSES[:3], NUMBERS, "do not fit"),
    ],
)
def test_what_does_not_fit_is_an_error(metric: m.Metric, output: Any, target: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metric.update(output, target)


def test_wrong_arguments_of_metrics_are_errors() -> None:
    for make, error, message in (
        (lambda: m.F1("mean"), ValueError, "got 'mean'"),
        (lambda: m.TopKAccuracy(0), ValueError, "k=0"),
        (lambda: m.WholeSet(3), TypeError, "got int"),
    ):
        with pytest.raises(error, match=message):
            make()
    binary = m.F1("binary")
    binary.update(LOGITS, CLASSES)
    with pytest.raises(ValueError, match="average='binary' of 4 classes"):
        binary.compute()
    for state, message in (
        ({"loss": 1.0, "weight": 1.0}, r"missing keys \['size'\]"),
        ({"loss": 1.0, "weight": 1.0, "size": 0, "metric.f1.counts": 1}, "the state has a metric 'f1'"),
    ):
        with pytest.raises(ValueError, match=message):
            m.Metrics({}).load_state_dict(state)
    with pytest.raises(ValueError, match=r"unexpected keys \['wrong'\]"):
        m.Accuracy().load_state_dict({"wrong": 1})


def test_a_trainer_reads_outputs_as_its_loss_does() -> None:
    names = ["accuracy", "top_2_accuracy", "f1", "roc_auc", "log_loss", "confusion_matrix"]
    x, y = LOGITS, CLASSES
    reference = {}
    for loss, last in ((nn.CrossEntropyLoss(), nn.Identity()), (nn.NLLLoss(), nn.LogSoftmax(dim=1))):
        model = nn.Sequential(nn.Linear(4, 4), last)
        model[0].weight.data, model[0].bias.data = np.eye(4, dtype=np.float32), np.zeros(4, np.float32)
        values = rv.Trainer(model, loss, optim.SGD(0.0), names).evaluate(x, y, batch_size=50)
        assert values["log_loss"] == pytest.approx(values["loss"], rel=1e-5)
        reference = reference or values
        for name in names:
            np.testing.assert_allclose(values[name], reference[name], rtol=1e-5)
    assert reference["accuracy"] == np.mean(x.argmax(1) == y)
    history = rv.Trainer(nn.Linear(4, 4), nn.CrossEntropyLoss(), optim.SGD(0.0), names).fit(x, y, verbose=0)
    assert history["confusion_matrix"][0].sum() == N


def test_metrics_by_class_function_and_dict() -> None:
    def largest(output: np.ndarray, target: np.ndarray) -> float:
        return float(output.max())

    trainer = rv.Trainer(nn.Linear(2, 2), nn.MSELoss(), optim.SGD(0.0), [m.MAE, m.R2(), largest, "rmse"])
    assert list(trainer.evaluate(GUESSES, NUMBERS)) == ["loss", "MAE", "R2", "largest", "rmse"]
    values = rv.Trainer(
        nn.Linear(2, 2), nn.MSELoss(), optim.SGD(0.0), {"error": "mae", "fit": m.R2()}
    ).evaluate(GUESSES, NUMBERS)
    assert list(values) == ["loss", "error", "fit"]
