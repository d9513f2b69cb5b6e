"""Further elementwise functions, against NumPy and SciPy, and their limits."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from helper import Case, apart, case, check, integers, normal, positive
from scipy import special

import ravine as rv
from ravine import ops


def inside(*shape: int, seed: int = 0) -> np.ndarray:
    """Numbers in (-0.95, 0.95)."""
    return np.random.default_rng([seed, *shape]).uniform(-0.95, 0.95, size=shape)


def above(*shape: int, seed: int = 0) -> np.ndarray:
    return positive(*shape, seed=seed) + 1


UNARY = {
    "log2": (ops.log2, np.log2, positive),
    "log10": (ops.log10, np.log10, positive),
    "exp2": (ops.exp2, np.exp2, normal),
    "tan": (ops.tan, np.tan, inside),
    "asin": (ops.asin, np.arcsin, inside),
    "arcsin": (ops.arcsin, np.arcsin, inside),
    "acos": (ops.acos, np.arccos, inside),
    "arccos": (ops.arccos, np.arccos, inside),
    "sinh": (ops.sinh, np.sinh, normal),
    "cosh": (ops.cosh, np.cosh, normal),
    "asinh": (ops.asinh, np.arcsinh, normal),
    "arcsinh": (ops.arcsinh, np.arcsinh, normal),
    "acosh": (ops.acosh, np.arccosh, above),
    "arccosh": (ops.arccosh, np.arccosh, above),
    "atanh": (ops.atanh, np.arctanh, inside),
    "arctanh": (ops.arctanh, np.arctanh, inside),
    "erfc": (ops.erfc, special.erfc, normal),
    "erfinv": (ops.erfinv, special.erfinv, inside),
    "lgamma": (ops.lgamma, special.gammaln, positive),
    "digamma": (ops.digamma, special.digamma, positive),
    "polygamma": (lambda x: ops.polygamma(2, x), lambda x: special.polygamma(2, x), positive),
    "mvlgamma": (lambda x: ops.mvlgamma(x, 3), lambda x: special.multigammaln(x, 3)
                 if not np.ndim(x) else np.vectorize(lambda v: special.multigammaln(v, 3))(x), above),
    "trunc": (ops.trunc, np.trunc, apart),
    "fix": (ops.fix, np.trunc, apart),
    "frac": (ops.frac, lambda x: x - np.trunc(x), lambda *s: apart(*s, kinks=[-1, 0, 1])),
    "deg2rad": (ops.deg2rad, np.deg2rad, normal),
    "rad2deg": (ops.rad2deg, np.rad2deg, normal),
    "positive": (ops.positive, np.positive, normal),
    "sgn": (ops.sgn, np.sign, apart),
    "logit": (ops.logit, special.logit, lambda *s: (inside(*s) + 1) / 2),
    "sinc": (ops.sinc, np.sinc, apart),
    "nan_to_num": (ops.nan_to_num, np.nan_to_num, normal),
    "clamp_min": (lambda x: ops.clamp_min(x, 0.1), lambda x: np.maximum(x, 0.1), lambda *s: apart(*s,
    kinks=[0.1])),
    "clamp_max": (lambda x: ops.clamp_max(x, 0.1), lambda x: np.minimum(x, 0.1), lambda *s: apart(*s,
    kinks=[0.1])),
}  # fmt: skip
BINARY = {
    "atan2": (ops.atan2, np.arctan2, normal),
    "arctan2": (ops.arctan2, np.arctan2, normal),
    "hypot": (ops.hypot, np.hypot, normal),
    "logaddexp": (ops.logaddexp, np.logaddexp, normal),
    "logaddexp2": (ops.logaddexp2, np.logaddexp2, normal),
    "copysign": (ops.copysign, np.copysign, apart),
    "xlogy": (ops.xlogy, special.xlogy, positive),
    "xlog1py": (ops.xlog1py, special.xlog1py, positive),
    "fmod": (ops.fmod, np.fmod, positive),
    "remainder": (ops.remainder, np.mod, positive),
    "fmax": (ops.fmax, np.fmax, normal),
    "fmin": (ops.fmin, np.fmin, normal),
    "floor_divide": (ops.floor_divide, np.floor_divide, positive),
    "true_divide": (ops.true_divide, np.divide, positive),
    "rsub": (lambda a, b: ops.rsub(a, b, alpha=2), lambda a, b: b - 2 * a, normal),
}

CASES = [
    *[case(name, f, want, make(2, 9)) for name, (f, want, make) in UNARY.items()],
    *[case(name, f, want, make(3, 4), make(4, seed=1)) for name, (f, want, make) in BINARY.items()],
    case("zeta", lambda q: ops.zeta(3.0, q), lambda q: special.zeta(3.0, q), positive(9)),
    case("lerp", ops.lerp, lambda a, b, w: a + w * (b - a), normal(2, 3), normal(3), inside(2, 3)),
    case("addcmul", lambda a, b, c: ops.addcmul(a, b, c, value=0.5), lambda a, b, c: a + 0.5 * b * c,
         normal(2, 3),
         normal(3), normal(2, 1)),
    case("addcdiv", lambda a, b, c: ops.addcdiv(a, b, c, value=2), lambda a, b, c: a + 2 * b / c, normal(2,
         3),
         normal(3), positive(2, 1)),
    case("ldexp", lambda x: ops.ldexp(x, np.array([1, -2, 3])), lambda x: np.ldexp(x, [1, -2, 3]), normal(2,
         3)),
    case("% and //", lambda a, b: a % b + 7.0 % b + (a // b) * 0 + 5.0 // b, lambda a,
         b: a % b + 7 % b + 5 // b,
         positive(5), positive(5, seed=1) + 0.3),
    case("float_power", lambda x: ops.cast(ops.float_power(x, 3), x.dtype), lambda x: x**3, normal(5)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operation(case: Case) -> None:
    check(case)


INF, NAN = np.inf, np.nan


def zeta(s: int, q: float) -> float:
    """Hurwitz's function, by the derivatives of the logarithm of gamma, which reflect."""
    return float((-1) ** s * mpmath.psi(s - 1, mpmath.mpf(q)) / mpmath.factorial(s - 1))


LIMITS = [
    (ops.log2, [8, 0, -1, INF], [3, -INF, NAN, INF]),
    (ops.log10, [1000, 0, -1], [3, -INF, NAN]),
    (ops.exp2, [10, -INF, INF], [1024, 0, INF]),
    (ops.asin, [1, -1, 2], [np.pi / 2, -np.pi / 2, NAN]),
    (ops.acos, [1, -1, -2], [0, np.pi, NAN]),
    (ops.acosh, [1, 0.5], [0, NAN]),
    (ops.atanh, [1, -1, 2], [INF, -INF, NAN]),
    (ops.erfc, [INF, -INF, 30], [0, 2, 0]),
    (ops.erfinv, [1, -1, 0, 1.5], [INF, -INF, 0, NAN]),
    (ops.lgamma, [1, 2, 0, -1, INF], [0, 0, INF, INF, INF]),
    (ops.digamma, [0.0, -0.0, -1, INF], [-INF, INF, NAN, INF]),
    (ops.isfinite, [1, INF, NAN], [True, False, False]),
    (ops.isinf, [1, -INF, NAN], [False, True, False]),
    (ops.isposinf, [INF, -INF, NAN], [True, False, False]),
    (ops.isneginf, [INF, -INF, NAN], [False, True, False]),
    (ops.signbit, [-0.0, 0.0, -2, 2], [True, False, True, False]),
    (ops.sinc, [0, 1], [1, 0]),
    (lambda x: ops.nan_to_num(x, 1, 2, 3), [NAN, INF, -INF, 5], [1, 2, 3, 5]),
    (lambda x: ops.heaviside(x, 0.5), [-1, 0, 2], [0, 0.5, 1]),
    (lambda x: ops.fmax(x, 0.0), [NAN, 1, -1], [0, 1, 0]),
    (lambda x: ops.fmin(x, 0.0), [NAN, 1, -1], [0, 0, -1]),
    (lambda x: ops.xlogy(x, 0.0), [0, 1, NAN], [0, -INF, NAN]),
    (lambda x: ops.remainder(x, 3.0), [-4, 4, INF], [2, 1, NAN]),
    (lambda x: ops.fmod(x, 3.0), [-4, 4, INF], [-1, 1, NAN]),
    (lambda x: ops.atan2(x, -1.0), [0.0, -0.0, INF], [np.pi, -np.pi, np.pi / 2]),
    (lambda x: ops.hypot(x, 1e300), [1e300, INF, 0], [np.hypot(1e300, 1e300), INF, 1e300]),
    (lambda x: ops.logaddexp(x, 1000.0), [1000, -INF, INF], [1000 + np.log(2), 1000, INF]),
    (lambda x: ops.zeta(2.0, x), [1, 0, INF], [np.pi**2 / 6, INF, 0]),
    (lambda x: ops.zeta(2.0, x), below := [-0.5, -3.25, -1e-9, -100.75], [zeta(2, x) for x in below]),
    (lambda x: ops.zeta(2.0, x), [-1e9 - 0.25], [2 * np.pi**2 - 1e-9]),  # all of π² / sin²(πx) but its tail
    (lambda x: ops.zeta(5.0, x), [-1e9 - 0.5, -0.25, -2], [0.0, zeta(5, -0.25), INF]),
    (lambda x: ops.zeta(2.5, x), [-0.5, -2], [NAN, INF]),
    (lambda x: ops.nextafter(x, 2.0), [1, 2, 3], [np.nextafter(1, 2), 2, np.nextafter(3, 2)]),
    (lambda x: ops.isclose(x, 1.0 + 0 * x), [1, 1.000001, 1.1, NAN], [True, True, False, False]),
]  # fmt: skip


@pytest.mark.parametrize("place", range(len(LIMITS)))
def test_limits(place: int) -> None:
    function, numbers, want = LIMITS[place]
    np.testing.assert_allclose(function(np.array(numbers, "float64")).numpy(), want, rtol=1e-15, atol=4e-16)


def sinc_slope(x: float) -> float:
    exact = mpmath.diff(lambda z: mpmath.sin(mpmath.pi * z) / (mpmath.pi * z), mpmath.mpf(x))
    return float(exact)


# By the definition in more digits: where the formula that the value suggests would cancel, overflow or round.
SLOPES = [
    (ops.sinc, small := [1e-8, 1e-4, 1e-3, 0.01, 0.1, 0.159, 0.16, 0.5], [sinc_slope(x) for x in small]),
    (ops.logit, [-0.5, 0, 0.25, 0.5, 1, 1.5], [NAN, INF, 16 / 3, 4, INF, NAN]),
    (ops.asinh, [0, 1, 1e30, -1e300], [1, 0.5**0.5, 1e-30, 1e-300]),
    (lambda b: ops.remainder(np.array([1, 0.5, 1, -1.0]), b), [0.1, 0.1, -0.1, 0.1], [-9, -4, 10, 10]),
    (lambda b: ops.fmod(np.array([1, 0.5, 1, -1.0]), b), [0.1, 0.1, -0.1, 0.1], [-9, -4, 9, 9]),
]


@pytest.mark.parametrize("place", range(len(SLOPES)))
def test_slopes(place: int) -> None:
    function, numbers, want = SLOPES[place]
    _, slopes = rv.value_and_grad(lambda x: ops.sum(function(x)))(np.array(numbers, "float64"))
    np.testing.assert_allclose(slopes, want, rtol=2e-15)


def test_polygamma_takes_its_order_first_or_last() -> None:
    x = np.array([0.5, 3.0])
    want = special.polygamma(2, x)
    for given in (
        ops.polygamma(2, x),
        ops.polygamma(x, 2),
        ops.polygamma(x, n=2),
        ops.positive(x).polygamma(2),
    ):
        np.testing.assert_allclose(given.numpy(), want, rtol=1e-13)


def test_integers() -> None:
    a, b = np.array([-7, 7, 5]), np.array([3, -3, 0])
    np.testing.assert_array_equal(ops.remainder(a, b).numpy(), [2, -2, 5])
    np.testing.assert_array_equal(ops.fmod(a, b).numpy(), [-1, 1, 5])
    np.testing.assert_array_equal(ops.floor_divide(a, 3).numpy(), a // 3)
    np.testing.assert_array_equal(ops.bitwise_left_shift(a, 2).numpy(), a << 2)
    np.testing.assert_array_equal(ops.bitwise_right_shift(a, 1).numpy(), a >> 1)
    x = integers(3, 4, high=5)
    np.testing.assert_array_equal(ops.trunc(x).numpy(), x)
    assert ops.exp2(x).numpy().dtype == "float32"


def test_whether_all_are_close() -> None:
    assert bool(ops.allclose(np.ones(3), np.ones(3) + 1e-9))
    assert not bool(ops.allclose(np.array([1.0, np.nan]), np.array([1.0, np.nan])))
    assert bool(ops.allclose(np.array([1.0, np.nan]), np.array([1.0, np.nan]), equal_nan=True))


BAD = [
    (lambda: ops.frac(np.ones(3, int)), TypeError, "frac: input must be floating, got int64"),
    (lambda: ops.lerp(np.ones(3), np.ones(3, "float32"), 0.5), TypeError,
     "lerp: input and end must have one dtype"),
    (lambda: ops.polygamma(-1, np.ones(3)), ValueError, "polygamma: n must be at least 0"),
    (lambda: ops.hypot(np.ones(3), np.ones(2)), ValueError,
     r"hypot: shapes \(3,\) and \(2,\) do not broadcast"),
    (lambda: ops.bitwise_left_shift(np.ones(3), 1), TypeError, "bitwise_left_shift: integers are expected"),
    (lambda: ops.isclose(np.ones(3), np.ones(3), rtol=-1), ValueError, "isclose: rtol must be"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_slopes_at_and_near_the_origin(dtype: str) -> None:
    """Radii whose squares are no numbers any more count, and the origin has slopes of 0."""
    tiny = np.finfo(dtype).tiny * 1024
    y, x = np.array([0, tiny, 3, 0], dtype), np.array([0, tiny, -4, 2], dtype)
    _, (dy, dx) = rv.value_and_grad(lambda both: ops.hypot(*both).sum())((y, x))
    np.testing.assert_allclose(dy, [0, 0.5**0.5, 0.6, 0], rtol=1e-6)
    np.testing.assert_allclose(dx, [0, 0.5**0.5, -0.8, 1], rtol=1e-6)
    _, (dy, dx) = rv.value_and_grad(lambda both: (ops.atan2(*both) * tiny).sum())((y, x))
    np.testing.assert_allclose(dy, [0, 0.5, -0.16 * tiny, 0.5 * tiny], rtol=1e-5)
    np.testing.assert_allclose(dx, [0, -0.5, -0.12 * tiny, 0], rtol=1e-5)
