"""Schedules that rise or fall along one curve."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from collections.abc import Sequence as Numbers

from ..._numbers import number, positive, whole
from ._schedule import Constant as Constant  # which pickles look for here
from ._schedule import Schedule


class StepDecay(Schedule):
    """Multiplied by gamma every so many steps: `lr · gamma^⌊step / step_size⌋`, torch's StepLR.

    Args:
        lr: the first rate.
        step_size: steps between two changes.
        gamma: the factor.

    Example:
        >>> from ravine.optim import schedules
        >>> schedules.StepDecay(1.0, step_size=2, gamma=0.5).values(5)
        array([1.  , 1.  , 0.5 , 0.5 , 0.25])
    """

    def __init__(self, lr: float, step_size: int, gamma: float = 0.1) -> None:
        self.lr = number("StepDecay", "lr", lr)
        self.step_size = whole("StepDecay", "step_size", step_size)
        self.gamma = number("StepDecay", "gamma", gamma)

    def _formula(self) -> tuple[str, Numbers[float]]:
        return "step_decay", (self.lr, self.step_size, self.gamma)


class MultiStep(Schedule):
    """Multiplied by gamma at each milestone: `lr · gamma^(number of milestones ≤ step)`, torch's MultiStepLR.

    Args:
        lr: the first rate.
        milestones: steps from which the next rate holds, increasing.
        gamma: the factor.

    Raises ValueError for milestones that do not increase.

    Example:
        >>> from ravine.optim import schedules
        >>> schedules.MultiStep(1.0, [2, 3], gamma=0.5).values(4)
        array([1.  , 1.  , 0.5 , 0.25])
    """

    def __init__(self, lr: float, milestones: Numbers[int], gamma: float = 0.1) -> None:
        self.lr = number("MultiStep", "lr", lr)
        self.milestones = _increasing("MultiStep", "milestones", milestones)
        self.gamma = number("MultiStep", "gamma", gamma)

    def _formula(self) -> tuple[str, Numbers[float]]:
        return "multi_step", (self.lr, self.gamma, *self.milestones)


class Piecewise(Schedule):
    """Rates given piece by piece: `rates[i]` from step `boundaries[i - 1]` on.

    Args:
        boundaries: the first step of each piece but the first, increasing.
        rates: the rates, one more than boundaries.

    Raises ValueError for boundaries that do not increase, or a wrong number of rates.

    Example:
        >>> from ravine.optim import schedules
        >>> schedules.Piecewise([1, 3], [0.1, 0.5, 0.2]).values(4)
        array([0.1, 0.5, 0.5, 0.2])
    """

    def __init__(self, boundaries: Numbers[int], rates: Numbers[float]) -> None:
        self.boundaries = _increasing("Piecewise", "boundaries", boundaries)
        self.rates = tuple(number("Piecewise", f"rates[{i}]", value) for i, value in enumerate(rates))
        if len(self.rates) != len(self.boundaries) + 1:
            raise ValueError(
                f"Piecewise: {len(self.boundaries)} boundaries need {len(self.boundaries) + 1} rates, got "
                f"{len(self.rates)}"
            )

    def _formula(self) -> tuple[str, Numbers[float]]:
        return "piecewise", (*self.boundaries, *self.rates)


def _increasing(owner: str, name: str, steps: Numbers[int]) -> tuple[int, ...]:
    if not isinstance(steps, Iterable):
        raise TypeError(f"{owner}: {name} must be a list of steps, got {steps!r}")
    result = tuple(whole(owner, f"{name}[{i}]", step) for i, step in enumerate(steps))
    if any(a >= b for a, b in itertools.pairwise(result)):
        raise ValueError(f"{owner}: {name} must increase, got {list(result)}")
    return result


class Exponential(Schedule):
    """Exponential decay, `lr · gamma^t` or `lr · e^(-k t)`, with t = step / every.

    Args:
        lr: the first rate.
        gamma: the factor per unit of t, such as 0.95 (torch's ExponentialLR); or
        k: the rate of decay per unit of t. One of the two is given.
        every: steps in a unit of t, such as the number of mini-batches of an epoch.

    Raises ValueError unless exactly one of gamma and k is given.

    Example:
        >>> from ravine.optim import schedules
        >>> schedules.Exponential(1.0, gamma=0.95).values(3)
        array([1.    , 0.95  , 0.9025])
        >>> schedules.Exponential(1.0, k=0.1).values(3).round(4)
        array([1.    , 0.9048, 0.8187])
    """

    def __init__(
        self, lr: float, gamma: float | None = None, *, k: float | None = None, every: float = 1.0
    ) -> None:
        if (gamma is None) == (k is None):
            raise ValueError(f"Exponential: one of gamma and k must be given, got gamma={gamma} and k={k}")
        self.lr = number("Exponential", "lr", lr)
        self.gamma = None if gamma is None else number("Exponential", "gamma", gamma)
        self.k = None if k is None else number("Exponential", "k", k)
        self.every = positive("Exponential", "every", every)

    def _formula(self) -> tuple[str, Numbers[float]]:
        if self.gamma is not None:
            return "exponential", (self.lr, self.gamma, self.every)
        assert self.k is not None
        return "natural_exponential", (self.lr, self.k, self.every)


class Linear(Schedule):
    """A straight line: `start + (end - start) · step / steps`, which arrives at `end` after `steps` steps.

    Args:
        start: the first rate.
        end: the rate at which it arrives.
        steps: the length.

    Example:
        >>> from ravine.optim import schedules
        >>> schedules.Linear(0.4, 0.0, steps=4).hold().values(6)
        array([0.4, 0.3, 0.2, 0.1, 0. , 0. ])
    """

    def __init__(self, start: float, end: float, steps: int) -> None:
        self.start = number("Linear", "start", start)
        self.end = number("Linear", "end", end)
        self.steps = whole("Linear", "steps", steps)

    def _formula(self) -> tuple[str, Numbers[float]]:
        assert self.steps is not None
        return "linear", (self.start, self.end, self.steps)


class Polynomial(Schedule):
    """Polynomial decay: `end + (lr - end) · (1 - step / steps)^power`, torch's PolynomialLR where end is 0.

    Args:
        lr: the first rate.
        steps: the length.
        power: the exponent; 1 is a straight line.
        end: the rate at which it arrives.

    Example:
        >>> from ravine.optim import schedules
        >>> schedules.Polynomial(1.0, steps=4, power=2).values()
        array([1.    , 0.5625, 0.25  , 0.0625])
    """

    def __init__(self, lr: float, steps: int, power: float = 1.0, end: float = 0.0) -> None:
        self.lr = number("Polynomial", "lr", lr)
        self.steps = whole("Polynomial", "steps", steps)
        self.power = positive("Polynomial", "power", power)
        self.end = number("Polynomial", "end", end)

    def _formula(self) -> tuple[str, Numbers[float]]:
        assert self.steps is not None
        return "polynomial", (self.lr, self.steps, self.power, self.end)


class Cosine(Schedule):
    """Cosine annealing: `end + (lr - end) · (1 + cos(π · step / steps)) / 2`.

    Args:
        lr: the first rate.
        steps: the length; torch's T_max.
        end: the rate at which it arrives; torch's eta_min.

    Source: Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983, without restarts.

    Example:
        >>> from ravine.optim import schedules
        >>> schedules.Cosine(1.0, steps=4).values().round(3)
        array([1.   , 0.854, 0.5  , 0.146])
    """

    def __init__(self, lr: float, steps: int, end: float = 0.0) -> None:
        self.lr = number("Cosine", "lr", lr)
        self.steps = whole("Cosine", "steps", steps)
        self.end = number("Cosine", "end", end)

    def _formula(self) -> tuple[str, Numbers[float]]:
        assert self.steps is not None
        return "cosine", (self.lr, self.steps, self.end)


class InverseSqrt(Schedule):
    """Inverse square root: `lr / sqrt(1 + step / timescale)`, that of the transformer.

    After a warm-up of as many steps as `timescale`, this is `lr · sqrt(timescale / t)` at step t of the
    whole.

    Args:
        lr: the first rate.
        timescale: steps until the rate is lr / √2.

    Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762.

    Example:
        >>> from ravine.optim import schedules
        >>> (schedules.Warmup(1.0, 4) + schedules.InverseSqrt(1.0, timescale=4)).values(17)[[4, 16]]
        array([1. , 0.5])
    """

    def __init__(self, lr: float, timescale: float = 1.0) -> None:
        self.lr = number("InverseSqrt", "lr", lr)
        self.timescale = positive("InverseSqrt", "timescale", timescale)

    def _formula(self) -> tuple[str, Numbers[float]]:
        return "inverse_sqrt", (self.lr, self.timescale)


class InverseTime(Schedule):
    """1/t decay: `lr / (1 + k · t)`, with t = step / every.

    With it, stochastic gradient descent meets the conditions of Robbins and Monro: the rates sum to infinity,
    their squares do not.

    Args:
        lr: the first rate.
        k: how fast it falls.
        every: steps in a unit of t, such as the number of mini-batches of an epoch.

    Source: Robbins and Monro 1951, https://doi.org/10.1214/aoms/1177729586.

    Example:
        >>> from ravine.optim import schedules
        >>> schedules.InverseTime(1.0, k=1.0).values(4).round(3)
        array([1.   , 0.5  , 0.333, 0.25 ])
    """

    def __init__(self, lr: float, k: float, every: float = 1.0) -> None:
        self.lr = number("InverseTime", "lr", lr)
        self.k = number("InverseTime", "k", k)
        self.every = positive("InverseTime", "every", every)

    def _formula(self) -> tuple[str, Numbers[float]]:
        return "inverse_time", (self.lr, self.k, self.every)


class Warmup(Schedule):
    """From a small rate to lr, as the beginning of another schedule: `Warmup(0.1, 500) + Cosine(0.1, n)`.

    With share = step / steps: linear `start + (lr - start) · share`, exponential
    `start · (lr / start)^share`, constant `start`.

    Args:
        lr: the rate at which it arrives, that of the step after the last.
        steps: the length.
        start: the first rate.
        kind: "linear", "exponential" (start above 0) or "constant" (torch's ConstantLR).

    Raises ValueError for another kind, and where an exponential warm-up starts at 0.

    Source: Goyal et al. 2017, https://arxiv.org/abs/1706.02677.

    Example:
        >>> from ravine.optim import schedules
        >>> schedules.Warmup(0.4, 4).values()
        array([0. , 0.1, 0.2, 0.3])
        >>> schedules.Warmup(1.0, 3, start=1e-3, kind="exponential").values().round(3)
        array([0.001, 0.01 , 0.1  ])
    """

    def __init__(self, lr: float, steps: int, start: float = 0.0, kind: str = "linear") -> None:
        if kind not in ("linear", "exponential", "constant"):
            raise ValueError(f"Warmup: kind must be 'linear', 'exponential' or 'constant', got {kind!r}")
        self.lr = number("Warmup", "lr", lr)
        self.steps = whole("Warmup", "steps", steps)
        self.start = number("Warmup", "start", start)
        self.kind = kind
        if kind == "exponential" and (self.start == 0 or self.lr == 0):
            raise ValueError(
                f"Warmup: an exponential one needs start and lr above 0, got {self.start} and {self.lr}"
            )

    def _formula(self) -> tuple[str, Numbers[float]]:
        assert self.steps is not None
        return f"warmup_{self.kind}", (self.lr, self.steps, self.start)
