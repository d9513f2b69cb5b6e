"""Images as columns of patches and back, and pixels that become channels."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._numbers import whole
from ..record import Tensor, as_tensor
from ._index import index_select
from ._pool import avg_pool2d
from ._scatter import index_add
from ._shape import pad, permute, reshape, squeeze
from ._spatial import Pair, as_batch, from_batch, pair


def im2col(input: Any, kernel_size: Pair, dilation: Pair = 1, padding: Pair = 0, stride: Pair = 1) -> Tensor:
    """The patches that a convolution's filters see, as columns: torch's `nn.functional.unfold`.

    Args:
        input: [N, C, H, W], or one image [C, H, W].
        kernel_size, dilation, padding, stride: of the windows, as of `conv2d`.

    Returns: [N, C·kh·kw, L] with L the number of windows, row by row; [C·kh·kw, L] for one image.

    Example:
        >>> import ravine as rv
        >>> rv.ops.im2col([[[1.0, 2.0, 3.0]]], (1, 2))
        tensor([[1., 2.],
                [2., 3.]], dtype=float32)
    """
    x, batched = as_batch(input, "im2col")
    windows = _Windows("im2col", x.shape[2:], kernel_size, dilation, padding, stride)
    (kh, kw), (oh, ow), (ph, pw) = windows.kernel, windows.output, windows.padding
    padded = pad(x, (pw, pw, ph, ph))
    # [N, C, kh, oh, kw, ow]
    taken = index_select(index_select(padded, 3, windows.places(1)), 2, windows.places(0))
    n, c = x.shape[:2]
    columns = permute(reshape(taken, (n, c, kh, oh, kw, ow)), (0, 1, 2, 4, 3, 5))
    return from_batch(reshape(columns, (n, c * kh * kw, oh * ow)), batched)


def fold(
    input: Any,
    output_size: Pair,
    kernel_size: Pair,
    dilation: Pair = 1,
    padding: Pair = 0,
    stride: Pair = 1,
) -> Tensor:
    """Columns of patches added up to images, the transpose of `im2col`: overlapping pixels are sums.

    Args:
        input: [N, C·kh·kw, L], or the columns of one image.
        output_size: (height, width) of the images.
        kernel_size, dilation, padding, stride: those of `im2col`.

    Returns: [N, C, height, width]; [C, height, width] for one image.

    Example:
        >>> import ravine as rv
        >>> rv.ops.fold([[1.0, 2.0], [2.0, 3.0]], (1, 3), (1, 2))
        tensor([[[1., 4., 3.]]], dtype=float32)
    """
    columns = as_tensor(input)
    size = pair(output_size, "output_size", "fold", 1)
    windows = _Windows("fold", size, kernel_size, dilation, padding, stride)
    (kh, kw), (oh, ow), (ph, pw) = windows.kernel, windows.output, windows.padding
    if columns.ndim not in (2, 3) or columns.shape[-2] % (kh * kw) or columns.shape[-1] != oh * ow:
        raise ValueError(
            f"fold: input must be [N, C·{kh}·{kw}, {oh * ow}] for images of {size}, got {columns.shape}"
        )
    batched = columns.ndim == 3
    n, c = (columns.shape[0] if batched else 1), columns.shape[-2] // (kh * kw)
    taken = permute(reshape(columns, (n, c, kh, kw, oh, ow)), (0, 1, 2, 4, 3, 5))
    height, width = size[0] + 2 * ph, size[1] + 2 * pw
    rows = index_add(
        np.zeros((n, c, height, kw * ow), columns.dtype),
        2,
        windows.places(0).ravel(),
        reshape(taken, (n, c, kh * oh, kw * ow)),
    )
    images = index_add(np.zeros((n, c, height, width), columns.dtype), 3, windows.places(1).ravel(), rows)
    return from_batch(pad(images, (-pw, -pw, -ph, -ph)), batched)


class _Windows:
    """Windows over an image: where their elements lie in it, padding included."""

    def __init__(
        self, op: str, image: tuple[int, ...], kernel_size: Any, dilation: Any, padding: Any, stride: Any
    ) -> None:
        self.kernel = pair(kernel_size, "kernel_size", op, 1)
        self.dilation, self.stride = pair(dilation, "dilation", op, 1), pair(stride, "stride", op, 1)
        self.padding = pair(padding, "padding", op, 0)
        kh, kw = (
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, p, d, k, s in zip(
                image, self.padding, self.dilation, self.kernel, self.stride, strict=True
            )
        )
        self.output = (kh, kw)
        if min(self.output) < 1:
            raise ValueError(
                f"{op}: windows of {self.kernel}, dilation {self.dilation}, do not fit into images of "
                f"{tuple(image)} with padding {self.padding}"
            )

    def places(self, side: int) -> np.ndarray:
        """[kernel, output]: where each tap of each window lies along a side."""
        taps = np.arange(self.kernel[side]) * self.dilation[side]
        return taps[:, None] + np.arange(self.output[side]) * self.stride[side]


def pixel_shuffle(input: Any, upscale_factor: int) -> Tensor:
    """Channels as pixels: [..., C·r², H, W] to [..., C, H·r, W·r], r = upscale_factor.

    Source: Shi et al. 2016, https://arxiv.org/abs/1609.05158.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.pixel_shuffle(np.arange(4, dtype="float32").reshape(4, 1, 1), 2)
        tensor([[[0., 1.],
                 [2., 3.]]], dtype=float32)
    """
    x, r = as_tensor(input), whole("pixel_shuffle", "upscale_factor", upscale_factor, low=1)
    if x.ndim < 3 or x.shape[-3] % (r * r):
        raise ValueError(f"pixel_shuffle: input must be [..., C·{r}·{r}, H, W], got shape {x.shape}")
    *lead, channels, h, w = x.shape
    k = len(lead)
    split = reshape(x, (*lead, channels // (r * r), r, r, h, w))
    order = (*range(k), k, k + 3, k + 1, k + 4, k + 2)
    return reshape(permute(split, order), (*lead, channels // (r * r), h * r, w * r))


def pixel_unshuffle(input: Any, downscale_factor: int) -> Tensor:
    """Pixels as channels: [..., C, H·r, W·r] to [..., C·r², H, W], r = downscale_factor.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.pixel_unshuffle(np.arange(4, dtype="float32").reshape(1, 2, 2), 2).shape
        (4, 1, 1)
    """
    x, r = as_tensor(input), whole("pixel_unshuffle", "downscale_factor", downscale_factor, low=1)
    if x.ndim < 3 or x.shape[-1] % r or x.shape[-2] % r:
        raise ValueError(f"pixel_unshuffle: input must be [..., C, H·{r}, W·{r}], got shape {x.shape}")
    *lead, channels, h, w = x.shape
    k = len(lead)
    split = reshape(x, (*lead, channels, h // r, r, w // r, r))
    order = (*range(k), k, k + 2, k + 4, k + 1, k + 3)
    return reshape(permute(split, order), (*lead, channels * r * r, h // r, w // r))


def channel_shuffle(input: Any, groups: int) -> Tensor:
    """Channels of `groups` groups in turns: [N, g·c, ...] read as g rows of c, by columns.

    Source: Zhang et al. 2018, "ShuffleNet", https://arxiv.org/abs/1707.01083.

    Example:
        >>> import ravine as rv
        >>> rv.ops.channel_shuffle([[[0.0], [1.0], [2.0], [3.0]]], 2)
        tensor([[[0.],
                 [2.],
                 [1.],
                 [3.]]], dtype=float32)
    """
    x, g = as_tensor(input), whole("channel_shuffle", "groups", groups, low=1)
    if x.ndim < 3 or x.shape[1] % g:
        raise ValueError(f"channel_shuffle: input must be [N, C, ...], C a multiple of {g}, got {x.shape}")
    n, c, *rest = x.shape
    split = reshape(x, (n, g, c // g, *rest))
    return reshape(permute(split, (0, 2, 1, *range(3, x.ndim + 1))), (n, c, *rest))


def local_response_norm(
    input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """`x / (k + alpha · mean of x² over the size channels around)^beta`; zeros beyond the first and last.

    Args:
        input: [N, C, ...].
        size: how many channels around one count.
        alpha, beta, k: numbers of the formula.

    Source: Krizhevsky et al. 2012, "ImageNet classification with deep convolutional neural networks".

    Example:
        >>> import ravine as rv
        >>> rv.ops.local_response_norm([[[1.0]]], 1, alpha=3.0, beta=1.0)
        tensor([[[0.25]]], dtype=float32)
    """
    x = as_tensor(input)
    n = whole("local_response_norm", "size", size, low=1)
    if x.ndim < 3:
        raise ValueError(f"local_response_norm: input must be [N, C, ...], got shape {x.shape}")
    squares = reshape(x * x, (x.shape[0], 1, x.shape[1], -1)) if x.numel() else None
    if squares is None:
        return reshape(x, x.shape)
    around = pad(squares, (0, 0, n // 2, (n - 1) // 2))
    means = reshape(squeeze(avg_pool2d(around, (n, 1), 1), 1), x.shape)
    return x / (k + alpha * means) ** beta
