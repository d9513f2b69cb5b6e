"""Test functions of unconstrained minimisation: SciPy's usual ones, and those of Moré, Garbow and Hillstrom.

MGH: Moré, Garbow, Hillstrom 1981, "Testing Unconstrained Optimization Software", with its starting points.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ravine import ops


class TestFunction(NamedTuple):
    __test__ = False  # no test of pytest

    function: Callable[[Any], Any]
    start: np.ndarray


def _squares(*residuals: Any) -> Any:
    """The sum of squares of residuals, scalars or vectors."""
    total = 0.0
    for r in residuals:
        total = total + (r * r).sum()
    return total


def _of(n: int) -> np.ndarray:
    return np.arange(1.0, n + 1.0)


def rosenbrock(x: Any) -> Any:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def extended_rosenbrock(x: Any) -> Any:
    pairs = x.reshape(-1, 2)
    a, b = pairs[:, 0], pairs[:, 1]
    return _squares(10 * (b - a * a), 1 - a)


def himmelblau(x: Any) -> Any:
    return (x[0] ** 2 + x[1] - 11) ** 2 + (x[0] + x[1] ** 2 - 7) ** 2


def beale(x: Any) -> Any:
    return _squares(
        1.5 - x[0] * (1 - x[1]), 2.25 - x[0] * (1 - x[1] ** 2), 2.625 - x[0] * (1 - x[1] * x[1] * x[1])
    )


def zakharov(x: Any) -> Any:
    s = (0.5 * _of(x.shape[0]) * x).sum()
    return (x * x).sum() + s**2 + (s * s) ** 2


def quadratic(n: int, condition: float) -> Callable[[Any], Any]:
    rng = np.random.default_rng(n)
    basis = np.linalg.qr(rng.standard_normal((n, n)))[0]
    matrix = basis * np.geomspace(1.0, condition, n) @ basis.T
    target = rng.standard_normal(n)

    def function(x: Any) -> Any:
        e = x - target
        return 0.5 * (e * ops.matmul(matrix, e)).sum()

    return function


def logistic_regression(examples: int, features: int) -> Callable[[Any], Any]:
    rng = np.random.default_rng(examples)
    data = rng.standard_normal((examples, features)) * np.geomspace(0.3, 3, features)
    signs = np.sign(data @ rng.standard_normal(features) + rng.standard_normal(examples))
    return lambda w: ops.softplus(ops.matmul(data, w) * -signs).mean() + 5e-3 * (w * w).sum()


def freudenstein_roth(x: Any) -> Any:
    return _squares(-13 + x[0] + ((5 - x[1]) * x[1] - 2) * x[1], -29 + x[0] + ((x[1] + 1) * x[1] - 14) * x[1])


def powell_badly_scaled(x: Any) -> Any:
    return _squares(1e4 * x[0] * x[1] - 1, ops.exp(-x[0]) + ops.exp(-x[1]) - 1.0001)


def brown_badly_scaled(x: Any) -> Any:
    return _squares(x[0] - 1e6, x[1] - 2e-6, x[0] * x[1] - 2)


def jennrich_sampson(x: Any) -> Any:
    i = _of(10)
    return _squares(2 + 2 * i - (ops.exp(i * x[0]) + ops.exp(i * x[1])))


def helical_valley(x: Any) -> Any:
    turns = ops.atan(x[1] / x[0]) / (2 * np.pi) + ops.where(x[0] < 0, 0.5, 0.0)
    return _squares(10 * (x[2] - 10 * turns), 10 * (ops.sqrt(x[0] ** 2 + x[1] ** 2) - 1), x[2])


BARD = np.array([0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39])


def bard(x: Any) -> Any:
    u = _of(15)
    v = 16 - u
    return _squares(BARD - (x[0] + u / (v * x[1] + np.minimum(u, v) * x[2])))


GAUSSIAN = np.array([9e-4, 0.0044, 0.0175, 0.0540, 0.1295, 0.2420, 0.3521])


def gaussian(x: Any) -> Any:
    t = (8 - _of(15)) / 2
    y = np.concatenate([GAUSSIAN, [0.3989], GAUSSIAN[::-1]])
    return _squares(x[0] * ops.exp(-x[1] * (t - x[2]) ** 2 / 2) - y)


MEYER = np.array(
    [34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872.0]
)


def meyer(x: Any) -> Any:
    t = 45 + 5 * _of(16)
    return _squares(x[0] * ops.exp(x[1] / (t + x[2])) - MEYER)


def gulf(x: Any) -> Any:
    t = _of(99) / 100
    y = 25 + (-50 * np.log(t)) ** (2 / 3)
    d = ops.abs(y - x[1])
    return _squares(ops.exp(-(ops.exp(x[2] * ops.log(d))) / x[0]) - t)


def box(x: Any) -> Any:
    t = 0.1 * _of(10)
    return _squares(ops.exp(-t * x[0]) - ops.exp(-t * x[1]) - x[2] * (np.exp(-t) - np.exp(-10 * t)))


def powell_singular(x: Any) -> Any:
    q = x.reshape(-1, 4)
    a, b, c, d = q[:, 0], q[:, 1], q[:, 2], q[:, 3]
    return _squares(a + 10 * b, np.sqrt(5) * (c - d), (b - 2 * c) ** 2, np.sqrt(10) * (a - d) ** 2)


def wood(x: Any) -> Any:
    return _squares(
        10 * (x[1] - x[0] ** 2),
        1 - x[0],
        np.sqrt(90) * (x[3] - x[2] ** 2),
        1 - x[2],
        np.sqrt(10) * (x[1] + x[3] - 2),
        (x[1] - x[3]) / np.sqrt(10),
    )


KOWALIK_Y = np.array([0.1957, 0.1947, 0.1735, 0.16, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246])
KOWALIK_U = np.array([4, 2, 1, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625])


def kowalik_osborne(x: Any) -> Any:
    u = KOWALIK_U
    return _squares(KOWALIK_Y - x[0] * (u * u + u * x[1]) / (u * u + u * x[2] + x[3]))


def brown_dennis(x: Any) -> Any:
    t = _of(20) / 5
    return _squares((x[0] + t * x[1] - np.exp(t)) ** 2 + (x[2] + x[3] * np.sin(t) - np.cos(t)) ** 2)


OSBORNE_1 = np.array(
    [0.844, 0.908, 0.932, 0.936, 0.925, 0.908, 0.881, 0.850, 0.818, 0.784, 0.751, 0.718, 0.685, 0.658, 0.628]
    + [0.603, 0.580, 0.558, 0.538, 0.522, 0.506, 0.490, 0.478, 0.467, 0.457, 0.448, 0.438, 0.431, 0.424]
    + [0.420, 0.414, 0.411, 0.406]
)


def osborne_1(x: Any) -> Any:
    t = 10 * (_of(33) - 1)
    return _squares(OSBORNE_1 - (x[0] + x[1] * ops.exp(-t * x[3]) + x[2] * ops.exp(-t * x[4])))


OSBORNE_2 = np.array(
    [1.366, 1.191, 1.112, 1.013, 0.991, 0.885, 0.831, 0.847, 0.786, 0.725, 0.746, 0.679, 0.608, 0.655, 0.616]
    + [0.606, 0.602, 0.626, 0.651, 0.724, 0.649, 0.649, 0.694, 0.644, 0.624, 0.661, 0.612, 0.558, 0.533]
    + [0.495, 0.500, 0.423, 0.395, 0.375, 0.372, 0.391, 0.396, 0.405, 0.428, 0.429, 0.523, 0.562, 0.607]
    + [0.653, 0.672, 0.708, 0.633, 0.668, 0.645, 0.632, 0.591, 0.559, 0.597, 0.625, 0.739, 0.710, 0.729]
    + [0.720, 0.636, 0.581, 0.428, 0.292, 0.162, 0.098, 0.054]
)


def osborne_2(x: Any) -> Any:
    t = (_of(65) - 1) / 10
    fit = x[0] * ops.exp(-t * x[4])
    for i in (1, 2, 3):
        gap = t - x[7 + i]
        fit = fit + x[i] * ops.exp(-gap * gap * x[4 + i])
    return _squares(OSBORNE_2 - fit)


def biggs(x: Any) -> Any:
    t = 0.1 * _of(13)
    y = np.exp(-t) - 5 * np.exp(-10 * t) + 3 * np.exp(-4 * t)
    return _squares(x[2] * ops.exp(-t * x[0]) - x[3] * ops.exp(-t * x[1]) + x[5] * ops.exp(-t * x[4]) - y)


def watson(x: Any) -> Any:
    n = x.shape[0]
    t = (_of(29) / 29)[:, None]
    powers = t ** np.arange(n)
    slopes = np.arange(1, n) * t ** np.arange(n - 1)
    residuals = ops.matmul(slopes, x[1:]) - ops.matmul(powers, x) ** 2 - 1
    return _squares(residuals, x[0], x[1] - x[0] ** 2 - 1)


def penalty_1(x: Any) -> Any:
    return 1e-5 * ((x - 1) ** 2).sum() + ((x * x).sum() - 0.25) ** 2


def penalty_2(x: Any) -> Any:
    n = x.shape[0]
    i = _of(n)[1:]
    y = np.exp(i / 10) + np.exp((i - 1) / 10)
    e = ops.exp(x / 10)
    return _squares(
        x[0] - 0.2,
        np.sqrt(1e-5) * (e[1:] + e[:-1] - y),
        np.sqrt(1e-5) * (e[1:] - np.exp(-0.1)),
        (np.arange(n, 0, -1) * x * x).sum() - 1,
    )


def variably_dimensioned(x: Any) -> Any:
    s = (_of(x.shape[0]) * (x - 1)).sum()
    return _squares(x - 1, s, s * s)


def trigonometric(x: Any) -> Any:
    n = x.shape[0]
    c = ops.cos(x)
    return _squares(n - c.sum() + _of(n) * (1 - c) - ops.sin(x))


def brown_almost_linear(x: Any) -> Any:
    n = x.shape[0]
    return _squares(x[:-1] + x.sum() - (n + 1), x.prod() - 1)


def discrete_boundary_value(x: Any) -> Any:
    n = x.shape[0]
    h = 1 / (n + 1)
    cube = x + h * _of(n) + 1
    around = ops.pad(x, (1, 1))
    return _squares(2 * x - around[:-2] - around[2:] + h * h / 2 * cube * cube * cube)


def discrete_integral(x: Any) -> Any:
    n = x.shape[0]
    h = 1 / (n + 1)
    t = h * _of(n)
    cube = x + t + 1
    cube = cube * cube * cube
    kernel = np.where(t[:, None] >= t, (1 - t[:, None]) * t, t[:, None] * (1 - t))
    return _squares(x + h / 2 * ops.matmul(kernel, cube))


def broyden_tridiagonal(x: Any) -> Any:
    around = ops.pad(x, (1, 1))
    return _squares((3 - 2 * x) * x - around[:-2] - 2 * around[2:] + 1)


def broyden_banded(x: Any) -> Any:
    n = x.shape[0]
    i = np.arange(n)
    gap = i[:, None] - i
    near = ((gap <= 5) & (gap >= -1) & (gap != 0)).astype(float)
    return _squares(x * (2 + 5 * x * x) + 1 - ops.matmul(near, x * (1 + x)))


ROWS = 20  # of the linear functions, which have 10 unknowns


def linear_full_rank(x: Any) -> Any:
    mean = 2 / ROWS * x.sum() + 1
    return _squares(x - mean) + (ROWS - x.shape[0]) * _squares(mean)


def linear_rank_1(x: Any) -> Any:
    return _squares(_of(ROWS) * (_of(x.shape[0]) * x).sum() - 1)


def linear_rank_1_with_zeros(x: Any) -> Any:
    n = x.shape[0]
    inner = (_of(n)[1:-1] * x[1:-1]).sum()
    return _squares((_of(ROWS)[1:-1] - 1) * inner - 1) + 2.0


def chebyquad(x: Any) -> Any:
    n = x.shape[0]
    before, now = 1.0, 2 * x - 1
    two = 4 * x - 2
    residuals = []
    for i in range(1, n + 1):
        integral = -1 / (i * i - 1) if i % 2 == 0 else 0.0
        residuals.append(now.mean() - integral)
        before, now = now, two * now - before
    return _squares(*residuals)


def _a(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float64)


FUNCTIONS: dict[str, TestFunction] = {
    **{f"Rosenbrock {n}": TestFunction(rosenbrock, np.resize([-1.2, 1.0], n)) for n in (2, 5, 10, 30, 100)},
    "Himmelblau": TestFunction(himmelblau, _a(0.0, 0.0)),
    "Beale": TestFunction(beale, _a(1.0, 1.0)),
    "Zakharov 2": TestFunction(zakharov, _a(-3.0, 4.0)),
    "Zakharov 10": TestFunction(zakharov, np.ones(10)),
    **{f"quadratic {k:g}": TestFunction(quadratic(20, k), np.zeros(20)) for k in (1e1, 1e3, 1e6)},
    "logistic regression": TestFunction(logistic_regression(200, 15), np.zeros(15)),
}

MGH: dict[str, TestFunction] = {
    "Freudenstein and Roth": TestFunction(freudenstein_roth, _a(0.5, -2.0)),
    "Powell badly scaled": TestFunction(powell_badly_scaled, _a(0.0, 1.0)),
    "Brown badly scaled": TestFunction(brown_badly_scaled, _a(1.0, 1.0)),
    "Jennrich and Sampson": TestFunction(jennrich_sampson, _a(0.3, 0.4)),
    "Helical valley": TestFunction(helical_valley, _a(-1.0, 0.0, 0.0)),
    "Bard": TestFunction(bard, np.ones(3)),
    "Gaussian": TestFunction(gaussian, _a(0.4, 1.0, 0.0)),
    "Meyer": TestFunction(meyer, _a(0.02, 4000.0, 250.0)),
    "Gulf research": TestFunction(gulf, _a(5.0, 2.5, 0.15)),
    "Box": TestFunction(box, _a(0.0, 10.0, 20.0)),
    "Powell singular": TestFunction(powell_singular, _a(3.0, -1.0, 0.0, 1.0)),
    "extended Powell singular": TestFunction(powell_singular, np.tile([3.0, -1.0, 0.0, 1.0], 5)),
    "Wood": TestFunction(wood, _a(-3.0, -1.0, -3.0, -1.0)),
    "Kowalik and Osborne": TestFunction(kowalik_osborne, _a(0.25, 0.39, 0.415, 0.39)),
    "Brown and Dennis": TestFunction(brown_dennis, _a(25.0, 5.0, -5.0, -1.0)),
    "Osborne 1": TestFunction(osborne_1, _a(0.5, 1.5, -1.0, 0.01, 0.02)),
    "Biggs": TestFunction(biggs, _a(1.0, 2.0, 1.0, 1.0, 1.0, 1.0)),
    "Osborne 2": TestFunction(osborne_2, _a(1.3, 0.65, 0.65, 0.7, 0.6, 3.0, 5.0, 7.0, 2.0, 4.5, 5.5)),
    "Watson 6": TestFunction(watson, np.zeros(6)),
    "Watson 9": TestFunction(watson, np.zeros(9)),
    "extended Rosenbrock": TestFunction(extended_rosenbrock, np.tile([-1.2, 1.0], 10)),
    "penalty 1": TestFunction(penalty_1, _of(4)),
    "penalty 2": TestFunction(penalty_2, np.full(4, 0.5)),
    "variably dimensioned": TestFunction(variably_dimensioned, 1 - _of(10) / 10),
    "trigonometric": TestFunction(trigonometric, np.full(10, 0.1)),
    "Brown almost linear": TestFunction(brown_almost_linear, np.full(8, 0.5)),
    "discrete boundary value": TestFunction(discrete_boundary_value, _of(10) / 11 * (_of(10) / 11 - 1)),
    "discrete integral": TestFunction(discrete_integral, _of(10) / 11 * (_of(10) / 11 - 1)),
    "Broyden tridiagonal": TestFunction(broyden_tridiagonal, -np.ones(10)),
    "Broyden banded": TestFunction(broyden_banded, -np.ones(10)),
    "linear, full rank": TestFunction(linear_full_rank, np.ones(10)),
    "linear, rank 1": TestFunction(linear_rank_1, np.ones(10)),
    "linear, rank 1 with zeros": TestFunction(linear_rank_1_with_zeros, np.ones(10)),
    "Chebyquad 7": TestFunction(chebyquad, _of(7) / 8),
    "Chebyquad 8": TestFunction(chebyquad, _of(8) / 9),
}
