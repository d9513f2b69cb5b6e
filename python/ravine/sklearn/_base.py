"""What all estimators share: checked data, one Trainer, seeds, predictions."""

from __future__ import annotations

import copy
import warnings
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, is_classifier
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data

from .. import nn
from .._random import own_generator
from .._splitmix import number_at
from .._state import seed_entry
from .._step import TrainStep
from ..data import Batches, split_indices
from ..train import Trainer
from ..train.metrics import Reading
from ._targets import Labels, Numbers

__all__ = [
    "ClassifierFace",
    "Examples",
    "RegressorFace",
    "TrainedEstimator",
    "random_seed",
    "run_trainer",
    "seed_step",
]

_AT_ONCE = 1024  # examples of a prediction


def random_seed(random: np.random.RandomState) -> int:
    """A seed drawn from scikit-learn's kind of random state."""
    return int(random.randint(np.iinfo(np.int32).max))


def run_trainer(trainer: Trainer, owner: str, x: Any, target: Any, **arguments: Any) -> None:
    """`trainer.fit` as scikit-learn's users expect it: Ctrl-C keeps what was learned, and no data is kept."""
    try:
        trainer.fit(x, target, **arguments)
    except KeyboardInterrupt:
        warnings.warn(f"{owner}: training interrupted by the user", stacklevel=5)
    source = trainer.loop.source
    assert isinstance(source, Batches)
    source.release()


def seed_step(step: TrainStep, seed: int) -> None:
    """Makes what a step draws (dropout) a function of this seed, whatever the process's is."""
    step.load_state_dict(step.state_dict() | {"random.seed": seed_entry(seed), "random.step": seed_entry(0)})


class Examples(NamedTuple):
    """Examples, what the network learns of them, and their weights (None: all alike)."""

    x: np.ndarray
    target: np.ndarray
    weight: np.ndarray | None

    def at(self, rows: np.ndarray) -> Examples:
        """The examples of these numbers."""
        weight = None if self.weight is None else self.weight[rows]
        return Examples(self.x[rows], self.target[rows], weight)

    def split(
        self, owner: str, share: float, random: np.random.RandomState, labels: np.ndarray | None
    ) -> tuple[Examples, Examples]:
        """Sets a share aside, with the shares of the labels if there are some; the rest comes first.

        Raises ValueError for a share that leaves fewer than two examples on a side.
        """
        n = len(self.x)
        if not 0.0 < share < 1.0 or not 2 <= round(n * share) <= n - 2:
            raise ValueError(
                f"{owner}: validation_fraction={share} of {n} examples; the validation set is too small, or "
                "leaves too few: expected at least 2 on either side"
            )
        rest, held = split_indices(n, float(share), seed=random_seed(random), stratify=labels)
        return self.at(rest), self.at(held)


class TrainedEstimator(BaseEstimator, ABC):
    """An estimator whose model a `Trainer` trains.

    Derived classes say how targets are seen (`ClassifierFace`, `RegressorFace`), and how the model is built
    and trained: `_check_parameters`, `_build`, `_target`, `_train`.
    """

    random_state: Any
    dtype: str
    warm_start: bool
    _several_axes = False  # whether an example may be an array of several axes

    # what a first fit makes
    _model: nn.Module
    _codec: Any

    # --- what families define

    @abstractmethod
    def _check_parameters(self, partial: bool) -> None:
        """Raises TypeError or ValueError for wrong parameters."""

    @abstractmethod
    def _build(self, x: np.ndarray, codec: Any, random: np.random.RandomState) -> nn.Module:
        """An untrained model for examples like x, whose dtype it has, and such targets."""

    @abstractmethod
    def _target(self, encoded: np.ndarray, x: np.ndarray) -> np.ndarray:
        """What the network learns, of targets as `_codec` encodes them."""

    @abstractmethod
    def _train(
        self,
        examples: Examples,
        labels: np.ndarray | None,
        random: np.random.RandomState,
        *,
        fresh: bool,
        partial: bool,
    ) -> None:
        """Trains the model, `labels` being those to split by; sets the attributes of a fit."""

    # --- what targets define

    @abstractmethod
    def _codec_of(self, y: Any, classes: Any) -> Any:
        """What turns targets like y into numbers and back."""

    @abstractmethod
    def _weights(self, y: Any, sample_weight: np.ndarray | None) -> np.ndarray | None:
        """The weights of examples, those of their classes included."""

    # --- fitting

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Trains on examples; what was learned before is forgotten, unless `warm_start` is set.

        Args:
            X: examples [n, features], dense: arrays, lists, pandas frames.
            y: targets.
            sample_weight: weights of the examples in the loss [n]; None for all alike.

        Returns:
            The estimator itself.

        Raises:
            TypeError: sparse examples (`X.toarray()` makes them dense), arguments of a wrong kind.
            ValueError: examples or targets that do not fit, NaN among them, parameters out of range.
            FloatingPointError: the loss became NaN or infinite.
        """
        return self._fit(X, y, sample_weight, fresh=not (self.warm_start and self._fitted))

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, *, fresh: bool, partial: bool = False, classes: Any = None
    ) -> Any:
        self._check_parameters(partial)
        owner = type(self).__name__
        x, y = self._checked(X, y, fresh)
        codec = self._codec_of(y, classes) if fresh else self._codec
        encoded = codec.encode(owner, y)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, x, dtype=x.dtype, ensure_non_negative=True)
        weight = self._weights(y, sample_weight)
        random = check_random_state(self.random_state)
        with own_generator(number_at(random_seed(copy.deepcopy(random)), 0)):
            if fresh:
                model = self._build(x, codec, random)
                self._codec, self._model = codec, model
            examples = Examples(x, self._target(encoded, x), weight)
            labels = encoded if encoded.ndim == 1 else None
            self._train(examples, labels, random, fresh=fresh, partial=partial)
        self._model.eval()
        return self

    def _checked(self, X: Any, y: Any, first: bool) -> tuple[np.ndarray, Any]:
        checked: Any = validate_data(
            self,
            X,
            y,
            reset=first,
            dtype=self._dtypes(),
            multi_output=True,
            y_numeric=not is_classifier(self),
            allow_nd=self._several_axes,
        )
        x, y = checked
        return x, column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _dtypes(self) -> Any:
        """The dtypes that examples may have; others become the first of these."""
        if self.dtype == "auto":
            return [np.float64, np.float32]
        return np.dtype(self.dtype)

    @property
    def _fitted(self) -> bool:
        return hasattr(self, "_model")

    def __sklearn_is_fitted__(self) -> bool:
        return self._fitted

    # --- predicting

    def _outputs(self, X: Any) -> np.ndarray:
        """What the network puts out for examples."""
        check_is_fitted(self)
        x: Any = validate_data(self, X, reset=False, dtype=self._dtypes(), allow_nd=self._several_axes)
        return self._outputs_of(x)

    def _outputs_of(self, x: np.ndarray) -> np.ndarray:
        pieces = [self._model(x[i : i + _AT_ONCE]) for i in range(0, len(x), _AT_ONCE)]
        return np.concatenate(pieces)


class ClassifierFace(ClassifierMixin, TrainedEstimator):
    """Predictions of classes, and their training."""

    class_weight: Any
    _codec: Labels

    @abstractmethod
    def _reading(self) -> Reading:
        """What outputs mean."""

    def _codec_of(self, y: Any, classes: Any) -> Labels:
        return Labels(type(self).__name__, y, classes)

    def _weights(self, y: Any, sample_weight: np.ndarray | None) -> np.ndarray | None:
        if self.class_weight is None:
            return sample_weight
        of_class = compute_sample_weight(self.class_weight, y)
        return of_class if sample_weight is None else (of_class * sample_weight).astype(sample_weight.dtype)

    @property
    def classes_(self) -> np.ndarray:
        """The classes, in the order of the columns of `predict_proba`."""
        if not self._fitted:
            raise AttributeError(f"{type(self).__name__} has no classes_ before it is fitted")
        return self._codec.classes

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Any:
        """Trains one epoch on these examples, from where the training stands.

        Args:
            X, y, sample_weight: as of `fit`; y need not have all classes.
            classes: all classes; the first call needs them, later ones may repeat them.

        Raises as `fit`.
        """
        if not self._fitted and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if self._fitted and classes is not None and not np.array_equal(self.classes_, np.unique(classes)):
            raise ValueError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: "
                f"{self.classes_!r}"
            )
        return self._fit(X, y, sample_weight, fresh=not self._fitted, partial=True, classes=classes)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable label of each example [n]; of several labels 0 and 1 [n, labels]."""
        probabilities = self.predict_proba(X)
        return self._codec.decode(probabilities)

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class [n, classes], in the order of `classes_`."""
        outputs = self._outputs(X)
        return self._codec.probabilities(outputs, self._reading())

    def decision_function(self, X: Any) -> np.ndarray:
        """The score of each class [n, classes], larger for more probable; of two classes one number [n],
        above 0 for the second."""
        outputs = self._outputs(X)
        return self._codec.decisions(outputs, self._reading())

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """The logarithms of `predict_proba`."""
        with np.errstate(divide="ignore"):  # the logarithm of 0 is minus infinity
            return np.log(self.predict_proba(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class RegressorFace(RegressorMixin, TrainedEstimator):
    """Predictions of numbers, and their training."""

    _codec: Numbers

    def _codec_of(self, y: Any, classes: Any) -> Numbers:
        return Numbers(type(self).__name__, y)

    def _weights(self, y: Any, sample_weight: np.ndarray | None) -> np.ndarray | None:
        return sample_weight

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Trains one epoch on these examples, from where the training stands.

        Args:
            X, y, sample_weight: as of `fit`.

        Raises as `fit`.
        """
        return self._fit(X, y, sample_weight, fresh=not self._fitted, partial=True)

    def predict(self, X: Any) -> np.ndarray:
        """The targets of examples, [n] or [n, outputs] as they were in `fit`."""
        outputs = self._outputs(X)
        return self._codec.decode(outputs)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
