"""Gradual unfreezing: from the output layer down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ... import nn
from ..._numbers import positive
from ..._step import TrainStep
from ...optim import Group, Optimizer
from ._stage import Stage, batches, changed, check_model, run_stage, stages_of, training
from ._taps import check_path


def gradual_unfreeze(
    model: nn.Module,
    x: Any,
    y: Any,
    loss: Callable[[Any, Any], Any],
    optimizer: Optimizer,
    *,
    parts: Sequence[str] | None = None,
    rate_decay: float = 2.6,
    epochs: int | Sequence[int] = 1,
    batch_size: int = 32,
    seed: int | None = None,
) -> list[Stage]:
    """Adapts a trained model to new data: first its last part alone, then with one more in each stage.

    The parts below are frozen (`nn.freeze`). All stages are one training, whose optimizer goes on; part k
    from the top has the rate `lr / rate_decay^k`, so that what was learned first changes least.

    Args:
        model: trained in place.
        x, y: examples and targets, or a source of batches and None.
        loss: of outputs and targets.
        optimizer: its `lr`, a number or a schedule, is that of the last part.
        parts: paths of modules from the top down; by default the children of the model that have parameters,
            the last first. What is in none stays as it is.
        rate_decay: above 0; 1 gives all parts the same rate.
        epochs: of each stage, one number or one for each.
        batch_size: of the training.
        seed: of the order of the examples; None draws one.

    Returns:
        A stage for each part, named by the paths that were trained.

    Raises TypeError and ValueError for other arguments, before anything is trained; the latter also for an
    optimizer that has groups.

    Source: Howard and Ruder 2018, https://arxiv.org/abs/1801.06146.

    Example:
        >>> import numpy as np, ravine as rv
        >>> from ravine import nn, optim
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
        >>> x = np.random.default_rng(0).standard_normal((64, 4)); y = (x[:, 0] > 0).astype(int)
        >>> stages = rv.train.strategies.gradual_unfreeze(
        ...     model, x, y, nn.CrossEntropyLoss(), optim.Adam(lr=0.01), epochs=[2, 3]
        ... )
        >>> [(stage.name, len(stage.losses)) for stage in stages]
        [('2', 2), ('2, 0', 3)]
    """
    check_model("gradual_unfreeze", "model", model)
    if parts is None:
        parts = [name for name, child in model.named_children() if any(True for _ in child.parameters())][
            ::-1
        ]
    parts = list(parts)
    if not parts:
        raise ValueError(f"gradual_unfreeze: {type(model).__name__} has no parts with parameters")
    for path in parts:
        check_path("gradual_unfreeze", "the part", model, path)
        if not any(True for _ in model.get_submodule(path).parameters()):
            raise ValueError(f"gradual_unfreeze: the part {path!r} has no parameters")
    rate_decay = positive("gradual_unfreeze", "rate_decay", rate_decay)
    each = stages_of("gradual_unfreeze", "epochs", epochs, len(parts))
    own = changed("gradual_unfreeze", optimizer)
    if own.groups:
        raise ValueError("gradual_unfreeze: it makes groups of the parts, so the optimizer must have none")
    source = batches("gradual_unfreeze", x, y, batch_size, seed)
    own.groups = [
        Group(model.get_submodule(path), lr=_divided(own.lr, rate_decay**k)) for k, path in enumerate(parts)
    ]
    stages: list[Stage] = []
    with training(model):
        nn.freeze(model)
        try:
            step = TrainStep(model, loss, own)
            for k, n in enumerate(each):
                nn.unfreeze(model.get_submodule(parts[k])).train()
                stages.append(run_stage(", ".join(parts[: k + 1]), step, source, n))
        finally:
            nn.unfreeze(model)
    return stages


def _divided(lr: float | Callable[[int], float], factor: float) -> float | Callable[[int], float]:
    return (lambda step: lr(step) / factor) if callable(lr) else lr / factor
