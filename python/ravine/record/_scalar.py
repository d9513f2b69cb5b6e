"""A number that changes from run to run, and costs no compilation."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from .. import _core
from ._convert import FLOATING
from ._parameter import State
from ._trace import Trace


class Scalar(State):
    """A number that programs read when they run: the weight of a loss, a temperature, a rate.

    A Python number that `forward` or a loss reads is part of the program, and another one compiles another
    program. A Scalar stands in expressions as a number does (beside a tensor it has the tensor's dtype), and
    `scalar.value = 0.5` counts from the next run on. It is no parameter: it is not trained, and not part of a
    module's `state_dict`.

    Args:
        value: the first value.

    Raises:
        TypeError: for what is no real number.

    Example:
        >>> import numpy as np, ravine as rv
        >>> beta = rv.Scalar(0.0)
        >>> scaled = rv.compile(lambda x: x * beta)
        >>> scaled(np.ones(2)), len(scaled.programs())
        (array([0., 0.]), 1)
        >>> beta.value = 0.5
        >>> scaled(np.ones(2)), len(scaled.programs())
        (array([0.5, 0.5]), 1)
    """

    __slots__ = ()
    _is_number = True

    def __init__(self, value: Any = 0.0) -> None:
        super().__init__(value if isinstance(value, _core.Array) else np.asarray(_checked(value)))

    @property
    def dtype(self) -> str:
        return "float32"  # alone; beside a tensor it has the tensor's

    @property
    def value(self) -> float:
        """The number. Raises RuntimeError while a program is recorded, which would keep it."""
        return float(self.numpy())

    @value.setter
    def value(self, value: Any) -> None:
        self.array.numpy()[...] = _checked(value)

    def _as_value_like(self, trace: Trace, like: str | None) -> _core.Value:
        dtype = like if like in FLOATING else "float32"
        return trace.graph.apply("cast", [trace.state(self.array)], {"dtype": dtype})[0]

    def _as_value(self, trace: Trace) -> _core.Value:
        return self._as_value_like(trace, None)

    def __repr__(self) -> str:
        return f"Scalar({self.array.numpy().item()!r})"


def _checked(value: Any) -> float:
    if not isinstance(value, numbers.Real | np.number | np.bool_):
        raise TypeError(f"Scalar: a number is expected, got {type(value).__name__}")
    return float(value)
