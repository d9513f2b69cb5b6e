"""Greedy pre-training: one layer after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ... import nn
from ..._step import TrainStep
from ...optim import Optimizer
from ._stage import Stage, batches, check_model, run_stage, stages_of, training


def _blocks(model: nn.Sequential) -> list[list[nn.Module]]:
    """The modules, cut before each that has weights of two dimensions or more."""
    blocks: list[list[nn.Module]] = [[]]
    weighted = False
    for module in model:
        own = any(parameter.ndim >= 2 for parameter in module.parameters())
        if own and weighted:
            blocks.append([])
        blocks[-1].append(module)
        weighted = weighted or own
    return blocks


class _Autoencoder(nn.Module):
    """A block, and a linear map back to its inputs."""

    def __init__(self, below: nn.Module, block: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.below, self.block, self.decoder = below, block, decoder


def _reconstruction(model: Any, x: Any, y: Any) -> Any:
    inputs = model.below(x)
    return nn.functional.mse_loss(model.decoder(model.block(inputs)), nn.functional.flatten(inputs, 1))


def greedy_pretrain(
    model: nn.Sequential,
    x: Any,
    y: Any,
    loss: Callable[[Any, Any], Any],
    optimizer: Optimizer,
    *,
    epochs: int | Sequence[int] = 1,
    fine_tune_epochs: int = 1,
    autoencoder: bool = False,
    batch_size: int = 32,
    seed: int | None = None,
) -> list[Stage]:
    """Trains a net layer by layer, then as a whole.

    A block is a layer with weights and what follows it up to the next. For each block but the last, from
    below: the blocks before it stay as they are, and it is trained below a new linear output layer on the
    task, or, as an autoencoder, below a linear map back to its inputs (mean squared error). The output layer
    is then dropped. In the end all blocks are trained together on the task.

    Args:
        model: a Sequential of at least two blocks, trained in place.
        x, y: examples and targets, or a source of batches and None.
        loss: of outputs and targets.
        optimizer: how; each stage has a state of its own.
        epochs: of each block, one number or one for each.
        fine_tune_epochs: of the whole.
        autoencoder: without the targets until the end.
        batch_size: of the training.
        seed: of the order of the examples; None draws one.

    Returns:
        A stage for each block but the last ("block 0", ...) and one for the whole ("fine-tuning").

    Raises TypeError where model is no Sequential, ValueError for one of fewer than two blocks and other
    arguments, before anything is trained.

    Source: Bengio et al. 2007, https://papers.nips.cc/paper/3048-greedy-layer-wise-training-of-deep-networks.

    Example:
        >>> import numpy as np, ravine as rv
        >>> from ravine import nn, optim
        >>> rv.seed(0)
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2))
        >>> x = np.random.default_rng(0).standard_normal((64, 4)); y = (x[:, 0] > 0).astype(int)
        >>> stages = rv.train.strategies.greedy_pretrain(
        ...     model, x, y, nn.CrossEntropyLoss(), optim.Adam(lr=0.05), epochs=5, fine_tune_epochs=5
        ... )
        >>> [stage.name for stage in stages], stages[-1].losses[-1] < 0.3
        (['block 0', 'block 1', 'fine-tuning'], True)
    """
    check_model("greedy_pretrain", "model", model)
    if not isinstance(model, nn.Sequential):
        raise TypeError(f"greedy_pretrain: model must be a Sequential, got {type(model).__name__}")
    blocks = _blocks(model)
    if len(blocks) < 2:
        raise ValueError(
            f"greedy_pretrain: the model has {len(blocks)} layer with weights, expected 2 or more"
        )
    each = stages_of("greedy_pretrain", "epochs", epochs, len(blocks) - 1)
    (last,) = stages_of("greedy_pretrain", "fine_tune_epochs", fine_tune_epochs, 1)
    source = batches("greedy_pretrain", x, y, batch_size, seed)
    widths = _widths(model, blocks, next(iter(source.batches(0)))[0])
    stages = []
    with training(model):
        for i, n in enumerate(each):
            below = nn.freeze(nn.Sequential(*[part for block in blocks[:i] for part in block]))
            block = nn.Sequential(*blocks[i], nn.Flatten())
            try:
                if autoencoder:
                    decoder = nn.Linear(widths[i + 1], widths[i])
                    step = TrainStep(_reconstruction, _Autoencoder(below, block, decoder), optimizer)
                else:
                    head = nn.Linear(widths[i + 1], widths[-1])
                    step = TrainStep(nn.Sequential(below, block, head), loss, optimizer)
                stages.append(run_stage(f"block {i}", step, source, n))
            finally:
                nn.unfreeze(below)
        stages.append(run_stage("fine-tuning", TrainStep(model, loss, optimizer), source, last))
    return stages


def _widths(model: nn.Sequential, blocks: Sequence[Sequence[nn.Module]], x: Any) -> list[int]:
    """Numbers of an example before the first block and behind each."""
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        values = [np.asarray(x)]
        for block in blocks:
            values.append(nn.Sequential(*block).eval()(values[-1]))
    finally:
        for part, mode in modes:
            part.training = mode
    return [int(np.prod(value.shape[1:])) for value in values]
