"""Multilayer perceptrons with the arguments and attributes of scikit-learn's."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import r2_score

from ..train.metrics import Reading
from ._base import ClassifierFace, RegressorFace
from ._mlp_base import MLPEstimator
from ._targets import Labels, Numbers

__all__ = ["MLPClassifier", "MLPRegressor"]


class MLPClassifier(ClassifierFace, MLPEstimator):
    """A multilayer perceptron for classes, in the place of `sklearn.neural_network.MLPClassifier`.

    It minimises the log loss; one class of several by softmax, two classes and several labels an example by
    sigmoids. It computes in the dtype of X, so float32 examples take about half the time. For networks of
    other kinds see `NetClassifier`.

    Args:
        hidden_layer_sizes: units of each hidden layer, as (100, 50).
        activation: of the hidden layers: "identity", "logistic", "tanh", "relu", "leaky_relu", "elu", "gelu"
            or "silu".
        solver: "adam", "sgd", or "lbfgs" (all examples at once; for small sets); or any optimizer, as
            `rv.optim.AdamW(lr=1e-3)`, which is copied, and has its own rate and schedule.
        alpha: strength of the penalty alpha / 2 · Σ W², divided by the examples of a mini-batch.
        batch_size: examples in a mini-batch; "auto" is min(200, n).
        learning_rate: of "sgd": "constant"; "invscaling", learning_rate_init / (examples so far) ** power_t;
            "adaptive", divided by 5 where the training would end. Or a schedule of `rv.optim.schedules`, a
            function of the step, for "sgd" and "adam".
        learning_rate_init: of "sgd" and "adam".
        power_t: of "invscaling".
        max_iter: epochs; of "lbfgs" iterations.
        shuffle: a new order of the examples in every epoch.
        random_state: an integer, a RandomState, or None: of weights, orders, dropout and the validation set.
        tol: progress of less than this is none.
        verbose: shows the progress.
        warm_start: another `fit` goes on from the weights of the one before.
        momentum, nesterovs_momentum: of "sgd".
        early_stopping: judge progress by accuracy on a part that is set aside, and take the best weights
            back at the end; otherwise by the loss.
        validation_fraction: that part.
        beta_1, beta_2, epsilon: of "adam".
        n_iter_no_change: epochs in a row without progress that are allowed.
        max_fun: of "lbfgs", calls of the function.
        dropout: probability after each hidden layer.
        batch_norm: BatchNorm before each activation.
        class_weight: weights of the classes in the loss, a dict or "balanced", as in scikit-learn.
        dtype: to compute in: "float32", "float64", or "auto", that of X.

    Attributes:
        classes_: the labels, in the order of the columns of `predict_proba`.
        loss_, loss_curve_, best_loss_: the newest loss, that of each epoch, the least (None with early
            stopping).
        validation_scores_, best_validation_score_: with early stopping, of each epoch and the best.
        coefs_, intercepts_: weights [inputs, outputs] and biases of each layer.
        n_iter_, t_: epochs and examples of the training.
        n_features_in_, feature_names_in_: of the examples.
        n_layers_, n_outputs_, out_activation_: of the network.

    Raises TypeError or ValueError, by `fit`, for parameters out of range.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> from sklearn.model_selection import train_test_split
        >>> from ravine.sklearn import MLPClassifier
        >>> x_train, x_test, y_train, y_test = train_test_split(*load_digits(return_X_y=True), random_state=0)
        >>> model = MLPClassifier((64,), batch_size=64, learning_rate_init=0.003, early_stopping=True)
        >>> model.set_params(random_state=0).fit(x_train, y_train).score(x_test, y_test) > 0.9
        True
        >>> model.predict_proba(x_test[:2]).shape
        (2, 10)
    """

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dropout: float = 0.0,
        batch_norm: bool = False,
        class_weight: Any = None,
        dtype: str = "auto",
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.class_weight = class_weight
        self.dtype = dtype

    def _columns(self, codec: Labels) -> int:
        return 1 if len(codec.classes) == 2 and not codec.several else len(codec.classes)

    def _out_activation(self, codec: Labels) -> str:
        return "softmax" if len(codec.classes) > 2 and not codec.several else "logistic"

    def _reading(self) -> Reading:
        return Reading(binary=self.out_activation_ == "logistic")

    def _target(self, encoded: np.ndarray, x: np.ndarray) -> np.ndarray:
        if self.out_activation_ == "softmax":
            return encoded
        return encoded.reshape(len(encoded), -1).astype(x.dtype)

    def _quality(self, target: np.ndarray, outputs: np.ndarray, weight: np.ndarray | None) -> float:
        if self.out_activation_ == "softmax":
            right = outputs.argmax(axis=1) == target
        else:
            right = ((outputs > 0.0) == target).all(axis=1)
        return float(np.average(right, weights=weight))


class MLPRegressor(RegressorFace, MLPEstimator):
    """A multilayer perceptron for numbers, in the place of `sklearn.neural_network.MLPRegressor`.

    It minimises half the squared error, summed over the outputs, or the Poisson deviance. It computes in the
    dtype of X, so float32 examples take about half the time. For networks of other kinds see `NetRegressor`.

    Args:
        loss: "squared_error", or "poisson" for counts, whose output goes through exp.
        hidden_layer_sizes: units of each hidden layer, as (100, 50).
        activation: of the hidden layers: "identity", "logistic", "tanh", "relu", "leaky_relu", "elu", "gelu"
            or "silu".
        solver: "adam", "sgd", or "lbfgs" (all examples at once; for small sets); or any optimizer, as
            `rv.optim.AdamW(lr=1e-3)`, which is copied, and has its own rate and schedule.
        alpha: strength of the penalty alpha / 2 · Σ W², divided by the examples of a mini-batch.
        batch_size: examples in a mini-batch; "auto" is min(200, n).
        learning_rate: of "sgd": "constant"; "invscaling", learning_rate_init / (examples so far) ** power_t;
            "adaptive", divided by 5 where the training would end. Or a schedule of `rv.optim.schedules`, a
            function of the step, for "sgd" and "adam".
        learning_rate_init: of "sgd" and "adam".
        power_t: of "invscaling".
        max_iter: epochs; of "lbfgs" iterations.
        shuffle: a new order of the examples in every epoch.
        random_state: an integer, a RandomState, or None: of weights, orders, dropout and the validation set.
        tol: progress of less than this is none.
        verbose: shows the progress.
        warm_start: another `fit` goes on from the weights of the one before.
        momentum, nesterovs_momentum: of "sgd".
        early_stopping: judge progress by R2 on a part that is set aside, and take the best weights
            back at the end; otherwise by the loss.
        validation_fraction: that part.
        beta_1, beta_2, epsilon: of "adam".
        n_iter_no_change: epochs in a row without progress that are allowed.
        max_fun: of "lbfgs", calls of the function.
        dropout: probability after each hidden layer.
        batch_norm: BatchNorm before each activation.
        dtype: to compute in: "float32", "float64", or "auto", that of X.

    Attributes:
        loss_, loss_curve_, best_loss_: the newest loss, that of each epoch, the least (None with early
            stopping).
        validation_scores_, best_validation_score_: with early stopping, of each epoch and the best.
        coefs_, intercepts_: weights [inputs, outputs] and biases of each layer.
        n_iter_, t_: epochs and examples of the training.
        n_features_in_, feature_names_in_: of the examples.
        n_layers_, n_outputs_, out_activation_: of the network.

    Raises TypeError or ValueError, by `fit`, for parameters out of range.

    Example:
        >>> import numpy as np
        >>> from ravine.sklearn import MLPRegressor
        >>> x = np.linspace(-1, 1, 200).reshape(-1, 1)
        >>> model = MLPRegressor(hidden_layer_sizes=(32,), solver="lbfgs", random_state=0)
        >>> model.fit(x, x[:, 0] ** 2).score(x, x[:, 0] ** 2) > 0.99
        True
    """

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dropout: float = 0.0,
        batch_norm: bool = False,
        dtype: str = "auto",
    ) -> None:
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.dtype = dtype

    def _check_parameters(self, partial: bool) -> None:
        super()._check_parameters(partial)
        if self.loss not in ("squared_error", "poisson"):
            raise ValueError(f"MLPRegressor: loss must be squared_error or poisson, got {self.loss!r}")

    def _columns(self, codec: Numbers) -> int:
        return codec.columns

    def _out_activation(self, codec: Numbers) -> str:
        return "exp" if self.loss == "poisson" else "identity"

    def _target(self, encoded: np.ndarray, x: np.ndarray) -> np.ndarray:
        if self.loss == "poisson" and (encoded < 0.0).any():
            raise ValueError("MLPRegressor: loss='poisson' needs targets of 0 or more, got negative ones")
        return encoded.astype(x.dtype)

    def _outputs_of(self, x: np.ndarray) -> np.ndarray:
        outputs = super()._outputs_of(x)
        return np.exp(outputs) if self.out_activation_ == "exp" else outputs

    def _quality(self, target: np.ndarray, outputs: np.ndarray, weight: np.ndarray | None) -> float:
        predicted = np.exp(outputs) if self.out_activation_ == "exp" else outputs
        return float(r2_score(target, predicted, sample_weight=weight))
