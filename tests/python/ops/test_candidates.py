"""Losses over a sample of the classes, beside their formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helper import case, check, normal

import ravine as rv
from ravine import nn, ops, optim

CLASSES, N = 50, 4
LABELS = np.array([3, 0, 7, 3])
SEVERAL = np.array([[3, 1], [0, 9], [7, 2], [3, 4]])
SAMPLED = np.array([3, 11, 0, 40, 29])


def share(classes: Any) -> np.ndarray:
    return np.log((np.asarray(classes) + 2) / (np.asarray(classes) + 1)) / np.log(CLASSES + 1)


def sample_of(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Candidates, and expected counts as of distinct ones among seven draws."""
    return SAMPLED, 1 - (1 - share(labels)) ** 7, 1 - (1 - share(SAMPLED)) ** 7


def logits(
    x: Any, w: Any, b: Any, labels: np.ndarray, log_q: bool, hits: bool
) -> tuple[np.ndarray, np.ndarray]:
    """As TensorFlow's `_compute_sampled_logits`."""
    labels = labels.reshape(N, -1)
    of_true = np.einsum("nd,ntd->nt", x, w[labels]) + b[labels]
    of_sampled = x @ w[SAMPLED].T + b[SAMPLED]
    if log_q:
        _, true_counts, counts = sample_of(labels)
        of_true, of_sampled = of_true - np.log(true_counts), of_sampled - np.log(counts)
    if hits:
        hit = (labels[:, :, None] == SAMPLED).any(1)
        of_sampled = np.where(hit, -np.inf, of_sampled)
    return of_true, of_sampled


def softmax_loss(labels: np.ndarray, hits: bool) -> Any:
    def function(x: Any, w: Any, b: Any) -> np.ndarray:
        of_true, of_sampled = logits(x, w, b, labels, True, hits)
        return np.log(np.exp(np.concatenate([of_true, of_sampled], 1)).sum(1)) - of_true.mean(1)

    return function


def logistic_loss(labels: np.ndarray, log_q: bool) -> Any:
    def function(x: Any, w: Any, b: Any) -> np.ndarray:
        of_true, of_sampled = logits(x, w, b, labels, log_q, False)
        z = 1 / of_true.shape[1]
        return (np.log1p(np.exp(of_true)) - z * of_true).sum(1) + np.log1p(np.exp(of_sampled)).sum(1)

    return function


GIVEN = normal(N, 6), normal(CLASSES, 6, scale=0.5), normal(CLASSES)
CASES = [
    *[
        case("sampled_softmax_loss",
             lambda x, w, b, t=t, h=h: ops.sampled_softmax_loss(
                 x, w, t, 5, b, candidates=sample_of(t), remove_accidental_hits=h, reduction="none"),
             softmax_loss(t, h), *GIVEN, tolerance32=1e-5)
        for t in (LABELS, SEVERAL)
        for h in (False, True)
    ],
    *[
        case("negative_sampling_loss",
             lambda x, w, b, t=t, q=q: ops.negative_sampling_loss(
                 x, w, t, 5, b, candidates=sample_of(t), subtract_log_q=q, reduction="none"),
             logistic_loss(t, q), *GIVEN, tolerance32=1e-5)
        for t, q in ((LABELS, False), (SEVERAL, True))
    ],
]  # fmt: skip


@pytest.mark.parametrize("one", CASES, ids=str)
def test_operation(one: Any) -> None:
    check(one)


def test_candidates_are_log_uniform() -> None:
    rv.seed(0)
    drawn, of_true, of_sampled = ops.log_uniform_candidates([0, 5], 100_000, CLASSES, dtype="float64")
    counts = np.bincount(drawn.numpy(), minlength=CLASSES)
    expected = 100_000 * share(np.arange(CLASSES))
    assert (abs(counts - expected) < 5 * np.sqrt(expected)).all()
    np.testing.assert_allclose(of_true.numpy(), expected[[0, 5]], rtol=1e-12)
    np.testing.assert_allclose(of_sampled.numpy(), expected[drawn.numpy()], rtol=1e-12)


def new_step(kind: Any, sparse: bool, seed: int = 0) -> rv.TrainStep:
    rv.seed(0)
    model = kind(6, CLASSES, 8, sparse=sparse)
    rv.seed(seed)
    return rv.TrainStep(lambda m, x, y: m(x, y), model, optim.Adagrad(0.1))


@pytest.mark.parametrize("kind", [nn.SampledSoftmaxLoss, nn.NegativeSamplingLoss])
def test_layers_draw_by_the_seed_and_have_sparse_gradients(kind: Any) -> None:
    x = GIVEN[0].astype("float32")

    def run(sparse: bool, seed: int = 1) -> tuple[list[float], np.ndarray]:
        step = new_step(kind, sparse, seed)
        return [step(x, LABELS) for _ in range(3)], step.model.weight.data

    losses, weights = run(True)
    again, dense = run(True), run(False)
    assert losses == again[0] == dense[0] != run(True, 2)[0]
    np.testing.assert_array_equal(weights, again[1])
    np.testing.assert_array_equal(weights, dense[1])


def test_training_by_samples_finds_the_classes() -> None:
    rv.seed(0)
    x = np.random.default_rng(0).standard_normal((200, 10)).astype("float32")
    y = (x @ np.random.default_rng(1).standard_normal((10, 20))).argmax(1)
    model = nn.SampledSoftmaxLoss(10, 20, 5, sparse=True)
    step = rv.TrainStep(lambda m, x, y: m(x, y), model, optim.Adagrad(0.5))
    for _ in range(150):
        step(x, y)
    assert (model.logits(x).numpy().argmax(1) == y).mean() > 0.85
    model.eval()
    np.testing.assert_allclose(model(x, y), ops.cross_entropy(model.logits(x), y).numpy(), rtol=1e-6)


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: ops.log_uniform_candidates([0], 6, 0), ValueError, "num_classes must be at least 1, got 0"),
    (lambda: ops.log_uniform_candidates([0.5], 6, 5), TypeError, "indices must be integers"),
    (lambda: ops.sampled_softmax_loss(np.ones((2, 3)), np.ones((4, 2)), [0, 1], 2), ValueError,
     r"got shapes \(2, 3\) and \(4, 2\)"),
    (lambda: ops.sampled_softmax_loss(np.ones((2, 3)), np.ones((4, 3)), [0], 2), ValueError,
     r"target must be \[N\] or \[N, T\] for an input of shape \(2, 3\), got \(1,\)"),
    (lambda: ops.sampled_softmax_loss(np.ones((2, 3)), np.ones((4, 3)), [0, 1], 2, [1.0]), ValueError,
     r"bias must have shape \(4,\), got \(1,\)"),
    (lambda: ops.negative_sampling_loss(np.ones((1, 3)), np.ones((4, 3)), [0], 2,
                                        candidates=([1], [1.0], [1.0])),
     ValueError, r"candidates must have shape \(2,\), got \(1,\)"),
    (lambda: ops.negative_sampling_loss(np.ones((1, 3)), np.ones((4, 3)), [0], 0), ValueError,
     "num_sampled must be at least 1"),
    (lambda: nn.SampledSoftmaxLoss(3, 4, 0), ValueError, "num_sampled must be at least 1, got 0"),
    (lambda: nn.NegativeSamplingLoss(3, 4, 2, reduction="most"), ValueError,
     "reduction must be mean, sum or none"),
])  # fmt: skip
def test_errors(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
