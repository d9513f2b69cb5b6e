"""Checks of numbers among arguments: `owner` and `name` say in messages whose and which."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

_LARGEST = 2**63 - 1  # of an int64


def number(
    owner: str, name: str, value: Any, low: float = 0.0, high: float = math.inf, *, below: float = math.inf
) -> float:
    """`value` as a finite float in [low, high] and below `below`; TypeError or ValueError otherwise."""
    try:
        if isinstance(value, bool | np.bool_ | str):
            raise TypeError
        result = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{owner}: {name} must be a number, got {value!r}") from None
    if not (math.isfinite(result) and low <= result <= high and result < below):
        if low == -math.inf:
            expected = ""
        elif below < math.inf:
            expected = f" in [{low:g}, {below:g})"
        else:
            expected = f" at least {low:g}" if high == math.inf else f" in [{low:g}, {high:g}]"
        raise ValueError(f"{owner}: {name} must be a finite number{expected}, got {result}")
    return result


def positive(owner: str, name: str, value: Any) -> float:
    """`value` as a finite float above 0."""
    result = number(owner, name, value)
    if result == 0:
        raise ValueError(f"{owner}: {name} must be above 0, got {result:g}")
    return result


def probability(owner: str, value: Any) -> float:
    """The argument p as a number in [0, 1]."""
    try:
        if isinstance(value, str):
            raise TypeError
        inside = 0.0 <= float(value) <= 1.0
    except (TypeError, ValueError):
        raise TypeError(f"{owner}: p must be a number, got {value!r}") from None
    if not inside:
        raise ValueError(f"{owner}: p must be a probability in [0, 1], got {value}")
    return float(value)


def whole(owner: str, name: str, value: Any, low: int = 1) -> int:
    """`value` as an integer of at least `low`."""
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        result = operator.index(value)
    except TypeError:
        raise TypeError(f"{owner}: {name} must be an integer, got {value!r}") from None
    if result < low:
        raise ValueError(f"{owner}: {name} must be at least {low}, got {result}")
    if result > _LARGEST:
        raise ValueError(f"{owner}: {name} must be at most 2^63 - 1, got {result}")
    return result


def flag(owner: str, name: str, value: Any) -> bool:
    """`value` where it is a bool."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{owner}: {name} must be True or False, got {value!r}")
    return bool(value)


def alike(owner: str, name: str, values: Sequence[Any]) -> None:
    """Raises ValueError where `values` are numbers and arrays together; functions and None go with both."""
    given = [x for x in values if not (x is None or callable(x))]
    arrays = [hasattr(x, "shape") and not isinstance(x, np.generic) for x in given]
    if any(arrays) and not all(arrays):
        raise ValueError(f"{owner}: {name} must be all numbers or all arrays, got {tuple(values)!r}")
