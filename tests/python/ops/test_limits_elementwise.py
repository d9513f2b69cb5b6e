"""Slopes where functions bend or have none: bounds, ties, zeros, what is switched off."""

from __future__ import annotations

import numpy as np
import pytest
from limits import DTYPES, check, inf, nan, slope_of

import ravine as rv
from ravine import ops


def like(numbers, x):
    return np.array(numbers, x.dtype)


# name: function, points, values, slopes (of the sum)
BENDS = {
    "abs": (ops.abs, [0, -1, 2, -inf], [0, 1, 2, inf], [0, -1, 1, -1]),
    "sign": (ops.sign, [0, -3, inf, nan], [0, -1, 1, 0], [0, 0, 0, 0]),
    "clip": (lambda x: ops.clip(x, -1, 1), [-1, 1, 2, -2, inf, -inf], [-1, 1, 1, -1, 1, -1],
             [1, 1, 0, 0, 0, 0]),
    "clip, one side": (lambda x: ops.clip(x, None, 1), [1, 2, -inf], [1, 1, -inf], [1, 0, 1]),
    "clip, tensors": (lambda x: ops.clip(x, like([-1] * 6, x), like([1] * 6, x)), [-1, 1, 2, -2, inf, -inf],
                      [-1, 1, 1, -1, 1, -1], [1, 1, 0, 0, 0, 0]),
    "clip, a tensor and a number": (lambda x: ops.clip(x, like([-1, 0, 1], x), 2), [-1, 3, 1], [-1, 2, 1],
                                    [1, 0, 1]),
    "clip, high below low": (lambda x: ops.clip(x, like([3], x), like([1], x)), [0, 2, 9], [1, 1, 1],
                             [0, 0, 0]),
    "clip, bounds that are missing": (lambda x: ops.clip(x, like([nan, 0], x)), [1, 2], [nan, 2], [0, 1]),
    "maximum": (lambda x: ops.maximum(x, like([1, 0, 5], x)), [1, 1, 1], [1, 1, 5], [0.5, 1, 0]),
    "minimum": (lambda x: ops.minimum(x, like([1, 0, 5], x)), [1, 1, 1], [1, 0, 1], [0.5, 0, 1]),
    "sqrt of relu": (lambda x: ops.sqrt(ops.relu(x)), [-1, 4], [0, 2], [0, 0.25]),
    "log of relu": (lambda x: ops.log(ops.relu(x)), [-1, 2], [-inf, np.log(np.longdouble(2))], [0, 0.5]),
    "1 / relu": (lambda x: 1 / ops.relu(x), [-1, 2], [inf, 0.5], [0, -0.25]),
    "sqrt of relu6": (lambda x: ops.sqrt(ops.relu6(x)), [-1, 4], [0, 2], [0, 0.25]),
    "sqrt of clip": (lambda x: ops.sqrt(ops.clip(x, 0, None)), [-1, 4], [0, 2], [0, 0.25]),
    "sqrt of maximum": (lambda x: ops.sqrt(ops.maximum(x, like([0], x))), [-1, 4], [0, 2], [0, 0.25]),
    "sqrt of threshold": (lambda x: ops.sqrt(ops.threshold(x, 0, 0)), [-1, 4], [0, 2], [0, 0.25]),
    "sqrt of hardshrink": (lambda x: ops.sqrt(ops.hardshrink(x)), [0.25, 4], [0, 2], [0, 0.25]),
    "x ** 0": (lambda x: ops.pow(x, 0), [0, 1, -2], [1, 1, 1], [0, 0, 0]),
    "x ** 1": (lambda x: ops.pow(x, 1), [0, 1, -2], [0, 1, -2], [1, 1, 1]),
    "x ** 3": (lambda x: ops.pow(x, 3), [0, 2, -2], [0, 8, -8], [0, 12, 12]),
    "x ** [2, 1, 0]": (lambda x: ops.pow(x, like([2, 1, 0], x)), [0, -3, 0], [0, -3, 1], [0, 1, 0]),
}  # fmt: skip


@pytest.mark.parametrize("name", BENDS)
def test_bend(name: str) -> None:
    function, x, values, slopes = BENDS[name]
    weights = np.arange(1, len(x) + 1)
    values = np.array(values, np.longdouble)
    x = np.array(x, float)
    want = np.array(slopes, np.longdouble) * weights
    if np.isnan(x).any():
        check(function, x, values, None, name)
    else:
        check(function, x, values, want, name, relative=2)


def test_the_slope_by_a_bound() -> None:
    for dtype in DTYPES:
        x = np.array([0, 1, 2, 5], dtype)
        low = np.array([1, 1, 1, 1], dtype)
        gradient = rv.value_and_grad(lambda low, x: ops.clip(x, low, 3.0).sum())(low, x)[1]
        np.testing.assert_array_equal(gradient, [1, 0, 0, 0])


def test_both_sides_of_a_maximum_when_an_infinity_comes_from_above() -> None:
    a, b = np.array([0.0, 1.0]), np.array([-1.0, 4.0])
    first, second = rv.value_and_grad(lambda p: ops.sqrt(ops.maximum(p[0], p[1])).sum())([a, b])[1]
    np.testing.assert_array_equal(first, [inf, 0])
    np.testing.assert_array_equal(second, [0, 0.25])


def test_root_of_a_centered_mean_square_that_rounding_takes_below_zero() -> None:
    gradient = (10.0 ** np.random.default_rng(5).uniform(-3, 4, 64)).astype("float32")
    model = rv.nn.Linear(64, 1, bias=False)
    model.weight.data[...] = 0.0
    step = rv.TrainStep(model, lambda out, y: out.sum(), rv.optim.RMSprop(lr=1e-10, centered=True))
    for _ in range(3000):
        step(gradient[None], np.zeros((1, 1), "float32"))
    assert np.isfinite(model.weight.data).all()


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_plateau_is_one_whatever_the_sign_of_the_metric(mode: str, sign: float) -> None:
    for threshold_mode in ("rel", "abs"):
        schedule = rv.optim.schedules.ReduceOnPlateau(
            1.0, mode=mode, factor=0.5, patience=1, threshold=0.01, threshold_mode=threshold_mode
        )
        for _ in range(4):
            schedule.update(sign * 100.0)
        assert schedule(0) == 0.5
        better = -5.0 if mode == "min" else 5.0
        for k in range(1, 5):
            schedule.update(sign * 100.0 + k * better)
        assert schedule(0) == 0.5
    assert slope_of(ops.relu, np.array([-1.0, 1.0])).tolist() == [0, 2]
