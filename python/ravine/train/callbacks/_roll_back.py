"""Going back to a checkpoint, with a smaller learning rate, where the loss is no number any more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..._numbers import number, whole
from ...optim import Hyper
from ...optim.schedules import Schedule
from .._checkpoint_file import read_checkpoint
from ._callback import Callback
from ._checkpoint import Checkpoint

if TYPE_CHECKING:
    from .._trainer import Trainer

__all__ = ["RollBack", "check_on_nonfinite"]

States: TypeAlias = Mapping[str, Mapping[str, np.ndarray]]


class RollBack(Callback):
    """A run that diverges goes on from a checkpoint: `fit(..., on_nonfinite=RollBack(checkpoint))`.

    When the loss becomes NaN or infinite, the whole run, from the weights to the order of the examples, goes
    back to the newest checkpoint whose weights are finite, as if it had failed and `fit(..., resume=)` had
    been called by hand. It goes on with the learning rate times `factor`, those of groups of parameters and
    schedules too. If it fails again before there is another checkpoint, it goes back to the one before.
    Checkpoints that it does not go back to are removed. If there is none when the run begins, one is saved.
    The history counts in "rollbacks" how often the run had gone back by the end of each epoch.

    How often it went back is part of checkpoints: a run that is resumed goes on with the same rates.

    Args:
        checkpoint: one of the callbacks of the same fit.
        factor: of the learning rate, above 0 and below 1.
        most: how often a run may go back; the next time it ends with the FloatingPointError.

    Attributes:
        count: how often the run has gone back.
        newest: the number of updates of the checkpoint that it went back to; -1 before.

    Raises TypeError and ValueError for arguments of other kinds and out of range.

    Example:
        >>> import tempfile, numpy as np, ravine as rv
        >>> from ravine import nn, optim
        >>> x = np.ones((8, 1))
        >>> saving = rv.train.Checkpoint(tempfile.mkdtemp())
        >>> trainer = rv.Trainer(nn.Linear(1, 1), nn.MSELoss(), optim.SGD(lr=1e9))
        >>> back = rv.train.RollBack(saving, factor=1e-5)
        >>> history = trainer.fit(x, x, epochs=9, callbacks=[saving], on_nonfinite=back, verbose=0)
        >>> back.count, round(history["lr"][-1], 9), history["rollbacks"]
        (2, 0.1, [0.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0])
    """

    fields = ("count", "newest")

    def __init__(self, checkpoint: Checkpoint, factor: float = 0.5, most: int = 3) -> None:
        if not isinstance(checkpoint, Checkpoint):
            raise TypeError(
                f"RollBack: a ravine.train.Checkpoint is expected, got {type(checkpoint).__name__}"
            )
        self.checkpoint = checkpoint
        self.factor = number("RollBack", "factor", factor, below=1.0)
        if self.factor == 0:
            raise ValueError("RollBack: factor must be above 0, got 0")
        self.most = whole("RollBack", "most", most, 1)
        self.count, self.newest = 0, -1
        self._lowered = 0  # how often functions of the step were

    def on_fit_begin(self, trainer: Trainer) -> None:
        """After that of the checkpoint, which has made the folder."""
        if not self.checkpoint.saved():
            self.checkpoint.save(trainer)
        # Those of a function of the step are code, which no checkpoint holds.
        _lower(trainer.step.hyper, self.factor ** (self.count - self._lowered), functions=True)
        self._lowered = self.count

    def go_back(
        self, error: FloatingPointError, restore: Callable[[str, States], object], hyper: Hyper
    ) -> None:
        """Lets `restore` take the state of a checkpoint, and lowers the rate.

        Raises FloatingPointError, from the error that ended the run, if it went back too often or cannot.
        """
        if self.count == self.most:
            again = f"the run had gone back {self.most} times, as often as RollBack allows"
            raise FloatingPointError(f"{error}; {again}") from error
        path, states = self._newest(error)
        count = self.count + 1
        restore(str(path), states)
        # The checkpoint, and with it the rate, may be one of before the last time.
        _lower(hyper, self.factor ** (count - self.count), functions=False)
        self.count, self.newest = count, _steps(path)

    def _newest(self, error: FloatingPointError) -> tuple[Path, States]:
        """The newest checkpoint that is worth going back to; those after it are removed."""
        saved = self.checkpoint.saved()
        while saved:
            path, states = saved[-1], read_checkpoint(saved[-1])
            finite = all(np.isfinite(array).all() for array in states["model"].values())
            if finite and (len(saved) == 1 or _steps(path) != self.newest):
                return path, states
            saved.pop().unlink()
        raise FloatingPointError(
            f"{error}; no checkpoint in {self.checkpoint.folder} has finite weights"
        ) from error

    def notes(self) -> dict[str, float]:
        """What stands in the history."""
        return {"rollbacks": float(self.count)}


def _lower(hyper: Hyper, factor: float, *, functions: bool) -> None:
    """Multiplies the learning rates, also those of groups: the numbers, or the functions of the step."""
    if factor == 1:
        return
    for name, value in list(hyper.items()):
        if isinstance(value, Hyper):
            _lower(value, factor, functions=functions)
        elif name == "lr" and callable(value) == functions:
            hyper[name] = _times(value, factor)


def _steps(path: Path) -> int:
    """The number of updates of a checkpoint."""
    return int(path.stem.rpartition("-")[2])


def _scaled(function: Callable[[int], Any], factor: float, step: int) -> float:
    return function(step) * factor


def _times(rate: Any, factor: float) -> Any:
    if isinstance(rate, Schedule):
        return rate.scaled(factor)
    if callable(rate):
        return partial(_scaled, rate, factor)
    return rate * factor


def check_on_nonfinite(given: Any, callbacks: Sequence[Callback]) -> list[Callback]:
    """What `fit` takes as `on_nonfinite`; the callbacks that it adds, which come after the others.

    Raises ValueError for anything else, and for one whose checkpoint is none of the fit's callbacks.
    """
    if isinstance(given, RollBack):
        if given.checkpoint not in callbacks:
            raise ValueError("fit: the checkpoint of on_nonfinite=RollBack(...) must be among the callbacks")
        return [given]
    if not isinstance(given, str) or given not in ("stop", "skip"):
        raise ValueError(f"fit: on_nonfinite must be 'stop', 'skip' or a RollBack, got {given!r}")
    return []
