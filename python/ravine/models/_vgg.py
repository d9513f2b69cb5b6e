"""VGG: 3x3 convolutions in a row."""

from __future__ import annotations

from .. import init, nn, ops
from ..record import Tensor

__all__ = ["VGG", "vgg"]

# Convolutions of each of the five stages, which end with a maximum over 2x2.
STAGES = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
POOLED = 7  # height and width of what the Linear layers see


class VGG(nn.Module):
    """The network of `models.vgg`."""

    def __init__(
        self,
        depth: int,
        in_channels: int,
        num_classes: int,
        batch_norm: bool,
        dropout: float,
        width: int,
        hidden: int,
    ) -> None:
        super().__init__()
        if depth not in STAGES:
            raise ValueError(f"vgg: depth must be one of {list(STAGES)}, got {depth}")
        layers: list[nn.Module] = []
        before = in_channels
        for stage, convolutions in enumerate(STAGES[depth]):
            channels = width * min(2**stage, 8)
            for _ in range(convolutions):
                layers.append(nn.Conv2d(before, channels, 3, padding=1))
                layers += [nn.BatchNorm2d(channels)] if batch_norm else []
                layers.append(nn.ReLU())
                before = channels
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(POOLED)
        self.classifier = nn.Sequential(
            *(nn.Linear(before * POOLED**2, hidden), nn.ReLU(), nn.Dropout(dropout)),
            *(nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(dropout)),
            nn.Linear(hidden, num_classes),
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.Linear):
                init.normal_(module.weight, 0.0, 0.01)
            if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(ops.flatten(self.avgpool(self.features(x)), 1))


def vgg(
    depth: int = 16,
    in_channels: int = 3,
    num_classes: int = 1000,
    *,
    batch_norm: bool = False,
    dropout: float = 0.5,
    width: int = 64,
    hidden: int = 4096,
) -> VGG:
    """VGG-11, 13, 16 or 19: five stages of 3x3 convolutions and ReLU, then three Linear layers.

    Each stage ends with a maximum that halves height and width; without `batch_norm` the deeper
    ones train slowly from the start. `hidden=512` suits small images, for which the Linear layers would
    otherwise have nearly all of the parameters.

    Source: K. Simonyan, A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition",
    ICLR 2015. The state_dict has the keys and shapes of torchvision's `vgg11` to `vgg19_bn`.

    Args:
        depth: layers with weights: 11, 13, 16 or 19.
        in_channels: channels of the images.
        num_classes: outputs.
        batch_norm: BatchNorm behind each convolution, torchvision's `_bn`.
        dropout: probability, in training, behind the first two Linear layers.
        width: channels of the first stage; the others have 2, 4, 8 and 8 times as many.
        hidden: width of the first two Linear layers.

    Shape: [n, in_channels, h, w] to [n, num_classes], h and w at least 32.

    Raises:
        ValueError: another depth.

    Example:
        >>> import numpy as np, ravine as rv
        >>> net = rv.models.vgg(11, num_classes=10, batch_norm=True, width=4, hidden=16).eval()
        >>> net(np.zeros((2, 3, 32, 32), np.float32)).shape
        (2, 10)
    """
    return VGG(depth, in_channels, num_classes, batch_norm, dropout, width, hidden)
