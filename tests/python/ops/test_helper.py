"""The helper itself: it finds wrong values and wrong derivatives, and no operation is left out."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from helper import case, check, normal

from ravine import ops


def test_finds_a_wrong_value() -> None:
    with pytest.raises(AssertionError, match="output 0, float64"):
        check(case("wrong", ops.tanh, lambda x: np.tanh(x) * (1 + 1e-10), normal(5)))


def test_finds_a_wrong_shape() -> None:
    with pytest.raises(AssertionError, match=r"shape \(5,\), expected \(1, 5\)"):
        check(case("wrong", ops.tanh, lambda x: np.tanh(x)[None], normal(5)))


def test_finds_a_wrong_gradient() -> None:
    with pytest.raises(AssertionError, match="gradient of input 0"):
        check(case("half of it", lambda x: x * ops.stop_gradient(x), np.square, normal(5)))


def test_finds_a_wrong_second_derivative() -> None:
    def square(x):  # value x², derivative 2x, second derivative 0
        fixed = ops.stop_gradient(x)
        return x * (2 * fixed) - fixed * fixed

    with pytest.raises(AssertionError, match="second derivative"):
        check(case("flat gradient", square, np.square, normal(5)))


def test_every_operation_has_a_case() -> None:
    texts = [file.read_text() for file in Path(__file__).parent.glob("test_*.py") if file != Path(__file__)]
    used = set(re.findall(r"\bops\.(\w+)", "\n".join(texts)))
    assert set(ops.__all__) - used == set()
