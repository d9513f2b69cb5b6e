"""Single operations on sequences, and the list of all that is timed on sequences."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

PASSES = ("forward", "both")


def _numbers(*shapes: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(0)
    return tuple(random.standard_normal(shape, dtype=np.float32) for shape in shapes)


@dataclass(frozen=True)
class Attention:
    """Scaled dot-product attention of a sequence to itself. "both" passes: the output, and the gradients of
    queries, keys and values where the output's is the output itself."""

    batch: int
    heads: int
    steps: int
    features: int  # of a head
    causal: bool
    direction: str = "both"

    is_update = False
    is_convolutional = False

    @property
    def name(self) -> str:
        kind = "causal" if self.causal else "full"
        return f"attention{self.batch}x{self.heads}x{self.steps}x{self.features}-{kind}:{self.direction}"

    def arrays(self) -> tuple[np.ndarray, ...]:
        """Queries, keys, values [N, heads, T, features]."""
        return _numbers(*[(self.batch, self.heads, self.steps, self.features)] * 3)


@dataclass(frozen=True)
class SequenceConvolution:
    """A convolution of sequences with causal padding; passes as of attention, the gradients those of the
    sequences and of the filters."""

    batch: int
    channels: int
    steps: int
    out_channels: int
    kernel: int
    groups: int = 1
    dilation: int = 1
    direction: str = "both"

    is_update = False
    is_convolutional = False

    @property
    def name(self) -> str:
        return (
            f"conv1d{self.batch}x{self.channels}x{self.steps}-{self.out_channels}k{self.kernel}"
            f"g{self.groups}d{self.dilation}:{self.direction}"
        )

    @property
    def padding(self) -> int:
        """Of the beginning."""
        return (self.kernel - 1) * self.dilation

    def arrays(self) -> tuple[np.ndarray, ...]:
        """Sequences [N, channels, T], filters [out_channels, channels / groups, kernel]."""
        filters = (self.out_channels, self.channels // self.groups, self.kernel)
        return _numbers((self.batch, self.channels, self.steps), filters)


SequenceOperation = Attention | SequenceConvolution

ATTENTIONS = [
    Attention(batch, 6, steps, 64, causal, direction)
    for batch, steps in ((8, 256), (2, 1024), (1, 4096))
    for causal in (True, False)
    for direction in PASSES
]
# Of a TCN, dilated; depthwise, of few taps and of many.
SEQUENCE_CONVOLUTIONS = [
    SequenceConvolution(*sizes, direction=direction)
    for sizes in (
        (16, 64, 256, 64, 3, 1, 1),
        (16, 64, 256, 64, 3, 1, 16),
        (32, 128, 256, 128, 7, 128, 1),
        (32, 128, 256, 128, 3, 128, 8),
        (8, 256, 1024, 256, 31, 256, 1),
    )
    for direction in PASSES
]
NETWORKS = ("lstm", "lstm2", "lstm-both", "lstm-ragged", "gru", "gru2", "gru-both", "gru-ragged")
SEQUENCES = (
    *(*NETWORKS, "gpt", "chars", "tcn", "dcgan"),
    *(operation.name for operation in (*ATTENTIONS, *SEQUENCE_CONVOLUTIONS)),
)


def find_sequence_operation(name: str) -> SequenceOperation | None:
    """The operation of this name, or None where it is none's."""
    passes = "|".join(PASSES)
    match = re.fullmatch(rf"attention(\d+)x(\d+)x(\d+)x(\d+)-(causal|full):({passes})", name)
    if match is not None:
        return Attention(*(int(match[i]) for i in range(1, 5)), match[5] == "causal", match[6])
    match = re.fullmatch(rf"conv1d(\d+)x(\d+)x(\d+)-(\d+)k(\d+)g(\d+)d(\d+):({passes})", name)
    if match is not None:
        return SequenceConvolution(*(int(match[i]) for i in range(1, 8)), match[8])
    return None
