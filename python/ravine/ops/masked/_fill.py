"""What a masked operation puts in the place of elements that its mask keeps out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...record import Operand, as_tensor, dtype_name
from .._elementwise import cast, where
from .._shape import broadcast_to


def converted(input: Any, dtype: Any) -> Operand:
    x = as_tensor(input)
    return x if dtype is None else cast(x, dtype_name(dtype))


def kept(op: str, x: Operand, mask: Any) -> Operand | None:
    """The mask in the input's shape, or None."""
    if mask is None:
        return None
    m = as_tensor(mask)
    if m.dtype != "bool":
        raise TypeError(f"masked.{op}: mask must be boolean, got {m.dtype}")
    try:
        return broadcast_to(m, x.shape)
    except ValueError:
        raise ValueError(
            f"masked.{op}: mask of shape {m.shape} does not broadcast to input {x.shape}"
        ) from None


def filled(op: str, x: Operand, mask: Any, number: float) -> Operand:
    """The input with `number` where the mask keeps it out; an infinity is the extreme of an integer type."""
    m = kept(op, x, mask)
    if m is None:
        return x
    if math.isinf(number) and not x.dtype.startswith("float"):
        limits = np.iinfo(x.dtype)
        number = limits.max if number > 0 else limits.min
    return where(m, x, np.asarray(number, x.dtype))
