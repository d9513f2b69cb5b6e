"""Residual networks that are wide rather than deep."""

from __future__ import annotations

from .. import init, nn, ops
from ..record import Tensor
from ._resnet import Bottleneck, ResNet

__all__ = ["WideResNet", "wide_resnet", "wide_resnet50_2"]


class PreActivationBlock(nn.Module):
    """conv2(dropout(relu(bn2(conv1(relu(bn1(x))))))) + shortcut.

    The shortcut is x, or where the number of channels changes a strided 1x1 convolution of relu(bn1(x)).
    """

    def __init__(self, in_channels: int, channels: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        changes = in_channels != channels
        self.convShortcut = nn.Conv2d(in_channels, channels, 1, stride, bias=False) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        activated = ops.relu(self.bn1(x))
        shortcut = x if self.convShortcut is None else self.convShortcut(activated)
        y = ops.relu(self.bn2(self.conv1(activated)))
        return self.conv2(self.dropout(y)) + shortcut


class Stage(nn.Module):
    """Blocks in a row, of which the first has the stride."""

    def __init__(self, blocks: int, in_channels: int, channels: int, stride: int, dropout: float) -> None:
        super().__init__()
        rest = [PreActivationBlock(channels, channels, 1, dropout) for _ in range(blocks - 1)]
        self.layer = nn.Sequential(PreActivationBlock(in_channels, channels, stride, dropout), *rest)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class WideResNet(nn.Module):
    """The network of `models.wide_resnet`."""

    def __init__(
        self, depth: int, widen_factor: int, in_channels: int, num_classes: int, dropout: float, width: int
    ) -> None:
        super().__init__()
        if depth < 10 or (depth - 4) % 6:
            raise ValueError(f"wide_resnet: depth must be 6n + 4 (10, 16, 22, 28, 40), got {depth}")
        if widen_factor < 1:
            raise ValueError(f"wide_resnet: widen_factor must be at least 1, got {widen_factor}")
        blocks, first = (depth - 4) // 6, width * widen_factor
        self.conv1 = nn.Conv2d(in_channels, width, 3, 1, 1, bias=False)
        self.block1 = Stage(blocks, width, first, 1, dropout)
        self.block2 = Stage(blocks, first, 2 * first, 2, dropout)
        self.block3 = Stage(blocks, 2 * first, 4 * first, 2, dropout)
        self.bn1 = nn.BatchNorm2d(4 * first)
        self.fc = nn.Linear(4 * first, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        x = ops.adaptive_avg_pool2d(ops.relu(self.bn1(x)), 1)
        return self.fc(ops.flatten(x, 1))


def wide_resnet(
    depth: int = 28,
    widen_factor: int = 10,
    in_channels: int = 3,
    num_classes: int = 10,
    *,
    dropout: float = 0.0,
    width: int = 16,
) -> WideResNet:
    """WRN-d-k for images of about 32x32: three stages of blocks that normalise and activate first.

    BatchNorm, ReLU and a 3x3 convolution, twice a block, with dropout between the two; ReLU and the mean over
    pixels at the end. `wide_resnet50_2` is the form for large images.

    Source: S. Zagoruyko, N. Komodakis, "Wide Residual Networks", BMVC 2016. The state_dict has the keys of
    the implementation by X. Zhang (WideResNet-pytorch): conv1, block1.layer.0.bn1, ...,
    block1.layer.0.convShortcut, ..., bn1, fc.

    Args:
        depth: convolutions, 6n + 4 with n blocks a stage: 16, 28 and 40 are usual.
        widen_factor: k; the stages have 16k, 32k and 64k channels.
        in_channels: channels of the images.
        num_classes: outputs.
        dropout: probability, in training, between the two convolutions of a block.
        width: channels of the first convolution, in place of the 16 above.

    Shape: [n, in_channels, h, w] to [n, num_classes].

    Raises:
        ValueError: depth is not of the form 6n + 4, or widen_factor is below 1.

    Example:
        >>> import numpy as np, ravine as rv
        >>> net = rv.models.wide_resnet(10, 1, width=4).eval()
        >>> net(np.zeros((2, 3, 16, 16), np.float32)).shape
        (2, 10)
    """
    return WideResNet(depth, widen_factor, in_channels, num_classes, dropout, width)


def _wide_bottleneck(in_channels: int, channels: int, stride: int) -> Bottleneck:
    return Bottleneck(in_channels, channels, channels // 2, stride)


def wide_resnet50_2(in_channels: int = 3, num_classes: int = 1000, *, width: int = 64) -> ResNet:
    """ResNet-50 whose 3x3 convolutions are twice as wide, for images of about 224x224.

    Source: S. Zagoruyko, N. Komodakis, "Wide Residual Networks", BMVC 2016. The state_dict has torchvision's
    keys and shapes.

    Args:
        in_channels: channels of the images.
        num_classes: outputs.
        width: channels of the first convolution; the stages have 4, 8, 16 and 32 times as many.

    Shape: [n, in_channels, h, w] to [n, num_classes].

    Example:
        >>> import numpy as np, ravine as rv
        >>> net = rv.models.wide_resnet50_2(3, 10, width=4).eval()
        >>> net(np.zeros((2, 3, 64, 64), np.float32)).shape
        (2, 10)
    """
    return ResNet(
        (3, 4, 6, 3), in_channels, num_classes, width, _wide_bottleneck, expansion=4, large_images=True
    )
