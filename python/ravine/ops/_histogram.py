"""Counts by bins, and slopes of sampled functions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._dims import normalise_dim
from .._numbers import whole
from ..record import Operand, Tensor, as_tensor
from ._elementwise import cast, floor, where
from ._reduce import amax, amin
from ._scatter import scatter_add
from ._shape import cat, expand, narrow, reshape


def histc(input: Any, bins: int = 100, min: float = 0.0, max: float = 0.0) -> Tensor:
    """How many elements fall into each of equally wide bins; those outside of the range into none.

    Args:
        input: any shape, floating.
        bins: how many.
        min, max: the range, its upper end belongs to the last bin; equal ones mean that of the elements.

    Example:
        >>> import ravine as rv
        >>> rv.ops.histc([1.0, 2.0, 1.0], bins=4, min=0, max=3)
        tensor([0., 2., 1., 0.], dtype=float32)
    """
    x, count = as_tensor(input), whole("histc", "bins", bins, low=1)
    if not x.dtype.startswith("float"):
        raise TypeError(f"histc: input must be floating, got {x.dtype}")
    if not (math.isfinite(min) and math.isfinite(max) and min <= max):
        raise ValueError(f"histc: min and max must be finite and in order, got {min} and {max}")
    flat = reshape(x, (-1,)) if x.numel() else reshape(x, (0,))
    zeros = np.zeros(count, x.dtype)
    if not flat.shape[0]:
        return scatter_add(zeros, 0, np.zeros(0, "int64"), zeros[:0])
    low: Any = amin(flat) if min == max else np.asarray(min, x.dtype)
    high: Any = amax(flat) if min == max else np.asarray(max, x.dtype)
    if min == max:  # elements that are all equal lie in the middle of a range of 2
        same = low == high
        low, high = where(same, low - 1.0, low), where(same, high + 1.0, high)
    inside = (flat >= low) & (flat <= high)
    place = floor(where(inside, flat - low, 0.0) * count / (high - low))
    index = cast(where(place >= count, float(count - 1), place), "int64")
    return scatter_add(zeros, 0, index, cast(inside, x.dtype))


def gradient(input: Any, *, spacing: Any = None, dim: Any = None, edge_order: int = 1) -> tuple[Tensor, ...]:
    """Slopes of a sampled function, by central differences inside and one-sided ones at the edges.

    Args:
        input: samples, any shape.
        spacing: the distance of neighbours, 1 by default: one for all dimensions, or one each; or for each
            dimension an array of places, whose distances may vary.
        dim: along which dimensions; None for all.
        edge_order: 1 or 2, the order of the error at the edges.

    Returns: a tuple with a tensor of input's shape for each dimension.

    Raises ValueError where a dimension has not more than edge_order elements.

    Example:
        >>> import ravine as rv
        >>> rv.ops.gradient([1.0, 4.0, 9.0])
        (tensor([3., 4., 5.], dtype=float32),)
    """
    x = as_tensor(input)
    dims = range(x.ndim) if dim is None else [dim] if isinstance(dim, int) else list(dim)
    axes = [normalise_dim(d, x.ndim, "gradient") for d in dims]
    if len(set(axes)) < len(axes):
        raise ValueError(f"gradient: dim={dim} names a dimension twice")
    if not x.dtype.startswith("float"):
        x = cast(x, "float32")
    if edge_order not in (1, 2):
        raise ValueError(f"gradient: edge_order must be 1 or 2, got {edge_order}")
    step = 1.0 if spacing is None else spacing
    given = list(step) if isinstance(step, Sequence) else [step] * len(axes)
    if len(given) != len(axes):
        raise ValueError(f"gradient: {len(axes)} dimensions need as many spacings, got {len(given)}")
    return tuple(_slope(x, axis, step, edge_order) for axis, step in zip(axes, given, strict=True))


def _slope(x: Any, axis: int, spacing: Any, edge_order: int) -> Tensor:
    n = x.shape[axis]
    if n <= edge_order:
        raise ValueError(f"gradient: dimension {axis} of shape {x.shape} needs over {edge_order} elements")
    places = spacing if isinstance(spacing, Operand) else as_tensor(np.asarray(spacing, "float64"))
    if places.ndim > 1 or (places.ndim == 1 and places.shape[0] != n):
        raise ValueError(f"gradient: dimension {axis} has {n} elements, spacing has shape {places.shape}")
    places = cast(places, x.dtype)
    steps = expand(reshape(places, (1,)), n - 1) if places.ndim == 0 else places[1:] - places[:-1]

    def part(first: int, length: int) -> Any:
        return narrow(x, axis, first, length)

    def weights(values: Any) -> Any:
        return reshape(values, (-1,) + (1,) * (x.ndim - axis - 1))

    before, after = steps[:-1], steps[1:]
    pieces = []
    if edge_order == 1 or n < 3:
        pieces.append((part(1, 1) - part(0, 1)) * weights(1 / steps[:1]))
    else:
        pieces.append(_three([part(i, 1) for i in range(3)], weights, steps[:1], steps[1:2], 0))
    if n > 2:
        inner = [part(i, n - 2) for i in range(3)]
        pieces.append(_three(inner, weights, before, after, 1))
    if edge_order == 1 or n < 3:
        pieces.append((part(n - 1, 1) - part(n - 2, 1)) * weights(1 / steps[-1:]))
    else:
        pieces.append(_three([part(n - 3 + i, 1) for i in range(3)], weights, steps[-2:-1], steps[-1:], 2))
    return cat(pieces, axis)


def _three(values: list[Any], weights: Any, before: Any, after: Any, at: int) -> Tensor:
    """The slope at point `at` of the parabola through three points, `before` and `after` their distances."""
    both = before + after
    shares = (
        (-(2 * before + after) / (before * both), both / (before * after), -before / (after * both)),
        (-after / (before * both), (after - before) / (before * after), before / (after * both)),
        (after / (before * both), -both / (before * after), (2 * after + before) / (after * both)),
    )[at]
    total = values[0] * weights(shares[0])
    for value, share in zip(values[1:], shares[1:], strict=True):
        total = total + value * weights(share)
    return total


def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of r elements of a vector in its order: [choices, r].

    Example:
        >>> import ravine as rv
        >>> rv.ops.combinations([1.0, 2.0, 3.0])
        tensor([[1., 2.],
                [1., 3.],
                [2., 3.]], dtype=float32)
    """

    x, size = as_tensor(input), whole("combinations", "r", r, low=0)
    if x.ndim != 1:
        raise ValueError(f"combinations: input must be a vector, got shape {x.shape}")
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    index = np.asarray(list(choose(range(x.shape[0]), size)), "int64").reshape(-1, size)
    return x[index] if index.size else reshape(x[:0], index.shape if size else (0,))


def unravel_index(input: Any, shape: Any) -> tuple[Tensor, ...]:
    """The indices by dimension of places in the flattened array of this shape.

    Example:
        >>> import ravine as rv
        >>> rv.ops.unravel_index([5], (2, 3))
        (tensor([1], dtype=int64), tensor([2], dtype=int64))
    """
    x = as_tensor(input)
    sizes = (shape,) if isinstance(shape, int) else tuple(int(n) for n in shape)
    if x.dtype not in ("int32", "int64", "uint8"):
        raise TypeError(f"unravel_index: indices must be integers, got {x.dtype}")
    indices = []
    for axis, n in enumerate(sizes):
        below = math.prod(sizes[axis + 1 :])
        indices.append(x // below % n)
    return tuple(indices)
