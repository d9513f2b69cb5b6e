"""Sums over batches that a program keeps itself: read once an epoch, or when somebody asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ... import _core, ops
from ..._loss import Outcome
from ...record import Operand, Tensor, current

__all__ = ["Tally", "loss_sums"]

# The name of a sum, and its shape.
Layout = tuple[tuple[str, tuple[int, ...]], ...]


def loss_sums(outcome: Outcome) -> dict[str, Any]:
    """What one batch adds to the sums of which the means of the loss and its parts are made."""
    weight = outcome.batch.denominator(outcome.loss)
    sums = {"loss": _product(outcome.loss, weight), "weight": weight, "batches": 1.0}
    for name, part in outcome.parts.items():
        known = outcome.batch.known_denominator(part)
        own = weight if known is None else known
        sums |= {f"part.{name}": _product(part, own), f"part_weight.{name}": own}
    return sums


def _product(value: Any, weight: Any) -> Tensor:
    return ops.mul(_wide(value), weight)


def _wide(x: Any) -> Operand:
    return ops.cast(x, "float64") if isinstance(x, Operand) else ops.full((), float(x), dtype="float64")


class Tally:
    """Named sums in float64.

    The sums of one recording are one array, which its program adds to behind everything that may refuse the
    step: without a result, and without Python.
    """

    def __init__(self) -> None:
        self.programs = object()  # stands for those that add to the arrays
        self._arrays: dict[Layout, _core.Array] = {}
        self._others: dict[str, np.ndarray] = {}  # of no program so far

    def record(self, sums: Mapping[str, Any]) -> None:
        """Makes the recording under way add these."""
        trace = current()
        assert trace is not None
        tensors = {name: _wide(x) for name, x in sums.items()}
        layout = tuple([(name, x.shape) for name, x in tensors.items()])
        if layout not in self._arrays:
            known = self._others
            first = [known.pop(name, np.zeros(shape)).reshape(-1) for name, shape in layout]
            self._arrays[layout] = _core.Array(np.concatenate(first), False)
        array = self._arrays[layout]
        own = ops.cat([x.reshape((-1,)) for x in tensors.values()])
        before = Tensor(trace.state(array), trace)
        trace.assign(array, (before + own)._as_value(trace))

    def add(self, sums: Mapping[str, Any]) -> None:
        """Adds numbers and arrays at once."""
        for name, value in sums.items():
            place = self._place(name)
            if place is None:
                known = self._others.get(name)
                value = np.asarray(value, np.float64)
                self._others[name] = value if known is None else known + value
            else:
                place += value

    def _place(self, name: str) -> np.ndarray | None:
        """The first program's sum of this name, as a view."""
        for layout, array in self._arrays.items():
            at = 0
            for own, shape in layout:
                size = int(np.prod(shape, dtype=np.int64))
                if own == name:
                    return array.numpy()[at : at + size].reshape(shape)
                at += size
        return None

    def values(self) -> dict[str, np.ndarray]:
        """Copies of all sums by name."""
        result = {name: value.copy() for name, value in self._others.items()}
        for layout, array in self._arrays.items():
            numbers, at = array.numpy(), 0
            for name, shape in layout:
                size = int(np.prod(shape, dtype=np.int64))
                own = numbers[at : at + size].reshape(shape)
                result[name] = own.copy() if name not in result else result[name] + own
                at += size
        return result

    def reset(self) -> None:
        """Sets all sums to 0."""
        self._others.clear()
        for array in self._arrays.values():
            array.numpy()[...] = 0.0

    def load(self, sums: Mapping[str, np.ndarray]) -> None:
        """Goes on from what `values` returned."""
        self.reset()
        self.add(sums)

    def take_programs(self, other: Tally) -> None:
        """From now on the other's programs add to these sums; both keep theirs."""
        own = self.values()
        self.programs, self._arrays = other.programs, other._arrays
        other._others = other.values()
        other.programs, other._arrays = object(), {}
        self.load(own)

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles have the sums, and programs of their own."""
        return {"programs": object(), "_arrays": {}, "_others": self.values()}
