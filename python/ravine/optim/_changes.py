"""What a running step has other than the optimizer that was handed over, as entries of its state_dict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ._optimizer import Optimizer


def _named(optimizer: Optimizer) -> dict[str, Any]:
    """All numbers; of a group behind its name and a dot."""
    numbers = dict(optimizer._numbers())
    for i, group in enumerate(optimizer.groups):
        numbers |= {f"{group._name(i)}.{name}": value for name, value in group._hyper.items()}
    return numbers


def changes(own: Optimizer, given: Optimizer) -> dict[str, Any]:
    """What differs in `own`, a copy of `given`."""
    before = _named(given)
    return {name: value for name, value in _named(own).items() if value != before[name]}


def change(optimizer: Optimizer, values: Mapping[str, Any]) -> None:
    """Sets the numbers. Raises ValueError for unknown names and for values that are not allowed."""
    what = f"load_state_dict of {optimizer._owner}"
    known = _named(optimizer)
    if unknown := [f"hyper.{name}" for name in values if name not in known]:
        raise ValueError(f"{what}: unexpected keys {unknown}")
    groups = {group._name(i): group for i, group in enumerate(optimizer.groups)}
    own = {name: value for name, value in values.items() if name in optimizer._numbers()}
    try:
        optimizer._set_together(own)
        for name, value in values.items():
            if name not in own:
                group, _, of_group = name.rpartition(".")
                setattr(groups[group], of_group, value)
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{what}: hyper: {error}") from None


def can_be_saved(value: Any) -> bool:
    """Whether it consists of numbers. Functions of the step and averages are code."""
    items = value if isinstance(value, tuple) else (value,)
    return all(item is None or isinstance(item, bool | int | float) for item in items)


def entry(value: Any) -> np.ndarray:
    """The array for a value; None is an array of no numbers, and NaN within a tuple."""
    if value is None:
        return np.zeros(0)
    if isinstance(value, tuple):
        return np.array([np.nan if item is None else item for item in value], np.float64)
    return np.array(value)


def value_of(array: Any) -> Any:
    """The value that `entry` made an array of."""
    array = np.asarray(array)
    if array.shape == ():
        return array.item()
    return None if array.size == 0 else tuple(None if np.isnan(x) else x for x in array.tolist())
