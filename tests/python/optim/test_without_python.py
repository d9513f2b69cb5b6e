"""A C++ program that trains by the library alone has the bits that the package has."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_contract import RULES
from test_stages import STAGES

import ravine as rv
from ravine import _core, nn, optim
from ravine.optim import schedules

STEPS = 6
SHAPES = [(7, 5), (33,), ()]


def program(repository: Path) -> Path:
    found = sorted(
        (repository / "build").glob("*/tests/cpp/train_cases"), key=lambda path: path.stat().st_mtime
    )
    if not found:
        pytest.skip("the C++ tests are not built: tests/run builds them")
    return found[-1]


def filled(shape: tuple[int, ...], turn: int, parameter: int) -> np.ndarray:
    i = np.arange(int(np.prod(shape)), dtype=np.int64) * 37 + turn * 101 + parameter * 13
    return (np.fmod(i, 64) - 31).reshape(shape) / 16.0


class Slopes(nn.Module):
    """Parameters whose gradients are the inputs."""

    def __init__(self, dtype: str) -> None:
        super().__init__()
        for i, shape in enumerate(SHAPES):
            setattr(self, f"p{i}", nn.Parameter(filled(shape, -1, i).astype(dtype)))

    def forward(self, *slopes: Any) -> Any:
        terms = [(p * g).sum() for (_, p), g in zip(self.named_parameters(), slopes, strict=True)]
        return terms[0] + terms[1] + terms[2]


def words(kind: str, name: str, schedule: schedules.Schedule) -> list[str]:
    formula, numbers = schedule._formula()
    return [kind, *([name] if name else []), formula, str(len(numbers)), *(float(x).hex() for x in numbers)]


def case(name: str, optimizer: optim.Optimizer, dtype: str) -> str:
    line = [name, dtype, optimizer.rule]
    hyper = {key: value for key, (_, value) in optimizer._values(None).items()} | dict(optimizer._fixed)
    for key, value in hyper.items():
        if isinstance(value, schedules.Schedule):
            line += words("schedule", key, value)
        else:
            line += ["hyper", key, float(value).hex()]
    for option, value in optimizer._stages():
        if option in ("sam", "adaptive_sam"):
            line += ["stage", option, "1", "rho", value.hex()]
            continue
        stage, number, _ = optim._stages.STAGES[option]
        counted = ["0"] if number is None else ["1", number, float(value).hex()]
        line += ["stage", stage, *counted]
    if optimizer.average is not None:
        line += words("average", "", optimizer.average)  # type: ignore[arg-type]
    if isinstance(optimizer, optim.Lookahead):
        line += ["slow", "every", "2", optimizer.alpha.hex(), float(optimizer.k).hex()]
    return " ".join(line)


SCHEDULES = [
    schedules.Cosine(0.1, 8, end=0.01),
    schedules.CosineRestarts(0.1, cycle=2, mult=2, decay=0.7),
    schedules.Cyclic(0.01, 0.1, 2, 3, mode="exp_range", gamma=0.9),
    schedules.Cyclic(0.01, 0.1, 2, 3, mode="triangular2"),
    schedules.Exponential(0.1, gamma=0.77),
    schedules.Exponential(0.1, k=0.3, every=2),
    schedules.InverseSqrt(0.1, timescale=3),
    schedules.InverseTime(0.1, k=0.3),
    schedules.Linear(0.1, 0.01, 7),
    schedules.MultiStep(0.1, [2, 4], gamma=0.3),
    schedules.OneCycle(0.1, 7, three_phase=False),
    schedules.Piecewise([1, 3], [0.1, 0.03, 0.07]),
    schedules.Polynomial(0.1, 7, power=1.7),
    schedules.StepDecay(0.1, 2, gamma=0.3),
    schedules.Warmup(0.1, 9, start=1e-3, kind="exponential"),
    schedules.Warmup(0.1, 9),
]


def cases() -> dict[str, tuple[str, optim.Optimizer]]:
    result: dict[str, tuple[str, optim.Optimizer]] = {}
    for name in (name for name in RULES if name != "LBFGS"):
        for dtype in ("float32", "float64"):
            result[f"{name}-{dtype}"] = dtype, RULES[name]()
    for name, (stage, _, value, _, _) in STAGES.items():
        if name != "add_noise":
            result[name] = "float32", optim.chain(stage(value), optim.SGD(lr=0.1, momentum=0.9))
    options = {
        "accumulate": 2,
        "clip_adaptive": 0.1,
        "skip_nonfinite": True,
        "clip_value": 0.5,
        "clip_norm": 0.7,
    }
    result["all-options"] = "float64", optim.Adam(lr=0.1, **options)
    result["adaptive-sam"] = "float32", optim.SAM(optim.SGD(lr=0.1), adaptive=True)
    result["ema"] = "float32", optim.SGD(lr=0.1, average=optim.EMA(0.9, start=1))
    for i, schedule in enumerate(SCHEDULES):
        result[f"schedule-{i}-{type(schedule).__name__}"] = "float64", optim.SGD(lr=schedule)
    return result


def trained(optimizer: optim.Optimizer, dtype: str) -> tuple[int, str]:
    step = rv.TrainStep(Slopes(dtype), lambda output, _: output, optimizer)
    for turn in range(STEPS):
        step(tuple(filled(shape, turn, i) for i, shape in enumerate(SHAPES)), np.zeros(1))
    weights = [np.ascontiguousarray(p.data) for _, p in step.model.named_parameters()]
    return step.steps, b"".join(w.tobytes() for w in weights).hex()


def test_the_same_bits(repository: Path) -> None:
    table = cases()
    lines = "".join(case(name, optimizer, dtype) + "\n" for name, (dtype, optimizer) in table.items())
    done = subprocess.run([program(repository)], input=lines, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = [line.split() for line in done.stdout.splitlines()]
    assert [name for name, _, _ in results] == list(table)
    different = []
    for name, steps, bits in results:
        dtype, optimizer = table[name]
        if (int(steps), bits) != trained(optimizer, dtype):
            different.append(name)
    assert not different
    assert {optimizer.rule for _, optimizer in table.values()} == set(_core.optimizer_rules())
