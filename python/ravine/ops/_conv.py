"""Convolution: of images, and what convolutions of any number of sides share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..record import Operand, Tensor, apply, as_tensor
from ._spatial import Pair, as_batch, from_batch, sides


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
            gives H / stride rows, rounded up (the odd pixel of an even kernel goes to the bottom and the
            right), where the conventions for strides above 1 agree.
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
    return convolve("conv2d", 2, images, input, weight, bias, stride, padding, dilation, groups)


def images(x: Operand, w: Operand, bias: Operand | None, **windows: Any) -> Tensor:
    """[N, C, H, W] under filters [O, C / groups, kh, kw], and a bias for each of the O channels."""
    y = apply("conv2d", x, w, **windows)
    return y if bias is None else y + bias.reshape((1, -1, 1, 1))


def convolve(
    op: str,
    rank: int,
    run: Callable[..., Tensor],
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Tensor:
    """A convolution of `rank` sides: checks its arguments and hands them to `run` as `images` takes them."""
    (x, batched), w = as_batch(input, op, rank), as_tensor(weight)
    if w.ndim != rank + 2:
        kernel = ", ".join(("kd", "kh", "kw")[-rank:]) if rank > 1 else "k"
        raise ValueError(f"{op}: weight must have shape [O, C / groups, {kernel}], got {w.shape}")
    strides, dilations = sides(stride, "stride", op, 1, rank), sides(dilation, "dilation", op, 1, rank)
    if groups < 1 or w.shape[0] % groups or x.shape[1] != w.shape[1] * groups:
        raise ValueError(
            f"{op}: input of shape {x.shape if batched else x.shape[1:]} has {x.shape[1]} channels; weight "
            f"of shape {w.shape} in {groups} groups expects {w.shape[1] * groups} channels and a multiple of "
            f"{groups} filters"
        )
    if isinstance(padding, str):
        x, pads = _named_padding(op, x, w.shape[2:], padding, strides, dilations)
    else:
        pads = sides(padding, "padding", op, 0, rank)
    b = check_bias(op, bias, w.shape[0])
    y = run(x, w, b, stride=strides, padding=pads, dilation=dilations, groups=int(groups))
    return from_batch(y, batched)


def check_bias(op: str, bias: Any, channels: int) -> Operand | None:
    if bias is None:
        return None
    b = as_tensor(bias)
    if b.shape != (channels,):
        raise ValueError(f"{op}: bias must have shape ({channels},), got {b.shape}")
    return b


def _named_padding(
    op: str,
    x: Operand,
    kernel: tuple[int, ...],
    padding: str,
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
) -> tuple[Operand, tuple[int, ...]]:
    """The input with what cannot be padded evenly, and the zeros left to add on both of its sides."""
    rank = len(kernel)
    total = [d * (k - 1) for d, k in zip(dilations, kernel, strict=True)]
    if padding == "valid":
        return x, (0,) * rank
    if padding == "causal" and rank == 1:
        return apply("pad", x, before=(0, 0, *total), after=(0, 0, 0), value=0.0), (0,)
    if padding != "same":
        names = "'same', 'valid' or 'causal'" if rank == 1 else "'same' or 'valid'"
        raise ValueError(f"{op}: padding must be a number, one a side, {names}, got {padding!r}")
    for size, reach, stride in zip(x.shape[2:], total, strides, strict=True):
        # TensorFlow pads by what the last window needs, others by half of the kernel's reach.
        needed = max((size - 1) // stride * stride + reach + 1 - size, 0)
        if stride > 1 and needed // 2 != reach // 2:
            raise ValueError(
                f"{op}: padding='same' with stride {stride} over {size} elements has two meanings: windows "
                f"start {reach // 2} or (TensorFlow) {needed // 2} elements before the first; pad by numbers"
            )
    odd = [t % 2 for t in total]
    if any(odd):
        x = apply("pad", x, before=(0,) * (rank + 2), after=(0, 0, *odd), value=0.0)
    return x, tuple(t // 2 for t in total)
