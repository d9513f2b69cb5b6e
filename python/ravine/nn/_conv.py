"""Convolutions."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import init, ops
from .._parameter import Parameter
from .._tensor import dtype_name
from ..ops._pairs import Pair, pair
from ._initial import InitialisedModule
from ._linear import check_positive, init_weight_and_bias


class Conv2d(InitialisedModule):
    """Convolution (cross-correlation) of images, `y[n, o] = b[o] + Σ_i w[o, i] ⋆ x[n, i]`.

    Shapes: [N, in_channels, H, W] to [N, out_channels, oh, ow] with
    `oh = (H + 2·padding - dilation·(kh - 1) - 1) // stride + 1`; weight [out_channels, in_channels / groups,
    kh, kw].

    Args:
        in_channels, out_channels: numbers of channels; multiples of groups.
        kernel_size: of the filters in pixels, a number or (height, width).
        stride: step of the window in pixels.
        padding: zeros on each side in pixels, or "valid" (none) or "same" (the output keeps the size;
            stride 1).
        dilation: distance between the taps of a filter in pixels.
        groups: groups of channels that do not see each other; in_channels makes the convolution depthwise.
        bias: whether there is a bias.
        padding_mode: only "zeros".
        dtype: of the parameters, float32 or float64.
        weight_init, bias_init: a name ("he_normal"), a number or a function, see `init.get`; both are
            uniform in ±1/√fan_in by default. The latter is not used without a bias.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.Conv2d(3, 8, 3, stride=2, padding=1)(np.zeros((2, 3, 8, 8))).shape
        (2, 8, 4, 4)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair | str = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        dtype: Any = "float32",
        weight_init: init.Initializer | None = None,
        bias_init: init.Initializer | None = None,
    ) -> None:
        super().__init__()
        check_positive(self, in_channels=in_channels, out_channels=out_channels, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"Conv2d: in_channels and out_channels must be multiples of groups, got {in_channels}, "
                f"{out_channels} and {groups}"
            )
        if padding_mode != "zeros":
            raise ValueError(f"Conv2d: padding_mode must be 'zeros', got {padding_mode!r}")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = pair(kernel_size, "kernel_size", "Conv2d", 1)
        self.stride = pair(stride, "stride", "Conv2d", 1)
        self.dilation = pair(dilation, "dilation", "Conv2d", 1)
        self.padding = padding if isinstance(padding, str) else pair(padding, "padding", "Conv2d", 0)
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ValueError(f"Conv2d: padding must be a number, a pair, 'same' or 'valid', got {padding!r}")
        if padding == "same" and self.stride != (1, 1):
            raise ValueError(f"Conv2d: padding='same' needs stride 1, got {self.stride}")
        name = dtype_name(dtype)
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = Parameter(np.zeros(shape, name), channels_last=True)
        self.register_parameter("bias", Parameter(np.zeros(out_channels, name)) if bias else None)
        self._keep_initialisers(weight_init=weight_init, bias_init=bias_init)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        init_weight_and_bias(self)

    def forward(self, input: Any) -> Any:
        return ops.conv2d(
            input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )

    def extra_repr(self) -> str:
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        )
        if self.padding not in ((0, 0), "valid"):
            text += f", padding={self.padding}"
        if self.dilation != (1, 1):
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        return text if self.bias is not None else text + ", bias=False"
