"""Convolutions."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import init, ops
from ..ops._spatial import sides
from ..record import Parameter, dtype_name
from ._initial import InitialisedModule
from ._linear import check_positive, init_weight_and_bias

_MODES = ("zeros", "reflect", "replicate", "circular")


class Window(InitialisedModule):
    """What convolutions and transposed ones of any number of sides share: arguments and parameters."""

    rank = 2
    paddings: tuple[str, ...] = ()  # by name

    def _set_up(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        groups: int,
    ) -> None:
        """Checks the arguments and keeps them."""
        owner = type(self).__name__
        check_positive(self, in_channels=in_channels, out_channels=out_channels, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{owner}: in_channels and out_channels must be multiples of groups, got {in_channels}, "
                f"{out_channels} and {groups}"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = sides(kernel_size, "kernel_size", owner, 1, self.rank)
        self.stride = sides(stride, "stride", owner, 1, self.rank)
        self.dilation = sides(dilation, "dilation", owner, 1, self.rank)
        if isinstance(padding, str):
            if padding not in self.paddings:
                names = " or ".join(map(repr, self.paddings))
                raise ValueError(
                    f"{owner}: padding must be a number, one a side{names and ', ' + names}, got {padding!r}"
                )
            self.padding: Any = padding
        else:
            self.padding = sides(padding, "padding", owner, 0, self.rank)

    def _make_parameters(
        self, shape: tuple[int, ...], bias: bool, dtype: Any, **initialisers: init.Initializer | None
    ) -> None:
        name = dtype_name(dtype)
        self.weight = Parameter(np.zeros(shape, name), channels_last=len(shape) == 4)
        self.register_parameter("bias", Parameter(np.zeros(self.out_channels, name)) if bias else None)
        self._keep_initialisers(**initialisers)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        init_weight_and_bias(self)

    def extra_repr(self) -> str:
        ones, zeros = (1,) * self.rank, (0,) * self.rank
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        )
        if self.padding != zeros:
            text += f", padding={self.padding!r}"
        if self.dilation != ones:
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        return text if self.bias is not None else text + ", bias=False"


class Convolution(Window):
    """A convolution of `rank` sides, which `ops` has under the name `operation`."""

    operation = "conv2d"
    paddings = ("same", "valid")

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        dtype: Any = "float32",
        weight_init: init.Initializer | None = None,
        bias_init: init.Initializer | None = None,
    ) -> None:
        super().__init__()
        self._set_up(in_channels, out_channels, kernel_size, stride, padding, dilation, groups)
        owner = type(self).__name__
        if padding_mode not in _MODES:
            raise ValueError(
                f"{owner}: padding_mode must be one of {', '.join(_MODES)}, got {padding_mode!r}"
            )
        if padding_mode != "zeros" and padding == "causal":
            raise ValueError(f"{owner}: padding='causal' is of zeros, got padding_mode={padding_mode!r}")
        if padding_mode != "zeros" and padding == "same" and self.stride != (1,) * self.rank:
            raise ValueError(
                f"{owner}: padding='same' in the mode {padding_mode!r} needs stride 1, got {self.stride}"
            )
        self.padding_mode = padding_mode
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self._make_parameters(shape, bias, dtype, weight_init=weight_init, bias_init=bias_init)

    def forward(self, input: Any) -> Any:
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = ops.pad(input, self._borders(), self.padding_mode), 0
        function = getattr(ops, self.operation)
        return function(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def _borders(self) -> list[int]:
        """What is added before and after each side, the last side first, as `ops.pad` takes it."""
        borders: list[int] = []
        for side in reversed(range(self.rank)):
            if self.padding == "valid":
                borders += (0, 0)
            elif self.padding == "same":
                reach = self.dilation[side] * (self.kernel_size[side] - 1)
                borders += (reach // 2, reach - reach // 2)
            else:
                borders += (self.padding[side],) * 2
        return borders

    def extra_repr(self) -> str:
        text = super().extra_repr()
        return text if self.padding_mode == "zeros" else f"{text}, padding_mode={self.padding_mode!r}"


class Conv2d(Convolution):
    """Convolution (cross-correlation) of images, `y[n, o] = b[o] + Σ_i w[o, i] ⋆ x[n, i]`.

    Shapes: [N, in_channels, H, W] to [N, out_channels, oh, ow] with
    `oh = (H + 2·padding - dilation·(kh - 1) - 1) // stride + 1`; weight [out_channels, in_channels / groups,
    kh, kw].

    Args:
        in_channels, out_channels: numbers of channels; multiples of groups.
        kernel_size: of the filters in pixels, a number or (height, width).
        stride: step of the window in pixels.
        padding: added on each side in pixels, or "valid" (none) or "same" (the output has H / stride rows,
            rounded up; see `ops.conv2d`).
        dilation: distance between the taps of a filter in pixels.
        groups: groups of channels that do not see each other; in_channels makes the convolution depthwise.
        bias: whether there is a bias.
        padding_mode: what the padding is: "zeros", "reflect", "replicate" or "circular", see `ops.pad`.
        dtype: of the parameters, float32 or float64.
        weight_init, bias_init: a name ("he_normal"), a number or a function, see `init.get`; both are
            uniform in ±1/√fan_in by default. The latter is not used without a bias.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.Conv2d(3, 8, 3, stride=2, padding=1)(np.zeros((2, 3, 8, 8))).shape
        (2, 8, 4, 4)
    """
