"""Interrupts at any instant: weights, slots and counters are of one step."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn, optim


class Interrupted(Exception):
    """What the handler raises."""


@pytest.fixture
def interrupts() -> Iterator[Callable[[float], None]]:
    """`interrupts(seconds)`: a signal arrives every so many seconds, and its handler raises."""

    def handler(_: int, frame: FrameType | None) -> None:
        while frame is not None:  # within a call of the package, at any instant of it
            code = frame.f_code
            if code.co_name == "__del__" or code.co_filename.endswith("weakref.py"):
                return  # Python reports what a finaliser raises, and goes on
            if code.co_filename.endswith(("_step.py", "_update.py")):
                raise Interrupted
            frame = frame.f_back

    before = signal.signal(signal.SIGALRM, handler)
    try:
        yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds, seconds) and None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


OPTIMIZERS: dict[str, Callable[[], optim.Optimizer]] = {
    "schedule": lambda: optim.Adam(lr=optim.schedules.InverseTime(1e-3, k=0.1), average=optim.EMA(0.9)),
    "accumulate": lambda: optim.SGD(lr=1e-3, momentum=0.9, accumulate=3),
    "skip": lambda: optim.chain(optim.skip_nonfinite(), optim.Adam(lr=1e-3)),
    "lookahead": lambda: optim.Lookahead(optim.SGD(lr=1e-3), k=3),
}


def net() -> nn.Module:
    rv.seed(0)
    return nn.Sequential(nn.Linear(64, 256), nn.Tanh(), nn.Linear(256, 8))


def batches(n: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    for _ in range(n):
        yield rng.standard_normal((256, 64)).astype(np.float32), rng.integers(0, 8, 256)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_interrupted_step_has_happened_or_has_not(name: str, interrupts: Callable[[float], None]) -> None:
    step = rv.TrainStep(net(), nn.CrossEntropyLoss(), OPTIMIZERS[name]())
    data = list(batches(4))
    step(*data[0])
    raised, calls = 0, 0
    interrupts(0.004)
    while raised < 12:
        with contextlib.suppress(Interrupted):
            while True:
                calls += 1
                step(*data[calls % 4])
        raised += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    state = step.state_dict()
    done = state["optimizer.0.weight.step"]
    assert step.steps == state["optimizer.steps"] == done
    # All of the state is of one step: a copy goes on with the same bits.
    twin = rv.TrainStep(net(), nn.CrossEntropyLoss(), OPTIMIZERS[name]())
    twin.model.load_state_dict(step.model.state_dict())
    twin.load_state_dict(state)
    for x, y in data:
        assert step(x, y) == twin(x, y)
    for key, value in step.state_dict().items():
        np.testing.assert_array_equal(twin.state_dict()[key], value)


def test_an_interrupted_update_counts_what_it_did(interrupts: Callable[[float], None]) -> None:
    model = nn.Linear(512, 512, bias=False)
    model.weight.data[...] = 0.0
    update = optim.Update(optim.SGD(lr=1.0), model)
    ones = {"weight": -np.ones((512, 512), np.float32)}
    raised = 0
    interrupts(0.003)
    while raised < 12:
        with contextlib.suppress(Interrupted):
            while True:
                update(ones)
        raised += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert (model.weight.data == update.steps).all() and update.steps > 0


def test_a_reader_beside_a_training_thread_sees_one_step() -> None:
    model = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 2))
    step = rv.TrainStep(model, nn.CrossEntropyLoss(), optim.Adam(lr=optim.schedules.InverseTime(1e-3, k=0.1)))
    x, y = np.ones((8, 4), np.float32), np.zeros(8, int)
    step(x, y)
    stop = threading.Event()

    def train() -> None:
        while not stop.is_set():
            step(x, y)

    thread = threading.Thread(target=train)
    thread.start()
    try:
        states: list[dict[str, Any]] = [step.state_dict() for _ in range(100)]
    finally:
        stop.set()
        thread.join()
    steps = [int(state["optimizer.steps"]) for state in states]
    assert steps == sorted(steps)
    for state in states:
        counted = {int(value) for key, value in state.items() if key.endswith(("r.steps", "weight.step"))}
        assert len(counted) == 1
