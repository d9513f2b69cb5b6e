"""Every activation at 0, 1, its bounds, in its tails, far away, at infinity and NaN, by mpmath.

Value and slope; at a kink the slope is torch's.
"""

from __future__ import annotations

import numpy as np
import pytest
from limits import check, check_elementwise, functions_of, inf, nan
from mpmath import mp

import ravine as rv
from ravine import ops
from ravine.ops import _activation

SCALE, ALPHA = 1.0507009873554805, 1.6732632423543772


def gate(x):
    return 1 / (1 + mp.exp(-x))


def density(x):
    return mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi)


def distribution(x):
    return mp.erfc(-x / mp.sqrt(2)) / 2 if abs(x) < 1000 else mp.mpf(x > 0)


def inner(x):  # of GELU's approximation x / (1 + e^-inner)
    return 2 * mp.sqrt(2 / mp.pi) * (x + mp.mpf("0.044715") * x**3)


def inner_slope(x):
    return 2 * mp.sqrt(2 / mp.pi) * (1 + 3 * mp.mpf("0.044715") * x**2)


def softplus(x):
    return mp.log1p(mp.exp(-abs(x))) + max(x, 0)


def mish_slope(x):
    t = mp.tanh(softplus(x))
    return t + x * gate(x) * (1 - t * t)


def tanhshrink(x):
    return x - mp.tanh(x)


def between(x, low, high):
    return low < x < high


def clipped(x, low, high):
    return min(max(x, low), high)


def bent(alpha, rate=1.0, scale=1.0):
    """The value and slope of scale (x > 0 ? x : alpha (e^(rate x) - 1))."""
    return (
        lambda x: scale * (x if x > 0 else alpha * mp.expm1(rate * x)),
        lambda x: scale * (1 if x > 0 else alpha * rate * mp.exp(rate * x)),
    )


# name: function, value, slope, points of its own
ELEMENTWISE = {
    "relu": (ops.relu, lambda x: max(x, 0), lambda x: x > 0, []),
    "relu6": (ops.relu6, lambda x: clipped(x, 0, 6), lambda x: between(x, 0, 6), [6]),
    "leaky_relu": (lambda x: ops.leaky_relu(x, 0.25), lambda x: x if x > 0 else x / 4,
                   lambda x: 1 if x > 0 else 0.25, []),
    "leaky_relu, slope 0": (lambda x: ops.leaky_relu(x, 0), lambda x: max(x, 0), lambda x: x > 0, []),
    "leaky_relu, slope below 0": (lambda x: ops.leaky_relu(x, -0.25), lambda x: x if x > 0 else -x / 4,
                                  lambda x: 1 if x > 0 else -0.25, []),
    "prelu": (lambda x: ops.prelu(x, np.array([0.25], x.dtype)), lambda x: x if x > 0 else x / 4,
              lambda x: 1 if x > 0 else 0.25, []),
    "elu": (ops.elu, *bent(1), []),
    "elu, alpha below 0": (lambda x: ops.elu(x, -1.5), *bent(-1.5), []),
    "celu": (lambda x: ops.celu(x, 2.0), *bent(2, 0.5), []),
    "celu, alpha below 0": (lambda x: ops.celu(x, -2.0), *bent(-2, -0.5), []),
    "selu": (ops.selu, *bent(ALPHA, 1, SCALE), []),
    "gelu": (ops.gelu, lambda x: x * distribution(x), lambda x: distribution(x) + x * density(x), [-36]),
    "gelu, tanh": (lambda x: ops.gelu(x, approximate="tanh"), lambda x: x * gate(inner(x)),
                   lambda x: gate(inner(x)) * (1 + x * (1 - gate(inner(x))) * inner_slope(x)), [-8]),
    "silu": (ops.silu, lambda x: x * gate(x), lambda x: gate(x) * (1 + x * (1 - gate(x))), []),
    "mish": (ops.mish, lambda x: x * mp.tanh(softplus(x)), mish_slope, []),
    "sigmoid": (ops.sigmoid, gate, lambda x: gate(x) * gate(-x), []),
    "softplus": (ops.softplus, lambda x: x if x > 20 else softplus(x), lambda x: 1 if x > 20 else gate(x),
                 [20, 20.5]),
    "softplus, beta": (lambda x: ops.softplus(x, 0.5), lambda x: x if x > 40 else 2 * softplus(x / 2),
                       lambda x: 1 if x > 40 else gate(x / 2), [40, 41]),
    "softsign": (ops.softsign, lambda x: x / (1 + abs(x)), lambda x: 1 / (1 + abs(x)) ** 2, [1e-8]),
    "logsigmoid": (ops.logsigmoid, lambda x: -softplus(-x), lambda x: gate(-x), []),
    "tanhshrink": (ops.tanhshrink, tanhshrink, lambda x: mp.tanh(x) ** 2, [1e-3, -0.54, 0.56]),
    "hardtanh": (lambda x: ops.hardtanh(x, -0.5, 2), lambda x: clipped(x, -0.5, 2),
                 lambda x: between(x, -0.5, 2), [-0.5, 2]),
    "hardshrink": (ops.hardshrink, lambda x: 0 if abs(x) <= 0.5 else x, lambda x: abs(x) > 0.5, [-0.5, 0.5]),
    "softshrink": (ops.softshrink, lambda x: mp.sign(x) * max(abs(x) - 0.5, 0), lambda x: abs(x) > 0.5,
                   [-0.5, 0.5]),
    "threshold": (lambda x: ops.threshold(x, 0.5, 9), lambda x: x if x > 0.5 else 9, lambda x: x > 0.5,
                  [0.5]),
    "hardsigmoid": (ops.hardsigmoid, lambda x: clipped(x + 3, 0, 6) / 6,
                    lambda x: between(x, -3, 3) / mp.mpf(6), [-3, 3]),
    "hardswish": (ops.hardswish, lambda x: x * clipped(x + 3, 0, 6) / 6,
                  lambda x: 0 if x <= -3 else 1 if x >= 3 else x / 3 + mp.mpf(0.5), [-3, 3]),
}  # fmt: skip
POINTS = [
    0,
    1,
    -1,
    0.25,
    -0.25,
    5.5,
    -5.5,
    10,
    -10,
    17,
    -17,
    40,
    -40,
    80,
    -80,
    1e4,
    -1e4,
    1e20,
    -1e20,
    inf,
    -inf,
    nan,
]
# The slope comes from the result, whose rounding beside 1 remains.
FROM_THE_RESULT = {"sigmoid"}
# Roundings of an exponent as large as the tail is thin; and the difference of two numbers of one size.
LESS_EXACT = {"gelu, tanh": 8.0, "tanhshrink": 2.0, "softplus": 2.0}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise(name: str) -> None:
    function, value, slope, own = ELEMENTWISE[name]
    absolute = 1 if name in FROM_THE_RESULT else 0
    check_elementwise(function, value, slope, POINTS + own, name, absolute, LESS_EXACT.get(name, 1))


# ---- along a dimension ----


def log_softmax(x, axis=-1):
    highest = x.max(axis, keepdims=True)
    others = np.exp(x - highest)
    is_one = others == 1
    rest = np.where(is_one, 0, others).sum(axis, keepdims=True) + (is_one.sum(axis, keepdims=True) - 1)
    return x - highest - np.log1p(rest)


def softmax(x):
    return np.exp(log_softmax(x))


def weights_like(x):
    return np.arange(1, x.size + 1, dtype=x.dtype).reshape(x.shape)


def softmax_slope(x, sign=1):
    p, w = softmax(sign * x), weights_like(x)
    return sign * p * (w - (p * w).sum(-1, keepdims=True))


def log_softmax_slope(x):
    w = weights_like(x)
    return w - softmax(x) * w.sum(-1, keepdims=True)


QUARTERS = np.array([[0, 1.25, -3, 0.5], [2, 2, -2, -2]])
ROWS = {
    "offset": [QUARTERS + c for c in (0, 1e3, -(2.0**14), 2.0**18, -(2.0**20))],
    "ties": [np.full((2, 3), c) for c in (0, 1, 1e4, -1e8, 1e20)],
    "saturated": [np.array([[0, -30], [-60, 40]]), np.array([[0, -1e4], [1e20, -1e20]])],
    "masked": [np.array([[0.5, -inf, 1], [-inf, -inf, 3]])],
    "one class": [np.array([[3.0], [-1e20]])],
    "one row": [QUARTERS[:1]],
    "many classes": [np.linspace(-8, 8, 65)[None] * [[1], [3]]],
}


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("name", ["softmax", "softmin", "log_softmax"])
def test_softmax_family(name: str, kind: str) -> None:
    for x in ROWS[kind]:
        x = -x if name == "softmin" else x
        function, value, slope = {
            "softmax": (ops.softmax, softmax, softmax_slope),
            "softmin": (ops.softmin, lambda x: softmax(-x), lambda x: softmax_slope(x, -1)),
            "log_softmax": (ops.log_softmax, log_softmax, log_softmax_slope),
        }[name]
        scale = 4 * x.size  # slopes are differences of the weights
        check(function, x, value, None, f"{name} of {kind}", relative=2)
        check(function, x, value, slope, f"{name} of {kind}", relative=2, absolute=scale)


@pytest.mark.parametrize("name", ["softmax", "softmin", "log_softmax"])
def test_softmax_family_of_what_has_no_limit(name: str) -> None:
    """As torch: NaN in a slice without a finite maximum, or with a NaN. An empty one stays empty."""
    function = getattr(ops, name)
    mask = inf if name == "softmin" else -inf
    x = np.array([[mask, mask], [nan, 1], [0, 0]])
    half = np.log(np.longdouble(0.5)) if name == "log_softmax" else 0.5
    check(function, x, [[nan, nan], [nan, nan], [half, half]], None, name)
    for shape in ((0, 3), (3, 0)):
        check(function, np.zeros(shape), np.zeros(shape), np.zeros(shape), name)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_softmax_family_of_integers(dtype: str) -> None:
    x = np.array([[1, 2, 250]]).astype(dtype)
    for name in ("softmax", "softmin", "log_softmax", "logsumexp"):
        function = getattr(ops, name)
        y = function(x, 1).numpy()
        assert y.dtype == np.float32
        np.testing.assert_array_equal(y, function(x.astype("float32"), 1).numpy())


def normalized(x, p):
    return x / np.maximum(np.linalg.norm(x, p, axis=1, keepdims=True), 1e-12)


@pytest.mark.parametrize("p", [1, 2, inf])
def test_normalize(p: float) -> None:
    for x in (
        [[3, 4], [-6, 8]],
        [[1e4, 0], [1, -1e4]],
        [[1e15, 1e15], [3e15, -4e15]],
        [[2]],
        np.zeros((0, 2)),
    ):
        check(lambda x: ops.normalize(x, p), np.array(x), lambda x: normalized(x, p), None, f"normalize {p}")
    # At 0, below eps, it is x / eps: its slope is 1 / eps; in torch too.
    check(
        lambda x: ops.normalize(x, p, eps=0.25),
        np.zeros((1, 2)),
        np.zeros((1, 2)),
        [[4, 8]],
        f"normalize {p} of 0",
    )
    check(lambda x: ops.normalize(x, p), [[nan, 1], [3, 0]], [[nan, nan], [1, 0]], None, "normalize of NaN")


def test_glu() -> None:
    a, b = [1, -2, 1e20, inf, 3], [0, -20, 40, 1, -inf]

    def want(x):
        return x[:5] / (1 + np.exp(-x[5:]))

    def slope(x):
        s, w = 1 / (1 + np.exp(-x[5:])), np.arange(1, 6)
        return np.concatenate([s * w, x[:5] * s / (1 + np.exp(x[5:])) * w])

    check(ops.glu, [*a, *b], want, slope, "glu", absolute=1e20 * 1e-2)
    check(ops.glu, [nan, 1, 2, nan], [nan, nan], None, "glu of NaN")


def test_every_activation_has_a_row() -> None:
    rows = {name.split(",")[0] for name in ELEMENTWISE} | {
        "softmax",
        "softmin",
        "log_softmax",
        "normalize",
        "glu",
    }
    assert rows == functions_of(_activation)


@pytest.mark.parametrize("p", [0.5, 1.0])
@pytest.mark.parametrize("name", ["dropout", "dropout2d", "drop_path"])
def test_what_dropout_drops_is_zero_whatever_it_was(name: str, p: float) -> None:
    x = np.array([inf, -inf, nan, 1e38] * 64, "float32").reshape(16, 16)
    dropped = getattr(ops, name)(x, p).numpy() == 0
    assert dropped.mean() == 1 if p == 1 else 0.2 < dropped.mean() < 0.8
    above = np.full((16, 16), inf, "float32")
    gradient = rv.value_and_grad(lambda x: (getattr(ops, name)(x, p) * above).sum())(x)[1]
    assert set(np.unique(gradient)) == ({0.0} if p == 1 else {0.0, inf})
