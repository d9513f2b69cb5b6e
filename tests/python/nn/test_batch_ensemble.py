"""BatchEnsembleLinear: its formula, its gradients, how it begins, and a net of TabM's form that learns."""

from __future__ import annotations

import numpy as np
import pytest

import ravine as rv
from ravine import nn, optim


@pytest.mark.parametrize("bias", [True, False])
def test_the_formula(bias) -> None:
    rv.seed(0)
    layer = nn.BatchEnsembleLinear(3, 5, 4, bias, scaling_init="normal", dtype="float64")
    for parameter in layer.parameters():
        parameter.data = np.random.default_rng(parameter.numel()).normal(size=parameter.shape)
    x = np.random.default_rng(1).normal(size=(2, 6, 4, 3))
    r, s, w = layer.r.data, layer.s.data, layer.weight.data
    expected = ((x * r) @ w.T) * s + (layer.bias.data if bias else 0)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-12)
    value, gradients = rv.value_and_grad(lambda layer, x: layer(x).square().sum(), layer)(x)
    slope = 2 * expected
    assert value == pytest.approx((expected**2).sum())
    np.testing.assert_allclose(gradients["s"], (slope * ((x * r) @ w.T)).sum((0, 1)), rtol=1e-10)
    np.testing.assert_allclose(gradients["r"], (x * ((slope * s) @ w)).sum((0, 1)), rtol=1e-10)
    assert ("bias" in gradients) == bias


def test_it_begins_as_k_times_one_linear_layer() -> None:
    rv.seed(3)
    layer = nn.BatchEnsembleLinear(6, 5, 3)
    outputs = nn.Sequential(nn.EnsembleView(3), layer)(np.ones((2, 6)))
    assert outputs.shape == (2, 3, 5)
    for j in range(3):
        np.testing.assert_allclose(
            outputs[:, j], np.ones((2, 6)) @ layer.weight.data.T + layer.bias.data[0], rtol=1e-5
        )
    signs = nn.BatchEnsembleLinear(50, 5, 3, scaling_init="random-signs").r.data
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert abs(signs.mean()) < 0.5
    assert (np.abs(layer.weight.data) <= 6**-0.5).all()


def test_a_net_of_such_layers_learns_and_its_members_differ() -> None:
    rv.seed(1)
    net = nn.Sequential(
        nn.EnsembleView(4),
        nn.BatchEnsembleLinear(2, 16, 4, scaling_init="random-signs"),
        nn.ReLU(),
        nn.BatchEnsembleLinear(16, 1, 4),
    )
    x = np.random.default_rng(0).uniform(-1, 1, (64, 2)).astype("f")
    y = (x[:, :1] * x[:, 1:])[:, None]
    step = rv.TrainStep(lambda net, x, y: (net(x) - y).square().mean(), net, optim.Adam(lr=0.02))
    losses = [step(x, y) for _ in range(300)]
    assert losses[-1] < 0.1 * losses[0]
    assert net(x).std(axis=1).max() > 1e-3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.BatchEnsembleLinear(3, 2, 0), "k"),
        (lambda: nn.BatchEnsembleLinear(3, 2, 4, scaling_init="zeros"), "expected one of random-signs"),
        (
            lambda: nn.BatchEnsembleLinear(3, 2, 4)(np.zeros((5, 3))),
            r"expected \[..., 4, 3\], got shape \(5, 3\)",
        ),
        (lambda: nn.EnsembleView(0), "k"),
    ],
)
def test_errors(make, message) -> None:
    with pytest.raises(ValueError, match=message):
        make()
