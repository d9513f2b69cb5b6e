"""`diagnostics.check` names each disease of a sick net, and finds none in healthy ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import ravine as rv
from ravine import diagnostics, nn, optim


def batch(n: int = 64) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).standard_normal((n, 8)).astype(np.float32)
    return x, (x[:, 0] > 0).astype(np.int64)


def net(hidden: int = 1, activation: type[nn.Module] = nn.ReLU, **options) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i in range(hidden):
        layers += [nn.Linear(8 if i == 0 else 16, 16, **options), activation()]
    return nn.Sequential(*layers, nn.Linear(16, 2))


def drifted() -> nn.Module:
    model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2))
    x, y = batch()
    step = rv.TrainStep(model, nn.CrossEntropyLoss(), optim.SGD(lr=0.1))
    for _ in range(30):
        step(x, y)
    model[1].running_mean.data += 20 * np.sqrt(model[1].running_var.data)
    return model


def poisoned() -> nn.Module:
    model = net()
    model[2].weight.data[0, 0] = np.nan
    return model


X, Y = batch()
SICK: dict[str, tuple[str, Callable[[], nn.Module], np.ndarray, np.ndarray, object]] = {
    "dead_units": ("1", lambda: net(bias_init=-30.0), X, Y, None),
    "vanishing_gradient": ("0", lambda: net(12, nn.Sigmoid, weight_init="lecun_normal"), X, Y, None),
    "exploding_gradient": ("0", lambda: net(10, weight_init=lambda w: rv.init.normal_(w, 0, 4)), X, Y, None),
    "saturated": ("1", lambda: net(1, nn.Tanh, weight_init=lambda w: rv.init.normal_(w, 0, 20)), X, Y, None),
    "symmetric_weights": ("0", lambda: net(weight_init=0.3, bias_init="zeros"), X, Y, None),
    "unscaled_inputs": ("", net, X + 1000, Y, None),
    "rate_too_high": ("", net, X, Y, {"loss": [0.7, 2.0, 9.5, 40.0]}),
    "rate_too_low": ("", net, X, Y, [0.7, 0.6999, 0.6998, 0.6997]),
    "not_finite": ("2", poisoned, X, Y, None),
    "labels_mismatch": ("", net, X, Y + 1, None),
    "constant_output": ("", lambda: net(weight_init="zeros"), X, Y, None),
    "batchnorm_drift": ("1", drifted, X, Y, None),
}


@pytest.mark.parametrize("name", SICK)
def test_a_disease_is_named(name: str) -> None:
    where, make, x, y, history = SICK[name]
    model = make()
    before = model.state_dict()
    found = diagnostics.check(model, x, y, nn.CrossEntropyLoss(), history)
    assert (name, where) in [(one.name, one.where) for one in found], found
    one = next(one for one in found if one.name == name)
    assert str(one).startswith(name) and one.message and one.advice
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[key])
    assert model.training


@pytest.mark.parametrize(
    ("name", "x", "y"),
    [
        ("unscaled_inputs", 200 * X, Y),
        ("unscaled_inputs", X * ([1e4] + [1] * 7) / 1e3, Y),
        ("not_finite", np.where(X > 2, np.inf, X), Y),
        ("labels_mismatch", X, Y - 1),
        ("labels_mismatch", X, Y.astype(float)),
        ("labels_mismatch", X, Y[:, None]),
    ],
)
def test_other_forms_of_a_disease(name: str, x: np.ndarray, y: np.ndarray) -> None:
    assert name in [one.name for one in diagnostics.check(net(), x, y, nn.CrossEntropyLoss())]


def test_inputs_that_the_model_scales_itself_are_none() -> None:
    scaler = rv.preprocessing.StandardScaler().fit(X + 1000)
    model = nn.Sequential(nn.Normalize.from_(scaler), *net())
    assert diagnostics.check(model, X + 1000, Y, nn.CrossEntropyLoss()) == []


MODELS = {
    "mlp": lambda: rv.models.mlp(64, 10),
    "cnn": lambda: rv.models.cnn((1, 8, 8), 10),
    "resnet18": lambda: rv.models.resnet18(1, 10, width=4),
    "standardized": lambda: nn.Sequential(
        rv.models.Standardize(np.zeros(1), np.ones(1)), rv.models.mlp(64, 10)
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_healthy_models_have_no_finding(name: str) -> None:
    pytest.importorskip("sklearn")
    x, y, _, _ = rv.data.digits()
    model = MODELS[name]()
    trainer = rv.Trainer(model, nn.CrossEntropyLoss(), optim.Adam(lr=3e-3))
    history = trainer.fit(x, y, epochs=1, batch_size=64, verbose=False)
    assert diagnostics.check(model, x[:128], y[:128], nn.CrossEntropyLoss(), history) == []
