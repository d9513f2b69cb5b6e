"""Every rule that torch.optim has: trajectories of 200 steps over a grid of its numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from slopes import SHAPES, assert_trajectories_close, gradients, initial, trajectory

from ravine import optim

torch = pytest.importorskip("torch")

STEPS = 200
CASES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.05}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "maximize": True}),
    ("SGD", {"lr": 0.05, "momentum": 0.7, "dampening": 0.3}),
    ("ASGD", {"lr": 0.05}),
    ("ASGD", {"lr": 0.05, "lambd": 0.01, "alpha": 0.6, "t0": 20, "weight_decay": 0.01}),
    ("ASGD", {"lr": 0.02, "maximize": True}),
    ("Rprop", {"lr": 0.01}),
    ("Rprop", {"lr": 0.1, "etas": (0.4, 1.5), "step_sizes": (1e-3, 0.5)}),
    ("Rprop", {"lr": 0.01, "maximize": True}),
    ("Adagrad", {"lr": 0.1}),
    (
        "Adagrad",
        {"lr": 0.1, "lr_decay": 0.01, "weight_decay": 0.1, "initial_accumulator_value": 0.5, "eps": 1e-3},
    ),
    ("Adagrad", {"lr": 0.1, "maximize": True}),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.8, "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    ("Adafactor", {}),
    ("Adafactor", {"lr": 0.3, "beta2_decay": -0.5, "eps": (1e-4, 0.1), "d": 1.2, "weight_decay": 0.1}),
    ("Adafactor", {"lr": 0.05, "maximize": True}),
    ("RMSprop", {"lr": 0.01}),
    ("RMSprop", {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.01, "centered": True, "alpha": 0.9, "eps": 1e-2}),
    ("RMSprop", {"lr": 0.01, "centered": True, "eps": 1e-2, "momentum": 0.5, "maximize": True}),
    ("Adam", {"lr": 0.01}),
    ("Adam", {"lr": 0.01, "betas": (0.3, 0.9), "eps": 1e-3, "weight_decay": 0.1, "amsgrad": True}),
    ("Adam", {"lr": 0.01, "maximize": True}),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.01, "amsgrad": True, "maximize": True}),
    ("Adamax", {"lr": 0.01}),
    ("Adamax", {"lr": 0.01, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    ("NAdam", {"lr": 0.01}),
    ("NAdam", {"lr": 0.01, "betas": (0.8, 0.9), "weight_decay": 0.1, "momentum_decay": 0.1}),
    ("NAdam", {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("RAdam", {"lr": 0.01}),
    ("RAdam", {"lr": 0.01, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    ("RAdam", {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
]


def torch_trajectory(name: str, arguments: dict[str, Any], dtype: str) -> list[dict[str, np.ndarray]]:
    parameters = {key: torch.nn.Parameter(torch.tensor(value)) for key, value in initial(dtype).items()}
    optimizer = getattr(torch.optim, name)(parameters.values(), foreach=False, **arguments)
    result = []
    torch.set_default_dtype(getattr(torch, dtype))  # of the numbers that ASGD and NAdam keep
    try:
        for slopes in gradients(STEPS, dtype):
            for key, parameter in parameters.items():
                parameter.grad = torch.tensor(slopes[key])
            optimizer.step()
            result.append({key: parameter.detach().numpy().copy() for key, parameter in parameters.items()})
    finally:
        torch.set_default_dtype(torch.float32)
    return result


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("name", "arguments"), CASES, ids=[f"{n}-{i}" for i, (n, _) in enumerate(CASES)])
def test_trajectory(name: str, arguments: dict[str, Any], dtype: str) -> None:
    ours = trajectory(getattr(optim, name)(**arguments), dtype, STEPS)
    assert_trajectories_close(ours, torch_trajectory(name, arguments, dtype), dtype)
    assert not np.array_equal(ours[-1]["matrix"], initial(dtype)["matrix"])


def test_defaults_are_torchs() -> None:
    parameter = torch.nn.Parameter(torch.zeros(2))
    for name in {name for name, _ in CASES}:
        theirs, ours = getattr(torch.optim, name)([parameter]).defaults, getattr(optim, name)()
        for key, value in vars(ours).items():
            if not key.startswith("_") and key in theirs and (name, key) != ("SGD", "lr"):
                assert theirs[key] == value, f"{name}: {key}"


def test_groups_are_torchs() -> None:
    dtype = "float64"
    parameters = {key: torch.nn.Parameter(torch.tensor(value)) for key, value in initial(dtype).items()}
    theirs = torch.optim.AdamW(
        [
            {"params": [parameters["matrix"]], "lr": 0.1, "betas": (0.5, 0.9)},
            {"params": [parameters["vector"], parameters["scalar"]], "weight_decay": 0.0},
        ],
        lr=0.01,
        weight_decay=0.1,
    )
    expected = []
    for slopes in gradients(STEPS, dtype):
        for key, parameter in parameters.items():
            parameter.grad = torch.tensor(slopes[key])
        theirs.step()
        expected.append({key: parameter.detach().numpy().copy() for key, parameter in parameters.items()})
    group = optim.Group("matrix", lr=0.1, betas=(0.5, 0.9), weight_decay=0.1)
    ours = optim.AdamW(lr=0.01, weight_decay=0.1, no_decay=True, groups=[group])
    assert_trajectories_close(trajectory(ours, dtype, STEPS), expected, dtype)
    assert set(SHAPES) == {"matrix", "vector", "scalar"}
