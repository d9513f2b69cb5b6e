"""Readers of a model beside a thread that trains it see the numbers of one step."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn, optim

SIZE = 200_000  # so that an update takes long enough to be met


class Counting(nn.Module):
    """All numbers are those of the step: a gradient of -1 and lr=1 add 1, and so does the buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ParameterList([nn.Parameter(np.zeros(SIZE, np.float32)) for _ in range(4)])
        self.inner = nn.Module()
        self.inner.first = nn.Parameter(np.zeros(SIZE, np.float32))
        self.inner.last = nn.Parameter(np.zeros(3, np.float32))
        self.register_buffer("steps", np.zeros(SIZE, np.float32))

    def forward(self, x: Any) -> Any:
        self.steps = self.steps + 1.0
        total = self.inner.first.sum() + self.inner.last.sum()
        for part in self.parts:
            total = total + part.sum()
        return total + 0.0 * x.sum()


@contextmanager
def training(model: nn.Module) -> Iterator[rv.TrainStep]:
    """Steps in another thread until the end of the context."""
    step = rv.TrainStep(lambda model, x: -model(x), model, optim.SGD(lr=1.0))
    x = np.zeros(1, np.float32)
    step(x)
    over = threading.Event()

    def run() -> None:
        while not over.is_set():
            step(x)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield step
    finally:
        over.set()
        thread.join()


def the_step(state: dict[str, np.ndarray]) -> int:
    numbers = {float(x) for array in state.values() for x in (array.min(), array.max())}
    assert len(numbers) == 1, f"numbers of several steps: {sorted(numbers)}"
    return int(numbers.pop())


def test_a_state_dict_is_of_one_step_and_of_the_newest() -> None:
    model = Counting()
    seen: list[int] = []
    with training(model) as step:
        for _ in range(60):
            least = step.steps
            seen.append(the_step(model.state_dict()))
            assert least <= seen[-1] <= step.steps
            the_step(model.inner.state_dict())  # of a part alone
    assert seen == sorted(seen) and seen[-1] > seen[0]
    assert the_step(model.state_dict()) == step.steps


def test_a_saved_file_is_of_one_step(tmp_path: Path) -> None:
    model = Counting()
    with training(model):
        for _ in range(5):
            rv.save(tmp_path / "model.safetensors", model)
            the_step(rv.load(tmp_path / "model.safetensors"))


def test_models_that_two_steps_train_wait_for_both() -> None:
    model = Counting()
    x = np.zeros(1, np.float32)
    steps = [rv.TrainStep(lambda m, x: -m(x), model, optim.SGD(lr=1.0)) for _ in range(2)]
    assert len([step(x) for step in steps]) == 2
    state = model.state_dict()
    assert the_step(state) == 2
    state["inner.last"][...] = 9.0  # a copy
    assert the_step(model.state_dict()) == 2
    del steps
    assert the_step(model.state_dict()) == 2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_copies_are_in_the_order_of_their_axes(dtype: str) -> None:
    model = nn.Conv2d(3, 5, 2).to(dtype)
    weight = model.state_dict()["weight"]
    assert weight.flags.c_contiguous and weight.flags.writeable and weight.dtype == dtype
    assert np.array_equal(weight, model.weight.numpy())
