"""What every module makes of a batch, and what the loss says about it."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import nn, ops
from .._numbers import whole
from .._probe import Observation, Probe, as_inputs, check_model, gradients_by
from .._step import TrainStep
from ..optim import Optimizer
from ..record import Tensor

_SAMPLE = 8192  # numbers of an output that its histogram is made of, or those of one example

# The ends of activations that flatten out there.
_RANGES = {"Sigmoid": (0.0, 1.0), "Hardsigmoid": (0.0, 1.0), "Tanh": (-1.0, 1.0), "Softsign": (-1.0, 1.0)}
_NEAR = 0.01  # of the range: what lies so near to an end is saturated


@dataclass(frozen=True)
class Record:
    """What `inspect` found of one module.

    Attributes:
        kind: the module's class.
        shape: of its output.
        mean, std, minimum, maximum: of the numbers it returned.
        zeros: the share of them that is 0.
        dead: the share of its units (channels, features) that returned 0 for the whole batch.
        saturated: of sigmoid-like modules the share of numbers within 1 % of an end of the range; else NaN.
        histogram: counts and edges, as of `numpy.histogram`, of the numbers of some examples, evenly spaced.
        output_gradient_std: root mean square of the gradient of the loss by the output.
        gradient_norm: of the loss by the module's own parameters; NaN where it has none that are trained.
        weight_norm: of these parameters.
        update_ratio: norm of the optimizer's first update of them over `weight_norm`; NaN without an
            optimizer.
    """

    kind: str
    shape: tuple[int, ...]
    mean: float
    std: float
    minimum: float
    maximum: float
    zeros: float
    dead: float
    saturated: float
    histogram: tuple[np.ndarray, np.ndarray]
    output_gradient_std: float
    gradient_norm: float
    weight_norm: float
    update_ratio: float


class Inspection(Mapping[str, Record]):
    """Records by module path, in the order of the calls; printing it shows a table.

    Attributes:
        loss: of the batch.
        output: of the model, where it is one array.

    Example:
        >>> from ravine.diagnostics import Inspection
        >>> len(Inspection({}, 0.5, None)), Inspection({}, 0.5, None).loss
        (0, 0.5)
    """

    def __init__(self, records: dict[str, Record], loss: float, output: np.ndarray | None) -> None:
        self._records, self.loss, self.output = records, loss, output

    def __getitem__(self, path: str) -> Record:
        return self._records[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def __str__(self) -> str:
        labels = [f"{path}  ({record.kind})".strip() for path, record in self.items()]
        width = max(len(label) for label in ["Module", *labels])
        columns = ("mean", "std", "zeros", "dead", "saturated", "output_gradient_std", "gradient_norm")
        heads = ("mean", "std", "zeros", "dead", "saturated", "d output", "d weights")
        lines = [f"{'Module':<{width}}" + "".join(f"  {head:>10}" for head in heads)]
        for label, record in zip(labels, self.values(), strict=True):
            values = [getattr(record, column) for column in columns]
            texts = ["" if math.isnan(value) else f"{value:.3g}" for value in values]
            lines.append(f"{label:<{width}}" + "".join(f"  {text:>10}" for text in texts))
        return "\n".join(lines)


def inspect(
    model: nn.Module,
    x: Any,
    y: Any,
    loss: Callable[[Any, Any], Any],
    *,
    optimizer: Optimizer | None = None,
    bins: int = 20,
) -> Inspection:
    """Measures all modules of a model on one batch, forward and backward, in one program.

    The model runs in the mode it is in and is not changed, nor are its statistics.

    Args:
        model: a module.
        x: a batch of inputs; of a model with several, a tuple.
        y: its labels.
        loss: a function of (output, y) that returns a scalar tensor.
        optimizer: for `update_ratio`: a copy of the model takes one step by it.
        bins: of the histograms.

    A module that hands on what one of its parts returned is left out; a second call is "path (2)".

    Raises TypeError for something else than a module, and what the model and the loss raise.

    Example:
        >>> import numpy as np
        >>> from ravine import diagnostics, nn
        >>> model = nn.Sequential(nn.Linear(4, 8, weight_init="zeros"), nn.ReLU(), nn.Linear(8, 2))
        >>> x, y = np.ones((3, 4)), np.array([0, 1, 0])
        >>> found = diagnostics.inspect(model, x, y, nn.CrossEntropyLoss())
        >>> list(found), found["0"].std > 0, found["1"].shape
        (['0', '1', '2'], True, (3, 8))
    """
    check_model("inspect", model)
    bins = whole("inspect", "bins", bins)
    parts: list[tuple[str, str, tuple[int, ...]]] = []
    owners: list[str] = []

    def measure(output: Any, observations: list[Observation], labels: Any) -> Any:
        value = loss(output, *labels)
        own = [
            (path, parameter)
            for path, module in model.named_modules()
            for parameter in module.parameters(recurse=False)
            if parameter.requires_grad
        ]
        owners.extend(path for path, _ in own)
        parts.extend((one.path, type(one.module).__name__, one.output.shape) for one in observations)
        outputs = [one.output for one in observations]
        gradients = gradients_by(value, [*outputs, *(parameter for _, parameter in own)])
        return {
            "loss": value,
            "output": output if isinstance(output, Tensor) else None,
            "forward": [_statistics(one) for one in observations],
            "backward": [ops.sqrt(ops.mean(ops.square(g))) for g in gradients[: len(outputs)]],
            "parameters": [
                (ops.sum(ops.square(g)), ops.sum(ops.square(parameter)))
                for g, (_, parameter) in zip(gradients[len(outputs) :], own, strict=True)
            ],
        }

    found = Probe("inspect", model, as_inputs(x), measure, (y,)).run()
    squares: dict[str, np.ndarray] = {}
    for path, pair in zip(owners, found["parameters"], strict=True):
        squares[path] = squares.get(path, np.zeros(2)) + np.array(pair, np.float64)
    updates = _updates(model, x, y, loss, optimizer) if optimizer is not None else {}
    records = {}
    for (path, kind, shape), forward, backward in zip(
        parts, found["forward"], found["backward"], strict=True
    ):
        gradient, weight = np.sqrt(squares.get(path, np.full(2, np.nan)))
        records[path] = Record(
            kind,
            shape,
            mean=float(forward["mean"]),
            std=float(forward["std"]),
            minimum=float(np.min(forward["least"])),
            maximum=float(np.max(forward["largest"])),
            zeros=float(forward["zeros"]),
            dead=float(np.mean((forward["least"] == 0) & (forward["largest"] == 0))),
            saturated=float(forward["saturated"]) if "saturated" in forward else math.nan,
            histogram=_histogram(forward["sample"], bins),
            output_gradient_std=float(backward),
            gradient_norm=float(gradient),
            weight_norm=float(weight),
            update_ratio=updates.get(path, math.nan) / float(weight) if weight > 0 else math.nan,
        )
    return Inspection(records, float(found["loss"]), found["output"])


def _statistics(one: Observation) -> dict[str, Tensor]:
    x = one.output
    axis = 1 if x.ndim > 2 else x.ndim - 1
    others = [i for i in range(x.ndim) if i != axis]
    examples = max(1, _SAMPLE * x.shape[0] // max(1, x.numel())) if x.ndim else 1
    result = {
        "mean": ops.mean(x),
        "std": ops.std(x, correction=0),
        "least": ops.amin(x, others) if others else x,
        "largest": ops.amax(x, others) if others else x,
        "zeros": ops.mean(ops.cast(x == 0, x.dtype)),
        "sample": x[:: max(1, -(-x.shape[0] // examples))] if x.ndim else x,
    }
    ends = _RANGES.get(type(one.module).__name__)
    if ends is not None:
        near = _NEAR * (ends[1] - ends[0]) / 2
        result["saturated"] = ops.mean(ops.cast((x < ends[0] + near) | (x > ends[1] - near), x.dtype))
    return result


def _histogram(sample: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    finite = sample[np.isfinite(sample)].astype(np.float64)
    return np.histogram(finite if finite.size else np.zeros(0), bins)


def _updates(
    model: nn.Module, x: Any, y: Any, loss: Callable[[Any, Any], Any], optimizer: Optimizer
) -> dict[str, float]:
    """By module path the norm of the first update of its own parameters."""
    twin, rule = copy.deepcopy((model, optimizer))
    if isinstance(x, tuple):
        raise TypeError("inspect: an optimizer needs a model with a single input")
    TrainStep(twin, loss, rule)(x, y)
    return {
        path: math.sqrt(
            sum(
                float(np.sum((new.data.astype(np.float64) - old.data) ** 2))
                for new, old in zip(after.parameters(False), before.parameters(False), strict=True)
                if old.requires_grad
            )
        )
        for (path, before), after in zip(model.named_modules(), twin.modules(), strict=True)
    }
