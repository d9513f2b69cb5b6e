"""Layers that resize images, and take their pixels and channels in another order."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..ops._spatial import Pair, pair
from ._arguments import changed_arguments
from ._linear import check_positive
from ._module import Module


class Upsample(Module):
    """Resizes sequences, images or volumes; see `ops.interpolate`.

    Args:
        size: of the output, a number or one a side.
        scale_factor: the output's size as a multiple of the input's; give this or size.
        mode: "nearest", "linear", "bilinear", "trilinear", "bicubic", "nearest-exact" or "area".
        align_corners: for the smooth modes: the corners' centres stay where they are.
        recompute_scale_factor: the scale is that of the sizes, not of scale_factor.

    Example:
        >>> from ravine import nn
        >>> nn.Upsample(scale_factor=2)([[[1.0, 3.0]]])
        array([[[1., 1., 3., 3.]]], dtype=float32)
    """

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        self.size, self.scale_factor, self.mode = size, scale_factor, mode
        self.align_corners, self.recompute_scale_factor = align_corners, recompute_scale_factor

    def forward(self, input: Any) -> Any:
        how = (self.mode, self.align_corners, self.recompute_scale_factor)
        return ops.interpolate(input, self.size, self.scale_factor, *how)

    def extra_repr(self) -> str:
        return ", ".join(changed_arguments(self))


class UpsamplingNearest2d(Upsample):
    """`Upsample` of images with mode "nearest".

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.UpsamplingNearest2d(scale_factor=2)(np.zeros((1, 3, 4, 4))).shape
        (1, 3, 8, 8)
    """

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, "nearest")


class UpsamplingBilinear2d(Upsample):
    """`Upsample` of images with mode "bilinear" and aligned corners.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.UpsamplingBilinear2d(scale_factor=2)(np.zeros((1, 3, 4, 4))).shape
        (1, 3, 8, 8)
    """

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, "bilinear", align_corners=True)


class PixelShuffle(Module):
    """Channels as pixels: [..., C·r², H, W] to [..., C, H·r, W·r]; see `ops.pixel_shuffle`.

    Args:
        upscale_factor: r.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.PixelShuffle(2)(np.zeros((1, 8, 3, 3))).shape
        (1, 2, 6, 6)
    """

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        check_positive(self, upscale_factor=upscale_factor)
        self.upscale_factor = upscale_factor

    def forward(self, input: Any) -> Any:
        return ops.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """Pixels as channels: [..., C, H·r, W·r] to [..., C·r², H, W]; see `ops.pixel_unshuffle`.

    Args:
        downscale_factor: r.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.PixelUnshuffle(2)(np.zeros((1, 2, 6, 6))).shape
        (1, 8, 3, 3)
    """

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        check_positive(self, downscale_factor=downscale_factor)
        self.downscale_factor = downscale_factor

    def forward(self, input: Any) -> Any:
        return ops.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """Channels of `groups` groups in turns; see `ops.channel_shuffle`. Shapes: [N, C, ...], the same out.

    Args:
        groups: how many groups the channels fall into.

    Example:
        >>> from ravine import nn
        >>> nn.ChannelShuffle(2)([[[0.0], [1.0], [2.0], [3.0]]]).ravel()
        array([0., 2., 1., 3.], dtype=float32)
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        check_positive(self, groups=groups)
        self.groups = groups

    def forward(self, input: Any) -> Any:
        return ops.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"


class Unfold(Module):
    """The patches that a convolution's filters see, as columns: [(N,) C, H, W] to [(N,) C·kh·kw, L].

    Args:
        kernel_size, dilation, padding, stride: of the windows, as of `Conv2d`.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.Unfold(3)(np.zeros((1, 2, 5, 5))).shape
        (1, 18, 9)
    """

    def __init__(self, kernel_size: Pair, dilation: Pair = 1, padding: Pair = 0, stride: Pair = 1) -> None:
        super().__init__()
        _check_windows(self, kernel_size, dilation, padding, stride)
        self.kernel_size, self.dilation = kernel_size, dilation
        self.padding, self.stride = padding, stride

    def forward(self, input: Any) -> Any:
        return ops.im2col(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, "
            f"stride={self.stride}"
        )


class Fold(Module):
    """Columns of patches added up to images, the transpose of `Unfold`; see `ops.fold`.

    Args:
        output_size: (height, width) of the images.
        kernel_size, dilation, padding, stride: those of `Unfold`.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.Fold(5, 3)(np.ones((1, 18, 9)))[0, 0]
        array([[1., 2., 3., 2., 1.],
               [2., 4., 6., 4., 2.],
               [3., 6., 9., 6., 3.],
               [2., 4., 6., 4., 2.],
               [1., 2., 3., 2., 1.]], dtype=float32)
    """

    def __init__(
        self, output_size: Pair, kernel_size: Pair, dilation: Pair = 1, padding: Pair = 0, stride: Pair = 1
    ) -> None:
        super().__init__()
        _check_windows(self, kernel_size, dilation, padding, stride)
        pair(output_size, "output_size", "Fold", 1)
        self.output_size, self.kernel_size, self.dilation = output_size, kernel_size, dilation
        self.padding, self.stride = padding, stride

    def forward(self, input: Any) -> Any:
        how = (self.kernel_size, self.dilation, self.padding, self.stride)
        return ops.fold(input, self.output_size, *how)

    def extra_repr(self) -> str:
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, dilation={self.dilation}, "
            f"padding={self.padding}, stride={self.stride}"
        )


def _check_windows(layer: Module, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> None:
    owner = type(layer).__name__
    pair(kernel_size, "kernel_size", owner, 1)
    pair(dilation, "dilation", owner, 1)
    pair(padding, "padding", owner, 0)
    pair(stride, "stride", owner, 1)


class LocalResponseNorm(Module):
    """`x / (k + alpha · mean of x² over the size channels around)^beta`; see `ops.local_response_norm`.

    Shapes: [N, C, ...], the same out.

    Args:
        size: how many channels around one count.
        alpha, beta, k: numbers of the formula.

    Source: Krizhevsky et al. 2012, "ImageNet classification with deep convolutional neural networks".

    Example:
        >>> from ravine import nn
        >>> nn.LocalResponseNorm(1, alpha=3.0, beta=1.0)([[[1.0]]])
        array([[[0.25]]], dtype=float32)
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        check_positive(self, size=size)
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Any) -> Any:
        return ops.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
