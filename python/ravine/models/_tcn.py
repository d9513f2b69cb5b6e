"""A temporal convolutional network: dilated causal convolutions around which residuals run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import init, nn, ops
from ..record import Tensor

__all__ = ["TCN", "tcn"]


class TemporalBlock(nn.Module):
    """relu(x + two causal convolutions, each with weight norm, ReLU and dropout).

    Where the number of channels changes, a 1x1 convolution of x takes its place.
    """

    def __init__(
        self, in_channels: int, channels: int, kernel_size: int, dilation: int, dropout: float
    ) -> None:
        super().__init__()
        arguments: dict[str, Any] = {"dilation": dilation, "padding": "causal"}
        self.conv1 = nn.utils.weight_norm(nn.Conv1d(in_channels, channels, kernel_size, **arguments))
        self.conv2 = nn.utils.weight_norm(nn.Conv1d(channels, channels, kernel_size, **arguments))
        self.dropout1, self.dropout2 = nn.Dropout(dropout), nn.Dropout(dropout)
        self.downsample: nn.Module | None = None
        if in_channels != channels:
            self.downsample = nn.Conv1d(in_channels, channels, 1)
            init.normal_(self.downsample.weight, 0.0, 0.01)

    def forward(self, x: Tensor) -> Tensor:
        y = self.dropout1(ops.relu(self.conv1(x)))
        y = self.dropout2(ops.relu(self.conv2(y)))
        return ops.relu(y + (x if self.downsample is None else self.downsample(x)))


class TCN(nn.Module):
    """The network of `models.tcn`. `receptive_field` is the number of steps that an output sees."""

    def __init__(
        self,
        in_channels: int,
        channels: Sequence[int],
        out_features: int | None,
        kernel_size: int,
        dropout: float,
    ) -> None:
        super().__init__()
        if not channels:
            raise ValueError("tcn: channels must name at least one block")
        blocks, before = [], in_channels
        for level, width in enumerate(channels):
            blocks.append(TemporalBlock(before, width, kernel_size, 2**level, dropout))
            before = width
        self.network = nn.Sequential(*blocks)
        self.linear = None if out_features is None else nn.Linear(before, out_features)
        self.receptive_field = 1 + 2 * (kernel_size - 1) * (2 ** len(blocks) - 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.network(x)
        if self.linear is None:
            return y
        return ops.permute(self.linear(ops.permute(y, (0, 2, 1))), (0, 2, 1))


def tcn(
    in_channels: int,
    channels: Sequence[int] = (32, 32, 32, 32),
    out_features: int | None = None,
    *,
    kernel_size: int = 3,
    dropout: float = 0.2,
) -> TCN:
    """A temporal convolutional network: from sequences to sequences, no output sees later inputs.

    Block i convolves twice with dilation 2^i, so that an output sees the last
    1 + 2 · (kernel_size - 1) · (2^blocks - 1) steps of the input (`model.receptive_field`). All steps are
    computed at once, where a recurrent layer goes step by step; its memory ends with that field, however.
    To foretell one value from a window, take the last step of the output.

    Source: S. Bai, J. Z. Kolter, V. Koltun, "An Empirical Evaluation of Generic Convolutional and Recurrent
    Networks for Sequence Modeling", 2018. The state_dict has the keys of the authors' implementation with
    `torch.nn.utils.parametrizations.weight_norm`: network.0.conv1.bias,
    network.0.conv1.parametrizations.weight.original0, ..., network.0.downsample.weight, ..., linear.weight.
    Their older weight_g is original0, weight_v is original1; the copies under network.0.net are left out.

    Args:
        in_channels: values of one step.
        channels: of each block.
        out_features: of a Linear layer behind each step; None leaves it out.
        kernel_size: steps that a convolution sees.
        dropout: probability, in training, behind each convolution.

    Shape: [n, in_channels, steps] to [n, out_features, steps], or [n, channels[-1], steps] without Linear.

    Raises:
        ValueError: channels are empty.

    Example:
        >>> import numpy as np, ravine as rv
        >>> model = rv.models.tcn(2, (8, 8, 8), 1).eval()
        >>> model(np.zeros((4, 2, 50), np.float32)).shape, model.receptive_field
        ((4, 1, 50), 29)
    """
    return TCN(in_channels, channels, out_features, kernel_size, dropout)
