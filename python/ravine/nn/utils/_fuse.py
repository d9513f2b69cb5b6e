"""BatchNorm folded into the layer before it, for inference."""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from typing import Any, TypeVar

import numpy as np

from ...record import Parameter
from .._containers import Sequential
from .._conv import Conv2d
from .._linear import Identity, Linear
from .._module import Module
from .._norm import BatchNorm1d, BatchNorm2d
from .parametrize import is_parametrized

M = TypeVar("M", bound=Module)

# Which normalisation follows which layer over the layer's output channels.
_PAIRS = {Conv2d: BatchNorm2d, Linear: BatchNorm1d}


class FoldedBatchNorm(Identity):
    """What `fuse` leaves in the place of a BatchNorm: nothing, as the layer before does its work.

    Behind a linear map it refuses inputs of more than two dimensions, whose channels the BatchNorm would have
    taken from another dimension.
    """

    def __init__(self, kind: type[Module]) -> None:
        super().__init__()
        self._matrices_only = kind is Linear

    def forward(self, input: Any) -> Any:
        if self._matrices_only and input.ndim != 2:
            raise ValueError(
                f"FoldedBatchNorm: it was folded for inputs [N, C], got {input.shape}; use the model that "
                f"was not fused"
            )
        return input


def fuse(model: M) -> M:
    """A copy of a model for inference, with every BatchNorm that can be folded into the layer before it.

    For a convolution or linear map `y = W x + b` that a BatchNorm in evaluation follows,
    `W' = W · γ / sqrt(var + eps)` and `b' = (b - mean) · γ / sqrt(var + eps) + β` give the same outputs, up
    to rounding, with fewer parameters and operations.

    Folded are Conv2d with BatchNorm2d and Linear with BatchNorm1d where the one follows the other in a
    Sequential. What cannot be folded is left: layers or weights that occur more than once, computed or
    constrained weights, BatchNorm without running statistics.

    Args:
        model: it is not changed.

    Returns:
        The copy, in evaluation mode. It cannot be trained as the model could.

    Raises TypeError for what is no Module.

    Source: Jacob et al. 2018, section 3.2, https://arxiv.org/abs/1712.05877.

    Example:
        >>> from ravine import nn
        >>> model = nn.Sequential(nn.Linear(4, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU())
        >>> nn.utils.fuse(model)
        Sequential(
          (0): Linear(in_features=4, out_features=8, bias=True)
          (1): FoldedBatchNorm()
          (2): ReLU()
        )
    """
    if not isinstance(model, Module):
        raise TypeError(f"fuse: a Module is expected, got {type(model).__name__}")
    fused = copy.deepcopy(model).eval()
    places = Counter(id(module) for _, module in fused.named_modules(remove_duplicate=False))
    owners = Counter(
        id(parameter)
        for module in fused.modules()
        for parameter in module._parameters.values()
        if parameter is not None
    )
    replaced: dict[int, Module] = {}
    for layer, norm in _in_sequentials(fused):
        once = places[id(layer)] == places[id(norm)] == 1
        if once and _foldable(layer, norm) and all(owners[id(p)] == 1 for p in layer.parameters()):
            _fold(layer, norm)
            replaced[id(norm)] = FoldedBatchNorm(type(layer))
    for module in list(fused.modules()):
        for name, child in list(module._modules.items()):
            if id(child) in replaced:
                module.register_module(name, replaced[id(child)].eval())
    return fused


def _in_sequentials(model: Module) -> list[tuple[Module, Module]]:
    """What follows what."""
    chains = [list(module) for module in model.modules() if type(module) is Sequential]
    return [pair for chain in chains for pair in itertools.pairwise(chain)]


def _foldable(layer: Module, norm: Module) -> bool:
    kind = _PAIRS.get(type(layer))  # type: ignore[call-overload]
    if kind is None or type(norm) is not kind or norm.running_mean is None:
        return False
    weight = layer._parameters.get("weight")
    constrained = any(p.constraint is not None for p in layer.parameters())
    fits = weight is not None and weight.shape[0] == norm.num_features
    return fits and not constrained and not is_parametrized(layer) and not is_parametrized(norm)


def _fold(layer: Module, norm: Module) -> None:
    gamma, beta, mean, var = (
        None if state is None else np.asarray(state.data, np.float64)
        for state in (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    )
    scale = (1.0 if gamma is None else gamma) / np.sqrt(var + norm.eps)  # type: ignore[operator]
    weight = layer.weight
    weight.data = weight.data * scale.reshape(-1, *[1] * (weight.ndim - 1))
    before = 0.0 if layer.bias is None else np.asarray(layer.bias.data, np.float64)
    bias = (before - mean) * scale + (0.0 if beta is None else beta)  # type: ignore[operator]
    layer.register_parameter("bias", Parameter(bias.astype(weight.dtype), weight.requires_grad))
