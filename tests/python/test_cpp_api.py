"""A C++ program that trains through the public headers alone has the bits that the package has."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import init, nn, optim
from ravine.optim import schedules

STEPS, ROWS = 6, 12


def program(repository: Path) -> Path:
    found = sorted(
        (repository / "build").glob("*/tests/cpp/api_same_bits"), key=lambda path: path.stat().st_mtime
    )
    if not found:
        pytest.skip("the C++ tests are not built: tests/run builds them")
    return found[-1]


def numbers(shape: tuple[int, ...], turn: int, dtype: str) -> np.ndarray:
    i = np.arange(int(np.prod(shape)), dtype=np.int64) * 37 + turn * 101
    return ((np.fmod(i, 64) - 31) / 16.0).reshape(shape).astype(dtype)


def trained(
    step: rv.TrainStep, shape: tuple[int, ...], dtype: str, target: Callable[[int], np.ndarray]
) -> list[str]:
    """What the program prints of such a step."""
    lines = [f"loss {step(numbers(shape, turn, dtype), target(turn)).hex()}" for turn in range(STEPS)]
    state: dict[str, Any] = step.model.state_dict()
    lines += [f"{key} {np.asarray(state[key]).tobytes().hex()}" for key in sorted(state)]
    output = step.model.eval()(numbers(shape, 99, dtype))
    return [*lines, f"output {output.tobytes().hex()}"]


def convolutional() -> list[str]:
    rv.seed(11)
    model = nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3),
        nn.SiLU(),
        nn.GroupNorm(4, 8),
        nn.Dropout2d(0.2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(8 * 4 * 4, 10),
    )
    optimizer = optim.Adam(lr=schedules.Cosine(0.01, 100), clip_global_norm=1.0)
    step = rv.TrainStep(model, nn.CrossEntropyLoss(label_smoothing=0.1), optimizer)
    return trained(step, (ROWS, 2, 12, 12), "float32", lambda turn: (np.arange(ROWS) * 7 + turn * 3) % 10)


def perceptron() -> list[str]:
    rv.seed(12)
    model = nn.Sequential(
        nn.Linear(5, 24, dtype="float64"),
        nn.LayerNorm(24, dtype="float64"),
        nn.GELU(),
        nn.Linear(24, 16, bias=False, dtype="float64"),
        nn.RMSNorm(16, eps=1e-6, dtype="float64"),
        nn.Tanh(),
        nn.Linear(16, 2, dtype="float64", weight_init=lambda weight: init.orthogonal_(weight, 0.5)),
    )
    optimizer = optim.SGD(lr=0.1, momentum=0.9, nesterov=True, accumulate=2)
    step = rv.TrainStep(model, nn.HuberLoss(delta=0.5), optimizer)
    return trained(step, (ROWS, 5), "float64", lambda turn: numbers((ROWS, 2), 5, "float64"))


def test_training_in_cpp_has_the_bits_of_training_here(repository: Path) -> None:
    printed = subprocess.run([program(repository)], capture_output=True, text=True, check=True).stdout
    found = {case.split("\n")[0]: case.split("\n")[1:] for case in printed.strip().split("\n\n")}
    expected = {"convolutional": convolutional(), "perceptron": perceptron()}
    assert found.keys() == expected.keys()
    for name, lines in expected.items():
        # %a of C and hex() of Python write a number differently; both are exact.
        losses = [float.fromhex(line.split()[1]) for line in found[name][:STEPS]]
        assert losses == [float.fromhex(line.split()[1]) for line in lines[:STEPS]], name
        for ours, theirs in zip(found[name][STEPS:], lines[STEPS:], strict=True):
            assert ours == theirs, (name, ours.split()[0])
