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
