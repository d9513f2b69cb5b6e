"""An average of the weights, evaluated in place of the weights of the training."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import _io
from ..._numbers import number
from ._callback import Callback, check_weights

if TYPE_CHECKING:
    from .._trainer import Trainer

__all__ = ["EMA"]


class EMA(Callback):
    """Keeps the exponential average of the weights; validations see it, and the model gets it at the end.

    After every update `a = decay · a + (1 - decay) · w`, with a decay of at most (1 + n) / (10 + n) in update
    n, so that the first weights do not linger. Statistics of BatchNorm stay those of the training. The
    average is part of checkpoints.

    Args:
        decay: share of the old average, in [0, 1).
        path: a file for the averaged weights, saved when the run ends.
        replace: whether the model has the averaged weights when `fit` has ended; not after an exception.
            A later `fit` begins with these, so give False to a run that goes on.

    Averaging takes a pass over the weights of its own: `optim.Adam(average=optim.EMA(0.999))` does it in the
    optimizer's, for large models, with `optim.averaged(model)` to evaluate.

    Raises ValueError for a decay out of range.
    """

    def __init__(
        self, decay: float = 0.999, path: str | os.PathLike[str] | None = None, *, replace: bool = True
    ) -> None:
        self.decay = number("EMA", "decay", decay, below=1.0)
        self.path, self.replace = path, replace
        self._average: dict[str, np.ndarray] = {}
        self._training: dict[
            str, np.ndarray
        ] = {}  # the weights of the training while the average is in place
        self._failed = False

    def on_fit_begin(self, trainer: Trainer) -> None:
        self._failed = False
        for name, parameter in trainer.model.named_parameters():
            self._average.setdefault(name, np.array(parameter.data))

    def on_update(self, trainer: Trainer, step: int) -> None:
        share = 1.0 - min(self.decay, (1.0 + step) / (10.0 + step))
        for name, parameter in trainer.model.named_parameters():
            average = self._average[name]
            average += share * (parameter.data - average)

    def on_validation_begin(self, trainer: Trainer) -> None:
        self._training = {name: np.array(p.data) for name, p in trainer.model.named_parameters()}
        self._put(trainer, self._average)

    def on_validation_end(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:
        self._take_back(trainer)

    def check_state(self, trainer: Trainer) -> None:
        check_weights("EMA", self._average, {name: p.data for name, p in trainer.model.named_parameters()})

    def on_failed(self, trainer: Trainer, error: BaseException) -> None:
        self._failed = True
        self._take_back(trainer)

    def on_fit_end(self, trainer: Trainer) -> None:
        if self.path is not None:
            _io.save(self.path, self._average)
        if self.replace and not self._failed:
            self._put(trainer, self._average)

    def _put(self, trainer: Trainer, weights: Mapping[str, np.ndarray]) -> None:
        for name, parameter in trainer.model.named_parameters():
            parameter.data = weights[name]

    def _take_back(self, trainer: Trainer) -> None:
        """Ends a validation, also one that failed, with the weights of the training."""
        if self._training:
            self._put(trainer, self._training)
        self._training = {}

    def state_dict(self) -> dict[str, np.ndarray]:
        return {name: np.array(average) for name, average in self._average.items()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self._average = {name: np.array(average) for name, average in state_dict.items()}
