"""Several models, or one mean model, out of one training."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

from ... import nn, optim
from ..._numbers import number, whole
from ..._step import TrainStep
from ...data import Source
from ._stage import Stage, batches, changed, check_model, run_stage, training


class Ensemble(nn.Module):
    """Models that answer together: the mean of their outputs.

    Args:
        members: the models, at least one.
        output: a function applied to each output before the mean, such as `ops.softmax`; none by default.

    Attributes:
        members: the models.
        stages: of `snapshot_ensemble`, the cycles with their losses.

    Example:
        >>> import numpy as np, ravine as rv
        >>> from ravine import nn
        >>> both = [nn.Linear(2, 1, weight_init=value, bias_init=0.0) for value in (1.0, 3.0)]
        >>> rv.train.strategies.Ensemble(both)(np.ones((1, 2)))
        array([[4.]], dtype=float32)
    """

    def __init__(self, members: Iterable[nn.Module], output: Callable[[Any], Any] | None = None) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        if not len(self.members):
            raise ValueError("Ensemble: there must be at least one member")
        self.output = output
        self.stages: list[Stage] = []

    def forward(self, *x: Any) -> Any:
        outputs = [member(*x) for member in self.members]
        if self.output is not None:
            outputs = [self.output(output) for output in outputs]
        total = outputs[0]
        for output in outputs[1:]:
            total = total + output
        return total / len(outputs)


def _updates_per_epoch(what: str, source: Source, optimizer: Any) -> int:
    try:
        n = len(source)  # type: ignore[arg-type]
    except TypeError:
        raise ValueError(f"{what}: the source must know its number of batches, len(source)") from None
    if optimizer.accumulate != 1:
        raise ValueError(f"{what}: accumulate must be 1, got {optimizer.accumulate}")
    return n


def _peak(what: str, optimizer: Any) -> float:
    if callable(optimizer.lr):
        raise ValueError(
            f"{what}: it makes the schedule itself, so lr must be a number, got {optimizer.lr!r}"
        )
    return optimizer.lr


def snapshot_ensemble(
    model: nn.Module,
    x: Any,
    y: Any,
    loss: Callable[[Any, Any], Any],
    optimizer: optim.Optimizer,
    *,
    cycles: int = 5,
    epochs: int = 1,
    output: Callable[[Any], Any] | None = None,
    batch_size: int = 32,
    seed: int | None = None,
) -> Ensemble:
    """Trains once and keeps several models: one at the end of each cycle of a cosine rate with restarts.

    In each cycle the rate falls from the optimizer's `lr` to 0 (`optim.schedules.CosineRestarts`), so that
    the weights come to rest in a minimum, and leave it when the next begins.

    Args:
        model: trained in place; it is then the last member's equal.
        x, y: examples and targets, or a source of batches and None.
        loss: of outputs and targets.
        optimizer: with a number as `lr`, the rate at the beginning of a cycle.
        cycles: how many, each of which gives a member.
        epochs: of a cycle.
        output: see `Ensemble`; `ops.softmax` averages probabilities, as in the paper.
        batch_size: of the training.
        seed: of the order of the examples; None draws one.

    Returns:
        The members together, `ensemble(x)`, with `.members` and `.stages`.

    Raises TypeError and ValueError for other arguments, before anything is trained.

    Source: Huang et al. 2017, https://arxiv.org/abs/1704.00109.

    Example:
        >>> import numpy as np, ravine as rv
        >>> from ravine import nn, optim
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
        >>> x = np.random.default_rng(0).standard_normal((64, 4)); y = (x[:, 0] > 0).astype(int)
        >>> ensemble = rv.train.strategies.snapshot_ensemble(
        ...     model, x, y, nn.CrossEntropyLoss(), optim.SGD(lr=0.5), cycles=3, epochs=4
        ... )
        >>> len(ensemble.members), ensemble(x).shape
        (3, (64, 2))
    """
    what = "snapshot_ensemble"
    check_model(what, "model", model)
    cycles, epochs = whole(what, "cycles", cycles), whole(what, "epochs", epochs)
    source = batches(what, x, y, batch_size, seed)
    own = changed(what, optimizer)
    steps = epochs * _updates_per_epoch(what, source, own)
    own.lr = optim.schedules.CosineRestarts(_peak(what, optimizer), cycle=steps)
    members, stages = [], []
    with training(model):
        step = TrainStep(model, loss, own)
        for cycle in range(cycles):
            stages.append(run_stage(f"cycle {cycle + 1}", step, source, epochs))
            members.append(copy.deepcopy(model).eval())
    ensemble = Ensemble(members, output).eval()
    ensemble.stages = stages
    return ensemble


def swa(
    model: nn.Module,
    x: Any,
    y: Any,
    loss: Callable[[Any, Any], Any],
    optimizer: optim.Optimizer,
    *,
    epochs: int = 10,
    start: int | None = None,
    swa_lr: float | None = None,
    batch_size: int = 32,
    seed: int | None = None,
) -> list[Stage]:
    """Stochastic weight averaging: the model becomes the mean of its weights at the ends of the last epochs.

    Up to epoch `start` it trains as the optimizer says, from there with the rate `swa_lr`. Statistics of
    BatchNorm are computed afresh for the mean, by passing over the examples once.

    Args:
        model: trained in place; its weights are the mean in the end.
        x, y: examples and targets.
        loss: of outputs and targets.
        optimizer: how; it must keep no average of its own.
        epochs: in all.
        start: epochs before the first weights that count; three quarters of all by default.
        swa_lr: the constant rate from there on; None: the optimizer's goes on.
        batch_size: of the training.
        seed: of the order of the examples; None draws one.

    Returns:
        The stages "training" and "averaging".

    Raises TypeError and ValueError for other arguments, before anything is trained.

    Source: Izmailov et al. 2018, https://arxiv.org/abs/1803.05407.

    Example:
        >>> import numpy as np, ravine as rv
        >>> from ravine import nn, optim
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 2))
        >>> x = np.random.default_rng(0).standard_normal((64, 4)); y = (x[:, 0] > 0).astype(int)
        >>> stages = rv.train.strategies.swa(
        ...     model, x, y, nn.CrossEntropyLoss(), optim.SGD(lr=0.2), epochs=8, swa_lr=0.1
        ... )
        >>> [len(stage.losses) for stage in stages]
        [6, 2]
    """
    check_model("swa", "model", model)
    epochs = whole("swa", "epochs", epochs)
    start = (3 * epochs) // 4 if start is None else whole("swa", "start", start, 0)
    if start >= epochs:
        raise ValueError(f"swa: start must be below epochs, got {start} and {epochs}")
    if isinstance(x, Source):
        raise TypeError("swa: x must be arrays, as the statistics of BatchNorm are computed from them")
    source = batches("swa", x, y, batch_size, seed)
    own = changed("swa", optimizer)
    if own.average is not None:
        raise ValueError(f"swa: the optimizer must keep no average of its own, got {own.average!r}")
    n = _updates_per_epoch("swa", source, own)
    own.average = optim.SWA(start=(start + 1) * n - 1, every=n)
    with training(model):
        step = TrainStep(model, loss, own)
        first = run_stage("training", step, source, start)
        if swa_lr is not None:
            step.hyper["lr"] = number("swa", "swa_lr", swa_lr)
        second = run_stage("averaging", step, source, epochs - start)
        with optim.averaged(model):
            optim.update_bn(model, x)
            mean = model.state_dict()
        model.load_state_dict(mean)
    return [first, second]
