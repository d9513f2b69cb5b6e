"""Optimizers as descriptions: a rule and its numbers. `TrainStep` binds one to a model's parameters."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

LearningRate: TypeAlias = "float | Callable[[int], float]"


def _finite(owner: str, name: str, value: Any, low: float = 0.0, below: float = math.inf) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{owner}: {name} must be a number, got {value!r}") from None
    if not (math.isfinite(number) and low <= number < below):
        expected = f"at least {low:g}" if below == math.inf else f"in [{low:g}, {below:g})"
        raise ValueError(f"{owner}: {name} must be a finite number {expected}, got {number}")
    return number


class Optimizer:
    """Base of the optimizers: a rule of the engine, its hyperparameters, and a learning rate.

    An optimizer holds no state; each `TrainStep` keeps the state of its parameters. Attributes may be changed
    between steps and hold from the next step on.
    """

    rule: ClassVar[str]

    def __init__(self, lr: LearningRate) -> None:
        self._version = 0
        self._last_lr: float | None = None
        self.lr = lr

    def __setattr__(self, name: str, value: Any) -> None:
        fields = self.__dict__
        if name.startswith("_"):
            fields[name] = value
            return
        if name == "lr":
            value = value if callable(value) else _finite(type(self).__name__, "lr", value)
        else:
            value = self._checked(name, value)
        fields[name] = value
        fields["_version"] += 1

    def _checked(self, name: str, value: Any) -> Any:
        raise NotImplementedError

    def hyper(self) -> dict[str, float]:
        """The rule's hyperparameters but lr, under the engine's names."""
        raise NotImplementedError

    def lr_at(self, step: int) -> float:
        """The learning rate of a step, from 0. Raises ValueError where it is NaN, infinite or negative."""
        rate = self.lr
        return _finite(type(self).__name__, f"lr in step {step}", rate(step)) if callable(rate) else rate

    @property
    def current_lr(self) -> float:
        """The learning rate of the newest step, before the first one that of step 0."""
        return self.lr_at(0) if self._last_lr is None else self._last_lr

    def __repr__(self) -> str:
        fields = {name: value for name, value in self.__dict__.items() if not name.startswith("_")}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in fields.items())})"


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum.

    For a gradient g (weight decay added: `g += weight_decay · w`):
    `b = momentum · b + (1 - dampening) · g` (b = g in the first step), then `w -= lr · b`, with nesterov
    `w -= lr · (g + momentum · b)`, without momentum `w -= lr · g`.

    Args:
        lr: learning rate, or a function of the step (from 0) that gives it.
        momentum: share of the last step's direction that is kept.
        dampening: reduces the gradient's share in the momentum.
        weight_decay: L2 penalty, added to the gradient.
        nesterov: look ahead along the momentum; needs momentum > 0 and dampening 0.
        maximize: go up instead of down.

    Raises ValueError for values that are not finite or out of range.

    Source: Sutskever et al. 2013, https://proceedings.mlr.press/v28/sutskever13.html; torch's form of it.

    Example:
        >>> from ravine import optim
        >>> optim.SGD(lr=0.1, momentum=0.9, nesterov=True).hyper()["momentum"]
        0.9
    """

    rule = "sgd"

    def __init__(
        self,
        lr: LearningRate = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        maximize: bool = False,
    ) -> None:
        super().__init__(lr)
        self.momentum = momentum
        self.dampening = dampening
        self.weight_decay = weight_decay
        self.nesterov = nesterov
        self.maximize = maximize
        self._check_nesterov(self.momentum, self.dampening, self.nesterov)

    def _checked(self, name: str, value: Any) -> Any:
        if name in ("nesterov", "maximize"):
            value = bool(value)
        elif name == "dampening":
            value = _finite("SGD", name, value, low=-math.inf)
        elif name in ("momentum", "weight_decay"):
            value = _finite("SGD", name, value)
        else:
            raise AttributeError(f"SGD has no hyperparameter {name!r}")
        if "maximize" in self.__dict__:  # a change after construction
            changed = {**self.__dict__, name: value}
            self._check_nesterov(changed["momentum"], changed["dampening"], changed["nesterov"])
        return value

    def _check_nesterov(self, momentum: float, dampening: float, nesterov: bool) -> None:
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError(
                f"SGD: nesterov needs momentum > 0 and dampening = 0, got {momentum} and {dampening}"
            )

    def hyper(self) -> dict[str, float]:
        return {
            "momentum": self.momentum,
            "dampening": self.dampening,
            "weight_decay": self.weight_decay,
            "nesterov": float(self.nesterov),
            "maximize": float(self.maximize),
        }


class Adam(Optimizer):
    """Adam: steps scaled by running moments of the gradient.

    For a gradient g (weight decay added: `g += weight_decay · w`) in step t from 1:
    `m = β₁ m + (1 - β₁) g`, `v = β₂ v + (1 - β₂) g²`,
    `w -= lr · (m / (1 - β₁ᵗ)) / (sqrt(v / (1 - β₂ᵗ)) + eps)`; amsgrad takes the largest v so far.

    Args:
        lr: learning rate, or a function of the step (from 0) that gives it.
        betas: (β₁, β₂), decay of the first and the second moment, in [0, 1).
        eps: added to the root in the denominator.
        weight_decay: L2 penalty, added to the gradient.
        amsgrad: divide by the largest second moment so far (Reddi et al. 2018).
        maximize: go up instead of down.

    Raises ValueError for values that are not finite or out of range.

    Source: Kingma and Ba 2015, https://arxiv.org/abs/1412.6980.

    Example:
        >>> from ravine import optim
        >>> optim.Adam(lr=lambda step: 1e-3 / (step + 1)).lr_at(1)
        0.0005
    """

    rule = "adam"
    _decoupled: ClassVar[bool] = False

    def __init__(
        self,
        lr: LearningRate = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        maximize: bool = False,
    ) -> None:
        super().__init__(lr)
        self.betas = betas
        self.eps = eps
        self.weight_decay = weight_decay
        self.amsgrad = amsgrad
        self.maximize = maximize

    def _checked(self, name: str, value: Any) -> Any:
        owner = type(self).__name__
        if name in ("amsgrad", "maximize"):
            return bool(value)
        if name == "betas":
            if not isinstance(value, tuple | list) or len(value) != 2:
                raise TypeError(f"{owner}: betas must be a pair of numbers, got {value!r}")
            return tuple(_finite(owner, f"betas[{i}]", beta, below=1.0) for i, beta in enumerate(value))
        if name in ("eps", "weight_decay"):
            return _finite(owner, name, value)
        raise AttributeError(f"{owner} has no hyperparameter {name!r}")

    def hyper(self) -> dict[str, float]:
        return {
            "beta1": self.betas[0],
            "beta2": self.betas[1],
            "eps": self.eps,
            "weight_decay": self.weight_decay,
            "decoupled": float(self._decoupled),
            "amsgrad": float(self.amsgrad),
            "maximize": float(self.maximize),
        }


class AdamW(Adam):
    """Adam with decoupled weight decay: `w -= lr · weight_decay · w` beside Adam's step.

    Args:
        lr: learning rate, or a function of the step (from 0) that gives it.
        betas: decay of the first and the second moment, in [0, 1).
        eps: added to the root in the denominator.
        weight_decay: share of the weight taken off per unit of lr.
        amsgrad: divide by the largest second moment so far.
        maximize: go up instead of down.

    Source: Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101.

    Example:
        >>> from ravine import optim
        >>> optim.AdamW().weight_decay
        0.01
    """

    _decoupled = True

    def __init__(
        self,
        lr: LearningRate = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        maximize: bool = False,
    ) -> None:
        super().__init__(lr, betas, eps, weight_decay, amsgrad, maximize)
