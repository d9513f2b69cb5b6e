"""Optimizers as descriptions: a rule and its numbers. `TrainStep` binds one to a model's parameters."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeAlias, cast

import numpy as np

from .. import _core
from .._from_torch import OPTIMIZER, absent
from .._numbers import alike, flag, number
from ._options import Group, Rate, checked_option

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform  # typing's needs Python 3.11

    from ._average import Average
    from ._lbfgs import CurvatureMemory
else:

    def dataclass_transform(**_):
        return lambda cls: cls


LearningRate: TypeAlias = "float | Callable[[int], float]"


class Limits(NamedTuple):
    """What the engine allows for a hyperparameter."""

    default: float
    low: float
    below: float
    flag: bool


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


class _Option(NamedTuple):
    default: Any
    init: bool


def option(*, default: Any, init: bool = True, kw_only: Literal[True] = True) -> Any:
    """A field of `Optimizer`: a keyword argument, or, where `init` is false, an attribute alone."""
    return _Option(default, init)


def _signature_of(cls: type[Optimizer]) -> inspect.Signature:
    """lr and the rule's numbers, from the annotations of the class and its bases, then the options."""
    numbers = {
        name: annotation
        for base in reversed(cls.__mro__)
        for name, annotation in vars(base).get("__annotations__", {}).items()
        if not (name.startswith("_") or name in OPTIONS or annotation.startswith("ClassVar"))
    }
    kind = inspect.Parameter
    positional = [
        kind(name, kind.POSITIONAL_OR_KEYWORD, default=getattr(cls, name, kind.empty), annotation=annotation)
        for name, annotation in numbers.items()
    ]
    annotations = Optimizer.__annotations__
    options = [
        kind(name, kind.KEYWORD_ONLY, default=default, annotation=annotations[name])
        for name, default in OPTIONS.items()
    ]
    return inspect.Signature([*positional, *options])


@dataclass_transform(field_specifiers=(option,))
class _Description:
    """Classes whose arguments are declared as fields."""


class _SignatureWhenAsked:
    """The signature of a class, made when it is first read: importing the package makes none."""

    def __init__(self, cls: type[Optimizer]) -> None:
        self._of = cls

    def __get__(self, instance: Any, owner: type[Optimizer]) -> inspect.Signature:
        signature = self._of.__signature__ = _signature_of(self._of)
        return signature


def refuse_parameters(owner: str, x: Any) -> None:
    """Raises TypeError for parameters, or groups of them, which torch's optimizers are given first."""
    if hasattr(x, "__iter__") and not isinstance(x, str | np.ndarray):
        raise TypeError(
            f"{owner}: parameters are not given to an optimizer, got {type(x).__name__}: write "
            f"optim.{owner}(lr=...) and bind it to a model, as in rv.TrainStep(model, loss, "
            f"optim.{owner}(lr=...)); groups of parameters are groups=[optim.Group(...)]"
        )


class Optimizer(_Description):
    """Base of the optimizers: a rule of the engine and its hyperparameters.

    An optimizer holds no state; each `TrainStep` keeps the state of its parameters. Hyperparameters are
    attributes; they may be changed between steps and hold from the next step on, without compiling anew. A
    number may also be a function of the step (from 0), such as a schedule of `optim.schedules`.

    Every optimizer takes, beside its own, these keyword arguments:

    Args:
        groups: parameters with numbers of their own, see `Group`. Parameters in no group have the
            optimizer's.
        no_decay: leaves biases and the scales of normalisation layers (parameters with fewer than two axes)
            without weight decay, but for those of a group that sets weight_decay.
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
        accumulate: number of calls whose gradients make one update, by their mean.
        average: an average of the weights over the steps to keep: `EMA`, `Polyak` or `SWA`; see `averaged`.

    None is no bound. Bounds may be changed between steps; setting one anew from None compiles anew.

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
    _several: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Attributes that hold several numbers of the engine: {"betas": ("beta1", "beta2")}."""
    _fixed: ClassVar[Mapping[str, float]] = {}
    """Numbers of the engine that make the class what it is."""

    # Of every optimizer; rules declare their own numbers in the same way, as fields of a dataclass.
    lr: Rate
    groups: Sequence[Group] = option(default=())
    no_decay: bool = option(default=False)
    clip_value: float | None = option(default=None)
    clip_norm: float | None = option(default=None)
    clip_global_norm: float | None = option(default=None)
    clip_adaptive: float | None = option(default=None)
    noise: float | tuple[float, float] | None = option(default=None)
    skip_nonfinite: bool = option(default=False)
    accumulate: int = option(default=1)
    average: Average | None = option(default=None)

    _version: int = option(default=0, init=False)  # counts changes
    _last_lr: float | None = option(default=None, init=False)
    _complete: bool = option(default=False, init=False)  # whether every attribute is set

    __signature__: ClassVar[inspect.Signature]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.__init__ is Optimizer.__init__:
            cls.__signature__ = _SignatureWhenAsked(cls)  # type: ignore[assignment]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        for given_first in (*arguments[:1], named.get("params")):
            refuse_parameters(type(self).__name__, given_first)
        try:
            given = self.__signature__.bind(*arguments, **named)
        except TypeError as error:
            raise TypeError(f"{type(self).__name__}: {error}") from None
        given.apply_defaults()
        fields = self.__dict__
        fields.update(PRIVATE)
        for name, value in given.arguments.items():
            setattr(self, name, value)
        self._check_together()
        fields["_complete"] = True

    def __setattr__(self, name: str, value: Any) -> None:
        fields = self.__dict__
        if name.startswith("_"):
            fields[name] = value
            return
        value = checked_option(self, name, value) if name in OPTIONS else self._checked(name, value)
        missing = object()
        before = fields.get(name, missing)
        fields[name] = value
        if self._complete:
            try:
                self._check_together()
            except ValueError:
                fields[name] = before
                raise
        self._changed()

    def __getattr__(self, name: str) -> Any:
        raise absent(type(self).__name__, name, OPTIMIZER)

    def _allowed(self) -> Mapping[str, Limits]:
        """The numbers it has, under the engine's names."""
        return rule_of(self.rule)[0]

    def _changed(self) -> None:
        self.__dict__["_version"] += 1

    def _checked(self, name: str, value: Any) -> Any:
        """The value of a hyperparameter as it is kept. Raises where it is not allowed."""
        owner, limits = type(self).__name__, self._allowed()
        if name in self._several:
            names = self._several[name]
            if not isinstance(value, tuple | list) or len(value) != len(names):
                amount = {2: "a pair of", 3: "three"}[len(names)]
                raise TypeError(f"{owner}: {name} must be {amount} numbers, got {value!r}")
            alike(owner, name, value)
            items = enumerate(zip(names, value, strict=True))
            return tuple(self._number(f"{name}[{i}]", limits[part], item) for i, (part, item) in items)
        if name not in limits or name in self._fixed or any(name in part for part in self._several.values()):
            raise AttributeError(f"{owner} has no hyperparameter {name!r}")
        if limits[name].flag:
            return flag(owner, name, value)
        return self._number(name, limits[name], value)

    def _number(self, label: str, limits: Limits, value: Any) -> Any:
        if callable(value):
            return value
        return number(type(self).__name__, label, value, limits.low, below=limits.below)

    def _values(self, group: Group | None) -> dict[str, tuple[str, Any]]:
        """What holds for a group: {the engine's name: (the user's, number or function)}."""
        fields = self.__dict__ if group is None else {**self.__dict__, **group._hyper}
        values: dict[str, tuple[str, Any]] = {}
        for name in self._allowed():
            if name in fields:
                values[name] = (name, fields[name])
        for name, parts in self._several.items():
            for i, part in enumerate(parts):
                values[part] = (f"{name}[{i}]", fields[name][i])
        return values

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

    def _check_together(self) -> None:
        """Raises ValueError where numbers do not go together, as far as they are no functions."""
        for group in (None, *self.groups):
            if not self._scheduled(group):
                self._check_numbers(self._constants(group))

    def _check_numbers(self, numbers: dict[str, float]) -> None:
        known = rule_of(self.rule)[0]
        try:
            _core.check_hyper(self.rule, {name: value for name, value in numbers.items() if name in known})
        except ValueError as error:
            raise ValueError(f"{type(self).__name__}: {str(error).partition(': ')[2]}") from None

    def hyper(self, step: int = 0) -> dict[str, float]:
        """The rule's numbers in a step, from 0, under the engine's names.

        Raises ValueError where one is NaN, infinite or out of range.
        """
        owner = type(self).__name__
        scheduled = {number.name: number.at(owner, step) for number in self._scheduled()}
        return {**self._constants(), **scheduled}

    def _slow_weight(self, step: int) -> float | None:
        """How far slow weights move after a step; None where there are none."""
        return None

    def _sharpness(self) -> tuple[float, bool]:
        """How far to look for the highest loss around the parameters, and whether in units of the weights."""
        return 0.0, False

    def _noise_std(self, step: int) -> float:
        if self.noise is None:
            return 0.0
        eta, gamma = cast("tuple[float, float]", self.noise)  # as it is kept
        return (eta / (1 + step) ** gamma) ** 0.5

    def _preconditioner(self) -> CurvatureMemory | None:
        """What turns gradients into directions for the rule, with state of its own."""
        return None

    def lr_at(self, step: int) -> float:
        """The learning rate of a step, from 0. Raises ValueError where it is NaN, infinite or negative."""
        rate = self.lr
        return number(type(self).__name__, f"lr in step {step}", rate(step)) if callable(rate) else rate

    @property
    def current_lr(self) -> float:
        """The learning rate of the newest step, before the first one that of step 0."""
        return self.lr_at(0) if self._last_lr is None else self._last_lr

    def __repr__(self) -> str:
        fields = [
            f"{name}={value!r}"
            for name, value in self.__dict__.items()
            if not name.startswith("_") and not (name in OPTIONS and value == OPTIONS[name])
        ]
        return f"{type(self).__name__}({', '.join(fields)})"


# Wrappers hand on what they do not have themselves, so that none of these may stand in the class.
_declared = {name: value for name, value in vars(Optimizer).items() if isinstance(value, _Option)}
OPTIONS: dict[str, Any] = {name: value.default for name, value in _declared.items() if value.init}
PRIVATE: dict[str, Any] = {name: value.default for name, value in _declared.items() if not value.init}
for _name in _declared:
    delattr(Optimizer, _name)
