"""The training loop: epochs of shuffled mini-batches, validation, metrics, history."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from .. import _core, _trace, nn, optim
from .._step import TrainStep
from .._tensor import Tensor
from ..data import Batches, train_test_split
from ._callbacks import Callback
from ._metrics import Mean, Metric, named_metrics
from ._progress import Progress
from ._schedules import check_length, check_monitors, feed_monitors

__all__ = ["Trainer", "check_examples"]

History = dict[str, list[float]]


class _Evaluation(nn.Module):
    """The model and its loss as one compiled program, without gradients."""

    def __init__(self, model: nn.Module, loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.model = model
        self.loss = loss

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        output = self.model(x)
        return output, self.loss(output, y)


class Trainer:
    """Trains a model on arrays: the usual loop around `TrainStep`.

    Args:
        model: a module from a batch x [n, ...] to its output.
        loss: (output, target) to a scalar, the mean over the batch: a loss module or function.
        optimizer: e.g. `optim.Adam(lr=1e-3)`. Its state stays with the trainer: a second `fit` goes on from
            the first.
        metrics: "accuracy", functions of the arrays (output, target) to a mean over the batch, or a dict of
            these by name. "loss" is always reported. Under `BCELoss` and `BCEWithLogitsLoss` "accuracy" is
            `binary_accuracy`, of probabilities with threshold 0.5 and of logits with 0.

    Attributes:
        model, loss, optimizer: as given; they stay. Hyperparameters may be changed, `trainer.optimizer.lr =
            1e-4`.
        history: the history of the last `fit`; after an interruption, of the epochs it finished.

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
        loss: Callable[[Tensor, Tensor], Tensor],
        optimizer: optim.Optimizer,
        metrics: Sequence[str | Metric] | Mapping[str, Metric] = (),
    ) -> None:
        self.history: History = {}
        self._metrics = named_metrics(metrics, loss)
        self._step = TrainStep(model, loss, optimizer)
        self._evaluation = _Evaluation(model, loss)
        self._stopped = False
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
        return self._step.model

    @property
    def loss(self) -> Callable[[Tensor, Tensor], Tensor]:
        return self._step.loss

    @property
    def optimizer(self) -> optim.Optimizer:
        return self._step.optimizer

    def fit(
        self,
        x: np.ndarray,
        y: np.ndarray,
        *,
        epochs: int = 1,
        batch_size: int = 32,
        validation_data: tuple[np.ndarray, np.ndarray] | None = None,
        validation_split: float = 0.0,
        shuffle: bool = True,
        drop_last: bool = False,
        seed: int | None = None,
        callbacks: Sequence[Callback] = (),
        verbose: int = 1,
    ) -> History:
        """Trains for some epochs and returns their history; afterwards the model is in evaluation mode.

        Parts that were in evaluation mode in a model in training mode, such as a BatchNorm to keep as it is,
        stay in evaluation mode, in later calls too unless the model is in training mode again.

        Args:
            x: examples [n, ...].
            y: targets [n, ...].
            epochs: passes over the examples.
            batch_size: examples in a mini-batch, each of which is one update.
            validation_data: (x, y) evaluated after every epoch.
            validation_split: or the share of the examples to set aside for that, drawn by `seed`.
            shuffle: a new order of the examples in every epoch.
            drop_last: leave out the last mini-batch of an epoch if it is short; by default it counts as any
                other. If it has one example, which the model refuses (BatchNorm needs two), it joins the
                mini-batch before it.
            seed: of split and shuffling; None draws one from the process generator (`rv.seed`).
            callbacks: called at the points that `Callback` lists.
            verbose: 0 writes nothing, 1 a line per epoch, and on a terminal a progress bar.

        Returns:
            Lists with one number per epoch: loss and the metrics (means over the epoch, while the parameters
            move), val_loss and val_ metrics (at its end), lr (of the last update), seconds.

        Raises:
            ValueError: no examples, x and y of different lengths, contradicting arguments, shapes the model
                refuses, a schedule that ends before the run or monitors a metric that there is not.
            FloatingPointError: the loss became NaN or infinite; the message says when. The model and the
                optimizer are what the update before left. With the optimizer's `skip_nonfinite`, only if that
                happened in every update of an epoch.
            KeyboardInterrupt: Ctrl-C; the update under way is finished first, and the model remains usable.
        """
        x, y = check_examples("fit", x, y)
        if epochs < 0:
            raise ValueError(f"fit: epochs={epochs}, expected at least 0")
        order_seed = _core.draw_seed() if seed is None else seed
        if validation_split != 0.0:
            if validation_data is not None:
                raise ValueError("fit: give validation_data or validation_split, not both")
            split = train_test_split(x, y, float(validation_split), seed=order_seed)
            x, y, validation_data = split.x_train, split.y_train, (split.x_test, split.y_test)
        if validation_data is not None:
            validation_data = check_examples("fit: validation_data", *validation_data)
        batches = Batches(x, y, batch_size=batch_size, shuffle=shuffle, seed=order_seed, drop_last=drop_last)
        if self.model.training:
            self._frozen = [module for module in self.model.modules() if not module.training]
        if batch_size > 1 and len(x) % batch_size == 1 and not self._accepts(x[:1], y[:1]):
            batches.min_last = 2
        if len(batches) == 0:
            raise ValueError(
                f"fit: {len(x)} examples are no full mini-batch of {batch_size}, and drop_last is set"
            )
        check_length(self.optimizer, self._step.steps, self._step._updates_of(epochs * len(batches)))
        names = ["loss", *self._metrics]
        names += [f"val_{name}" for name in names] if validation_data is not None else []
        check_monitors(self.optimizer, names)

        history = self.history = {}
        progress = Progress(verbose, epochs, len(batches))
        self._stopped = False
        for callback in callbacks:
            callback.on_fit_begin(self)
        try:
            for epoch in range(epochs):
                logs = self._epoch(epoch, batches, validation_data, callbacks, progress)
                for name, value in logs.items():
                    history.setdefault(name, []).append(value)
                feed_monitors(self.optimizer, logs)
                progress.end_epoch(epoch, logs)
                for callback in callbacks:
                    callback.on_epoch_end(self, epoch, logs)
                if self._stopped:
                    break
        finally:
            progress.clear()
            self.model.eval()
            for callback in callbacks:
                callback.on_fit_end(self)
        return history

    def stop(self) -> None:
        """Ends a running `fit` after the epoch under way; for callbacks."""
        self._stopped = True

    def evaluate(self, x: np.ndarray, y: np.ndarray, *, batch_size: int = 256) -> dict[str, float]:
        """Loss and metrics on examples, in evaluation mode; each batch counts by its number of examples.

        Args:
            x: examples [n, ...].
            y: targets [n, ...].
            batch_size: examples at a time; it bounds memory and does not change the result beyond rounding.

        Raises:
            ValueError: no examples, x and y of different lengths, shapes the model refuses.
        """
        x, y = check_examples("evaluate", x, y)
        mean = Mean()
        with _evaluation_mode(self.model):
            self._evaluation.eval()
            for x_batch, y_batch in Batches(x, y, batch_size=batch_size):
                output, loss = self._evaluation(x_batch, y_batch)
                mean.add(len(x_batch), {"loss": float(loss), **self._measure(output, y_batch)})
        return mean.values()

    def predict(self, x: np.ndarray, *, batch_size: int = 256) -> np.ndarray:
        """The model's output for examples x [n, ...], in evaluation mode.

        Raises:
            ValueError: no examples, or a shape the model refuses.
        """
        x = _trace.plain_array(x, "predict: x")
        if x.ndim == 0 or len(x) == 0:
            raise ValueError(f"predict: x has shape {x.shape}, expected at least one example [n, ...]")
        with _evaluation_mode(self.model):
            outputs = [self.model(x_batch) for (x_batch,) in Batches(x, batch_size=batch_size)]
        return np.concatenate(outputs)

    def _epoch(
        self,
        epoch: int,
        batches: Batches,
        validation_data: tuple[np.ndarray, np.ndarray] | None,
        callbacks: Sequence[Callback],
        progress: Progress,
    ) -> dict[str, float]:
        for callback in callbacks:
            callback.on_epoch_begin(self, epoch)
        started = time.perf_counter()
        progress.begin_epoch()
        self._set_training_mode()
        mean = Mean()
        for batch, (x, y) in enumerate(batches):
            skipped = self._step.skipped
            loss, measured = self._update(x, y)
            if self._step.skipped > skipped and self.optimizer.skip_nonfinite:
                continue  # nothing has changed, so nothing is reported
            if not math.isfinite(loss):
                raise FloatingPointError(
                    f"the loss became {loss} in epoch {epoch + 1}, batch {batch + 1}, after "
                    f"{self._step.steps} updates (lr {self._lr():.3g}); model and optimizer are as they were "
                    "before this batch. Try a smaller lr, or check the data for NaN; "
                    "rv.eager(check_nan=True) finds the place"
                )
            mean.add(len(x), {"loss": loss, **measured})
            progress.batch(epoch, batch + 1, mean)
            for callback in callbacks:
                callback.on_batch_end(self, batch, loss)
        logs = mean.values()
        if not logs:
            raise FloatingPointError(
                f"every update of epoch {epoch + 1} was skipped, as gradients were NaN or infinite: "
                "rv.eager(check_nan=True) finds the place"
            )
        if validation_data is not None:
            validation = self.evaluate(*validation_data, batch_size=max(batches.batch_size, 256))
            logs |= {f"val_{name}": value for name, value in validation.items()}
        return logs | {"lr": self._lr(), "seconds": time.perf_counter() - started}

    def _update(self, x: np.ndarray, y: np.ndarray) -> tuple[float, dict[str, float]]:
        if not self._metrics:
            return self._step(x, y), {}
        loss, output = self._step.with_output(x, y)
        return loss, self._measure(output, y)

    def _set_training_mode(self) -> None:
        self.model.train()
        for module in self._frozen:
            module.training = False

    def _accepts(self, x: np.ndarray, y: np.ndarray) -> bool:
        """Whether the model can be trained on such a mini-batch."""
        with _modes_kept(self.model):
            self._set_training_mode()
            try:
                self._step.check(x, y)
            except ValueError:
                return False
        return True

    def _measure(self, output: np.ndarray, y: np.ndarray) -> dict[str, float]:
        return {name: float(metric(output, y)) for name, metric in self._metrics.items()}

    def _lr(self) -> float:
        return float(self.optimizer.current_lr)


def check_examples(caller: str, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y = _trace.plain_array(x, f"{caller}: x"), _trace.plain_array(y, f"{caller}: y")
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y) or len(x) == 0:
        raise ValueError(
            f"{caller}: x has shape {x.shape} and y {y.shape}, expected as many targets as examples, not none"
        )
    return x, y


@contextmanager
def _modes_kept(model: nn.Module) -> Iterator[None]:
    """Afterwards every module has the mode it had."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def _evaluation_mode(model: nn.Module) -> Iterator[None]:
    with _modes_kept(model):
        model.eval()
        yield
