"""Layers that learn the size of their input from the first one they see."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn

ROWS = [
    ("LazyLinear", (4,), {"bias": False}, (2, 5)),
    ("LazyLinear", (4,), {}, (5,)),
    ("LazyConv1d", (4, 3), {"padding": "causal"}, (2, 5, 8)),
    ("LazyConv1d", (4, 3), {}, (5, 8)),
    ("LazyConv2d", (4, 3), {"groups": 2}, (2, 6, 8, 7)),
    ("LazyConv3d", (4, 3), {}, (6, 4, 5, 3)),
    ("LazyConvTranspose1d", (4, 3), {"stride": 2}, (2, 5, 8)),
    ("LazyConvTranspose2d", (4, 3), {}, (5, 8, 7)),
    ("LazyConvTranspose3d", (4, 3), {}, (2, 5, 4, 5, 3)),
    ("LazyBatchNorm1d", (), {"eps": 1e-3}, (2, 5)),
    ("LazyBatchNorm2d", (), {}, (2, 5, 4, 3)),
    ("LazyBatchNorm3d", (), {}, (2, 5, 4, 3, 2)),
    ("LazyInstanceNorm1d", (), {"affine": True}, (5, 8)),
    ("LazyInstanceNorm2d", (), {}, (2, 5, 4, 3)),
    ("LazyInstanceNorm3d", (), {}, (2, 5, 4, 3, 2)),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{len(row[3])}")
def test_a_lazy_layer_becomes_the_ordinary_one(row: tuple[str, Any, Any, tuple[int, ...]]) -> None:
    name, arguments, options, shape = row
    ordinary = getattr(nn, name.removeprefix("Lazy"))
    layer = getattr(nn, name)(*arguments, **options)
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    assert not list(layer.parameters())
    rv.seed(1)
    y = layer(x)
    assert type(layer) is ordinary
    rank = next((n for n in "123" if name.endswith(n + "d")), None)
    alone = name != "LazyLinear" and rank is not None and len(shape) == int(rank) + 1
    size = shape[-1] if name == "LazyLinear" else shape[0 if alone and "BatchNorm" not in name else 1]
    rv.seed(1)
    expected = ordinary(size, *arguments, **options)
    assert repr(layer) == repr(expected)
    np.testing.assert_array_equal(y, expected(x))
    for key, value in expected.state_dict().items():
        np.testing.assert_array_equal(layer.state_dict()[key], value)


def test_place_mode_and_dtype_stay() -> None:
    net = nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2)).eval().to("float64")
    for model in (net, copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert model(np.zeros((3, 2, 5, 5))).dtype == "float64"
        assert [type(part) for part in model] == [nn.Conv2d, nn.ReLU, nn.Flatten, nn.Linear]
        assert not any(part.training for part in model.modules())
        assert {p.dtype for p in model.parameters()} == {"float64"}
        assert list(model.state_dict()) == ["0.weight", "0.bias", "3.weight", "3.bias"]


def test_training_wants_the_sizes_first() -> None:
    net = nn.Sequential(nn.LazyLinear(4), nn.LazyLinear(2))
    step = rv.TrainStep(net, nn.MSELoss(), rv.optim.SGD(lr=0.1))
    x, y = np.ones((3, 5), "float32"), np.zeros((3, 2), "float32")
    with pytest.raises(RuntimeError, match="call the model once"):
        step(x, y)
    net(x)
    losses = [step(x, y) for _ in range(3)]
    assert losses[2] < losses[0]


def test_wrong_arguments_are_told_at_once() -> None:
    with pytest.raises(TypeError, match="bias_init_"):
        nn.LazyLinear(4, bias_init_=1)
    with pytest.raises(ValueError, match="LazyConv2d: input of shape"):
        nn.LazyConv2d(4, 3)(np.zeros(3))
