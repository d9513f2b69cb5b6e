"""Optimizers around an optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._numbers import flag, number, positive, whole
from ._optimizer import Optimizer, refuse_parameters
from ._options import Group

if TYPE_CHECKING:
    from ._lbfgs import CurvatureMemory


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
        self.__dict__.update(_inner=optimizer, _own_changes=0, _last_lr=None)

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
            self.__dict__["_own_changes"] += 1
        elif name.startswith("_"):
            self.__dict__[name] = value
        else:
            setattr(self.optimizer, name, value)

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
        return (self.optimizer._version, self.__dict__["_own_changes"])

    def _allowed(self) -> Any:
        return self.optimizer._allowed()

    def _values(self, group: Group | None) -> dict[str, tuple[str, Any]]:
        return self.optimizer._values(group)

    def _check_numbers(self, numbers: dict[str, float]) -> None:
        self.optimizer._check_numbers(numbers)

    def _slow_weight(self, step: int) -> float | None:
        return self.optimizer._slow_weight(step)

    def _sharpness(self) -> tuple[float, bool]:
        return self.optimizer._sharpness()

    def _preconditioner(self) -> CurvatureMemory | None:
        return self.optimizer._preconditioner()

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

    def _slow_weight(self, step: int) -> float | None:
        return self.alpha if (step + 1) % self.k == 0 else 0.0


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
        if optimizer._preconditioner() is not None or optimizer._sharpness()[0] != 0:
            raise ValueError(f"SAM: {type(optimizer).__name__} takes gradients at two places itself")
        self.rho: float = rho
        self.adaptive: bool = adaptive

    def _checked_own(self, name: str, value: Any) -> Any:
        if name == "adaptive":
            return flag("SAM", name, value)
        return positive("SAM", "rho", value)

    def _sharpness(self) -> tuple[float, bool]:
        return (-self.rho if self.optimizer.hyper()["maximize"] else self.rho), self.adaptive
