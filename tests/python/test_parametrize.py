"""Computed parameters: weight and spectral norm against torch, registering, setting, removing, copying."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn, ops

parametrize = nn.utils.parametrize

CASES: dict[str, tuple[Callable[[Any, Any], Any], tuple[int, ...]]] = {
    "weight_norm": (lambda nn, of: of.weight_norm(nn.Linear(4, 3)), (5, 4)),
    "weight_norm_conv": (lambda nn, of: of.weight_norm(nn.Conv2d(2, 3, 3)), (2, 2, 6, 6)),
    "weight_norm_dim1": (lambda nn, of: of.weight_norm(nn.Conv2d(2, 3, 3), dim=1), (2, 2, 6, 6)),
    "weight_norm_all": (lambda nn, of: of.weight_norm(nn.Linear(4, 3), dim=None), (5, 4)),
    "weight_norm_bias": (lambda nn, of: of.weight_norm(nn.Linear(4, 3), "bias"), (5, 4)),
    "spectral_norm": (lambda nn, of: of.spectral_norm(nn.Linear(4, 3)), (5, 4)),
    "spectral_norm_conv": (lambda nn, of: of.spectral_norm(nn.Conv2d(2, 3, 3)), (2, 2, 6, 6)),
    "spectral_norm_dim1": (
        lambda nn, of: of.spectral_norm(nn.Linear(4, 3), n_power_iterations=3, dim=1),
        (5, 4),
    ),
    "spectral_norm_vector": (lambda nn, of: of.spectral_norm(nn.Linear(4, 3), "bias"), (5, 4)),
    "both": (lambda nn, of: of.spectral_norm(of.weight_norm(nn.Linear(4, 3))), (5, 4)),
}


@pytest.mark.parametrize("name", CASES)
def test_training_and_keys_are_torchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    build, shape = CASES[name]
    torch.manual_seed(0)
    theirs = build(torch.nn, torch.nn.utils.parametrizations).double()
    ours = build(nn, nn.utils).double()
    assert sorted(ours.state_dict()) == sorted(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1)
    step = rv.TrainStep(ours, lambda y, _: ops.mean(ops.square(y - 1.0)), rv.optim.SGD(lr=0.1))
    x = np.random.default_rng(0).standard_normal(shape)
    for _ in range(4):
        loss = ((theirs(torch.tensor(x)) - 1.0) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert step(x, np.zeros(1)) == pytest.approx(loss.item(), rel=1e-12)
    for key, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[key], value.numpy(), rtol=0, atol=1e-12, err_msg=key)
    theirs.eval()
    ours.eval()
    expected = theirs(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(ours(x), expected, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(ours(x), ours(x))  # the vectors stay in evaluation
    with rv.eager():
        np.testing.assert_allclose(ours(x), expected, rtol=0, atol=1e-12)


def test_the_value_stays_and_comes_back() -> None:
    layer = nn.Conv2d(2, 3, 3)
    before = layer.weight.numpy().copy()
    nn.utils.weight_norm(layer)
    np.testing.assert_allclose(layer.weight.numpy(), before, rtol=1e-6)
    assert parametrize.is_parametrized(layer) and not parametrize.is_parametrized(layer, "bias")
    layer.weight = 2 * before
    np.testing.assert_allclose(layer.weight.numpy(), 2 * before, rtol=1e-6)
    nn.utils.remove_parametrizations(layer, "weight")
    assert not parametrize.is_parametrized(layer)
    assert sorted(layer.state_dict()) == ["bias", "weight"] and isinstance(layer.weight, nn.Parameter)
    np.testing.assert_allclose(layer.weight.data, 2 * before, rtol=1e-6)


def test_a_parameter_of_its_own_is_kept_and_can_be_left() -> None:
    class Doubled(nn.Module):
        def forward(self, x: Any) -> Any:
            return x * 2.0

    layer = nn.Linear(3, 2)
    own = layer.weight
    before = own.numpy().copy()
    parametrize.register_parametrization(layer, "weight", Doubled())
    assert layer.parametrizations.weight.original is own
    np.testing.assert_array_equal(layer.weight.numpy(), 2 * before)
    parametrize.register_parametrization(layer, "weight", Doubled())
    np.testing.assert_array_equal(layer.weight.numpy(), 4 * before)
    with pytest.raises(TypeError, match="Doubled has no right_inverse, so it cannot be set"):
        layer.weight = before
    nn.utils.remove_parametrizations(layer, "weight", leave_parametrized=False)
    assert layer.weight is own


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_compute_from_parameters_of_their_own(copied: Callable[[Any], Any]) -> None:
    layer = nn.utils.weight_norm(nn.Linear(3, 2))
    other = copied(layer)
    x = np.ones((1, 3), "float32")
    before = layer(x)
    np.testing.assert_array_equal(other(x), before)
    other.parametrizations.weight.original0.data[...] *= 2
    other.bias.data[...] = 2 * layer.bias.data
    np.testing.assert_allclose(other(x), 2 * before, rtol=1e-6)
    np.testing.assert_array_equal(layer(x), before)


def test_the_data_dependent_start_sets_length_and_bias() -> None:
    x = np.random.default_rng(0).uniform(5, 9, (256, 2, 6, 6)).astype("float32")
    layers = [nn.utils.weight_norm(nn.Conv2d(2, 4, 3)), nn.Tanh(), nn.utils.weight_norm(nn.Conv2d(4, 3, 3))]
    model = rv.init.weight_norm(nn.Sequential(*layers), x)
    first = layers[0](x)
    for y in (first, model(x)):
        np.testing.assert_allclose(y.mean((0, 2, 3)), 0, atol=1e-4)
        np.testing.assert_allclose(y.std((0, 2, 3)), 1, atol=1e-4)
    rv.init.lsuv(model, x, variance=4.0, weight_init="he_normal")
    assert model(x).var() == pytest.approx(4, rel=0.1)


def test_spectral_norm_finds_the_largest_singular_value() -> None:
    layer = nn.utils.spectral_norm(nn.Linear(30, 20).double())
    for _ in range(100):
        layer(np.zeros((1, 30)))
    assert np.linalg.norm(layer.eval().weight.numpy(), 2) == pytest.approx(1, abs=1e-8)


class _Shorter(nn.Module):
    def forward(self, x: Any) -> Any:
        return x[0]


LINEAR = nn.Linear(3, 2)
BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: nn.utils.weight_norm(3), TypeError, "weight_norm: a Module is expected, got int"),
    (lambda: nn.utils.weight_norm(LINEAR, "w"), ValueError, "weight_norm: Linear has no parameter 'w'"),
    (lambda: nn.utils.weight_norm(LINEAR, dim=2), ValueError, "dim 2 is out of range for a parameter of 2"),
    (lambda: nn.utils.spectral_norm(LINEAR, dim=1.5), TypeError, "dim must be an integer, got 1.5"),
    (lambda: nn.utils.spectral_norm(LINEAR, eps=0), ValueError, "spectral_norm: eps must be above 0"),
    (lambda: nn.utils.spectral_norm(LINEAR, n_power_iterations=0), ValueError, "must be at least 1, got 0"),
    (
        lambda: parametrize.register_parametrization(LINEAR, "weight", _Shorter()),
        ValueError,
        r"_Shorter returned the shape \(3,\), expected \(2, 3\), the parameter's",
    ),
    (
        lambda: parametrize.register_parametrization(LINEAR, "scale", nn.Identity()),
        ValueError,
        "Linear has no parameter 'scale'; it has weight, bias",
    ),
    (
        lambda: parametrize.register_parametrization(LINEAR, "weight", abs),
        TypeError,
        "a Module is expected, got builtin",
    ),
    (
        lambda: nn.utils.remove_parametrizations(LINEAR, "weight"),
        ValueError,
        "'weight' of Linear is not parametrized",
    ),
    (
        lambda: nn.utils.remove_parametrizations(nn.utils.weight_norm(nn.Linear(2, 2)), "weight", False),
        ValueError,
        "'weight' has 2 originals",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_arguments_change_nothing(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
    assert list(LINEAR.state_dict()) == ["weight", "bias"] and not list(LINEAR.children())
