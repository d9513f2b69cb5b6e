"""What a loss function returned, read as a loss with its denominator and named parts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from ._core import Dependence
from ._grad import check_scalar
from ._nesting import leaves
from .record import Operand, Tensor, Trace, denominator_of, means_in, plain_array, weighted

__all__ = ["Batch", "Observer", "Outcome", "checked_weight", "loss_and_parts"]


class Batch:
    """The tensors of a batch in a recording.

    Attributes:
        examples: the length of the first; a loss that is no mean over examples counts as much.
    """

    def __init__(self, trace: Trace, arguments: Any) -> None:
        own = [tensor for tensor in leaves(arguments) if isinstance(tensor, Operand)]
        self._trace = trace
        self._dependence = Dependence(trace.graph, [tensor._as_value(trace) for tensor in own])
        self.examples = float(own[0].shape[0]) if own and own[0].ndim else 1.0

    def reaches(self, x: Operand) -> bool:
        """Whether a tensor depends on the batch."""
        return self._dependence.of(x._as_value(self._trace))

    def known_denominator(self, value: Any) -> Tensor | float | None:
        """The denominator of a mean over the batch; None for another scalar."""
        return denominator_of(value, self.reaches) if isinstance(value, Operand) else None

    def denominator(self, value: Any) -> Tensor | float:
        """What the scalar of a batch counts by among those of several."""
        known = self.known_denominator(value)
        return self.examples if known is None else known

    def weighted(
        self, loss: Any, parts: Mapping[str, Any], weight: Operand, what: str
    ) -> tuple[Any, dict[str, Any]]:
        """The loss, and those parts that are means over examples, with weights for the examples.

        Raises ValueError for a loss that is no mean over examples.
        """
        changed = {
            name: weighted(part, weight, self.reaches, f"{what}: the part {name!r}")
            if any(self.reaches(mean.terms) for mean in means_in(part))
            else part
            for name, part in parts.items()
        }
        return weighted(loss, weight, self.reaches, what), changed


class Outcome(NamedTuple):
    """What the forward pass of a batch gave, in a recording."""

    loss: Any
    parts: dict[str, Any]
    output: Any  # of the model; None in a step over a function
    target: Any
    batch: Batch


class Observer(Protocol):
    """Something that counts in the programs of a `TrainStep`; see `TrainStep.observe`.

    Attributes:
        programs: the same for observers whose programs may serve each other.
    """

    @property
    def programs(self) -> object: ...
    def record(self, outcome: Outcome, /) -> bool: ...
    def follow(self, other: Any, /) -> None: ...


def checked_weight(weight: Any, what: str) -> np.ndarray:
    """Weights of examples as an array [n]. Raises TypeError or ValueError for anything else."""
    array = plain_array(weight, what)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{what} must be numbers, got dtype {array.dtype}")
    if array.ndim != 1 or not len(array):
        raise ValueError(f"{what} must be a number for each example, [n], got shape {array.shape}")
    # A NaN is the least and the largest of what it is among.
    if not (array.min() >= 0 and array.max() < math.inf):
        raise ValueError(f"{what} must be finite and 0 or more, got {array.min()} to {array.max()}")
    return array


def loss_and_parts(result: Any, what: str) -> tuple[Any, dict[str, Any]]:
    """Loss and parts of `loss` or `(loss, parts)`. Raises TypeError or ValueError for anything else."""
    loss, parts = result if isinstance(result, tuple) and len(result) == 2 else (result, {})
    if not isinstance(parts, Mapping):
        raise TypeError(
            f"{what}: after the loss, a dict of named parts is expected, got {type(parts).__name__}"
        )
    for name, value in parts.items():
        shape = value.shape if isinstance(value, Operand) else np.shape(value)
        if not isinstance(name, str) or shape != ():
            raise ValueError(
                f"{what}: a part is a name and a scalar, got {name!r} with shape {shape}; reduce it by "
                "mean() or sum()"
            )
    return check_scalar(loss, what), dict(parts)
