"""Groups of parameters, numbers that change while training, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from slopes import SHAPES, apply, gradients, initial, new_step, weights

import ravine as rv
from ravine import nn, optim


def run(optimizer: optim.Optimizer, steps: int = 4) -> dict[str, np.ndarray]:
    step = new_step(optimizer, "float64")
    for slopes in gradients(steps, "float64"):
        apply(step, slopes)
    return weights(step)


def assert_mixture(actual: Any, inside: Any, outside: Any, names: set[str]) -> None:
    for key in SHAPES:
        np.testing.assert_array_equal(actual[key], (inside if key in names else outside)[key])
        assert not np.array_equal(inside[key], outside[key])


@pytest.mark.parametrize(
    ("selection", "names"),
    [
        ("matrix", {"matrix"}),
        ("*a*r*", {"matrix", "scalar"}),
        (["vector", "sc*"], {"vector", "scalar"}),
        (lambda name, parameter: len(parameter.shape) == 1, {"vector"}),
    ],
)
def test_selections(selection: Any, names: set[str]) -> None:
    grouped = run(optim.Adam(lr=0.1, groups=[optim.Group(selection, lr=0.02, betas=(0.5, 0.6))]))
    assert_mixture(grouped, run(optim.Adam(lr=0.02, betas=(0.5, 0.6))), run(optim.Adam(lr=0.1)), names)


def test_modules_and_parameters_select() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2), nn.Linear(2, 2))
    before = {key: value.copy() for key, value in model.state_dict().items()}
    frozen = optim.Group([model[0], model[1].weight], lr=0.0)
    step = rv.TrainStep(model, nn.MSELoss(), optim.SGD(lr=0.1, groups=[frozen]))
    step(np.ones((5, 3)), np.zeros((5, 2)))
    changed = {key for key, value in model.state_dict().items() if not np.array_equal(value, before[key])}
    assert changed == {"1.bias", "2.weight", "2.bias"}


@pytest.mark.parametrize("first", ["p", "q"])
def test_gradients_that_lie_in_parameters_of_other_groups(first: str) -> None:
    """The gradients of sum(p q) are q and p themselves: both are read before either group changes."""

    class Product(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.p, self.q = nn.Parameter(np.array([1.0, 2.0])), nn.Parameter(np.array([10.0, 20.0]))

        def forward(self, x: Any) -> Any:
            return (self.p * self.q).sum() + 0.0 * x.sum()

    model = Product()
    step = rv.TrainStep(model, lambda loss, _: loss, optim.SGD(lr=1.0, groups=[optim.Group(first, lr=1.0)]))
    step(np.zeros(1), np.zeros(1))
    np.testing.assert_array_equal(model.p.data, [-9.0, -18.0])
    np.testing.assert_array_equal(model.q.data, [9.0, 18.0])


def test_no_decay_spares_what_has_fewer_than_two_axes() -> None:
    spared = run(optim.AdamW(lr=0.01, weight_decay=0.5, no_decay=True))
    assert_mixture(
        spared,
        run(optim.AdamW(lr=0.01, weight_decay=0.5)),
        run(optim.AdamW(lr=0.01, weight_decay=0.0)),
        {"matrix"},
    )
    # A group that sets weight_decay has it.
    decayed = optim.Group("vector", weight_decay=0.5)
    assert_mixture(
        run(optim.AdamW(lr=0.01, weight_decay=0.5, no_decay=True, groups=[decayed])),
        run(optim.AdamW(lr=0.01, weight_decay=0.5)),
        run(optim.AdamW(lr=0.01, weight_decay=0.0)),
        {"matrix", "vector"},
    )


def test_numbers_of_groups_change_without_compiling() -> None:
    group = optim.Group("matrix", lr=0.1)
    step = new_step(optim.SGD(lr=0.2, momentum=0.9, groups=[group]), "float64")
    slopes = list(gradients(2, "float64"))
    apply(step, slopes[0])
    group.lr = 0.3
    group.momentum = 0.5
    before = weights(step)
    apply(step, slopes[1])
    buffer = 0.5 * slopes[0]["matrix"] + slopes[1]["matrix"]
    np.testing.assert_allclose(weights(step)["matrix"], before["matrix"] - 0.3 * buffer, rtol=1e-14)
    buffer = 0.9 * slopes[0]["vector"] + slopes[1]["vector"]
    np.testing.assert_allclose(weights(step)["vector"], before["vector"] - 0.2 * buffer, rtol=1e-14)
    assert len(step.programs()) == 1


def test_groups_have_schedules() -> None:
    group = optim.Group("vector", lr=lambda t: 0.1 * (t + 1), momentum=lambda t: 0.5 * t)
    step = new_step(optim.SGD(lr=0.2, momentum=0.0, groups=[group]), "float64")
    slopes = list(gradients(2, "float64"))
    for slope in slopes:
        apply(step, slope)
    w, first, second = initial("float64")["vector"], slopes[0]["vector"], slopes[1]["vector"]
    expected = w - 0.1 * first - 0.2 * (0.5 * first + second)
    np.testing.assert_allclose(weights(step)["vector"], expected, rtol=1e-14)


def test_scheduled_momentum_may_be_zero_at_first() -> None:
    step = new_step(optim.SGD(lr=0.1, dampening=0.5, momentum=lambda t: 0.0 if t < 2 else 0.9), "float64")
    plain = new_step(optim.SGD(lr=0.1), "float64")
    for t, slopes in enumerate(gradients(3, "float64")):
        apply(step, slopes)
        apply(plain, slopes)
        assert np.array_equal(weights(step)["matrix"], weights(plain)["matrix"]) == (t < 2)


def test_groups_that_come_later_compile_anew() -> None:
    step = new_step(optim.SGD(lr=0.1), "float64")
    slopes = next(gradients(1, "float64"))
    apply(step, slopes)
    before = weights(step)
    step.optimizer.groups = [optim.Group("vector", lr=0.0)]
    apply(step, slopes)
    np.testing.assert_array_equal(weights(step)["vector"], before["vector"])
    assert not np.array_equal(weights(step)["matrix"], before["matrix"])


@pytest.mark.parametrize(
    ("optimizer", "error", "message"),
    [
        (
            lambda: optim.SGD(groups=[optim.Group("none*")]),
            ValueError,
            r"selects none: 'none\*'.*matrix",
        ),
        (
            lambda: optim.SGD(groups=[optim.Group([], lr=0.1)]),
            ValueError,
            r"selects none: Group\(\[\], lr=0.1\)",
        ),
        (
            lambda: optim.SGD(groups=[optim.Group("*", lr=1.0), optim.Group("vector", lr=2.0)]),
            ValueError,
            r"overlap: vector is in Group\('\*', lr=1.0\) and in Group\('vector', lr=2.0\)",
        ),
        (lambda: optim.SGD(groups=[optim.Group(3)]), TypeError, "names, Parameters, Modules or a function"),  # type: ignore[arg-type]
        (lambda: optim.SGD(lr=0.1, momentum=lambda t: -1.0), ValueError, "momentum in step 0 must be"),
        (lambda: optim.Adam(betas=(lambda t: 1.5, 0.9)), ValueError, r"betas\[0\] in step 0 must be"),
        (
            lambda: optim.SGD(momentum=lambda t: 0.0, nesterov=True),
            ValueError,
            "SGD: nesterov needs momentum > 0",
        ),
    ],
)
def test_errors_when_a_step_begins(optimizer: Any, error: type[Exception], message: str) -> None:
    step = new_step(optimizer(), "float64")
    before = weights(step)
    with pytest.raises(error, match=message):
        apply(step, next(gradients(1, "float64")))
    assert step.steps == 0
    for key in SHAPES:
        np.testing.assert_array_equal(weights(step)[key], before[key])


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: optim.Group("*", lr=1.0).momentum, AttributeError, "this group sets no 'momentum', only lr"),
        (lambda: optim.SGD(groups=[optim.Group("*", lr=-1)]), ValueError, "lr must be a finite number"),
        (lambda: optim.SGD(groups=[optim.Group("*", beta=1)]), AttributeError, "no hyperparameter 'beta'"),
        (lambda: optim.SGD(groups=["vector"]), TypeError, "groups must be optim.Group, got str"),  # type: ignore
        (lambda: optim.SGD(nodecay=True), TypeError, "SGD: got an unexpected keyword argument 'nodecay'"),  # type: ignore
        (lambda: optim.Adam(decoupled_weight_decay=True), TypeError, "unexpected keyword argument"),  # type: ignore
        (lambda: optim.Adan(betas=(0.9, 0.9)), TypeError, "betas must be three numbers"),  # type: ignore
        (lambda: optim.Rprop(etas=(0.5, 0.9)), ValueError, r"etas\[1\] must be a finite number at least 1"),
        (lambda: optim.Rprop(step_sizes=(1.0, 0.1)), ValueError, "Rprop: step_size_min = 1 is above"),
        (lambda: optim.ScheduleFreeSGD(beta=0.0), ValueError, "ScheduleFreeSGD: beta must be above 0"),
        (lambda: optim.RMSprop(alpha=1.0), ValueError, r"RMSprop: alpha must be a finite number in \[0, 1\)"),
        (lambda: optim.LAMB(eps=float("nan")), ValueError, "LAMB: eps must be a finite number"),
        (
            lambda: optim.SGD(noise=(0.1, np.array(0.5))),
            ValueError,
            r"SGD: noise must be all numbers or all arrays, got \(0.1, array\(0.5\)\)",
        ),
        (
            lambda: optim.Adam(groups=[optim.Group("*", betas=(np.array(0.9), 0.9))]),
            ValueError,
            "Adam: betas must be all numbers or all arrays",
        ),
    ],
)
def test_errors_at_once(build: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build()


def test_a_group_belongs_to_one_optimizer() -> None:
    group = optim.Group("*", lr=0.1)
    optim.SGD(groups=[group])
    with pytest.raises(ValueError, match="group of another optimizer"):
        optim.Adam(groups=[group])


def test_a_refused_change_changes_nothing() -> None:
    optimizer = optim.SGD(lr=0.1, momentum=0.9, nesterov=True)
    with pytest.raises(ValueError, match="SGD: nesterov needs momentum"):
        optimizer.momentum = 0.0
    assert optimizer.hyper()["momentum"] == 0.9
    group = optim.Group("*", momentum=0.5)
    optimizer.groups = [group]
    with pytest.raises(ValueError, match="nesterov needs momentum"):
        group.momentum = 0.0
    assert group.momentum == 0.5


def test_the_state_of_a_groups_schedule_is_saved() -> None:
    def build() -> rv.TrainStep:
        plateau = optim.schedules.ReduceOnPlateau(0.1, patience=0)
        return new_step(optim.SGD(lr=0.1, groups=[optim.Group("vector", lr=plateau)]), "float64")

    first = build()
    for slopes in gradients(2, "float64"):
        apply(first, slopes)
    plateau = first.optimizer.groups[0].lr
    for metric in (1.0, 2.0, 3.0):
        plateau.update(metric)
    assert plateau(0) < 0.1
    second = build()
    second.load_state_dict(first.state_dict())
    assert second.optimizer.groups[0].lr(0) == plateau(0)
