"""An optimizer applied to gradients from anywhere."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from slopes import SHAPES, Slopes, apply, gradients, new_step, weights
from test_contract import RULES

import ravine as rv
from ravine import nn, optim

APPLICABLE = [name for name in RULES if name not in ("SAM", "LBFGS")]


def parameters(model: nn.Module) -> dict[str, np.ndarray]:
    return {name: np.array(parameter.data) for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", APPLICABLE)
def test_does_what_a_step_with_these_gradients_does(name: str, dtype: str) -> None:
    step, model = new_step(RULES[name](), dtype), Slopes(dtype)
    update = optim.Update(RULES[name](), model)
    for slopes in gradients(4, dtype):
        apply(step, slopes)
        update(slopes)
    for key in SHAPES:
        np.testing.assert_array_equal(parameters(model)[key], weights(step)[key])
    states = step.state_dict(), update.state_dict()
    assert states[0].keys() == states[1].keys()
    for key in states[0].keys() - {"random.seed", "random.step"}:
        np.testing.assert_array_equal(states[0][key], states[1][key])
    assert len(update.programs()) == 1


def test_takes_what_value_and_grad_returns() -> None:
    rv.seed(1)
    x, y = np.random.default_rng(0).standard_normal((32, 5)).astype(np.float32), np.arange(32) % 3
    model, twin = (nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)) for _ in range(2))
    twin.load_state_dict(model.state_dict())
    loss = nn.CrossEntropyLoss()
    update = optim.Update(optim.Adam(lr=0.01), model)
    gradient = rv.value_and_grad(lambda m, x, y: loss(m(x), y), model)
    step = rv.TrainStep(twin, loss, optim.Adam(lr=0.01))
    for _ in range(5):
        value, slopes = gradient(x, y)
        update(slopes)
        assert abs(float(value) - step(x, y)) < 1e-6
    for key, weight in parameters(model).items():
        np.testing.assert_allclose(weight, parameters(twin)[key], rtol=0, atol=1e-5)


def test_parameters_without_a_gradient_stay_and_come_back() -> None:
    model, other = Slopes("float64"), Slopes("float64")
    update, twin = (optim.Update(optim.Adam(lr=0.1), m) for m in (model, other))
    slopes = list(gradients(3, "float64"))
    update(slopes[0])
    before = parameters(model)
    update({name: slopes[1][name] for name in ("matrix", "scalar")})
    np.testing.assert_array_equal(parameters(model)["vector"], before["vector"])
    update(slopes[2])
    twin(slopes[0])
    twin(slopes[2])  # the vector has missed the second update
    np.testing.assert_array_equal(parameters(model)["vector"], parameters(other)["vector"])
    assert not np.array_equal(parameters(model)["matrix"], parameters(other)["matrix"])


def test_resumes_to_the_same_bits_with_noise_and_accumulation() -> None:
    def make() -> tuple[nn.Module, optim.Update]:
        model = Slopes("float32")
        stages = optim.accumulate(2), optim.add_noise(0.01)
        return model, optim.Update(optim.chain(*stages, optim.Adam(lr=optim.schedules.Cosine(0.1, 9))), model)

    rv.seed(4)
    slopes = list(gradients(7, "float32"))
    (whole, update), (first, begun), (second, resumed) = make(), make(), make()
    begun.load_state_dict(update.state_dict())  # the same random numbers
    for slope in slopes:
        update(slope)
    for slope in slopes[:3]:  # within an accumulation
        begun(slope)
    second.load_state_dict(first.state_dict())
    resumed.load_state_dict(begun.state_dict())
    for slope in slopes[3:]:
        resumed(slope)
    for key in SHAPES:
        np.testing.assert_array_equal(parameters(whole)[key], parameters(second)[key])
    assert resumed.steps == update.steps == 3
    assert resumed.state_dict()["optimizer.gathered"] == 1


WRONG: list[tuple[Callable[[optim.Update], Any], type[Exception], str]] = [
    (
        lambda u: u({"matrix": np.zeros((7, 5)), "bias": 0.0}),
        ValueError,
        "Slopes has no parameter 'bias'; it has",
    ),
    (
        lambda u: u({"vector": np.zeros(3)}),
        ValueError,
        r"gradient of vector has shape \(3,\), the parameter \(33,\)",
    ),
    (lambda u: u({"scalar": np.array(1j)}), TypeError, "gradient of scalar has dtype complex128"),
    (lambda u: u({}), ValueError, "Update: there are no gradients"),
    (lambda u: u([np.zeros(33)]), TypeError, "gradients must be a dict of arrays by name, got list"),
    (
        lambda u: optim.Update(u.model, u.optimizer),
        TypeError,
        "optimizer must be one of ravine.optim, got Slopes",
    ),
    (lambda u: optim.Update(optim.SGD(), 3), TypeError, "model must be a Module, got int"),  # type: ignore[arg-type]
    (
        lambda u: optim.Update(optim.SAM(optim.SGD()), u.model),
        ValueError,
        "SAM takes gradients at two places",
    ),
    (lambda u: optim.Update(optim.LBFGS(), u.model), ValueError, "LBFGS takes gradients at two places"),
    (lambda u: u.load_state_dict({}), ValueError, "missing key random.seed; missing key random.step"),
    (lambda u: u.load_state_dict({"lr": 1.0}), ValueError, "load_state_dict of .*: unexpected key lr;"),
]


@pytest.mark.parametrize(("wrong", "kind", "message"), WRONG)
def test_a_bad_call_changes_nothing(
    wrong: Callable[[optim.Update], Any], kind: type[Exception], message: str
) -> None:
    update = optim.Update(optim.SGD(lr=1.0), Slopes("float32"))
    update(next(iter(gradients(1, "float32"))))
    before = {**parameters(update.model), **update.state_dict()}
    with pytest.raises(kind, match=message):
        wrong(update)
    after = {**parameters(update.model), **update.state_dict()}
    assert before.keys() == after.keys()
    for key, value in before.items():
        np.testing.assert_array_equal(after[key], value)


def test_threads_that_update_one_model_lose_nothing() -> None:
    model = Slopes("float64")
    update = optim.Update(optim.SGD(lr=1.0), model)
    ones = {name: np.ones(shape) for name, shape in SHAPES.items()}
    before = parameters(model)

    def work() -> None:
        for _ in range(50):
            update(ones)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert update.steps == 150
    np.testing.assert_allclose(parameters(model)["vector"], before["vector"] - 150.0, rtol=0, atol=1e-9)
