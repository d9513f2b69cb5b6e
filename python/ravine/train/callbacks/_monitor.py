"""Which of two values of a metric is better."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["Monitor"]

_HIGHER = r"(?:accuracy|top_\w+_accuracy|precision|recall|f1|roc_auc|average_precision|r2)"
_LOWER = r"(?:loss|log_loss|mae|rmse)"


class Monitor:
    """The value that a callback watches, and in which direction it is better.

    Args:
        owner: the callback, for messages.
        name: of the value in the history.
        mode: "min", "max", or "auto", which knows the metrics that have names.

    Raises ValueError for another mode, and for "auto" of a metric that has no known direction.
    """

    def __init__(self, owner: str, name: str, mode: str) -> None:
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"{owner}: mode must be 'auto', 'min' or 'max', got {mode!r}")
        if mode == "auto":
            if re.fullmatch(rf"(?:val_)?(?:\w+_)?{_HIGHER}", name):
                mode = "max"
            elif re.fullmatch(rf"(?:val_)?(?:\w+_)?{_LOWER}", name):
                mode = "min"
            else:
                raise ValueError(f"{owner}: whether {name!r} is better high or low is not known: give mode")
        self.owner = owner
        self.name = name
        self.mode = mode
        self.of_validation = name.startswith("val_")

    @property
    def worst(self) -> float:
        return math.inf if self.mode == "min" else -math.inf

    def better(self, value: float, best: float, margin: float = 0.0) -> bool:
        """Whether a value is better than the best by more than the margin; NaN never is."""
        return value < best - margin if self.mode == "min" else value > best + margin

    def value(self, logs: Mapping[str, Any]) -> float:
        """The value in the logs. Raises ValueError if it is not there, or is no number."""
        value = logs.get(self.name)
        if not isinstance(value, float | int):
            known = ", ".join(name for name, v in logs.items() if isinstance(v, float | int))
            raise ValueError(f"{self.owner} monitors {self.name!r}, but this run measures {known}")
        return float(value)
