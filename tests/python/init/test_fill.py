"""Initialisation: distributions, bounds, structure, errors."""

from __future__ import annotations

import math

import numpy as np
import pytest

import ravine as rv
from ravine import init, nn

WEIGHT = (64, 32, 3, 3)


def made(fill, shape=WEIGHT, dtype="float32") -> np.ndarray:
    parameter = nn.Parameter(np.full(shape, np.nan, dtype), channels_last=len(shape) == 4)
    assert fill(parameter) is parameter
    assert np.isfinite(parameter.data).all()
    return parameter.data


@pytest.mark.parametrize(
    ("fill", "std", "bound"),
    [
        (lambda p: init.uniform_(p, -2, 4), 6 / math.sqrt(12), 4),
        (lambda p: init.normal_(p, 0, 3), 3, math.inf),
        (lambda p: init.trunc_normal_(p, 0, 1, -1, 1), 0.5398, 1),
        (lambda p: init.xavier_uniform_(p, gain=2), 2 * math.sqrt(2 / (96 * 9)), 2 * math.sqrt(6 / (96 * 9))),
        (lambda p: init.xavier_normal_(p), math.sqrt(2 / (96 * 9)), math.inf),
        (lambda p: init.kaiming_uniform_(p, a=math.sqrt(5)), 1 / math.sqrt(3 * 288), 1 / math.sqrt(288)),
        (
            lambda p: init.kaiming_normal_(p, mode="fan_out", nonlinearity="relu"),
            math.sqrt(2 / (64 * 9)),
            math.inf,
        ),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_distribution(fill, std: float, bound: float, dtype: str) -> None:
    values = made(fill, dtype=dtype)
    assert values.std() == pytest.approx(std, rel=0.03)
    assert np.abs(values).max() <= bound * (1 + 1e-6)
    if bound < math.inf:
        assert np.abs(values).max() > 0.98 * bound
    assert values.tobytes() != made(fill, dtype=dtype).tobytes()
    rv.seed(9)
    first = made(fill, dtype=dtype).copy()
    rv.seed(9)
    np.testing.assert_array_equal(made(fill, dtype=dtype), first)


def test_constants_and_structures() -> None:
    assert (made(lambda p: init.constant_(p, 2.5)) == 2.5).all()
    assert (made(init.zeros_) == 0).all() and (made(init.ones_) == 1).all()
    np.testing.assert_array_equal(made(init.eye_, (3, 5)), np.eye(3, 5))
    weight = made(lambda p: init.dirac_(p, 2), (4, 2, 3, 3))
    images = np.random.default_rng(0).standard_normal((2, 4, 5, 5)).astype("float32")
    np.testing.assert_array_equal(rv.ops.conv2d(images, weight, padding=1, groups=2).numpy(), images)


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4), (8, 3, 2, 2)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    matrix = made(lambda p: init.orthogonal_(p, gain=2), shape, "float64").reshape(shape[0], -1) / 2
    product = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(product, np.eye(min(matrix.shape)), atol=1e-12)


def test_sparse_empties_a_share_of_each_column() -> None:
    values = made(lambda p: init.sparse_(p, 0.35, std=2.0), (20, 50))
    np.testing.assert_array_equal((values == 0).sum(0), np.full(50, 7))
    assert values[values != 0].std() == pytest.approx(2.0, rel=0.1)


def test_arrays_are_filled_in_place() -> None:
    array = np.zeros((4, 6))[:, ::2]
    assert init.normal_(array) is array
    assert (array != 0).all()


def test_gains() -> None:
    assert init.calculate_gain("tanh") == 5 / 3
    assert init.calculate_gain("leaky_relu", 0.2) == pytest.approx(math.sqrt(2 / 1.04))
    with pytest.raises(ValueError, match="unknown nonlinearity 'swoosh'"):
        init.calculate_gain("swoosh")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: init.uniform_(p, 2, 1), "a must not exceed b"),
        (lambda p: init.normal_(p, 0, -1), "std must not be negative"),
        (lambda p: init.normal_(p, math.nan), "mean must be finite"),
        (lambda p: init.trunc_normal_(p, a=2, b=1), "a < b"),
        (lambda p: init.eye_(p), "a matrix is needed"),
        (lambda p: init.kaiming_normal_(p, mode="fan"), "'fan_in' or 'fan_out'"),
        (lambda p: init.dirac_(p, 5), "split into 5 groups"),
        (lambda p: init.sparse_(p, 0.5), "a matrix is needed"),
    ],
)
def test_errors_change_nothing(call, message: str) -> None:
    parameter = nn.Parameter(np.ones(WEIGHT, "float32"))
    with pytest.raises(ValueError, match=message):
        call(parameter)
    assert (parameter.data == 1).all()
    with pytest.raises(ValueError, match="2 dimensions"):
        init.xavier_normal_(nn.Parameter([1.0]))


def test_layers_start_as_documented() -> None:
    linear = nn.Linear(400, 300)
    assert np.abs(linear.weight.data).max() <= 0.05 and np.abs(linear.bias.data).max() <= 0.05
    assert np.abs(linear.weight.data).max() > 0.0499
    conv = nn.Conv2d(8, 64, 5, groups=2)
    assert np.abs(conv.weight.data).max() <= 0.1 and np.abs(conv.bias.data).max() > 0.09
    assert (nn.Embedding(50, 8, padding_idx=-1).weight.data[49] == 0).all()
    norm = nn.BatchNorm2d(3)
    assert (
        (norm.weight.data == 1).all() and (norm.running_var.data == 1).all() and (norm.bias.data == 0).all()
    )
    before = linear.weight.data.copy()
    linear.reset_parameters()
    assert (linear.weight.data != before).any()
