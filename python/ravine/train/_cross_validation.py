"""Cross-validation: the folds' models are trained side by side, in one program."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _core, nn, optim
from .._dims import is_dim
from .._nesting import common_length
from .._splitmix import number_at
from ..data import Batches, k_fold
from ..ensemble import Ensemble
from ._ensemble_trainer import EnsembleTrainer
from ._inputs import check_examples
from ._validation import predictions
from .metrics import MetricLike

__all__ = ["CrossValidation", "cross_validate"]

_WEIGHTS = 0x5851F42D4C957F2D  # makes of the seed of orders that of initial weights


@dataclass(frozen=True)
class CrossValidation:
    """What `cross_validate` found; printing it shows a table.

    Attributes:
        scores: "loss" and the metrics of each fold's model on the examples that it has not seen, [k].
        folds: of each fold the training and the validation examples, by number.
        ensemble: the models, one for each fold: `ensemble.members[i]`; their predictions together are those
            of an ensemble.
        history: of the training, with an array [k] for every epoch.
    """

    scores: dict[str, np.ndarray]
    folds: list[tuple[np.ndarray, np.ndarray]]
    ensemble: Ensemble
    history: dict[str, list[np.ndarray]]

    @property
    def mean(self) -> dict[str, Any]:
        """The means of the scores over the folds."""
        return {name: _plain(values.mean(axis=0)) for name, values in self.scores.items()}

    @property
    def std(self) -> dict[str, Any]:
        """Their standard deviations over the folds."""
        return {name: _plain(values.std(axis=0)) for name, values in self.scores.items()}

    def predictions(self, x: Any, *, batch_size: int = 256) -> np.ndarray:
        """Of each example the output of the model that has not seen it, [N, ...].

        Args:
            x: the examples of the cross-validation.
            batch_size: examples at a time.

        Examples that are in no validation set are NaN; in several, the last counts.
        """
        result: np.ndarray | None = None
        for member, (_, rows) in zip(self.ensemble.members, self.folds, strict=True):
            batches = Batches(x, rows=rows, batch_size=batch_size)
            own = predictions(member, (part for (part,) in batches))
            if result is None:
                result = np.full((common_length(batches.arrays) or 0, *own.shape[1:]), np.nan, own.dtype)
            result[rows] = own
        assert result is not None
        return result

    def __str__(self) -> str:
        names = [name for name, values in self.scores.items() if values.ndim == 1]
        lines = ["fold  " + "  ".join(f"{name:>12}" for name in names)]
        rows = [(i, {name: self.scores[name][i] for name in names}) for i in range(len(self.folds))]
        for label, row in (*rows, ("mean", self.mean), ("std", self.std)):
            lines.append(f"{label:>4}  " + "  ".join(f"{row[name]:12.5g}" for name in names))
        return "\n".join(lines)


def cross_validate(
    make_model: Callable[[], nn.Module],
    loss: Callable[..., Any],
    optimizer: optim.Optimizer,
    x: Any,
    y: Any,
    *,
    folds: int | Iterable[tuple[Any, Any]] = 5,
    metrics: Sequence[MetricLike] | Mapping[str, MetricLike] = (),
    epochs: int = 1,
    batch_size: int = 32,
    stratify: bool = False,
    seed: int | None = None,
    patience: int | None = None,
    validate_every_epoch: bool = False,
) -> CrossValidation:
    """k-fold cross-validation in one pass: the k models are trained in one program.

    Each model is what `Trainer.fit` makes of `make_model()` on the examples of its fold.

    Args:
        make_model: a function without arguments that returns a new module, as for `rv.Ensemble`.
        loss: (output, target) to a scalar, the mean over the batch.
        optimizer: the rule; every model has a state of its own.
        x, y: examples [N, ...] and targets, arrays, or arrays in nested tuples and dicts.
        folds: how many, see `rv.data.k_fold`; or pairs of training and validation examples by number, such
            as scikit-learn's `KFold(5).split(x)`.
        metrics: as in `Trainer`.
        epochs: passes over the examples of a fold.
        batch_size: examples in a mini-batch.
        stratify: spread the classes over the folds evenly; y are then integer labels [N].
        seed: of folds, initial weights and orders; None draws one from the process generator (`rv.seed`).
        patience: end a fold's training by its validation loss, see `EnsembleTrainer.fit`. Scores are then of
            the best epoch, which the validation examples chose: too good by a little.
        validate_every_epoch: measure after each epoch; else, and without `patience`, once at the end.

    Raises ValueError for arguments out of range, folds without examples, and rows out of range.

    Example:
        >>> import ravine as rv
        >>> from ravine import nn, optim
        >>> x, y, _, _ = rv.data.digits()
        >>> result = rv.train.cross_validate(
        ...     lambda: rv.models.mlp(64, 10, hidden=(32,)), nn.CrossEntropyLoss(), optim.Adam(lr=1e-2), x, y,
        ...     folds=3, metrics=["accuracy"], epochs=2, stratify=True, seed=0,
        ... )
        >>> result.scores["accuracy"].shape, result.mean["accuracy"] > 0.8
        ((3,), True)
        >>> result.predictions(x).shape == (len(x), 10)
        True
    """
    x, y = check_examples("cross_validate", x, y)
    seed = _core.draw_seed() if seed is None else seed
    pairs = _folds(folds, x, y, stratify, seed)
    rows, held_out = [train for train, _ in pairs], [validation for _, validation in pairs]
    seeds = [_seed_of(seed, i) for i in range(len(pairs))]
    trainer = EnsembleTrainer(Ensemble(make_model, len(pairs), seeds=seeds), loss, optimizer, metrics)
    during = validate_every_epoch or patience is not None
    trainer.fit(
        x,
        y,
        rows=rows,
        epochs=epochs,
        batch_size=batch_size,
        validation_rows=held_out if during else None,
        seed=seed,
        patience=patience,
    )
    scores = trainer.evaluate(x, y, rows=held_out)
    return CrossValidation(scores, pairs, trainer.ensemble, trainer.history)


def _plain(value: np.ndarray) -> Any:
    return float(value) if value.ndim == 0 else value


def _seed_of(seed: int, i: int) -> int:
    """Of the initial weights of a fold's model, a number of 63 bits."""
    return number_at(seed ^ _WEIGHTS, i) >> 1


def _folds(folds: Any, x: Any, y: Any, stratify: bool, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    n = common_length((x, y))
    assert n is not None
    if is_dim(folds):
        return k_fold(n, int(folds), seed=seed, stratify=y if stratify else None)
    if stratify:
        raise ValueError("cross_validate: stratify is for a number of folds; these are given")
    pairs = [(np.asarray(train), np.asarray(validation)) for train, validation in folds]
    if not pairs or any(train.size == 0 or validation.size == 0 for train, validation in pairs):
        raise ValueError("cross_validate: folds without examples for training or validation")
    return pairs
