"""Activation functions. Softmax has a file of its own."""

from __future__ import annotations

import numpy as np
import pytest
from helper import Case, apart, case, check, normal
from scipy import special

import ravine as rv
from ravine import ops

SHAPES = [(), (0, 3), (7,), (5, 67)]


def gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def softplus(x):
    return np.logaddexp(x, 0)


def elu(x, alpha=1.0):
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


# One input; kinks are where the derivative jumps.
ACTIVATIONS = {
    "celu": (lambda x: ops.celu(x, 0.6), lambda x: np.where(x > 0, x, 0.6 * np.expm1(np.minimum(x, 0) / 0.6)),
             [0.0]),
    "elu": (ops.elu, elu, [0.0]),
    "elu 0.7": (lambda x: ops.elu(x, 0.7), lambda x: elu(x, 0.7), [0.0]),
    "gelu": (ops.gelu, lambda x: x * special.ndtr(x), []),
    "gelu tanh": (lambda x: ops.gelu(x, approximate="tanh"), gelu_tanh, []),
    "hardshrink": (ops.hardshrink, lambda x: np.where(np.abs(x) > 0.5, x, 0), [-0.5, 0.5]),
    "hardsigmoid": (ops.hardsigmoid, lambda x: np.clip(x / 6 + 0.5, 0, 1), [-3.0, 3.0]),
    "hardswish": (ops.hardswish, lambda x: x * np.clip(x / 6 + 0.5, 0, 1), [-3.0, 3.0]),
    "hardtanh": (lambda x: ops.hardtanh(x, -0.5, 0.8), lambda x: np.clip(x, -0.5, 0.8), [-0.5, 0.8]),
    "leaky_relu": (ops.leaky_relu, lambda x: np.where(x > 0, x, 0.01 * x), [0.0]),
    "leaky_relu -0.3": (lambda x: ops.leaky_relu(x, -0.3), lambda x: np.where(x > 0, x, -0.3 * x), [0.0]),
    "logsigmoid": (ops.logsigmoid, lambda x: -softplus(-x), []),
    "mish": (ops.mish, lambda x: x * np.tanh(softplus(x)), []),
    "relu": (ops.relu, lambda x: np.maximum(x, 0), [0.0]),
    "relu6": (ops.relu6, lambda x: np.clip(x, 0, 6), [0.0, 6.0]),
    "selu": (ops.selu,
             lambda x: 1.0507009873554804934193349852946 * elu(x, 1.6732632423543772848170429916717), [0.0]),
    "sigmoid": (ops.sigmoid, special.expit, []),
    "silu": (ops.silu, lambda x: x * special.expit(x), []),
    "softplus": (ops.softplus, softplus, []),
    "softplus, beta": (lambda x: ops.softplus(x, beta=2.5), lambda x: softplus(2.5 * x) / 2.5, []),
    "softshrink": (ops.softshrink, lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0), [-0.5, 0.5]),
    "softsign": (ops.softsign, lambda x: x / (1 + np.abs(x)), [0.0]),
    "tanhshrink": (ops.tanhshrink, lambda x: x - np.tanh(x), []),
    "threshold": (lambda x: ops.threshold(x, 0.3, -2), lambda x: np.where(x > 0.3, x, -2), [0.3]),
}  # fmt: skip

CASES = [
    *[
        case(name, f, want, 2 * apart(*shape, kinks=[k / 2 for k in kinks]))
        for name, (f, want, kinks) in ACTIVATIONS.items()
        for shape in SHAPES
    ],
    case("prelu", ops.prelu, lambda x, w: np.where(x > 0, x, w * x), apart(4, 9), normal(1, scale=0.2)),
    case("prelu, per channel", ops.prelu, lambda x, w: np.where(x > 0, x, w[:, None] * x), apart(2, 3, 5),
         normal(3)),
    case("softmin", ops.softmin, lambda x: special.softmax(-x, -1), normal(4, 9)),
    case("softmin, first dimension", lambda x: ops.softmin(x, 0), lambda x: special.softmax(-x, 0),
         normal(4, 9)),
    case("normalize", ops.normalize, lambda x: x / np.linalg.norm(x, axis=1, keepdims=True), normal(4, 9)),
    case("normalize, sum of magnitudes", lambda x: ops.normalize(x, 1, 0), lambda x: x / np.abs(x).sum(0),
         apart(4, 9)),
    case("glu", ops.glu, lambda x: x[:, :3] * special.expit(x[:, 3:]), normal(5, 6)),
    case("glu, first dimension", lambda x: ops.glu(x, 0), lambda x: x[:2] * special.expit(x[2:]),
         normal(4, 3)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_activation(case: Case) -> None:
    check(case)


EXTREMES = np.array([-1e4, -200.0, -90.0, 90.0, 200.0, 1e4])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_far_from_zero(name: str, dtype: str) -> None:
    f, want, _ = ACTIVATIONS[name]
    with np.errstate(all="ignore"):
        expected = want(EXTREMES)
    got = f(EXTREMES.astype(dtype)).numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-5 if dtype == "float32" else 1e-12, atol=1e-30)


def test_relu_of_integers() -> None:
    y = ops.relu(np.array([-2, 0, 3], "int32"))
    assert y.dtype == "int32"
    np.testing.assert_array_equal(y.numpy(), [0, 0, 3])


@pytest.mark.parametrize("p", [1, 2, np.inf])
def test_normalize_of_zeros(p: float) -> None:
    x = np.zeros((2, 3), "float32")
    np.testing.assert_array_equal(ops.normalize(x, p).numpy(), x)
    gradient = rv.value_and_grad(lambda x: ops.sum(ops.normalize(x, p, eps=1e-3)))(x)[1]
    np.testing.assert_allclose(gradient, np.full((2, 3), 1e3), rtol=1e-5)


BAD = [
    (lambda: ops.elu(np.ones(3), float("nan")), ValueError, "elu: alpha must be finite, got nan"),
    (lambda: ops.leaky_relu(np.ones(3), float("inf")), ValueError, "leaky_relu: slope must be finite"),
    (lambda: ops.celu(np.ones(3), 0), ValueError, "celu: alpha must not be 0"),
    (lambda: ops.softshrink(np.ones(3), -1.0), ValueError, "softshrink: lambd must not be negative, got -1"),
    (lambda: ops.gelu(np.ones(3), approximate="erf"), ValueError, "gelu"),
    (lambda: ops.prelu(np.ones((2, 3)), np.ones(2)), ValueError, r"prelu.*\(2, 3\)"),
    (lambda: ops.glu(np.ones((2, 3))), ValueError, "glu"),
    (lambda: ops.relu(np.ones(3, object)), TypeError, "relu: an array of dtype object"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
