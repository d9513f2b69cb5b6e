"""Continuation: from an easy problem to the one that is meant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ... import nn
from ..._numbers import number
from ..._step import TrainStep
from ...optim import Optimizer
from ._stage import Stage, batches, check_model, run_stage, stages_of, training


def continuation(
    model: nn.Module,
    x: Any,
    y: Any,
    losses: Sequence[Any],
    optimizer: Optimizer,
    *,
    epochs: int | Sequence[int] = 1,
    batch_size: int = 32,
    seed: int | None = None,
    loss: Callable[[Any, Any, float], Any] | None = None,
) -> list[Stage]:
    """Trains on a sequence of losses, each from where the one before ended.

    The first losses are easy, smooth or convex say, and the last is the one that is meant.

    Args:
        model: trained in place.
        x, y: examples and targets, or a source of batches and None.
        losses: functions of (output, target); or numbers, the levels of `loss`.
        optimizer: how; each stage has a state of its own.
        epochs: of each stage, one number or one for each.
        batch_size: of the training.
        seed: of the order of the examples; None draws one.
        loss: for levels, a function of (output, target, level).

    Returns:
        The stages with the losses of their epochs.

    Raises TypeError and ValueError for other arguments, before anything is trained.

    Source: Mobahi and Fisher 2015, https://arxiv.org/abs/1601.04114; Bengio et al. 2009,
    https://doi.org/10.1145/1553374.1553380.

    Example:
        >>> import numpy as np, ravine as rv
        >>> from ravine import nn, ops, optim
        >>> model = nn.Linear(1, 1)
        >>> x = np.linspace(-1, 1, 64)[:, None]; y = 3 * x
        >>> def smooth_absolute(output, y, level):
        ...     return ops.sqrt((output - y) ** 2 + level**2).mean()
        >>> stages = rv.train.strategies.continuation(
        ...     model, x, y, [1.0, 0.1, 0.01], optim.SGD(lr=0.1), epochs=20, loss=smooth_absolute
        ... )
        >>> [stage.name for stage in stages], round(model.weight.item(), 1)
        (['level 1', 'level 0.1', 'level 0.01'], 3.0)
    """
    check_model("continuation", "model", model)
    stages = list(losses)
    if not stages:
        raise ValueError("continuation: losses must have at least one entry")
    each = stages_of("continuation", "epochs", epochs, len(stages))
    named = [_stage_loss(i, item, loss) for i, item in enumerate(stages)]
    source = batches("continuation", x, y, batch_size, seed)
    results = []
    with training(model):
        for (name, function), n in zip(named, each, strict=True):
            results.append(run_stage(name, TrainStep(model, function, optimizer), source, n))
    return results


def _stage_loss(
    i: int, item: Any, loss: Callable[[Any, Any, float], Any] | None
) -> tuple[str, Callable[[Any, Any], Any]]:
    if callable(item):
        if loss is not None:
            raise TypeError(f"continuation: losses[{i}] is a function, so loss must be None")
        return f"loss {i + 1}", item
    level = number("continuation", f"losses[{i}]", item, -float("inf"))
    if loss is None:
        raise TypeError("continuation: levels need loss, a function of (output, target, level)")
    return f"level {level:g}", lambda output, y: loss(output, y, level)
