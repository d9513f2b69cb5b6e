"""Convolutions of sequences and volumes, and transposed ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import init, ops
from ..ops._spatial import sides
from ._conv import Convolution, Window


class Conv1d(Convolution):
    """Convolution (cross-correlation) of sequences; see `Conv2d`.

    Shapes: [N, in_channels, L] to [N, out_channels, l] with
    `l = (L + 2·padding - dilation·(k - 1) - 1) // stride + 1`; weight [out_channels, in_channels / groups,
    k].

    Arguments as for `Conv2d`; padding may also be "causal": all zeros lie before the first element, so that
    an output sees no later input (WaveNet, temporal convolutional networks).

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.Conv1d(3, 8, 3, dilation=2, padding="causal")(np.zeros((2, 3, 10))).shape
        (2, 8, 10)
    """

    rank, operation = 1, "conv1d"
    paddings = ("same", "valid", "causal")


class Conv3d(Convolution):
    """Convolution (cross-correlation) of volumes; see `Conv2d`.

    Shapes: [N, in_channels, D, H, W] to [N, out_channels, od, oh, ow]; weight [out_channels, in_channels /
    groups, kd, kh, kw]. Arguments as for `Conv2d`, a number or (depth, height, width).

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.Conv3d(1, 4, 3, padding=1)(np.zeros((2, 1, 5, 6, 7))).shape
        (2, 4, 5, 6, 7)
    """

    rank, operation = 3, "conv3d"


class _Transposed(Window):
    operation = ""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        *,
        dtype: Any = "float32",
        weight_init: init.Initializer | None = None,
        bias_init: init.Initializer | None = None,
    ) -> None:
        super().__init__()
        self._set_up(in_channels, out_channels, kernel_size, stride, padding, dilation, groups)
        owner = type(self).__name__
        if padding_mode != "zeros":
            raise ValueError(f"{owner}: padding_mode must be 'zeros', got {padding_mode!r}")
        self.output_padding = sides(output_padding, "output_padding", owner, 0, self.rank)
        shape = (in_channels, out_channels // groups, *self.kernel_size)
        self._make_parameters(shape, bias, dtype, weight_init=weight_init, bias_init=bias_init)

    def forward(self, input: Any, output_size: Sequence[int] | None = None) -> Any:
        more = self.output_padding if output_size is None else self._to_reach(input, output_size)
        function = getattr(ops, self.operation)
        return function(
            input, self.weight, self.bias, self.stride, self.padding, more, self.groups, self.dilation
        )

    def _to_reach(self, input: Any, output_size: Sequence[int]) -> tuple[int, ...]:
        """The output_padding that gives sides of this size."""
        wanted = tuple(int(n) for n in output_size)[-self.rank :]
        least = tuple(
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(
                input.shape[-self.rank :],
                self.stride,
                self.padding,
                self.dilation,
                self.kernel_size,
                strict=True,
            )
        )
        more = tuple(w - n for w, n in zip(wanted, least, strict=False))
        if len(wanted) != self.rank or any(not 0 <= m < s for m, s in zip(more, self.stride, strict=False)):
            largest = tuple(n + s - 1 for n, s in zip(least, self.stride, strict=True))
            raise ValueError(
                f"{type(self).__name__}: output_size must lie between {least} and {largest} for input of "
                f"shape {tuple(input.shape)}, got {tuple(output_size)}"
            )
        return more

    def extra_repr(self) -> str:
        text = super().extra_repr()
        zeros = (0,) * self.rank
        return text if self.output_padding == zeros else f"{text}, output_padding={self.output_padding}"


class ConvTranspose1d(_Transposed):
    """Transposed convolution of sequences; see `ConvTranspose2d`.

    Shapes: [N, in_channels, L] to [N, out_channels, l]; weight [in_channels, out_channels / groups, k].

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.ConvTranspose1d(3, 8, 4, stride=2, padding=1)(np.zeros((2, 3, 10))).shape
        (2, 8, 20)
    """

    rank, operation = 1, "conv_transpose1d"


class ConvTranspose2d(_Transposed):
    """Transposed convolution of images, which enlarges them; see `ops.conv_transpose2d`.

    Shapes: [N, in_channels, H, W] to [N, out_channels, oh, ow] with
    `oh = (H - 1)·stride - 2·padding + dilation·(kh - 1) + output_padding + 1`; weight [in_channels,
    out_channels / groups, kh, kw].

    Args:
        in_channels, out_channels: numbers of channels; multiples of groups.
        kernel_size: of the filters in pixels, a number or (height, width).
        stride: distance in the output of what neighbours in the input add.
        padding: pixels cut on each side of the output.
        output_padding: pixels more at the bottom and the right; a call's `output_size=(height, width)`
            chooses it for that call.
        groups: groups of channels that do not see each other.
        bias: whether there is a bias.
        dilation: distance between the taps of a filter in pixels.
        padding_mode: only "zeros".
        dtype: of the parameters, float32 or float64.
        weight_init, bias_init: see `Conv2d`; uniform in ±1/√(numbers of weight[0]) by default.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.ConvTranspose2d(3, 8, 4, stride=2, padding=1)(np.zeros((2, 3, 8, 8))).shape
        (2, 8, 16, 16)
    """

    rank, operation = 2, "conv_transpose2d"


class ConvTranspose3d(_Transposed):
    """Transposed convolution of volumes; see `ConvTranspose2d`.

    Shapes: [N, in_channels, D, H, W] to [N, out_channels, od, oh, ow]; weight [in_channels, out_channels /
    groups, kd, kh, kw].

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.ConvTranspose3d(3, 8, 2, stride=2)(np.zeros((2, 3, 4, 4, 4))).shape
        (2, 8, 8, 8, 8)
    """

    rank, operation = 3, "conv_transpose3d"
