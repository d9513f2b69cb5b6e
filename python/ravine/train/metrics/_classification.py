"""Metrics of classification: counts of right and wrong answers, and areas under curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..._state import check_keys
from ._answers import Reading
from ._metric import Metric

__all__ = [
    "F1",
    "Accuracy",
    "AveragePrecision",
    "ConfusionMatrix",
    "LogLoss",
    "Precision",
    "Recall",
    "RocAuc",
    "TopKAccuracy",
]


def _check_labels(what: str, labels: np.ndarray, classes: int) -> None:
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise ValueError(f"{what}: the label {wrong} is outside of the {classes} classes of the output")


class _OfAnswers(Metric):
    """A metric of outputs that are read as answers.

    Args:
        reading: what outputs mean; a metric given to a Trainer by name reads them as the loss does.
    """

    def __init__(self, reading: Reading | None = None) -> None:
        self.reading = Reading() if reading is None else reading
        super().__init__()

    def _answers(self, output: Any, target: Any) -> tuple[np.ndarray, np.ndarray]:
        return self.reading.scores(type(self).__name__, output, target)

    def _predicted(self, scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Classes [m], or yes and no [m, K], as the labels are."""
        return scores > self.reading.threshold if labels.ndim == 2 else scores.argmax(axis=1)


class Accuracy(_OfAnswers):
    """The share of answers that are right, scikit-learn's `accuracy_score`.

    Args:
        reading: what outputs mean: `Reading()` are logits of classes, or of yes and no if there is one output
            an example; `Reading("probabilities", binary=True)` are probabilities of yes.

    Several answers of yes and no of an example count one by one.

    Example:
        >>> import numpy as np, ravine as rv
        >>> metric = rv.train.metrics.Accuracy()
        >>> metric.update(np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([0, 0]))
        >>> metric.compute()
        0.5
    """

    fields = ("right", "answers")

    def reset(self) -> None:
        self.right = self.answers = 0

    def update(self, output: Any, target: Any) -> None:
        scores, labels = self._answers(output, target)
        self.right += int(np.count_nonzero(self._predicted(scores, labels) == labels))
        self.answers += labels.size

    def compute(self) -> float:
        return self.right / self.answers if self.answers else float("nan")


class TopKAccuracy(_OfAnswers):
    """The share of examples whose class is among the k largest outputs, `top_k_accuracy_score`.

    Args:
        k: how many, 2 as in scikit-learn. By name "top_5_accuracy" has k=5.
        reading: as in `Accuracy`.

    Raises ValueError for k below 1, and for outputs of yes and no.
    """

    fields = ("right", "answers")

    def __init__(self, k: int = 2, reading: Reading | None = None) -> None:
        if k < 1:
            raise ValueError(f"TopKAccuracy: k={k}, expected at least 1")
        self.k = k
        super().__init__(reading)

    def reset(self) -> None:
        self.right = self.answers = 0

    def update(self, output: Any, target: Any) -> None:
        scores, labels = self._answers(output, target)
        if labels.ndim == 2:
            raise ValueError(f"TopKAccuracy: output {output.shape} has no classes to choose from")
        _check_labels("TopKAccuracy", labels, scores.shape[1])
        own = np.take_along_axis(scores, labels[:, None].astype(np.int64), axis=1)
        self.right += int(np.count_nonzero(np.count_nonzero(scores > own, axis=1) < self.k))
        self.answers += len(labels)

    def compute(self) -> float:
        return self.right / self.answers if self.answers else float("nan")


class ConfusionMatrix(_OfAnswers):
    """How often class i (rows) was taken for class j (columns), `confusion_matrix`; int64 [C, C].

    Answers of yes and no give a matrix of 2 x 2.

    Example:
        >>> import numpy as np, ravine as rv
        >>> metric = rv.train.metrics.ConfusionMatrix()
        >>> metric.update(np.array([[2.0, 1.0], [0.0, 3.0], [1.0, 4.0]]), np.array([0, 0, 1]))
        >>> metric.compute().tolist()
        [[1, 1], [0, 1]]
    """

    fields = ("counts",)

    def reset(self) -> None:
        self.counts: np.ndarray | None = None

    def update(self, output: Any, target: Any) -> None:
        scores, labels = self._answers(output, target)
        classes = 2 if labels.ndim == 2 else scores.shape[1]
        _check_labels("ConfusionMatrix", labels, classes)
        pairs = labels.reshape(-1).astype(np.int64) * classes + self._predicted(scores, labels).reshape(-1)
        counts = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
        self.counts = counts if self.counts is None else self.counts + counts

    def compute(self) -> np.ndarray:
        return np.zeros((0, 0), np.int64) if self.counts is None else self.counts.copy()


class _OfCounts(_OfAnswers):
    """Metrics of true positives, false positives and false negatives by class or column."""

    fields = ("counts",)

    def __init__(self, average: str | None = None, reading: Reading | None = None) -> None:
        if average not in (None, "binary", "macro", "micro", "weighted"):
            raise ValueError(
                f"{type(self).__name__}: average must be 'binary', 'macro', 'micro', 'weighted' or None, got "
                f"{average!r}"
            )
        self.average = average
        super().__init__(reading)

    def reset(self) -> None:
        # Rows: true positives, false positives, false negatives, and 1 for classes that exclude each other.
        self.counts: np.ndarray | None = None

    def update(self, output: Any, target: Any) -> None:
        scores, labels = self._answers(output, target)
        predicted = self._predicted(scores, labels)
        if labels.ndim == 2:
            pairs = [predicted & labels, predicted & ~labels, ~predicted & labels]
            rows = [pair.sum(axis=0) for pair in pairs] + [np.zeros(labels.shape[1], np.int64)]
        else:
            classes = scores.shape[1]
            _check_labels(type(self).__name__, labels, classes)
            of_predicted = np.bincount(predicted, minlength=classes)
            of_labels = np.bincount(labels, minlength=classes)
            right = np.bincount(predicted[predicted == labels], minlength=classes)
            rows = [right, of_predicted - right, of_labels - right, np.ones(classes, np.int64)]
        counts = np.array(rows, np.int64)
        if self.counts is not None:
            counts[:3] += self.counts[:3]
        self.counts = counts

    def compute(self) -> float:
        if self.counts is None:
            return float("nan")
        right, wrong, missed, exclusive = self.counts
        average = self.average
        if average is None:
            two = len(right) == 2 and exclusive.all()
            average = "binary" if len(right) == 1 or two else "macro"
        if average == "binary":
            if len(right) > 2 or (len(right) == 2 and not exclusive.all()):
                raise ValueError(
                    f"{type(self).__name__}: average='binary' of {len(right)} classes; choose another"
                )
            right, wrong, missed = right[-1:], wrong[-1:], missed[-1:]
        elif average == "micro":
            right, wrong, missed = (np.array([row.sum()]) for row in (right, wrong, missed))
        elif exclusive.all():
            seen = right + wrong + missed > 0  # as scikit-learn, of the classes that occur
            right, wrong, missed = right[seen], wrong[seen], missed[seen]
        values = self._ratio(right, wrong, missed)
        if average == "weighted":
            support = right + missed
            return float(np.sum(values * support) / support.sum()) if support.sum() else 0.0
        return float(values.mean()) if len(values) else float("nan")

    def _ratio(self, right: np.ndarray, wrong: np.ndarray, missed: np.ndarray) -> np.ndarray:
        raise NotImplementedError


def _over(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The quotients, 0 for 0 / 0."""
    return np.divide(numerator, denominator, out=np.zeros(len(numerator)), where=denominator > 0)


class Precision(_OfCounts):
    """The share of right ones among the answers of a class, `precision_score`; 0 if there were none.

    Args:
        average: "binary" (of class 1), "macro" (the mean over classes), "micro", "weighted", as in
            scikit-learn; None is "binary" for two classes and "macro" for more.
        reading: as in `Accuracy`.
    """

    def _ratio(self, right: np.ndarray, wrong: np.ndarray, missed: np.ndarray) -> np.ndarray:
        return _over(right, right + wrong)


class Recall(_OfCounts):
    """The share of a class's examples that were found, `recall_score`; 0 if there were none.

    Args:
        average, reading: as in `Precision`.
    """

    def _ratio(self, right: np.ndarray, wrong: np.ndarray, missed: np.ndarray) -> np.ndarray:
        return _over(right, right + missed)


class F1(_OfCounts):
    """The harmonic mean of precision and recall, `f1_score`; 0 if both are.

    Args:
        average, reading: as in `Precision`.
    """

    def _ratio(self, right: np.ndarray, wrong: np.ndarray, missed: np.ndarray) -> np.ndarray:
        return _over(2 * right, 2 * right + wrong + missed)


class LogLoss(_OfAnswers):
    """The mean of -log p of the true class, `log_loss`; logits are turned into probabilities first.

    Args:
        reading: as in `Accuracy`.
    """

    fields = ("total", "answers")

    def reset(self) -> None:
        self.total, self.answers = 0.0, 0

    def update(self, output: Any, target: Any) -> None:
        scores, labels = self._answers(output, target)
        p = self.reading.probabilities(scores, labels.ndim == 1)
        smallest = np.finfo(output.dtype).eps if output.dtype.kind == "f" else np.finfo(np.float64).eps
        p = np.clip(p, smallest, 1.0 - smallest)
        if labels.ndim == 2:
            own = np.where(labels, p, 1.0 - p)
        else:
            _check_labels("LogLoss", labels, scores.shape[1])
            own = np.take_along_axis(p, labels[:, None].astype(np.int64), axis=1)
            own = own / p.sum(axis=1, keepdims=True)
        self.total -= float(np.log(own).sum())
        self.answers += own.size

    def compute(self) -> float:
        return self.total / self.answers if self.answers else float("nan")


class _OfRanks(_OfAnswers):
    """Metrics of the order of all scores: kept until the end, the mean over classes or columns."""

    whole = True

    def reset(self) -> None:
        self._scores: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []

    def update(self, output: Any, target: Any) -> None:
        scores, labels = self._answers(output, target)
        if labels.ndim == 1:
            _check_labels(type(self).__name__, labels, scores.shape[1])
            scores = self.reading.probabilities(scores, classes=True)
            labels = labels[:, None] == np.arange(scores.shape[1])
            if scores.shape[1] == 2:
                scores, labels = scores[:, 1:], labels[:, 1:]
        self._scores.append(scores)
        self._labels.append(labels)

    def compute(self) -> float:
        if not self._scores:
            return float("nan")
        scores, labels = np.concatenate(self._scores), np.concatenate(self._labels)
        return float(np.mean([self._of_column(s, y) for s, y in zip(scores.T, labels.T, strict=True)]))

    def _of_column(self, scores: np.ndarray, yes: np.ndarray) -> float:
        raise NotImplementedError

    def state_dict(self) -> dict[str, np.ndarray]:
        if not self._scores:
            return {}
        return {"scores": np.concatenate(self._scores), "labels": np.concatenate(self._labels)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        if state_dict:
            check_keys(type(self).__name__, state_dict, ("scores", "labels"))
        self.reset()
        if state_dict:
            self._scores.append(np.array(state_dict["scores"]))
            self._labels.append(np.array(state_dict["labels"]))


class RocAuc(_OfRanks):
    """The area under the ROC curve, `roc_auc_score`; of several classes the mean of each against the rest.

    It is the probability that an example of the class scores above one of the rest, ties counting half; NaN
    if either is missing. All scores of an epoch are kept in memory.

    Args:
        reading: as in `Accuracy`.
    """

    def _of_column(self, scores: np.ndarray, yes: np.ndarray) -> float:
        n_yes = int(np.count_nonzero(yes))
        n_no = len(yes) - n_yes
        if n_yes == 0 or n_no == 0:
            return float("nan")
        _, place, ties = np.unique(scores, return_inverse=True, return_counts=True)
        rank = np.cumsum(ties) - 0.5 * (ties - 1)  # the mean rank of equal scores, from 1
        return float((rank[place.reshape(-1)][yes].sum() - 0.5 * n_yes * (n_yes + 1)) / (n_yes * n_no))


class AveragePrecision(_OfRanks):
    """The mean precision over the thresholds that find more examples, `average_precision_score`.

    Of several classes the mean of each against the rest; 0 for a class without examples. All scores of an
    epoch are kept in memory.

    Args:
        reading: as in `Accuracy`.
    """

    def _of_column(self, scores: np.ndarray, yes: np.ndarray) -> float:
        if not yes.any():
            return 0.0
        order = np.argsort(-scores, kind="stable")
        ordered, found = scores[order], np.cumsum(yes[order])
        last = np.append(ordered[1:] != ordered[:-1], True)  # of those with equal scores
        precision = found[last] / (np.flatnonzero(last) + 1.0)
        return float(np.sum(np.diff(found[last], prepend=0) * precision) / found[-1])
