"""Readers of a model beside a thread that trains it see the numbers of one step."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn, ops, optim

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
def training(model: nn.Module, loss: Callable[[Any, Any], Any] | None = None) -> Iterator[rv.TrainStep]:
    """Steps in another thread until the end of the context."""
    step = rv.TrainStep(loss or (lambda model, x: -model(x)), model, optim.SGD(lr=1.0))
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


def the_number(state: dict[str, np.ndarray]) -> float:
    numbers = {float(x) for array in state.values() for x in (array.min(), array.max())}
    assert len(numbers) == 1, f"numbers of several steps: {sorted(numbers)}"
    return numbers.pop()


def the_step(state: dict[str, np.ndarray]) -> int:
    return int(the_number(state))


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


class Limits(nn.Module):
    """As `Counting`, but gives the largest and the least numbers, and changes nothing itself."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ParameterList([nn.Parameter(np.zeros(SIZE, np.float32)) for _ in range(4)])

    def forward(self, x: Any) -> Any:
        limits = [limit for part in self.parts for limit in (part.amax(), part.amin())]
        return ops.stack(limits) + 0.0 * x.sum()


def minus_sum(model: Any, x: Any) -> Any:
    return -sum((part.sum() for part in model.parts), 0.0 * x.sum())


def predict(step: rv.TrainStep, x: np.ndarray) -> None:
    """Predictions of eight steps at least, none older than what was there before."""
    seen = [the_step({"y": step.model(x)})]
    while len({*seen}) < 8:
        least = step.steps
        seen.append(the_step({"y": step.model(x)}))
        assert least <= seen[-1] <= step.steps
    assert seen == sorted(seen)


def in_threads(*functions: Callable[[], object]) -> None:
    """Runs all at once; raises the first error."""
    with ThreadPoolExecutor(len(functions)) as pool:
        for future in [pool.submit(function) for function in functions]:
            future.result()


def test_predictions_are_of_one_step_and_of_the_newest() -> None:
    model = Limits()
    x, pair = np.zeros(1, np.float32), np.zeros(2, np.float32)
    assert the_step({"y": model(x)}) == 0
    with training(model, minus_sum) as step:
        in_threads(*[partial(predict, step, x) for x in (x, pair, x)])
    assert the_step({"y": model(x)}) == step.steps
    assert step(x) == -4 * SIZE * (step.steps - 1)
    assert the_step({"y": model(x)}) == step.steps  # in the thread that trained last
    model.load_state_dict({name: np.full_like(array, 5) for name, array in model.state_dict().items()})
    assert the_step({"y": model(x)}) == 5
    in_threads(lambda: the_step({"y": model(x)}))
    model.parts[0].data[...] = 6
    model.parts[1].data[...] = model.parts[2].data[...] = model.parts[3].data[...] = 6
    assert the_step({"y": model(x)}) == 6


def test_averaged_weights_are_of_one_step() -> None:
    model = Limits()
    step = rv.TrainStep(minus_sum, model, optim.SGD(lr=1.0, average=optim.Polyak()))
    x = np.zeros(1, np.float32)
    step(x)
    over = threading.Event()

    def train() -> None:
        while not over.is_set():
            with suppress(RuntimeError):  # the model has its averaged weights
                step(x)

    def evaluate() -> None:
        try:
            for _ in range(30):
                with optim.averaged(model):  # of weights that were 1 to n
                    mean = pytest.approx((step.steps + 1) / 2, rel=1e-5)
                    assert the_number({"y": model(x)}) == mean
                    assert the_number(model.state_dict()) == mean
                the_step(model.state_dict())
        finally:
            over.set()

    in_threads(train, evaluate)
    assert the_step(model.state_dict()) == step.steps >= 1


def test_kept_values_are_of_the_step_that_is_predicted() -> None:
    class Folded(nn.Module):
        """In evaluation (weight · gain) x, with both equal to the step; both are folded into one filter."""

        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(16, 64, 3, bias=False), nn.BatchNorm2d(64, eps=0.0)
            self.conv.weight.data[...] = self.norm.weight.data[...] = 0

        def forward(self, x: Any) -> Any:
            return self.norm(self.conv(x))

    model = Folded().eval()
    x = np.full((1, 16, 8, 8), 1 / 144, np.float32)
    with training(model, lambda m, x: 0.0 * x.sum() - m.conv.weight.sum() - m.norm.weight.sum()) as step:
        seen = set[int]()
        while len(seen) < 20:
            least = step.steps
            y = model(x)[:, :, 1:-1, 1:-1]
            seen.add(number := round(float(np.sqrt(y.max()))))
            assert least <= number <= step.steps
            np.testing.assert_allclose(y, np.full_like(y, number**2), rtol=1e-5)


def test_predictions_that_change_buffers_take_turns_with_the_steps() -> None:
    model = nn.Sequential(nn.Linear(1, 4), nn.BatchNorm1d(4))
    step = rv.TrainStep(lambda m, x: m(x).square().mean(), model, optim.SGD(lr=0.1))
    x = np.random.default_rng(0).normal(size=(8, 1)).astype(np.float32)
    step(x)

    def predict() -> None:
        for _ in range(300):
            model(x)

    def train() -> None:
        for _ in range(300):
            step(x)

    in_threads(train, predict, predict)
    assert model[1].num_batches_tracked.item() == 901


def test_a_prediction_of_a_trained_model_leaves_training_alone() -> None:
    """The step of another thread does not wait for a prediction that has begun."""
    model = nn.Sequential(nn.Linear(64, 256), nn.Linear(256, 8))
    step = rv.TrainStep(model, nn.MSELoss(), optim.SGD(lr=1e-6))
    small, y = np.zeros((1, 64), np.float32), np.zeros((1, 8), np.float32)
    large = np.zeros((200_000, 64), np.float32)
    in_threads(partial(step, small, y))
    model(large)  # compiled
    began, ended = threading.Event(), threading.Event()
    during = 0

    def predict() -> None:
        began.set()
        model(large)
        ended.set()

    def train() -> None:
        nonlocal during
        began.wait()
        while not ended.is_set():
            step(small, y)
            during += 1

    in_threads(train, predict)
    assert during > 20
