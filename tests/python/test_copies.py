"""Steps, updates and trainers are copied and pickled in the middle of a run, and go on to the same bits."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn, optim

WAYS = {"deepcopy": copy.deepcopy, "pickle": lambda step: pickle.loads(pickle.dumps(step))}
OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "schedule, clipping, average": lambda: optim.Adam(
        lr=optim.schedules.Cosine(0.1, 50), clip_norm=1.0, average=optim.EMA(0.9)
    ),
    "accumulation": lambda: optim.SGD(lr=0.1, momentum=0.9, accumulate=2),
    "wrapper": lambda: optim.Lookahead(optim.SGD(lr=0.1), k=2),
    "stages": lambda: optim.chain(optim.clip_by_value(0.5), optim.add_noise(0.1), optim.Adam(0.01)),
    "groups": lambda: optim.AdamW(lr=0.1, groups=[optim.Group("0.*", lr=0.01)]),
    "LBFGS": optim.LBFGS,
}


def batch() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((16, 4)).astype("float32"), rng.integers(0, 3, 16)


def model(dropout: float = 0.3) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 3))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_copied_step_goes_on_alike(name: str, way: str) -> None:
    x, y = batch()
    step = rv.TrainStep(model(0.0 if name == "LBFGS" else 0.3), nn.CrossEntropyLoss(), OPTIMIZERS[name]())
    for _ in range(3):
        step(x, y)
    if name != "LBFGS":
        step.hyper["lr"] = 0.05  # of the step, not of the optimizer that was handed over
    other = WAYS[way](step)
    assert other.steps == step.steps
    assert other.model is not step.model
    assert [other(x, y) for _ in range(4)] == [step(x, y) for _ in range(4)]
    for key, value in step.model.state_dict().items():
        np.testing.assert_array_equal(other.model.state_dict()[key], value, err_msg=key)


def of_two(models: dict[str, nn.Module], x: np.ndarray, y: np.ndarray) -> Any:
    loss = nn.functional.cross_entropy(models["head"](models["body"](x)), y)
    return loss, {"fit": loss}


@pytest.mark.parametrize("way", WAYS)
def test_a_copied_step_over_a_function_goes_on_alike(way: str) -> None:
    x, y = batch()
    models = {"body": nn.Linear(4, 8), "head": nn.Linear(8, 3)}
    step = rv.TrainStep(of_two, models, {"body": optim.Adam(0.1), "head": optim.SGD(0.1)})
    step(x, y)
    other = WAYS[way](step)
    assert other.parts == step.parts
    assert [other(x, y) for _ in range(3)] == [step(x, y) for _ in range(3)]


@pytest.mark.parametrize("way", WAYS)
def test_a_copied_update_goes_on_alike(way: str) -> None:
    of = nn.Linear(4, 3)
    update = optim.Update(optim.chain(optim.add_noise(0.1), optim.Adam(0.1)), of)
    gradients = {name: np.ones(p.shape) for name, p in of.named_parameters()}
    update(gradients)
    update.hyper["lr"] = 0.05
    other = WAYS[way](update)
    for one in (update, other):
        one(gradients)
    np.testing.assert_array_equal(other.model.weight.data, of.weight.data)
    assert other.steps == 2


@pytest.mark.parametrize("way", WAYS)
def test_a_copied_trainer_goes_on_alike(way: str) -> None:
    x, y = batch()
    trainer = rv.Trainer(model(), nn.CrossEntropyLoss(), optim.Adam(), metrics=["accuracy"])
    trainer.fit(x, y, epochs=2, batch_size=4, verbose=0, validation_data=(x, y))
    other = WAYS[way](trainer)
    for one in (trainer, other):
        one.fit(x, y, epochs=4, batch_size=4, verbose=0, validation_data=(x, y))
    assert other.history["loss"] == trainer.history["loss"]
    assert other.history["val_accuracy"] == trainer.history["val_accuracy"]
    assert len(trainer.history["loss"]) == 4


@pytest.mark.parametrize("accumulate", [None, 2])
def test_a_copy_right_after_a_number_that_wants_other_slots(accumulate: int | None) -> None:
    """Momentum set between steps: the copy has the slots of the next step, and goes on as the step does."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 4)).astype("float32"), rng.normal(size=(6, 2)).astype("float32")
    step = rv.TrainStep(nn.Linear(4, 2), nn.MSELoss(), optim.SGD(lr=0.1, accumulate=accumulate))
    step(x, y)
    for momentum in (0.9, 0.0, 0.5):
        step.optimizer.momentum = momentum
        twin = copy.deepcopy(step)
        assert [step(x, y) for _ in range(4)] == [twin(x, y) for _ in range(4)]
        assert step.state_dict().keys() == twin.state_dict().keys()
