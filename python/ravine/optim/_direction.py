"""The recorded part of the rules whose directions are operations of the program: their state and numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import _core, ops
from .._parameter import Parameter
from .._tensor import Tensor
from .._trace import Trace
from ._directed import Directed
from ._optimizer import Optimizer
from ._wrappers import Wrapper


def innermost_directed(optimizer: Optimizer) -> Directed | None:
    """The optimizer inside all wrappers, if it is such a rule."""
    inside = optimizer.innermost if isinstance(optimizer, Wrapper) else optimizer
    return inside if isinstance(inside, Directed) else None


class Direction:
    """State of the parameters of one part, outside of programs, and the numbers that programs read."""

    def __init__(self, description: Optimizer, group: Any) -> None:
        directed = innermost_directed(description)
        assert directed is not None
        self._rule = directed
        self._numbers = {
            name: _core.Array(np.zeros((), np.float64)) for name in (*directed._allowed(), "step")
        }
        self._states: dict[str, dict[str, _core.Array]] = {}  # by parameter and name

    def set(self, numbers: Mapping[str, float]) -> None:
        for name, value in numbers.items():
            self._numbers[name].numpy()[...] = value

    def build(
        self, members: Sequence[tuple[str, Parameter]], kept: Mapping[str, Mapping[str, np.ndarray]]
    ) -> None:
        for name, parameter in members:
            own = {}
            for key, shape in self._rule._state_shapes(parameter.shape).items():
                same = shape == parameter.shape and parameter.array.channels_last
                own[key] = _core.Array(np.zeros(shape, parameter.dtype), same)
                old = kept.get(name, {}).get(key)
                if old is not None and old.shape == shape:
                    own[key].numpy()[...] = old
            self._states[name] = own

    def state_of(self, name: str) -> dict[str, np.ndarray]:
        return {key: np.array(array.numpy(), order="C") for key, array in self._states[name].items()}

    def record(
        self,
        rule: Directed,
        trace: Trace,
        members: Sequence[tuple[str, Parameter]],
        gradients: Mapping[str, _core.Value],
        kept: Tensor | None,
    ) -> dict[str, _core.Value]:
        """Records directions and new states. Where `kept` is given and false, states stay as they are."""
        exact = {name: Tensor(trace.state(array), trace) for name, array in self._numbers.items()}
        result = {}
        for name, parameter in members:
            dtype = parameter.dtype
            numbers = {key: ops.cast(number, dtype) for key, number in exact.items()}
            w = Tensor(trace.state(parameter.array), trace)
            g = Tensor(gradients[name], trace) * (1.0 - 2.0 * numbers["maximize"])
            old = {key: Tensor(trace.state(array), trace) for key, array in self._states[name].items()}
            direction, new = rule._direction(w, g, old, numbers)
            for key, tensor in new.items():
                value = tensor if kept is None else ops.where(kept, tensor, old[key])
                trace.assign(self._states[name][key], value._as_value(trace))
            result[name] = direction._as_value(trace)
        return result
