"""Arithmetic and mathematical functions with NumPy's broadcasting."""

from __future__ import annotations

import numpy as np
import pytest
from helper import Case, apart, bools, case, check, integers, normal, positive, run
from scipy import special

import ravine as rv
from ravine import ops

UNARY = {
    "abs": (ops.abs, np.abs, apart),
    "atan": (ops.atan, np.arctan, normal),
    "ceil": (ops.ceil, np.ceil, apart),
    "cos": (ops.cos, np.cos, normal),
    "erf": (ops.erf, special.erf, normal),
    "exp": (ops.exp, np.exp, normal),
    "expm1": (ops.expm1, np.expm1, normal),
    "floor": (ops.floor, np.floor, apart),
    "log": (ops.log, np.log, positive),
    "log1p": (ops.log1p, np.log1p, positive),
    "neg": (ops.neg, np.negative, normal),
    "reciprocal": (ops.reciprocal, np.reciprocal, positive),
    "rsqrt": (ops.rsqrt, lambda x: 1 / np.sqrt(x), positive),
    "sign": (ops.sign, np.sign, apart),
    "sin": (ops.sin, np.sin, normal),
    "sqrt": (ops.sqrt, np.sqrt, positive),
    "square": (ops.square, np.square, normal),
    "tanh": (ops.tanh, np.tanh, normal),
}
SHAPES = [(), (0,), (7,), (3, 5), (4, 0, 2), (2, 3, 17)]

BINARY = {
    "add": (ops.add, np.add),
    "sub": (ops.sub, np.subtract),
    "mul": (ops.mul, np.multiply),
    "div": (ops.div, np.divide),
    "pow": (ops.pow, np.power),
    "maximum": (ops.maximum, np.maximum),
    "minimum": (ops.minimum, np.minimum),
}
PAIRS = [
    ((5,), (5,)),
    ((4, 7), (7,)),
    ((4, 1), (1, 7)),
    ((2, 3, 5), (3, 1)),
    ((), (3, 2)),
    ((0, 3), (3,)),
    ((1, 65), (33, 1)),
]

CASES = [
    *[case(name, f, want, make(*shape)) for name, (f, want, make) in UNARY.items() for shape in SHAPES],
    *[
        case(name, f, want, positive(*a), positive(*b, seed=1))
        for name, (f, want) in BINARY.items()
        for a, b in PAIRS
    ],
    case("round", ops.round, np.round, normal(4, 9, scale=3)),
    case("round half to even", ops.round, np.round, np.array([0.5, 1.5, 2.5, -0.5, -1.5]), gradient=False),
    case("clip", lambda x: ops.clip(x, -0.5, 0.7), lambda x: np.clip(x, -0.5, 0.7),
         apart(5, 9, kinks=[-0.5, 0.7])),
    case("clip below", lambda x: ops.clip(x, min=0.1), lambda x: np.maximum(x, 0.1), apart(13, kinks=[0.1])),
    case("clamp above", lambda x: ops.clamp(x, max=0.1), lambda x: np.minimum(x, 0.1),
         apart(13, kinks=[0.1])),
    case("where", ops.where, np.where, bools(4, 5), normal(4, 5), normal(5, seed=1)),
    case("where, empty", ops.where, np.where, bools(0, 5), normal(0, 5), normal(5, seed=1)),
    case("where, broadcast", ops.where, np.where, bools(4, 1), normal(3, 1, 5), normal(1, seed=1)),
    case("number beside tensor", lambda x: 2 - x * 3 / 4 + 1, lambda x: 2 - x * 3 / 4 + 1, normal(3, 4)),
    case("number before tensor", lambda x: 2 / x, lambda x: 2 / x, positive(3, 4)),
    case("pow, square", lambda x: x**2, lambda x: x**2, normal(3, 4)),
    case("pow, cube of negatives", lambda x: x**3, lambda x: x**3, normal(3, 4)),
    case("pow, root", lambda x: x**0.5, lambda x: x**0.5, positive(3, 4)),
    case("pow, number to tensor", lambda x: 2**x, lambda x: 2.0**x, normal(3, 4)),
    case("same input twice", lambda x: x * x + x, lambda x: x * x + x, normal(3, 4)),
    case("stop_gradient", lambda x: ops.stop_gradient(x) * 2, lambda x: x * 2, normal(3), gradient=False),
    case("detach", lambda x: ops.detach(x) + 1, lambda x: x + 1, normal(3), gradient=False),
    case("chain", lambda x, y: ops.tanh(x * y + ops.exp(x)) / y, lambda x, y: np.tanh(x * y + np.exp(x)) / y,
         normal(3, 37), positive(37)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operation(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
def test_integers(dtype: str) -> None:
    a, b = integers(3, 5, low=1, high=9, dtype=dtype), integers(5, low=1, high=9, seed=1, dtype=dtype)
    for f, want in (
        (ops.add, np.add),
        (ops.mul, np.multiply),
        (ops.maximum, np.maximum),
        (ops.minimum, np.minimum),
    ):
        got = f(a, b).numpy()
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, want(a, b))
    np.testing.assert_array_equal(ops.square(a).numpy(), a * a)
    np.testing.assert_array_equal(ops.clip(a, 3, 6).numpy(), np.clip(a, 3, 6))
    np.testing.assert_allclose(ops.div(a, b).numpy(), a / b, rtol=1e-6)
    np.testing.assert_allclose(ops.exp(a).numpy(), np.exp(a.astype(float)), rtol=1e-6)
    np.testing.assert_array_equal(ops.pow(a, 2 * np.ones((), dtype)).numpy(), a.astype("int64") ** 2 % 2**31)


DTYPES = ["bool", "uint8", "int32", "int64", "float32", "float64"]


@pytest.mark.parametrize("a", DTYPES)
@pytest.mark.parametrize("b", DTYPES)
def test_sum_has_the_wider_dtype(a: str, b: str) -> None:
    wider = DTYPES[max(DTYPES.index(a), DTYPES.index(b))]
    y = run(ops.add, np.ones(3, a), np.ones(3, b))
    assert y.dtype == wider
    np.testing.assert_array_equal(y, np.full(3, 2).astype(wider))  # True of two bools, as in NumPy


@pytest.mark.parametrize("source", DTYPES)
@pytest.mark.parametrize("target", DTYPES)
def test_cast(source: str, target: str) -> None:
    x = np.array([0, 1, 2, 77, 3, 0, 9]).astype(source)
    y = ops.cast(x, target)
    assert y.dtype == target
    np.testing.assert_array_equal(y.numpy(), x.astype(target))


def test_cast_passes_the_gradient_on() -> None:
    check(case("cast", lambda x: ops.cast(ops.cast(x, "float64"), x.dtype) ** 2, np.square, normal(3, 4)))


def test_no_gradient_through_stop_gradient() -> None:
    f = rv.value_and_grad(lambda x: ops.sum(ops.stop_gradient(x) * x))
    x = normal(5).astype("float32")
    np.testing.assert_allclose(f(x)[1], x, rtol=1e-6)


def test_equal_maxima_share_the_gradient() -> None:
    x = np.array([1.0, 2.0, 3.0], "float32")
    y = np.array([1.0, 1.0, 5.0], "float32")
    f = rv.value_and_grad(lambda x, y: ops.sum(ops.maximum(x, y)))
    np.testing.assert_array_equal(f(x, y)[1], [0.5, 1, 0])


def test_pow_at_zero() -> None:
    x = np.array([0.0, 0.0, 2.0], "float32")
    y = np.array([0.0, 2.0, 0.0], "float32")
    np.testing.assert_array_equal(ops.pow(x, y).numpy(), [1, 0, 1])
    f = rv.value_and_grad(lambda x: ops.sum(ops.pow(x, y)))
    np.testing.assert_array_equal(f(x)[1], [0, 0, 0])


def test_nan_and_infinity() -> None:
    x = np.array([np.nan, np.inf, -np.inf, 0.0])
    np.testing.assert_array_equal(ops.maximum(x, np.zeros(4)).numpy(), [np.nan, np.inf, 0, 0])
    np.testing.assert_array_equal(ops.clip(x, -1, 1).numpy(), [np.nan, 1, -1, 0])
    np.testing.assert_array_equal(ops.exp(x).numpy(), [np.nan, np.inf, 0, 1])
    np.testing.assert_array_equal(ops.log(x).numpy(), [np.nan, np.inf, np.nan, -np.inf])
    np.testing.assert_array_equal(ops.tanh(x).numpy(), [np.nan, 1, -1, 0])


BAD = [
    (
        lambda: ops.add(np.ones((2, 3)), np.ones(4)),
        ValueError,
        r"add: shapes \(2, 3\) and \(4,\) do not broadcast",
    ),
    (lambda: ops.where(np.ones(3), np.ones(3), np.ones(3)), TypeError, "where: the condition must be bool"),
    (lambda: ops.where(bools(2), np.ones(3), np.ones(3)), ValueError, r"where: shapes \(2,\) and \(3,\)"),
    (lambda: ops.clip(np.ones(3), float("nan"), 1), ValueError, "clip: a bound is NaN"),
    (lambda: ops.add(np.array(["a"]), 1), TypeError, "add: an array of dtype"),
    (lambda: ops.exp(np.ones(3, complex)), TypeError, "exp: an array of dtype complex128"),
    (lambda: ops.cast(np.ones(3), "float16"), TypeError, "float16"),
    (lambda: ops.exp(np.ones((1,) * 9)), ValueError, "9 dimensions, at most 8 are supported"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
