"""The numbers of a running step, and what happens to them in the optimizer that was handed over."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from slopes import SHAPES, apply, gradients, initial, new_step, weights

import ravine as rv
from ravine import optim


def assert_same(a: rv.TrainStep, b: rv.TrainStep) -> None:
    for key in SHAPES:
        np.testing.assert_array_equal(weights(a)[key], weights(b)[key])


# An optimizer, the name of a number, and another value; the last two turn something on.
NUMBERS: list[tuple[Callable[[], optim.Optimizer], str, Any, int]] = [
    (lambda: optim.SGD(lr=0.1, momentum=0.9), "lr", 0.01, 1),
    (lambda: optim.SGD(lr=0.1, momentum=0.9), "momentum", 0.5, 1),
    (lambda: optim.Adam(lr=0.1), "betas", (0.5, 0.9), 1),
    (lambda: optim.SGD(lr=0.1, clip_norm=0.5), "clip_norm", 0.2, 1),
    (lambda: optim.SGD(lr=0.1, clip_adaptive=0.1), "clip_adaptive", 0.01, 1),
    (lambda: optim.SGD(lr=0.1), "lr", optim.schedules.Exponential(0.1, gamma=0.5), 1),
    (lambda: optim.chain(optim.clip_by_norm(0.5), optim.SGD(lr=0.1)), "clip_norm", 0.2, 1),
    (lambda: optim.Lookahead(optim.SGD(lr=0.1), k=2), "alpha", 0.9, 1),
    (lambda: optim.SAM(optim.SGD(lr=0.1), rho=0.1), "rho", 0.5, 1),
    (lambda: optim.SGD(lr=0.1), "clip_norm", 0.2, 2),
    (lambda: optim.SGD(lr=0.1), "momentum", 0.9, 2),
]


@pytest.mark.parametrize(("make", "name", "value", "programs"), NUMBERS)
def test_as_if_the_optimizer_had_been_set(
    make: Callable[[], optim.Optimizer], name: str, value: Any, programs: int
) -> None:
    by_hyper, by_optimizer = new_step(make(), "float64"), new_step(make(), "float64")
    known = getattr(by_hyper.optimizer, name)
    compiled = []
    for i, slopes in enumerate(gradients(4, "float64")):
        if i == 2:
            by_hyper.hyper[name] = value
            setattr(by_optimizer.optimizer, name, value)
        apply(by_hyper, slopes)
        apply(by_optimizer, slopes)
        compiled += by_hyper.programs()
    assert_same(by_hyper, by_optimizer)
    assert by_hyper.hyper[name] == by_optimizer.hyper[name] == value
    assert getattr(by_hyper.optimizer, name) == known  # others may use it
    assert len(set(compiled)) == programs


def test_groups_have_numbers_of_their_own() -> None:
    def make() -> optim.Optimizer:
        return optim.SGD(lr=0.1, groups=[optim.Group("vec*", lr=0.2), optim.Group(["matrix"], momentum=0.9)])

    by_hyper, by_optimizer = new_step(make(), "float64"), new_step(make(), "float64")
    assert list(by_hyper.hyper) == [*by_hyper.optimizer._numbers(), "vec", "1"]
    for slopes in gradients(2, "float64"):
        by_hyper.hyper["vec"]["lr"] = 0.05
        by_hyper.hyper["1"]["momentum"] = 0.5
        by_optimizer.optimizer.groups[0].lr = 0.05
        by_optimizer.optimizer.groups[1].momentum = 0.5
        apply(by_hyper, slopes)
        apply(by_optimizer, slopes)
    assert_same(by_hyper, by_optimizer)
    assert (by_hyper.optimizer.groups[0].lr, dict(by_hyper.hyper["vec"])) == (0.2, {"lr": 0.05})
    assert optim.Group("head.*")._name(0) == "head" and optim.Group("*")._name(3) == "*"


def test_the_last_assignment_holds() -> None:
    optimizer = optim.SGD(lr=0.1)
    first, second = new_step(optimizer, "float64"), new_step(optimizer, "float64")
    slopes = {name: np.ones(shape) for name, shape in SHAPES.items()}
    first.hyper["lr"] = 0.3
    assert (first.hyper["lr"], second.hyper["lr"]) == (0.3, 0.1)
    optimizer.momentum = 0.0  # which does not concern lr
    assert first.hyper["lr"] == 0.3
    optimizer.lr = 0.2
    assert (first.hyper["lr"], second.hyper["lr"]) == (0.2, 0.2)
    first.hyper["lr"] = 0.5
    apply(first, slopes)
    apply(second, slopes)
    np.testing.assert_allclose(initial("float64")["vector"] - weights(first)["vector"], 0.5, rtol=1e-12)
    np.testing.assert_allclose(initial("float64")["vector"] - weights(second)["vector"], 0.2, rtol=1e-12)


WRONG: list[tuple[str, Any, type[Exception], str]] = [
    ("lr", -1.0, ValueError, "SGD: lr must be a finite number at least 0"),
    ("nesterov", True, ValueError, "SGD: nesterov needs momentum"),
    ("clip_norm", 0.0, ValueError, "SGD: clip_norm must be above 0"),
    ("learning_rate", 0.1, KeyError, "there is no number 'learning_rate', only lr, momentum"),
]


@pytest.mark.parametrize(("name", "value", "kind", "message"), WRONG)
def test_a_bad_number_changes_nothing(name: str, value: Any, kind: type[Exception], message: str) -> None:
    step = new_step(optim.SGD(lr=0.1), "float64")
    before = repr(step.hyper)
    with pytest.raises(kind, match=message):
        step.hyper[name] = value
    assert repr(step.hyper) == before


# ---- what was changed is saved


@pytest.mark.parametrize(("make", "name", "value", "programs"), NUMBERS)
def test_a_resumed_step_goes_on_with_the_changed_number(
    make: Callable[[], optim.Optimizer], name: str, value: Any, programs: int, tmp_path: Path
) -> None:
    step, slopes = new_step(make(), "float64"), list(gradients(6, "float64"))
    step.hyper[name] = value
    for i in range(3):
        apply(step, slopes[i])
    rv.save(tmp_path / "step", step)
    resumed = new_step(make(), "float64")
    resumed.model.load_state_dict(step.model.state_dict())
    if callable(value):  # code is in no file
        assert f"hyper.{name}" not in step.state_dict()
        resumed.hyper[name] = value
    resumed.load_state_dict(rv.load(tmp_path / "step"))
    assert resumed.hyper[name] == value
    for i in range(3, 6):
        apply(step, slopes[i])
        apply(resumed, slopes[i])
    assert_same(step, resumed)
    for key, array in step.state_dict().items():
        np.testing.assert_array_equal(resumed.state_dict()[key], array)


def test_a_loaded_state_undoes_other_changes() -> None:
    step = new_step(optim.SGD(lr=0.1, momentum=0.9, clip_norm=1.0), "float64")
    apply(step, next(iter(gradients(1, "float64"))))
    before = step.state_dict()
    step.hyper["lr"], step.hyper["clip_norm"], step.hyper["accumulate"] = 0.5, None, 2
    after = step.state_dict()
    assert {key: after[key].tolist() for key in after.keys() - before.keys()} == {
        "hyper.lr": 0.5,
        "hyper.clip_norm": [],
        "hyper.accumulate": 2,
    }
    step.load_state_dict(before)
    assert (step.hyper["lr"], step.hyper["clip_norm"], step.hyper["accumulate"]) == (0.1, 1.0, 1)
    step.load_state_dict(after)
    assert (step.hyper["lr"], step.hyper["clip_norm"], step.hyper["accumulate"]) == (0.5, None, 2)


def test_numbers_that_are_allowed_together_only_are_loaded_together() -> None:
    def make() -> rv.TrainStep:
        return new_step(optim.SGD(lr=0.1, momentum=0.9, nesterov=True), "float64")

    step, resumed = make(), make()
    step.hyper["nesterov"] = False
    step.hyper["momentum"] = 0.0
    resumed.load_state_dict(step.state_dict())
    assert (resumed.hyper["nesterov"], resumed.hyper["momentum"]) == (False, 0.0)


def test_changes_of_groups_and_of_several_models_are_saved() -> None:
    def make() -> rv.TrainStep:
        rv.seed(0)
        models = {"a": rv.nn.Linear(2, 2), "b": rv.nn.Linear(2, 2)}
        rules = {"a": optim.SGD(0.1), "b": optim.Adam(0.1, groups=[optim.Group("bias*", lr=0.2)])}
        return rv.TrainStep(lambda m, x: m["b"](m["a"](x)).square().mean(), models, rules)

    step, resumed = make(), make()
    step.hyper["a"]["lr"] = 0.01
    step.hyper["b"]["bias"]["lr"] = 0.02
    step.hyper["b"]["betas"] = (0.5, 0.9)
    of_bias = resumed.hyper["b"]["bias"]
    resumed.load_state_dict(step.state_dict())
    assert (resumed.hyper["a"]["lr"], of_bias["lr"], resumed.hyper["b"]["lr"]) == (0.01, 0.02, 0.1)
    x = np.ones((1, 2))
    assert [step(x) for _ in range(3)] == [resumed(x) for _ in range(3)]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("hyper.rate", 0.1, r"unexpected keys \['hyper.rate'\]"),
        ("hyper.lr", -0.1, "hyper: SGD: lr must be a finite number at least 0"),
        ("hyper.lr", [0.1, 0.2], r"hyper: SGD: lr must be a number, got \(0.1, 0.2\)"),
        ("hyper.accumulate", 0.5, "hyper: SGD: accumulate must be an integer"),
        ("optimizer.steps", -1, "optimizer.steps: expected a number of steps"),
    ],
)
def test_what_does_not_fit_changes_nothing(key: str, value: Any, message: str) -> None:
    step = new_step(optim.SGD(lr=0.1), "float64")
    step.hyper["lr"] = 0.3
    before = {name: array.tolist() for name, array in step.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        step.load_state_dict({**step.state_dict(), "hyper.lr": np.array(0.2), key: np.array(value)})
    assert {name: array.tolist() for name, array in step.state_dict().items()} == before


def test_setting_the_same_number_in_the_optimizer_is_an_assignment_too() -> None:
    step = new_step(optim.Lookahead(optim.SGD(lr=0.1), alpha=0.5), "float64")
    step.hyper["lr"], step.hyper["alpha"] = 0.3, 0.9
    step.optimizer.lr = step.optimizer.lr
    step.optimizer.alpha = 0.5
    assert (step.hyper["lr"], step.hyper["alpha"]) == (0.1, 0.5)


def test_a_schedule_is_asked_once_a_step() -> None:
    asked: list[int] = []

    def rate(step: int) -> float:
        asked.append(step)
        return 0.1

    step = new_step(optim.SAM(optim.SGD(lr=rate, groups=[optim.Group("vector", lr=rate)])), "float64")
    for slopes in gradients(4, "float64"):
        apply(step, slopes)
    assert sorted(asked) == [0, 0, 1, 1, 2, 2, 3, 3]  # it stands in two places


def trained_in_a_circle() -> weakref.ref[Any]:
    held: list[rv.TrainStep] = []
    step = new_step(optim.SGD(lr=lambda t: 0.1 + 0.0 * held[0].steps), "float64")
    held.append(step)
    apply(step, next(iter(gradients(1, "float64"))))
    return weakref.ref(step.model)


def test_a_circle_through_a_function_of_the_step_is_collected() -> None:
    model = trained_in_a_circle()
    gc.collect()
    assert model() is None
