"""Optimizers against their formulas, written out in NumPy, in float64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn, optim

TARGET = np.array([[1.0, -2.0, 0.5], [3.0, 0.0, 1.0]])


def sgd(
    w: np.ndarray, lr=0.1, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, maximize=False
) -> Iterator:
    buffer = None
    while True:
        g = yield w
        g = (-g if maximize else g) + weight_decay * w
        if momentum:
            buffer = g if buffer is None else momentum * buffer + (1 - dampening) * g
            g = g + momentum * buffer if nesterov else buffer
        w = w - lr * g


def adam(
    w, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False, maximize=False, decoupled=False
):
    m = v = largest = 0.0
    t = 0
    while True:
        g = yield w
        t += 1
        g = -g if maximize else g
        if decoupled:
            w = w - lr * weight_decay * w
        else:
            g = g + weight_decay * w
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g * g
        largest = np.maximum(largest, v)
        root = np.sqrt((largest if amsgrad else v) / (1 - betas[1] ** t))
        w = w - lr * (m / (1 - betas[0] ** t)) / (root + eps)


CASES: list[tuple[type[optim.Optimizer], Any, dict[str, Any]]] = [
    (optim.SGD, sgd, {"lr": 0.1}),
    (optim.SGD, sgd, {"lr": 0.1, "weight_decay": 0.2}),
    (optim.SGD, sgd, {"lr": 0.1, "momentum": 0.9}),
    (optim.SGD, sgd, {"lr": 0.1, "momentum": 0.9, "dampening": 0.5}),
    (optim.SGD, sgd, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    (optim.SGD, sgd, {"lr": 0.01, "momentum": 0.5, "maximize": True}),
    (optim.Adam, adam, {"lr": 0.1}),
    (optim.Adam, adam, {"lr": 0.1, "betas": (0.5, 0.8), "eps": 0.1, "weight_decay": 0.3}),
    (optim.Adam, adam, {"lr": 0.1, "amsgrad": True, "betas": (0.5, 0.5)}),
    (optim.Adam, adam, {"lr": 0.01, "maximize": True}),
    (optim.AdamW, lambda w, **k: adam(w, decoupled=True, **k), {"lr": 0.1, "weight_decay": 0.3}),
]


class Table(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(np.zeros((2, 3)))

    def forward(self, scale):
        return self.w * scale


@pytest.mark.parametrize(("kind", "formula", "arguments"), CASES)
def test_rule(kind: type[optim.Optimizer], formula: Any, arguments: dict[str, Any]) -> None:
    model = Table()
    step = rv.TrainStep(model, nn.MSELoss(reduction="sum"), kind(**arguments))
    reference = formula(np.zeros((2, 3)), **arguments)
    w = next(reference)
    for i in range(10):
        scale = np.array(0.3 + 0.1 * i)
        loss = step(scale, TARGET)
        assert loss == pytest.approx(np.square(w * scale - TARGET).sum(), rel=1e-12)
        w = reference.send(2 * (w * scale - TARGET) * scale)
        np.testing.assert_allclose(model.w.data, w, rtol=1e-10, atol=1e-13)


def test_schedules_are_functions_of_the_step() -> None:
    seen: list[int] = []

    def rate(i: int) -> float:
        seen.append(i)
        return 0.1 / (1 + i)

    model = Table()
    step = rv.TrainStep(model, nn.MSELoss(reduction="sum"), optim.SGD(lr=rate))
    w = np.zeros((2, 3))
    for i in range(4):
        step(np.array(1.0), TARGET)
        w = w - 0.1 / (1 + i) * 2 * (w - TARGET)
        np.testing.assert_allclose(model.w.data, w, rtol=1e-12)
        assert step.optimizer.current_lr == 0.1 / (1 + i)
    assert set(seen) == {0, 1, 2, 3}


def test_one_description_serves_several_steps() -> None:
    shared = optim.Adam(lr=0.1)
    models = [Table(), Table()]
    steps = [rv.TrainStep(m, nn.MSELoss(), shared) for m in models]
    for _ in range(3):
        steps[0](np.array(1.0), TARGET)
    steps[1](np.array(1.0), TARGET)
    alone = Table()
    rv.TrainStep(alone, nn.MSELoss(), optim.Adam(lr=0.1))(np.array(1.0), TARGET)
    np.testing.assert_array_equal(models[1].w.data, alone.w.data)
    assert steps[0].steps == 3 and steps[1].steps == 1


def test_repr_shows_the_numbers() -> None:
    assert repr(optim.AdamW(lr=0.1)) == (
        "AdamW(lr=0.1, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.01, amsgrad=False, maximize=False)"
    )
