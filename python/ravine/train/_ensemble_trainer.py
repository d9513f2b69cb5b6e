"""EnsembleTrainer: the loop around a step over an ensemble, with an end for each member."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .. import _core, optim
from .._numbers import whole
from .._state import below, check_keys, count, read_count, read_seed, seed_entry
from .._step import TrainStep
from ..data import MemberBatches
from ..ensemble import Ensemble, EnsembleStep
from ._inputs import EVALUATED_AT_ONCE, check_examples
from ._validation import EnsembleEvaluator
from .metrics import MetricLike, named_metrics

__all__ = ["EnsembleTrainer"]


class EnsembleTrainer:
    """Trains the members of an ensemble side by side: bagging, folds, grids, or the same data for all.

    The history has an array [n] for every epoch. Members end by themselves: with `patience`, and where their
    loss does not stay finite.

    Args:
        ensemble: the `rv.Ensemble`.
        loss: (output, target) to a scalar, the mean over the batch.
        optimizer: the rule of all members, or a sequence of n.
        metrics: of the validation data, as in `Trainer`.

    Attributes:
        ensemble, step: the ensemble, and the `EnsembleStep` over it.
        history: lists by name with an array [n] for every epoch, NaN of members that had ended.
        epoch: finished epochs.
        best_epoch: of each member the epoch, from 0, with the lowest validation loss; -1 before the first.

    Example:
        Bagging: every member sees examples drawn with replacement.

        >>> import numpy as np, ravine as rv
        >>> from ravine import nn, optim
        >>> x_train, y_train, x_test, y_test = rv.data.digits()
        >>> rv.seed(0)
        >>> ensemble = rv.Ensemble(lambda: rv.models.mlp(64, 10, hidden=(32,)), 3)
        >>> trainer = rv.train.EnsembleTrainer(
        ...     ensemble, nn.CrossEntropyLoss(), optim.Adam(lr=1e-2), ["accuracy"]
        ... )
        >>> rows = np.random.default_rng(0).integers(0, len(x_train), (3, len(x_train)))
        >>> history = trainer.fit(x_train, y_train, rows=rows, epochs=2, validation_data=(x_test, y_test))
        >>> len(history["loss"]), history["val_accuracy"][-1].shape
        (2, (3,))
        >>> bool((trainer.evaluate(x_test, y_test)["accuracy"] > 0.8).all())
        True
    """

    def __init__(
        self,
        ensemble: Ensemble,
        loss: Callable[[Any, Any], Any],
        optimizer: optim.Optimizer | Sequence[optim.Optimizer],
        metrics: Sequence[MetricLike] | Mapping[str, MetricLike] = (),
    ) -> None:
        if not isinstance(ensemble, Ensemble):
            raise TypeError(
                f"EnsembleTrainer: an rv.Ensemble is expected, got {type(ensemble).__name__}; rv.Trainer "
                "trains single models"
            )
        step = TrainStep(ensemble, loss, optimizer)  # type: ignore[arg-type]  # one rule, or one for each
        assert isinstance(step, EnsembleStep)
        self.ensemble, self.step = ensemble, step
        self._evaluate = EnsembleEvaluator(ensemble, loss, named_metrics(metrics, loss))
        self._seed: int | None = None
        n = len(ensemble)
        self.epoch = 0
        self.history: dict[str, list[np.ndarray]] = {}
        self.best_epoch = np.full(n, -1)
        self._best_loss = np.full(n, np.inf)
        self._best: list[dict[str, np.ndarray]] = [{} for _ in range(n)]

    def fit(
        self,
        x: Any,
        y: Any,
        *,
        rows: Sequence[Any] | None = None,
        epochs: int = 1,
        batch_size: int = 32,
        validation_data: tuple[Any, Any] | None = None,
        validation_rows: Sequence[Any] | None = None,
        same_order: bool = False,
        shuffle: bool = True,
        drop_last: bool = False,
        seed: int | None = None,
        patience: int | None = None,
        verbose: int = 0,
    ) -> dict[str, list[np.ndarray]]:
        """Trains up to a number of epochs of the whole run and returns the history.

        Member i sees the mini-batches that `Trainer.fit` would give it with `Batches(x, y, rows=rows[i],
        seed=...)`; see `rv.data.MemberBatches`. A second call goes on where the first ended, also in another
        process after `load_state_dict`, to the same bits. The members are then in evaluation mode.

        Args:
            x, y: examples [N, ...] and targets, arrays, or arrays in nested tuples and dicts.
            rows: of each member the examples that it sees, n index arrays; None for all.
            epochs: of the whole run.
            batch_size: examples in a member's mini-batch.
            validation_data: (x, y), measured by every member after each epoch; or
            validation_rows: of each member the examples of x and y that it is measured on, n index arrays.
            same_order: whether all members see the same mini-batches, which then are gathered once.
            shuffle: a new order in every epoch.
            drop_last: leave out a member's last mini-batch of an epoch if it is short.
            seed: of the orders; None keeps that of the run, or draws one (`rv.seed`).
            patience: a member ends once its validation loss has not fallen for so many epochs, and gets the
                weights of its best epoch back; None lets all train to the end.
            verbose: 1 writes a line per epoch.

        Raises:
            ValueError: no examples, x and y of different lengths, rows for another number of members or out
                of range, `patience` without validation data; nothing has changed then.
        """
        x, y = check_examples("EnsembleTrainer.fit", x, y)
        n = len(self.ensemble)
        if same_order and rows is not None:
            raise ValueError("EnsembleTrainer.fit: rows differ by member, same_order is for the same batches")
        if validation_data is not None and validation_rows is not None:
            raise ValueError("EnsembleTrainer.fit: give validation_data or validation_rows, not both")
        measured = validation_data is not None or validation_rows is not None
        if patience is not None and not measured:
            raise ValueError("EnsembleTrainer.fit: patience needs validation_data or validation_rows")
        if patience is not None:
            whole("EnsembleTrainer.fit", "patience", patience)
        if seed is None:
            seed = _core.draw_seed() if self._seed is None else self._seed
        source = MemberBatches(
            x,
            y,
            n=1 if same_order else n,
            rows=rows,
            batch_size=batch_size,
            shuffle=shuffle,
            drop_last=drop_last,
            seed=seed,
        )
        if len(source) == 0:
            raise ValueError(f"EnsembleTrainer.fit: no member has a mini-batch of {batch_size} examples")
        held_out = None
        if validation_data is not None:
            held_out = check_examples("EnsembleTrainer.fit: validation_data", *validation_data), None
        elif validation_rows is not None:
            if len(validation_rows) != n:
                raise ValueError(
                    f"EnsembleTrainer.fit: validation_rows for {len(validation_rows)} members, expected {n}"
                )
            held_out = (x, y), [np.asarray(own) for own in validation_rows]
        self._seed = seed
        try:
            while self.epoch < epochs and self.step.active.any():
                self.ensemble.train()
                logs = {"loss": self._run_epoch(source.batches(self.epoch), same_order)}
                if held_out is not None:
                    values = self._evaluate(*held_out, EVALUATED_AT_ONCE)
                    rest = ~self.step.active
                    logs |= {f"val_{name}": _without(value, rest) for name, value in values.items()}
                for name, value in logs.items():
                    self.history.setdefault(name, [np.full(n, np.nan)] * self.epoch).append(value)
                if patience is not None:
                    self._end_members(logs["val_loss"], patience)
                self.epoch += 1
                if verbose:
                    print(_line(self.epoch, epochs, logs, int(self.step.active.sum())))
        finally:
            self.ensemble.eval()
        if patience is not None:
            self._restore(self.best_epoch >= 0)
        return self.history

    def _run_epoch(self, batches: Any, same: bool) -> np.ndarray:
        """Trains on the batches; the mean losses of the members."""
        n = len(self.ensemble)
        total, counts = np.zeros(n), np.zeros(n)
        for x, y in batches:
            losses = self.step(_first(x), _first(y)) if same else self.step(x, y, each=True)
            trained = np.isfinite(losses)
            size = _sizes(x, n, same)
            total[trained] += (losses * size)[trained]
            counts[trained] += size[trained]
        self.step.finish_accumulation()
        with np.errstate(invalid="ignore"):
            means = total / counts
        lost = self.step.active & (counts == 0)
        if lost.any():  # no update of the epoch went well, and none will
            self.step.active = self.step.active & ~lost
        return means

    def _end_members(self, losses: np.ndarray, patience: int) -> None:
        """Keeps the best weights, and lets members rest that have not become better for long."""
        active = self.step.active
        better = active & (losses < self._best_loss)
        for i in np.flatnonzero(better):
            self._best[i] = self.ensemble.member(int(i)).state_dict()
        self._best_loss[better] = losses[better]
        self.best_epoch[better] = self.epoch
        self.step.active = active & (self.epoch - np.maximum(self.best_epoch, 0) < patience)

    def _restore(self, which: np.ndarray) -> None:
        for i in np.flatnonzero(which & ~self.step.active):
            self.ensemble.member(int(i)).load_state_dict(self._best[i])

    def evaluate(
        self, x: Any, y: Any, *, rows: Sequence[Any] | None = None, batch_size: int = EVALUATED_AT_ONCE
    ) -> dict[str, np.ndarray]:
        """Loss and metrics of the members on examples, in evaluation mode: arrays [n].

        Args:
            x, y: examples and targets.
            rows: of each member the examples that it is measured on; None for all.
            batch_size: examples at a time.
        """
        own = None if rows is None else [np.asarray(each) for each in rows]
        return self._evaluate(check_examples("EnsembleTrainer.evaluate", x, y), own, batch_size)

    def state_dict(self) -> dict[str, np.ndarray]:
        """The whole run: model, step, history and best weights; `rv.save(path, trainer.state_dict())`."""
        parts = {"model": self.ensemble.state_dict(), "step": self.step.state_dict()}
        state = {f"{part}.{key}": value for part, own in parts.items() for key, value in own.items()}
        state |= {f"history.{name}": np.stack(rows) for name, rows in self.history.items() if rows}
        state |= {"epoch": count(self.epoch), "best_epoch": self.best_epoch.copy()}
        state |= {"best_loss": self._best_loss.copy()}
        if self._seed is not None:
            state["seed"] = seed_entry(self._seed)
        for i, best in enumerate(self._best):
            state |= {f"best.{i}.{name}": value for name, value in best.items()}
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Goes on where `state_dict` was taken, to the same bits.

        Raises ValueError for what does not fit; nothing has changed then.
        """
        own = {k: v for k, v in state_dict.items() if k.partition(".")[0] not in ("model", "step", "history")}
        best = below("best.", own)
        own = {key: value for key, value in own.items() if not key.startswith("best.")}
        check_keys("EnsembleTrainer", {"seed": 0} | own, ("epoch", "best_epoch", "best_loss", "seed"))
        epoch = read_count("EnsembleTrainer", own, "epoch")
        seed = read_seed("EnsembleTrainer", own, "seed") if "seed" in own else None
        before = copy.deepcopy(self.ensemble.state_dict())
        self.ensemble.load_state_dict(below("model.", state_dict))
        try:
            self.step.load_state_dict(below("step.", state_dict))
        except ValueError:
            self.ensemble.load_state_dict(before)
            raise
        self.epoch, self._seed = epoch, seed
        self.best_epoch, self._best_loss = np.array(own["best_epoch"]), np.array(own["best_loss"])
        self._best = [below(f"{i}.", best) for i in range(len(self.ensemble))]
        self.history.clear()
        self.history |= {name: [*np.array(rows)] for name, rows in below("history.", state_dict).items()}


def _without(values: np.ndarray, rest: np.ndarray) -> np.ndarray:
    result = np.array(values, np.float64)
    result[rest] = np.nan
    return result


def _first(x: Any) -> Any:
    """The only member's part."""
    if isinstance(x, tuple):
        return tuple([_first(item) for item in x])
    if isinstance(x, dict):
        return {key: _first(item) for key, item in x.items()}
    return x[0]


def _sizes(x: Any, n: int, same: bool) -> np.ndarray:
    """Of each member, the examples of its batch."""
    while isinstance(x, tuple | dict):
        x = next(iter(x.values() if isinstance(x, dict) else x))
    if same or isinstance(x, np.ndarray):
        return np.full(n, x.shape[1])
    return np.array([0 if part is None else len(part) for part in x])


def _line(epoch: int, epochs: int, logs: Mapping[str, np.ndarray], active: int) -> str:
    values = "  ".join(
        f"{name} {np.nanmean(value):.4g}" for name, value in logs.items() if not np.isnan(value).all()
    )
    return f"epoch {epoch}/{epochs}  {values}  ({active} members in training)"
