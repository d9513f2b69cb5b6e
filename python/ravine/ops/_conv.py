"""Convolution of images."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor, apply, as_tensor
from ._pairs import Pair, as_batch, from_batch, pair


def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation of images with filters, `y[n, o] = b[o] + Σ_i w[o, i] ⋆ x[n, i]`.

    Args:
        input: [N, C, H, W], or one image [C, H, W].
        weight: [O, C / groups, kh, kw].
        bias: [O], or None.
        stride: step of the window in pixels, a number or (vertical, horizontal).
        padding: zeros added on each side, a number or (vertical, horizontal); "valid" means 0, "same"
            keeps the size (stride 1 only; the odd pixel of an even kernel goes to the bottom and the right).
        dilation: distance between the taps of a filter in pixels.
        groups: the channels fall into that many groups, which do not see each other; C means depthwise.

    Returns: [N, O, oh, ow] with `oh = (H + 2·padding - dilation·(kh - 1) - 1) // stride + 1`;
    [O, oh, ow] for one image.

    Raises ValueError naming the shapes where they do not fit, and where the kernel exceeds the padded input.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.conv2d(np.ones((1, 2, 5, 5), "float32"), np.ones((3, 2, 3, 3), "float32"), padding=1).shape
        (1, 3, 5, 5)
    """
    (x, batched), w = as_batch(input, "conv2d"), as_tensor(weight)
    if w.ndim != 4:
        raise ValueError(f"conv2d: weight must have shape [O, C / groups, kh, kw], got {w.shape}")
    strides, dilations = pair(stride, "stride", "conv2d", 1), pair(dilation, "dilation", "conv2d", 1)
    if groups < 1 or w.shape[0] % groups or x.shape[1] != w.shape[1] * groups:
        raise ValueError(
            f"conv2d: input of shape {x.shape if batched else x.shape[1:]} has {x.shape[1]} channels; weight "
            f"of shape {w.shape} in {groups} groups expects {w.shape[1] * groups} channels and a multiple of "
            f"{groups} filters"
        )
    if isinstance(padding, str):
        x, pads = _named_padding(x, w.shape[2:], padding, strides, dilations)
    else:
        pads = pair(padding, "padding", "conv2d", 0)
    y = apply("conv2d", x, w, stride=strides, padding=pads, dilation=dilations, groups=int(groups))
    if bias is None:
        return from_batch(y, batched)
    b = as_tensor(bias)
    if b.shape != (w.shape[0],):
        raise ValueError(f"conv2d: bias must have shape ({w.shape[0]},), got {b.shape}")
    return from_batch(y + b.reshape((1, -1, 1, 1)), batched)


def _named_padding(
    x: Any, kernel: tuple[int, ...], padding: str, strides: tuple[int, int], dilations: tuple[int, int]
) -> tuple[Any, tuple[int, int]]:
    if padding == "valid":
        return x, (0, 0)
    if padding != "same":
        raise ValueError(f"conv2d: padding must be a number, a pair, 'same' or 'valid', got {padding!r}")
    if strides != (1, 1):
        raise ValueError(f"conv2d: padding='same' needs stride 1, got {strides}")
    total = [d * (k - 1) for d, k in zip(dilations, kernel, strict=True)]
    odd = [t % 2 for t in total]
    if any(odd):
        x = apply("pad", x, before=(0, 0, 0, 0), after=(0, 0, *odd), value=0.0)
    return x, (total[0] // 2, total[1] // 2)
