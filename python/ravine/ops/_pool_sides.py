"""Pooling of sequences and volumes, adaptive maxima, powers, and the way back from a maximum.

A window's maximum or mean is that of its rows' maxima or means: a sequence is an image of one row, and a
volume is pooled in its planes and then through them, as an image of depth x positions.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..record import Operand, Tensor, apply, apply_all, as_tensor
from ._elementwise import pow, stop_gradient, where
from ._formulas import isfinite
from ._index import gather, index_select
from ._pool import avg_pool2d, output_sides, window
from ._reduce import max
from ._scatter import scatter, scatter_add
from ._shape import reshape, squeeze, unflatten, unsqueeze
from ._spatial import Pair, Single, Triple, as_batch, check_divisor, from_batch, of_a_row, sides


def max_pool1d(
    input: Any,
    kernel_size: Single,
    stride: Single | None = None,
    padding: Single = 0,
    dilation: Single = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Largest value of each window of sequences [N, C, L] or [C, L]; arguments as of `max_pool2d`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.max_pool1d([[1.0, 3.0, 2.0, 0.0]], 2)
        tensor([[3., 2.]], dtype=float32)
    """
    x, batched = as_batch(input, "max_pool1d", 1)
    windows = of_a_row(window("max_pool1d", kernel_size, stride, padding, 1))
    (step,) = sides(dilation, "dilation", "max_pool1d", 1, 1)
    values, indices = _maxima(unsqueeze(x, 2), windows, (1, step), ceil_mode)
    values = from_batch(squeeze(values, 2), batched)
    return (values, from_batch(squeeze(indices, 2), batched)) if return_indices else values


def _maxima(
    x: Operand, windows: dict[str, tuple[int, ...]], dilation: tuple[int, ...], ceil_mode: bool
) -> tuple[Tensor, Tensor]:
    values, indices = apply_all("max_pool2d", [x], **windows, dilation=dilation, ceil_mode=bool(ceil_mode))
    return values, apply("cast", indices, dtype="int64")


def max_pool3d(
    input: Any,
    kernel_size: Triple,
    stride: Triple | None = None,
    padding: Triple = 0,
    dilation: Triple = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Largest value of each window of volumes [N, C, D, H, W] or [C, D, H, W]; see `max_pool2d`.

    Indices are those of the flattened D x H x W volume.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.max_pool3d(np.arange(8, dtype="float32").reshape(1, 1, 2, 2, 2), 2)
        tensor([[[[[7.]]]]], dtype=float32)
    """
    x, batched = as_batch(input, "max_pool3d", 3)
    windows = window("max_pool3d", kernel_size, stride, padding, 3)
    steps = sides(dilation, "dilation", "max_pool3d", 1, 3)
    in_planes, through = _planes(windows)
    plane = x.shape[3] * x.shape[4]
    values, within = _maxima(_as_planes(x), in_planes, steps[1:], ceil_mode)
    columns, sides_of_plane = _as_columns(values, x.shape)
    values, indices = _maxima(columns, through, (steps[0], 1), ceil_mode)
    values = from_batch(unflatten(values, -1, sides_of_plane), batched)
    if not return_indices:
        return values
    picked = gather(_flat(reshape(within, columns.shape)), 2, _flat(indices))
    indices = indices // columns.shape[-1] * plane + reshape(picked, indices.shape)
    return values, from_batch(unflatten(indices, -1, sides_of_plane), batched)


def _planes(windows: dict[str, tuple[int, ...]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Windows of a volume as those within its planes and those through them, of one column."""
    within = {name: value[1:] for name, value in windows.items()}
    through = {name: (value[0], 0 if name == "padding" else 1) for name, value in windows.items()}
    return within, through


def _as_planes(x: Operand) -> Tensor:
    """[N, C, D, H, W] as images [N, C·D, H, W]."""
    return reshape(x, (x.shape[0], x.shape[1] * x.shape[2], *x.shape[3:]))


def _as_columns(y: Tensor, volume: tuple[int, ...]) -> tuple[Tensor, tuple[int, int]]:
    """Pooled planes [N, C·D, h, w] as images [N, C, D, h·w], and (h, w)."""
    plane = (y.shape[2], y.shape[3])
    return reshape(y, (*volume[:3], plane[0] * plane[1])), plane


def _flat(x: Operand) -> Tensor:
    """[N, C, ...] as [N, C, elements]."""
    return reshape(x, (*x.shape[:2], math.prod(x.shape[2:])))


def avg_pool1d(
    input: Any,
    kernel_size: Single,
    stride: Single | None = None,
    padding: Single = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Mean of each window of sequences [N, C, L] or [C, L]; arguments as of `avg_pool2d`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.avg_pool1d([[1.0, 3.0, 2.0, 0.0]], 2)
        tensor([[2., 1.]], dtype=float32)
    """
    x, batched = as_batch(input, "avg_pool1d", 1)
    windows = of_a_row(window("avg_pool1d", kernel_size, stride, padding, 1))
    how = {"ceil_mode": bool(ceil_mode), "count_include_pad": bool(count_include_pad)}
    return from_batch(squeeze(apply("avg_pool2d", unsqueeze(x, 2), **windows, **how), 2), batched)


def avg_pool3d(
    input: Any,
    kernel_size: Triple,
    stride: Triple | None = None,
    padding: Triple = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Mean of each window of volumes [N, C, D, H, W] or [C, D, H, W]; arguments as of `avg_pool2d`.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.avg_pool3d(np.arange(8, dtype="float32").reshape(1, 1, 2, 2, 2), 2)
        tensor([[[[[3.5]]]]], dtype=float32)
    """
    x, batched = as_batch(input, "avg_pool3d", 3)
    divisor = check_divisor(divisor_override, "avg_pool3d")
    within, through = _planes(window("avg_pool3d", kernel_size, stride, padding, 3))
    # A divisor of its own takes sums, which one division ends.
    one = None if divisor is None else 1
    how = (bool(ceil_mode), bool(count_include_pad), one)

    def means(images: Tensor, windows: dict[str, Any]) -> Tensor:
        return avg_pool2d(images, windows["kernel_size"], windows["stride"], windows["padding"], *how)

    columns, plane = _as_columns(means(_as_planes(x), within), x.shape)
    y = means(columns, through)
    return from_batch(unflatten(y if divisor is None else y / divisor, -1, plane), batched)


def adaptive_avg_pool1d(input: Any, output_size: Any) -> Tensor:
    """Mean over windows that divide sequences [N, C, L] or [C, L] into parts; see `adaptive_avg_pool2d`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.adaptive_avg_pool1d([[1.0, 3.0, 2.0, 0.0]], 2)
        tensor([[2., 1.]], dtype=float32)
    """
    x, batched = as_batch(input, "adaptive_avg_pool1d", 1)
    size = output_sides(output_size, x.shape[2:], "adaptive_avg_pool1d")
    return from_batch(
        squeeze(apply("adaptive_avg_pool2d", unsqueeze(x, 2), output_size=(1, *size)), 2), batched
    )


def adaptive_avg_pool3d(input: Any, output_size: Any) -> Tensor:
    """Mean over windows that divide volumes [N, C, D, H, W] or [C, D, H, W]; see `adaptive_avg_pool2d`.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.adaptive_avg_pool3d(np.arange(8, dtype="float32").reshape(1, 1, 2, 2, 2), 1)
        tensor([[[[[3.5]]]]], dtype=float32)
    """
    x, batched = as_batch(input, "adaptive_avg_pool3d", 3)
    size = output_sides(output_size, x.shape[2:], "adaptive_avg_pool3d")
    columns, plane = _as_columns(apply("adaptive_avg_pool2d", _as_planes(x), output_size=size[1:]), x.shape)
    y = apply("adaptive_avg_pool2d", columns, output_size=(size[0], columns.shape[-1]))
    return from_batch(unflatten(y, -1, plane), batched)


def adaptive_max_pool1d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Largest value of the parts of sequences [N, C, L] or [C, L]; see `adaptive_max_pool2d`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.adaptive_max_pool1d([[1.0, 3.0, 2.0, 0.0]], 2)
        tensor([[3., 2.]], dtype=float32)
    """
    return _adaptive_max(input, output_size, return_indices, "adaptive_max_pool1d", 1)


def adaptive_max_pool2d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Largest value of windows that divide the image into `output_size` parts, which may overlap by a pixel.

    Row i of the output is of rows `⌊i·H/oh⌋` to `⌈(i+1)·H/oh⌉ - 1`.

    Args:
        input: [N, C, H, W], or one image [C, H, W].
        output_size: a number or (height, width); None keeps a side's size.
        return_indices: also return where each maximum lies, as an index (int64) into the flattened H x W
            plane.

    Returns: [N, C, *output_size], [C, *output_size] for one image.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.adaptive_max_pool2d(np.arange(16, dtype="float32").reshape(1, 1, 4, 4), 1)
        tensor([[[[15.]]]], dtype=float32)
    """
    return _adaptive_max(input, output_size, return_indices, "adaptive_max_pool2d", 2)


def adaptive_max_pool3d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Largest value of the parts of volumes [N, C, D, H, W] or [C, D, H, W]; see `adaptive_max_pool2d`.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.adaptive_max_pool3d(np.arange(8, dtype="float32").reshape(1, 1, 2, 2, 2), 1)
        tensor([[[[[7.]]]]], dtype=float32)
    """
    return _adaptive_max(input, output_size, return_indices, "adaptive_max_pool3d", 3)


def _adaptive_max(input: Any, output_size: Any, return_indices: bool, op: str, rank: int) -> Any:
    x, batched = as_batch(input, op, rank)
    output = output_sides(output_size, x.shape[2:], op)
    values: Operand = x
    flat: Tensor | None = None  # where the maxima so far lie within the sides that are done
    for axis in range(rank + 1, 1, -1):
        below = math.prod(x.shape[axis + 1 :])
        values, along = _max_of_parts(values, axis, output[axis - 2])
        flat = along if flat is None else along * below + gather(flat, axis, along)
    assert flat is not None
    result = from_batch(values if isinstance(values, Tensor) else reshape(values, values.shape), batched)
    return (result, from_batch(flat, batched)) if return_indices else result


def _max_of_parts(x: Operand, axis: int, parts: int) -> tuple[Tensor, Tensor]:
    """Largest values of the parts of one dimension, and where in it they lie."""
    size = x.shape[axis]
    first = np.arange(parts) * size // parts
    last = -(-(np.arange(parts) + 1) * size // parts) - 1
    longest = int((last - first).max()) + 1
    # A part that is shorter repeats its last element, which the first of equal maxima leaves alone.
    windows = np.minimum(first[:, None] + np.arange(longest), last[:, None])
    values, within = max(index_select(x, axis, windows), axis + 1)
    starts = first.reshape((-1,) + (1,) * (x.ndim - axis - 1))
    return values, within + starts


def lp_pool1d(
    input: Any, norm_type: float, kernel_size: Single, stride: Single | None = None, ceil_mode: bool = False
) -> Tensor:
    """`(Σ x^p)^(1/p)` over each window of sequences [N, C, L] or [C, L]; see `lp_pool2d`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.lp_pool1d([[3.0, 4.0]], 2, 2)
        tensor([[5.]], dtype=float32)
    """
    (size,) = sides(kernel_size, "kernel_size", "lp_pool1d", 1, 1)
    x = as_tensor(input)
    return _root(avg_pool1d(pow(x, norm_type), size, stride, 0, ceil_mode), size, norm_type)


def lp_pool2d(
    input: Any, norm_type: float, kernel_size: Pair, stride: Pair | None = None, ceil_mode: bool = False
) -> Tensor:
    """`(Σ x^p)^(1/p)` over each window, p = norm_type: the sum for 1, near the maximum for a large p.

    Args:
        input: [N, C, H, W], or one image [C, H, W].
        norm_type: p, not 0.
        kernel_size, stride, ceil_mode: as of `avg_pool2d`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.lp_pool2d([[[3.0, 4.0]]], 2, (1, 2))
        tensor([[[5.]]], dtype=float32)
    """
    kernel = sides(kernel_size, "kernel_size", "lp_pool2d", 1, 2)
    means = avg_pool2d(pow(as_tensor(input), norm_type), kernel, stride, 0, ceil_mode)  # type: ignore[arg-type]
    return _root(means, math.prod(kernel), norm_type)


def lp_pool3d(
    input: Any, norm_type: float, kernel_size: Triple, stride: Triple | None = None, ceil_mode: bool = False
) -> Tensor:
    """`(Σ x^p)^(1/p)` over each window of volumes [N, C, D, H, W] or [C, D, H, W]; see `lp_pool2d`.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.lp_pool3d(np.ones((1, 1, 2, 2, 1), "float32"), 2, (2, 2, 1))
        tensor([[[[[2.]]]]], dtype=float32)
    """
    kernel = sides(kernel_size, "kernel_size", "lp_pool3d", 1, 3)
    means = avg_pool3d(pow(as_tensor(input), norm_type), kernel, stride, 0, ceil_mode)  # type: ignore[arg-type]
    return _root(means, math.prod(kernel), norm_type)


def _root(means: Tensor, elements: int, norm_type: float) -> Tensor:
    return pow(means * float(elements), 1.0 / norm_type)


def max_unpool1d(
    input: Any,
    indices: Any,
    kernel_size: Single,
    stride: Single | None = None,
    padding: Single = 0,
    output_size: Any = None,
) -> Tensor:
    """`max_unpool2d` of sequences [N, C, L] or [C, L].

    Example:
        >>> import ravine as rv
        >>> rv.ops.max_unpool1d([[3.0, 2.0]], [[1, 2]], 2)
        tensor([[0., 3., 2., 0.]], dtype=float32)
    """
    return _unpool(input, indices, (kernel_size, stride, padding), output_size, "max_unpool1d", 1)


def max_unpool2d(
    input: Any,
    indices: Any,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    output_size: Any = None,
) -> Tensor:
    """Maxima put back where `max_pool2d(..., return_indices=True)` found them, zeros elsewhere.

    Args:
        input: the maxima, [N, C, H, W], or of one image [C, H, W].
        indices: of `input`'s shape, into the flattened plane of the output.
        kernel_size, stride, padding: those of the pool.
        output_size: (height, width) of the output, or its whole shape; None means
            `(H - 1)·stride - 2·padding + kernel`. At most a stride away from that.

    Raises ValueError where shapes or sizes do not fit together.

    Example:
        >>> import ravine as rv
        >>> values, indices = rv.ops.max_pool2d([[[1.0, 2.0], [4.0, 3.0]]], 2, return_indices=True)
        >>> rv.ops.max_unpool2d(values, indices, 2)
        tensor([[[0., 0.],
                 [4., 0.]]], dtype=float32)
    """
    return _unpool(input, indices, (kernel_size, stride, padding), output_size, "max_unpool2d", 2)


def max_unpool3d(
    input: Any,
    indices: Any,
    kernel_size: Triple,
    stride: Triple | None = None,
    padding: Triple = 0,
    output_size: Any = None,
) -> Tensor:
    """`max_unpool2d` of volumes [N, C, D, H, W] or [C, D, H, W].

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.max_unpool3d(np.ones((1, 1, 1, 1), "float32"), np.full((1, 1, 1, 1), 3), (1, 2, 2))
        tensor([[[[0., 0.],
                  [0., 1.]]]], dtype=float32)
    """
    return _unpool(input, indices, (kernel_size, stride, padding), output_size, "max_unpool3d", 3)


def _unpool(
    input: Any, indices: Any, windows: tuple[Any, Any, Any], output_size: Any, op: str, rank: int
) -> Tensor:
    (x, batched), (places, _) = as_batch(input, op, rank), as_batch(indices, op, rank)
    if places.shape != x.shape:
        raise ValueError(f"{op}: indices of shape {places.shape} do not fit input of shape {x.shape}")
    how = window(op, *windows, rank)
    sizes = [
        (n - 1) * s - 2 * p + k
        for n, s, p, k in zip(x.shape[2:], how["stride"], how["padding"], how["kernel_size"], strict=True)
    ]
    if output_size is not None:
        given = [int(n) for n in output_size][-rank:]
        near = all(-s < n - m < s for n, m, s in zip(given, sizes, how["stride"], strict=False))
        if len(given) != rank or not near:
            raise ValueError(
                f"{op}: output_size must be within a stride {how['stride']} of {tuple(sizes)}, got "
                f"{output_size}"
            )
        sizes = given
    elements = math.prod(sizes)
    zeros = np.zeros((*x.shape[:2], elements), x.dtype)
    values, index = _flat(x), _flat(places)
    y = scatter(zeros, 2, index, stop_gradient(values))
    # Each maximum has the gradient of its place, also one that another has overwritten, as in torch.
    change = where(isfinite(values), values - stop_gradient(values), 0.0)
    y = scatter_add(y, 2, index, change)
    return from_batch(reshape(y, (*x.shape[:2], *sizes)), batched)
