"""Metrics by name, and the two that are functions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

import numpy as np

from ._answers import Reading, reading_under
from ._classification import (
    F1,
    Accuracy,
    AveragePrecision,
    ConfusionMatrix,
    LogLoss,
    Precision,
    Recall,
    RocAuc,
    TopKAccuracy,
)
from ._metric import RESERVED, Function, Metric, MetricFunction
from ._regression import MAE, R2, RMSE

__all__ = ["MetricLike", "accuracy", "binary_accuracy", "named_metrics"]

MetricLike: TypeAlias = str | MetricFunction | Metric


def accuracy(output: np.ndarray, target: np.ndarray) -> float:
    """The share of examples whose largest output is the target class.

    Args:
        output: logits or probabilities [n, C] (or [n, C, ...] with a target per position); or logits [n] or
            [n, 1] of two classes, where a positive one means class 1.
        target: class indices [n] (or [n, ...]), or probabilities of the same shape as output.

    Raises:
        ValueError: the shapes fit in none of these ways.

    Example:
        >>> import numpy as np
        >>> from ravine.train import accuracy
        >>> accuracy(np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([0, 0]))
        0.5
    """
    metric = Accuracy()
    metric.update(output, target)
    return metric.compute()


def binary_accuracy(output: np.ndarray, target: np.ndarray, threshold: float = 0.0) -> float:
    """The share of yes-or-no answers that are right: output above the threshold where target is above 0.5.

    Args:
        output: one answer for each example, [n] or [n, 1], or several, [n, labels] (or any other shape).
        target: as many, 0 or 1.
        threshold: 0 for logits, 0.5 for probabilities.

    Raises:
        ValueError: not as many targets as outputs.

    Example:
        >>> import numpy as np
        >>> from ravine.train import binary_accuracy
        >>> binary_accuracy(np.array([[0.7, 0.2], [0.4, 0.9]]), np.array([[1, 0], [1, 1]]), threshold=0.5)
        0.75
    """
    if output.size != target.size or len(output) != len(target):
        raise ValueError(
            f"binary_accuracy: output {output.shape} and target {target.shape}, expected one target for each "
            "output"
        )
    return float(np.mean((output.reshape(-1) > threshold) == (target.reshape(-1) > 0.5)))


_OF_ANSWERS: dict[str, Callable[[Reading], Metric]] = {
    "accuracy": Accuracy,
    "top_k_accuracy": lambda reading: TopKAccuracy(reading=reading),
    "precision": lambda reading: Precision(reading=reading),
    "recall": lambda reading: Recall(reading=reading),
    "f1": lambda reading: F1(reading=reading),
    "confusion_matrix": ConfusionMatrix,
    "roc_auc": RocAuc,
    "average_precision": AveragePrecision,
    "log_loss": LogLoss,
}
_OF_NUMBERS: dict[str, Callable[[], Metric]] = {"mae": MAE, "rmse": RMSE, "r2": R2}


def named_metrics(metrics: Sequence[MetricLike] | Mapping[str, Any], loss: object) -> dict[str, Metric]:
    """Metrics by the name under which the history lists them; "loss" is always there and dropped here."""
    if isinstance(metrics, str):
        raise TypeError(f"metrics={metrics!r}: expected a list such as [{metrics!r}]")
    items = (
        metrics.items() if isinstance(metrics, Mapping) else [(_name(metric), metric) for metric in metrics]
    )
    named = {name: _as_metric(name, metric, loss) for name, metric in items if metric != "loss"}
    for name in named:
        if name in RESERVED or name.startswith("val_"):
            raise ValueError(f"metrics: the name {name!r} is taken by the history itself")
    return named


def _name(metric: Any) -> str:
    return metric if isinstance(metric, str) else getattr(metric, "__name__", type(metric).__name__)


def _as_metric(name: str, metric: Any, loss: object) -> Metric:
    if isinstance(metric, type) and issubclass(metric, Metric):
        return metric()
    if isinstance(metric, Metric):
        return metric
    if metric is accuracy or metric == "accuracy":
        return Accuracy(reading_under(loss))
    if isinstance(metric, str):
        if (ranked := re.fullmatch(r"top_([1-9]\d*)_accuracy", metric)) is not None:
            return TopKAccuracy(int(ranked.group(1)), reading_under(loss))
        if metric in _OF_NUMBERS:
            return _OF_NUMBERS[metric]()
        if metric not in _OF_ANSWERS:
            known = ", ".join([*_OF_ANSWERS, *_OF_NUMBERS])
            raise ValueError(f"metrics: unknown {metric!r}; known are loss, {known}, or a function")
        return _OF_ANSWERS[metric](reading_under(loss))
    if not callable(metric):
        raise TypeError(
            f"metrics: {name!r} is a {type(metric).__name__}, expected a name, a Metric, or a function "
            "(output, target)"
        )
    return Function(cast(MetricFunction, metric))
