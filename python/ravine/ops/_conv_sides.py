"""Convolutions of sequences and volumes, and transposed ones: each is one convolution of images.

A sequence is an image of one row. The depth taps of a volume's filter are channels: a slice of the output
sees as many slices of the input as the filter is deep.
"""

from __future__ import annotations

from typing import Any

from ..record import Operand, Tensor, apply, as_tensor
from ._conv import check_bias, convolve, images
from ._shape import narrow, pad, permute, reshape, squeeze, stack, unsqueeze
from ._spatial import Pair, Single, Triple, as_batch, from_batch, of_a_row, sides


def conv1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Single = 1,
    padding: Single | str = 0,
    dilation: Single = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation of sequences with filters; see `conv2d`.

    Args:
        input: [N, C, L], or one sequence [C, L].
        weight: [O, C / groups, k].
        bias: [O], or None.
        stride, dilation, groups: as of `conv2d`.
        padding: zeros on each side; "valid" means 0, "same" keeps the length (see `conv2d`), "causal" puts
            all of `dilation·(k - 1)` zeros before the first element, so that an output sees no later input.

    Returns: [N, O, l] with `l = (L + 2·padding - dilation·(k - 1) - 1) // stride + 1`; [O, l] for one
    sequence.

    Raises ValueError as `conv2d` does.

    Example:
        >>> import ravine as rv
        >>> rv.ops.conv1d([[1.0, 2.0, 3.0]], [[[1.0, 1.0]]], padding="causal")
        tensor([[1., 3., 5.]], dtype=float32)
    """
    return convolve("conv1d", 1, _rows, input, weight, bias, stride, padding, dilation, groups)


def _rows(x: Operand, w: Operand, bias: Operand | None, **windows: Any) -> Tensor:
    return squeeze(images(unsqueeze(x, 2), unsqueeze(w, 2), bias, **of_a_row(windows)), 2)


def conv3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Triple = 1,
    padding: Triple | str = 0,
    dilation: Triple = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation of volumes with filters; see `conv2d`.

    Args:
        input: [N, C, D, H, W], or one volume [C, D, H, W].
        weight: [O, C / groups, kd, kh, kw].
        bias: [O], or None.
        stride, padding, dilation, groups: as of `conv2d`, a number or (depth, height, width).

    Returns: [N, O, od, oh, ow], each side as of `conv2d`; [O, od, oh, ow] for one volume.

    Raises ValueError as `conv2d` does.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.conv3d(np.ones((1, 2, 5, 5, 5)), np.ones((3, 2, 3, 3, 3)), padding=1).shape
        (1, 3, 5, 5, 5)
    """
    return convolve("conv3d", 3, _volumes, input, weight, bias, stride, padding, dilation, groups)


def _volumes(
    x: Operand,
    w: Operand,
    bias: Operand | None,
    *,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
) -> Tensor:
    batch, channels, _, height, width = x.shape
    filters, _, taps, *kernel = w.shape
    if padding[0]:
        x = pad(x, (0, 0, 0, 0, padding[0], padding[0]))
    reach = dilation[0] * (taps - 1) + 1
    depth = (x.shape[2] - reach) // stride[0] + 1
    if depth < 1 or taps < 1:
        raise ValueError(
            f"conv3d: a filter of {taps} slices {dilation[0]} apart does not fit into {x.shape[2]} slices, "
            f"padding included"
        )
    last = (depth - 1) * stride[0] + 1
    slices = [x[:, :, d * dilation[0] : d * dilation[0] + last : stride[0]] for d in range(taps)]
    # [N, depth, groups, taps, C / groups, H, W]: to a filter the taps are channels.
    grouped = (batch, groups, channels // groups, depth, height, width)
    stacked = stack([reshape(s, grouped) for s in slices], 2)
    flat = reshape(permute(stacked, (0, 4, 1, 2, 3, 5, 6)), (batch * depth, channels * taps, height, width))
    planes = reshape(permute(w, (0, 2, 1, 3, 4)), (filters, channels // groups * taps, *kernel))
    y = images(
        flat, planes, bias, stride=stride[1:], padding=padding[1:], dilation=dilation[1:], groups=groups
    )
    return permute(reshape(y, (batch, depth, *y.shape[1:])), (0, 2, 1, 3, 4))


def conv_transpose1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Single = 1,
    padding: Single = 0,
    output_padding: Single = 0,
    groups: int = 1,
    dilation: Single = 1,
) -> Tensor:
    """Transposed convolution of sequences; see `conv_transpose2d`.

    Shapes: input [N, C, L] or [C, L], weight [C, O / groups, k], to [N, O, l] with
    `l = (L - 1)·stride - 2·padding + dilation·(k - 1) + output_padding + 1`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.conv_transpose1d([[1.0, 2.0]], [[[1.0, 1.0, 1.0]]], stride=2)
        tensor([[1., 1., 3., 2., 2.]], dtype=float32)
    """
    windows = (stride, padding, output_padding, dilation)
    return _transposed("conv_transpose1d", 1, input, weight, bias, windows, groups)


def conv_transpose2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Pair = 1,
    padding: Pair = 0,
    output_padding: Pair = 0,
    groups: int = 1,
    dilation: Pair = 1,
) -> Tensor:
    """Transposed convolution: what `conv2d` with the same filters does to gradients; it enlarges images.

    Each element of the input adds its multiple of the filters to the output, `stride` pixels after the one
    before it.

    Args:
        input: [N, C, H, W], or one image [C, H, W].
        weight: [C, O / groups, kh, kw].
        bias: [O], or None.
        stride: distance in the output of what neighbours in the input add.
        padding: pixels cut on each side of the output.
        output_padding: pixels more at the bottom and the right, below stride or dilation: sizes that give
            one size under a stride are told apart by it.
        groups, dilation: as of `conv2d`.

    Returns: [N, O, oh, ow] with `oh = (H - 1)·stride - 2·padding + dilation·(kh - 1) + output_padding + 1`;
    [O, oh, ow] for one image.

    Raises ValueError naming the shapes where they do not fit.

    Source: Zeiler et al. 2010, "Deconvolutional networks"; Dumoulin and Visin 2016,
    https://arxiv.org/abs/1603.07285.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.conv_transpose2d(np.ones((1, 3, 4, 4)), np.ones((3, 2, 4, 4)), stride=2, padding=1).shape
        (1, 2, 8, 8)
    """
    windows = (stride, padding, output_padding, dilation)
    return _transposed("conv_transpose2d", 2, input, weight, bias, windows, groups)


def conv_transpose3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Triple = 1,
    padding: Triple = 0,
    output_padding: Triple = 0,
    groups: int = 1,
    dilation: Triple = 1,
) -> Tensor:
    """Transposed convolution of volumes; see `conv_transpose2d`.

    Shapes: input [N, C, D, H, W] or [C, D, H, W], weight [C, O / groups, kd, kh, kw], to [N, O, od, oh, ow],
    each side as of `conv_transpose2d`.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.conv_transpose3d(np.ones((1, 3, 2, 2, 2)), np.ones((3, 2, 2, 2, 2)), stride=2).shape
        (1, 2, 4, 4, 4)
    """
    windows = (stride, padding, output_padding, dilation)
    return _transposed("conv_transpose3d", 3, input, weight, bias, windows, groups)


def _transposed(
    op: str, rank: int, input: Any, weight: Any, bias: Any, windows: tuple[Any, ...], groups: int
) -> Tensor:
    (x, batched), w = as_batch(input, op, rank), as_tensor(weight)
    if w.ndim != rank + 2 or groups < 1 or w.shape[0] % groups or x.shape[1] != w.shape[0]:
        raise ValueError(
            f"{op}: weight must have shape [C, O / groups, {rank} sides of the kernel] for input of shape "
            f"{x.shape if batched else x.shape[1:]} with {x.shape[1]} channels in {groups} groups, got "
            f"{w.shape}"
        )
    lowest = (("stride", 1), ("padding", 0), ("output_padding", 0), ("dilation", 1))
    strides, pads, more, dilations = (
        sides(v, name, op, least, rank) for v, (name, least) in zip(windows, lowest, strict=True)
    )
    if any(m >= max(s, d) for m, s, d in zip(more, strides, dilations, strict=True)):
        raise ValueError(
            f"{op}: output_padding must be below stride or dilation, got output_padding={more}, "
            f"stride={strides}, dilation={dilations}"
        )
    b = check_bias(op, bias, w.shape[1] * groups)
    full = [
        (n - 1) * s + d * (k - 1) + 1
        for n, s, d, k in zip(x.shape[2:], strides, dilations, w.shape[2:], strict=True)
    ]
    if any(f - 2 * p + m < 1 for f, p, m in zip(full, pads, more, strict=True)):
        output = tuple(f - 2 * p + m for f, p, m in zip(full, pads, more, strict=True))
        raise ValueError(
            f"{op}: the output of input {x.shape} and weight {w.shape} would have the sides {output}; "
            f"padding={pads} is too large"
        )
    run = {1: _transposed_rows, 2: _transposed_images, 3: _transposed_volumes}[rank]
    how = {"stride": strides, "padding": pads, "output_padding": more, "dilation": dilations}
    return from_batch(run(x, w, b, groups=int(groups), **how), batched)


def _transposed_rows(x: Operand, w: Operand, bias: Operand | None, **windows: Any) -> Tensor:
    return squeeze(_transposed_images(unsqueeze(x, 2), unsqueeze(w, 2), bias, **of_a_row(windows)), 2)


def _transposed_images(
    x: Operand,
    w: Operand,
    bias: Operand | None,
    *,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    output_padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
) -> Tensor:
    before = later = (0, 0)
    if any(m >= s for m, s in zip(output_padding, stride, strict=True)):
        # Pixels that a window of the stride alone would not leave over: cut and add afterwards.
        before, later = padding, output_padding
        padding = output_padding = (0, 0)
    image = [
        (n - 1) * s - 2 * p + d * (k - 1) + m + 1
        for n, s, p, d, k, m in zip(
            x.shape[2:], stride, padding, dilation, w.shape[2:], output_padding, strict=True
        )
    ]
    shape = (x.shape[0], w.shape[1] * groups, *image)
    y = apply(
        "conv2d_grad_input", x, w, input_shape=shape, stride=stride, padding=padding, dilation=dilation,
        groups=groups,
    )  # fmt: skip
    if later != (0, 0):
        y = pad(y, (-before[1], later[1] - before[1], -before[0], later[0] - before[0]))
    return y if bias is None else y + bias.reshape((1, -1, 1, 1))


def _transposed_volumes(
    x: Operand,
    w: Operand,
    bias: Operand | None,
    *,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    output_padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
) -> Tensor:
    batch, channels, depth, height, width = x.shape
    _, filters, taps, *kernel = w.shape
    slices = reshape(permute(x, (0, 2, 1, 3, 4)), (batch * depth, channels, height, width))
    # [N, depth, O, taps, h, w]: what each slice of the input adds to the `taps` slices behind it.
    added = _transposed_images(
        slices,
        reshape(w, (channels, filters * taps, *kernel)),
        None,
        stride=stride[1:],
        padding=padding[1:],
        output_padding=output_padding[1:],
        dilation=dilation[1:],
        groups=groups,
    )
    plane = added.shape[2:]
    added = permute(reshape(added, (batch, depth, filters * groups, taps, *plane)), (0, 2, 3, 1, 4, 5))
    # Slices of the input lie `stride` apart in the output.
    spread = pad(unsqueeze(added, 4), (0, 0, 0, 0, 0, stride[0] - 1))
    spread = reshape(spread, (batch, filters * groups, taps, depth * stride[0], *plane))
    length = (depth - 1) * stride[0] + 1
    reach = dilation[0] * (taps - 1)
    y = None
    for tap in range(taps):
        first = tap * dilation[0] - padding[0]
        after = reach - tap * dilation[0] - padding[0] + output_padding[0]
        part = pad(narrow(spread[:, :, tap], 2, 0, length), (0, 0, 0, 0, first, after))
        y = part if y is None else y + part
    assert y is not None
    return y if bias is None else y + bias.reshape((1, -1, 1, 1, 1))
