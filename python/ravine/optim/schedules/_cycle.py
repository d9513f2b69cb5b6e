"""Schedules that come back: restarts, cycles, the one-cycle policy."""

from __future__ import annotations

import itertools
from collections.abc import Sequence as Numbers

from ..._numbers import number, positive, whole
from ._schedule import Schedule


class CosineRestarts(Schedule):
    """Cosine annealing with warm restarts (SGDR).

    In a cycle of n steps, at its step t: `end + (peak - end) · (1 + cos(π · t / n)) / 2`. The first cycle has
    `steps` steps and the peak lr; each next one `mult` times the steps and `decay` times the peak.

    Args:
        lr: the first peak.
        cycle: steps of the first cycle; torch's T_0.
        mult: factor of the length, an integer; torch's T_mult.
        end: the rate at which each cycle arrives; torch's eta_min.
        decay: factor of the peak; 1 in torch.

    Source: Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983.

    Example:
        >>> from ravine.optim import schedules
        >>> schedules.CosineRestarts(1.0, cycle=2, mult=2).values(7).round(3)
        array([1.   , 0.5  , 1.   , 0.854, 0.5  , 0.146, 1.   ])
    """

    def __init__(self, lr: float, cycle: int, mult: int = 1, end: float = 0.0, decay: float = 1.0) -> None:
        self.lr = number("CosineRestarts", "lr", lr)
        self.cycle = whole("CosineRestarts", "cycle", cycle)
        self.mult = whole("CosineRestarts", "mult", mult)
        self.end = number("CosineRestarts", "end", end)
        self.decay = number("CosineRestarts", "decay", decay)

    def _formula(self) -> tuple[str, Numbers[float]]:
        return "cosine_restarts", (self.lr, self.cycle, self.mult, self.end, self.decay)


class Cyclic(Schedule):
    """Up and down between two rates (CLR).

    At share s of the way up (or what is left of the way down): `lr + (max_lr - lr) · s · scale`, where scale
    is 1 (triangular), `1 / 2^cycle` (triangular2) or `gamma^step` (exp_range).

    Args:
        lr: the lower rate; torch's base_lr.
        max_lr: the upper rate.
        step_size_up: steps on the way up.
        step_size_down: steps on the way down; as many by default.
        mode: "triangular", "triangular2" or "exp_range".
        gamma: for exp_range.

    Raises ValueError for another mode, and for max_lr below lr.

    Source: Smith 2017, https://arxiv.org/abs/1506.01186.

    Example:
        >>> from ravine.optim import schedules
        >>> schedules.Cyclic(0.0, 1.0, step_size_up=2, mode="triangular2").values(8)
        array([0.  , 0.5 , 1.  , 0.5 , 0.  , 0.25, 0.5 , 0.25])
    """

    def __init__(
        self,
        lr: float,
        max_lr: float,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
    ) -> None:
        if mode not in ("triangular", "triangular2", "exp_range"):
            raise ValueError(f"Cyclic: mode must be 'triangular', 'triangular2' or 'exp_range', got {mode!r}")
        self.lr = number("Cyclic", "lr", lr)
        self.max_lr = number("Cyclic", "max_lr", max_lr, low=self.lr)
        self.step_size_up = whole("Cyclic", "step_size_up", step_size_up)
        down = self.step_size_up if step_size_down is None else step_size_down
        self.step_size_down = whole("Cyclic", "step_size_down", down)
        self.mode = mode
        self.gamma = number("Cyclic", "gamma", gamma)

    def _formula(self) -> tuple[str, Numbers[float]]:
        base = {"triangular": 1.0, "triangular2": 0.5, "exp_range": self.gamma}[self.mode]
        by_cycle = self.mode == "triangular2"
        return "cyclic", (self.lr, self.max_lr, self.step_size_up, self.step_size_down, base, by_cycle)


class OneCycle(Schedule):
    """The one-cycle policy: up to a high rate, then down to a rate far below the first.

    From `max_lr / div_factor` to max_lr in the first `pct_start` of the steps, then to the first rate divided
    by `final_div_factor` in the last step; along cosines or straight lines, as torch's OneCycleLR has it.
    With three_phase the way down first mirrors the way up.

    Args:
        max_lr: the highest rate.
        steps: the length; torch's total_steps.
        pct_start: share of the steps on the way up, above 0 and below 1.
        anneal: "cos" or "linear".
        div_factor: max_lr divided by the first rate.
        final_div_factor: the first rate divided by the last.
        three_phase: a third phase for the last decay.

    Raises ValueError for values out of range.

    Source: Smith and Topin 2018, https://arxiv.org/abs/1708.07120.

    Example:
        >>> from ravine.optim import schedules
        >>> schedules.OneCycle(1.0, steps=5, pct_start=0.6, div_factor=10, anneal="linear").values().round(3)
        array([0.1 , 0.55, 1.  , 0.5 , 0.  ])
    """

    def __init__(
        self,
        max_lr: float,
        steps: int,
        pct_start: float = 0.3,
        anneal: str = "cos",
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
    ) -> None:
        if anneal not in ("cos", "linear"):
            raise ValueError(f"OneCycle: anneal must be 'cos' or 'linear', got {anneal!r}")
        self.max_lr = number("OneCycle", "max_lr", max_lr)
        self.steps = whole("OneCycle", "steps", steps, low=2)
        self.pct_start = positive(
            "OneCycle", "pct_start", number("OneCycle", "pct_start", pct_start, high=1.0)
        )
        self.anneal = anneal
        self.div_factor = positive("OneCycle", "div_factor", div_factor)
        self.final_div_factor = positive("OneCycle", "final_div_factor", final_div_factor)
        self.three_phase = bool(three_phase)
        ends = [0.0, *(end for end, _ in self._phases())]
        if any(a >= b for a, b in itertools.pairwise(ends)):
            raise ValueError(
                f"OneCycle: with pct_start={self.pct_start} the phases of {self.steps} steps end at steps "
                f"{ends[1:]}, expected increasing ends above 0"
            )

    def _phases(self) -> list[tuple[float, float]]:
        """The last step of each phase, and the rate there. Ends need not be integers."""
        assert self.steps is not None
        first = self.max_lr / self.div_factor
        up = self.pct_start * self.steps - 1
        phases = [(up, self.max_lr)]
        if self.three_phase:
            phases.append((2 * up, first))
        return [*phases, (self.steps - 1.0, first / self.final_div_factor)]

    def _formula(self) -> tuple[str, Numbers[float]]:
        assert self.steps is not None
        first = self.max_lr / self.div_factor
        ends = (x for phase in self._phases() for x in phase)
        return "one_cycle", (first, self.anneal == "cos", self.steps, *ends)
