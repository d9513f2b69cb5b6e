"""Metrics: functions of a batch's outputs and targets whose mean over examples is reported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from .. import nn, ops

__all__ = ["Metric", "accuracy", "binary_accuracy", "named_metrics"]

# (output of the model, target) of one batch, as arrays, to the mean over the batch.
Metric = Callable[[np.ndarray, np.ndarray], float]


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
    if target.dtype.kind in "iub" and output.ndim == target.ndim + 1 and output.shape[1] > 1:
        predicted, expected = output.argmax(axis=1), target
    elif output.shape == target.shape and output.ndim >= 2 and output.shape[1] > 1:
        predicted, expected = output.argmax(axis=1), target.argmax(axis=1)
    elif output.size == target.size and output.ndim <= 2 and len(output) == len(target):
        return binary_accuracy(output, target)
    else:
        raise ValueError(
            f"accuracy: output {output.shape} and target {target.dtype} {target.shape}, expected [n, C] with "
            "class indices [n] or probabilities [n, C], or [n] logits of two classes with [n] labels"
        )
    if predicted.shape != expected.shape:
        raise ValueError(f"accuracy: output {output.shape} and target {target.shape} do not fit")
    return float(np.mean(predicted == expected))


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


def _accuracy_under(loss: object) -> Metric:
    """What "accuracy" means for outputs that this loss takes."""
    if isinstance(loss, nn.BCELoss) or loss is ops.binary_cross_entropy:
        return lambda output, target: binary_accuracy(output, target, threshold=0.5)
    if isinstance(loss, nn.BCEWithLogitsLoss) or loss is ops.binary_cross_entropy_with_logits:
        return binary_accuracy
    return accuracy


_KNOWN: dict[str, Metric] = {"accuracy": accuracy}


def named_metrics(metrics: Sequence[str | Metric] | Mapping[str, Metric], loss: object) -> dict[str, Metric]:
    """Metrics by the name under which the history lists them; "loss" is always there and dropped here."""
    if isinstance(metrics, str):
        raise TypeError(f"metrics={metrics!r}: expected a list such as [{metrics!r}]")
    named: dict[str, Metric] = {}
    if isinstance(metrics, Mapping):
        named.update(metrics)
    else:
        for metric in metrics:
            if metric == "loss":
                continue
            if isinstance(metric, str):
                if metric not in _KNOWN:
                    raise ValueError(
                        f"metrics: unknown {metric!r}; known are loss, {', '.join(_KNOWN)}, or a function"
                    )
                named[metric] = _KNOWN[metric]
            else:
                named[getattr(metric, "__name__", type(metric).__name__)] = metric
    for name, function in named.items():
        if not callable(function):
            raise TypeError(
                f"metrics: {name!r} is a {type(function).__name__}, expected a function (output, target)"
            )
        if name in _RESERVED or name.startswith("val_"):
            raise ValueError(f"metrics: the name {name!r} is taken by the history itself")
    return {name: _accuracy_under(loss) if f is accuracy else f for name, f in named.items()}


_RESERVED = ("loss", "lr", "seconds")


class Mean:
    """Running means of named numbers, weighted by examples."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._examples = 0

    def add(self, examples: int, values: Mapping[str, float]) -> None:
        self._examples += examples
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + examples * value

    def values(self) -> dict[str, float]:
        return {name: total / self._examples for name, total in self._sums.items()}
