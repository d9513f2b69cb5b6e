"""Stages: what happens to gradients before the rule, as values which `optim.chain` takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .. import _core
from .._numbers import alike, flag, number, positive, whole
from ._value import Value

if TYPE_CHECKING:
    from ._options import Rate


def _noise(owner: str, value: Any) -> tuple[float, float]:
    pair = value if isinstance(value, tuple | list) else (value, 0.55)
    if len(pair) != 2:
        raise TypeError(f"{owner}: noise must be a number or a pair (eta, gamma), got {value!r}")
    if pair is value:
        alike(owner, "noise", pair)
    return number(owner, "noise[0]", pair[0]), number(owner, "noise[1]", pair[1])


# What options of the same names are where their stage is off, if not None.
OFF: dict[str, Any] = {"accumulate": 1, "skip_nonfinite": False}


class StageNumber:
    """The number of a kind of stage: the engine's name of it (None: there is none), and what is allowed."""

    __slots__ = ("checked", "name", "stage")

    def __init__(self, stage: str, name: str | None, checked: Callable[[str, str, Any], Any]) -> None:
        self.stage, self.name, self.checked = stage, name, checked


def _bound(owner: str, name: str, value: Any) -> Any:
    return value if callable(value) else positive(owner, name, value)


# The kinds of stages by the names under which optimizers have them as options, in the order in which options
# see the gradients.
STAGES: dict[str, StageNumber] = {
    "accumulate": StageNumber("accumulate", "calls", lambda owner, name, x: whole(owner, name, x, 1)),
    "clip_adaptive": StageNumber("clip_adaptive", "share", _bound),
    "skip_nonfinite": StageNumber("skip_nonfinite", None, flag),
    "clip_value": StageNumber("clip_by_value", "bound", _bound),
    "clip_norm": StageNumber("clip_by_norm", "bound", _bound),
    "clip_global_norm": StageNumber("clip_by_global_norm", "bound", _bound),
    "noise": StageNumber("add_noise", "std", lambda owner, name, x: _noise(owner, x)),
}


class Stage(Value):
    """What happens to gradients before the rule of an optimizer: a kind, and its number.

    The functions beside it make stages; `optim.chain` puts them before an optimizer.

    Example:
        >>> from ravine import optim
        >>> optim.clip_by_norm(2.0)
        Stage(option='clip_norm', value=2.0)
    """

    def __init__(self, option: str, value: Any) -> None:
        self.option = option
        kind = STAGES[option]
        self.value = kind.checked(kind.stage, kind.name or option, value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stage) and (self.option, self.value) == (other.option, other.value)

    def __hash__(self) -> int:
        return hash((self.option, self.value))


def engine_stage(option: str, value: Any, schedule_of: Callable[[str, Any], Any]) -> _core.Stage:
    """The stage for the engine; `schedule_of(label, function)` makes its schedules."""
    if option not in STAGES:
        return _core.Stage(option, value, option)
    kind = STAGES[option]
    if kind.name is None:
        return _core.Stage(kind.stage, {}, option)
    if option == "noise":
        value = _core.Schedule("noise_std", value)
    elif callable(value):
        value = schedule_of(option, value)
    return _core.Stage(kind.stage, {kind.name: value}, option)


def clip_by_value(bound: Rate) -> Stage:
    """Bounds each number of the gradients: to [-bound, bound].

    Args:
        bound: above 0, or a function of the step (from 0).

    Example:
        >>> import numpy as np
        >>> from ravine import nn, optim
        >>> model = nn.Linear(1, 1, bias=False)
        >>> before = model.weight.item()
        >>> update = optim.Update(optim.chain(optim.clip_by_value(0.5), optim.SGD(lr=1.0)), model)
        >>> update({"weight": np.array([[3.0]])})
        >>> round(before - model.weight.item(), 6)
        0.5
    """
    return Stage("clip_value", bound)


def clip_by_norm(bound: Rate) -> Stage:
    """Bounds the Euclidean norm of each parameter's gradient: `g *= min(1, bound / (|g| + 1e-6))`.

    Args:
        bound: above 0, or a function of the step (from 0).

    Example:
        >>> from ravine import optim
        >>> optim.clip_by_norm(1).value
        1.0
    """
    return Stage("clip_norm", bound)


def clip_by_global_norm(bound: Rate) -> Stage:
    """Bounds the norm of all gradients together, as torch.nn.utils.clip_grad_norm_.

    `g *= min(1, bound / (norm + 1e-6))`. Source: Pascanu et al. 2013, https://arxiv.org/abs/1211.5063.

    Args:
        bound: above 0, or a function of the step (from 0).

    Example:
        >>> from ravine import optim
        >>> optimizer = optim.chain(optim.clip_by_global_norm(1.0), optim.Adam(lr=1e-3))
        >>> optimizer.lr
        0.001
    """
    return Stage("clip_global_norm", bound)


def clip_adaptive(share: Rate) -> Stage:
    """Bounds the norm of the gradient of each output unit to a share of the norm of the unit's weights.

    A unit is a row of a weight, or a bias as a whole; its norm counts as at least 1e-3. For nets without
    normalisation; 0.01 is usual. Source: Brock et al. 2021, https://arxiv.org/abs/2102.06171.

    Args:
        share: above 0, or a function of the step (from 0).

    Example:
        >>> from ravine import optim
        >>> optim.clip_adaptive(0.01).value
        0.01
    """
    return Stage("clip_adaptive", share)


def add_noise(eta: float, gamma: float = 0.55) -> Stage:
    """Adds normal noise to the gradients, of variance `eta / (1 + t)^gamma` in step t from 0.

    Helps very deep nets out of poor starts. Source: Neelakantan et al. 2015,
    https://arxiv.org/abs/1511.06807.

    Args:
        eta: the first variance.
        gamma: how fast it falls.

    Example:
        >>> from ravine import optim
        >>> optim.add_noise(0.01).value
        (0.01, 0.55)
    """
    return Stage("noise", (eta, gamma))


def accumulate(calls: int) -> Stage:
    """Averages the gradients of so many calls, then lets them through once: large batches in little memory.

    Stages before it see the gradients of every call, those behind it and the rule the mean: that of a batch
    of all examples, numerators over denominators (see `ops.weighted_mean`).

    Args:
        calls: at least 1.

    Example:
        >>> from ravine import optim
        >>> optimizer = optim.chain(optim.accumulate(4), optim.clip_by_global_norm(1.0), optim.SGD(lr=0.1))
        >>> len(optimizer.stages)
        2
    """
    return Stage("accumulate", calls)


def skip_nonfinite() -> Stage:
    """Skips a call in which a gradient is NaN or infinite at this place: nothing changes.

    `TrainStep.skipped` counts such calls, and `Trainer.fit` goes on after them. If the loss is not finite,
    nothing changes in any case.

    Example:
        >>> from ravine import optim
        >>> optimizer = optim.chain(optim.skip_nonfinite(), optim.Adam(lr=1e-3))
        >>> optimizer.stages
        (Stage(option='skip_nonfinite', value=True),)
    """
    return Stage("skip_nonfinite", True)
