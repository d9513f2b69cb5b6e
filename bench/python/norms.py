"""Single normalisations of images in training, with the activation that follows them."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

KINDS = ("batch_relu", "batch", "layer", "group", "instance")
PASSES = ("forward", "both")


@dataclass(frozen=True)
class Norm:
    """A normalisation with weight and bias by the batch's own statistics; images lie channels last.

    `kind` "batch_relu" is BatchNorm and ReLU, "layer" normalises the channels of each position, "group" has
    8 groups. "both" passes: the output, and the gradients to images, weight and bias. The output's gradient
    is the output itself, so that, as in a net, no gradient begins before the output is there.
    """

    kind: str
    batch: int
    channels: int
    size: int  # height and width
    direction: str = "both"

    is_update = False
    is_convolutional = True
    groups = 8

    @property
    def name(self) -> str:
        return f"{self.kind}{self.batch}x{self.channels}x{self.size}x{self.size}:{self.direction}"

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Images [N, H, W, C], weight [C], bias [C]."""
        random = np.random.default_rng(0)
        images, channels = (self.batch, self.size, self.size, self.channels), (self.channels,)
        x, w, b = (random.standard_normal(shape, dtype=np.float32) for shape in (images, channels, channels))
        return x, w, b


SHAPES = ((64, 64, 32), (64, 256, 8), (64, 32, 28))


def norms() -> list[Norm]:
    return [Norm(kind, *shape, direction) for kind in KINDS for shape in SHAPES for direction in PASSES]


def find_norm(name: str) -> Norm | None:
    """The normalisation of this name, or None where it is none's."""
    match = re.fullmatch(rf"({'|'.join(KINDS)})(\d+)x(\d+)x(\d+)x\4:({'|'.join(PASSES)})", name)
    if match is None:
        return None
    return Norm(match[1], int(match[2]), int(match[3]), int(match[4]), match[5])
