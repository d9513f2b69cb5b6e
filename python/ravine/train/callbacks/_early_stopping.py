"""Ending a run that no longer gets better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._numbers import number, whole
from ..._state import Stateful
from ._callback import Callback, check_weights
from ._monitor import Monitor

if TYPE_CHECKING:
    from .._trainer import Trainer

__all__ = ["EarlyStopping"]


class EarlyStopping(Callback):
    """Ends the training when a value has not improved for a while, and takes the best weights back.

    Args:
        monitor: the value in the history. One of the validation is looked at after every validation, another
            at the end of every epoch.
        patience: how many times in a row it may fail to improve before the training ends.
        mode: "min" or "max"; "auto" knows the metrics that have names.
        min_delta: an improvement is more than this.
        restore_best: when the run ends, the model gets the weights that it had at the best value; not if an
            exception ends it. A later `fit` goes on from these.

    Attributes:
        best: the best value so far.
        wait: how many times since it did not improve.

    Raises ValueError for arguments out of range, and when the run does not measure the value.

    Example:
        >>> import numpy as np, ravine as rv
        >>> from ravine import nn, optim
        >>> x, y, x_test, y_test = rv.data.digits()
        >>> trainer = rv.Trainer(rv.models.mlp(64, 10), nn.CrossEntropyLoss(), optim.Adam(lr=0.01))
        >>> stopping = rv.train.EarlyStopping("val_loss", patience=2)
        >>> history = trainer.fit(
        ...     x, y, epochs=100, validation_data=(x_test, y_test), callbacks=[stopping], verbose=0
        ... )
        >>> len(history["loss"]) < 100, stopping.best == min(history["val_loss"])
        (True, True)
    """

    fields = ("best", "wait")

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 5,
        mode: str = "auto",
        *,
        min_delta: float = 0.0,
        restore_best: bool = True,
    ) -> None:
        self._monitor = Monitor("EarlyStopping", monitor, mode)
        self.patience = whole("EarlyStopping", "patience", patience, 1)
        self.min_delta = number("EarlyStopping", "min_delta", min_delta)
        self.restore_best = restore_best
        self.best, self.wait = self._monitor.worst, 0
        self._weights: dict[str, np.ndarray] = {}
        self._failed = False

    def on_fit_begin(self, trainer: Trainer) -> None:
        self._failed = False
        if self.wait >= self.patience:  # a run that had ended is resumed
            trainer.stop()

    def on_validation_end(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:
        if self._monitor.of_validation:
            self._look(trainer, logs)

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: Mapping[str, Any]) -> None:
        if not self._monitor.of_validation:
            self._look(trainer, logs)

    def _look(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:
        value = self._monitor.value(logs)
        if self._monitor.better(value, self.best, self.min_delta):
            self.best, self.wait = value, 0
            if self.restore_best:
                self._weights = {name: np.array(a) for name, a in trainer.model.state_dict().items()}
            return
        self.wait += 1
        if self.wait >= self.patience:
            trainer.stop()

    def check_state(self, trainer: Trainer) -> None:
        check_weights("EarlyStopping", self._weights, trainer.model.state_dict())

    def on_failed(self, trainer: Trainer, error: BaseException) -> None:
        self._failed = True

    def on_fit_end(self, trainer: Trainer) -> None:
        if self._weights and not self._failed:
            trainer.model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, np.ndarray]:
        return super().state_dict() | {f"weights.{name}": array for name, array in self._weights.items()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        own = {key: value for key, value in state_dict.items() if not key.startswith("weights.")}
        Stateful.load_state_dict(self, own)
        self._weights = {key[8:]: np.array(state_dict[key]) for key in state_dict.keys() - own.keys()}
