"""The extension point of `Trainer.fit`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._trainer import Trainer

__all__ = ["Callback"]


class Callback:
    """Derive from this and override what you need; `Trainer.fit` calls the methods in the order of its list.

    A callback may read and change the trainer (`trainer.model`, `trainer.optimizer`, `trainer.history`) and
    end the training with `trainer.stop()`, which takes effect at the end of the epoch.

    Example:
        >>> import ravine as rv
        >>> class StopAt(rv.train.Callback):
        ...     def __init__(self, accuracy):
        ...         self.accuracy = accuracy
        ...     def on_epoch_end(self, trainer, epoch, logs):
        ...         if logs["val_accuracy"] >= self.accuracy:
        ...             trainer.stop()
    """

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Before the first epoch."""

    def on_epoch_begin(self, trainer: Trainer, epoch: int) -> None:
        """Before an epoch; epochs count from 0."""

    def on_batch_end(self, trainer: Trainer, batch: int, loss: float) -> None:
        """After the update of a mini-batch; batches count from 0 in each epoch."""

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: Mapping[str, float]) -> None:
        """After an epoch and validation, with what the history gets: loss, metrics, val_*, lr, seconds."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """After the last epoch, and also when the training was interrupted."""
