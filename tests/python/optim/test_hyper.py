"""The numbers of a running step, and what happens to them in the optimizer that was handed over."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
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
