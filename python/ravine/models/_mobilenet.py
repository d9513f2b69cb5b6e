"""MobileNet V2: narrow residuals, wide depthwise convolutions."""

from __future__ import annotations

from .. import init, nn, ops
from ..record import Tensor

__all__ = ["InvertedResidual", "MobileNetV2", "mobilenet_v2"]

# Of each stage: expansion, channels, blocks, stride of the first.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def _rounded(channels: float) -> int:
    """The nearest multiple of 8 that is at least 8 and not below nine tenths of the number."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8


def _convolution(
    in_channels: int, channels: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU6(),
    )


class InvertedResidual(nn.Module):
    """A 1x1 convolution to `expansion` times the channels, a 3x3 depthwise one, a 1x1 one without activation.

    BatchNorm follows each, ReLU6 the first two. The input is added where it has the output's shape; an
    expansion of 1 needs no first convolution.
    """

    def __init__(self, in_channels: int, channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = in_channels * expansion
        self.conv = nn.Sequential(
            *([] if expansion == 1 else [_convolution(in_channels, wide, 1)]),
            _convolution(wide, wide, 3, stride, groups=wide),
            nn.Conv2d(wide, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.is_residual = stride == 1 and in_channels == channels

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.is_residual else self.conv(x)


class MobileNetV2(nn.Module):
    """The network of `models.mobilenet_v2`."""

    def __init__(self, in_channels: int, num_classes: int, width_mult: float, dropout: float) -> None:
        super().__init__()
        if not width_mult > 0:
            raise ValueError(f"mobilenet_v2: width_mult must be above 0, got {width_mult}")
        before, last = _rounded(32 * width_mult), _rounded(1280 * max(1.0, width_mult))
        layers: list[nn.Module] = [_convolution(in_channels, before, 3, 2)]
        for expansion, channels, blocks, stride in STAGES:
            width = _rounded(channels * width_mult)
            for i in range(blocks):
                layers.append(InvertedResidual(before, width, 1 if i else stride, expansion))
                before = width
        layers.append(_convolution(before, last, 1))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(last, num_classes))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init.kaiming_normal_(module.weight, mode="fan_out")
            elif isinstance(module, nn.Linear):
                init.normal_(module.weight, 0.0, 0.01)
                init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(ops.flatten(ops.adaptive_avg_pool2d(self.features(x), 1), 1))


def mobilenet_v2(
    in_channels: int = 3, num_classes: int = 1000, *, width_mult: float = 1.0, dropout: float = 0.2
) -> MobileNetV2:
    """MobileNet V2: seventeen inverted residuals between two convolutions, the mean over pixels, Linear.

    A sixth of ResNet-18's arithmetic at similar accuracy on large images. Height and width are halved five
    times, so that images of 32x32 are one pixel at the end.

    Source: M. Sandler, A. Howard, M. Zhu, A. Zhmoginov, L.-C. Chen, "MobileNetV2: Inverted Residuals and
    Linear Bottlenecks", CVPR 2018. The state_dict has torchvision's keys and shapes.

    Args:
        in_channels: channels of the images.
        num_classes: outputs.
        width_mult: multiplies the channels of all layers, rounded to multiples of 8.
        dropout: probability, in training, before the Linear layer.

    Shape: [n, in_channels, h, w] to [n, num_classes].

    Raises:
        ValueError: width_mult is not above 0.

    Example:
        >>> import numpy as np, ravine as rv
        >>> net = rv.models.mobilenet_v2(num_classes=10, width_mult=0.1).eval()
        >>> net(np.zeros((2, 3, 64, 64), np.float32)).shape
        (2, 10)
    """
    return MobileNetV2(in_channels, num_classes, width_mult, dropout)
