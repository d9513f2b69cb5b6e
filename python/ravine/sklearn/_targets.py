"""Targets as scikit-learn's users have them, and as networks learn them."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.multiclass import type_of_target, unique_labels

from ..train.metrics import Reading

__all__ = ["Labels", "Numbers"]

_SINGLE = ("binary", "multiclass")
_SEVERAL = "multilabel-indicator"


class Labels:
    """The classes of a classifier: labels of any kind to indices and back.

    Args:
        owner: the estimator, for messages.
        y: labels [n] (numbers, strings), or several labels an example as 0 and 1 [n, labels].
        classes: all classes if y need not have each of them.

    Attributes:
        classes: in the order of the indices.
        columns: how many there are.
        several: whether an example may have several labels.

    Raises ValueError for numbers that are no labels, several outputs of several classes, a single class.
    """

    def __init__(self, owner: str, y: Any, classes: Any = None) -> None:
        kind = _kind(owner, y)
        self.several = kind == _SEVERAL
        self.classes = unique_labels(y if classes is None else classes)
        self.columns = len(self.classes)
        if self.several and len(self.classes) != y.shape[1]:
            raise ValueError(f"{owner}: y has {y.shape[1]} columns of labels, but classes are {self.classes}")
        if len(self.classes) < 2 and not self.several:
            raise ValueError(f"{owner}: y has one class, {self.classes[0]}; at least two classes are needed")

    def encode(self, owner: str, y: Any) -> np.ndarray:
        """Indices of the classes, int64 [n]; of several labels 0 and 1, float64 [n, labels].

        Raises ValueError for labels that are none of the classes.
        """
        several = _kind(owner, y) == _SEVERAL
        if several != self.several or (several and y.shape[1] != self.columns):
            raise ValueError(f"{owner}: y is not of the kind of the first call, with {self.columns} classes")
        if several:
            return np.asarray(y.toarray() if hasattr(y, "toarray") else y, np.float64)
        unknown = np.setdiff1d(y, self.classes)
        if len(unknown):
            raise ValueError(f"{owner}: y has labels {unknown} that are not in the classes {self.classes}")
        return np.searchsorted(self.classes, y).astype(np.int64)

    def probabilities(self, outputs: np.ndarray, reading: Reading) -> np.ndarray:
        """Those of the classes [n, classes], float64, of what a network puts out."""
        scores = outputs.reshape(len(outputs), -1)
        p = reading.probabilities(scores, classes=not reading.binary)
        if self.several:
            return p
        if p.shape[1] == 1:  # yes or no
            return np.hstack([1.0 - p, p])
        # Answers on their own, one against the rest, need not sum to 1.
        return p / np.maximum(p.sum(axis=1, keepdims=True), np.finfo(p.dtype).tiny) if reading.binary else p

    def decisions(self, outputs: np.ndarray, reading: Reading) -> np.ndarray:
        """Scores of the classes [n, classes], as logits; of two classes the lead of the second [n]."""
        scores = outputs.reshape(len(outputs), -1).astype(np.float64)
        if reading.form == "probabilities":
            yes = np.clip(scores, np.finfo(np.float64).tiny, 1.0 - np.finfo(np.float64).epsneg)
            scores = np.log(yes) - np.log1p(-yes)
        if self.several or len(self.classes) > 2:
            return scores
        return scores[:, 0] if scores.shape[1] == 1 else scores[:, 1] - scores[:, 0]

    def decode(self, probabilities: np.ndarray) -> np.ndarray:
        """The most probable labels [n], or 0 and 1 for several labels [n, labels]."""
        if self.several:
            return (probabilities > 0.5).astype(np.int64)
        return self.classes[probabilities.argmax(axis=1)]


def _kind(owner: str, y: Any) -> str:
    kind = type_of_target(y, input_name="y", raise_unknown=True)
    if kind not in (*_SINGLE, _SEVERAL):
        hint = "; a regressor takes numbers" if kind.startswith("continuous") else ""
        raise ValueError(
            f"{owner}: Unknown label type: {kind}, expected labels [n] or 0 and 1 for several labels{hint}"
        )
    return kind


class Numbers:
    """The targets of a regressor.

    Args:
        owner: the estimator, for messages.
        y: numbers [n] or [n, outputs].

    Attributes:
        columns: outputs.
        flat: whether y was [n].
    """

    def __init__(self, owner: str, y: np.ndarray) -> None:
        self.columns = 1 if y.ndim == 1 else y.shape[1]
        self.flat = y.ndim == 1

    def encode(self, owner: str, y: np.ndarray) -> np.ndarray:
        """[n, outputs]. Raises ValueError for another number of outputs than in the first call."""
        columns = y.reshape(len(y), -1)
        if columns.shape[1] != self.columns:
            raise ValueError(f"{owner}: y has {columns.shape[1]} columns, expected {self.columns}")
        return columns

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """In the form of y."""
        return outputs.reshape(-1) if self.flat else outputs.reshape(len(outputs), -1)
