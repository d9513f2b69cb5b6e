"""Optimizers as descriptions: a rule and its numbers. `TrainStep` binds one to a model's parameters."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias, cast

import numpy as np

from .. import _core
from .._from_torch import OPTIMIZER, absent
from .._numbers import number
from ._options import Group

if TYPE_CHECKING:
    from typing_extensions import Self  # typing.Self needs Python 3.11

    from ._bound import BoundOptimizer


LearningRate: TypeAlias = "float | Callable[[int], float]"


class Limits:
    """What the engine allows for a hyperparameter."""

    __slots__ = ("below", "default", "flag", "low")

    def __init__(self, default: float, low: float, below: float, flag: bool) -> None:
        self.default, self.low, self.below, self.flag = default, low, below, flag


@functools.cache
def rule_of(name: str) -> tuple[dict[str, Limits], dict[str, str | None]]:
    """The hyperparameters of a rule, and its slots with the hyperparameter that each depends on."""
    hyper, slots = _core.optimizer_rule(name)
    return {key: Limits(*limits) for key, limits in hyper.items()}, slots


class ScheduledNumber(NamedTuple):
    """A hyperparameter of the engine that is a function of the step."""

    name: str  # the engine's
    label: str  # the user's
    rate: Callable[[int], float]
    limits: Limits

    def at(self, owner: str, step: int) -> float:
        value = self.rate(step)
        return number(owner, f"{self.label} in step {step}", value, self.limits.low, below=self.limits.below)


def refuse_parameters(owner: str, x: Any) -> None:
    """Raises TypeError for parameters, or groups of them, which torch's optimizers are given first."""
    if hasattr(x, "__iter__") and not isinstance(x, str | np.ndarray):
        raise TypeError(
            f"{owner}: parameters are not given to an optimizer, got {type(x).__name__}: write "
            f"optim.{owner}(lr=...) and bind it to a model, as in rv.TrainStep(model, loss, "
            f"optim.{owner}(lr=...)); groups of parameters are groups=[optim.Group(...)]"
        )


class Optimizer:
    """Base of the optimizers: a rule of the engine and its hyperparameters.

    An optimizer holds no state; each `TrainStep` keeps the state of its parameters. Hyperparameters are
    attributes; they may be changed between steps and hold from the next step on, without compiling again. A
    number may also be a function of the step (from 0), such as a schedule of `optim.schedules`.

    Every optimizer takes, beside its own, these keyword arguments:

    Args:
        groups: parameters with numbers of their own, see `Group`. Parameters in no group have the
            optimizer's.
        no_decay: leaves biases and the scales of normalisation layers (parameters with fewer than two axes)
            without weight decay, except those of a group that sets weight_decay.
        clip_value: bounds each number of the gradients: to [-clip_value, clip_value].
        clip_norm: bounds the Euclidean norm of each parameter's gradient, after clip_value.
        clip_global_norm: bounds the norm of all gradients together, after clip_norm; as
            torch.nn.utils.clip_grad_norm_, `g *= min(1, bound / (norm + 1e-6))`.
        clip_adaptive: bounds the norm of the gradient of each output unit (each row of a weight) to this
            share of the norm of the unit's weights, at least 1e-3; before the other bounds. Brock et al.
            2021, https://arxiv.org/abs/2102.06171.
        noise: normal noise added to bounded gradients: (η, γ), or η with γ = 0.55, for a variance of
            `η / (1 + t)^γ` in step t from 0. Neelakantan et al. 2015, https://arxiv.org/abs/1511.06807.
        skip_nonfinite: a call in which a gradient is NaN or infinite changes nothing and is counted in
            `TrainStep.skipped`, and `Trainer.fit` goes on after it. (If the loss is not finite, nothing
            changes in any case.) With `accumulate`, the bad call is left out and another takes its place.
        accumulate: number of calls whose gradients make one update, the one of a batch of all their examples
            (numerators over denominators, see `ops.weighted_mean`).
        average: an average of the weights over the steps to keep: `EMA`, `Polyak` or `SWA`; see `averaged`.

    The options from clip_value to accumulate are stages of `chain`, in this order: accumulate, clip_adaptive,
    skip_nonfinite, clip_value, clip_norm, clip_global_norm, noise. None disables a bound. A bound may be a
    function of the step and may be changed between steps; turning one on or off recompiles the step.

    Raises ValueError for numbers that are not finite or out of range, when they are set and, for functions
    of the step, before the step that would use them, and for pairs of a number and an array; TypeError for
    what is no number; AttributeError for names that the rule does not have.

    Example:
        >>> from ravine import nn, optim
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> optimizer = optim.AdamW(lr=1e-3, no_decay=True, groups=[optim.Group(model[0], lr=1e-4)])
        >>> optimizer.lr = lambda step: 1e-3 / (1 + step)
        >>> optimizer.lr_at(3)
        0.00025
    """

    rule: ClassVar[str]

    def _allowed(self) -> Mapping[str, Limits]:
        """The numbers of the rule, under the engine's names."""
        return rule_of(self.rule)[0]

    def _values(self, group: Group | None) -> dict[str, tuple[str, Any]]:
        """What holds for a group: {the engine's name: (the user's, number or function)}."""
        raise NotImplementedError

    def _stages(self) -> list[tuple[str, Any]]:
        """What happens to gradients before the rule: names of stages and their numbers.

        Names are those of options; stages that are no option have the engine's, and all numbers in a dict.
        """
        raise NotImplementedError

    def _numbers(self) -> dict[str, Any]:
        """What can be set by name, except the groups."""
        raise NotImplementedError

    def _set_together(self, values: Mapping[str, Any]) -> None:
        """Sets numbers that may be allowed only together. Raises where they are not; some may be set then."""
        raise NotImplementedError

    def _parts(self) -> list[Optimizer]:
        """Itself and the optimizers inside it; each counts its own changes in the field `_version`."""
        return [self]

    def _copy(self) -> Self:
        """An equal optimizer whose settings change by themselves."""
        raise NotImplementedError

    def _take_over(self, given: Self) -> None:
        """Sets what was set in the one it is a copy of, since it was copied or took over last."""
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        raise absent(type(self).__name__, name, OPTIMIZER)

    def _constants(self, group: Group | None = None) -> dict[str, float]:
        """The engine's numbers that are not functions of the step."""
        numbers = {
            name: float(value) for name, (_, value) in self._values(group).items() if not callable(value)
        }
        return {**numbers, **self._fixed}

    def _scheduled(self, group: Group | None = None) -> list[ScheduledNumber]:
        limits = self._allowed()
        return [
            ScheduledNumber(name, label, cast("Callable[[int], float]", value), limits[name])
            for name, (label, value) in self._values(group).items()
            if callable(value)
        ]

    def hyper(self, step: int = 0) -> dict[str, float]:
        """The rule's numbers in a step, from 0, under the engine's names.

        Raises ValueError where one is NaN, infinite or out of range.
        """
        owner = type(self).__name__
        scheduled = {number.name: number.at(owner, step) for number in self._scheduled()}
        return {**self._constants(), **scheduled}

    def _slow_weight(self) -> _core.Schedule | None:
        """How far slow weights move after a step; None if there are none."""
        return None

    @property
    def _owner(self) -> str:
        """The class that messages name."""
        return type(self).__name__

    def lr_at(self, step: int) -> float:
        """The learning rate of a step, from 0. Raises ValueError where it is NaN, infinite or negative."""
        rate = self.lr
        return number(type(self).__name__, f"lr in step {step}", rate(step)) if callable(rate) else rate

    @property
    def current_lr(self) -> float:
        """The learning rate of the newest step where it was bound last; before the first, that of step 0."""
        bound = _bound.get(self)
        running = None if bound is None else bound()
        lr = None if running is None else running.state.lr
        return self.lr_at(0) if lr is None else lr


_bound: weakref.WeakKeyDictionary[Optimizer, weakref.ref[BoundOptimizer]] = weakref.WeakKeyDictionary()


def announce(optimizer: Optimizer, bound: BoundOptimizer) -> None:
    """Lets `optimizer.current_lr` find what it is bound to last."""
    _bound[optimizer] = weakref.ref(bound)
