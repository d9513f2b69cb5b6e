"""Optimizers around an optimizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .. import _core
from .._numbers import flag, number, positive, whole
from ._optimizer import Optimizer, refuse_parameters
from ._options import Group
from ._stages import STAGES, Stage

if TYPE_CHECKING:
    from typing_extensions import Self  # typing.Self needs Python 3.11


class Wrapper(Optimizer):
    """An optimizer that changes how another one's steps are used.

    It has the attributes of the one inside; setting them sets them there.
    """

    _own: tuple[str, ...] = ()

    def __init__(self, optimizer: Optimizer) -> None:
        refuse_parameters(type(self).__name__, optimizer)
        if not isinstance(optimizer, Optimizer):
            kind = type(optimizer).__name__
            raise TypeError(f"{type(self).__name__}: optimizer must be one of ravine.optim, got {kind}")
        self.__dict__.update(_inner=optimizer, _version=0, _when={})

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer inside."""
        return self.__dict__["_inner"]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_inner" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self.__dict__["_inner"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._own:
            self.__dict__[name] = self._checked_own(name, value)
            self.__dict__["_version"] += 1
            self.__dict__["_when"][name] = self.__dict__["_version"]
        elif name.startswith("_"):
            self.__dict__[name] = value
        else:
            setattr(self.optimizer, name, value)

    def _set_together(self, values: Mapping[str, Any]) -> None:
        self.optimizer._set_together({name: x for name, x in values.items() if name not in self._own})
        for name, value in values.items():
            if name in self._own:
                setattr(self, name, value)

    def _checked_own(self, name: str, value: Any) -> Any:
        raise NotImplementedError

    @property
    def rule(self) -> str:  # type: ignore[override]
        return self.optimizer.rule

    @property
    def _fixed(self) -> Any:  # type: ignore[override]
        return self.optimizer._fixed

    @property
    def _version(self) -> Any:  # type: ignore[override]
        return (self.optimizer._version, self.__dict__["_version"])

    def _parts(self) -> list[Optimizer]:
        return [self, *self.optimizer._parts()]

    def _allowed(self) -> Any:
        return self.optimizer._allowed()

    def _values(self, group: Group | None) -> dict[str, tuple[str, Any]]:
        return self.optimizer._values(group)

    def _check_numbers(self, numbers: dict[str, float]) -> None:
        self.optimizer._check_numbers(numbers)

    def _slow_weight(self) -> _core.Schedule | None:
        return self.optimizer._slow_weight()

    def _stages(self) -> list[tuple[str, Any]]:
        return self.optimizer._stages()

    def _numbers(self) -> dict[str, Any]:
        return {**self.optimizer._numbers(), **{name: self.__dict__[name] for name in self._own}}

    def _copy(self) -> Self:
        copy, fields = object.__new__(type(self)), self.__dict__
        copy.__dict__.update(fields, _inner=self.optimizer._copy(), _seen=fields["_version"])
        copy.__dict__["_when"] = dict(fields["_when"])
        return copy

    def _take_over(self, given: Self) -> None:  # type: ignore[override]
        self.optimizer._take_over(given.optimizer)
        for name, when in given.__dict__["_when"].items():
            if when > self.__dict__["_seen"]:
                setattr(self, name, given.__dict__[name])
        self.__dict__["_seen"] = given.__dict__["_version"]

    @property
    def innermost(self) -> Optimizer:
        """The optimizer inside all wrappers."""
        inside = self.optimizer
        return inside.innermost if isinstance(inside, Wrapper) else inside

    def __repr__(self) -> str:
        own = "".join(f", {name}={self.__dict__[name]!r}" for name in self._own)
        return f"{type(self).__name__}({self.optimizer!r}{own})"


class Lookahead(Wrapper):
    """Lookahead: k steps of an optimizer forward, then part of the way back.

    Slow weights s begin as the first weights. After every k-th step of the optimizer inside
    `s += alpha · (w - s)` and `w = s`, in the same pass over memory. The optimizer's state goes on.

    Args:
        optimizer: any other optimizer; its attributes can be read and set through this one.
        k: steps between two moves of the slow weights.
        alpha: how far the slow weights move, in (0, 1].

    Source: Zhang et al. 2019, https://arxiv.org/abs/1907.08610.

    Example:
        >>> from ravine import optim
        >>> optimizer = optim.Lookahead(optim.Adam(lr=1e-3), k=6)
        >>> optimizer.lr = 2e-3
        >>> optimizer.optimizer.lr, optimizer.k
        (0.002, 6)
    """

    _own = ("k", "alpha")

    def __init__(self, optimizer: Optimizer, k: int = 5, alpha: float = 0.5) -> None:
        super().__init__(optimizer)
        self.k: int = k
        self.alpha: float = alpha

    def _checked_own(self, name: str, value: Any) -> Any:
        if name == "k":
            return whole("Lookahead", name, value, 1)
        alpha = number("Lookahead", "alpha", value)
        if not 0 < alpha <= 1:
            raise ValueError(f"Lookahead: alpha must be in (0, 1], got {alpha}")
        return alpha

    def _slow_weight(self) -> _core.Schedule:
        return _core.Schedule("every", [self.alpha, float(self.k)])


def has_stage(optimizer: Optimizer, *options: str) -> bool:
    """Whether one of these is among the stages."""
    return any(option in options for option, _ in optimizer._stages())


class SAM(Wrapper):
    """Sharpness-aware minimisation: the gradient is taken where the loss around the weights is highest.

    `e = rho · g / |g|` for the gradients g of all parameters together, and the optimizer inside gets the
    gradients at `w + e`, of the same mini-batch; adaptive `e = rho · w² g / ||w| g|`, which does not depend
    on the scale of the weights. Costs a second forward and backward pass. The loss that a step returns, and
    the statistics of BatchNorm, are those at w.

    Args:
        optimizer: any other optimizer; its attributes can be read and set through this one.
        rho: how far to look, above 0. May be changed between steps.
        adaptive: measure in units of the weights (ASAM; rho is then about ten times larger).

    Where the loss draws random numbers (dropout), the two passes draw their own.

    Source: Foret et al. 2021, https://arxiv.org/abs/2010.01412; adaptive: Kwon et al. 2021,
    https://arxiv.org/abs/2102.11600.

    Example:
        >>> from ravine import optim
        >>> optim.SAM(optim.SGD(lr=0.1, momentum=0.9), rho=0.1).momentum
        0.9
    """

    _own = ("rho", "adaptive")

    def __init__(self, optimizer: Optimizer, rho: float = 0.05, adaptive: bool = False) -> None:
        super().__init__(optimizer)
        if has_stage(optimizer, "lbfgs", "sam", "adaptive_sam"):
            raise ValueError(f"SAM: {type(optimizer).__name__} takes gradients at two places itself")
        self.rho: float = rho
        self.adaptive: bool = adaptive

    def _checked_own(self, name: str, value: Any) -> Any:
        if name == "adaptive":
            return flag("SAM", name, value)
        return positive("SAM", "rho", value)

    def _stages(self) -> list[tuple[str, Any]]:
        uphill = -self.rho if self.optimizer._constants()["maximize"] else self.rho
        return [("adaptive_sam" if self.adaptive else "sam", {"rho": uphill}), *self.optimizer._stages()]


class Chain(Wrapper):
    """Stages before an optimizer; their numbers are attributes by the names of the options: `clip_norm`."""

    def __init__(self, stages: Sequence[Stage], optimizer: Optimizer) -> None:
        super().__init__(optimizer)
        if has_stage(optimizer, "sam", "adaptive_sam"):
            kind = type(optimizer).__name__
            raise ValueError(f"chain: {kind} takes the gradients first: write {kind}(chain(...)) instead")
        taken = [option for option, _ in optimizer._stages()]
        for stage in stages:
            if not isinstance(stage, Stage):
                raise TypeError(f"chain: stages such as optim.clip_by_norm(1.0) are expected, got {stage!r}")
            if stage.option in taken:
                raise ValueError(f"chain: {STAGES[stage.option].stage} occurs twice")
            taken.append(stage.option)
        own = {stage.option: stage.value for stage in stages}
        if "accumulate" in own and has_stage(optimizer, "lbfgs"):
            raise ValueError(f"chain: {type(optimizer).__name__}: gradients cannot be accumulated")
        self.__dict__.update(own, _own=tuple(own))

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages, in order."""
        return tuple(Stage(option, self.__dict__[option]) for option in self._own)

    def _checked_own(self, name: str, value: Any) -> Any:
        return Stage(name, value).value

    def _stages(self) -> list[tuple[str, Any]]:
        return [*((name, self.__dict__[name]) for name in self._own), *self.optimizer._stages()]

    @property
    def _owner(self) -> str:
        return self.optimizer._owner

    def __repr__(self) -> str:
        return f"chain({', '.join(map(repr, (*self.stages, self.optimizer)))})"


def chain(*stages_and_optimizer: Any) -> Chain:
    """Stages, in the order in which they see the gradients, and then an optimizer.

    The options of the optimizer inside (`clip_norm=...`) are stages too and come behind these.

    Args:
        stages_and_optimizer: stages such as `optim.clip_by_global_norm(1.0)`; the optimizer is the last.

    Raises TypeError for anything else, and ValueError for a stage that occurs twice and for an optimizer that
    takes gradients at two places (SAM), inside of which the chain belongs.

    Example:
        >>> from ravine import optim
        >>> optimizer = optim.chain(optim.clip_by_global_norm(1.0), optim.add_noise(0.1), optim.AdamW())
        >>> optimizer.lr, optimizer.clip_global_norm
        (0.001, 1.0)
        >>> optimizer.clip_global_norm = 0.5
        >>> optimizer.stages[0]
        Stage(option='clip_global_norm', value=0.5)
    """
    if not stages_and_optimizer:
        raise TypeError("chain: stages and an optimizer are expected, got nothing")
    return Chain(stages_and_optimizer[:-1], stages_and_optimizer[-1])
