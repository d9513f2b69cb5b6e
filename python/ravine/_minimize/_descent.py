"""Methods of one line search an iteration: gradient descent, conjugate gradients, quasi-Newton."""

from __future__ import annotations

import numpy as np

from .. import _core
from .._numbers import number, positive, whole
from ._line_search import LineSearch, make_line_search
from ._problem import dot, norm, times
from ._run import Run


class Direction:
    """Where to go from a point: along the negative gradient; the base of the others."""

    def __init__(self) -> None:
        self.fresh = True  # nothing remembered

    def reset(self) -> None:
        """Forgets all, so that the next direction is the negative gradient."""
        self.fresh = True

    def direction(self, g: np.ndarray) -> np.ndarray:
        return -g

    def first_step(self, run: Run, slope: float, decrease: float | None) -> float:
        """The first trial of a line search; `decrease` is what the last one achieved."""
        if decrease is None:
            return min(1.0, 1.0 / norm(run.g))
        return _as_before(run, slope, decrease)

    def update(self, s: np.ndarray, y: np.ndarray, g: np.ndarray) -> None:
        """Learns from a step s, the change y of the gradient along it, and the gradient g at its end."""
        self.fresh = False


def _as_before(run: Run, slope: float, decrease: float) -> float:
    """The step that would reduce the function as much as the last (Nocedal and Wright 2006, eq. 3.60)."""
    step = 2.02 * decrease / -slope
    return step if step > 0 else 1.0 / norm(run.g)


def descend(run: Run, direction: Direction, search: LineSearch) -> None:
    """Iterates until `run` stops.

    A direction that leads nowhere is replaced by the negative gradient, once.
    """
    decrease: float | None = None
    while True:
        d = direction.direction(run.g)
        slope = dot(run.g, d)
        if not slope < 0:
            direction.reset()
            d = -run.g
            slope = dot(run.g, d)
        point = search(run, d, slope, direction.first_step(run, slope, decrease))
        if point is None:
            if direction.fresh:
                raise run.give_up(-slope, "the line search found no lower point along the negative gradient")
            direction.reset()
            decrease = None
            continue
        s, y = point.x - run.x, point.g - run.g
        decrease = run.f - point.f
        direction.update(s, y, point.g)
        run.accept(point.x, point.value, point.g)


def gd(
    run: Run, *, lr: float | None = None, line_search: str = "armijo", c1: float = 1e-4, c2: float = 0.9
) -> None:
    if lr is None:
        descend(run, Direction(), make_line_search(line_search, c1, c2))
        return
    lr = positive("minimize", "lr", lr)
    while True:
        x = run.moved(-lr, run.g)
        f, g = run.evaluate(x)
        if not (np.isfinite(f) and np.isfinite(g).all()):
            raise run.give_up(
                np.inf, f"a step of lr={lr:g} along the negative gradient left the finite numbers"
            )
        run.accept(x, f, g)


class ConjugateDirection(Direction):
    """d = -g + β · d, with β after Fletcher-Reeves, Polak-Ribière+ or Hestenes-Stiefel."""

    def __init__(self, beta: str, restart: int | None, powell: float) -> None:
        super().__init__()
        self._beta = beta
        self._restart = restart
        self._powell = powell
        self._since = 0
        self._d: np.ndarray | None = None
        self._g: np.ndarray | None = None
        self._next: np.ndarray | None = None

    def reset(self) -> None:
        super().reset()
        self._next, self._since = None, 0

    def direction(self, g: np.ndarray) -> np.ndarray:
        self._g = g
        self._d = -g if self._next is None else self._next
        return self._d

    def first_step(self, run: Run, slope: float, decrease: float | None) -> float:
        if decrease is None:
            return min(1.0, 1.0 / norm(run.g))
        return min(1.0, _as_before(run, slope, decrease)) if self.fresh else _as_before(run, slope, decrease)

    def update(self, s: np.ndarray, y: np.ndarray, g: np.ndarray) -> None:
        assert self._d is not None and self._g is not None
        self._since += 1
        square = dot(self._g, self._g)
        far_from_orthogonal = abs(dot(g, self._g)) >= self._powell * dot(g, g)  # Powell 1977
        if far_from_orthogonal or self._since == self._restart:
            self.reset()
            return
        if self._beta == "FR":
            beta = dot(g, g) / square
        elif self._beta == "PR+":
            beta = max(0.0, dot(g, y) / square)
        else:
            along = dot(self._d, y)
            beta = dot(g, y) / along if along else 0.0
        self.fresh = False
        self._next = beta * self._d - g


def cg(
    run: Run,
    *,
    beta: str = "HS",
    restart: int | None = None,
    powell: float = 0.5,
    line_search: str = "strong-wolfe",
    c1: float = 1e-4,
    c2: float = 0.1,
) -> None:
    if beta not in ("FR", "PR+", "HS"):
        raise ValueError(f"minimize: beta must be 'FR', 'PR+' or 'HS', got {beta!r}")
    if restart is not None:
        restart = whole("minimize", "restart", restart)
    powell = number("minimize", "powell", powell)
    descend(run, ConjugateDirection(beta, restart, powell), make_line_search(line_search, c1, c2))


class QuasiNewton(Direction):
    """What BFGS and L-BFGS share: a full step is tried first, except in the first one."""

    def first_step(self, run: Run, slope: float, decrease: float | None) -> float:
        return min(1.0, 1.0 / norm(run.g)) if self.fresh else 1.0


class BFGSDirection(QuasiNewton):
    """d = -H g, with H the approximation of the inverse Hessian, in float64."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.H = np.eye(n)

    def reset(self) -> None:
        super().reset()
        self.H = np.eye(len(self.H))

    def direction(self, g: np.ndarray) -> np.ndarray:
        return -times(self.H, g) if not self.fresh else -g.astype(np.float64)

    def update(self, s: np.ndarray, y: np.ndarray, g: np.ndarray) -> None:
        s, y = s.astype(np.float64), y.astype(np.float64)
        sy, yy = dot(s, y), dot(y, y)
        if not sy > float(np.finfo(np.float64).eps) * yy:
            return
        if self.fresh:
            # Nocedal and Wright 2006, eq. 6.20, but no smaller than 1: one pair is dominated by the largest
            # curvature, and a first H too small takes longer to be mended than one too large.
            self.H *= max(1.0, sy / yy)
            self.fresh = False
        Hy = times(self.H, y)
        scale = (1.0 + dot(y, Hy) / sy) / sy
        self.H += scale * np.multiply.outer(s, s)
        cross = np.multiply.outer(Hy / sy, s)
        self.H -= cross + cross.T


def bfgs(run: Run, *, line_search: str = "strong-wolfe", c1: float = 1e-4, c2: float = 0.9) -> None:
    search = make_line_search(line_search, c1, c2)
    direction = BFGSDirection(len(run.x))
    run.hess_inv = direction.H
    try:
        descend(run, direction, search)
    finally:
        run.hess_inv = direction.H


class LBFGSDirection(QuasiNewton):
    """d = -H g by the two-loop recursion over the last steps."""

    def __init__(self, dtype: np.dtype, memory: int) -> None:
        super().__init__()
        self._pairs = _core.CurvaturePairs(dtype.name, memory)

    def reset(self) -> None:
        super().reset()
        self._pairs.clear()

    def direction(self, g: np.ndarray) -> np.ndarray:
        return self._pairs.direction(g)

    def update(self, s: np.ndarray, y: np.ndarray, g: np.ndarray) -> None:
        if self._pairs.add(s, y):
            self.fresh = False


def lbfgs(
    run: Run, *, memory: int = 10, line_search: str = "strong-wolfe", c1: float = 1e-4, c2: float = 0.9
) -> None:
    memory = whole("minimize", "memory", memory)
    descend(run, LBFGSDirection(run.problem.dtype, memory), make_line_search(line_search, c1, c2))
