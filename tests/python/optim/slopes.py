"""A model whose gradients are the step's input, so that rules can be compared number by number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

import ravine as rv
from ravine import nn, optim

SHAPES = {"matrix": (7, 5), "vector": (33,), "scalar": ()}


def initial(dtype: str) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {name: rng.standard_normal(shape).astype(dtype) for name, shape in SHAPES.items()}


def gradients(steps: int, dtype: str, seed: int = 2) -> Iterator[dict[str, np.ndarray]]:
    """Noise around a slowly turning direction; some are 0."""
    rng = np.random.default_rng(seed)
    drift = {name: rng.standard_normal(shape) for name, shape in SHAPES.items()}
    for t in range(steps):
        yield {
            name: np.asarray(
                (np.cos(0.05 * t) * drift[name] + 0.5 * rng.standard_normal(shape))
                * (rng.random(shape) > 0.05)
            ).astype(dtype)
            for name, shape in SHAPES.items()
        }


class Slopes(nn.Module):
    """sum(parameter · input): the gradient of each parameter is its input."""

    def __init__(self, dtype: str) -> None:
        super().__init__()
        for name, value in initial(dtype).items():
            setattr(self, name, nn.Parameter(value))

    def forward(self, *slopes: rv.Tensor) -> rv.Tensor:
        parameters = [parameter for _, parameter in self.named_parameters()]
        return sum(  # type: ignore[return-value]
            ((p * g).sum() for p, g in zip(parameters, slopes, strict=True)),
            start=rv.ops.sum(slopes[0]) * 0.0,
        )


def first(output: rv.Tensor, _: rv.Tensor) -> rv.Tensor:
    return output


def new_step(optimizer: optim.Optimizer, dtype: str) -> rv.TrainStep:
    return rv.TrainStep(Slopes(dtype), first, optimizer)


def apply(step: rv.TrainStep, slopes: dict[str, np.ndarray]) -> None:
    step(tuple(slopes[name] for name in SHAPES), np.zeros(1))


def weights(step: rv.TrainStep) -> dict[str, np.ndarray]:
    return {name: np.array(parameter.data) for name, parameter in step.model.named_parameters()}


def trajectory(optimizer: optim.Optimizer, dtype: str, steps: int) -> Sequence[dict[str, np.ndarray]]:
    """The weights after every step."""
    step = new_step(optimizer, dtype)
    result = []
    for slopes in gradients(steps, dtype):
        apply(step, slopes)
        result.append(weights(step))
    return result


def assert_trajectories_close(
    actual: Sequence[Any], expected: Sequence[Any], dtype: str, factor: float = 1
) -> None:
    """Relative to the largest weight so far: 1e-12 in float64, in float32 what rounding adds up to."""
    for t, (ours, theirs) in enumerate(zip(actual, expected, strict=True)):
        tolerance = factor * (1e-12 if dtype == "float64" else 1e-6 * np.sqrt(t + 4))
        for name in SHAPES:
            scale = max(1.0, float(np.abs(theirs[name]).max()))
            np.testing.assert_allclose(
                ours[name], theirs[name], rtol=0, atol=tolerance * scale, err_msg=f"{name} in step {t}"
            )
