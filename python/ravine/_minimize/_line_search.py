"""Line searches: from a point along a descent direction to one that is low enough.

φ(a) is the function at a step of length a. Sufficient decrease (Armijo): φ(a) ≤ φ(0) + c1 · a · φ'(0). The
strong Wolfe conditions add |φ'(a)| ≤ c2 · |φ'(0)|. Near a minimum rounding hides the decrease of φ, while
slopes are still exact: values that differ by no more than rounding may make them differ are replaced by what
the slopes tell, φ(0) + a · (φ'(0) + φ'(a)) / 2. The decrease is then sufficient where
(2 · c1 - 1) · φ'(0) ≥ φ'(a) (the approximate Wolfe condition, Hager and Zhang 2005).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .._numbers import number
from ._problem import dot
from ._run import Run

MAX_TRIALS = 40
WIDEST = 1e10  # no step is longer than this


class Point(NamedTuple):
    """A step along the direction: its length, the value and the slope there, and the point itself."""

    step: float
    f: float  # as the search sees it
    slope: float
    x: np.ndarray
    g: np.ndarray
    value: float  # of the function


class LineSearch(NamedTuple):
    """Which line search, and its constants."""

    kind: str  # "strong-wolfe" or "armijo"
    c1: float
    c2: float

    def __call__(self, run: Run, direction: np.ndarray, slope: float, step: float) -> Point | None:
        """The accepted point, or None where none was found. `slope` is φ'(0) < 0, `step` the first trial."""
        search = _armijo if self.kind == "armijo" else _more_thuente
        return search(run, direction, slope, step, self.c1, self.c2)


def make_line_search(kind: str, c1: float, c2: float) -> LineSearch:
    if kind not in ("strong-wolfe", "armijo"):
        raise ValueError(f"minimize: line_search must be 'strong-wolfe' or 'armijo', got {kind!r}")
    c1, c2 = number("minimize", "c1", c1), number("minimize", "c2", c2)
    if not 0.0 < c1 < c2 < 1.0:
        raise ValueError(f"minimize: 0 < c1 < c2 < 1 is expected, got c1={c1} and c2={c2}")
    return LineSearch(kind, c1, c2)


def _trial(run: Run, direction: np.ndarray, slope: float, step: float) -> Point:
    x = run.moved(step, direction)
    value, g = run.evaluate(x)
    ahead = dot(g, direction)
    by_slopes = abs(value - run.f) <= run.noise() and math.isfinite(ahead)
    f = run.f + 0.5 * step * (slope + ahead) if by_slopes else value
    return Point(step, f, ahead, x, g, value)


def _finite(point: Point) -> bool:
    return math.isfinite(point.f) and math.isfinite(point.slope)


def _armijo(run: Run, direction: np.ndarray, slope: float, step: float, c1: float, c2: float) -> Point | None:
    """Backtracking: the minimum of the parabola through φ(0), φ'(0) and φ(a), in [a / 10, a / 2]."""
    for _ in range(MAX_TRIALS):
        point = _trial(run, direction, slope, step)
        if np.array_equal(point.x, run.x):
            return None
        if _finite(point):
            enough = run.f + c1 * step * slope
            # Slopes that never change may be wrong ones.
            if point.value <= enough or (point.f <= enough and point.slope >= c2 * slope):
                return point
            curvature = point.f - run.f - slope * step
            step = min(max(-0.5 * slope * step * step / curvature, 0.1 * step), 0.5 * step)
        else:
            step *= 0.1
    return None


def _more_thuente(
    run: Run, direction: np.ndarray, slope: float, step: float, c1: float, c2: float
) -> Point | None:
    """Moré and Thuente 1994, https://doi.org/10.1145/192115.192132.

    An interval is kept between `best`, the lowest point so far, and `other`, such that φ falls from best
    towards other. First ψ(a) = φ(a) - φ(0) - c1 · a · φ'(0) takes the place of φ, until a point with ψ ≤ 0
    and φ' ≥ 0.
    """
    best = other = Point(0.0, run.f, slope, run.x, run.g, run.f)
    bracketed, auxiliary = False, True
    width, width_before = math.inf, math.inf
    limit = WIDEST
    for _ in range(MAX_TRIALS):
        point = _trial(run, direction, slope, step)
        if not _finite(point):  # left the function's domain: come back towards the best point
            limit = step
            step = best.step + 0.1 * (step - best.step)
            continue
        enough = run.f + c1 * point.step * slope
        if point.f <= enough and abs(point.slope) <= -c2 * slope:
            return point
        if point.f <= enough and point.step >= limit and point.slope < 0:
            return point  # as far as one may go
        if auxiliary and point.f <= enough and point.slope >= 0:
            auxiliary = False
        tilt = c1 * slope if auxiliary and enough < point.f <= best.f else 0.0
        if bracketed:
            low, high = sorted((best.step, other.step))
        else:
            ahead = point.step - best.step
            low = point.step + 1.1 * ahead if best.step > 0 else 0.0
            high = point.step + 4.0 * ahead
        nearest, farthest, tilted = _tilt(best, tilt), _tilt(other, tilt), _tilt(point, tilt)
        step, closes = _next_step(nearest, farthest, tilted, bracketed, low, high)
        if tilted.f > nearest.f:
            other = point
        else:
            if tilted.slope * nearest.slope < 0:
                other = best
            best = point
        bracketed = bracketed or closes
        if bracketed:
            two_before, width_before, width = width_before, width, abs(other.step - best.step)
            if width >= 0.66 * two_before:  # the interval shrinks too slowly
                step = best.step + 0.5 * (other.step - best.step)
            if width <= 4.0 * np.finfo(np.float64).eps * max(best.step, other.step):
                break
        step = min(step, limit if limit == WIDEST else 0.5 * (best.step + limit))
        if not math.isfinite(step) or step == best.step:
            break
    # The slope could not be met, by rounding or a kink; a decrease is still one.
    return best if best.value <= run.f + c1 * best.step * slope and best.value < run.f else None


def _tilt(point: Point, tilt: float) -> Point:
    return point._replace(f=point.f - tilt * point.step, slope=point.slope - tilt)


def _cubic(a: Point, b: Point) -> tuple[float, float]:
    """Where the cubic through values and slopes of a and b has its minimum.

    Second, the same as a share of the way from a to b; NaN where the cubic has no minimum.
    """
    theta = 3.0 * (a.f - b.f) / (b.step - a.step) + a.slope + b.slope
    scale = max(abs(theta), abs(a.slope), abs(b.slope))
    if scale == 0.0:
        return b.step, math.nan
    gamma = scale * math.sqrt(max(0.0, (theta / scale) ** 2 - (a.slope / scale) * (b.slope / scale)))
    if b.step < a.step:
        gamma = -gamma
    denominator = 2.0 * gamma - a.slope + b.slope
    if gamma == 0.0 or denominator == 0.0:
        return b.step, math.nan
    share = (gamma - a.slope + theta) / denominator
    return a.step + share * (b.step - a.step), share


def _secant(a: Point, b: Point) -> float:
    """Where the line through the slopes of a and b is zero."""
    return b.step + b.slope / (b.slope - a.slope) * (a.step - b.step) if a.slope != b.slope else b.step


def _next_step(
    best: Point, other: Point, point: Point, bracketed: bool, low: float, high: float
) -> tuple[float, bool]:
    """The next trial, from the interval's ends and the newest point; and whether a minimum lies between."""
    if point.f > best.f:  # higher: a minimum lies between
        cubic, _ = _cubic(best, point)
        distance = point.step - best.step
        drop = (best.f - point.f) / distance + best.slope
        quadratic = best.step + 0.5 * (best.slope / drop) * distance
        if abs(cubic - best.step) < abs(quadratic - best.step):
            return cubic, True
        return 0.5 * (cubic + quadratic), True
    if point.slope * best.slope < 0:  # the slope changed its sign: a minimum lies between
        cubic, _ = _cubic(best, point)
        secant = _secant(best, point)
        return (cubic if abs(cubic - point.step) > abs(secant - point.step) else secant), True
    onward = high if point.step > best.step else low
    if abs(point.slope) < abs(best.slope):  # less steep: the minimum lies ahead
        cubic, share = _cubic(point, best)
        if not share < 0.0:  # its minimum lies behind, or there is none
            cubic = onward
        secant = _secant(best, point)
        nearer = abs(cubic - point.step) < abs(secant - point.step)
        if not bracketed:
            return min(max(secant if nearer else cubic, low), high), False
        step = cubic if nearer else secant
        edge = point.step + 0.66 * (other.step - point.step)
        return (min(step, edge) if point.step > best.step else max(step, edge)), False
    if bracketed:
        return _cubic(point, other)[0], False
    return onward, False
