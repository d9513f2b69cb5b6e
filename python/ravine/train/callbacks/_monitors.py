"""What can be watched while a run goes on: learning rates, gradient norms, times."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._numbers import whole
from ..._state import check_keys
from ._callback import Callback

if TYPE_CHECKING:
    from .._trainer import Trainer

__all__ = ["GradientNorms", "LearningRateMonitor", "Timer"]


class _Record(Callback):
    """A number after every so many updates.

    Args:
        every: how often, in updates.

    Attributes:
        steps: the numbers of updates at which it was recorded.
        values: what it was.
    """

    def __init__(self, every: int = 1) -> None:
        self.every = whole(type(self).__name__, "every", every, 1)
        self.steps: list[int] = []
        self.values: list[float] = []

    def on_update(self, trainer: Trainer, step: int) -> None:
        if step % self.every == 0:
            self.steps.append(step)
            self.values.append(self._value(trainer))

    def _value(self, trainer: Trainer) -> float:
        raise NotImplementedError

    def state_dict(self) -> dict[str, np.ndarray]:
        return {"steps": np.array(self.steps, np.int64), "values": np.array(self.values, np.float64)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        check_keys(type(self).__name__, state_dict, ("steps", "values"))
        self.steps, self.values = (np.asarray(state_dict[key]).tolist() for key in ("steps", "values"))


class LearningRateMonitor(_Record):
    """Records the learning rate of every update.

    Args:
        every: how often, in updates.

    Attributes:
        steps: the numbers of updates at which it was recorded.
        values: the rates.

    Example:
        >>> import numpy as np, ravine as rv
        >>> from ravine import nn, optim
        >>> monitor = rv.train.LearningRateMonitor()
        >>> optimizer = optim.SGD(lr=lambda step: 1 / (1 + step))
        >>> trainer = rv.Trainer(nn.Linear(1, 1), nn.MSELoss(), optimizer)
        >>> _ = trainer.fit(np.ones((8, 1)), np.ones((8, 1)), batch_size=4, callbacks=[monitor], verbose=0)
        >>> monitor.steps, monitor.values
        ([1, 2], [1.0, 0.5])
    """

    def _value(self, trainer: Trainer) -> float:
        return float(trainer.optimizer.current_lr)


class GradientNorms(_Record):
    """Records the norm of all gradients in every update, before they are clipped.

    Args:
        every: how often, in updates.

    Attributes:
        steps: the numbers of updates at which it was recorded.
        values: the norms.

    Raises ValueError, at the first update, if the optimizer measures none: it does with `clip_norm`,
    `clip_global_norm` or `skip_nonfinite`.
    """

    def _value(self, trainer: Trainer) -> float:
        norm = trainer.step.gradient_norm
        if norm is None:
            raise ValueError(
                f"GradientNorms: {type(trainer.optimizer).__name__} measures no norm; give it "
                "clip_global_norm (a large one clips nothing) or skip_nonfinite=True"
            )
        return float(norm)


class Timer(Callback):
    """Measures where the time goes, over all runs that belong together.

    Attributes:
        seconds: of `fit` in all.
        validation_seconds: of these in validations.
        epochs: the seconds of each epoch.
        examples_per_second: of training in this `fit`, validations left out.
    """

    fields = ("seconds", "validation_seconds")

    def __init__(self) -> None:
        self.seconds = self.validation_seconds = 0.0
        self.epochs: list[float] = []
        self.examples_per_second = float("nan")
        self._begun = self._validating = self._before = 0.0
        self._first = 0

    def on_fit_begin(self, trainer: Trainer) -> None:
        self._begun, self._first = time.perf_counter(), trainer.loop.examples
        self._before = self.validation_seconds

    def on_validation_begin(self, trainer: Trainer) -> None:
        self._validating = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:
        self.validation_seconds += time.perf_counter() - self._validating

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: Mapping[str, Any]) -> None:
        self.epochs.append(float(logs["seconds"]))

    def on_fit_end(self, trainer: Trainer) -> None:
        taken = time.perf_counter() - self._begun
        training = taken - (self.validation_seconds - self._before)
        self.seconds += taken
        self.examples_per_second = (trainer.loop.examples - self._first) / max(training, 1e-9)

    def state_dict(self) -> dict[str, np.ndarray]:
        return super().state_dict() | {"epochs": np.array(self.epochs, np.float64)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        check_keys("Timer", state_dict, (*self.fields, "epochs"))
        super().load_state_dict({key: state_dict[key] for key in self.fields})
        self.epochs = np.asarray(state_dict["epochs"]).tolist()
