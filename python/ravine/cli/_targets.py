"""What is to be predicted: classes by their names, or numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

_FEW = 20  # different whole numbers of a CSV column that are still taken for classes


class Targets:
    """Targets as a model is trained on them.

    Attributes:
        classes: the names of the classes; None where targets are numbers.
        outputs: how many a model needs.
    """

    def __init__(self, classes: Sequence[str] | None, outputs: int) -> None:
        self.classes = None if classes is None else list(classes)
        self.outputs = outputs

    def encode(self, y: Any, place: Callable[[int], str]) -> np.ndarray:
        """Numbers of classes, int64 [n], or numbers, float32 [n, outputs].

        Args:
            y: as it was read: texts, numbers, or objects with None where one is missing.
            place: how messages name a row.

        Raises ValueError for a target that is missing, a class that was not trained, and numbers that are
        not finite or too many.
        """
        _check_present(y, place)
        if self.classes is None:
            return self._numbers(y, place)
        if y.ndim != 1:
            raise ValueError(f"{place(0)}: targets have shape {y.shape}, expected one class for each example")
        values, which = np.unique(y, return_inverse=True)
        number = {name: i for i, name in enumerate(self.classes)}
        codes = np.array([number.get(_name(value), -1) for value in values], np.int64)[which.reshape(-1)]
        if (codes < 0).any():
            row = int(np.argmax(codes < 0))
            known = ", ".join(self.classes[:20]) + (", ..." if len(self.classes) > 20 else "")
            raise ValueError(f"{place(row)}: the class {_name(y[row])!r} is unknown; known are {known}")
        return codes

    def _numbers(self, y: Any, place: Callable[[int], str]) -> np.ndarray:
        if y.dtype.kind not in "fiub":
            raise ValueError(f"{place(0)}: the target {y[0]!r} is no number, as regression needs")
        numbers = y.reshape(len(y), -1).astype(np.float32)
        if numbers.shape[1] != self.outputs:
            raise ValueError(f"{place(0)}: {numbers.shape[1]} targets, expected {self.outputs}")
        finite = np.isfinite(numbers).all(axis=1)
        if not finite.all():
            raise ValueError(f"{place(int(np.argmin(finite)))}: the target is not finite in float32")
        return numbers


def targets_of(y: Any, task: str, place: Callable[[int], str], *, labels: bool) -> Targets:
    """What targets are: by their type, unless `task` says so.

    Args:
        y: the targets of all examples.
        task: "classification", "regression" or "auto".
        place: how messages name a row.
        labels: whether whole numbers are the numbers of classes, as in arrays; in a column of a table they
            are names of classes where there are few.

    Raises ValueError for labels below 0, fewer than two classes, and as `Targets.encode`.
    """
    _check_present(y, place)
    whole = y.dtype.kind in "iub"
    if task == "auto":
        few = labels or (whole and len(np.unique(y)) <= _FEW)
        task = "classification" if y.dtype.kind in "OUS" or (whole and few) else "regression"
    if task == "regression":
        return Targets(None, int(np.prod(y.shape[1:])))
    if y.ndim != 1 or y.dtype.kind not in "OUSiub":
        raise ValueError(
            f"{place(0)}: targets are {y.dtype} {y.shape}, expected class labels [n]; --task regression "
            "predicts numbers"
        )
    if whole and labels:
        if y.min() < 0:
            raise ValueError(f"{place(int(np.argmin(y)))}: the label {y.min()}, expected labels from 0")
        names = [str(i) for i in range(int(y.max()) + 1)]
    else:
        names = [_name(value) for value in np.unique(y)]
    if len(names) < 2:
        raise ValueError(f"{place(0)}: all targets are {names[0]}, expected at least two classes")
    return Targets(names, len(names))


def _check_present(y: Any, place: Callable[[int], str]) -> None:
    missing = np.array([value is None for value in y]) if y.dtype == object else None
    if y.dtype.kind == "f" and y.ndim == 1:
        missing = np.isnan(y)
    if missing is not None and missing.any():
        raise ValueError(f"{place(int(np.argmax(missing)))}: the target is missing")


def _name(value: Any) -> str:
    """The name of a class: 1, 1.0 and "1" have one."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    return str(int(value)) if isinstance(value, bool | np.bool_) else str(value)
