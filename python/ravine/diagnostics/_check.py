"""Words for what is wrong with a training: the usual diseases, how they are seen, and what to try."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import nn, ops
from .._probe import Observation, Probe, as_inputs, check_model
from ..record import Tensor
from ._inspect import Inspection, inspect

_RECTIFIERS = ("ReLU", "ReLU6", "Threshold")
_MANY = 0.5  # share of units or numbers that makes a disease


@dataclass(frozen=True)
class Finding:
    """One thing that `check` found.

    Attributes:
        name: of the disease, see `check`.
        where: path of the module, "" for the model as a whole, its data, or its history.
        message: what was seen.
        advice: what to try.
    """

    name: str
    where: str
    message: str
    advice: str

    def __str__(self) -> str:
        place = f" in {self.where}" if self.where else ""
        return f"{self.name}{place}: {self.message}; {self.advice}"


def check(
    model: nn.Module,
    x: Any,
    y: Any,
    loss: Callable[[Any, Any], Any],
    history: Mapping[str, Sequence[float]] | Sequence[float] | None = None,
) -> list[Finding]:
    """Looks for the usual diseases of a net on one batch, and of its training in the history.

    | name | seen by |
    |---|---|
    | `not_finite` | NaN or infinities in inputs, parameters, outputs or the loss |
    | `labels_mismatch` | labels beyond the classes, or of another shape than the output |
    | `unscaled_inputs` | what the first layer gets is far from 0, large or small, or of unequal columns |
    | `symmetric_weights` | all units of a hidden layer have the same weights |
    | `constant_output` | the output is the same for all examples |
    | `dead_units` | over half of a rectifier's units are 0 for the whole batch |
    | `saturated` | over half of a sigmoid's or tanh's numbers lie within 1 % of their ends |
    | `vanishing_gradient` | a layer's gradient, over its weights, is below 1e-5 of the largest such share |
    | `exploding_gradient` | a layer's gradient over 100 times its weights |
    | `batchnorm_drift` | running statistics far from those of the batch |
    | `rate_too_high` | the loss of the history grows, or is not finite |
    | `rate_too_low` | it falls steadily, by less than 2 % in all |

    Args:
        model: a copy of it runs, in the mode it is in; the model is not changed.
        x: a batch of typical inputs, some dozens at least; of a model with several, a tuple.
        y: its labels.
        loss: a function of (output, y) that returns a scalar tensor.
        history: the losses of a training, or a mapping with "loss", such as the Trainer's history.

    Returns the findings, none for a healthy net. Where inputs or parameters are not finite, or labels do not
    fit, what rests on them is not looked at.

    Raises TypeError for something else than a module, and what the model and the loss raise.

    Example:
        >>> import numpy as np
        >>> from ravine import diagnostics, nn
        >>> x = np.random.default_rng(0).standard_normal((64, 4))
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> [found.name for found in diagnostics.check(model, x, x[:, 0] > 0, nn.CrossEntropyLoss())]
        ['labels_mismatch']
        >>> diagnostics.check(model, x, (x[:, 0] > 0).astype(int), nn.CrossEntropyLoss())
        []
    """
    check_model("check", model)
    findings = [*_history(history), *_not_finite(model, x)]
    if any(found.name == "not_finite" for found in findings):
        return findings
    twin = copy.deepcopy(model)
    output, before, layers = _forward(twin, x)
    findings += _inputs(before)
    findings += _symmetric(twin, layers)
    findings += _constant(output)
    wrong = list(_labels(output, y))
    findings += wrong
    if not wrong:
        found = inspect(twin, x, y, loss)
        findings += _activations(twin, found)
        if math.isfinite(found.loss):
            findings += _gradients(found, layers)
    findings += _drift(twin, x)
    return findings


def _forward(model: nn.Module, x: Any) -> tuple[Any, Any, list[str]]:
    """The output, what the first layer with a matrix of weights is given, and the paths of such layers."""
    layers: list[str] = []

    def measure(output: Any, observations: list[Observation], _: Any) -> Any:
        matrices = [i for i, one in enumerate(observations) if _has_matrix(one.module)]
        layers.extend(observations[i].path for i in matrices)
        first = observations[matrices[0] - 1].output if matrices and matrices[0] > 0 else None
        return output if isinstance(output, Tensor) else None, first

    inputs = as_inputs(x)
    output, first = Probe("check", model, inputs, measure).run()
    given = first if first is not None else np.asarray(inputs[0])
    starts_with_table = bool(layers) and isinstance(_module(model, layers[0]), nn.Embedding)
    return output, None if starts_with_table else given, layers


def _has_matrix(module: nn.Module) -> bool:
    weight = module._parameters.get("weight")
    return weight is not None and weight.ndim >= 2


def _module(model: nn.Module, path: str) -> nn.Module:
    return model.get_submodule(path.partition(" ")[0])


def _not_finite(model: nn.Module, x: Any) -> Iterator[Finding]:
    for array in map(np.asarray, as_inputs(x)):
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            seen = f"{int((~np.isfinite(array)).sum())} of the inputs' numbers are NaN or infinite"
            yield Finding(
                "not_finite", "", seen, "fill them in (preprocessing.SimpleImputer) or drop the rows"
            )
    for name, parameter in model.named_parameters():
        if not np.isfinite(parameter.data).all():
            path, _, last = name.rpartition(".")
            yield Finding(
                "not_finite",
                path,
                f"{last} holds NaN or infinities",
                "go back to a checkpoint; try a smaller rate or clip_norm, and rv.eager(check_nan=True)",
            )


def _inputs(given: np.ndarray | None) -> Iterator[Finding]:
    if given is None or given.ndim < 2 or len(given) < 2:
        return
    axes = tuple(i for i in range(given.ndim) if i != 1)
    numbers = given.astype(np.float64)
    mean, std = numbers.mean(axis=axes), numbers.std(axis=axes)
    varies = std > 1e-9 * np.abs(mean)
    if not varies.any():
        return
    size = np.sqrt(mean**2 + std**2)[varies]
    offset = float(np.mean(np.abs(mean[varies]) > 10 * std[varies]))
    rms = float(np.sqrt(np.mean(size**2)))
    if offset > 0.25:
        seen = f"{offset:.0%} of the columns are over 10 standard deviations away from 0"
    elif not 0.02 < rms < 20:
        seen = f"the numbers are about {rms:.3g} in size"
    elif size.max() > 100 * np.median(size):
        seen = f"columns differ in size by a factor of {size.max() / np.median(size):.3g}"
    else:
        return
    advice = "scale them: nn.Normalize.from_(preprocessing.StandardScaler().fit(x)) as the first layer"
    yield Finding("unscaled_inputs", "", f"of what the first layer is given {seen}", advice)


def _symmetric(model: nn.Module, layers: list[str]) -> Iterator[Finding]:
    for path in dict.fromkeys(layers[:-1]):  # the units of the last one have different labels
        weight = _module(model, path)._parameters["weight"]
        assert weight is not None
        if isinstance(_module(model, path), nn.Embedding) or weight.shape[0] < 2:
            continue
        if np.ptp(weight.data, axis=0).max() <= 1e-6 * np.abs(weight.data).max():
            yield Finding(
                "symmetric_weights",
                path,
                f"all {weight.shape[0]} units have the same weights, so they learn the same",
                'draw them at random: weight_init="he_normal", or init.apply(model, "he_normal")',
            )


def _constant(output: Any) -> Iterator[Finding]:
    if output is None or output.ndim == 0 or len(output) < 2 or not np.isfinite(output).all():
        return
    numbers = output.astype(np.float64)
    if numbers.std(axis=0).max() <= 1e-6 * max(float(np.abs(numbers).max()), 1e-30):
        yield Finding(
            "constant_output",
            "",
            f"all {len(output)} examples give the same output",
            "look for dead units or zero weights on the way; start again from other weights",
        )


def _labels(output: Any, y: Any) -> Iterator[Finding]:
    if output is None or isinstance(y, tuple | list | dict):
        return
    labels = np.asarray(y)
    advice = "compare the labels with the output's shape and with what the loss expects"
    if (
        output.ndim >= 2
        and labels.dtype.kind in "iu"
        and labels.shape == (output.shape[0], *output.shape[2:])
    ):
        classes = output.shape[1]
        wrong = (labels < 0) | (labels >= classes)
        wrong &= labels != -100  # which cross_entropy ignores
        if wrong.any():
            seen = f"label {labels[wrong][0]} is none of the {classes} classes, 0 to {classes - 1}"
            yield Finding("labels_mismatch", "", seen, advice)
    elif labels.shape != output.shape:
        seen = f"labels of shape {labels.shape} and dtype {labels.dtype} for outputs of shape {output.shape}"
        yield Finding("labels_mismatch", "", seen, advice)


def _activations(model: nn.Module, found: Inspection) -> Iterator[Finding]:
    for path, record in found.items():
        if not (math.isfinite(record.mean) and math.isfinite(record.std)):
            advice = (
                "look at what it is given; scale inputs and weights (init.variances shows where it grows)"
            )
            yield Finding("not_finite", path, "the output holds NaN or infinities", advice)
            return  # what comes after it holds them too
        holds_rectifier = any(True for _ in _module(model, path).children()) and record.minimum == 0
        if (record.kind in _RECTIFIERS or holds_rectifier) and record.dead > _MANY:
            seen = f"{record.dead:.0%} of the units are 0 for the whole batch"
            advice = (
                "try a smaller rate, weight_init='he_normal', zero biases, LeakyReLU, or a norm before it"
            )
            yield Finding("dead_units", path, seen, advice)
        if record.saturated > _MANY:
            seen = f"{record.saturated:.0%} of the numbers lie within 1 % of the ends of {record.kind}"
            advice = "start with smaller weights ('glorot_normal'), scale the inputs, use a norm or ReLU"
            yield Finding("saturated", path, seen, advice)
    if not math.isfinite(found.loss):
        advice = "give the loss what it expects: logits or probabilities, labels in range"
        yield Finding("not_finite", "", f"the loss is {found.loss}", advice)


def _gradients(found: Inspection, layers: list[str]) -> Iterator[Finding]:
    shares = {
        path: found[path].gradient_norm / found[path].weight_norm
        for path in layers
        if found[path].weight_norm > 0 and not math.isnan(found[path].gradient_norm)
    }
    largest = max(shares.values(), default=0.0)
    for path, share in shares.items():
        if share > 100:
            seen = f"the gradient's norm is {share:.3g} times that of the weights"
            advice = "start with smaller weights (init.apply(model, 'lsuv', x)), add norms, or clip_norm"
            yield Finding("exploding_gradient", path, seen, advice)
            return  # layers before it explode for the same reason
    for path, share in shares.items():
        if share < 1e-5 * largest:
            seen = f"the gradient, over the weights, is {share / largest:.1g} of that in other layers"
            advice = (
                "use ReLU with he_normal, norms or residual connections; init.variances shows where it fades"
            )
            yield Finding("vanishing_gradient", path, seen, advice)
            return


def _drift(model: nn.Module, x: Any) -> Iterator[Finding]:
    norms = [
        (path, module)
        for path, module in model.named_modules()
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
        and module.running_mean is not None
        and module.num_batches_tracked.item() > 0
    ]
    if not norms:
        return
    model.eval()
    wanted = {id(module) for _, module in norms}

    def measure(_: Any, observations: list[Observation], __: Any) -> Any:
        result = {}
        for one in observations:
            if id(one.module) in wanted:
                others = [i for i in range(one.output.ndim) if i != 1]
                moments = ops.mean(one.output, others), ops.std(one.output, others, correction=0)
                result.setdefault(one.path.partition(" ")[0], moments)
        return result

    measured = Probe("check", model, as_inputs(x), measure).run()
    for path, module in norms:
        if path not in measured:
            continue
        mean, std = (np.asarray(numbers, np.float64) for numbers in measured[path])
        weight = np.ones_like(mean) if module.weight is None else np.abs(module.weight.data)
        bias = np.zeros_like(mean) if module.bias is None else module.bias.data
        used = weight > 1e-6
        shift, stretch = np.abs(mean - bias)[used] / weight[used], std[used] / weight[used]
        drifted = (shift > 2) | (stretch > 5) | (stretch < 0.1)
        if used.any() and drifted.mean() > 0.25:
            seen = f"the running statistics of {drifted.mean():.0%} of the channels are far from the batch's"
            advice = (
                "train some steps more with a larger momentum, or feed at prediction what training was fed"
            )
            yield Finding("batchnorm_drift", path, seen, advice)


def _history(history: Mapping[str, Sequence[float]] | Sequence[float] | None) -> Iterator[Finding]:
    losses = history.get("loss", ()) if isinstance(history, Mapping) else history
    if losses is None or len(losses) < 3:
        return
    values = np.asarray(losses, np.float64)
    seen = f"the loss went from {values[0]:.4g} to {values[-1]:.4g} in {len(values)} entries"
    if not np.isfinite(values).all() or values[-1] > values[0]:
        advice = "divide the rate by 3 to 10, or let train.lr_range_test suggest one"
        yield Finding("rate_too_high", "", seen, advice)
    elif values[0] - values[-1] < 0.02 * abs(values[0]) and np.mean(np.diff(values) <= 0) >= 0.8:
        advice = "unless training is at its end, multiply the rate by 3 to 10, or use train.lr_range_test"
        yield Finding("rate_too_low", "", seen, advice)
