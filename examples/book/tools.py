"""What the chapters share: claims, points that move, small nets, and loops that keep what happens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

import ravine as rv
from ravine import nn, optim


@dataclass(frozen=True)
class Claim:
    """What a source says, and what was measured: one row of the table.

    Args:
        source: who, when, where in it.
        expected: what the source leads one to expect.
        measured: what was found, with its numbers.
        holds: whether it is as expected.
    """

    source: str
    expected: str
    measured: str
    holds: bool


class Point(nn.Module):
    """The unknowns of a function, `at`, in float64, where optimizers can move them."""

    def __init__(self, at: Any) -> None:
        super().__init__()
        self.at = nn.Parameter(np.array(at, "float64"))

    def forward(self):
        return self.at


def descend(
    function: Callable[[Any], Any], start: Any, optimizer: optim.Optimizer, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """`steps` steps of an optimizer down a function of a tensor: values, and the path with its start."""
    point = Point(start)
    step = rv.TrainStep(lambda model: function(model()), point, optimizer)
    values, path = [], [point.at.data.copy()]
    for _ in range(steps):
        values.append(step())
        path.append(point.at.data.copy())
    return np.array(values), np.array(path)


def first_below(values: Any, bound: float) -> int | None:
    """The first index whose value is below a bound, or None."""
    below = np.flatnonzero(np.asarray(values) < bound)
    return int(below[0]) if len(below) else None


def mlp(
    sizes: Sequence[int], activation: Callable[[], nn.Module] = nn.ReLU, norm: Any = None, **options: Any
) -> nn.Sequential:
    """Linear layers with an activation between them, and `norm(width)` before each activation if given."""
    layers: list[nn.Module] = []
    for width, following in pairwise(sizes[:-1]):
        layers.append(nn.Linear(width, following, **options))
        if norm is not None:
            layers.append(norm(following))
        layers.append(activation())
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1], **options))


def train(
    model: nn.Module,
    optimizer: optim.Optimizer,
    x: np.ndarray,
    y: np.ndarray,
    *,
    epochs: int,
    batch_size: int = 32,
    seed: int = 0,
    loss: Any = None,
    after_step: Callable[[int], Any] | None = None,
) -> np.ndarray:
    """Trains in shuffled batches, by cross-entropy unless told otherwise: the losses of the steps."""
    step = rv.TrainStep(model, loss or nn.CrossEntropyLoss(), optimizer)
    source = rv.data.Batches(x, y, batch_size=batch_size, shuffle=True, seed=seed, drop_last=True)
    losses = []
    for _ in range(epochs):
        for batch in source:
            losses.append(step(*batch))
            if after_step is not None:
                after_step(len(losses))
    return np.array(losses)


def mean_loss(model: nn.Module, x: np.ndarray, y: np.ndarray) -> float:
    """The mean cross-entropy of examples, in evaluation mode."""
    training = model.training
    model.eval()
    loss = float(nn.CrossEntropyLoss()(model(x), y))
    model.train(training)
    return loss


def accuracy(model: nn.Module, x: np.ndarray, y: np.ndarray) -> float:
    """The share of examples that a classifier names rightly, in evaluation mode."""
    training = model.training
    model.eval()
    share = float((np.asarray(model(x)).argmax(1) == y).mean())
    model.train(training)
    return share


def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Images of handwritten digits as rows of 64 numbers in 0..1: x and y to train on, x and y to test on."""
    x, y, x_test, y_test = rv.data.digits()
    return x.reshape(len(x), -1), y, x_test.reshape(len(x_test), -1), y_test
