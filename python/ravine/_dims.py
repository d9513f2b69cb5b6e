"""Dimensions as arguments: one integer, several, or None for all; negative ones count from the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

Axes: TypeAlias = "int | Sequence[int] | None"


def normalise_dim(dim: int, ndim: int, op: str) -> int:
    if not isinstance(dim, int | np.integer):
        raise TypeError(f"{op}: dim must be an integer, got {dim!r}")
    if not -ndim <= dim < ndim:
        raise IndexError(f"{op}: dim {dim} is out of range for a tensor of {ndim} dimensions")
    return int(dim) % ndim


def axes_of(dim: Axes, ndim: int, op: str) -> tuple[int, ...]:
    """The axes a reduction works over; `None` means all of them."""
    if dim is None:
        return tuple(range(ndim))
    dims = (dim,) if isinstance(dim, int | np.integer) else tuple(dim)
    axes = tuple(normalise_dim(d, ndim, op) for d in dims)
    if len(set(axes)) != len(axes):
        raise ValueError(f"{op}: dim {dims} names a dimension twice")
    return axes
