"""Muon, and what holds for rules that see parameters as matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from slopes import SHAPES, apply, gradients, initial, new_step, weights

import ravine as rv
from ravine import nn, optim

COEFFICIENTS = (3.4445, -4.775, 2.0315)


def orthogonal(x: np.ndarray, steps: int = 5) -> np.ndarray:
    a, b, c = COEFFICIENTS
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / max(np.linalg.norm(x), 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("adjust", [None, "match_rms_adamw"])
def test_muon(nesterov: bool, adjust: str | None) -> None:
    lr, decay, momentum = 0.05, 0.1, 0.9
    rule = optim.Muon(
        lr, decay, momentum, nesterov=nesterov, adjust_lr_fn=adjust, adam_lr=0.01, adam_betas=(0.8, 0.95)
    )
    adam = new_step(optim.AdamW(lr=0.01, betas=(0.8, 0.95), weight_decay=decay), "float64")
    step = new_step(rule, "float64")
    w, buffer = initial("float64")["matrix"], np.zeros(SHAPES["matrix"])
    ratio = 0.2 * math.sqrt(7) if adjust else math.sqrt(7 / 5)
    for slopes in gradients(60, "float64"):
        apply(step, slopes)
        apply(adam, slopes)
        g = slopes["matrix"]
        buffer = momentum * buffer + (1 - momentum) * g
        ahead = momentum * buffer + (1 - momentum) * g if nesterov else buffer
        w = w * (1 - lr * decay) - lr * ratio * orthogonal(ahead)
        np.testing.assert_allclose(weights(step)["matrix"], w, rtol=0, atol=1e-10)
    for key in ("vector", "scalar"):
        np.testing.assert_array_equal(weights(step)[key], weights(adam)[key])


def test_muons_numbers_change_without_compiling_and_by_group() -> None:
    changed = {"ns_steps": 2, "nesterov": False, "ns_coefficients": (2.0, -1.5, 0.5), "eps": 0.1}
    changed["adjust_lr_fn"] = "match_rms_adamw"
    whole = new_step(optim.Muon(0.02, **changed), "float64")  # type: ignore[arg-type]
    grouped = new_step(optim.Muon(0.02, groups=[optim.Group("matrix", **changed)]), "float64")
    rule = optim.Muon(0.02)
    later = new_step(rule, "float64")
    for slopes in gradients(2, "float64"):
        apply(whole, slopes)
        apply(grouped, slopes)
    np.testing.assert_array_equal(weights(grouped)["matrix"], weights(whole)["matrix"])
    first, second = gradients(2, "float64")
    apply(later, {key: np.zeros_like(slope) for key, slope in first.items()})
    for name, value in changed.items():
        setattr(rule, name, value)
    apply(later, second)
    fresh = new_step(optim.Muon(0.02, **changed), "float64")  # type: ignore[arg-type]
    apply(fresh, {key: np.zeros_like(slope) for key, slope in first.items()})
    apply(fresh, second)
    np.testing.assert_array_equal(weights(later)["matrix"], weights(fresh)["matrix"])
    assert len(later.programs()) == 1


def test_muon_is_near_torchs_in_bfloat16() -> None:
    torch = pytest.importorskip("torch")
    parameter = torch.nn.Parameter(torch.tensor(initial("float32")["matrix"]))
    theirs = torch.optim.Muon([parameter], lr=0.02)
    step = new_step(optim.Muon(lr=0.02), "float32")
    for slopes in gradients(20, "float32"):
        parameter.grad = torch.tensor(slopes["matrix"])
        theirs.step()
        apply(step, slopes)
    start = initial("float32")["matrix"]
    moved, expected = weights(step)["matrix"] - start, parameter.detach().numpy() - start
    assert np.linalg.norm(moved - expected) < 0.03 * np.linalg.norm(expected)


def test_the_directions_are_nearly_orthogonal() -> None:
    rv.seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 16, 10))
    step = rv.TrainStep(model, nn.CrossEntropyLoss(), optim.Muon(lr=1.0, weight_decay=0.0))
    before = {key: value.copy() for key, value in model.state_dict().items()}
    rng = np.random.default_rng(0)
    step(rng.standard_normal((16, 3, 6, 6)).astype(np.float32), rng.integers(0, 10, 16))
    for key, rank in (("0.weight", 8), ("2.weight", 9)):  # of softmax's gradients one direction is lost
        moved = (before[key] - model.state_dict()[key]).reshape(len(before[key]), -1)
        singular = np.linalg.svd(moved, compute_uv=False)
        assert singular[0] < 1.3 and singular[rank - 1] > 0.5


@pytest.mark.parametrize("build", [optim.Muon, optim.Adafactor])
def test_clipping(build: Any) -> None:
    bounds = {"clip_value": 0.5, "clip_norm": 1.5, "clip_global_norm": 1.0}
    step, reference = new_step(build(0.05, **bounds), "float64"), new_step(build(0.05), "float64")

    def norm(slopes: dict[str, np.ndarray]) -> float:
        return float(np.sqrt(sum(np.square(slope).sum() for slope in slopes.values())))

    for slopes in gradients(10, "float64"):
        apply(step, slopes)
        bounded = {key: np.clip(slope, -0.5, 0.5) for key, slope in slopes.items()}
        bounded = {key: g * min(1.0, 1.5 / (norm({key: g}) + 1e-6)) for key, g in bounded.items()}
        factor = min(1.0, 1.0 / (norm(bounded) + 1e-6))
        apply(reference, {key: g * factor for key, g in bounded.items()})
    for key in SHAPES:
        np.testing.assert_allclose(weights(step)[key], weights(reference)[key], rtol=0, atol=1e-10)


@pytest.mark.parametrize("build", [optim.Muon, optim.Adafactor])
def test_skipping(build: Any) -> None:
    step = new_step(build(0.05, skip_nonfinite=True, average=optim.EMA(0.5)), "float32")
    reference = new_step(build(0.05, average=optim.EMA(0.5)), "float32")
    for t, slopes in enumerate(gradients(5, "float32")):
        if t == 2:
            before = step.state_dict()
            apply(step, {**slopes, "scalar": np.asarray(np.nan)})
            after = step.state_dict()
            kept = [key for key in before if key.startswith("optimizer.")]
            assert kept and all(np.array_equal(after[key], before[key]) for key in kept)
        else:
            apply(step, slopes)
            apply(reference, slopes)
    assert step.skipped == 1
    for key in SHAPES:
        np.testing.assert_array_equal(weights(step)[key], weights(reference)[key])


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: optim.Muon(momentum=1.0), ValueError, r"Muon: momentum must be a finite number in \[0, 1\)"),
        (lambda: optim.Muon(ns_steps=0), ValueError, "Muon: ns_steps must be at least 1"),
        (lambda: optim.Muon(ns_coefficients=(1.0, 2.0)), TypeError, "ns_coefficients must be three"),  # type: ignore[arg-type]
        (lambda: optim.Muon(adjust_lr_fn="more"), ValueError, "adjust_lr_fn must be 'original' or"),
        (lambda: optim.Adafactor(eps=1e-3), TypeError, "eps must be a pair"),  # type: ignore[arg-type]
        (lambda: optim.Adafactor(beta2_decay=0.5), ValueError, "beta2_decay must be at most 0"),
        (lambda: setattr(optim.Muon(), "ns_a", 1.0), AttributeError, "Muon has no hyperparameter 'ns_a'"),
        (lambda: setattr(optim.Muon(), "match_rms_adamw", True), AttributeError, "'match_rms_adamw'"),
        (lambda: setattr(optim.Adafactor(), "machine_eps", True), AttributeError, "'machine_eps'"),
        (lambda: optim.Adafactor(d=0.0), ValueError, "d must be a finite number at least 1"),
        (lambda: optim.Muon(decay=0.5), TypeError, "unexpected keyword argument 'decay'"),  # type: ignore[call-arg]
    ],
)
def test_errors(build: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build()
