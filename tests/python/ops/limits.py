"""What the tables of limits share: a function, where it is tried, what is right there in value and slope."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from helper import run
from mpmath import mp, mpf

import ravine as rv

DTYPES = ("float32", "float64")
RELATIVE = {"float32": 2e-6, "float64": 1e-14}

inf, nan = math.inf, math.nan


def functions_of(*modules: ModuleType) -> set[str]:
    """The names of `rv.ops` that these modules define."""
    return {
        name
        for module in modules
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and name in rv.ops.__all__
    }


def slope_of(function: Callable[[Any], Any], x: np.ndarray) -> np.ndarray:
    """The gradient of the sum of function(x), whose terms have the weights 1, 2, ..."""

    def weighted(x: Any) -> Any:
        y = function(x)
        return (y * np.arange(1, y.numel() + 1, dtype=x.dtype).reshape(y.shape)).sum()

    return rv.value_and_grad(weighted)(x)[1]


def expect(
    got: np.ndarray, want: Any, dtype: str, what: str, relative: float = 1, absolute: float = 0
) -> None:
    """Agreement relative to each number, however small as long as it is a normal one, and in limits.

    `relative` and `absolute` count in the dtype's precision, the second where a result is rounded beside 1.
    """
    want = np.asarray(want, np.longdouble)
    assert got.dtype == dtype and got.shape == want.shape, (
        f"{what}: {got.dtype} {got.shape}, not {want.shape}"
    )
    info = np.finfo(got.dtype)
    with np.errstate(all="ignore"):
        want = np.where(np.abs(want) > info.max, np.copysign(np.longdouble(inf), want), want)
        error = np.abs(got.astype(np.longdouble) - want)
        allowed = relative * RELATIVE[dtype] * np.abs(want) + absolute * RELATIVE[dtype] + info.tiny
        right = np.where(np.isfinite(want), error <= allowed, got == want) | (np.isnan(want) & np.isnan(got))
    assert right.all(), f"{what}: {got[~right]}, right is {want[~right].astype(float)}"


def check(
    function: Callable[[Any], Any], x: Any, value: Any, slope: Any, what: str, **tolerance: float
) -> None:
    """value and slope are arrays, or functions of the rounded x in long double; None: not asked."""
    for dtype in DTYPES:
        rounded = np.asarray(x).astype(dtype)
        exact = rounded.astype(np.longdouble)
        with np.errstate(all="ignore"):
            want = value(exact) if callable(value) else value
            wanted_slope = slope(exact) if callable(slope) else slope
        expect(np.asarray(function(rounded).numpy()), want, dtype, f"{what}, eager, {dtype}", **tolerance)
        expect(run(function, rounded), want, dtype, f"{what}, compiled, {dtype}", **tolerance)
        if wanted_slope is not None:
            got = slope_of(function, rounded)
            expect(got, wanted_slope, dtype, f"slope of {what}, {dtype}", **tolerance)


# ---- functions of one number, by mpmath ----

FAR = mpf(10) ** 25  # stands for infinity


def limit(f: Callable[[Any], Any], x: float) -> float:
    """f(x) in 40 digits; at infinity what f tends to."""
    x = float(x)
    if math.isnan(x):
        return nan
    with mp.workdps(60):
        if math.isinf(x):
            y = f(FAR if x > 0 else -FAR)
            return math.copysign(inf, y) if abs(y) >= 1e5 else 0.0 if abs(y) <= 1e-5 else float(y)
        return _float(f(mpf(x)))


def _float(y: Any) -> Any:
    """In two parts, as a long double holds more than a float."""
    high = float(y)
    return high if math.isinf(high) else np.longdouble(high) + np.longdouble(float(y - mpf(high)))


def limits(f: Callable[[Any], Any], points: Sequence[float]) -> np.ndarray:
    return np.array([limit(f, float(x)) for x in points], np.longdouble)


def check_elementwise(
    function: Callable[[Any], Any],
    value: Callable[[Any], Any],
    slope: Callable[[Any], Any],
    points: Sequence[float],
    what: str,
    absolute_slope: float = 0,
    relative: float = 1,
) -> None:
    """Slopes are asked wherever the point is a number."""
    for dtype in DTYPES:
        x = np.array(points).astype(dtype)
        want = limits(value, x)
        expect(np.asarray(function(x).numpy()), want, dtype, f"{what}, eager, {dtype}", relative=relative)
        expect(run(function, x), want, dtype, f"{what}, compiled, {dtype}", relative=relative)
        x = x[~np.isnan(x)]
        got = rv.value_and_grad(lambda x: function(x).sum())(x)[1]
        tolerance = {"relative": 2 * relative, "absolute": absolute_slope}
        expect(got, limits(slope, x), dtype, f"slope of {what}, {dtype}", **tolerance)
