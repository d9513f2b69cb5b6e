"""Arguments of spatial operations: one number for both sides, or (height, width)."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from .._numbers import whole
from .._tensor import Operand, Tensor, as_tensor
from ._shape import squeeze, unsqueeze

Pair: TypeAlias = "int | tuple[int, int]"


def pair(value: Any, name: str, op: str, least: int) -> tuple[int, int]:
    """`value` as (height, width), each at least `least`; one number in a tuple serves both, as in torch."""
    try:
        items = (value, value) if isinstance(value, int | np.integer) else tuple(value)
    except TypeError:
        items = ()
    items *= 2 if len(items) == 1 else 1
    integers = all(isinstance(v, int | np.integer) and not isinstance(v, bool) for v in items)
    if len(items) != 2 or not integers:
        raise TypeError(f"{op}: {name} must be an integer or a pair of integers, got {value!r}")
    if min(items) < least:
        raise ValueError(f"{op}: {name} must be at least {least}, got {value!r}")
    return int(items[0]), int(items[1])


def as_batch(input: Any, op: str) -> tuple[Operand, bool]:
    """Images [N, C, H, W], and whether they came as a batch: one image [C, H, W] becomes a batch of one."""
    x = as_tensor(input)
    if x.ndim not in (3, 4):
        raise ValueError(
            f"{op}: input must be images of shape [N, C, H, W], or one image [C, H, W], got shape {x.shape}"
        )
    return (x, True) if x.ndim == 4 else (unsqueeze(x, 0), False)


def from_batch(y: Tensor, batched: bool) -> Tensor:
    """What `as_batch` made of one image, as one image again."""
    return y if batched else squeeze(y, 0)


def check_divisor(value: Any, op: str) -> int | None:
    """`divisor_override` of an average: None, or an integer other than 0."""
    if value is None:
        return None
    divisor = whole(op, "divisor_override", value, low=-(2**62))
    if divisor == 0:
        raise ValueError(f"{op}: divisor_override must not be 0")
    return divisor
