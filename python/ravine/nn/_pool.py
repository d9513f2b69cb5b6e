"""Pooling."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..ops._spatial import Pair, check_divisor, pair
from ._arguments import changed_arguments
from ._module import Module


class MaxPool2d(Module):
    """Largest value of each window. Shapes: [(N,) C, H, W] to [(N,) C, oh, ow], see `ops.max_pool2d`.

    Args:
        kernel_size: window in pixels, a number or (height, width).
        stride: step of the window; None means kernel_size.
        padding: on each side in pixels, at most half of kernel_size.
        dilation: distance between the pixels of a window.
        return_indices: also return the index of each maximum in the flattened plane.
        ceil_mode: another window takes the pixels left behind the last whole one.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.MaxPool2d(2)(np.arange(16.0).reshape(1, 1, 4, 4))
        array([[[[ 5.,  7.],
                 [13., 15.]]]], dtype=float32)
    """

    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair | None = None,
        padding: Pair = 0,
        dilation: Pair = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        pair(kernel_size, "kernel_size", "MaxPool2d", 1)
        pair(padding, "padding", "MaxPool2d", 0)
        pair(dilation, "dilation", "MaxPool2d", 1)
        self.kernel_size, self.padding, self.dilation = kernel_size, padding, dilation
        self.stride = kernel_size if stride is None else stride
        pair(self.stride, "stride", "MaxPool2d", 1)
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, input: Any) -> Any:
        return ops.max_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )

    def extra_repr(self) -> str:
        window = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        window += f", dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        return ", ".join([window, *changed_arguments(self, "return_indices")])


class AvgPool2d(Module):
    """Mean of each window. Shapes: [(N,) C, H, W] to [(N,) C, oh, ow], see `ops.avg_pool2d`.

    Args:
        kernel_size: window in pixels, a number or (height, width).
        stride: step of the window; None means kernel_size.
        padding: zeros on each side in pixels, at most half of kernel_size.
        ceil_mode: another window takes the pixels left behind the last whole one.
        count_include_pad: whether padding counts in the divisor.
        divisor_override: divide the sums of the windows by this instead of their size; not 0.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.AvgPool2d(2)(np.arange(16.0).reshape(1, 1, 4, 4))
        array([[[[ 2.5,  4.5],
                 [10.5, 12.5]]]], dtype=float32)
    """

    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair | None = None,
        padding: Pair = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        pair(kernel_size, "kernel_size", "AvgPool2d", 1)
        pair(padding, "padding", "AvgPool2d", 0)
        self.kernel_size, self.padding = kernel_size, padding
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad
        self.divisor_override = check_divisor(divisor_override, "AvgPool2d")
        self.stride = kernel_size if stride is None else stride
        pair(self.stride, "stride", "AvgPool2d", 1)

    def forward(self, input: Any) -> Any:
        return ops.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        window = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        changed = changed_arguments(self, "ceil_mode", "count_include_pad", "divisor_override")
        return ", ".join([window, *changed])


class AdaptiveAvgPool2d(Module):
    """Mean over as many windows as the output has pixels. Shapes: [(N,) C, H, W] to [(N,) C, *output_size].

    Args:
        output_size: a number or (height, width); None keeps a side's size. 1 is global average pooling.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.AdaptiveAvgPool2d(1)(np.ones((2, 3, 5, 5))).shape
        (2, 3, 1, 1)
    """

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Any) -> Any:
        return ops.adaptive_avg_pool2d(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"
