"""What `rv.eager(check_nan=True)` says of numbers that come from outside: inputs, labels, parameters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ._arguments import Inputs


def check_parameters(named: Iterable[tuple[str, Any]]) -> None:
    """Raises FloatingPointError naming the first parameter that holds a NaN or an infinity."""
    for name, parameter in named:
        _check(f"parameter {name}", parameter.data)


def check_inputs(inputs: Inputs, names: Sequence[str] | None = None) -> None:
    """The same for the arrays of a call; `names` are those of its arguments."""
    for path, position in _leaves(inputs.rebuild([_Position(i) for i in range(len(inputs.arrays))])):
        first = f"input [{path[0]!r}]" if names is None else str(names[path[0]])
        label = first + "".join(f"[{key!r}]" for key in path[1:])
        _check(label, inputs.arrays[position])


def _leaves(x: Any, path: tuple[Any, ...] = ()) -> Iterable[tuple[tuple[Any, ...], int]]:
    """Positions of arrays in nested tuples, lists and dicts, and the keys that lead to them."""
    if isinstance(x, tuple | list):
        for i, item in enumerate(x):
            yield from _leaves(item, (*path, i))
    elif isinstance(x, dict):
        for key, item in x.items():
            yield from _leaves(item, (*path, key))
    elif type(x) is _Position:
        yield path, x.number


class _Position:
    """Stands for an array, so that it is not taken for a number among the arguments."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


def _check(label: str, array: np.ndarray) -> None:
    if array.dtype.kind != "f" or (finite := np.isfinite(array)).all():
        return
    bad = np.argwhere(~finite)
    place = tuple(bad[0].tolist())
    kind = "a NaN" if np.isnan(array[place]) else "an infinity"
    more = f", the first of {len(bad)} numbers that are not finite" if len(bad) > 1 else ""
    raise FloatingPointError(f"{label} holds {kind} at index {place}{more}")
