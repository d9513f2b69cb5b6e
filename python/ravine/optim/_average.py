"""Averages of the weights over the steps, kept in the optimizer's pass, and their evaluation."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .._numbers import flag, number, whole
from ..nn import Module
from ..nn._norm import BatchNorm
from ..record import State, plain_array
from ._value import Value

if TYPE_CHECKING:
    from ._bound import BoundOptimizer
    from .schedules._schedule import Leaf


class Average(Value):
    """Base of the averages: in which steps the weights enter, and how much they count.

    Given to an optimizer as `average`. The average takes one more array per parameter and is updated in the
    optimizer's own pass over memory. `with optim.averaged(model):` evaluates it.

    Args:
        start: the first step, from 0, after which the weights enter.
        every: they enter after every so many steps from there on.

    Before the first of them the average is the weights' first values.

    Example:
        >>> from ravine import nn, optim
        >>> optimizer = optim.SGD(lr=0.1, average=optim.SWA(start=100, every=10))
        >>> isinstance(optimizer.average, optim.Average)
        True
    """

    def __init__(self, start: int = 0, every: int = 1) -> None:
        owner = type(self).__name__
        self.start, self.every = whole(owner, "start", start, 0), whole(owner, "every", every, 1)

    def _formula(self) -> tuple[str, Sequence[float]]:
        """The engine's formula of the share, and its numbers."""
        raise NotImplementedError(f"{type(self).__name__} defines no weight(step)")

    def _expression(self, leaf: Leaf) -> _core.Schedule:
        if type(self).weight is not Average.weight:
            return leaf(self.weight, None, repr(self))
        formula, numbers = self._formula()
        return _core.Schedule(formula, [float(x) for x in numbers])

    def weight(self, step: int) -> float:
        """The share of the newest weights in the average after a step, from 0; 0 where they do not enter."""
        return self._expression(_core.Schedule.of_function).value(step)


class Polyak(Average):
    """The plain mean of the weights from a step on (Polyak averaging of the tail).

    `a += (w - a) / n` for the n-th weights that enter.

    Args:
        start: the first step, from 0, after which the weights enter.
        every: they enter after every so many steps from there on.

    Source: Polyak and Juditsky 1992, https://doi.org/10.1137/0330046.

    Example:
        >>> from ravine import optim
        >>> average = optim.Polyak(start=2)
        >>> [average.weight(step) for step in range(5)]
        [0.0, 0.0, 1.0, 0.5, 0.3333333333333333]
    """

    def _formula(self) -> tuple[str, Sequence[float]]:
        return "mean_share", (self.start, self.every)


class SWA(Polyak):
    """Stochastic weight averaging: the mean of the weights at the ends of cycles of a high learning rate.

    Args:
        start: the first step, from 0, after which the weights enter: the end of the first cycle.
        every: length of a cycle in steps, usually an epoch.

    The learning rate is a schedule of its own: one that stays high or cycles from `start` on.

    Source: Izmailov et al. 2018, https://arxiv.org/abs/1803.05407.

    Example:
        >>> from ravine import optim
        >>> optimizer = optim.SGD(lr=0.05, momentum=0.9, average=optim.SWA(start=1000, every=100))
        >>> optimizer.average.weight(1000), optimizer.average.weight(1050), optimizer.average.weight(1100)
        (1.0, 0.0, 0.5)
    """

    def __init__(self, start: int, every: int) -> None:
        super().__init__(start, every)


class EMA(Average):
    """The exponential mean of the weights.

    `a = decay · a + (1 - decay) · w`, begun with 0 and divided by `1 - decayⁿ` after n of them, so that the
    first weights do not linger; without bias correction it begins with the first weights that enter.

    Args:
        decay: share of the old average, in [0, 1).
        bias_correction: see above.
        start: the first step, from 0, after which the weights enter.
        every: they enter after every so many steps from there on.

    Source: Ruppert 1988, https://ecommons.cornell.edu/handle/1813/8664; bias correction as in Adam, Kingma
    and Ba 2015.

    Example:
        >>> from ravine import optim
        >>> average = optim.EMA(0.5)
        >>> [average.weight(step) for step in range(3)]
        [1.0, 0.6666666666666666, 0.5714285714285714]
    """

    def __init__(
        self, decay: float = 0.999, bias_correction: bool = True, start: int = 0, every: int = 1
    ) -> None:
        self.decay = number("EMA", "decay", decay, below=1.0)
        self.bias_correction = flag("EMA", "bias_correction", bias_correction)
        super().__init__(start, every)

    def _formula(self) -> tuple[str, Sequence[float]]:
        return "exponential_mean_share", (self.start, self.every, self.decay, self.bias_correction)


_trained: weakref.WeakKeyDictionary[Module, list[weakref.ref[BoundOptimizer]]] = weakref.WeakKeyDictionary()


def register(model: Module, bound: BoundOptimizer) -> None:
    """Lets `averaged(model)` find the averages that a training step keeps."""
    alive = [reference for reference in _trained.get(model, ()) if reference() is not None]
    _trained[model] = [*alive, weakref.ref(bound)]


@contextmanager
def averaged(model: Module) -> Iterator[Module]:
    """Context in which the model has its averaged weights; afterwards it has those of the training again.

    The averages are those of the newest `TrainStep` or `Trainer` of this model whose optimizer keeps some:
    any with `average`, `ASGD`, and the schedule-free rules. The statistics of BatchNorm belong to the weights
    of the training: `update_bn` inside of the context gives those of the averages, and leaving it restores
    those of before. Training inside of the context raises RuntimeError, in
    other threads too.

    Raises ValueError where no average is kept.

    Example:
        >>> import numpy as np, ravine as rv
        >>> from ravine import nn, optim
        >>> model = nn.Linear(1, 1, bias=False)
        >>> step = rv.TrainStep(model, nn.MSELoss(), optim.SGD(lr=0.1, average=optim.Polyak()))
        >>> x = np.ones((4, 1)); seen = []
        >>> for _ in range(3):
        ...     loss = step(x, 2 * x)
        ...     seen.append(model.weight.item())
        >>> with optim.averaged(model):
        ...     bool(abs(model.weight.item() - np.mean(seen)) < 1e-6)
        True
        >>> model.weight.item() == seen[-1]
        True
    """
    steps = [reference() for reference in reversed(_trained.get(model, []))]
    bound = next((step for step in steps if step is not None and step.state.keeps_average), None)
    if bound is None:
        raise ValueError(
            f"averaged: no training step keeps an average of this {type(model).__name__}: give its optimizer "
            f"one, such as average=optim.EMA(0.999), and train"
        )
    if bound.state.refuse_runs(True):  # after a step that another thread is making
        raise RuntimeError("averaged: the model has its averaged weights already")
    saved: list[tuple[State, np.ndarray]] = []
    try:
        parameters = dict(model.named_parameters())
        averages = bound.averages(parameters)
        saved = [(state, np.array(state.data)) for state in (*parameters.values(), *model.buffers())]
        for name, average in averages.items():
            parameters[name].data = average
        yield model
    finally:
        for state, data in saved:
            state.data = data
        bound.state.refuse_runs(False)


def update_bn(model: Module, x: Any, *, batch_size: int = 256) -> None:
    """Sets the running statistics of BatchNorm layers to the plain means over batches of x.

    Weights that were averaged or set from elsewhere need statistics of their own. The modes of the modules
    and the layers' momentum are as before afterwards.

    Args:
        model: the module whose statistics are computed, on the weights it has.
        x: examples [n, ...], as the model takes them.
        batch_size: examples at a time. A last batch of one example joins the batch before it.

    Raises ValueError where there are fewer than two examples.

    Example:
        >>> import numpy as np
        >>> from ravine import nn, optim
        >>> model = nn.BatchNorm1d(1)
        >>> optim.update_bn(model, np.array([[1.0], [3.0]]))
        >>> model.running_mean.numpy()
        array([2.], dtype=float32)
    """
    x = plain_array(x, "update_bn: x")
    if x.ndim == 0 or len(x) < 2:
        raise ValueError(f"update_bn: x has shape {x.shape}, expected at least two examples [n, ...]")
    whole("update_bn", "batch_size", batch_size, 2)
    layers = [m for m in model.modules() if isinstance(m, BatchNorm) and m.running_mean is not None]
    modes = [(module, module.training) for module in model.modules()]
    momenta = [layer.momentum for layer in layers]
    begins = [i for i in range(0, len(x), batch_size) if len(x) - i > 1]
    ends = [*begins[1:], len(x)]
    try:
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None
        model.train()
        for begin, end in zip(begins, ends, strict=True):
            model(x[begin:end])
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        for module, training in modes:
            module.training = training
