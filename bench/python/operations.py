"""What is timed besides whole networks: single operations on images and on sequences, by name."""

from __future__ import annotations

from .convolutions import Convolution, find_convolution
from .norms import Norm, find_norm
from .pools import Pool, find_pool
from .sequences import Attention, SequenceConvolution, find_sequence_operation

Operation = Convolution | Norm | Pool | Attention | SequenceConvolution


def find_operation(name: str) -> Operation | None:
    """The operation of this name, or None where it is no operation's."""
    return find_convolution(name) or find_norm(name) or find_pool(name) or find_sequence_operation(name)
