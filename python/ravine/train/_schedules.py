"""What the training loop owes to schedules: a run no longer than they are, and the metrics they watch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ..optim import Optimizer
from ..optim.schedules import ReduceOnPlateau
from ..optim.schedules._schedule import scheduled

__all__ = ["check_length", "check_monitors", "feed_monitors"]


def check_length(optimizer: Optimizer, done: int, updates: int) -> None:
    """Raises ValueError where a schedule ends before the last of `updates` more updates."""
    for name, schedule in scheduled(optimizer).items():
        if schedule.steps is not None and schedule.steps < done + updates:
            before = f" after the {done} done before" if done else ""
            raise ValueError(
                f"fit: the run takes {updates} updates{before}, but the schedule of {name} ends after "
                f"{schedule.steps}: {schedule!r}; make it longer, or let it go on with hold()"
            )


def _plateaus(optimizer: Optimizer) -> list[ReduceOnPlateau]:
    schedules = scheduled(optimizer).values()
    parts = [part for schedule in schedules for part in schedule.parts() if isinstance(part, ReduceOnPlateau)]
    return list({id(part): part for part in parts}.values())  # one that stands in two places counts once


def check_monitors(optimizer: Optimizer, names: Collection[str]) -> None:
    """Raises ValueError where a schedule watches a metric that is none of `names`."""
    for plateau in _plateaus(optimizer):
        if plateau.monitor not in names:
            raise ValueError(
                f"fit: ReduceOnPlateau monitors {plateau.monitor!r}, but this run measures {', '.join(names)}"
            )


def feed_monitors(optimizer: Optimizer, logs: Mapping[str, Any], *, of_validation: bool) -> None:
    """Tells schedules the metric they watch, if it is (or is not) one of the validation."""
    for plateau in _plateaus(optimizer):
        if plateau.monitor.startswith("val_") == of_validation:
            plateau.update(logs[plateau.monitor])
