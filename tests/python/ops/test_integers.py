"""Integers and bools: exact powers, rounding, bits, signs, limits; dims that are none."""

from __future__ import annotations

import operator

import numpy as np
import pytest
from helper import run

import ravine as rv
from ravine import ops

INTEGERS = ("int32", "int64", "uint8")


@pytest.mark.parametrize("dtype", INTEGERS)
def test_powers_are_exact(dtype: str) -> None:
    info = np.iinfo(dtype)
    bases = np.array([0, 1, 2, 3, 7, 15], dtype)
    with np.errstate(all="ignore"):
        for exponent in (0, 1, 2, 3, 5, 13, 33):
            want = np.array([int(b) ** exponent for b in bases], object)
            want = np.array([(int(w) - info.min) % (1 << info.bits) + info.min for w in want], dtype)
            for got in (ops.pow(bases, exponent).numpy(), run(lambda x, e=exponent: x**e, bases)):
                assert got.dtype == dtype
                np.testing.assert_array_equal(got, want, err_msg=str(exponent))
    by_tensor = ops.pow(bases, np.array([0, 5, 4, 3, 2, 1], dtype)).numpy()
    np.testing.assert_array_equal(by_tensor, np.array([1, 1, 16, 27, 49, 15], dtype))
    assert ops.pow(bases, 0.5).numpy().dtype == np.float32
    assert int(ops.pow(np.array([3]), 39).numpy()[0]) == 3**39  # above 2^53


def test_negative_powers_of_integers() -> None:
    for exponent in (-1, -2, np.int64(-3)):
        with pytest.raises(ValueError, match="pow: integers to a negative power are no integers, got int64"):
            ops.pow(np.array([1, 2]), exponent)
        with pytest.raises(ValueError, match="pow"):
            run(lambda x, e=exponent: x**e, np.array([1, 2], "uint8"))
    whole = ops.pow(np.array([1, -1, -1, 2, 0]), np.array([-1, -2, -3, -1, -1])).numpy()
    np.testing.assert_array_equal(whole, [1, 1, -1, 0, 0])
    np.testing.assert_array_equal(ops.pow(np.array([2.0]), -1).numpy(), [0.5])


@pytest.mark.parametrize("name", ["floor", "ceil", "round", "sign"])
@pytest.mark.parametrize("dtype", INTEGERS)
def test_rounding_leaves_integers_as_they_are(name: str, dtype: str) -> None:
    x = np.array([0, 1, 7, np.iinfo(dtype).max], dtype)
    y = getattr(ops, name)(x).numpy()
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, np.sign(x) if name == "sign" else x)


@pytest.mark.parametrize("dtype", [*INTEGERS, "bool"])
def test_bits(dtype: str) -> None:
    a, b = np.array([12, 5, 0, 255]).astype(dtype), np.array([10, 3, 7, 0]).astype(dtype)
    functions = (
        (ops.bitwise_and, operator.and_),
        (ops.bitwise_or, operator.or_),
        (ops.bitwise_xor, operator.xor),
    )
    for function, f in functions:
        want = f(a, b)
        for got in (
            function(a, b).numpy(),
            run(f, a, b),
            run(lambda x, f=f, b=b: f(b, x), a),
        ):
            assert got.dtype == want.dtype
            np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(run(operator.invert, a), ~a)
    np.testing.assert_array_equal(ops.bitwise_not(a).numpy(), ~a)
    for f in (operator.and_, operator.or_, operator.xor):
        with pytest.raises(TypeError, match=r"bitwise_.*: expected integers or bools"):
            run(f, a, np.ones(4, "float32"))
    with pytest.raises(TypeError, match="bitwise_not: expected integers or bools, got float32"):
        run(operator.invert, np.ones(4, "float32"))


def test_bits_of_different_dtypes_take_the_wider() -> None:
    got = ops.bitwise_and(np.array([True, False]), np.array([7, 7])).numpy()
    assert got.dtype == np.int64
    np.testing.assert_array_equal(got, [1, 0])


def test_bools_alone_are_logic_as_in_numpy() -> None:
    a, b = np.array([True, True, False]), np.array([True, False, False])
    for name in ("add", "mul", "maximum", "minimum", "sign", "abs"):
        f = {"mul": np.multiply, "sign": lambda x: x}.get(name) or getattr(np, name)
        arguments = (a,) if name in ("sign", "abs") else (a, b)
        got = getattr(ops, name)(*arguments).numpy()
        assert got.dtype == bool
        np.testing.assert_array_equal(got, f(*arguments), err_msg=name)
    assert ops.add(a, 1).numpy().dtype == np.int64
    assert ops.sum(a).numpy() == 2
    with pytest.raises(TypeError, match="neg: bools have no sign and no difference; use logical_not"):
        ops.neg(a)
    with pytest.raises(TypeError, match="sub: bools have no sign and no difference; use logical_xor"):
        ops.sub(a, b)


def test_activations_that_keep_integers() -> None:
    x = np.array([-7, 0, 3, 9])
    for got, want in (
        (ops.relu6(x), [0, 0, 3, 6]),
        (ops.hardtanh(x, -2, 5), [-2, 0, 3, 5]),
        (ops.threshold(x, 1, 20), [20, 20, 3, 9]),
        (ops.hardshrink(x, 4), [-7, 0, 0, 9]),
    ):
        assert got.numpy().dtype == np.int64
        np.testing.assert_array_equal(got.numpy(), want)


DIMS = [
    lambda x: ops.sum(x, True),
    lambda x: ops.amax(x, (True, 0)),
    lambda x: ops.softmax(x, False),
    lambda x: ops.logsumexp(x, True),
    lambda x: ops.flip(x, True),
    lambda x: ops.squeeze(x, False),
    lambda x: ops.unsqueeze(x, True),
    lambda x: ops.transpose(x, False, True),
    lambda x: ops.permute(x, (True, False)),
    lambda x: ops.concat([x, x], True),
    lambda x: ops.chunk(x, 2, True),
    lambda x: ops.argmax(x, True),
    lambda x: ops.normalize(x, dim=True),
    lambda x: ops.glu(x, True),
]


@pytest.mark.parametrize("call", DIMS)
def test_a_bool_is_no_dim(call) -> None:
    with pytest.raises(TypeError, match=r"must be an integer.*, got (True|False|\()"):
        call(np.ones((2, 2), "float32"))


def test_flip_of_no_dimension_is_the_identity() -> None:
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(ops.flip(x, ()).numpy(), x)
    np.testing.assert_array_equal(ops.flip(x, (0, 1)).numpy(), x[::-1, ::-1])
    gradient = rv.value_and_grad(lambda x: (ops.flip(x, ()) * np.arange(6.0).reshape(2, 3)).sum())(x)[1]
    np.testing.assert_array_equal(gradient, x)
