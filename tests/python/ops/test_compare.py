"""Comparisons and logic: results are bool, exactly NumPy's."""

from __future__ import annotations

import numpy as np
import pytest
from helper import Case, bools, case, check, integers, normal

from ravine import ops

COMPARISONS = {
    "equal": (ops.equal, np.equal),
    "not_equal": (ops.not_equal, np.not_equal),
    "less": (ops.less, np.less),
    "less_equal": (ops.less_equal, np.less_equal),
    "greater": (ops.greater, np.greater),
    "greater_equal": (ops.greater_equal, np.greater_equal),
}
ALIASES = {
    "eq": (ops.eq, np.equal),
    "ne": (ops.ne, np.not_equal),
    "lt": (ops.lt, np.less),
    "le": (ops.le, np.less_equal),
    "gt": (ops.gt, np.greater),
    "ge": (ops.ge, np.greater_equal),
}
OPERATORS = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
LOGIC = {
    "logical_and": (ops.logical_and, np.logical_and),
    "logical_or": (ops.logical_or, np.logical_or),
    "logical_xor": (ops.logical_xor, np.logical_xor),
}
PAIRS = [((7,), (7,)), ((4, 1), (1, 33)), ((), (3,)), ((0, 2), (2,))]


def halves(*shape: int, seed: int = 0) -> np.ndarray:
    """Few different numbers, so that equal ones occur."""
    return np.asarray(integers(*shape, low=-2, high=3, seed=seed) / 2)


CASES = [
    *[
        case(name, f, want, halves(*a), halves(*b, seed=1), gradient=False)
        for name, (f, want) in COMPARISONS.items()
        for a, b in PAIRS
    ],
    *[case(name, f, want, halves(33), halves(33, seed=1), gradient=False)
      for name, (f, want) in ALIASES.items()],
    *[
        case(sign, f, f, integers(5, 9, high=3), integers(9, high=3, seed=1), gradient=False)
        for sign, f in OPERATORS.items()
    ],
    *[
        case(name, f, want, np.asarray(bools(*a)), np.asarray(bools(*b, seed=1)), gradient=False)
        for name, (f, want) in LOGIC.items()
        for a, b in PAIRS
    ],
    case("logical_not", ops.logical_not, np.logical_not, bools(3, 35), gradient=False),
    case("~ & | ^", lambda a, b: (~a & b) | (a ^ b), lambda a, b: (~a & b) | (a ^ b), bools(65),
         bools(65, seed=1), gradient=False),
    case("bools compared", ops.less, np.less, bools(65), bools(65, seed=1), gradient=False),
    case("number", lambda x: x > 0.5, lambda x: x > 0.5, normal(4, 9), gradient=False),
    case("logical of numbers", ops.logical_and, np.logical_and, halves(33), halves(33, seed=1),
         gradient=False),
    case("isnan", ops.isnan, np.isnan, np.array([1.0, np.nan, np.inf]), gradient=False),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operation(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("name", COMPARISONS)
def test_nan_equals_nothing(name: str) -> None:
    f, want = COMPARISONS[name]
    a, b = np.array([np.nan, np.nan, 1.0]), np.array([np.nan, 1.0, np.nan])
    np.testing.assert_array_equal(f(a, b).numpy(), want(a, b))


def test_a_mask_selects_without_a_gradient_of_its_own() -> None:
    check(
        case(
            "relu by mask",
            lambda x: ops.where(x > 0, x, 0.1 * x),
            lambda x: np.where(x > 0, x, 0.1 * x),
            normal(9),
        )
    )


def test_bad_input() -> None:
    with pytest.raises(ValueError, match=r"less: shapes \(2,\) and \(3,\) do not broadcast"):
        ops.less(np.ones(2), np.ones(3))


@pytest.mark.parametrize("name", ["bitwise_and", "bitwise_or", "bitwise_xor"])
def test_bits_of_a_number_need_those_of_an_array(name: str) -> None:
    function, want = getattr(ops, name), getattr(np, name)
    bits = np.array([6, 5], "uint8")
    np.testing.assert_array_equal(function(bits, 3).numpy(), want(bits, 3))
    np.testing.assert_array_equal(function(3, ops.cast(bits, "int32")).numpy(), want(3, bits))
    np.testing.assert_array_equal(function([True, False], True).numpy(), want([True, False], True))
    for a, b in ((2, 3), (True, False), (2, np.int64(3))):
        with pytest.raises(TypeError, match=f"{name}: expected a tensor or an array, got {a!r} and "):
            function(a, b)
    with pytest.raises(TypeError, match=r"bitwise_not: expected a tensor or an array, got 2$"):
        ops.bitwise_not(2)


def test_operators_of_bits_take_numbers_on_either_side() -> None:
    x = np.array([6, 5])
    for sign in (lambda a, b: a & b, lambda a, b: a | b, lambda a, b: a ^ b):
        np.testing.assert_array_equal(sign(ops.abs(x), 3).numpy(), sign(x, 3))
        np.testing.assert_array_equal(sign(3, ops.abs(x)).numpy(), sign(3, x))
