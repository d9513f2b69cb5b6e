"""A rate that falls when a metric no longer improves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..._numbers import number, whole
from ._schedule import Schedule, as_schedule


class ReduceOnPlateau(Schedule):
    """Multiplies the rate by a factor when a metric has stopped improving; torch's ReduceLROnPlateau.

    `schedule.update(metric)` tells it a value of the metric; `Trainer.fit` does so after every epoch, with
    what `monitor` names. A value is better than the best so far where it is below `best - |best| · threshold`
    (relative) or `best - threshold` (absolute); for mode "max" where it is above the sum instead. (In torch's
    relative rule best stands for |best|, so that a negative metric improves by standing still.) After more
    than `patience` values in a row that are not better, the rate is multiplied by factor, and `cooldown`
    values are let pass. NaN is never better. The rate of a step is `max(lr(step) · factor^reductions,
    min_lr)`.

    This schedule has state, which belongs to it, not to the training step: `TrainStep.state_dict` saves it
    with the optimizer's. Two optimizers need two of it.

    Args:
        lr: the rate before any reduction, a number or another schedule.
        mode: "min" for a metric that should fall, "max" for one that should rise.
        factor: below 1.
        patience: how many values in a row may fail to improve.
        threshold: what counts as an improvement.
        threshold_mode: "rel" or "abs".
        cooldown: values to let pass after a reduction.
        min_lr: the lowest rate.
        monitor: the name of the metric in the Trainer's history.

    Raises ValueError for values out of range.

    Example:
        >>> from ravine.optim import schedules
        >>> rate = schedules.ReduceOnPlateau(0.1, factor=0.5, patience=1)
        >>> for loss in (1.0, 0.9, 0.9, 0.9):
        ...     rate.update(loss)
        >>> rate(0)
        0.05
    """

    def __init__(
        self,
        lr: float | Schedule,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
        monitor: str = "val_loss",
    ) -> None:
        owner = type(self).__name__
        if mode not in ("min", "max"):
            raise ValueError(f"{owner}: mode must be 'min' or 'max', got {mode!r}")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"{owner}: threshold_mode must be 'rel' or 'abs', got {threshold_mode!r}")
        self.lr = as_schedule(owner, lr)
        self.mode = mode
        self.factor = number(owner, "factor", factor, high=1.0)
        if self.factor == 1.0:
            raise ValueError(f"{owner}: factor must be below 1, got {self.factor}")
        self.patience = whole(owner, "patience", patience, low=0)
        self.threshold = number(owner, "threshold", threshold)
        self.threshold_mode = threshold_mode
        self.cooldown = whole(owner, "cooldown", cooldown, low=0)
        self.min_lr = number(owner, "min_lr", min_lr)
        self.monitor = monitor
        self._steps = self.lr.steps
        self._best = math.inf if mode == "min" else -math.inf
        self._bad = self._cooling = self._reductions = 0

    @property
    def steps(self) -> int | None:  # type: ignore[override]
        """As many as the schedule that is reduced."""
        return self._steps

    def _value(self, step: int) -> float:
        return max(self.lr._value(step) * self.factor**self._reductions, self.min_lr)

    def parts(self) -> Iterator[Schedule]:
        yield self
        yield from self.lr.parts()

    def update(self, metric: float) -> None:
        """Takes the newest value of the metric."""
        value = float(metric)
        if self._better(value):
            self._best, self._bad = value, 0
        else:
            self._bad += 1
        if self._cooling > 0:
            self._cooling -= 1
            self._bad = 0
        if self._bad > self.patience:
            self._reductions += 1
            self._cooling, self._bad = self.cooldown, 0

    def _better(self, value: float) -> bool:
        sign = 1.0 if self.mode == "min" else -1.0
        margin = self.threshold if self.threshold_mode == "abs" else self.threshold * abs(self._best)
        if math.isinf(self._best):
            return sign * value < sign * self._best
        return sign * value < sign * self._best - margin

    def state_dict(self) -> dict[str, np.ndarray]:
        state = {
            "best": np.asarray(self._best, np.float64),
            "bad": np.asarray(self._bad, np.int64),
            "cooling": np.asarray(self._cooling, np.int64),
            "reductions": np.asarray(self._reductions, np.int64),
        }
        return state | {f"lr.{key}": value for key, value in self.lr.state_dict().items()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        own = {key: value for key, value in state_dict.items() if not key.startswith("lr.")}
        expected = {"best", "bad", "cooling", "reductions"}
        if set(own) != expected:
            raise ValueError(
                f"load_state_dict of {type(self).__name__}: missing keys {sorted(expected - set(own))}, "
                f"unexpected keys {sorted(set(own) - expected)}"
            )
        self.lr.load_state_dict(
            {key[3:]: value for key, value in state_dict.items() if key.startswith("lr.")}
        )
        self._best = float(own["best"])
        self._bad, self._cooling, self._reductions = (
            int(own[key]) for key in ("bad", "cooling", "reductions")
        )
