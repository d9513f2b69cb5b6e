"""A small convolutional classifier."""

from __future__ import annotations

from collections.abc import Sequence

from .. import nn

__all__ = ["cnn"]


def cnn(
    in_shape: Sequence[int],
    num_classes: int,
    channels: Sequence[int] = (32, 64),
    *,
    hidden: int = 128,
    dropout: float = 0.25,
) -> nn.Sequential:
    """A LeNet of today: stages of 3x3 convolution, BatchNorm, ReLU and a 2x2 maximum, then two Linear layers.

    Args:
        in_shape: (channels, height, width) of one image.
        num_classes: outputs.
        channels: convolution channels of each stage; each stage halves height and width.
        hidden: width of the layer before the last.
        dropout: probability before the last layer.

    Shape: [n, *in_shape] to [n, num_classes].

    Raises:
        ValueError: in_shape has not three extents, or an image is too small for as many stages.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.models.cnn((1, 28, 28), 10).eval()(np.zeros((2, 1, 28, 28), np.float32)).shape
        (2, 10)
    """
    if len(in_shape) != 3:
        raise ValueError(f"cnn: in_shape={tuple(in_shape)}, expected (channels, height, width)")
    width, rows, columns = in_shape
    layers: list[nn.Module] = []
    for next_width in channels:
        if rows < 2 or columns < 2:
            raise ValueError(
                f"cnn: images of {in_shape[1]}x{in_shape[2]} are too small for {len(channels)} stages"
            )
        layers += [
            nn.Conv2d(width, next_width, 3, padding=1, bias=False),
            nn.BatchNorm2d(next_width),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
        width, rows, columns = next_width, rows // 2, columns // 2
    layers += [
        nn.Flatten(),
        nn.Linear(width * rows * columns, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
    ]
    if dropout > 0.0:
        layers.append(nn.Dropout(dropout))
    layers.append(nn.Linear(hidden, num_classes))
    return nn.Sequential(*layers)
