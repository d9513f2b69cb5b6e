"""The Trainer: `fit` builds a source, a loop and its listeners, and runs it."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from .. import _core, nn, optim
from .._nesting import as_arrays, common_length, shapes_of, take
from .._state import below, check_keys, read_seed, seed_entry
from .._step import TrainStep
from ..data import Batches, Source
from ..ensemble import Ensemble
from ..record import Tensor, own_modes
from ._checkpoint_file import read_checkpoint, write_checkpoint
from ._composition import HasState, gathered, restored
from ._history import History
from ._inputs import as_batch, as_source, training_sources, validation_sources
from ._loop import Loop, NonFiniteLoss
from ._progress import Progress
from ._schedules import check_length, check_monitors, feed_monitors
from ._validation import Evaluator, predictions
from .callbacks import Callback, Checkpoint, RollBack, check_callbacks, check_on_nonfinite, overridden
from .metrics import MetricLike, Metrics, named_metrics

__all__ = ["Trainer"]


class Trainer:
    """Trains a model on arrays or on a source of batches: the usual loop around `TrainStep`.

    Args:
        model: a module from a batch x [n, ...] to its output; called with several arguments if x is a tuple.
        loss: (output, target) to a scalar, the mean over the batch: a loss module or function. It may come
            with named parts, as `(loss, {name: scalar})`.
        optimizer: e.g. `optim.Adam(lr=1e-3)`. Its state stays with the trainer: a second `fit` goes on from
            the first.
        metrics: names, metrics (`rv.train.metrics`), functions of the arrays (output, target) to a mean over
            the batch, or a dict of these by name. "loss" is always reported. Names are "accuracy",
            "top_k_accuracy" ("top_5_accuracy"), "precision", "recall", "f1", "confusion_matrix", "roc_auc",
            "average_precision", "log_loss", "mae", "rmse" and "r2", with scikit-learn's results; outputs are
            read as the loss reads them: as logits, under `BCELoss` as probabilities, under `NLLLoss` as their
            logarithms.

    Attributes:
        model, loss, optimizer: as given; they stay. Hyperparameters may be changed, `trainer.optimizer.lr =
            1e-4`.
        history: the history of the whole run, as `fit` returns it; after an interruption, of the epochs it
            finished.
        step: the `TrainStep`.
        loop: the `Loop` of the newest `fit`, with the counts of the run.

    Example:
        >>> import ravine as rv
        >>> from ravine import nn, optim
        >>> x_train, y_train, x_test, y_test = rv.data.digits()
        >>> rv.seed(0)
        >>> model = rv.models.mlp(64, 10)
        >>> trainer = rv.Trainer(model, nn.CrossEntropyLoss(), optim.Adam(lr=1e-2), ["accuracy"])
        >>> history = trainer.fit(x_train, y_train, epochs=2, batch_size=64, verbose=0)
        >>> sorted(history), trainer.evaluate(x_test, y_test)["accuracy"] > 0.8
        (['accuracy', 'loss', 'lr', 'seconds'], True)
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[[Any, Any], Tensor],
        optimizer: optim.Optimizer,
        metrics: Sequence[MetricLike] | Mapping[str, MetricLike] = (),
    ) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"Trainer: model must be a Module, got {type(model).__name__}")
        if isinstance(model, Ensemble):
            raise TypeError("Trainer: the members of an Ensemble are trained by rv.train.EnsembleTrainer")
        self._metrics = named_metrics(metrics, loss)
        self._loss = loss
        self.step = TrainStep(model, loss, optimizer)
        self._evaluate = Evaluator(model, loss, self._metrics)
        self._history = History()
        self._seed: int | None = None  # of orders and splits, the same for all fits unless one gives another
        self._loop: Loop | None = None
        self._callbacks: list[Callback] = []
        self._skipping = False  # whether the newest fit turned `skip_nonfinite` on
        self._frozen: list[nn.Module] = []  # parts that are trained in evaluation mode

    def __setattr__(self, name: str, value: object) -> None:
        if name in ("model", "loss", "optimizer"):
            raise AttributeError(
                f"Trainer.{name} cannot be replaced: the state of the training belongs to it. Make another "
                f"Trainer; hyperparameters may be changed, as in trainer.optimizer.lr = 1e-4"
            )
        object.__setattr__(self, name, value)

    @property
    def model(self) -> nn.Module:
        return self.step.model

    @property
    def loss(self) -> Callable[[Any, Any], Any]:
        return self._loss

    @property
    def optimizer(self) -> optim.Optimizer:
        return self.step.optimizer

    @property
    def history(self) -> dict[str, list[Any]]:
        return self._history.rows

    @property
    def loop(self) -> Loop:
        if self._loop is None:
            raise RuntimeError("Trainer.loop: nothing was trained yet, fit makes the loop")
        return self._loop

    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        sample_weight: Any = None,
        class_weight: Any = None,
        epochs: int | None = None,
        batch_size: int = 32,
        validation_data: Any = None,
        validation_split: float = 0.0,
        validation_every: int | None = None,
        steps_per_epoch: int | None = None,
        max_steps: int | None = None,
        max_seconds: float | None = None,
        shuffle: bool = True,
        drop_last: bool = False,
        seed: int | None = None,
        resume: str | os.PathLike[str] | None = None,
        on_nonfinite: str | RollBack = "stop",
        callbacks: Sequence[Callback] = (),
        verbose: int = 1,
    ) -> dict[str, list[Any]]:
        """Trains up to a number of epochs and returns the history; the model is then in evaluation mode.

        A second call goes on where the first ended: `fit(x, y, epochs=1)` and then `epochs=2` give what
        `epochs=2` gives at once, orders included, on the same data. So `epochs` is the number of the whole
        run, also with `resume`; more epochs on other data are `epochs=trainer.loop.epoch + 1`.

        Parts that were in evaluation mode in a model in training mode, such as a BatchNorm to keep as it is,
        stay in evaluation mode, in later calls too unless the model is in training mode again.

        Args:
            x: examples [n, ...], arrays in nested tuples and dicts, a pandas frame; or, without y, a source
                of batches (x, y): one of `rv.data`, or anything that can be iterated, such as torch's
                DataLoader.
            y: targets [n, ...], or arrays in nested tuples and dicts.
            sample_weight: the weight of each example in the loss, [n]: Σ w l / Σ w. Metrics count all
                alike. A source gives batches (x, y, weight) instead.
            class_weight: a dict of the weight of each class, or "balanced" for n / (classes · count); times
                the examples' own. Validations do not use it.
            epochs: passes over the examples in all; 1 if no other limit is given.
            batch_size: examples in a mini-batch, each of which is one update; with the optimizer's
                `accumulate` several are, and those that are left at the end of an epoch.
            validation_data: (x, y), (x, y, weight) or a source, evaluated after every epoch; a dict of these
                by name for several, whose values are then called "val_<name>_loss".
            validation_split: or the share of the examples to set aside for that, drawn by `seed`.
            validation_every: evaluate after every so many updates instead. The history of an epoch then has
                the newest values.
            steps_per_epoch: batches that make an epoch; by default a pass over the source, which then has to
                end. The next epoch goes on within the pass.
            max_steps: end after so many updates of the whole run.
            max_seconds: end this call after so much time. An epoch that is left is gone on with by the next
                `fit`; until then the last row of the history is that of what was done of it.
            shuffle: a new order of the examples in every epoch.
            drop_last: leave out the last mini-batch of an epoch if it is short; by default it counts as any
                other. If it has one example, which the model refuses (BatchNorm needs two), it joins the
                mini-batch before it.
            seed: of split and shuffling; None keeps that of the run, or draws one (`rv.seed`).
            resume: a checkpoint (`save`, `rv.train.Checkpoint`) of a run like this one, to go on with to the
                same bits: the same model, optimizer, data, batch size and callbacks. States of callbacks that
                are not in the list are left, callbacks without state in the file begin afresh.
            on_nonfinite: what to do when the loss is NaN or infinite. "stop": raise FloatingPointError.
                "skip": go on with the next mini-batch, also where a gradient is, as the optimizer's
                `skip_nonfinite=True` does; the history counts these in "skipped".
                `rv.train.RollBack(checkpoint)`: go on from the newest checkpoint, with a smaller learning
                rate; the history counts in "rollbacks" how often that happened.
            callbacks: called at the points that `Callback` lists, in order; at the end of the fit in reverse.
                `Checkpoint` comes after the others.
            verbose: 0 writes nothing, 1 a line per epoch, and on a terminal a progress bar if tqdm is
                installed.

        Returns:
            Lists with one entry per epoch of the whole run: loss, its parts if it has some, and the metrics
            (over the epoch, while the parameters move; losses as numerators over denominators), val_loss and
            val_ metrics (at its end), lr (of the last update), seconds.

        Raises:
            ValueError: no examples, x and y of different lengths, contradicting arguments, shapes the model
                refuses, a schedule that ends before the run or monitors a metric that there is not, a
                checkpoint of another kind of run; nothing has changed then.
            FloatingPointError: the loss became NaN or infinite; the message says when. The model and the
                optimizer are what the update before left. With the optimizer's `skip_nonfinite`, and with
                on_nonfinite="skip", only if that happened in every update of an epoch; with `RollBack` if it
                happened more often than that allows.
            KeyboardInterrupt: Ctrl-C; SystemExit: SIGTERM. The mini-batch under way is finished first, and
                the model remains usable; a second signal ends at once.
        """
        epochs = _checked_limits(epochs, max_steps, max_seconds)
        callbacks = sorted(check_callbacks(callbacks), key=lambda callback: isinstance(callback, Checkpoint))
        callbacks += check_on_nonfinite(on_nonfinite, callbacks)
        skip, back = on_nonfinite == "skip", on_nonfinite if isinstance(on_nonfinite, RollBack) else None
        if validation_split != 0.0 and validation_data is not None:
            raise ValueError("fit: give validation_data or validation_split, not both")
        resumed = None if resume is None else os.fspath(resume)
        states = {} if resumed is None else read_checkpoint(resumed)
        run_seed = self._seed_of(seed, states)
        source, held_out = training_sources(
            x,
            y,
            batch_size=batch_size,
            shuffle=shuffle,
            drop_last=drop_last,
            seed=run_seed,
            validation_split=validation_split,
            sample_weight=sample_weight,
            class_weight=class_weight,
        )
        validation = validation_sources(held_out if validation_data is None else validation_data, batch_size)
        loop = Loop(
            self.step,
            source,
            metrics=Metrics(self._metrics),
            validate=partial(self._validate, validation) if validation else None,
            validation_every=validation_every,
            steps_per_epoch=steps_per_epoch,
            skip_nonfinite=skip or None,
            notes=dict if back is None else back.notes,
        )
        with self._continued(loop, callbacks, states, resumed):
            if self.model.training:
                self._frozen = [module for module in self.model.modules() if not module.training]
            if y is not None:
                source.seed = run_seed
                self._spare_single_examples(source)
            self._check_schedules(loop, epochs, max_steps, validation)
        self._loop, self._callbacks, self._seed = loop, callbacks, run_seed
        self._set_skipping(skip)
        self._history.drop_provisional()
        if resume is None and epochs is not None and loop.epoch >= epochs > 0:
            warnings.warn(
                f"fit: nothing is trained, as the run has {loop.epoch} epochs and epochs={epochs} is the "
                "number of the whole run; epochs=trainer.loop.epoch + 1 trains one more",
                stacklevel=2,
            )
        self._attach(loop, callbacks, epochs, verbose)
        self._set_training_mode()
        try:
            self._run(back, epochs=epochs, max_steps=max_steps, max_seconds=max_seconds)
            if loop.batch > 0:
                logs = loop.logs_so_far() | self._validate(validation)
                self._history.add(logs, provisional=True)
        finally:
            self.model.eval()
        return self.history

    def _run(
        self, back: RollBack | None, *, epochs: int | None, max_steps: int | None, max_seconds: float | None
    ) -> None:
        """Runs the loop; after a loss that is not finite again, from where `back` goes back to."""

        def restore(path: str, states: Mapping[str, Mapping[str, Any]]) -> None:
            with self._continued(self.loop, self._callbacks, states, path):
                self._set_training_mode()

        begun = time.monotonic()
        while True:
            left = None if max_seconds is None else max(0.0, max_seconds - (time.monotonic() - begun))
            try:
                self.loop.run(epochs=epochs, max_steps=max_steps, max_seconds=left)
                return
            except NonFiniteLoss as error:
                if back is None:
                    raise
                back.go_back(error, restore, self.step.hyper)

    def _set_skipping(self, on: bool) -> None:
        """Turns the stage on that leaves out gradients that are not finite; off if an earlier fit did."""
        if on or self._skipping:
            self.step.hyper["skip_nonfinite"] = on or self.optimizer.skip_nonfinite
        self._skipping = on

    def stop(self) -> None:
        """Ends a running `fit` when the mini-batch under way is complete; for callbacks."""
        self.loop.stop()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a checkpoint of the whole run, which `fit(..., resume=path)` goes on with.

        It holds the model's state, the optimizer's, random states, schedules, the counts and orders of the
        loop and its source, the sums of metrics, the history, and the state of the callbacks; one safetensors
        file, which appears whole or not at all. `rv.train.model_state(path)` reads the model's part.

        Raises RuntimeError before the first `fit`, OSError where the system refuses to write.
        """
        parts = self._parts(self.loop, self._callbacks)
        assert self._seed is not None
        settings = {
            "model": type(self.model).__name__,
            "loss": getattr(self.loss, "__name__", repr(self.loss)),
            "optimizer": repr(self.optimizer),
            "metrics": [*self._metrics],
            "callbacks": [type(callback).__name__ for callback in self._callbacks],
            "epochs": self.loop.epoch,
            "steps": self.step.steps,
        }
        write_checkpoint(path, gathered(parts) | {"run.seed": seed_entry(self._seed)}, settings)

    def evaluate(
        self, x: Any, y: Any = None, *, sample_weight: Any = None, batch_size: int = 256
    ) -> dict[str, Any]:
        """Loss and metrics on examples, in evaluation mode: those of one batch of all.

        Args:
            x: examples [n, ...], arrays in nested tuples and dicts, or a source of batches (x, y) or
                (x, y, weight).
            y: targets [n, ...]; none with a source.
            sample_weight: the weight of each example in the loss, [n]: Σ w l / Σ w. Metrics count all alike.
            batch_size: examples at a time; it bounds memory and does not change the result beyond rounding,
                if the loss is a mean over examples (see `ops.weighted_mean`). Another loss is averaged over
                the batches by their number of examples.

        Raises:
            ValueError: no examples, x and y of different lengths, shapes the model refuses, weights that do
                not fit or are negative, NaN or infinite.
        """
        return self._evaluate(as_source("evaluate", x, y, batch_size, sample_weight))

    def predict(self, x: Any, *, batch_size: int = 256) -> Any:
        """The model's output for examples x [n, ...], in evaluation mode.

        Args:
            x: examples [n, ...], or arrays in nested tuples and dicts.
            batch_size: examples at a time.

        Returns:
            An array [n, ...]; of a model with several outputs a tuple or dict of them, as it returns them.

        Raises:
            ValueError: no examples, or a shape the model refuses.
        """
        x = as_arrays(x, "predict: x")
        if not common_length(x):
            raise ValueError(f"predict: x has shape {shapes_of(x)}, expected at least one example [n, ...]")
        return predictions(self.model, (batch for (batch,) in Batches(x, batch_size=batch_size)))

    def _seed_of(self, given: int | None, states: Mapping[str, Mapping[str, Any]]) -> int:
        if given is not None:
            return given
        if states:
            check_keys("Trainer", states["run"], ("seed",))
            return read_seed("Trainer", states["run"], "seed")
        return _core.draw_seed() if self._seed is None else self._seed

    def _parts(self, loop: Loop, callbacks: Sequence[Callback]) -> dict[str, HasState]:
        """What a checkpoint is made of, by name."""
        parts: dict[str, HasState] = {
            "model": self.model,
            "step": self.step,
            "loop": loop,
            "source": loop.source,
            "history": self._history,
        }
        for callback in callbacks:
            name, n = f"callbacks.{type(callback).__name__}", 2
            while name in parts:
                name, n = f"callbacks.{type(callback).__name__}#{n}", n + 1
            parts[name] = callback
        return parts

    @contextmanager
    def _continued(
        self,
        loop: Loop,
        callbacks: Sequence[Callback],
        states: Mapping[str, Mapping[str, Any]],
        path: str | None,
    ) -> Iterator[None]:
        """Gives a new loop the state of a checkpoint, or of the run so far; on an error all is as before."""
        if path is None:
            if self._loop is not None:
                loop.go_on_from(self._loop)
            yield
            return
        parts = self._parts(loop, callbacks)
        chosen: dict[str, Mapping[str, Any]] = {}
        for name in parts:
            part, _, callback = name.partition(".")
            state = below(f"{callback}.", states[part]) if callback else states[part]
            if state or not callback:
                chosen[name] = state
        with restored(parts, chosen, path, check=lambda: [c.check_state(self) for c in callbacks]):
            yield

    def _spare_single_examples(self, source: Source) -> None:
        """Lets a last batch of one example join the one before, if the model cannot be trained on it."""
        assert isinstance(source, Batches)
        if source.batch_size > 1 and source.n % source.batch_size == 1:
            x, y, weight = as_batch(take(source.arrays, slice(0, 1)))
            with own_modes():
                self._set_training_mode()
                try:
                    self.step.check(x, y, weight=weight)
                except ValueError:
                    source.min_last = 2

    def _check_schedules(
        self, loop: Loop, epochs: int | None, max_steps: int | None, validation: Mapping[str, Source]
    ) -> None:
        names = ["loss", *self._metrics]
        names += [prefix + name for prefix in validation for name in ("loss", *self._metrics)]
        check_monitors(self.optimizer, names)
        updates = [] if max_steps is None else [max_steps - self.step.steps]
        n = loop.batches_in_epoch()
        if epochs is not None and n is not None:
            later = (epochs - loop.epoch - 1) * self.step._updates_of(n, gathered=0)
            updates.append(self.step._updates_of(n - loop.batch) + later if epochs > loop.epoch else 0)
        if updates:
            check_length(self.optimizer, self.step.steps, max(0, min(updates)))

    def _attach(self, loop: Loop, callbacks: Sequence[Callback], epochs: int | None, verbose: int) -> None:
        """Lets everything listen to the loop, in this order."""
        feed = partial(feed_monitors, self.optimizer)
        loop.on("validation_end", lambda logs: feed(logs, of_validation=True))
        loop.on("epoch_end", lambda epoch, logs: self._history.add(logs))
        loop.on("epoch_end", lambda epoch, logs: feed(logs, of_validation=False))
        Progress(verbose, loop, epochs)
        for callback in callbacks:
            for method in overridden(callback):
                if method != "on_fit_end":
                    loop.on(method.removeprefix("on_"), partial(getattr(callback, method), self))
        for callback in reversed(callbacks):
            loop.on("fit_end", partial(callback.on_fit_end, self))

    def _validate(self, validation: Mapping[str, Source]) -> dict[str, Any]:
        return {
            f"{prefix}{name}": value
            for prefix, source in validation.items()
            for name, value in self._evaluate(source).items()
        }

    def _set_training_mode(self) -> None:
        self.model.train()
        for module in self._frozen:
            module.training = False


def _checked_limits(epochs: int | None, max_steps: int | None, max_seconds: float | None) -> int | None:
    """The number of epochs: 1 if there is no limit at all. Raises ValueError for limits below 0."""
    for name, limit in (("epochs", epochs), ("max_steps", max_steps), ("max_seconds", max_seconds)):
        if limit is not None and not limit >= 0:
            raise ValueError(f"fit: {name}={limit}, expected at least 0")
    return 1 if epochs is None and max_steps is None and max_seconds is None else epochs
