"""A rate that falls when a metric no longer improves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ... import _core
from ..._numbers import number, whole
from ._schedule import Leaf, Schedule, as_schedule


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
        self._plateau = self._new_plateau()

    def _new_plateau(self) -> _core.Plateau:
        return _core.Plateau(
            self.lr._expression(_core.Schedule.of_function),
            maximize=self.mode == "max",
            factor=self.factor,
            patience=self.patience,
            threshold=self.threshold,
            relative=self.threshold_mode == "rel",
            cooldown=self.cooldown,
            min_value=self.min_lr,
        )

    def _expression(self, leaf: Leaf) -> _core.Schedule:
        return self._plateau

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_plateau": self._plateau.state}

    def __setstate__(self, fields: dict[str, Any]) -> None:
        self.__dict__.update({name: value for name, value in fields.items() if name != "_plateau"})
        self._plateau = self._new_plateau()
        self._plateau.state = fields["_plateau"]

    @property
    def steps(self) -> int | None:  # type: ignore[override]
        """As many as the schedule that is reduced."""
        return self._steps

    def parts(self) -> Iterator[Schedule]:
        yield self
        yield from self.lr.parts()

    def _followers(self, key: str) -> Iterator[tuple[str, _core.Plateau]]:
        yield from self.lr._followers(f"{key}.lr")
        yield key, self._plateau

    def update(self, metric: float) -> None:
        """Takes the newest value of the metric."""
        self._plateau.update(float(metric))

    def state_dict(self) -> dict[str, np.ndarray]:
        best, bad, cooling, reductions = self._plateau.state
        state = {
            "best": np.asarray(best, np.float64),
            "bad": np.asarray(bad, np.int64),
            "cooling": np.asarray(cooling, np.int64),
            "reductions": np.asarray(reductions, np.int64),
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
        bad, cooling, reductions = (int(own[key]) for key in ("bad", "cooling", "reductions"))
        self._plateau.state = float(own["best"]), bad, cooling, reductions
