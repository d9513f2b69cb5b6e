"""Every reduction and norm of empty, equal, infinite, missing and far-off numbers; in value and slope."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from limits import DTYPES, check, functions_of, inf, nan, slope_of

import ravine as rv
from ravine import nn, ops
from ravine.ops import _norm, _reduce

ROOT = np.sqrt(np.longdouble(2))
THIRD = 1 / 3  # no float: sums of it are rounded
EQUAL = [[c] * 7 for c in (0, 0.1, 1e4 + THIRD, -(2.0**20) - 0.1, 1e20 / 3)]


def logsumexp(x):
    highest = x.max()
    is_one = x == highest
    rest = np.where(is_one, 0, np.exp(x - highest)).sum()
    return highest + np.log1p(rest + (is_one.sum() - 1))


def shares(x):
    return np.exp(x - logsumexp(x))


# name: function, points as (numbers, value, slope); None: no slope is asked
Row = tuple[Any, Any, Any]
ROWS: dict[str, tuple[Callable[[Any], Any], list[Row]]] = {
    "sum": (
        ops.sum,
        [
            ([], 0, []),
            ([3], 3, [1]),
            ([inf, 1, 2], inf, [1, 1, 1]),
            ([inf, -inf], nan, [1, 1]),
            ([nan, 1], nan, [1, 1]),
            ([1e20, -1e20], 0, [1, 1]),
        ],
    ),
    "mean": (
        ops.mean,
        [([], nan, None), ([3], 3, [1]), ([-inf, 1], -inf, [0.5, 0.5]), ([nan, 1], nan, [0.5, 0.5])],
    ),
    "prod": (
        ops.prod,
        [
            ([], 1, []),
            ([0, 2, 3], 0, [6, 0, 0]),
            ([0, 0, 3], 0, [0, 0, 0]),
            ([inf, 2], inf, [2, inf]),
            ([nan, 2], nan, None),
        ],
    ),
    "amax": (
        ops.amax,
        [
            ([3, 1, 3], 3, [0.5, 0, 0.5]),
            ([-inf, -inf], -inf, [0.5, 0.5]),
            ([inf, 1], inf, [1, 0]),
            ([nan, 1], nan, None),
            ([5], 5, [1]),
        ],
    ),
    "amin": (
        ops.amin,
        [([3, 1, 1], 1, [0, 0.5, 0.5]), ([-inf, 1], -inf, [1, 0]), ([1, nan], nan, None), ([5], 5, [1])],
    ),
    "max": (
        lambda x: ops.max(x, 0)[0],
        [([3, 1, 3], 3, [1, 0, 0]), ([-inf, inf], inf, [0, 1]), ([1, nan], nan, None)],
    ),
    "min": (
        lambda x: ops.min(x, 0)[0],
        [([1, 3, 1], 1, [1, 0, 0]), ([-inf, inf], -inf, [1, 0]), ([nan, 1], nan, None)],
    ),
    "var": (
        ops.var,
        [
            *[(row, 0, [0] * 7) for row in EQUAL],
            ([1, 2, 3, 4], 5 / np.longdouble(3), np.array([-1, -1 / 3, 1 / 3, 1], np.longdouble)),
            ([2.0**20 + 1, 2.0**20 + 3], 2, [-2, 2]),
            ([7], nan, None),
            ([], nan, None),
            ([inf, 1], nan, None),
            ([nan, 1], nan, None),
        ],
    ),
    "std": (
        ops.std,
        [
            *[(row, 0, [0] * 7) for row in EQUAL],
            ([2.0**20 + 1, 2.0**20 + 3], ROOT, [-1 / ROOT, 1 / ROOT]),
            ([7], nan, None),
            ([inf, 1], nan, None),
        ],
    ),
    "logsumexp": (
        ops.logsumexp,
        [
            ([], -inf, []),
            ([3], 3, [1]),
            ([-inf, -inf], -inf, [0, 0]),
            ([-inf, 2, -inf], 2, [0, 1, 0]),
            ([inf, 1], inf, None),
            ([nan, 1], nan, None),
            *[(row, logsumexp, shares) for row in ([0, -20], [0, -30, -40], [1, 2, 3], [0, 0], [-70, -70.5])],
            *[([c, c], lambda x: x[0] + np.log(np.longdouble(2)), [0.5, 0.5]) for c in (1, -1e4, 1e8, 1e20)],
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_reduction(name: str) -> None:
    function, rows = ROWS[name]
    for x, value, slope in rows:
        check(function, np.array(x, float), value, slope, f"{name} of {x}", relative=2)


@pytest.mark.parametrize("name", ["amax", "amin", "max", "min", "argmax", "argmin"])
def test_nothing_is_the_largest_of_nothing(name: str) -> None:
    with pytest.raises(ValueError, match="no elements to choose from"):
        getattr(ops, name)(np.zeros((0,), "float32"), 0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_arguments_of_extremes(dtype: str) -> None:
    for x, largest, smallest in (
        ([1, 3, 3], 1, 0),
        ([inf, -inf, inf], 0, 1),
        ([2], 0, 0),
        ([1, nan, 3], 1, 1),
    ):
        assert ops.argmax(np.array(x, dtype)).numpy() == largest
        assert ops.argmin(np.array(x, dtype)).numpy() == smallest


def test_the_default_correction_is_one() -> None:
    x = np.array([1.0, 2.0, 4.0])
    for function in (ops.var, ops.std):
        np.testing.assert_array_equal(function(x, correction=None).numpy(), function(x, correction=1).numpy())


def test_every_reduction_has_a_row() -> None:
    assert ROWS.keys() | {"argmax", "argmin"} == functions_of(_reduce)


# ---- norms: [N, C, positions] ----

EPS = 1e-5


def normalised(x, axes, keep=None):
    """(x - mean) / sqrt(var + eps), relative to an element, in long double."""
    x = x - x[tuple(slice(0, 1) if i in axes else slice(None) for i in range(x.ndim))]
    x = x - x.mean(axes, keepdims=True)
    return x / np.sqrt((x * x).mean(axes, keepdims=True) + EPS)


def norm_slope(x, axes):
    y = normalised(x, axes)
    shifted = x - x[tuple(slice(0, 1) if i in axes else slice(None) for i in range(x.ndim))]
    shifted = shifted - shifted.mean(axes, keepdims=True)
    scale = 1 / np.sqrt((shifted * shifted).mean(axes, keepdims=True) + EPS)
    w = np.arange(1, x.size + 1, dtype=x.dtype).reshape(x.shape)
    return scale * (w - w.mean(axes, keepdims=True) - y * (y * w).mean(axes, keepdims=True))


# name: function, axes that are normalised
NORMS = {
    "batch_norm": (lambda x: ops.batch_norm(x, training=True), (0, 2)),
    "layer_norm": (lambda x: ops.layer_norm(x, x.shape[2]), (2,)),
    "group_norm": (lambda x: ops.group_norm(x, x.shape[1]), (2,)),
    "instance_norm": (ops.instance_norm, (2,)),
}
# batch_norm computes x scale + shift, which rounds numbers as large as mean · scale.
EXACT = [name for name in NORMS if name != "batch_norm"]
BASE = np.array([[[0, 1.25, -3, 0.5], [2, 2, -2, -2]], [[1, 0, 0, 0], [0.5, -0.25, 8, 3]]])


@pytest.mark.parametrize("offset", [0.0, 1e4, -(2.0**16)])
@pytest.mark.parametrize("name", EXACT)
def test_norm_with_an_offset(name: str, offset: float) -> None:
    function, axes = NORMS[name]
    slack = 2.0 if offset == 0 else 2.0**4
    x = BASE + offset
    check(function, x, lambda x: normalised(x, axes), None, f"{name}, {offset:g}", relative=4, absolute=slack)
    check(
        function,
        x,
        lambda x: normalised(x, axes),
        lambda x: norm_slope(x, axes),
        f"{name}, {offset:g}",
        relative=8,
        absolute=100 * slack,
    )


@pytest.mark.parametrize("size", [0.0, 1.0, 0.1, 1e4 + THIRD, -1e20 / 3])
@pytest.mark.parametrize("positions", [3, 7, 70])
@pytest.mark.parametrize("name", EXACT)
def test_norm_of_equal_numbers_is_zero(name: str, positions: int, size: float) -> None:
    function, axes = NORMS[name]
    x = np.full((2, 2, positions), size)
    check(function, x, np.zeros(x.shape), None, name)
    # Slopes are differences of the weights over sqrt(eps).
    check(function, x, np.zeros(x.shape), lambda x: norm_slope(x, axes), name, relative=8, absolute=1e5)


@pytest.mark.parametrize("offset", [0.0, 1.0, -1e2, 1e4, 2.0**16])
def test_batch_norm_rounds_in_proportion_to_its_mean(offset: float) -> None:
    function, axes = NORMS["batch_norm"]
    for dtype in DTYPES:
        y = function((BASE + offset).astype(dtype)).numpy()
        allowed = 4 * np.finfo(dtype).eps * (1 + abs(offset))
        np.testing.assert_allclose(y, normalised(BASE, axes).astype(float), rtol=0, atol=allowed)


@pytest.mark.parametrize("name", NORMS)
def test_nan_stays_where_it_is_normalised(name: str) -> None:
    function, axes = NORMS[name]
    for missing in (nan, inf):
        x = BASE.astype("float32")
        x[0, 0, 1] = missing
        y = function(x).numpy()
        touched = np.isnan(normalised(np.where(np.isfinite(x), x, nan), axes))
        assert np.isnan(y[touched]).any()
        np.testing.assert_array_equal(np.isnan(y[~touched]), False)


def test_norms_of_one_number_and_of_none() -> None:
    one = np.array([[[3.0]], [[1e20]]])
    check(NORMS["layer_norm"][0], one, np.zeros((2, 1, 1)), np.zeros((2, 1, 1)), "one feature")
    for name in ("batch_norm", "instance_norm"):
        with pytest.raises(ValueError, match=f"{name}: more than one"):
            NORMS[name][0](np.ones((1, 2, 1)))
    for name in ("layer_norm", "group_norm", "instance_norm"):
        none = np.zeros((0, 2, 4))
        check(NORMS[name][0], none, none, none, f"{name} of none")


def test_running_statistics_normalise_by_limits() -> None:
    x = np.array([[1e4 + 1.0], [-1e20], [inf], [nan]])
    mean, var = np.array([1e4]), np.array([4.0 - EPS])
    y = ops.batch_norm(x, mean, var).numpy()
    np.testing.assert_allclose(y[:, 0], [0.5, -5e19, inf, nan], rtol=1e-12)


def test_rms_norm_at_its_limits() -> None:
    """Nothing is subtracted: zeros stay, and only what is not finite spreads along its row."""
    x = np.array([[0.0, 0.0], [1e4, -1e4], [1e15, 0.0], [nan, 1.0], [inf, 1.0]])
    root = 2**0.5
    for dtype in DTYPES:
        y = ops.rms_norm(x.astype(dtype), 2).numpy()
        np.testing.assert_allclose(y[:3], [[0, 0], [1, -1], [root, 0]], rtol=4 * np.finfo(dtype).eps)
        assert np.isnan(y[3]).all() and np.isnan(y[4, 0])
        slope = rv.value_and_grad(lambda a: ops.rms_norm(a, 2).sum())(np.zeros((1, 2), dtype))[1]
        np.testing.assert_allclose(slope, np.full((1, 2), 1 / np.sqrt(np.finfo(dtype).eps)), rtol=1e-6)


def test_every_norm_has_a_row() -> None:
    assert {*NORMS, "rms_norm"} == functions_of(_norm)


def test_modules_of_equal_rows_train() -> None:
    model = nn.Sequential(nn.LayerNorm(5), nn.Linear(5, 1))
    step = rv.TrainStep(model, nn.MSELoss(), rv.optim.SGD(lr=0.1))
    for _ in range(3):
        assert np.isfinite(step(np.full((4, 5), 1e20 / 3, "float32"), np.ones((4, 1), "float32")))
    assert all(np.isfinite(v).all() for v in model.state_dict().values())
    assert slope_of(ops.std, np.full(5, 0.1, "float32")).tolist() == [0] * 5
