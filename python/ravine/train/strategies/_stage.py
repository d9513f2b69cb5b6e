"""A stage of a strategy: some epochs of one training step."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from ... import nn
from ..._numbers import whole
from ..._step import TrainStep
from ...data import Batches, Source
from ...optim import Optimizer
from .._inputs import check_examples
from .._loop import Loop


class Stage(NamedTuple):
    """What a stage of a strategy did.

    Attributes:
        name: what was trained.
        losses: the mean loss of each epoch.

    Example:
        >>> from ravine.train import strategies
        >>> strategies.Stage("student", [0.5, 0.25]).losses[-1]
        0.25
    """

    name: str
    losses: list[float]


def check_model(what: str, name: str, model: Any) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"{what}: {name} must be a Module, got {type(model).__name__}")


def changed(what: str, optimizer: Any, **settings: Any) -> Any:
    """A copy of an optimizer with other settings."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{what}: optimizer must be one of ravine.optim, got {type(optimizer).__name__}")
    own = copy.deepcopy(optimizer)
    for name, value in settings.items():
        setattr(own, name, value)
    return own


def batches(what: str, x: Any, y: Any, batch_size: int, seed: int | None) -> Source:
    """Shuffled mini-batches of examples, or a source as it is."""
    if isinstance(x, Source):
        if y is not None:
            raise ValueError(f"{what}: a source of batches has its own targets, so y must be None")
        return x
    x, y = check_examples(what, x, y)
    return Batches(x, y, batch_size=whole(what, "batch_size", batch_size), shuffle=True, seed=seed)


def stages_of(what: str, name: str, epochs: Any, n: int) -> list[int]:
    """Epochs of each of n stages, for a number or one for each."""
    if isinstance(epochs, Sequence) and not isinstance(epochs, str):
        if len(epochs) != n:
            raise ValueError(f"{what}: {name} has {len(epochs)} entries, expected {n}, one for each stage")
        return [whole(what, f"{name}[{i}]", value, 0) for i, value in enumerate(epochs)]
    return [whole(what, name, epochs, 0)] * n


def run_stage(name: str, step: TrainStep, source: Source, epochs: int) -> Stage:
    """So many passes over the source."""
    losses: list[float] = []
    if epochs > 0:
        loop = Loop(step, source)
        loop.on("epoch_end", lambda epoch, logs: losses.append(logs["loss"]))
        loop.run(epochs=epochs)
    return Stage(name, losses)


@contextmanager
def training(*models: nn.Module) -> Iterator[None]:
    """Context in which these are trained; they are in evaluation mode afterwards."""
    for model in models:
        model.train()
    try:
        yield
    finally:
        for model in models:
            model.eval()


@contextmanager
def as_teacher(model: nn.Module) -> Iterator[nn.Module]:
    """Context in which a model predicts and stays as it is; its modes are as before afterwards."""
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        yield model
    finally:
        for part, mode in modes:
            part.training = mode
