"""The training loop: epochs of batches, and the events that everything else listens to."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from .._state import below, check_keys, count, number, read_count, read_number
from .._step import TrainStep
from ..data import Source
from ._inputs import as_batch
from ._interrupt import Interruption
from .metrics import Metrics, examples_in

__all__ = ["EVENTS", "Loop", "NonFiniteLoss"]

# The events in the order in which they come, with what their handlers are given.
EVENTS = {
    "fit_begin": "nothing",
    "epoch_begin": "the epoch, from 0",
    "batch_begin": "the batch, from 0 in each epoch",
    "update": "the number of updates so far",
    "validation_begin": "nothing",
    "validation_end": "the values by name",
    "batch_end": "the batch, and its loss",
    "epoch_end": "the epoch, and the values by name",
    "failed": "the exception",
    "fit_end": "nothing",
}


class NonFiniteLoss(FloatingPointError):
    """The loss became NaN or infinite, and the run ends with that."""


class Loop:
    """Draws batches, trains on them, measures, and tells its listeners; `Trainer.fit` is a face of it.

    The loop knows no callback, progress bar or file: these listen to its events by `on`. Where it stands is
    in its `state_dict`; with those of the model, the step and the source a run goes on at any batch.

    Args:
        step: the `TrainStep` that trains.
        source: where the batches come from.
        metrics: what is measured of the outputs in training.
        validate: a function to the values by name ("val_loss", ...) that a validation gives; None for none.
        validation_every: updates between two validations; None for one at the end of every epoch.
        steps_per_epoch: batches in an epoch of this loop; None for a pass over the source.
        skip_nonfinite: go on after a call that changed nothing as the loss, or a gradient, was NaN or
            infinite; "skipped" among the values of an epoch is how many there were. None: if the optimizer's
            `skip_nonfinite` says so, without counting.
        notes: a function to further values of an epoch, which stand in the history.

    Attributes:
        epoch: finished epochs.
        batch: finished batches in the epoch under way.
        batches, examples: those of the whole run.
        validations: finished validations.
        skipped: batches of the epoch under way that changed nothing, since something was not finite.
        settled: whether a batch or an epoch is complete, so that a state taken now can be gone on from.

    Example:
        >>> import numpy as np, ravine as rv
        >>> from ravine import nn, optim
        >>> step = rv.TrainStep(nn.Linear(1, 1), nn.MSELoss(), optim.SGD(lr=0.1))
        >>> source = rv.data.Batches(np.ones((6, 1)), np.ones((6, 1)), batch_size=2)
        >>> loop = rv.train.Loop(step, source)
        >>> loop.on("update", lambda steps: print(steps), every=4)
        >>> loop.run(epochs=3)
        4
        8
        >>> loop.epoch, loop.examples
        (3, 18)
    """

    def __init__(
        self,
        step: TrainStep,
        source: Source,
        *,
        metrics: Metrics | None = None,
        validate: Callable[[], Mapping[str, Any]] | None = None,
        validation_every: int | None = None,
        steps_per_epoch: int | None = None,
        skip_nonfinite: bool | None = None,
        notes: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        if not isinstance(step, TrainStep):
            raise TypeError(f"Loop: step must be a TrainStep, got {type(step).__name__}")
        if not isinstance(source, Source):
            raise TypeError(f"Loop: a source of ravine.data is expected, got {type(source).__name__}")
        for name, value in (("validation_every", validation_every), ("steps_per_epoch", steps_per_epoch)):
            if value is not None and value < 1:
                raise ValueError(f"Loop: {name}={value}, expected at least 1")
        self.step = step
        self.source = source
        self.metrics = Metrics({}) if metrics is None else metrics
        self._validate = validate
        self._validation_every = validation_every
        self._steps_per_epoch = steps_per_epoch
        self._skip_nonfinite = skip_nonfinite
        self._skips = False  # as this epoch does
        self._notes = notes
        self.skipped = 0
        self.epoch = self.batch = self.batches = self.examples = self.validations = 0
        self._validated: dict[str, Any] = {}  # what the newest validation gave
        self._lr: float | None = None  # of the newest update, if that was before this loop
        self._seconds = 0.0  # of the epoch under way, before this run
        self._begun: float | None = None  # when that epoch would have begun in one piece
        self.settled = True
        self._stopped = False
        self._drawn = False  # whether a batch is drawn and not yet trained on
        self._drawing: Iterator[Any] | None = None
        self._listeners: dict[str, list[Callable[..., object]]] = {event: [] for event in EVENTS}

    def on(
        self, event: str, listener: Callable[..., object], *, every: int = 1, once: int | None = None
    ) -> None:
        """Calls the listener at an event, after those that were there before.

        Args:
            event: a key of `EVENTS`, whose value says what the listener is given.
            listener: the function.
            every: only at each n-th such event of the whole run; for "update" n counts updates.
            once: only at the event of this number, from 1.

        Raises ValueError for an unknown event and numbers below 1.
        """
        if event not in EVENTS:
            raise ValueError(f"Loop.on: unknown event {event!r}; there are {', '.join(EVENTS)}")
        if every < 1 or (once is not None and once < 1):
            raise ValueError(f"Loop.on: every={every} and once={once}, expected numbers from 1")
        if every == 1 and once is None:
            self._listeners[event].append(listener)
            return

        def filtered(*arguments: Any) -> None:
            n = self._number_of(event)
            if n % every == 0 and once in (None, n):
                listener(*arguments)

        self._listeners[event].append(filtered)

    def _number_of(self, event: str) -> int:
        """Which of its kind the event is that is being told, from 1."""
        numbers = {
            "epoch_begin": self.epoch + 1,
            "epoch_end": self.epoch,
            "batch_begin": self.batches + 1,
            "batch_end": self.batches,
            "update": self.step.steps,
            "validation_begin": self.validations + 1,
            "validation_end": self.validations,
        }
        return numbers.get(event, 1)

    def _tell(self, event: str, *arguments: Any) -> None:
        for listener in self._listeners[event]:
            listener(*arguments)

    def stop(self) -> None:
        """Ends the run after the batch under way."""
        self._stopped = True

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called in the newest run."""
        return self._stopped

    def run(
        self, *, epochs: int | None = None, max_steps: int | None = None, max_seconds: float | None = None
    ) -> None:
        """Trains until one of the limits is met; all but the time count from the beginning of the whole run.

        Args:
            epochs: epochs in all.
            max_steps: updates in all.
            max_seconds: of this call; the batch under way is finished.

        Ctrl-C and SIGTERM end the run when the batch under way is complete, with KeyboardInterrupt and
        SystemExit.

        Raises FloatingPointError if the loss becomes NaN or infinite, ValueError for a source without
        batches, and what the step, the source and the listeners raise.
        """
        self._stopped = False
        self._max_steps, self._deadline = max_steps, None
        if max_seconds is not None:
            self._deadline = time.monotonic() + max_seconds
        # A pass that an earlier run left is gone on with.
        self.source.load_state_dict(self.source.state_dict())
        self._drawing, self._drawn, self._begun = None, False, None
        self._tell("fit_begin")
        self.step.observe(self.metrics)
        try:
            with Interruption() as interruption:
                while not self._ended() and (epochs is None or self.epoch < epochs):
                    self._run_epoch(interruption)
        except BaseException as error:
            if self._drawn:
                self.source.give_back()
            self._tell("failed", error)
            raise
        finally:
            self._seconds, self._begun = self._seconds_now(), None
            self._drawing = None  # a thread that draws ahead ends with its pass
            self.step.observe(None)
            self._tell("fit_end")

    def _ended(self) -> bool:
        return (
            self._stopped
            or (self._max_steps is not None and self.step.steps >= self._max_steps)
            or (self._deadline is not None and time.monotonic() >= self._deadline)
        )

    def _run_epoch(self, interruption: Interruption) -> None:
        if self.batch == 0:
            self.settled = False
            self._finish_accumulation()  # of other calls, or of an epoch that was given up
            self._tell("epoch_begin", self.epoch)
        self._begun = time.perf_counter() - self._seconds
        optimizer, told = self.step.optimizer, self._listeners["batch_end"]
        self._skips = optimizer.skip_nonfinite if self._skip_nonfinite is None else self._skip_nonfinite
        limited = self._max_steps is not None or self._deadline is not None
        for batch in self._batches():
            loss = self._run_batch(batch, optimizer.accumulate == 1 and not self._skips)
            self.settled = True
            if told:
                self._tell("batch_end", self.batch - 1, loss)
            if interruption.received is not None:
                interruption.obey()
            if self._stopped or (limited and self._ended()):
                return  # only a pass that is over is an epoch
        self._end_epoch()
        interruption.obey()

    def _seconds_now(self) -> float:
        """The time that the epoch under way has taken, in earlier runs too."""
        return self._seconds if self._begun is None else time.perf_counter() - self._begun

    def _batches(self) -> Iterator[Any]:
        """The batches that are left of this epoch."""
        n = self._steps_per_epoch
        if n is None:
            return iter(self.source)
        return (self._draw() for _ in range(n - self.batch))

    def _draw(self) -> Any:
        """The next batch; at the end of a pass over the source another begins."""
        for _ in range(2):
            if self._drawing is None:
                self._drawing = iter(self.source)
            for batch in self._drawing:
                return batch
            self._drawing = None
        raise ValueError(
            f"fit: the source has no more batches after {self.batches}, in epoch {self.epoch + 1}, of which "
            f"each takes {self._steps_per_epoch}"
        )

    def _run_batch(self, batch: Any, updates: bool) -> float:
        """Trains on a batch and returns its loss; `updates` tells that every batch does an update."""
        self.settled, self._drawn = False, True
        x, y, weight = as_batch(batch)
        step, metrics = self.step, self.metrics
        if self._listeners["batch_begin"]:
            self._tell("batch_begin", self.batch)
        steps, skipped = (0, 0) if updates else (step.steps, step.skipped)
        loss = step(x, y) if weight is None else step(x, y, weight=weight)
        if updates or step.skipped == skipped or not self._skips:
            if not math.isfinite(loss):
                raise self._not_finite(loss)
            if metrics:
                metrics.update(step.output, y)
        else:
            self.skipped += 1
        self._drawn = False
        self.batch += 1
        self.batches += 1
        self.examples += examples_in(x)
        if updates or step.steps != steps:
            self._updated()
        return loss

    def _updated(self) -> None:
        self._lr = None
        if self._listeners["update"]:
            self._tell("update", self.step.steps)
        every = self._validation_every
        if every is not None and self.step.steps % every == 0:
            self._run_validation()

    def _finish_accumulation(self) -> None:
        """Gradients that wait for more belong to the epoch that ends, and to no other data."""
        if self.step.finish_accumulation():
            self._updated()

    def _not_finite(self, loss: float) -> NonFiniteLoss:
        return NonFiniteLoss(
            f"the loss became {loss} in epoch {self.epoch + 1}, batch {self.batch + 1}, after "
            f"{self.step.steps} updates (lr {self.step.optimizer.current_lr:.3g}); model and optimizer are "
            "as they were before this batch. Try a smaller lr, or check the data for NaN; "
            "rv.eager(check_nan=True) finds the place"
        )

    def _run_validation(self) -> None:
        if self._validate is not None:
            self._tell("validation_begin")
            self._validated = dict(self._validate())
            self.validations += 1
            self._tell("validation_end", self._validated)

    def _end_epoch(self) -> None:
        self.settled = False
        if self.batch == 0:
            raise ValueError("fit: the source has no batches")
        self._finish_accumulation()
        if self.metrics.empty:
            raise FloatingPointError(
                f"every update of epoch {self.epoch + 1} was skipped, as gradients were NaN or infinite: "
                "rv.eager(check_nan=True) finds the place"
            )
        if self._validation_every is None:
            self._run_validation()
        logs = self.metrics.values() | self._newest()
        self.epoch += 1
        self._begin_afresh()
        self.settled = True
        self._tell("epoch_end", self.epoch - 1, logs)

    def _begin_afresh(self) -> None:
        """Forgets the epoch under way."""
        self.batch, self.skipped, self._seconds, self._begun = 0, 0, 0.0, None
        self.metrics.reset()

    def _newest(self) -> dict[str, Any]:
        """What stands beside the metrics in the history."""
        skipped = {"skipped": float(self.skipped)} if self._skip_nonfinite else {}
        return (
            self._validated | skipped | self._notes() | {"lr": self._rate(), "seconds": self._seconds_now()}
        )

    def _rate(self) -> float:
        """The learning rate of the newest update, which may be one before this loop."""
        return float(self.step.optimizer.current_lr) if self._lr is None else self._lr

    def logs_so_far(self) -> dict[str, Any]:
        """The same of an epoch that goes on: nothing of it is closed."""
        return copy.deepcopy(self.metrics).values() | self._newest()

    def batches_in_epoch(self) -> int | None:
        """The batches of an epoch; None if the source does not tell."""
        if self._steps_per_epoch is not None:
            return self._steps_per_epoch
        try:
            return len(self.source)  # type: ignore[arg-type]
        except TypeError:
            return None

    def go_on_from(self, other: Loop) -> None:
        """Takes over where another loop stands, and its source's place if the sources are alike.

        With a source of another kind or size, an epoch that was under way is given up.
        """
        self.load_state_dict(other.state_dict())
        if self.source is other.source:
            return
        stands = other.source.state_dict()
        try:
            self.source.load_state_dict(stands)
        except ValueError:
            self._begin_afresh()
            # One of which nothing was trained on, as its first batch failed, is still to come.
            self.source.epoch = int(stands["epoch"]) + bool(stands["position"])

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles stand where this loop does, without what listens and validates in this run."""
        nobody: dict[str, list[Callable[..., object]]] = {event: [] for event in EVENTS}
        left = {"_listeners": nobody, "_validate": None, "_notes": dict, "_drawing": None, "_drawn": False}
        return vars(self) | left

    _COUNTS = ("epoch", "batch", "batches", "examples", "validations")

    def state_dict(self) -> dict[str, np.ndarray]:
        """Where the loop stands: its counts, and the sums of the epoch under way."""
        state = {name: count(getattr(self, name)) for name in self._COUNTS}
        state |= {"skipped": count(self.skipped)} if self.skipped else {}
        state |= {"seconds": number(self._seconds_now()), "lr": number(self._rate())}
        state |= {f"validated.{name}": np.asarray(value) for name, value in self._validated.items()}
        return state | {f"metrics.{key}": value for key, value in self.metrics.state_dict().items()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Goes on where `state_dict` was taken.

        Raises ValueError for missing, unexpected and wrong entries; nothing is changed then.
        """
        validated, metrics = below("validated.", state_dict), below("metrics.", state_dict)
        own = {k: v for k, v in state_dict.items() if k.partition(".")[0] not in ("validated", "metrics")}
        own.setdefault("skipped", count(0))
        check_keys("Loop", own, (*self._COUNTS, "skipped", "seconds", "lr"))
        counts = {name: read_count("Loop", own, name) for name in (*self._COUNTS, "skipped")}
        seconds, rate = (read_number("Loop", own, key) for key in ("seconds", "lr"))
        self.metrics.load_state_dict(metrics)
        vars(self).update(counts)
        self._seconds, self._begun, self._lr = seconds, None, rate
        self._validated = {
            name: value.item() if np.ndim(value) == 0 else np.array(value)
            for name, value in validated.items()
        }
        self.settled = True
