"""Arguments of layers: checks of lists and dicts, and how a layer shows what it was given."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..record import State
from ._module import Module

_SHORT = 8  # numbers of an array that are listed


def shown(value: Any) -> str:
    """An argument as text: an array by its numbers if it is short, else by its shape; a function by name."""
    value = value.data if isinstance(value, State) else value
    if isinstance(value, np.ndarray):
        if value.ndim == 1 and value.size <= _SHORT:
            return "[" + ", ".join(map(str, value)) + "]"
        return f"array of shape {value.shape}"
    if inspect.isroutine(value):
        return value.__name__
    return repr(value)


def changed_arguments(module: Module, *names: str) -> list[str]:
    """`name=value` for each argument of the constructor that is not at its default, in its order.

    A module keeps an argument as the attribute of its name; one that it does not keep is left out. `names`
    chooses among the arguments with defaults, which are all taken without.
    """
    parameters = inspect.signature(type(module).__init__).parameters
    texts = []
    for name in names or parameters:
        default = parameters[name].default
        if default is inspect.Parameter.empty:
            continue
        value = getattr(module, name, default)
        if isinstance(value, State | np.ndarray) or value != default:
            texts.append(f"{name}={shown(value)}")
    return texts


def several(owner: str, items: Any) -> Iterable[Any]:
    """The items of a list or another iterable. Raises TypeError for one alone."""
    if not isinstance(items, Iterable):
        raise TypeError(f"{owner}: a list is expected, got {items!r}")
    return items


def named(owner: str, items: Any) -> Mapping[str, Any]:
    """A dict. Raises TypeError for anything else."""
    if not isinstance(items, Mapping):
        raise TypeError(f"{owner}: a dict is expected, got {items!r}")
    return items
