"""Initialisers that look at what layers make of data, one layer after the other in the order of the calls."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .. import ops
from .._numbers import positive, whole
from .._probe import Observation, Probe, as_inputs, check_model
from ..record import add_place
from ._named import Initializer, get

if TYPE_CHECKING:
    from ..nn import Module

M = TypeVar("M", bound="Module")


def weighted_layers(model: Module) -> list[tuple[str, Module]]:
    """Paths and modules that have a weight of at least 2 dimensions: linear maps, convolutions, tables."""
    return [
        (path, module)
        for path, module in model.named_modules()
        if _computes(module, "weight") or module._parameters.get("weight") is not None
        if module.weight.ndim >= 2
    ]


def _computes(module: Module, name: str) -> bool:
    """Whether a module computes this parameter from others, by a length and a direction, say."""
    return name in module.__dict__.get("_computed", ())


def _scale_weight(module: Module, factors: Any) -> None:
    if _computes(module, "weight"):
        module.weight = module.weight.numpy() * np.asarray(factors, module.weight.dtype)
    else:
        module.weight.data *= factors


def lsuv(
    model: M,
    x: Any,
    *,
    variance: float = 1.0,
    tolerance: float = 0.1,
    max_iterations: int = 10,
    weight_init: Initializer | None = "orthogonal",
    bias_init: Initializer | None = "zeros",
) -> M:
    """Layer-sequential unit variance: weights scaled so that every layer's outputs vary alike on some data.

    Weights start orthogonal. From the first layer on, as the model calls them, a layer whose outputs have
    a variance too far from `variance` is found, its weight multiplied by √(variance / measured), and the
    model measured again. For deep nets of any activation, residual or not, that do not train from a
    formula's scale.

    Args:
        model: changed in place and returned. It runs in the mode it is in; its buffers stay as they are.
        x: a batch of typical inputs; of a model with several, a tuple. A few hundred examples do.
        variance: what the outputs of each layer (before the activation) are to have.
        tolerance: how far from it they may stay, as a share of `variance`.
        max_iterations: how often one layer is rescaled at most.
        weight_init, bias_init: what the layers are filled with first, see `get`; None leaves them.

    Layers are modules with a weight of at least 2 dimensions; a layer that is called several times counts by
    its first call.

    Raises ValueError where the outputs of a layer do not vary, or cannot be brought to the variance (by a
    large bias, say), FloatingPointError where they are not finite. The model is then as it was before.

    Source: Mishkin and Matas 2016, https://arxiv.org/abs/1511.06422.

    Example:
        >>> import numpy as np, ravine as rv
        >>> from ravine import nn
        >>> layers = [part for _ in range(20) for part in (nn.Linear(64, 64), nn.Tanh())]
        >>> x = np.random.default_rng(0).standard_normal((256, 64))
        >>> model = rv.init.lsuv(nn.Sequential(*layers), x)
        >>> bool(abs(rv.init.variances(model, x).forward[::2] - 1).max() < 0.1)
        True
    """
    variance = positive("lsuv", "variance", variance)
    tolerance = positive("lsuv", "tolerance", tolerance)
    max_iterations = whole("lsuv", "max_iterations", max_iterations)

    def rescale(layer: Observation, measured: np.ndarray, iteration: int) -> bool:
        found = float(measured)
        if not math.isfinite(found):
            raise FloatingPointError(f"lsuv: the outputs of {_named(layer)} are not finite")
        if found == 0:
            raise ValueError(f"lsuv: the outputs of {_named(layer)} do not vary, no scale changes that")
        if abs(found - variance) <= tolerance * variance:
            return False
        if iteration == max_iterations:
            raise ValueError(
                f"lsuv: the outputs of {_named(layer)} have variance {found:.4g} after {max_iterations} "
                f"rescalings, expected {variance:g}"
            )
        _scale_weight(layer.module, math.sqrt(variance / found))
        return True

    return _in_sequence(
        "lsuv", model, x, (weight_init, bias_init), lambda layer: ops.var(layer.output, correction=0), rescale
    )


def weight_norm(
    model: M, x: Any, *, weight_init: Initializer | None = None, bias_init: Initializer | None = None
) -> M:
    """The data-dependent start of weight normalisation: every unit's outputs get mean 0 and variance 1.

    From the first layer on, each unit's weights w and bias b become w / σ and (b - μ) / σ, with the mean μ
    and standard deviation σ of its outputs over the batch (and positions). So the net starts as batch
    normalisation would have it, and trains without.

    Args:
        model: changed in place and returned. It runs in the mode it is in; its buffers stay as they are.
        x: a batch of typical inputs; of a model with several, a tuple.
        weight_init, bias_init: what the layers are filled with first, see `get`; None leaves them.

    Layers are linear maps and convolutions: modules with a weight [units, ...] of at least 2 dimensions and a
    bias [units], which may be None; then only the variances become 1. A layer that is called several times
    counts by its first call. The weights may be computed, by `nn.utils.weight_norm` above all.

    Raises ValueError where the outputs of a unit do not vary, FloatingPointError where they are not
    finite. The model is then as it was before.

    Source: Salimans and Kingma 2016, section 3, https://arxiv.org/abs/1602.07868.

    Example:
        >>> import numpy as np, ravine as rv
        >>> x = np.random.default_rng(0).uniform(5, 9, (256, 8))
        >>> y = rv.init.weight_norm(rv.nn.Linear(8, 4), x)(x)
        >>> bool(np.allclose(y.mean(0), 0, atol=1e-4)), bool(np.allclose(y.std(0), 1, atol=1e-4))
        (True, True)
    """

    def moments(layer: Observation) -> Any:
        axis = _unit_axis(layer)
        if axis is None:
            return None
        others = [i for i in range(layer.output.ndim) if i != axis]
        return ops.mean(layer.output, others), ops.std(layer.output, others, correction=0)

    def normalise(layer: Observation, measured: Any, iteration: int) -> bool:
        if measured is None or iteration > 0:
            return False
        mean, std = (np.asarray(numbers, np.float64) for numbers in measured)
        if not (np.isfinite(mean).all() and np.isfinite(std).all()):
            raise FloatingPointError(f"weight_norm: the outputs of {_named(layer)} are not finite")
        if (std == 0).any():
            unit = int(np.argmin(std))
            raise ValueError(f"weight_norm: the outputs of unit {unit} of {_named(layer)} do not vary")
        bias = layer.module.bias
        _scale_weight(layer.module, 1 / std.reshape(-1, *[1] * (layer.module.weight.ndim - 1)))
        if bias is not None:
            bias.data = (bias.data - mean) / std
        return True

    return _in_sequence("weight_norm", model, x, (weight_init, bias_init), moments, normalise)


def _unit_axis(layer: Observation) -> int | None:
    """The axis of the outputs that belongs to the first of the weight, None where none does."""
    module, output = layer.module, layer.output
    axis = 1 if module.weight.ndim > 2 else output.ndim - 1
    has_units = "bias" in module._parameters and output.shape[axis] == module.weight.shape[0]
    return axis if has_units else None


def _named(layer: Observation) -> str:
    kind = type(layer.module).__name__
    return f"{layer.path} ({kind})" if layer.path else kind


def fill_layer(path: str, layer: Module, **fillers: Callable[[Any], Any] | None) -> None:
    """Fills the parameters of these names that the layer has; the row of an Embedding's padding stays 0."""
    for name, fill in fillers.items():
        computed = _computes(layer, name)
        target = np.array(getattr(layer, name).numpy()) if computed else layer._parameters.get(name)
        if target is None or fill is None:
            continue
        try:
            fill(target)
            if name == "weight" and getattr(layer, "padding_idx", None) is not None:
                (target if isinstance(target, np.ndarray) else target.data)[layer.padding_idx] = 0
            if computed:
                setattr(layer, name, target)
        except (TypeError, ValueError) as error:
            add_place(error, f"{path}.{name}" if path else name)
            raise


@contextmanager
def restored_on_error(layers: Iterable[Module]) -> Iterator[None]:
    """Gives the parameters of these layers back their numbers where what follows raises."""
    kept = [(p, p.data.copy()) for layer in layers for p in layer.parameters()]
    try:
        yield
    except BaseException:
        for parameter, data in kept:
            parameter.data = data
        raise


def _in_sequence(
    what: str,
    model: M,
    x: Any,
    start: tuple[Initializer | None, Initializer | None],
    measure: Callable[[Observation], Any],
    adjust: Callable[[Observation, Any, int], bool],
) -> M:
    """Adjusts each layer with a weight, in the order of their first calls, until it needs no more.

    `adjust(layer, measured, iteration)` sees what `measure` found of that layer with the parameters as they
    are, and tells whether it changed them.
    """
    check_model(what, model)
    fill_weight, fill_bias = (None if one is None else get(one) for one in start)
    weighted = {id(module) for _, module in weighted_layers(model)}
    layers: list[Observation] = []

    def find_layers(_: Any, observations: list[Observation], __: Any) -> Any:
        for observation in observations:
            if id(observation.module) in weighted:
                weighted.discard(id(observation.module))
                layers.append(observation)
        return [measure(layer) for layer in layers]

    probe = Probe(what, model, as_inputs(x), find_layers)
    if not layers:
        raise ValueError(f"{what}: no layer of {type(model).__name__} has a weight of at least 2 dimensions")
    with restored_on_error([layer.module for layer in layers]):
        for layer in layers:
            fill_layer(layer.path, layer.module, weight=fill_weight, bias=fill_bias)
        measured = probe.run()
        for i, layer in enumerate(layers):
            iteration = 0
            while adjust(layer, measured[i], iteration):
                iteration += 1
                measured = probe.run()
    return model
