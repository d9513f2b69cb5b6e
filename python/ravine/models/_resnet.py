"""ResNet-18 for small images."""

from __future__ import annotations

from .. import init, nn, ops
from ..record import Tensor

__all__ = ["BasicBlock", "ResNet", "resnet18"]


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
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = ops.relu(self.bn1(self.conv1(x)))
        return ops.relu(self.bn2(self.conv2(y)) + shortcut)


class ResNet(nn.Module):
    """A 3x3 stem, four stages of basic blocks, the mean over pixels, a Linear layer.

    The first stage keeps height and width, each of the others halves them.

    The state_dict has torchvision's keys: conv1, bn1, layer1.0.conv1, ..., layer2.0.downsample.0, ..., fc.
    """

    def __init__(
        self, blocks: tuple[int, int, int, int], in_channels: int, num_classes: int, width: int
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = _stage(width, width, blocks[0], stride=1)
        self.layer2 = _stage(width, 2 * width, blocks[1], stride=2)
        self.layer3 = _stage(2 * width, 4 * width, blocks[2], stride=2)
        self.layer4 = _stage(4 * width, 8 * width, blocks[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8 * width, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = ops.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(ops.flatten(self.avgpool(x), 1))


def _stage(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    rest = [BasicBlock(channels, channels) for _ in range(blocks - 1)]
    return nn.Sequential(BasicBlock(in_channels, channels, stride), *rest)


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
