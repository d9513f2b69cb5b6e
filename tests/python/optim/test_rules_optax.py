"""Rules that torch.optim does not have, against optax: trajectories of 200 steps over a grid of numbers."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from slopes import SHAPES, assert_trajectories_close, initial, trajectory

from ravine import optim

if importlib.util.find_spec("jax") is None or importlib.util.find_spec("optax") is None:
    pytest.skip("optax is not installed", allow_module_level=True)

STEPS = 200
CASES: list[tuple[str, dict[str, Any], str]] = [
    ("Lion", {"lr": 0.01}, "optax.lion(0.01, weight_decay=0.0)"),
    (
        "Lion",
        {"lr": 0.01, "betas": (0.8, 0.95), "weight_decay": 0.1},
        "optax.lion(0.01, b1=0.8, b2=0.95, weight_decay=0.1)",
    ),
    ("LARS", {"lr": 1.0}, "optax.lars(1.0)"),
    (
        "LARS",
        {
            "lr": 2.0,
            "momentum": 0.8,
            "weight_decay": 0.1,
            "trust_coefficient": 0.01,
            "eps": 0.001,
            "nesterov": True,
        },
        "optax.lars(2.0, weight_decay=0.1, trust_coefficient=0.01, eps=0.001, momentum=0.8, nesterov=True)",
    ),
    ("AdaBelief", {"lr": 0.01}, "optax.adabelief(0.01)"),
    (
        "AdaBelief",
        {"lr": 0.01, "betas": (0.8, 0.9), "eps": 0.0001, "eps_root": 1e-06, "weight_decay": 0.1},
        "decayed(optax.adabelief(0.01, b1=0.8, b2=0.9, eps=0.0001, eps_root=1e-06), 0.1)",
    ),
    ("Yogi", {"lr": 0.01}, "optax.yogi(0.01)"),
    (
        "Yogi",
        {"lr": 0.01, "betas": (0.8, 0.9), "eps": 0.01, "weight_decay": 0.1},
        "decayed(optax.yogi(0.01, b1=0.8, b2=0.9, eps=0.01), 0.1)",
    ),
    ("Adan", {"lr": 0.01}, "optax.adan(0.01)"),
    (
        "Adan",
        {"lr": 0.01, "betas": (0.9, 0.8, 0.95), "eps": 0.0001, "eps_root": 1e-06, "weight_decay": 0.1},
        "optax.adan(0.01, b1=0.9, b2=0.8, b3=0.95, eps=0.0001, eps_root=1e-06, weight_decay=0.1)",
    ),
    ("LAMB", {"lr": 0.01}, "optax.lamb(0.01)"),
    (
        "LAMB",
        {"lr": 0.01, "betas": (0.8, 0.9), "eps": 0.0001, "weight_decay": 0.1},
        "optax.lamb(0.01, b1=0.8, b2=0.9, eps=0.0001, weight_decay=0.1)",
    ),
    ("ScheduleFreeSGD", {"lr": 0.05}, "optax.contrib.schedule_free_sgd(0.05)"),
    (
        "ScheduleFreeSGD",
        {"lr": 0.05, "beta": 0.7, "weight_decay": 0.1, "weight_lr_power": 1.0},
        "optax.contrib.schedule_free_sgd(0.05, b1=0.7, weight_decay=0.1, weight_lr_power=1.0)",
    ),
    ("ScheduleFreeAdamW", {"lr": 0.01}, "optax.contrib.schedule_free_adamw(0.01)"),
    (
        "ScheduleFreeAdamW",
        {"lr": 0.01, "betas": (0.7, 0.9), "eps": 0.0001, "weight_decay": 0.1},
        "optax.contrib.schedule_free_adamw(0.01, b1=0.7, b2=0.9, eps=0.0001, weight_decay=0.1)",
    ),
    # optax corrects the bias of momentum, which counts with nesterov alone: the direction has no length. Its
    # eps is added to the norm, and is Adam's too: parameters that take Adam's steps are tested elsewhere.
    (
        "Muon",
        {"lr": 0.01, "weight_decay": 0.0, "nesterov": False, "eps": 0.0},
        "muon(0.01, nesterov=False, eps=1e-30)",
    ),
    (
        "Muon",
        {
            "lr": 0.02,
            "weight_decay": 0.1,
            "momentum": 0.8,
            "nesterov": False,
            "ns_coefficients": (2.0, -1.5, 0.5),
            "eps": 0.0,
            "ns_steps": 7,
        },
        "muon(0.02, (2.0, -1.5, 0.5), 7, 0.8, 1e-30, 0.1, nesterov=False)",
    ),
]


# JAX's threads do not survive a fork, which other tests of this process do: it has one of its own.
REFERENCE = """
import json, sys
import numpy as np
import jax, optax
from slopes import SHAPES, gradients, initial

jax.config.update("jax_enable_x64", True)

def decayed(rule, weight_decay):
    return optax.chain(optax.add_decayed_weights(weight_decay), rule)

def muon(*arguments, **named):
    dimensions = optax.contrib.MuonDimensionNumbers(reduction_axis=1, output_axis=0)  # [out, in]
    matrices = {key: dimensions if len(shape) == 2 else None for key, shape in SHAPES.items()}
    return optax.contrib.muon(*arguments, muon_weight_dimension_numbers=matrices, **named)

result = {}
for i, text in enumerate(json.loads(sys.argv[2])):
    rule = eval(text)
    update = jax.jit(rule.update)
    for dtype in ("float64", "float32"):
        parameters = {key: jax.numpy.asarray(value) for key, value in initial(dtype).items()}
        state = rule.init(parameters)
        steps = []
        for slopes in gradients(int(sys.argv[3]), dtype):
            updates, state = update({k: jax.numpy.asarray(v) for k, v in slopes.items()}, state, parameters)
            parameters = optax.apply_updates(parameters, updates)
            steps.append(parameters)
        for key in SHAPES:
            result[f"{i} {dtype} {key}"] = np.array([step[key] for step in steps])
np.savez(sys.argv[1], **result)
"""


@pytest.fixture(scope="module")
def reference(run_python: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    file = tmp_path_factory.mktemp("optax") / "reference.npz"
    rules = json.dumps([rule for _, _, rule in CASES])
    paths = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})"
    done = run_python("-c", paths + REFERENCE, str(file), rules, str(STEPS), timeout=300)
    assert done.returncode == 0, done.stderr
    with np.load(file) as arrays:
        return dict(arrays)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "case", range(len(CASES)), ids=[f"{name}-{i}" for i, (name, _, _) in enumerate(CASES)]
)
def test_trajectory(case: int, dtype: str, reference: dict[str, np.ndarray]) -> None:
    name, arguments, _ = CASES[case]
    expected = [{key: reference[f"{case} {dtype} {key}"][t] for key in SHAPES} for t in range(STEPS)]
    ours = trajectory(getattr(optim, name)(**arguments), dtype, STEPS)
    if name == "Muon":
        expected = [
            {**of_ours, "matrix": step["matrix"]} for of_ours, step in zip(ours, expected, strict=True)
        ]
    assert_trajectories_close(ours, expected, dtype)
    assert not np.array_equal(ours[-1]["matrix"], initial(dtype)["matrix"])
