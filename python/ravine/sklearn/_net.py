"""Any module as an estimator."""

from __future__ import annotations

import copy
import inspect
import math
from abc import abstractmethod
from typing import Any

import numpy as np

from .. import models, nn, optim
from .._numbers import flag, number, whole
from ..train import EarlyStopping, Trainer
from ..train.metrics import Reading, reading_under
from ._base import (
    ClassifierFace,
    Examples,
    RegressorFace,
    TrainedEstimator,
    random_seed,
    run_trainer,
    seed_step,
)
from ._targets import Labels, Numbers

__all__ = ["NetClassifier", "NetRegressor"]

_PREFIXES = ("module__", "criterion__", "optimizer__")
_DTYPES = ("auto", "float32", "float64")
_HIDDEN = (100,)  # of the network that stands in for a missing one, as of `MLPClassifier`


class NetEstimator(TrainedEstimator):
    """What both estimators of modules share."""

    module: Any
    criterion: Any
    optimizer: Any
    lr: float | None
    max_epochs: int
    batch_size: int
    shuffle: bool
    early_stopping: bool
    validation_fraction: float | None
    n_iter_no_change: int
    callbacks: Any
    metrics: Any
    verbose: Any
    _trainer: Trainer
    _criterion: Any
    _output_shape: tuple[int, ...]
    _several_axes = True

    def __init__(self, **arguments: Any) -> None:
        vars(self).update(arguments)  # scikit-learn wants wrong ones told by `fit`

    # --- scikit-learn's parameters, with those of the parts

    def _of_parts(self) -> dict[str, Any]:
        """The arguments that stand for no parameter: those of the parts."""
        own = {*self._get_param_names()}
        return {
            name: value
            for name, value in vars(self).items()
            if name not in own and not name.startswith("_") and not name.endswith("_")
        }

    def _of_part(self, prefix: str) -> dict[str, Any]:
        own = self._of_parts().items()
        return {name.removeprefix(prefix): value for name, value in own if name.startswith(prefix)}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name, those of the parts too (`module__width`)."""
        return super().get_params(deep=deep) | self._of_parts()

    def set_params(self, **params: Any) -> Any:
        """Sets parameters, those of the parts too. Raises ValueError for other names."""
        of_parts = {name: value for name, value in params.items() if name.startswith(_PREFIXES)}
        super().set_params(**{name: value for name, value in params.items() if name not in of_parts})
        vars(self).update(of_parts)
        return self

    def _check_parameters(self, partial: bool) -> None:
        owner = type(self).__name__
        unknown = [name for name in self._of_parts() if not name.startswith(_PREFIXES)]
        if unknown:
            raise TypeError(
                f"{owner}: unexpected arguments {unknown}; those of the parts begin with "
                f"{', '.join(_PREFIXES)}"
            )
        for name in ("max_epochs", "batch_size", "n_iter_no_change"):
            whole(owner, name, getattr(self, name))
        for name in ("shuffle", "early_stopping", "warm_start"):
            flag(owner, name, getattr(self, name))
        if self.lr is not None and not callable(self.lr):
            number(owner, "lr", self.lr)
        if self.validation_fraction is not None:
            number(owner, "validation_fraction", self.validation_fraction, below=1.0)
        if self.dtype not in _DTYPES:
            raise ValueError(f"{owner}: dtype must be one of {', '.join(_DTYPES)}, got {self.dtype!r}")
        if partial and self.early_stopping:
            raise ValueError(f"{owner}: partial_fit does not support early_stopping=True")

    # --- the parts

    def _build(self, x: np.ndarray, codec: Any, random: np.random.RandomState) -> nn.Module:
        model = self._module(x, codec).to(x.dtype.name).eval()
        output = model(x[:1])
        if not isinstance(output, np.ndarray) or output.shape[:1] != (1,):
            seen = getattr(output, "shape", type(output).__name__)
            raise ValueError(
                f"{type(self).__name__}: the module returned {seen} for one example, expected [1, ...]"
            )
        shape = output.shape[1:]
        criterion = self._made_criterion(codec, shape)
        self._check_outputs(codec, shape, criterion)
        self._output_shape, self._criterion = shape, criterion
        return model

    def _module(self, x: np.ndarray, codec: Any) -> nn.Module:
        owner, arguments = type(self).__name__, self._of_part("module__")
        if isinstance(self.module, nn.Module):
            if arguments:
                raise ValueError(f"{owner}: module is an instance, which takes no arguments {[*arguments]}")
            return copy.deepcopy(self.module)
        columns = {"in_features": math.prod(x.shape[1:]), "out_features": codec.columns}
        if self.module is None:
            own = {"hidden": _HIDDEN, "batch_norm": False}
            return models.mlp(**(columns | own | arguments))
        if not callable(self.module):
            raise TypeError(
                f"{owner}: module must be a Module, its class, or a function that returns one, got "
                f"{type(self.module).__name__}"
            )
        known = inspect.signature(self.module).parameters
        model = self.module(**({name: n for name, n in columns.items() if name in known} | arguments))
        if not isinstance(model, nn.Module):
            raise TypeError(f"{owner}: module made a {type(model).__name__}, expected a Module")
        return model

    def _made_criterion(self, codec: Any, shape: tuple[int, ...]) -> Any:
        given, arguments = self.criterion, self._of_part("criterion__")
        if given is None:
            given = self._usual_criterion(codec, shape)
        if isinstance(given, type):
            return given(**arguments)
        if arguments:
            raise ValueError(
                f"{type(self).__name__}: criterion is not a class, so it takes no arguments {[*arguments]}"
            )
        if not callable(given):
            raise TypeError(f"{type(self).__name__}: criterion must be a loss, got {type(given).__name__}")
        return copy.deepcopy(given)

    @abstractmethod
    def _usual_criterion(self, codec: Any, shape: tuple[int, ...]) -> type[nn.Module]:
        """The loss for such targets and outputs of an example."""

    @abstractmethod
    def _check_outputs(self, codec: Any, shape: tuple[int, ...], criterion: Any) -> None:
        """Raises ValueError for outputs that do not fit the targets."""

    def _made_optimizer(self) -> optim.Optimizer:
        owner, arguments = type(self).__name__, self._of_part("optimizer__")
        if isinstance(self.optimizer, optim.Optimizer):
            if arguments or self.lr is not None:
                raise ValueError(
                    f"{owner}: optimizer is an instance, which has its numbers; give its class for lr and "
                    "optimizer__ arguments"
                )
            return copy.deepcopy(self.optimizer)
        if not callable(self.optimizer):
            raise TypeError(f"{owner}: optimizer must be one of ravine.optim, got {self.optimizer!r}")
        made: Any = self.optimizer(**({} if self.lr is None else {"lr": self.lr}) | arguments)
        if not isinstance(made, optim.Optimizer):
            raise TypeError(f"{owner}: optimizer made a {type(made).__name__}, expected one of ravine.optim")
        return made

    # --- training

    def _train(
        self,
        examples: Examples,
        labels: np.ndarray | None,
        random: np.random.RandomState,
        *,
        fresh: bool,
        partial: bool,
    ) -> None:
        if fresh or not partial:
            self._trainer = Trainer(self._model, self._criterion, self._made_optimizer(), self.metrics)
            seed_step(self._trainer.step, random_seed(random))
        trainer = self._trainer
        first = trainer.loop.epoch if trainer.history else 0
        share, held = self.validation_fraction, None
        if share is None:
            share = 0.1 if self.early_stopping else 0.0
        if share > 0.0 and not partial:
            examples, rest = examples.split(type(self).__name__, share, random, labels)
            held = rest if rest.weight is not None else rest[:2]
        self.callbacks_ = copy.deepcopy(list(self.callbacks or ()))
        stopping = [EarlyStopping("val_loss", self.n_iter_no_change)] if self.early_stopping else []
        run_trainer(
            trainer,
            type(self).__name__,
            examples.x,
            examples.target,
            sample_weight=examples.weight,
            epochs=first + (1 if partial else self.max_epochs),
            batch_size=self.batch_size,
            shuffle=self.shuffle,
            validation_data=None if held is None else tuple(held),
            seed=random_seed(random) if first == 0 else None,
            callbacks=[*stopping, *self.callbacks_],
            verbose=int(self.verbose),
        )
        self.n_iter_, self.history_ = trainer.loop.epoch, trainer.history

    @property
    def module_(self) -> nn.Module:
        """The trained module."""
        if not self._fitted:
            raise AttributeError(f"{type(self).__name__} has no module_ before it is fitted")
        return self._model


class NetClassifier(ClassifierFace, NetEstimator):
    """Any module as a classifier of scikit-learn.

    Args:
        module: a Module (copied), its class, or a function that returns one; a class or function is called
            with the arguments `module__...`, and with in_features and out_features (classes) if it takes
            them. None: a multilayer perceptron with one hidden layer of 100. The module gives a number for
            each class, [n, classes]; or one number [n, 1] if there are two.
        criterion: a loss or its class; None: `nn.CrossEntropyLoss`, for one output and for several labels an
            example `nn.BCEWithLogitsLoss`. What outputs mean is read from it: probabilities under
            `nn.BCELoss`, logarithms under `nn.NLLLoss`, else logits.
        optimizer: the class of an optimizer, made with `lr` and `optimizer__...`; or an optimizer (copied).
        lr: learning rate, or a schedule of it; None for the optimizer's own.
        max_epochs: epochs of a `fit`.
        batch_size: examples in a mini-batch.
        shuffle: a new order of the examples in every epoch.
        class_weight: weights of the classes in the loss, a dict or "balanced", as in scikit-learn.
        early_stopping: end when the loss on a part that is set aside does not fall for `n_iter_no_change`
            epochs, and take the best weights back.
        validation_fraction: that part, which is evaluated after each epoch. None: 0.1 with early stopping,
            none without.
        n_iter_no_change: see above.
        callbacks: of `rv.train`, copied for each fit.
        metrics: for the history, as `rv.Trainer` takes them.
        warm_start: another `fit` goes on from the weights of the one before.
        random_state: an integer, a RandomState, or None: of weights, orders, dropout and the validation set.
        dtype: to compute in: "float32", "float64", or "auto", that of X (of float32 examples float32).
        verbose: shows the progress.
        arguments: of the parts, `module__width=64`, `criterion__label_smoothing=0.1`,
            `optimizer__weight_decay=0.01`; also for `set_params` and searches.

    Attributes:
        classes_: the labels, in the order of the columns of `predict_proba`.
        module_: the trained module.
        history_: as `rv.Trainer.fit` returns it.
        callbacks_: the callbacks of the newest fit.
        n_iter_: epochs of the training.
        n_features_in_, feature_names_in_: of the examples.

    Raises TypeError or ValueError, by `fit`, for parameters out of range and outputs that do not fit.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> from ravine import nn
        >>> from ravine.sklearn import NetClassifier
        >>> def net(in_features, out_features, width):
        ...     return nn.Sequential(nn.Linear(in_features, width), nn.GELU(), nn.Linear(width, out_features))
        >>> x, y = load_iris(return_X_y=True)
        >>> model = NetClassifier(net, module__width=32, lr=0.01, max_epochs=40, random_state=0)
        >>> model.fit(x, y).score(x, y) > 0.95
        True
    """

    def __init__(
        self,
        module: Any = None,
        *,
        criterion: Any = None,
        optimizer: Any = optim.Adam,
        lr: Any = None,
        max_epochs: int = 100,
        batch_size: int = 128,
        shuffle: bool = True,
        class_weight: Any = None,
        early_stopping: bool = False,
        validation_fraction: float | None = None,
        n_iter_no_change: int = 10,
        callbacks: Any = None,
        metrics: Any = (),
        warm_start: bool = False,
        random_state: Any = None,
        dtype: str = "auto",
        verbose: Any = False,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self.module = module
        self.criterion = criterion
        self.optimizer = optimizer
        self.lr = lr
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.class_weight = class_weight
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.callbacks = callbacks
        self.metrics = metrics
        self.warm_start = warm_start
        self.random_state = random_state
        self.dtype = dtype
        self.verbose = verbose

    def _reading(self) -> Reading:
        return reading_under(self._criterion)

    def _usual_criterion(self, codec: Labels, shape: tuple[int, ...]) -> type[nn.Module]:
        return nn.BCEWithLogitsLoss if codec.several or math.prod(shape) == 1 else nn.CrossEntropyLoss

    def _check_outputs(self, codec: Labels, shape: tuple[int, ...], criterion: Any) -> None:
        binary, name, n = reading_under(criterion).binary, type(criterion).__name__, codec.columns
        one = binary and n == 2 and not codec.several and math.prod(shape) == 1
        if len(shape) > 1 or not (one or math.prod(shape) == n):
            raise ValueError(
                f"NetClassifier: the module's output for an example has shape {shape} under {name}, expected "
                f"({n},) for {n} classes; a function with an argument out_features is told their number"
            )
        if codec.several and not binary:
            raise ValueError(
                f"NetClassifier: examples with several labels need BCEWithLogitsLoss or BCELoss, got {name}"
            )

    def _target(self, encoded: np.ndarray, x: np.ndarray) -> np.ndarray:
        if not self._reading().binary:
            return encoded
        if encoded.ndim == 1 and math.prod(self._output_shape) > 1:  # each class against the rest
            encoded = np.eye(self._codec.columns)[encoded]
        return encoded.reshape(len(encoded), *self._output_shape).astype(x.dtype)


class NetRegressor(RegressorFace, NetEstimator):
    """Any module as a regressor of scikit-learn.

    Args:
        module: a Module (copied), its class, or a function that returns one; a class or function is called
            with the arguments `module__...`, and with in_features and out_features if it takes them. None: a
            multilayer perceptron with one hidden layer of 100. The module gives as many numbers as an example
            has targets; [n, 1] goes with targets [n].
        criterion: a loss or its class; None: `nn.MSELoss`.
        optimizer: the class of an optimizer, made with `lr` and `optimizer__...`; or an optimizer (copied).
        lr: learning rate, or a schedule of it; None for the optimizer's own.
        max_epochs: epochs of a `fit`.
        batch_size: examples in a mini-batch.
        shuffle: a new order of the examples in every epoch.
        early_stopping: end when the loss on a part that is set aside does not fall for `n_iter_no_change`
            epochs, and take the best weights back.
        validation_fraction: that part, which is evaluated after each epoch. None: 0.1 with early stopping,
            none without.
        n_iter_no_change: see above.
        callbacks: of `rv.train`, copied for each fit.
        metrics: for the history, as `rv.Trainer` takes them.
        warm_start: another `fit` goes on from the weights of the one before.
        random_state: an integer, a RandomState, or None: of weights, orders, dropout and the validation set.
        dtype: to compute in: "float32", "float64", or "auto", that of X (of float32 examples float32).
        verbose: shows the progress.
        arguments: of the parts, as of `NetClassifier`.

    Attributes:
        module_: the trained module.
        history_: as `rv.Trainer.fit` returns it.
        callbacks_: the callbacks of the newest fit.
        n_iter_: epochs of the training.
        n_features_in_, feature_names_in_: of the examples.

    Raises TypeError or ValueError, by `fit`, for parameters out of range and outputs that do not fit.

    Example:
        >>> import numpy as np, ravine as rv
        >>> from ravine.sklearn import NetRegressor
        >>> x = np.linspace(-1, 1, 256).reshape(-1, 1)
        >>> model = NetRegressor(rv.models.mlp, module__hidden=(32,), lr=0.03, max_epochs=60, random_state=0)
        >>> model.fit(x, x[:, 0] ** 2).score(x, x[:, 0] ** 2) > 0.9
        True
    """

    def __init__(
        self,
        module: Any = None,
        *,
        criterion: Any = None,
        optimizer: Any = optim.Adam,
        lr: Any = None,
        max_epochs: int = 100,
        batch_size: int = 128,
        shuffle: bool = True,
        early_stopping: bool = False,
        validation_fraction: float | None = None,
        n_iter_no_change: int = 10,
        callbacks: Any = None,
        metrics: Any = (),
        warm_start: bool = False,
        random_state: Any = None,
        dtype: str = "auto",
        verbose: Any = False,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self.module = module
        self.criterion = criterion
        self.optimizer = optimizer
        self.lr = lr
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.callbacks = callbacks
        self.metrics = metrics
        self.warm_start = warm_start
        self.random_state = random_state
        self.dtype = dtype
        self.verbose = verbose

    def _usual_criterion(self, codec: Numbers, shape: tuple[int, ...]) -> type[nn.Module]:
        return nn.MSELoss

    def _check_outputs(self, codec: Numbers, shape: tuple[int, ...], criterion: Any) -> None:
        if math.prod(shape) != codec.columns:
            raise ValueError(
                f"NetRegressor: the module's output for an example has shape {shape}, expected "
                f"{codec.columns} numbers; a function with an argument out_features is told how many"
            )

    def _target(self, encoded: np.ndarray, x: np.ndarray) -> np.ndarray:
        return encoded.reshape(len(encoded), *self._output_shape).astype(x.dtype)
