"""When a run of the multilayer perceptrons ends: scikit-learn's rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..train import Callback, Trainer

__all__ = ["Convergence"]

_LOWEST_RATE = 1e-6  # of "adaptive"


class Convergence(Callback):
    """Ends a run when neither loss nor score gets better; keeps the curves, and changes the rate.

    An epoch counts as progress if it is better than the best by `tol`; the best is that of all epochs.

    Args:
        tol: see above.
        patience: more epochs in a row than this without progress end the run.
        rate: "constant"; "adaptive" divides the learning rate by 5 in the place of ending; a function gives
            it after each epoch, of the number of examples so far.

    Attributes:
        score: a function of the trainer for the next run, higher is better; the weights of the best epoch are
            then taken back at the end. None judges by the loss.
        losses, scores: of each epoch.
        best: the best score, or minus the best loss.
        converged: whether a run was ended.
    """

    def __init__(self, tol: float, patience: float, rate: str | Callable[[int], float]) -> None:
        self._tol, self._patience, self._rate = tol, patience, rate
        self.score: Callable[[Trainer], float] | None = None
        self.losses: list[float] = []
        self.scores: list[float] = []
        self.best = -np.inf
        self.converged = False
        self._wait = 0
        self._weights: dict[str, np.ndarray] | None = None

    def on_fit_begin(self, trainer: Trainer) -> None:
        self.converged = False

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: Mapping[str, Any]) -> None:
        self.losses.append(float(logs["loss"]))
        value = -self.losses[-1]
        if self.score is not None:
            value = self.score(trainer)
            self.scores.append(value)
        self._wait = self._wait + 1 if value < self.best + self._tol else 0
        if value > self.best:
            self.best = value
            if self.score is not None:
                self._weights = {name: np.array(a) for name, a in trainer.model.state_dict().items()}
        if callable(self._rate):
            _set_rate(trainer, self._rate(trainer.loop.examples))
        if self._wait > self._patience:
            self._end(trainer)

    def _end(self, trainer: Trainer) -> None:
        rate = float(trainer.optimizer.current_lr)
        if self._rate == "adaptive" and rate > _LOWEST_RATE:
            _set_rate(trainer, rate / 5.0)
            self._wait = 0
        else:
            self.converged = True
            trainer.stop()

    def on_fit_end(self, trainer: Trainer) -> None:
        if self._weights is not None:
            trainer.model.load_state_dict(self._weights)
        self._weights, self.score = None, None  # which holds the examples that were set aside


def _set_rate(trainer: Trainer, rate: float) -> None:
    optimizer: Any = trainer.optimizer  # SGD, which has one
    optimizer.lr = rate
