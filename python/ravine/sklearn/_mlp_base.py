"""What the multilayer perceptrons share: parameters, training, attributes."""

from __future__ import annotations

import copy
import warnings
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from .. import nn, optim
from .._minimize import minimize
from .._numbers import flag, number, positive, whole
from ..train import Trainer
from ._base import Examples, TrainedEstimator, random_seed, run_trainer, seed_step
from ._convergence import Convergence
from ._perceptron import ACTIVATIONS, PenalizedLoss, linear_layers, perceptron

__all__ = ["MLPEstimator"]

_SOLVERS = ("lbfgs", "sgd", "adam")
_RATES = ("constant", "invscaling", "adaptive")
_DTYPES = ("auto", "float32", "float64")
# SciPy's L-BFGS-B, which scikit-learn calls, ends at this relative reduction of the function.
_LBFGS_FTOL = 2.220446049250313e-09


class MLPEstimator(TrainedEstimator):
    """What both perceptrons share. Attributes of scikit-learn's of the same name."""

    # the parameters
    hidden_layer_sizes: Any
    activation: str
    solver: Any
    alpha: float
    batch_size: Any
    learning_rate: Any
    learning_rate_init: float
    power_t: float
    max_iter: int
    shuffle: bool
    tol: float
    verbose: Any
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: float
    max_fun: int
    dropout: float
    batch_norm: bool

    out_activation_: str
    n_outputs_: int
    _trainer: Trainer | None
    _convergence: Convergence

    def _hidden(self) -> list[int]:
        sizes = self.hidden_layer_sizes
        sizes = list(sizes) if hasattr(sizes, "__iter__") else [sizes]
        return [whole(type(self).__name__, "hidden_layer_sizes", size) for size in sizes]

    def _check_parameters(self, partial: bool) -> None:
        owner = type(self).__name__
        self._hidden()
        _choice(owner, "activation", self.activation, tuple(ACTIVATIONS))
        if not isinstance(self.solver, optim.Optimizer):
            _choice(owner, "solver", self.solver, _SOLVERS, "an optimizer of ravine.optim")
        if not callable(self.learning_rate):
            _choice(owner, "learning_rate", self.learning_rate, _RATES, "a schedule")
        _choice(owner, "dtype", self.dtype, _DTYPES)
        if self.batch_size != "auto":
            whole(owner, "batch_size", self.batch_size)
        for name in ("max_iter", "max_fun"):
            whole(owner, name, getattr(self, name))
        if self.n_iter_no_change != np.inf:
            whole(owner, "n_iter_no_change", self.n_iter_no_change)
        for name in ("learning_rate_init", "epsilon"):
            positive(owner, name, getattr(self, name))
        for name in ("alpha", "power_t", "tol"):
            number(owner, name, getattr(self, name))
        number(owner, "momentum", self.momentum, high=1.0)
        for name in ("validation_fraction", "beta_1", "beta_2", "dropout"):
            number(owner, name, getattr(self, name), below=1.0)
        for name in ("shuffle", "warm_start", "nesterovs_momentum", "early_stopping", "batch_norm"):
            flag(owner, name, getattr(self, name))
        if partial and self.early_stopping:
            raise ValueError(f"{owner}: partial_fit does not support early_stopping=True")
        if partial and self.solver == "lbfgs":
            raise ValueError(f"{owner}: partial_fit needs solver 'sgd', 'adam' or an optimizer, got 'lbfgs'")
        if self.solver == "lbfgs" and self.dropout > 0.0:
            raise ValueError(
                f"{owner}: solver='lbfgs' needs a loss without randomness, got dropout={self.dropout}"
            )

    # --- the model

    def _build(self, x: np.ndarray, codec: Any, random: np.random.RandomState) -> nn.Module:
        self.out_activation_ = self._out_activation(codec)
        self.n_outputs_ = self._columns(codec)
        widths = [x.shape[1], *self._hidden(), self.n_outputs_]
        return perceptron(widths, self.activation, self.batch_norm, self.dropout, x.dtype, random)

    @abstractmethod
    def _out_activation(self, codec: Any) -> str:
        """What the outputs go through."""

    @abstractmethod
    def _columns(self, codec: Any) -> int:
        """How many outputs there are."""

    def _optimizer(self) -> optim.Optimizer:
        if isinstance(self.solver, optim.Optimizer):
            return copy.deepcopy(self.solver)
        rate: Any = self.learning_rate if callable(self.learning_rate) else self.learning_rate_init
        if self.solver == "sgd":
            nesterov = self.nesterovs_momentum and self.momentum > 0.0
            return optim.SGD(lr=rate, momentum=self.momentum, nesterov=nesterov)
        return optim.Adam(lr=rate, betas=(self.beta_1, self.beta_2), eps=self.epsilon)

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
        if fresh:
            self._trainer = None
            self._convergence = Convergence(self.tol, self.n_iter_no_change, self._rate_of_epochs())
        if self.solver == "lbfgs":
            self._minimize(examples)
            return
        held = None
        if self.early_stopping:
            examples, held = examples.split(type(self).__name__, self.validation_fraction, random, labels)
        loss = PenalizedLoss(self._model, self.out_activation_, self.alpha)
        if self._trainer is None or not partial:
            self._trainer = Trainer(self._model, loss, self._optimizer())
            seed_step(self._trainer.step, random_seed(random))
        trainer, convergence = self._trainer, self._convergence
        if held is not None:
            convergence.score = lambda trainer: self._score(held)
        first = 0 if not partial or not trainer.history else trainer.loop.epoch
        run_trainer(
            trainer,
            type(self).__name__,
            examples.x,
            _with_weights(examples),
            epochs=first + (1 if partial else self.max_iter),
            batch_size=self._size_of_batches(len(examples.x)),
            shuffle=self.shuffle,
            seed=random_seed(random) if first == 0 else None,
            callbacks=[convergence],
            verbose=int(self.verbose),
        )
        self._note(trainer, convergence)
        if not partial and not convergence.converged and self.n_iter_ == self.max_iter:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization "
                "hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=4,
            )

    def _size_of_batches(self, n: int) -> int:
        if self.batch_size == "auto":
            return min(200, n)
        if self.batch_size > n:
            warnings.warn(
                f"batch_size={self.batch_size} is more than the {n} examples, which make one batch",
                stacklevel=5,
            )
        return min(self.batch_size, n)

    def _rate_of_epochs(self) -> str | Callable[[int], float]:
        """What the learning rate does between epochs."""
        if self.solver != "sgd" or callable(self.learning_rate) or self.learning_rate == "constant":
            return "constant"
        if self.learning_rate == "adaptive":
            return "adaptive"
        first, power = self.learning_rate_init, self.power_t
        return lambda examples: first / (examples + 1) ** power

    def _score(self, held: Examples) -> float:
        """Accuracy or R2 on examples that were set aside; NaN if the outputs are not finite."""
        assert self._trainer is not None
        outputs = self._trainer.predict(held.x)
        if not np.isfinite(outputs).all():
            return float("nan")
        return self._quality(held.target, outputs, held.weight)

    @abstractmethod
    def _quality(self, target: np.ndarray, outputs: np.ndarray, weight: np.ndarray | None) -> float:
        """Accuracy or R2 of outputs."""

    def _note(self, trainer: Trainer, convergence: Convergence) -> None:
        self.n_iter_ = trainer.loop.epoch
        self.t_ = trainer.loop.examples
        self.loss_curve_ = convergence.losses
        self.loss_ = self.loss_curve_[-1] if self.loss_curve_ else float("nan")
        scored = self.early_stopping
        self.best_loss_ = None if scored else -convergence.best
        self.validation_scores_ = convergence.scores if scored else None
        self.best_validation_score_ = convergence.best if scored else None

    def _minimize(self, examples: Examples) -> None:
        """Training by L-BFGS on all examples at once."""
        loss = PenalizedLoss(self._model, self.out_activation_, self.alpha)
        self._model.train()
        result = minimize(
            lambda model, x, target: loss(model(x), target),
            self._model,
            (examples.x, _with_weights(examples)),
            gtol=self.tol,
            ftol=_LBFGS_FTOL,
            max_iterations=self.max_iter,
            max_evaluations=self.max_fun,
        )
        self.n_iter_, self.loss_ = result.nit, float(result.fun)
        if not result.success:
            warnings.warn(
                f"lbfgs failed to converge after {result.nit} iteration(s): {result.message}. Increase "
                "max_iter to improve the convergence, or scale the data.",
                ConvergenceWarning,
                stacklevel=5,
            )

    # --- what was learned

    @property
    def coefs_(self) -> list[np.ndarray]:
        """The weights of each layer, [inputs, outputs]."""
        return [layer.weight.numpy().T for layer in self._layers("coefs_")]

    @property
    def intercepts_(self) -> list[np.ndarray]:
        """The biases of each layer."""
        return [layer.bias.numpy() for layer in self._layers("intercepts_")]

    @property
    def n_layers_(self) -> int:
        """Layers, input and output counted."""
        return len(self._layers("n_layers_")) + 1

    def _layers(self, name: str) -> list[nn.Linear]:
        if not self._fitted:
            raise AttributeError(f"{type(self).__name__} has no {name} before it is fitted")
        return linear_layers(self._model)


def _with_weights(examples: Examples) -> Any:
    """The target of a `PenalizedLoss`."""
    return examples.target if examples.weight is None else (examples.target, examples.weight)


def _choice(owner: str, name: str, value: Any, choices: Sequence[str], more: str = "") -> None:
    if not isinstance(value, str) or value not in choices:
        also = f" or {more}" if more else ""
        raise ValueError(f"{owner}: {name} must be one of {', '.join(choices)}{also}, got {value!r}")
