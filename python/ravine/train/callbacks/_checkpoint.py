"""Checkpoints of a run: the newest ones, and the best."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..._numbers import whole
from ._callback import Callback
from ._monitor import Monitor

if TYPE_CHECKING:
    from .._trainer import Trainer

__all__ = ["Checkpoint", "latest_checkpoint"]

_PREFIX, _SUFFIX, _BEST = "step-", ".safetensors", "best.safetensors"


def _saved(folder: Path) -> dict[int, Path]:
    """The checkpoints of a folder by their number of updates, in order."""
    files = {path.name[len(_PREFIX) : -len(_SUFFIX)]: path for path in folder.glob(f"{_PREFIX}*{_SUFFIX}")}
    return {int(steps): files[steps] for steps in sorted(files) if steps.isdigit()}


def latest_checkpoint(folder: str | os.PathLike[str]) -> Path | None:
    """The newest checkpoint that `Checkpoint` left in a folder, for `fit(..., resume=)`; None without one.

    Example:
        >>> import tempfile, ravine as rv
        >>> print(rv.train.latest_checkpoint(tempfile.mkdtemp()))
        None
    """
    return next(reversed(_saved(Path(folder)).values()), None)


class Checkpoint(Callback):
    """Saves the whole state of the run now and then, when it ends, and when Ctrl-C or SIGTERM ends it.

    `fit(..., resume=rv.train.latest_checkpoint(folder))` goes on to the same bits. Files are called
    "step-<updates>.safetensors"; each appears whole or not at all (`rv.save`).

    Args:
        path: a folder, made if it is missing.
        every: how often, in units.
        unit: "epoch", or "step" for updates of the weights: then runs resume inside of an epoch.
        keep: how many of the newest stay, at least 1.
        monitor: also keep "best.safetensors", saved when this value of the history is the best so far.
        mode: of the monitor, "min" or "max"; "auto" knows the metrics that have names.

    Raises:
        ValueError: arguments out of range; when the run begins, if the folder has checkpoints of more updates
            than it has done, which belong to another run.
        OSError: where the system refuses to write; the checkpoints before stay.

    Example:
        >>> import os, tempfile, numpy as np, ravine as rv
        >>> from ravine import nn, optim
        >>> folder = tempfile.mkdtemp()
        >>> x, y = np.ones((8, 2)), np.ones((8, 1))
        >>> def trainer():
        ...     return rv.Trainer(nn.Linear(2, 1), nn.MSELoss(), optim.Adam())
        >>> saving = rv.train.Checkpoint(folder, keep=1)
        >>> history = trainer().fit(x, y, epochs=2, batch_size=4, callbacks=[saving], verbose=0)
        >>> os.listdir(folder)
        ['step-000000004.safetensors']
        >>> resumed = trainer().fit(
        ...     x, y, epochs=3, batch_size=4, resume=rv.train.latest_checkpoint(folder), verbose=0
        ... )
        >>> len(resumed["loss"]), resumed["loss"][:2] == history["loss"]
        (3, True)
    """

    fields = ("best",)

    def __init__(
        self,
        path: str | os.PathLike[str],
        every: int = 1,
        unit: str = "epoch",
        keep: int = 3,
        monitor: str | None = None,
        mode: str = "auto",
    ) -> None:
        if unit not in ("epoch", "step"):
            raise ValueError(f"Checkpoint: unit must be 'epoch' or 'step', got {unit!r}")
        self.folder, self.unit = Path(path), unit
        self.every = whole("Checkpoint", "every", every, 1)
        self.keep = whole("Checkpoint", "keep", keep, 1)
        self._monitor = None if monitor is None else Monitor("Checkpoint", monitor, mode)
        self.best = 0.0 if self._monitor is None else self._monitor.worst
        self._due = self._improved = self._failed = False
        if unit == "epoch":
            self.idle = ("on_update",) if self._monitor else ("on_update", "on_batch_end")
        self._newest = -1  # updates at the newest checkpoint

    def saved(self) -> list[Path]:
        """The checkpoints in the folder, the newest last; "best.safetensors" left out."""
        return list(_saved(self.folder).values())

    def save(self, trainer: Trainer) -> None:
        """Saves a checkpoint now."""
        self._due = True
        self._save(trainer)

    def on_fit_begin(self, trainer: Trainer) -> None:
        self._failed = False
        self.folder.mkdir(parents=True, exist_ok=True)
        later = [path for steps, path in _saved(self.folder).items() if steps > trainer.step.steps]
        if later:
            raise ValueError(
                f"Checkpoint: {later[-1]} has more updates than this run, which has {trainer.step.steps}: "
                "resume from it, remove it, or take another folder"
            )

    def on_update(self, trainer: Trainer, step: int) -> None:
        self._due = self._due or (self.unit == "step" and step % self.every == 0)

    def on_validation_end(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:
        if self._monitor is not None and self._monitor.of_validation:
            self._look(self._monitor, logs)

    def _look(self, monitor: Monitor, logs: Mapping[str, Any]) -> None:
        value = monitor.value(logs)
        if monitor.better(value, self.best):
            self.best, self._improved = value, True

    def on_batch_end(self, trainer: Trainer, batch: int, loss: float) -> None:
        if self._due or self._improved:
            self._save(trainer)

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: Mapping[str, Any]) -> None:
        if self._monitor is not None and not self._monitor.of_validation:
            self._look(self._monitor, logs)
        self._due = self._due or (self.unit == "epoch" and (epoch + 1) % self.every == 0)
        if self._due or self._improved:
            self._save(trainer)

    def on_failed(self, trainer: Trainer, error: BaseException) -> None:
        self._failed = True
        if isinstance(error, KeyboardInterrupt | SystemExit) and trainer.loop.settled:
            self.save(trainer)

    def on_fit_end(self, trainer: Trainer) -> None:
        if not self._failed and self._newest != trainer.step.steps:  # the run met a limit or was stopped
            self.save(trainer)

    def _save(self, trainer: Trainer) -> None:
        improved, due, self._improved, self._due = self._improved, self._due, False, False
        if improved:
            trainer.save(self.folder / _BEST)
        if due:
            self._newest = trainer.step.steps
            trainer.save(self.folder / f"{_PREFIX}{trainer.step.steps:09d}{_SUFFIX}")
            for path in self.saved()[: -self.keep]:
                path.unlink(missing_ok=True)
