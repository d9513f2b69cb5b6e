"""Arguments of spatial operations: a number for all sides, or one a side, (height, width) of an image."""

from __future__ import annotations

from typing import Any, TypeAlias, cast

import numpy as np

from .._numbers import whole
from ..record import Operand, Tensor, as_tensor
from ._shape import squeeze, unsqueeze

Pair: TypeAlias = "int | tuple[int, int]"
Single: TypeAlias = "int | tuple[int]"
Triple: TypeAlias = "int | tuple[int, int, int]"

_LARGEST_SIDE = 2**31 - 1  # sums and products of a few are whole numbers still

# Of so many sides: what an argument, a batch and one example are called.
_WORDS = {
    1: ("an integer", "sequences of shape [N, C, L]", "one sequence [C, L]"),
    2: ("an integer or a pair of integers", "images of shape [N, C, H, W]", "one image [C, H, W]"),
    3: ("an integer or three integers", "volumes of shape [N, C, D, H, W]", "one volume [C, D, H, W]"),
}


def sides(value: Any, name: str, op: str, least: int, rank: int) -> tuple[int, ...]:
    """`value` for each of `rank` sides, at least `least`; one number (in a tuple, too) serves all of them."""
    try:
        items = (value,) if isinstance(value, int | np.integer) else tuple(value)
    except TypeError:
        items = ()
    items *= rank if len(items) == 1 else 1
    integers = all(isinstance(v, int | np.integer) and not isinstance(v, bool) for v in items)
    if len(items) != rank or not integers:
        raise TypeError(f"{op}: {name} must be {_WORDS[rank][0]}, got {value!r}")
    if min(items) < least:
        raise ValueError(f"{op}: {name} must be at least {least}, got {value!r}")
    if max(items) > _LARGEST_SIDE:
        raise ValueError(f"{op}: {name} must be below 2^31, got {value!r}")
    return tuple(int(v) for v in items)


def pair(value: Any, name: str, op: str, least: int) -> tuple[int, int]:
    """`sides` of an image: (height, width)."""
    return cast("tuple[int, int]", sides(value, name, op, least, 2))


def as_batch(input: Any, op: str, rank: int = 2) -> tuple[Operand, bool]:
    """A batch [N, C, and `rank` sides], and whether it came as one: a single example becomes one of one."""
    x = as_tensor(input)
    if x.ndim not in (rank + 1, rank + 2):
        raise ValueError(f"{op}: input must be {_WORDS[rank][1]}, or {_WORDS[rank][2]}, got shape {x.shape}")
    return (x, True) if x.ndim == rank + 2 else (unsqueeze(x, 0), False)


_OF_ONE_ROW = {"kernel_size": 1, "stride": 1, "dilation": 1, "padding": 0, "output_padding": 0}


def of_a_row(windows: dict[str, Any]) -> dict[str, Any]:
    """Windows of a sequence as those of an image of one row; what is no side of a window stays."""
    return {name: (_OF_ONE_ROW[name], *v) if name in _OF_ONE_ROW else v for name, v in windows.items()}


def from_batch(y: Tensor, batched: bool) -> Tensor:
    """What `as_batch` made of one example, as one example again."""
    return y if batched else squeeze(y, 0)


def check_divisor(value: Any, op: str) -> int | None:
    """`divisor_override` of an average: None, or an integer other than 0."""
    if value is None:
        return None
    divisor = whole(op, "divisor_override", value, low=-(2**62))
    if divisor == 0:
        raise ValueError(f"{op}: divisor_override must not be 0")
    return divisor
