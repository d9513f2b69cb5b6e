"""What happens to gradients before the rule, as operations of the recorded program."""

from __future__ import annotations

from collections.abc import Mapping

from .. import _core, ops
from .._parameter import Parameter
from .._tensor import Tensor
from .._trace import Trace
from ._optimizer import Optimizer

_LEAST_WEIGHT_NORM = 1e-3  # so that units that begin at 0 can leave it


def _unit_norms(x: Tensor) -> Tensor:
    """Euclidean norms of the rows of a weight [out, ...], with axes kept; of a bias as a whole."""
    axes = tuple(range(1, x.ndim)) if x.ndim > 1 else None
    return ops.sqrt(ops.sum(ops.square(x), axes, keepdim=x.ndim > 1))


def bounds_of(optimizer: Optimizer) -> dict[str, float]:
    """The bounds that are set, but for the adaptive one."""
    names = ("clip_value", "clip_norm", "clip_global_norm")
    return {name: getattr(optimizer, name) for name in names if getattr(optimizer, name) is not None}


def _norm_of(squares: list[Tensor]) -> Tensor:
    return ops.sqrt(sum(squares[1:], start=squares[0]))


def _squares(gradients: Mapping[str, Tensor]) -> list[Tensor]:
    return [ops.sum(ops.square(ops.cast(gradient, "float64"))) for gradient in gradients.values()]


def bounded_by_norms(
    bounds: Mapping[str, float], trace: Trace, gradients: Mapping[str, _core.Value]
) -> dict[str, _core.Value]:
    """The gradients with `bounds_of`, for rules whose kernel cannot do it as it does not see them."""
    tensors = {name: Tensor(value, trace) for name, value in gradients.items()}
    if "clip_value" in bounds:
        largest = bounds["clip_value"]
        tensors = {name: ops.clip(gradient, -largest, largest) for name, gradient in tensors.items()}
    if "clip_norm" in bounds:
        norms = [ops.sqrt(square) for square in _squares(tensors)]
        tensors = {
            name: gradient * _factor(norm, bounds["clip_norm"], gradient)
            for (name, gradient), norm in zip(tensors.items(), norms, strict=True)
        }
    if "clip_global_norm" in bounds:
        norm = _norm_of(_squares(tensors))
        tensors = {
            name: gradient * _factor(norm, bounds["clip_global_norm"], gradient)
            for name, gradient in tensors.items()
        }
    return {name: gradient._as_value(trace) for name, gradient in tensors.items()}


def _factor(norm: Tensor, bound: float, gradient: Tensor) -> Tensor:
    return ops.cast(ops.minimum(bound / (norm + 1e-6), 1.0), gradient.dtype)


def bounded_by_weights(
    optimizer: Optimizer,
    trace: Trace,
    parameters: Mapping[str, Parameter],
    gradients: Mapping[str, _core.Value],
) -> dict[str, _core.Value]:
    """The gradients with `clip_adaptive`, by name."""
    share = optimizer.clip_adaptive
    if share is None:
        return dict(gradients)
    result = {}
    for name, value in gradients.items():
        gradient = Tensor(value, trace)
        weight = Tensor(trace.state(parameters[name].array), trace)
        largest = share * ops.maximum(_unit_norms(weight), _LEAST_WEIGHT_NORM)
        norm = _unit_norms(gradient)
        factor = ops.where(norm < largest, 1.0, largest / ops.maximum(norm, 1e-6))
        result[name] = (gradient * factor)._as_value(trace)
    return result


def with_noise(trace: Trace, gradients: Mapping[str, _core.Value], std: Tensor) -> dict[str, _core.Value]:
    """The gradients plus normal noise."""
    result = {}
    for name, value in gradients.items():
        gradient = Tensor(value, trace)
        noise = ops.randn(*gradient.shape, dtype=gradient.dtype)
        result[name] = (gradient + ops.cast(std, gradient.dtype) * noise)._as_value(trace)
    return result


def sharpest(
    trace: Trace,
    parameters: Mapping[str, Parameter],
    gradients: Mapping[str, _core.Value],
    rho: Tensor,
    adaptive: bool,
) -> list[_core.Value]:
    """The parameters moved by rho to where the loss is highest, by the gradients: what SAM looks at."""
    weights = {name: Tensor(trace.state(parameters[name].array), trace) for name in gradients}
    slopes = {name: Tensor(value, trace) for name, value in gradients.items()}
    if adaptive:  # in units of the weights
        norm = _norm_of(_squares({name: ops.abs(weights[name]) * slope for name, slope in slopes.items()}))
        slopes = {name: ops.square(weights[name]) * slope for name, slope in slopes.items()}
    else:
        norm = _norm_of(_squares(slopes))
    scale = rho / (norm + 1e-12)
    moved = [weights[name] + slope * ops.cast(scale, slope.dtype) for name, slope in slopes.items()]
    return [tensor._as_value(trace) for tensor in moved]
