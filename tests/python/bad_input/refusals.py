"""What a bad input may not change: a model, its training step, the random state, the folder."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn, optim

# A case: the call, its exception, and what the message says.
Case = tuple[Callable[[], Any], type[Exception], str]

N = 20
X = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)
Y = np.arange(N) % 3
TEXT, EMPTY = "text", "empty"  # files in the folder of a test

rv.seed(0)
LINEAR = nn.Linear(2, 1)
UPDATE = optim.Update(optim.SGD(0.1), LINEAR)
NET = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 3))
STEP = rv.TrainStep(NET, nn.CrossEntropyLoss(), optim.Adam(0.01))
STEP(X, Y)


def _digest() -> dict[str, bytes]:
    states = {"linear": LINEAR, "net": NET, "step": STEP}
    return {f"{k}.{n}": a.tobytes() for k, state in states.items() for n, a in state.state_dict().items()}


def check(case: Case, folder: str) -> None:
    """The call raises what the case says, and has changed nothing."""
    call, error, message = case
    with open(os.path.join(folder, TEXT), "w") as file:
        file.write("no such format\n" * 9)
    open(os.path.join(folder, EMPTY), "w").close()
    files = sorted(os.listdir(folder))
    modes, threads = [module.training for module in NET.modules()], rv.get_num_threads()
    rv.seed(11)
    expected = _digest(), rv._core.draw_seed()  # the random state of a step begins with the process's
    rv.seed(11)
    before = _digest()
    with pytest.raises(error, match=re.escape(message)):
        call()
    assert rv._core.draw_seed() == expected[1], "random numbers were drawn"
    assert _digest() == before == expected[0]
    assert [module.training for module in NET.modules()] == modes
    assert rv.get_num_threads() == threads
    assert sorted(os.listdir(folder)) == files
