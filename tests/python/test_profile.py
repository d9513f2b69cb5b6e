"""Profiles: every call has its time, module and part of a step, and measuring changes nothing."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn, ops, optim


class Block(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.dense = nn.Linear(n, n)
        self.norm = nn.BatchNorm1d(n)

    def forward(self, x: rv.Tensor) -> rv.Tensor:
        return ops.relu(self.norm(self.dense(x)))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(24), Block(24)])
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(24, 3)

    def forward(self, x: rv.Tensor) -> rv.Tensor:
        for block in self.blocks:
            x = block(x)
        return self.head(self.drop(x))


def data(n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    r = np.random.default_rng(0)
    return r.standard_normal((n, 24)).astype(np.float32), r.integers(0, 3, n)


def new_step(optimizer: optim.Optimizer | None = None) -> rv.TrainStep:
    rv.seed(0)
    return rv.TrainStep(Net(), nn.CrossEntropyLoss(), optimizer or optim.Adam(lr=0.01))


@pytest.mark.parametrize(
    "optimizer",
    [optim.Adam(lr=0.01), optim.SGD(lr=0.1, momentum=0.9, clip_global_norm=1.0, accumulate=2)],
    ids=["adam", "accumulating"],
)
def test_a_profile_trains_nothing(optimizer: optim.Optimizer) -> None:
    x, y = data()
    step, other = new_step(optimizer), new_step(optimizer)
    for each in (step, other):
        each(x, y)
    before = pickle.dumps([step.state_dict(), step.model.state_dict()])
    step.profile(x, y, runs=3)
    assert pickle.dumps([step.state_dict(), step.model.state_dict()]) == before
    # Dropout draws what it would have drawn, and the next steps have the same bits.
    for _ in range(3):
        assert step(x, y) == other(x, y)
    for name, array in other.model.state_dict().items():
        np.testing.assert_array_equal(step.model.state_dict()[name], array)


def test_calls_belong_to_modules_and_parts_of_a_step() -> None:
    profile = new_step().profile(*data(), runs=2)
    assert list(profile.by_phase()) == ["forward", "backward", "update"]
    modules = profile.by_module()
    assert {"blocks.0.dense", "blocks.1.dense", "blocks.1.norm", "head", "loss"} <= set(modules)
    assert "blocks" in profile.by_module(depth=1)
    first = profile.calls[0]
    assert (first.module, first.phase) == ("blocks.0.dense", "forward")
    assert first.kernel.startswith("gemm")
    assert first.flops == 2 * 40 * 24 * 24
    of_loss = [call.phase for call in profile.calls if call.module == "loss"]
    assert {"forward", "backward"} <= set(of_loss)
    assert profile.calls[-1].phase == "update"


def test_totals_are_those_of_the_calls() -> None:
    profile = new_step().profile(*data(), runs=2)
    for totals in (profile.by_module(), profile.by_phase(), profile.by_kernel(), profile.by_module(depth=1)):
        assert sum(t.calls for t in totals.values()) == len(profile.calls)
        for field in ("seconds", "flops", "bytes", "limit"):
            total = sum(getattr(call, field) for call in profile.calls)
            assert sum(getattr(t, field) for t in totals.values()) == pytest.approx(total)
    assert all(call.seconds > 0 for call in profile.calls)
    assert profile.step_seconds > 0


def test_a_module_that_is_registered_twice_has_the_path_of_its_caller() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Sequential(nn.Linear(24, 24), nn.Tanh())
            self.b = nn.Sequential(self.a[0], nn.Sigmoid())

        def forward(self, x: rv.Tensor) -> rv.Tensor:
            return self.b(self.a(x))

    profile = Twice().eval().profile(data()[0], runs=1)
    assert [call.module for call in profile.calls] == ["a.0", "b.0"]


def test_a_profile_of_a_model_keeps_statistics() -> None:
    model, x = Net(), data()[0]
    before = {name: array.copy() for name, array in model.state_dict().items()}
    model.profile(x, runs=2)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    assert {call.phase for call in model.eval().profile(x, runs=1).calls} == {"forward"}


def test_table_lists_phases_modules_and_the_longest_calls() -> None:
    profile = new_step().profile(*data(), runs=2)
    text = str(profile)
    lines = text.splitlines()
    assert lines[0].count("a run on") == 1
    for heading in ("phase", "module", "kernel"):
        row = next(line for line in lines if line.startswith(heading))
        assert all(name in row for name in ("time", "share", "GFLOP/s", "GB/s", "of limit"))
    assert any(line.startswith("blocks.0.dense") for line in lines)
    assert len(profile.table(calls=2).splitlines()) < len(lines)
    assert "a run" in repr(profile)


def test_a_chrome_trace_holds_every_call(tmp_path: Path) -> None:
    profile = new_step().profile(*data(), runs=1)
    profile.to_chrome(tmp_path / "trace.json")
    events: list[dict[str, Any]] = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    calls = [event for event in events if event["ph"] == "X"]
    assert [event["name"] for event in calls] == [call.kernel for call in profile.calls]
    begins = [event["ts"] for event in calls]
    assert begins == sorted(begins) and begins[0] == 0
    assert {event["args"]["name"] for event in events if event["ph"] == "M"} == {
        "forward",
        "backward",
        "update",
    }


@pytest.mark.parametrize("runs", [0, -1, 1.5, True, "3"])
def test_runs_must_be_a_positive_integer(runs: Any) -> None:
    with pytest.raises(ValueError, match="runs must be an integer of at least 1"):
        new_step().profile(*data(), runs=runs)
    with pytest.raises(ValueError, match=r"Net\.profile: runs must be"):
        Net().profile(data()[0], runs=runs)


def test_what_a_call_raises_a_profile_raises_and_nothing_has_changed() -> None:
    step, (x, y) = new_step(), data()
    step(x, y)
    before = pickle.dumps([step.state_dict(), step.model.state_dict()])
    with pytest.raises(ValueError, match="label"):
        step.profile(x, y + 5)
    assert pickle.dumps([step.state_dict(), step.model.state_dict()]) == before


def test_description_names_modules() -> None:
    step, (x, y) = new_step(), data()
    step(x, y)
    text = step.programs()[0].describe()
    assert "in blocks.0.dense" in text and "in head" in text
