"""Losses of pairs, triplets, margins and likelihoods against their formulas."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from helper import Case, apart, case, check, distinct, integers, normal, positive
from scipy import special

from ravine import nn, ops

SIGNS = np.array([1.0, -1.0, 1.0, -1.0])


def cosine(a, b):
    return (a * b).sum(-1) / np.sqrt((a * a).sum(-1) * (b * b).sum(-1))


def triplet(a, p, n, swap=False):
    near, far, other = (np.linalg.norm(x - y + 1e-6, axis=-1) for x, y in ((a, p), (a, n), (p, n)))
    return np.maximum(0, 1 + near - (np.minimum(far, other) if swap else far)).mean()


def multi_margin(x, t, p=1, w=1.0):
    right = x[np.arange(len(x)), t][:, None]
    terms = np.maximum(0, 1 - right + x) ** p * (np.arange(x.shape[1]) != t[:, None])
    return (terms.sum(1) * w / x.shape[1]).mean()


def multilabel(x, t):
    total = 0.0
    for row, labels in zip(x, t, strict=True):
        known = list(labels[: list(labels).index(-1)]) if -1 in labels else list(labels)
        others = [i for i in range(len(row)) if i not in known]
        total += sum(max(0.0, 1 - row[k] + row[i]) for k in known for i in others) / len(row)
    return np.asarray(total / len(x))


LABELS = np.array([[2, 0, -1, 1], [-1, 1, 1, 1], [3, 1, 0, 2]])
CASES = [
    case("cosine_similarity", ops.cosine_similarity, cosine, normal(3, 4), normal(3, 4, seed=1)),
    case("pairwise_distance", ops.pairwise_distance, lambda a, b: np.linalg.norm(a - b + 1e-6, axis=-1),
         normal(3, 4), normal(3, 4, seed=1)),
    case("cosine_embedding_loss", lambda a, b: ops.cosine_embedding_loss(a, b, SIGNS, -0.5),
         lambda a, b: np.where(SIGNS > 0, 1 - cosine(a, b), np.maximum(0, cosine(a, b) + 0.5)).mean(),
         normal(4, 3),
         normal(4, 3, seed=1)),
    case("margin_ranking_loss", lambda a, b: ops.margin_ranking_loss(a, b, SIGNS, 0.3),
         lambda a, b: np.maximum(0, 0.3 - SIGNS * (a - b)).mean(), normal(4), normal(4, seed=1)),
    case("hinge_embedding_loss", lambda x: ops.hinge_embedding_loss(x, SIGNS, reduction="sum"),
         lambda x: np.where(SIGNS > 0, x, np.maximum(0, 1 - x)).sum(), apart(4, kinks=[1])),
    case("soft_margin_loss", lambda x: ops.soft_margin_loss(x, SIGNS),
         lambda x: np.log1p(np.exp(-SIGNS * x)).mean(),
         normal(4)),
    case("triplet_margin_loss", ops.triplet_margin_loss, triplet, normal(4, 3), normal(4, 3, seed=1),
         normal(4, 3, seed=2)),
    case("triplet_margin_loss, swap", lambda a, p, n: ops.triplet_margin_loss(a, p, n, swap=True),
         lambda a, p, n: triplet(a, p, n, True), normal(4, 3), normal(4, 3, seed=1), normal(4, 3, seed=2)),
    case("triplet_margin_with_distance_loss", ops.triplet_margin_with_distance_loss, triplet, normal(4, 3),
         normal(4, 3, seed=1), normal(4, 3, seed=2)),
    case("multi_margin_loss", ops.multi_margin_loss, multi_margin, distinct(3, 4), integers(3, high=4)),
    case("multi_margin_loss, squared", lambda x, t: ops.multi_margin_loss(x, t, 2, weight=np.array([1.0, 2,
         3, 4])),
         lambda x, t: multi_margin(x, t, 2, t + 1.0), distinct(3, 4), integers(3, high=4)),
    case("multilabel_margin_loss", lambda x: ops.multilabel_margin_loss(x, LABELS), lambda x: multilabel(x,
         LABELS),
         distinct(3, 4)),
    case("multilabel_soft_margin_loss", lambda x: ops.multilabel_soft_margin_loss(x, SIGNS > 0),
         lambda x: np.log1p(np.exp(-SIGNS * x)).mean(), normal(4)),
    case("gaussian_nll_loss", lambda x, t, v: ops.gaussian_nll_loss(x, t, v, full=True),
         lambda x, t, v: (0.5 * (np.log(2 * np.pi * v) + (x - t) ** 2 / v)).mean(), normal(3, 4),
         normal(3, 4, seed=1), positive(3, 1)),
    case("poisson_nll_loss", lambda x: ops.poisson_nll_loss(x, np.array([0.0, 1, 4]), reduction="none"),
         lambda x: np.exp(x) - np.array([0, 1, 4]) * x, normal(3)),
    case("poisson_nll_loss, full", lambda x: ops.poisson_nll_loss(x, np.array([0.0, 1, 4]), False, True),
         lambda x: (x - np.array([0, 1, 4]) * np.log(x + 1e-8)).mean()
         + (4 * np.log(4) - 4 + 0.5 * np.log(8 * np.pi)) / 3, positive(3)),
    case("quantile_loss", lambda x, t: ops.quantile_loss(x, t, [0.1, 0.5]),
         lambda x, t: np.maximum((t - x) * [0.1, 0.5], (t - x) * [-0.9, -0.5]).mean(), normal(3, 2),
         normal(3, 1)),
    case("sigmoid_focal_loss", lambda x: ops.sigmoid_focal_loss(x, SIGNS > 0),
         lambda x: np.where(SIGNS > 0, 0.25,
         0.75) * special.expit(-SIGNS * x) ** 2 * np.log1p(np.exp(-SIGNS * x)),
         normal(4)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operation(case: Case) -> None:
    check(case)


def ctc(x, labels, steps: int):
    """By all alignments: paths of `steps` classes that read as the labels."""
    total = 0.0
    for path in itertools.product(range(x.shape[1]), repeat=steps):
        read = [c for i, c in enumerate(path) if c and (i == 0 or path[i - 1] != c)]
        if read == list(labels):
            total += np.exp(sum(x[t, c] for t, c in enumerate(path)))
    return -np.log(total)


CTC_TARGETS, CTC_STEPS, CTC_LENGTHS = (
    np.array([[1, 1], [2, 0], [1, 2]]),
    np.array([4, 3, 4]),
    np.array([2, 1, 0]),
)


def test_ctc_loss() -> None:
    def want(x):
        x = x - special.logsumexp(x, 2, keepdims=True)
        return np.array([ctc(x[:, n], CTC_TARGETS[n, : CTC_LENGTHS[n]], CTC_STEPS[n]) for n in range(3)])

    check(
        case(
            "ctc_loss",
            lambda x: ops.ctc_loss(
                ops.log_softmax(x, 2), CTC_TARGETS, CTC_STEPS, CTC_LENGTHS, reduction="none"
            ),
            want,
            normal(4, 3, 3),
        )
    )
    x = np.log(np.full((1, 1, 2), 0.5, "float32"))
    module = nn.CTCLoss(zero_infinity=True)
    assert float(module(x, np.array([[1, 1]]), np.array([1]), np.array([2]))) == 0.0
    assert float(ops.ctc_loss(x, np.array([1, 1]), np.array([1]), np.array([2]))) == np.inf
    with pytest.raises(ValueError, match="ctc_loss: blank must be one of 2 classes, got 2"):
        ops.ctc_loss(x, np.array([[1]]), np.array([1]), np.array([1]), blank=2)
    with pytest.raises(ValueError, match=r"ctc_loss: input_lengths must lie in \[0, 1\], got \[2\]"):
        ops.ctc_loss(x, np.array([[1]]), np.array([2]), np.array([1]))


X, Y, Z = (normal(4, 3, seed=i).astype("float32") for i in range(3))
T = np.array([0, 2, 1, 1])
MODULES = [
    (nn.CosineEmbeddingLoss(0.1), (X, Y, SIGNS), lambda: ops.cosine_embedding_loss(X, Y, SIGNS, 0.1)),
    (nn.MarginRankingLoss(0.1), (X, Y, X * 0 + 1), lambda: ops.margin_ranking_loss(X, Y, X * 0 + 1, 0.1)),
    (nn.HingeEmbeddingLoss(0.5, "sum"), (X, X * 0 - 1), lambda: ops.hinge_embedding_loss(X, X * 0 - 1, 0.5,
     "sum")),
    (nn.SoftMarginLoss(), (X, X * 0 + 1), lambda: ops.soft_margin_loss(X, X * 0 + 1)),
    (nn.TripletMarginLoss(2.0, swap=True), (X, Y, Z), lambda: ops.triplet_margin_loss(X, Y, Z, 2.0,
     swap=True)),
    (nn.TripletMarginWithDistanceLoss(margin=2.0), (X, Y, Z),
     lambda: ops.triplet_margin_with_distance_loss(X, Y, Z, margin=2.0)),
    (nn.MultiMarginLoss(2, weight=np.ones(3, "float32") * 2), (X, T), lambda: ops.multi_margin_loss(X, T,
     2) * 2.0),
    (nn.MultiLabelMarginLoss(), (X, np.array([[1, -1, 0]] * 4)),
     lambda: ops.multilabel_margin_loss(X, np.array([[1, -1, 0]] * 4))),
    (nn.MultiLabelSoftMarginLoss(), (X, X > 0), lambda: ops.multilabel_soft_margin_loss(X, X > 0)),
    (nn.GaussianNLLLoss(full=True), (X, Y, Z**2), lambda: ops.gaussian_nll_loss(X, Y, Z**2, True)),
    (nn.PoissonNLLLoss(False), (X**2, Y**2), lambda: ops.poisson_nll_loss(X**2, Y**2, False)),
    (nn.QuantileLoss(0.9), (X, Y), lambda: ops.quantile_loss(X, Y, 0.9)),
    (nn.SigmoidFocalLoss(0.5, 1.0), (X, X > 0), lambda: ops.sigmoid_focal_loss(X, X > 0, 0.5, 1.0, "mean")),
    (nn.CosineSimilarity(), (X, Y), lambda: ops.cosine_similarity(X, Y)),
    (nn.PairwiseDistance(1.0, keepdim=True), (X, Y), lambda: ops.pairwise_distance(X, Y, 1.0, keepdim=True)),
]  # fmt: skip


@pytest.mark.parametrize("place", range(len(MODULES)), ids=[type(m[0]).__name__ for m in MODULES])
def test_module(place: int) -> None:
    module, args, want = MODULES[place]
    np.testing.assert_allclose(module(*args), want().numpy(), rtol=2e-6)


BAD = [
    (lambda: ops.cosine_embedding_loss(X, Y, X), ValueError,
     r"cosine_embedding_loss: .* got shapes \(4, 3\)"),
    (lambda: ops.triplet_margin_loss(X, Y, Z, margin=0), ValueError, "margin must be above 0, got 0"),
    (lambda: ops.multi_margin_loss(X, T, p=3), ValueError, "multi_margin_loss: p must be 1 or 2, got 3"),
    (lambda: ops.multi_margin_loss(X, T + 5), (ValueError, IndexError),
     r"index 6 is outside \[0, 3\)|index 5"),
    (lambda: ops.gaussian_nll_loss(X, Y, np.ones(2)), ValueError, "gaussian_nll_loss: shapes .* do not"),
    (lambda: ops.quantile_loss(X, Y, 1.0), ValueError, r"quantile_loss: q must lie in \(0, 1\), got 1.0"),
    (lambda: ops.soft_margin_loss(X, Y, "median"), ValueError, "soft_margin_loss: reduction must be one of"),
    (lambda: nn.TripletMarginLoss(reduction="median"), ValueError,
     "TripletMarginLoss: reduction must be one of"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input(call, error, message: str) -> None:
    with pytest.raises(error, match=message):
        call()
