"""Single poolings of images."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

KINDS = ("max", "avg")
PASSES = ("forward", "both")


@dataclass(frozen=True)
class Pool:
    """A pooling of square windows; images lie channels last. "both" passes: the output, and the gradient to
    the images where the output's is the output itself, so that, as in a net, no gradient begins before the
    output is there."""

    kind: str
    batch: int
    channels: int
    size: int  # height and width
    kernel: int
    stride: int
    direction: str = "both"

    is_update = False
    is_convolutional = True

    @property
    def name(self) -> str:
        shape = f"{self.batch}x{self.channels}x{self.size}x{self.size}"
        return f"{self.kind}pool{shape}k{self.kernel}s{self.stride}:{self.direction}"

    @property
    def padding(self) -> int:
        return (self.kernel - 1) // 2

    def arrays(self) -> tuple[np.ndarray]:
        """Images [N, H, W, C]."""
        shape = (self.batch, self.size, self.size, self.channels)
        return (np.random.default_rng(0).standard_normal(shape, dtype=np.float32),)


# batch, channels, size, kernel, stride: LeNet's two, ResNet's stem (in part), few channels, windows that
# overlap with stride 1.
SHAPES = (
    (64, 32, 28, 2, 2),
    (64, 64, 14, 2, 2),
    (64, 64, 32, 3, 2),
    (8, 64, 112, 3, 2),
    (64, 16, 16, 3, 1),
    (64, 3, 32, 2, 2),
    (64, 3, 32, 3, 2),
    (64, 1, 28, 2, 2),
    (64, 8, 28, 2, 2),
)


def pools() -> list[Pool]:
    return [Pool(kind, *shape, direction) for kind in KINDS for shape in SHAPES for direction in PASSES]


def find_pool(name: str) -> Pool | None:
    """The pooling of this name, or None where it is none's."""
    pattern = rf"({'|'.join(KINDS)})pool(\d+)x(\d+)x(\d+)x\4k(\d+)s(\d+):({'|'.join(PASSES)})"
    match = re.fullmatch(pattern, name)
    if match is None:
        return None
    return Pool(match[1], *(int(match[i]) for i in range(2, 7)), match[7])
