"""Arguments of spatial operations: one number for both sides, or (height, width)."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Pair: TypeAlias = "int | tuple[int, int]"


def pair(value: Any, name: str, op: str, least: int) -> tuple[int, int]:
    """`value` as (height, width), each at least `least`."""
    try:
        items = (value, value) if isinstance(value, int | np.integer) else tuple(value)
    except TypeError:
        items = ()
    integers = all(isinstance(v, int | np.integer) and not isinstance(v, bool) for v in items)
    if len(items) != 2 or not integers:
        raise TypeError(f"{op}: {name} must be an integer or a pair of integers, got {value!r}")
    if min(items) < least:
        raise ValueError(f"{op}: {name} must be at least {least}, got {value!r}")
    return int(items[0]), int(items[1])


def check_images(x: Any, op: str) -> None:
    if x.ndim != 4:
        raise ValueError(f"{op}: input must be images of shape [N, C, H, W], got shape {x.shape}")
