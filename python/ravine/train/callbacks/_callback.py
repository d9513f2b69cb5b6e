"""The extension point of `Trainer.fit`."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._state import Stateful

if TYPE_CHECKING:
    from .._trainer import Trainer

__all__ = ["Callback", "check_callbacks", "check_event_names", "check_weights", "overridden"]


class Callback(Stateful):
    """Derive from this and override what you need; `Trainer.fit` calls the methods in the order of its list.

    A callback may read and change the trainer (`trainer.model`, `trainer.optimizer`, `trainer.history`,
    `trainer.step`, `trainer.loop`) and end the training with `trainer.stop()`, which takes effect when the
    mini-batch under way is complete. The attributes that `fields` names, numbers and arrays, are part of
    checkpoints; a callback with other state defines `state_dict` and `load_state_dict`. State is loaded
    before `on_fit_begin`.

    Attributes:
        idle: names of methods that have nothing to do in this instance, which `fit` does not call.

    Raises TypeError, by `fit`, if a method that begins with "on_" is none of these.

    Example:
        >>> import ravine as rv
        >>> class StopAt(rv.train.Callback):
        ...     def __init__(self, accuracy):
        ...         self.accuracy = accuracy
        ...     def on_epoch_end(self, trainer, epoch, logs):
        ...         if logs["val_accuracy"] >= self.accuracy:
        ...             trainer.stop()
    """

    idle: Collection[str] = ()

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Before the first epoch."""

    def on_epoch_begin(self, trainer: Trainer, epoch: int) -> None:
        """Before an epoch; epochs count from 0. Not again if a run goes on inside of one."""

    def on_batch_begin(self, trainer: Trainer, batch: int) -> None:
        """Before a mini-batch; batches count from 0 in each epoch."""

    def on_update(self, trainer: Trainer, step: int) -> None:
        """After an update of the weights, with the number of updates so far: less often than batches if the
        optimizer accumulates."""

    def on_validation_begin(self, trainer: Trainer) -> None:
        """Before a validation."""

    def on_validation_end(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:
        """After a validation, with its values: "val_loss", ..."""

    def on_batch_end(self, trainer: Trainer, batch: int, loss: float) -> None:
        """After a mini-batch, its update and validation."""

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: Mapping[str, Any]) -> None:
        """After an epoch and validation, with what the history gets: loss, metrics, val_*, lr, seconds."""

    def on_failed(self, trainer: Trainer, error: BaseException) -> None:
        """When an exception ends the training: KeyboardInterrupt by Ctrl-C, SystemExit by SIGTERM, others."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """After the last epoch, and also when an exception ended the training."""

    def check_state(self, trainer: Trainer) -> None:
        """Raises ValueError where the state that was loaded does not fit the trainer."""


def check_weights(owner: str, weights: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Raises ValueError where weights, if there are some, have other names and shapes than expected."""
    shapes = {name: np.shape(array) for name, array in weights.items()}
    wanted = {name: np.shape(array) for name, array in expected.items()}
    if shapes and shapes != wanted:
        wrong = sorted(name for name in shapes.keys() | wanted.keys() if shapes.get(name) != wanted.get(name))
        raise ValueError(
            f"load_state_dict of {owner}: missing, unexpected or misshaped weights: {', '.join(wrong)}"
        )


def _events() -> list[str]:
    return [name for name in vars(Callback) if name.startswith("on_")]


def overridden(callback: Callback) -> list[str]:
    """The names of the methods that a callback defines and has something to do in."""
    defined = [name for name in _events() if getattr(type(callback), name) is not getattr(Callback, name)]
    return [name for name in defined if name not in callback.idle]


def check_event_names(owner: str, names: Sequence[str]) -> None:
    """Raises TypeError for a name that is no method of `Callback`, with the one that it resembles."""
    known = _events()
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            meant = f"; {close[0]} is meant?" if close else ""
            raise TypeError(f"{owner}: there is no event {name}, only {', '.join(known)}{meant}")


def check_callbacks(callbacks: Sequence[Callback]) -> list[Callback]:
    """Raises TypeError for what is no callback, and for one with a misspelt method."""
    if isinstance(callbacks, Callback):
        raise TypeError("fit: callbacks must be a list of callbacks, got one of them")
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise TypeError(
                f"fit: callbacks must derive from ravine.train.Callback, got {type(callback).__name__}"
            )
        names = [name for name in dir(callback) if name.startswith("on_")]
        check_event_names(f"callback {type(callback).__name__}", names)
    return list(callbacks)
