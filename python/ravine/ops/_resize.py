"""Images, sequences and volumes in other sizes: interpolation, and sampling at given places."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..record import Operand, Tensor, as_tensor
from ._elementwise import abs, cast, clamp, floor, round, where
from ._index import gather, index_select
from ._linalg import matmul
from ._pool import adaptive_avg_pool2d
from ._pool_sides import adaptive_avg_pool1d, adaptive_avg_pool3d
from ._shape import broadcast_to, reshape, transpose
from ._spatial import sides

# mode -> how many sides it takes, None for any; and whether it asks for align_corners
_RANKS = {
    "nearest": (1, 2, 3), "nearest-exact": (1, 2, 3), "area": (1, 2, 3),
    "linear": (1,), "bilinear": (2,), "trilinear": (3,), "bicubic": (2,),
}  # fmt: skip
_SMOOTH = ("linear", "bilinear", "trilinear", "bicubic")


def interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resizes sequences [N, C, L], images [N, C, H, W] or volumes [N, C, D, H, W].

    Element i of the output lies at `(i + 1/2)·scale - 1/2` of the input, scale = input size / output size (or
    1 / scale_factor), between the elements that mode takes together:

    - "nearest" the element at `⌊i·scale⌋`, "nearest-exact" that at `⌊(i + 1/2)·scale⌋`;
    - "linear", "bilinear", "trilinear" (of 1, 2 and 3 sides) the line between two neighbours;
    - "bicubic" (of images) Keys' cubic over four neighbours, a = -3/4;
    - "area" the mean over the parts, `adaptive_avg_pool2d`.

    Args:
        input: [N, C, ...] with one to three sides.
        size: of the output, a number or one a side.
        scale_factor: the output's size as a multiple of the input's, rounded down; give this or size.
        mode: see above.
        align_corners: for the smooth modes: the corners' centres stay where they are, scale =
            (input - 1) / (output - 1); None means False.
        recompute_scale_factor: the scale is that of the sizes, not of scale_factor.
        antialias: of "bilinear" and "bicubic": where the image shrinks the kernel grows with it.

    Source: Keys 1981, "Cubic convolution interpolation for digital image processing".

    Raises ValueError where mode, sizes and shape do not go together.

    Example:
        >>> import ravine as rv
        >>> rv.ops.interpolate([[[1.0, 3.0]]], scale_factor=2, mode="linear")
        tensor([[[1. , 1.5, 2.5, 3. ]]], dtype=float32)
    """
    x = as_tensor(input)
    rank = x.ndim - 2
    if mode not in _RANKS:
        raise ValueError(f"interpolate: mode must be one of {', '.join(map(repr, _RANKS))}, got {mode!r}")
    if rank not in _RANKS[mode]:
        expected = " or ".join(f"{n + 2}" for n in _RANKS[mode])
        raise ValueError(f"interpolate: mode {mode!r} takes {expected} dimensions, got shape {x.shape}")
    if align_corners is not None and mode not in _SMOOTH:
        raise ValueError(f"interpolate: align_corners is for the modes {', '.join(_SMOOTH)}, not {mode!r}")
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ValueError(f"interpolate: antialias is for 'bilinear' and 'bicubic', not {mode!r}")
    if 0 in x.shape[2:]:
        raise ValueError(f"interpolate: input of shape {x.shape} has an empty side")
    output, scales = _sizes(x.shape[2:], size, scale_factor, bool(recompute_scale_factor))
    if mode == "area":
        return _area(x, output)
    aligned = bool(align_corners)
    y: Operand = x
    for axis in range(2, x.ndim):
        n, m = x.shape[axis], output[axis - 2]
        scale = 1 / scales[axis - 2] if scales else n / m
        if mode in _SMOOTH and aligned:
            scale = (n - 1) / (m - 1) if m > 1 else 0.0
        y = _resized(y, axis, m, scale, mode, aligned, antialias)
    return y if isinstance(y, Tensor) else reshape(y, y.shape)


def _sizes(
    input: tuple[int, ...], size: Any, factor: Any, recompute: bool
) -> tuple[tuple[int, ...], tuple[float, ...] | None]:
    rank = len(input)
    if (size is None) == (factor is None):
        raise ValueError(f"interpolate: give one of size and scale_factor, got {size} and {factor}")
    if size is not None:
        if recompute:
            raise ValueError("interpolate: recompute_scale_factor needs scale_factor, not size")
        return sides(size, "size", "interpolate", 1, rank), None
    factors = tuple(factor) if isinstance(factor, Sequence | np.ndarray) else (factor,) * rank
    if len(factors) != rank or not all(math.isfinite(f) and f > 0 for f in factors):
        raise ValueError(f"interpolate: scale_factor must be a number above 0, or {rank}, got {factor}")
    output = tuple(math.floor(n * f) for n, f in zip(input, factors, strict=True))
    if min(output) < 1:
        raise ValueError(f"interpolate: scale_factor={factor} leaves nothing of the sides {input}")
    return output, None if recompute else tuple(float(f) for f in factors)


def _area(x: Operand, output: tuple[int, ...]) -> Tensor:
    pools: tuple[Callable[..., Tensor], ...] = (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)
    return pools[len(output) - 1](x, output)


def _resized(
    x: Operand, axis: int, size: int, scale: float, mode: str, aligned: bool, antialias: bool
) -> Operand:
    """One side in another size: every output is a weighted sum of a few elements."""
    n, i = x.shape[axis], np.arange(size)
    if mode.startswith("nearest"):
        offset = 0.5 if mode == "nearest-exact" else 0.0
        return index_select(x, axis, np.minimum(((i + offset) * scale).astype("int64"), n - 1))
    if antialias:
        return _times(x, axis, _smoothing(n, size, scale, aligned, 2 if mode == "bicubic" else 1))
    # rounded once: an element on the border of two must not change sides
    wide = np.longdouble(scale)
    place = np.asarray(i * wide if aligned else (i + 0.5) * wide - 0.5, "float64")
    if mode == "bicubic":
        first = np.floor(place)
        shares = np.stack(_cubic(place - first), -1)
        taps = np.stack([first + k for k in (-1, 0, 1, 2)], -1)
    else:
        place = np.maximum(place, 0.0)
        first = np.minimum(np.floor(place), n - 1)
        t = np.minimum(place - first, 1.0)
        shares, taps = np.stack([1 - t, t], -1), np.stack([first, first + 1], -1)
    taps = np.clip(taps, 0, n - 1).astype("int64")
    shape = (size,) + (1,) * (x.ndim - axis - 1)
    parts = [
        index_select(x, axis, taps[:, k]) * shares[:, k].reshape(shape).astype(x.dtype)
        for k in range(taps.shape[1])
    ]
    y = parts[0]
    for part in parts[1:]:
        y = y + part
    return y


def _near(d: Any, a: float) -> Any:
    """Keys' kernel at a distance of at most 1."""
    return ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0


def _far(d: Any, a: float) -> Any:
    """Keys' kernel at a distance from 1 to 2."""
    return ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a


def _cubic(t: Any, a: float = -0.75) -> tuple[Any, ...]:
    """Keys' kernel at distances t + 1, t, 1 - t and 2 - t, of arrays and of tensors."""
    return _far(t + 1.0, a), _near(t, a), _near(1.0 - t, a), _far(2.0 - t, a)


def _smoothing(n: int, size: int, scale: float, aligned: bool, reach: int) -> np.ndarray:
    """[size, n] weights of kernels that are as wide as an output's share of the input."""
    wide = scale if scale > 1 else 1.0
    center = np.arange(size) * scale if aligned else (np.arange(size) + 0.5) * scale - 0.5
    d = np.abs(np.arange(n)[None, :] - center[:, None]) / wide
    if reach == 1:
        weights = np.maximum(1 - d, 0.0)
    else:
        a = -0.5  # of the antialiased form, as in Pillow
        weights = np.where(d < 1, _near(d, a), np.where(d < 2, _far(d, a), 0.0))
    return weights / weights.sum(1, keepdims=True)


def _times(x: Operand, axis: int, weights: np.ndarray) -> Tensor:
    """The weights [m, n] times one side of n."""
    last = x.ndim - 1
    moved = x if axis == last else transpose(x, axis, last)
    y = matmul(moved, np.ascontiguousarray(weights.T).astype(x.dtype))
    return y if axis == last else transpose(y, axis, last)


def upsample_nearest(input: Any, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` with mode "nearest".

    Example:
        >>> import ravine as rv
        >>> rv.ops.upsample_nearest([[[1.0, 3.0]]], scale_factor=2)
        tensor([[[1., 1., 3., 3.]]], dtype=float32)
    """
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input: Any, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` with mode "bilinear" and aligned corners.

    Example:
        >>> import ravine as rv
        >>> rv.ops.upsample_bilinear([[[[1.0, 3.0]]]], size=(1, 3))
        tensor([[[[1., 2., 3.]]]], dtype=float32)
    """
    return interpolate(input, size, scale_factor, "bilinear", align_corners=True)


def affine_grid(theta: Any, size: Sequence[int], align_corners: bool = False) -> Tensor:
    """Where `grid_sample` looks for an affine map of images or volumes.

    Args:
        theta: [N, 2, 3] for images, [N, 3, 4] for volumes: the map of (x, y(, z), 1).
        size: (N, C, H, W) or (N, C, D, H, W) of the output.
        align_corners: whether -1 and 1 are the centres of the corners or their outer edges.

    Returns: [N, H, W, 2] or [N, D, H, W, 3], positions from -1 to 1.

    Source: Jaderberg et al. 2015, "Spatial transformer networks", https://arxiv.org/abs/1506.02025.

    Example:
        >>> import ravine as rv
        >>> rv.ops.affine_grid([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]], (1, 1, 1, 2)).shape
        (1, 1, 2, 2)
    """
    t = as_tensor(theta)
    rank = len(size) - 2
    if rank not in (2, 3) or t.shape != (size[0], rank, rank + 1):
        raise ValueError(
            f"affine_grid: theta must be [N, 2, 3] for size (N, C, H, W), or [N, 3, 4] for (N, C, D, H, W); "
            f"got shape {t.shape} and size {tuple(size)}"
        )
    along = []
    for n in size[2:]:
        steps = np.linspace(-1, 1, n) if n > 1 else np.zeros(1)
        along.append(steps if align_corners or n == 1 else steps * (n - 1) / n)
    places = np.stack([*np.meshgrid(*along, indexing="ij")[::-1], np.ones(tuple(size[2:]))], -1)
    flat = matmul(places.reshape(1, -1, rank + 1).astype(t.dtype), transpose(t, 1, 2))
    return reshape(flat, (size[0], *size[2:], rank))


def grid_sample(
    input: Any,
    grid: Any,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """Images or volumes at the places of a grid.

    Args:
        input: [N, C, H, W] or [N, C, D, H, W].
        grid: [N, h, w, 2], places (x, y), or [N, d, h, w, 3], (x, y, z): -1 is the left, upper, front edge
            and 1 the opposite one.
        mode: "bilinear" between the neighbours (of volumes too), "nearest" (a half goes to the even one), or
            "bicubic" (images).
        padding_mode: outside are "zeros", the nearest element of the "border", or the "reflection" of what
            is inside.
        align_corners: whether the edges are the centres of the corners' elements, or (None, False) their
            outer sides.

    Returns: [N, C, h, w] or [N, C, d, h, w].

    Source: Jaderberg et al. 2015, "Spatial transformer networks", https://arxiv.org/abs/1506.02025.

    Example:
        >>> import ravine as rv
        >>> rv.ops.grid_sample([[[[1.0, 3.0]]]], [[[[0.0, 0.0]]]], align_corners=True)
        tensor([[[[2.]]]], dtype=float32)
    """
    x, g = as_tensor(input), as_tensor(grid)
    rank = x.ndim - 2
    if rank not in (2, 3) or g.ndim != x.ndim or g.shape[0] != x.shape[0] or g.shape[-1] != rank:
        raise ValueError(
            f"grid_sample: input must be [N, C, H, W] with grid [N, h, w, 2], or [N, C, D, H, W] with "
            f"[N, d, h, w, 3]; got {x.shape} and {g.shape}"
        )
    if mode not in ("bilinear", "nearest", "bicubic") or (mode == "bicubic" and rank == 3):
        raise ValueError(
            f"grid_sample: mode must be 'bilinear', 'nearest' or, for images, 'bicubic', got {mode!r}"
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            f"grid_sample: padding_mode must be 'zeros', 'border' or 'reflection', got {padding_mode!r}"
        )
    if 0 in x.shape[2:]:
        raise ValueError(f"grid_sample: input of shape {x.shape} has an empty side")
    aligned = bool(align_corners)
    places = []
    for axis, n in enumerate(x.shape[2:]):
        at = g[..., rank - 1 - axis]
        place = (at + 1.0) * (0.5 * (n - 1)) if aligned else (at + 1.0) * (0.5 * n) - 0.5
        places.append(place if mode == "bicubic" else _inside(place, n, padding_mode, aligned))
    sampled = _Samples(x, padding_mode, aligned)
    if mode == "nearest":
        return sampled.at([round(p) for p in places])
    floors = [floor(p) for p in places]
    past = [p - f for p, f in zip(places, floors, strict=True)]
    if mode == "bicubic":
        shares = [_cubic(t) for t in past]
        first = -1
    else:
        shares = [(1.0 - t, t) for t in past]
        first = 0
    total: Any = None
    for corner in itertools.product(range(len(shares[0])), repeat=rank):
        weight: Any = None
        for axis, k in enumerate(corner):
            weight = shares[axis][k] if weight is None else weight * shares[axis][k]
        value = sampled.at([f + float(first + k) for f, k in zip(floors, corner, strict=True)])
        part = value * reshape(weight, (weight.shape[0], 1, *weight.shape[1:]))
        total = part if total is None else total + part
    return total


def _inside(place: Tensor, n: int, padding_mode: str, aligned: bool) -> Tensor:
    """Places along a side of n elements, brought to where there are elements."""
    if padding_mode == "zeros":
        return place
    if padding_mode == "reflection":
        low, span = (0.0, float(n - 1)) if aligned else (-0.5, float(n))
        if span == 0:
            return place * 0.0
        away = abs(place - low)
        turns = floor(away / span)
        rest = away - turns * span
        place = where(turns - 2.0 * floor(turns / 2.0) == 0, rest + low, span - rest + low)
    return clamp(place, 0.0, float(n - 1))


class _Samples:
    """The elements of images or volumes at whole places; zero outside, if that is the padding."""

    def __init__(self, x: Operand, padding_mode: str, aligned: bool) -> None:
        self.x, self.padding_mode, self.aligned = x, padding_mode, aligned
        self.flat = reshape(x, (*x.shape[:2], math.prod(x.shape[2:])))

    def at(self, places: list[Tensor]) -> Tensor:
        flat: Any = None
        inside: Any = None
        for place, n in zip(places, self.x.shape[2:], strict=True):
            if self.padding_mode != "zeros":
                place = _inside(place, n, self.padding_mode, self.aligned)
            here = (place >= 0.0) & (place <= float(n - 1))
            index = cast(clamp(where(here, place, 0.0), 0.0, float(n - 1)), "int64")
            inside = here if inside is None else inside & here
            flat = index if flat is None else flat * n + index
        n, c = self.x.shape[:2]
        elements = math.prod(flat.shape[1:])
        chosen = gather(self.flat, 2, broadcast_to(reshape(flat, (n, 1, elements)), (n, c, elements)))
        values = reshape(chosen, (n, c, *flat.shape[1:]))
        if self.padding_mode != "zeros":
            return values
        return where(reshape(inside, (n, 1, *flat.shape[1:])), values, 0.0)
