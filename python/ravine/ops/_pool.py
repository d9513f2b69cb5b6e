"""Pooling of images."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..record import Tensor, apply, apply_all
from ._spatial import Pair, as_batch, check_divisor, from_batch, sides


def window(op: str, kernel_size: Any, stride: Any, padding: Any, rank: int = 2) -> dict[str, tuple[int, ...]]:
    """The windows of a pool of `rank` sides, as core operations take them."""
    kernel = sides(kernel_size, "kernel_size", op, 1, rank)
    pads = sides(padding, "padding", op, 0, rank)
    if any(p > k // 2 for p, k in zip(pads, kernel, strict=True)):
        raise ValueError(
            f"{op}: padding must be at most half of kernel_size, got {padding} and {kernel_size}"
        )
    strides = kernel if stride is None or stride == () else sides(stride, "stride", op, 1, rank)
    return {"kernel_size": kernel, "stride": strides, "padding": pads}


def max_pool2d(
    input: Any,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Largest value of each window.

    Args:
        input: [N, C, H, W], or one image [C, H, W].
        kernel_size: window in pixels, a number or (height, width).
        stride: step of the window in pixels; None means kernel_size.
        padding: pixels of minus infinity on each side, at most half of kernel_size.
        dilation: distance between the pixels of a window.
        ceil_mode: another window takes the pixels left behind the last whole one, if it starts in the image
            or in the padding before it.
        return_indices: also return where each maximum lies, as an index (int64) into the flattened H x W
            plane.

    Returns: [N, C, oh, ow] with `oh = (H + 2·padding - dilation·(kernel - 1) - 1) // stride + 1`; with
    ceil_mode the quotient is rounded up. [C, oh, ow] for one image.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.max_pool2d(np.arange(16, dtype="float32").reshape(1, 1, 4, 4), 2)
        tensor([[[[ 5.,  7.],
                  [13., 15.]]]], dtype=float32)
    """
    x, batched = as_batch(input, "max_pool2d")
    windows = window("max_pool2d", kernel_size, stride, padding)
    dilations = sides(dilation, "dilation", "max_pool2d", 1, 2)
    values, indices = apply_all("max_pool2d", [x], **windows, dilation=dilations, ceil_mode=bool(ceil_mode))
    values = from_batch(values, batched)
    return (values, from_batch(apply("cast", indices, dtype="int64"), batched)) if return_indices else values


def avg_pool2d(
    input: Any,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Mean of each window.

    Args:
        input: [N, C, H, W], or one image [C, H, W].
        kernel_size: window in pixels, a number or (height, width).
        stride: step of the window in pixels; None means kernel_size.
        padding: zeros on each side, at most half of kernel_size.
        ceil_mode: another window takes the pixels left behind the last whole one, if it starts in the image
            or in the padding before it.
        count_include_pad: whether padding counts in the divisor; what lies behind it never does.
        divisor_override: divide the sums of the windows by this instead of their size; not 0.

    Returns: [N, C, oh, ow] with `oh = (H + 2·padding - kernel) // stride + 1`; with ceil_mode the quotient is
    rounded up. [C, oh, ow] for one image.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.avg_pool2d(np.arange(16, dtype="float32").reshape(1, 1, 4, 4), 2)
        tensor([[[[ 2.5,  4.5],
                  [10.5, 12.5]]]], dtype=float32)
    """
    x, batched = as_batch(input, "avg_pool2d")
    windows = window("avg_pool2d", kernel_size, stride, padding)
    divisor = check_divisor(divisor_override, "avg_pool2d")
    if divisor is not None:
        y = apply("avg_pool2d", x, **windows, ceil_mode=bool(ceil_mode), count_include_pad=True)
        return from_batch(y * (_window_sizes(x.shape[2:], y.shape[2:], windows) / divisor), batched)
    how = {"ceil_mode": bool(ceil_mode), "count_include_pad": bool(count_include_pad)}
    return from_batch(apply("avg_pool2d", x, **windows, **how), batched)


def _window_sizes(image: Any, output: Any, windows: dict[str, tuple[int, ...]]) -> np.ndarray:
    """How many pixels, padding included, each window of an average has: [oh, ow]."""
    extents = []
    for i in range(2):
        starts = np.arange(output[i]) * windows["stride"][i]
        padded = image[i] + 2 * windows["padding"][i]
        extents.append(np.minimum(starts + windows["kernel_size"][i], padded) - starts)
    return np.outer(*extents).astype("float64")


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Tensor:
    """Mean over windows that divide the image into `output_size` parts, which may overlap by a pixel.

    Row i of the output averages rows `⌊i·H/oh⌋` to `⌈(i+1)·H/oh⌉ - 1`.

    Args:
        input: [N, C, H, W], or one image [C, H, W].
        output_size: a number or (height, width); None keeps a side's size.

    Returns: [N, C, *output_size], [C, *output_size] for one image.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.adaptive_avg_pool2d(np.arange(16, dtype="float32").reshape(1, 1, 4, 4), 1)
        tensor([[[[7.5]]]], dtype=float32)
    """
    x, batched = as_batch(input, "adaptive_avg_pool2d")
    output = output_sides(output_size, x.shape[2:], "adaptive_avg_pool2d")
    return from_batch(apply("adaptive_avg_pool2d", x, output_size=output), batched)


def output_sides(output_size: Any, input: tuple[int, ...], op: str) -> tuple[int, ...]:
    """`output_size` of an adaptive pool, for each side: None keeps that of the input."""
    rank = len(input)
    sizes = tuple(output_size) if isinstance(output_size, tuple | list) else (output_size,)
    sizes *= rank if len(sizes) == 1 else 1
    full = tuple(n if size is None else size for n, size in zip(input, sizes, strict=False))
    return sides(full if len(sizes) == rank else sizes, "output_size", op, 1, rank)
