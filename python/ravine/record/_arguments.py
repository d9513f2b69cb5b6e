"""The arrays in the arguments of a call, and the tensors in its result, in any nesting."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from ._convert import as_array, plain_array
from ._tensor import Operand


class Inputs:
    """The arrays of a call, what tells its program from others, and how to put tensors in their place."""

    __slots__ = ("arrays", "key", "rebuild")

    def __init__(
        self, arrays: list[np.ndarray], key: Hashable, rebuild: Callable[[Sequence[Any]], Any]
    ) -> None:
        self.arrays, self.key, self.rebuild = arrays, key, rebuild


def split_inputs(arguments: Any, levels: int = 1) -> Inputs:
    """Takes the arrays out of nested tuples, lists and dicts.

    Numbers are constants. Lists of numbers are arrays, and so are tuples of numbers below the first `levels`
    levels, which are arguments of a call.
    """
    if type(arguments) is tuple and all(type(x) is np.ndarray for x in arguments):  # quickly
        key = tuple([(x.shape, x.dtype) for x in arguments])
        return Inputs(list(arguments), key, tuple)
    arrays: list[np.ndarray] = []
    key, rebuild = _split(arguments, arrays, levels)
    return Inputs(arrays, key, lambda tensors: rebuild(iter(tensors)))


def _split(x: Any, arrays: list[np.ndarray], levels: int) -> tuple[Hashable, Callable[[Any], Any]]:
    if x is None or isinstance(x, str | bool | int | float):
        return (type(x), x), lambda _: x
    if isinstance(x, tuple | list) and (levels > 0 or _is_structure(x)):
        parts = [_split(item, arrays, levels - 1) for item in x]
        kind = tuple if isinstance(x, tuple) else list
        key = (kind, *(part[0] for part in parts))
        return key, lambda tensors: kind([rebuild(tensors) for _, rebuild in parts])
    if isinstance(x, dict):
        named = {name: _split(item, arrays, levels - 1) for name, item in x.items()}
        key = (dict, *((name, part[0]) for name, part in named.items()))
        return key, lambda tensors: {name: rebuild(tensors) for name, (_, rebuild) in named.items()}
    if isinstance(x, Operand):
        array = x.numpy()
    else:
        array = plain_array(x) if hasattr(x, "__array__") else as_array(x)
    arrays.append(array)
    return (array.shape, array.dtype), next


def _is_structure(x: tuple[Any, ...] | list[Any]) -> bool:
    """Whether a sequence holds arrays, rather than being one in nested lists of numbers."""
    if isinstance(x, tuple):
        return any(not isinstance(item, bool | int | float) for item in x)
    return any(
        _is_structure(item) if isinstance(item, tuple | list) else not isinstance(item, bool | int | float)
        for item in x
    )


def flatten_outputs(result: Any, what: str) -> tuple[list[Operand], Callable[[Sequence[Any]], Any]]:
    """The tensors in a result of nested tuples, lists and dicts, and how to put arrays in their place."""
    tensors: list[Operand] = []

    def walk(x: Any) -> Callable[[Sequence[Any]], Any]:
        if isinstance(x, Operand):
            position = len(tensors)
            tensors.append(x)
            return lambda values: values[position]
        if isinstance(x, tuple | list):
            parts = [walk(item) for item in x]
            if isinstance(x, tuple) and hasattr(x, "_fields"):
                return lambda values: type(x)(*[part(values) for part in parts])
            kind = tuple if isinstance(x, tuple) else list
            return lambda values: kind([part(values) for part in parts])
        if isinstance(x, dict):
            named = {name: walk(item) for name, item in x.items()}
            return lambda values: {name: part(values) for name, part in named.items()}
        if x is None or isinstance(x, str | bool | int | float | np.ndarray | np.generic):
            return lambda _: x
        raise TypeError(
            f"{what} returned {type(x).__name__}; tensors, tuples, lists and dicts of them are expected"
        )

    rebuild = walk(result)
    return tensors, rebuild
