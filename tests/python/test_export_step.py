"""Training steps leave Python and come back: a run that goes on has the bits of one that never left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_export import edited, put

import ravine as rv
from ravine import nn, optim
from ravine.optim import schedules


def batch(turn: int, n: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(turn)
    return rng.standard_normal((n, 1, 8, 8), np.float32), rng.integers(0, 3, n)


def net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(64, 3),
    )


def constrained() -> nn.Module:
    model = net()
    model[6].weight.constraint = nn.constraints.MaxNorm(0.5)
    return model


OPTIMIZERS: dict[str, Callable[[], optim.Optimizer]] = {
    "SGD": lambda: optim.SGD(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "Adam, schedule, clip": lambda: optim.Adam(
        lr=schedules.Warmup(0.01, 2) + schedules.Cosine(0.01, 50), clip_global_norm=0.5
    ),
    "accumulate": lambda: optim.AdamW(lr=0.01, accumulate=2, clip_norm=0.1),
    "groups": lambda: optim.Adam(
        lr=0.01, groups=[optim.Group("*bias", lr=0.02, betas=(0.5, 0.9))], no_decay=True, weight_decay=0.1
    ),
    "noise, skip": lambda: optim.SGD(lr=0.1, noise=(0.1, 0.5), skip_nonfinite=True),
    "average": lambda: optim.SGD(lr=0.1, average=optim.EMA(0.9)),
    "plateau": lambda: optim.SGD(lr=schedules.ReduceOnPlateau(0.1, patience=0)),
    "SAM": lambda: optim.SAM(optim.SGD(lr=0.1, momentum=0.9), rho=0.05),
    "Lookahead": lambda: optim.Lookahead(optim.Adam(lr=0.01), k=2),
    "schedule-free": lambda: optim.ScheduleFreeAdamW(lr=0.01),
    "Muon": lambda: optim.Muon(lr=0.01),
    "Adafactor": lambda: optim.Adafactor(lr=0.01),
}


def make_step(rule: Callable[[], optim.Optimizer], build: Callable[[], nn.Module] = net) -> rv.TrainStep:
    rv.seed(3)
    return rv.TrainStep(build(), nn.CrossEntropyLoss(label_smoothing=0.1), rule())


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert set(one) == set(other)
    for key, value in other.items():
        np.testing.assert_array_equal(one[key], value, err_msg=key)


def assert_goes_on(step: rv.TrainStep, path: Path, size: Callable[[int], int] = lambda turn: 6) -> None:
    """3 steps, a file, 3 more; and from there to the original again, and 2 more."""
    for turn in range(3):
        step(*batch(turn, size(turn)))
    rv.export(path, step, *batch(0))
    loaded = rv.load_step(path)
    assert_same(loaded.state_dict(), step.state_dict())
    for turn in range(3, 6):
        assert loaded(*batch(turn, size(turn))) == step(*batch(turn, size(turn)))
    assert loaded.steps == step.steps
    assert_same(loaded.state_dict(), step.state_dict())
    assert_same(loaded.model.state_dict(), step.model.state_dict())
    x = batch(9)[0]
    step.model.eval()
    np.testing.assert_array_equal(loaded.model(x), step.model(x))
    step.model.train()
    loaded(*batch(6))
    loaded(*batch(7))
    rv.export(path, loaded)
    again = rv.load_step(path)
    assert_same(again.state_dict(), loaded.state_dict())
    step(*batch(17))
    step.model.load_state_dict(again.model.state_dict())
    step.load_state_dict(again.state_dict())
    assert step(*batch(8)) == loaded(*batch(8)) == again(*batch(8))
    assert_same(step.model.state_dict(), again.model.state_dict())
    assert_same(step.state_dict(), again.state_dict())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_goes_on_from_its_file(name: str, tmp_path: Path) -> None:
    assert_goes_on(make_step(OPTIMIZERS[name]), tmp_path / "step")


def test_constraints_and_other_sizes(tmp_path: Path) -> None:
    step = make_step(OPTIMIZERS["accumulate"], constrained)
    assert_goes_on(step, tmp_path / "step", size=lambda turn: 3 + turn)


def test_an_accumulation_is_finished(tmp_path: Path) -> None:
    step = make_step(OPTIMIZERS["accumulate"])
    for turn in range(3):
        step(*batch(turn))
    rv.export(tmp_path / "step", step, *batch(0))
    loaded = rv.load_step(tmp_path / "step")
    assert loaded.finish_accumulation() and step.finish_accumulation()
    assert not loaded.finish_accumulation()
    assert_same(loaded.state_dict(), step.state_dict())
    assert_same(loaded.model.state_dict(), step.model.state_dict())


def test_a_step_over_a_function_with_several_models(tmp_path: Path) -> None:
    rv.seed(5)
    models = {
        "g": nn.Linear(4, 3),
        "d": nn.Sequential(nn.Linear(3, 3), nn.Dropout()),
        "fixed": nn.Linear(3, 1),
    }

    def loss_of(given: dict[str, nn.Module], x: Any, target: Any) -> Any:
        made = given["d"](given["g"](x["x"]))
        fit = (given["fixed"](made) - target).square().mean()
        return fit + 0.1 * given["g"].weight.square().sum(), {"fit": fit, "n": target.shape[0]}

    step = rv.TrainStep(loss_of, models, {"g": optim.Adam(lr=0.1), "d": optim.SGD(lr=0.1, momentum=0.5)})
    x, y = {"x": np.ones((5, 4))}, np.ones((5, 1))
    step(x, y)
    rv.export(tmp_path / "step", step, x, y)
    loaded = rv.load_step(tmp_path / "step")
    for n in (5, 2, 9):
        given = {"x": np.full((n, 4), 0.5)}, np.ones((n, 1))
        assert loaded(*given) == step(*given)
        assert loaded.parts == step.parts
    assert_same(loaded.state_dict(), step.state_dict())
    loaded.hyper["d"]["lr"] = step.hyper["d"]["lr"] = 0.01
    assert loaded(x, y) == step(x, y)
    with pytest.raises(RuntimeError, match="no graph of inference"):
        _ = loaded.model
    with pytest.raises(ValueError, match="no graph of inference"):
        rv.load_model(tmp_path / "step")


def test_numbers_change_while_it_runs(tmp_path: Path) -> None:
    step = make_step(OPTIMIZERS["groups"])
    step.hyper["lr"] = 0.03
    rv.export(tmp_path / "step", step, *batch(0))
    loaded = rv.load_step(tmp_path / "step")
    assert loaded.hyper["lr"] == 0.03 and loaded.hyper["*bias.lr"] == 0.02
    assert loaded(*batch(0)) == step(*batch(0))
    loaded.hyper["lr"] = step.hyper["lr"] = 0.005
    loaded.hyper["*bias.lr"] = step.hyper["*bias"]["lr"] = 0.5
    for turn in range(2):
        assert loaded(*batch(turn)) == step(*batch(turn))
    assert_same(loaded.state_dict(), step.state_dict())
    with pytest.raises(KeyError, match="no number 'speed', only lr"):
        loaded.hyper["speed"] = 1
    with pytest.raises(ValueError, match="lr is not allowed to be -1"):
        loaded.hyper["lr"] = -1
    assert loaded.hyper["lr"] == 0.005


def test_a_metric_reduces_the_rate(tmp_path: Path) -> None:
    step = make_step(OPTIMIZERS["plateau"])
    rule = step.optimizer.lr
    step(*batch(0))
    rule.update(1.0)
    rv.export(tmp_path / "step", step, *batch(0))
    loaded = rv.load_step(tmp_path / "step")
    for metric in (2.0, 3.0):
        rule.update(metric)
        loaded.report(metric)
        assert loaded(*batch(1)) == step(*batch(1))
    assert_same(loaded.state_dict(), step.state_dict())
    assert loaded.state_dict()["schedule.lr.reductions"] == 2


def test_a_bad_batch_or_state_changes_nothing(tmp_path: Path) -> None:
    step = make_step(OPTIMIZERS["Adam, schedule, clip"])
    step(*batch(0))
    rv.export(tmp_path / "step", step, *batch(0))
    loaded = rv.load_step(tmp_path / "step")
    before, weights = loaded.state_dict(), loaded.model.state_dict()
    x, y = batch(1)
    with pytest.raises(ValueError, match="batch of"):
        loaded(x, y[:5])
    with pytest.raises(ValueError, match="7"):
        loaded(x, np.full(6, 7))
    with pytest.raises(ValueError, match="got 1 arrays, expected 2"):
        loaded(x)
    assert loaded(x * np.float32(np.nan), y) != 0
    assert loaded.skipped == 1
    for key, message in (("optimizer.steps", "missing key"), ("optimizer.0.weight.exp_avg", "missing key")):
        state = {name: value for name, value in before.items() if name != key}
        with pytest.raises(ValueError, match=message):
            loaded.load_state_dict(state)
    with pytest.raises(ValueError, match="unexpected key nothing"):
        loaded.load_state_dict({**before, "nothing": np.zeros(1)})
    with pytest.raises(ValueError, match=r"unexpected key hyper\.speed"):
        loaded.load_state_dict({**before, "hyper.speed": np.zeros(())})
    assert_same(loaded.state_dict(), before)
    assert_same(loaded.model.state_dict(), weights)
    assert loaded(x, y) == step(x, y)


def test_functions_of_python_are_refused(tmp_path: Path) -> None:
    step = make_step(lambda: optim.SGD(lr=lambda step: 0.1))
    with pytest.raises(ValueError, match="function of the step is a function of the host"):
        rv.export(tmp_path / "step", step, *batch(0))
    assert list(tmp_path.iterdir()) == []
    assert step(*batch(0)) > 0


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "rule": (lambda d: put(d, "step", "trained", 0, "rule", "adamm"), "unknown optimizer rule 'adamm'"),
    "number": (
        lambda d: put(d, "step", "trained", 0, "groups", 0, "hyper", 0, 0, "speed"),
        "no number 'speed'",
    ),
    "value": (
        lambda d: put(d, "step", "trained", 0, "groups", 0, "hyper", 1, 2, {"follower": 0}),
        "is not in",
    ),
    "formula": (
        lambda d: put(_schedule(d)["children"][0], "formula", "warm"),
        "no formula 'warm'",
    ),
    "steps": (lambda d: put(_schedule(d)["children"][0], "numbers", 1, 0), "expected a number of steps"),
    "stage": (lambda d: put(d, "step", "trained", 0, "stages", 0, 0, "clap"), "no stage 'clap'"),
    "parameter": (lambda d: put(d, "step", "trained", 0, "parameters", 0, 1, 99), "is not in"),
    "group": (lambda d: put(d, "step", "trained", 0, "parameters", 0, 2, 5), "is not in"),
    "names": (lambda d: put(d, "step", "part_names", ["a"]), "names for 1 parts"),
    "nothing": (lambda d: put(d, "step", "trained", []), "trains no model"),
}


def _schedule(document: dict[str, Any]) -> dict[str, Any]:
    hyper = document["step"]["trained"][0]["groups"][0]["hyper"]
    return next(number for name, _, number in hyper if name == "lr")


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_step_is_refused(name: str, tmp_path: Path) -> None:
    rv.export(tmp_path / "step", make_step(OPTIMIZERS["Adam, schedule, clip"]), *batch(0))
    change, message = BROKEN[name]
    path = edited(tmp_path / "step", change)
    with pytest.raises(ValueError, match=message) as caught:
        rv.load_step(path)
    assert str(path) in str(caught.value)
