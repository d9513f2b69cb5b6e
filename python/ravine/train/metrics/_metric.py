"""What a metric is: an accumulator over batches, exact however the examples are cut into them."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from ..._loss import Outcome
from ..._nesting import leaves
from ..._state import Stateful, below, check_keys, count, number, read_count, read_number
from ._tally import Tally, loss_sums

__all__ = ["RESERVED", "Function", "Metric", "MetricFunction", "Metrics", "WholeSet", "examples_in"]

RESERVED = ("loss", "lr", "seconds")  # names of the history's own
_SUMS = ("loss", "weight", "batches")

# (output of the model, target), as arrays, to a number.
MetricFunction: TypeAlias = Callable[[Any, Any], float]


def examples_in(nested: Any) -> int:
    """The number of examples in a batch of arrays."""
    return len(nested) if type(nested) is np.ndarray else len(next(iter(leaves(nested))))


class Metric(Stateful, ABC):
    """Base of the metrics: `update` with batches, `compute` the value of all, `reset` for the next epoch.

    Derive from this for a metric that is no mean over batches. The attributes that `fields` names, arrays and
    numbers, are the state that a checkpoint saves.

    Attributes:
        fields: names of the attributes that make the state.
        whole: whether the metric keeps all outputs, so that computing it takes time; a bar leaves it out.

    Example:
        >>> import numpy as np, ravine as rv
        >>> class Largest(rv.train.Metric):
        ...     fields = ("largest",)
        ...     def reset(self):
        ...         self.largest = 0.0
        ...     def update(self, output, target):
        ...         self.largest = max(self.largest, float(np.abs(output - target).max()))
        ...     def compute(self):
        ...         return self.largest
        >>> metric = Largest()
        >>> metric.update(np.array([1.0, 5.0]), np.array([2.0, 2.0]))
        >>> metric.compute()
        3.0
    """

    whole = False

    def __init__(self) -> None:
        self.reset()

    @abstractmethod
    def reset(self) -> None:
        """Forgets all batches."""

    @abstractmethod
    def update(self, output: Any, target: Any) -> None:
        """Takes the outputs and targets of some examples."""

    @abstractmethod
    def compute(self) -> Any:
        """The value over all examples since `reset`: a number, or an array as a confusion matrix is."""


class Function(Metric):
    """The mean over examples of a function of each batch: exact if the function is a mean itself."""

    fields = ("total", "examples")

    def __init__(self, function: MetricFunction) -> None:
        self.function = function
        super().__init__()

    def reset(self) -> None:
        self.total, self.examples = 0.0, 0

    def update(self, output: Any, target: Any) -> None:
        n = examples_in(output)
        self.total += n * float(self.function(output, target))
        self.examples += n

    def compute(self) -> float:
        return self.total / self.examples if self.examples else float("nan")


class WholeSet(Metric):
    """A function of all outputs and targets together, such as one of scikit-learn's.

    Args:
        function: of (outputs [n, ...], targets [n, ...]) to a number.

    All outputs of an epoch are kept in memory until it ends.

    Example:
        >>> import numpy as np, ravine as rv
        >>> metric = rv.train.WholeSet(lambda output, target: float(np.median(np.abs(output - target))))
        >>> metric.update(np.array([1.0, 2.0]), np.zeros(2))
        >>> metric.update(np.array([9.0]), np.zeros(1))
        >>> metric.compute()
        2.0
    """

    whole = True

    def __init__(self, function: MetricFunction) -> None:
        if not callable(function):
            raise TypeError(f"WholeSet: a function is expected, got {type(function).__name__}")
        self.function = function
        super().__init__()

    def reset(self) -> None:
        self._outputs: list[np.ndarray] = []
        self._targets: list[np.ndarray] = []

    def update(self, output: np.ndarray, target: np.ndarray) -> None:
        self._outputs.append(output)
        self._targets.append(target)

    def compute(self) -> float:
        if not self._outputs:
            return float("nan")
        return float(self.function(np.concatenate(self._outputs), np.concatenate(self._targets)))

    def state_dict(self) -> dict[str, np.ndarray]:
        if not self._outputs:
            return {}
        return {"output": np.concatenate(self._outputs), "target": np.concatenate(self._targets)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        if state_dict:
            check_keys("WholeSet", state_dict, ("output", "target"))
        self.reset()
        if state_dict:
            self.update(np.array(state_dict["output"]), np.array(state_dict["target"]))


class Metrics:
    """The mean loss and the metrics of one pass over examples.

    Outputs of small batches wait until there are enough of them: one update of many examples costs less than
    many of few. What waits is part of the state, so a run that resumes adds in the same order.
    """

    _WAITING = 1 << 16  # numbers in outputs

    def __init__(self, metrics: Mapping[str, Metric]) -> None:
        self._metrics = {name: copy.deepcopy(metric) for name, metric in metrics.items()}
        self._at_once = [m for m in self._metrics.values() if isinstance(m, Function)]
        self._later = [m for m in self._metrics.values() if not isinstance(m, Function)]
        self._tally = Tally()
        self.reset()

    def __bool__(self) -> bool:
        return bool(self._metrics)

    def reset(self) -> None:
        self._tally.reset()
        self._outputs: list[np.ndarray] = []
        self._targets: list[np.ndarray] = []
        self._size = 0
        for metric in self._metrics.values():
            metric.reset()

    @property
    def programs(self) -> object:
        """Stands for the programs that count here."""
        return self._tally.programs

    def follow(self, other: Any) -> None:
        """Takes over the programs that counted for another so far, if they give what is wanted here."""
        if isinstance(other, Metrics) and other is not self and bool(other) == bool(self):
            self._tally.take_programs(other._tally)

    def record(self, outcome: Outcome) -> bool:
        """Lets the program that is recorded count its batches; whether the outputs are wanted besides."""
        self._tally.record(self._sums(outcome))
        return bool(self._metrics)

    def _sums(self, outcome: Outcome) -> dict[str, Any]:
        for name in outcome.parts:
            if name in self._metrics or name in RESERVED:
                raise ValueError(
                    f"a part of the loss is called {name!r}, as something else in the history is"
                )
        return loss_sums(outcome)

    def add(self, sums: Mapping[str, Any]) -> None:
        """Takes what `loss_sums` makes of a batch."""
        self._tally.add(sums)

    def update(self, output: Any, target: Any) -> None:
        for metric in self._at_once:
            metric.update(output, target)
        if not self._later:
            return
        if type(output) is not np.ndarray or type(target) is not np.ndarray:
            self._flush()
            self._update(output, target)
            return
        if self._outputs and not _alike(self._outputs[-1], self._targets[-1], output, target):
            self._flush()
        self._outputs.append(output)
        self._targets.append(np.array(target))  # its source may use the memory again
        self._size += output.size
        if self._size >= self._WAITING:
            self._flush()

    def _flush(self) -> None:
        if self._outputs:
            output, target = np.concatenate(self._outputs), np.concatenate(self._targets)
            self._outputs, self._targets, self._size = [], [], 0
            self._update(output, target)

    def _update(self, output: Any, target: Any) -> None:
        for metric in self._later:
            metric.update(output, target)

    @property
    def empty(self) -> bool:
        """Whether no batch was added."""
        return self._tally.values().get("batches", 0.0) == 0.0

    def losses(self) -> dict[str, float]:
        """The mean loss so far, and those of its parts; NaN before the first batch."""
        sums = self._tally.values()
        if not sums.get("batches", 0.0):
            return {"loss": float("nan")}
        parts = below("part.", sums)
        means = {name: _mean(part, sums[f"part_weight.{name}"]) for name, part in parts.items()}
        return {"loss": _mean(sums["loss"], sums["weight"])} | means

    def running(self) -> dict[str, float]:
        """Where the loss and the metrics stand, without arrays and those that are costly."""
        known = {name: copy.deepcopy(metric) for name, metric in self._metrics.items() if not metric.whole}
        if self._outputs:
            output, target = np.concatenate(self._outputs), np.concatenate(self._targets)
            for metric in known.values():
                if not isinstance(metric, Function):
                    metric.update(output, target)
        values = self.losses() | {name: metric.compute() for name, metric in known.items()}
        return {name: value for name, value in values.items() if np.ndim(value) == 0}

    def values(self) -> dict[str, Any]:
        """The mean loss, those of its parts, and all metrics."""
        self._flush()
        return self.losses() | {name: metric.compute() for name, metric in self._metrics.items()}

    def state_dict(self) -> dict[str, np.ndarray]:
        sums: dict[str, Any] = dict.fromkeys(_SUMS, 0.0) | self._tally.values()
        state = {name: number(value) for name, value in sums.items()} | {"size": count(self._size)}
        if self._outputs:
            state |= {"outputs": np.concatenate(self._outputs), "targets": np.concatenate(self._targets)}
        for name, metric in self._metrics.items():
            state |= {f"metric.{name}.{key}": value for key, value in metric.state_dict().items()}
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        own = {key: value for key, value in state_dict.items() if not key.startswith("metric.")}
        waiting = ("outputs", "targets") if read_count("Metrics", {"size": 0} | own, "size") else ()
        own.setdefault("batches", own.get("weight", 0.0))  # whether there were any is what matters
        names = [name for name in below("part.", own) if f"part_weight.{name}" in own]
        sums = [*_SUMS, *(f"{kind}.{name}" for name in names for kind in ("part", "part_weight"))]
        check_keys("Metrics", own, (*sums, "size", *waiting))
        loaded = {name: np.asarray(read_number("Metrics", own, name)) for name in sums}
        parts: dict[str, dict[str, Any]] = {name: {} for name in self._metrics}
        for key in state_dict.keys() - own.keys():
            name, _, field = key.removeprefix("metric.").rpartition(".")
            if name not in parts:
                raise ValueError(
                    f"load_state_dict of Metrics: the state has a metric {name!r}, these are "
                    f"{[*self._metrics]}"
                )
            parts[name][field] = state_dict[key]
        for name, metric in self._metrics.items():
            metric.load_state_dict(parts[name])
        self._tally.load(loaded)
        self._size = read_count("Metrics", own, "size")
        self._outputs = [np.array(own["outputs"])] if waiting else []
        self._targets = [np.array(own["targets"])] if waiting else []


def _mean(total: Any, weight: Any) -> float:
    """0 if nothing counted: no example had a weight, or all labels were ignored."""
    return float(total / weight) if weight else 0.0


def _alike(output: np.ndarray, target: np.ndarray, next_output: np.ndarray, next_target: np.ndarray) -> bool:
    if output.shape == next_output.shape and target.shape == next_target.shape:
        return output.dtype == next_output.dtype and target.dtype == next_target.dtype
    return (
        output.shape[1:] == next_output.shape[1:]
        and target.shape[1:] == next_target.shape[1:]
        and output.dtype == next_output.dtype
        and target.dtype == next_target.dtype
    )
