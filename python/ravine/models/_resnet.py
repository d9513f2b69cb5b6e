"""Residual networks of ResNet-18's family, for small images and for large ones."""

from __future__ import annotations

from collections.abc import Callable

from .. import init, nn, ops
from ..record import Tensor

__all__ = ["BasicBlock", "Bottleneck", "ResNet", "resnet18"]


def _shortcut(in_channels: int, channels: int, stride: int) -> nn.Sequential | None:
    """A strided 1x1 convolution with BatchNorm where the shape changes, else None: the identity."""
    if stride == 1 and in_channels == channels:
        return None
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False), nn.BatchNorm2d(channels)
    )


class BasicBlock(nn.Module):
    """relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x)).

    The shortcut is the identity, or where the shape changes a strided 1x1 convolution with BatchNorm.

    Shape: [n, in_channels, h, w] to [n, channels, ceil(h / stride), ceil(w / stride)].
    """

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = _shortcut(in_channels, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = ops.relu(self.bn1(self.conv1(x)))
        return ops.relu(self.bn2(self.conv2(y)) + shortcut)


class Bottleneck(nn.Module):
    """A 1x1 convolution to `middle` channels, a 3x3 one with the stride, a 1x1 one to `channels`.

    BatchNorm follows each, ReLU the first two and the sum with the shortcut, which is that of `BasicBlock`.

    Shape: [n, in_channels, h, w] to [n, channels, ceil(h / stride), ceil(w / stride)].
    """

    def __init__(self, in_channels: int, channels: int, middle: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, middle, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(middle)
        self.conv2 = nn.Conv2d(middle, middle, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(middle)
        self.conv3 = nn.Conv2d(middle, channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.downsample = _shortcut(in_channels, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = ops.relu(self.bn1(self.conv1(x)))
        y = ops.relu(self.bn2(self.conv2(y)))
        return ops.relu(self.bn3(self.conv3(y)) + shortcut)


class ResNet(nn.Module):
    """A stem, four stages of residual blocks, the mean over pixels, a Linear layer.

    The first stage keeps height and width, each of the others halves them. The stem is a 3x3 convolution, or
    for large images a 7x7 one with stride 2 and a maximum over 3x3 with stride 2.

    The state_dict has torchvision's keys: conv1, bn1, layer1.0.conv1, ..., layer2.0.downsample.0, ..., fc.

    Args:
        blocks: their number in each stage.
        in_channels: channels of the images.
        num_classes: outputs.
        width: channels of the stem.
        block: (in_channels, channels, stride) to a block.
        expansion: channels of the first stage, as a multiple of the stem's; they double with each stage.
        large_images: which stem.
    """

    def __init__(
        self,
        blocks: tuple[int, int, int, int],
        in_channels: int,
        num_classes: int,
        width: int,
        block: Callable[[int, int, int], nn.Module] = BasicBlock,
        *,
        expansion: int = 1,
        large_images: bool = False,
    ) -> None:
        super().__init__()
        kernel, stride = (7, 2) if large_images else (3, 1)
        self.conv1 = nn.Conv2d(in_channels, width, kernel, stride, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if large_images else None
        first = width * expansion
        self.layer1 = _stage(block, width, first, blocks[0], stride=1)
        self.layer2 = _stage(block, first, 2 * first, blocks[1], stride=2)
        self.layer3 = _stage(block, 2 * first, 4 * first, blocks[2], stride=2)
        self.layer4 = _stage(block, 4 * first, 8 * first, blocks[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8 * first, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = ops.relu(self.bn1(self.conv1(x)))
        if self.maxpool is not None:
            x = self.maxpool(x)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(ops.flatten(self.avgpool(x), 1))


def _stage(
    block: Callable[[int, int, int], nn.Module], in_channels: int, channels: int, blocks: int, stride: int
) -> nn.Sequential:
    rest = [block(channels, channels, 1) for _ in range(blocks - 1)]
    return nn.Sequential(block(in_channels, channels, stride), *rest)


def resnet18(in_channels: int = 3, num_classes: int = 10, *, width: int = 64) -> ResNet:
    """ResNet-18 in the form for images of about 32x32: a 3x3 first convolution without stride, no max-pool.

    Source: K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", CVPR 2016.

    Args:
        in_channels: channels of the images.
        num_classes: outputs.
        width: channels of the first stage; the others have 2, 4 and 8 times as many.

    Shape: [n, in_channels, h, w] to [n, num_classes].

    Example:
        >>> import numpy as np, ravine as rv
        >>> net = rv.models.resnet18(1, 10, width=4).eval()
        >>> net(np.zeros((2, 1, 16, 16), np.float32)).shape
        (2, 10)
    """
    return ResNet((2, 2, 2, 2), in_channels, num_classes, width)
