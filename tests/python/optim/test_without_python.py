"""A C++ program that trains by the library alone has the bits that the package has."""

from __future__ import annotations

import itertools
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


class Parabolas(nn.Module):
    """The sum of p (p + x) for parameters p and inputs x."""

    def __init__(self, dtype: str) -> None:
        super().__init__()
        for i, shape in enumerate(SHAPES):
            setattr(self, f"p{i}", nn.Parameter(filled(shape, -1, i).astype(dtype)))

    def forward(self, *slopes: Any) -> Any:
        terms = [(p * (p + g)).sum() for (_, p), g in zip(self.named_parameters(), slopes, strict=True)]
        return terms[0] + terms[1] + terms[2]


def words(value: Any) -> list[str]:
    """A number or a schedule in the program's language."""
    if not hasattr(value, "_formula"):
        return [float(value).hex()]
    formula, numbers = value._formula()
    return ["schedule", formula, str(len(numbers)), *(float(x).hex() for x in numbers)]


def stage_words(option: str, value: Any) -> list[str]:
    if option == "noise":
        return ["stage", "add_noise", "1", "std", "schedule", "noise_std", "2", *(x.hex() for x in value)]
    if option in optim._stages.STAGES:
        kind = optim._stages.STAGES[option]
        option, value = kind.stage, {} if kind.name is None else {kind.name: value}
    numbers = [word for name, number in value.items() for word in (name, *words(number))]
    return ["stage", option, str(len(value)), *numbers]


def case(name: str, optimizer: optim.Optimizer, dtype: str) -> str:
    line = [name, dtype, optimizer.rule]
    hyper = {key: value for key, (_, value) in optimizer._values(None).items()} | dict(optimizer._fixed)
    for key, value in hyper.items():
        line += ["hyper", key, *words(value)]
    for option, value in optimizer._stages():
        line += stage_words(option, value)
    if optimizer.average is not None:
        line += ["average", *words(optimizer.average)]
    if isinstance(optimizer, optim.Lookahead):
        line += ["slow", "schedule", "every", "2", optimizer.alpha.hex(), float(optimizer.k).hex()]
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
    for name in RULES:
        for dtype in ("float32", "float64"):
            result[f"{name}-{dtype}"] = dtype, RULES[name]()
    for name, (stage, _, value, _, _) in STAGES.items():
        value = value if isinstance(value, tuple) else (value,)
        result[name] = "float32", optim.chain(stage(*value), optim.SGD(lr=0.1, momentum=0.9))
    options = {
        "accumulate": 2,
        "clip_adaptive": 0.1,
        "skip_nonfinite": True,
        "clip_value": 0.5,
        "clip_norm": 0.7,
    }
    result["all-options"] = "float64", optim.Adam(lr=0.1, **options)
    result["adaptive-sam"] = "float32", optim.SAM(optim.SGD(lr=0.1), adaptive=True)
    result["long-lbfgs"] = "float64", optim.LBFGS(lr=0.1, history_size=3, maximize=True, clip_norm=1.0)
    result["ema"] = "float32", optim.SGD(lr=0.1, average=optim.EMA(0.9, start=1))
    for i, schedule in enumerate(SCHEDULES):
        result[f"schedule-{i}-{type(schedule).__name__}"] = "float64", optim.SGD(lr=schedule)
    return result


def trained(optimizer: optim.Optimizer, dtype: str) -> dict[str, str]:
    """Bits of the weights, of all state and of the averages, by name."""
    model = Parabolas(dtype)
    step = rv.TrainStep(model, lambda output, _: output, optimizer)
    step.load_state_dict({**step.state_dict(), "random.seed": 7})
    for turn in range(STEPS):
        step(tuple(filled(shape, turn, i) for i, shape in enumerate(SHAPES)), np.zeros(1))
    arrays = {name: p.data for name, p in model.named_parameters()} | step.state_dict()
    if step._trained[0].bound.state.keeps_average:
        with optim.averaged(model):
            arrays |= {f"average.{name}": p.data.copy() for name, p in model.named_parameters()}
    return {name: np.ascontiguousarray(array).tobytes().hex() for name, array in arrays.items()}


def test_the_same_bits(repository: Path) -> None:
    table = cases()
    lines = "".join(case(name, optimizer, dtype) + "\n" for name, (dtype, optimizer) in table.items())
    done = subprocess.run([program(repository)], input=lines, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    blocks = [block.splitlines() for block in done.stdout.split("\n\n")[:-1]]
    assert [block[0] for block in blocks] == list(table)
    different = {}
    for name, *block in blocks:
        dtype, optimizer = table[name]
        theirs, ours = dict(line.split() for line in block), trained(optimizer, dtype)
        different |= {f"{name} {k}": k for k in theirs.keys() | ours.keys() if theirs.get(k) != ours.get(k)}
    assert not different
    assert {optimizer.rule for _, optimizer in table.values()} == set(_core.optimizer_rules())
    said = lines.split()
    used = {stage for word, stage in itertools.pairwise(said) if word == "stage"}
    assert used == set(_core.stage_names())
