"""Mini-batches for the members of an ensemble, each in an order of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from .. import _core
from .._numbers import whole
from .._splitmix import number_at
from ._batches import Batches
from ._source import Source

__all__ = ["MemberBatches"]


class MemberBatches(Source):
    """Mini-batches of the same arrays for n members, as a call with `each=True` takes them.

    Member i sees what `Batches(*arrays, rows=rows[i], seed=s)` gives, where s is number i of the stream of
    `seed`. A batch has arrays [n, size, ...]; where members have batches of different sizes, lists of n
    arrays, in which None stands for a member whose epoch has ended.

    Args:
        arrays: at least one array [N, ...], or arrays in nested tuples and dicts.
        n: how many members.
        rows: of each member the examples that it sees, n index arrays, such as folds or bootstrap samples;
            None for all.
        batch_size: examples in a member's batch.
        shuffle: a new order in every epoch.
        seed: of the orders; None draws one from the process generator (`rv.seed`).
        drop_last: leave out a member's last batch if it is short.

    Raises ValueError: as `Batches`, and for another number of `rows`.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rows = [[0, 1, 2], [3]]
        >>> source = rv.data.MemberBatches(np.arange(4), n=2, rows=rows, batch_size=2, shuffle=False)
        >>> [[None if part is None else part.tolist() for part in x] for (x,) in source]
        [[[0, 1], [3]], [[2], None]]
    """

    def __init__(
        self,
        *arrays: Any,
        n: int,
        rows: Sequence[Any] | None = None,
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = 0,
        drop_last: bool = False,
    ) -> None:
        n = whole("MemberBatches", "n", n)
        if rows is not None and len(rows) != n:
            raise ValueError(f"MemberBatches: got rows for {len(rows)} members, expected {n}")
        self.seed = _core.draw_seed() if seed is None else seed
        self._members = [
            Batches(
                *arrays,
                batch_size=batch_size,
                shuffle=shuffle,
                drop_last=drop_last,
                rows=None if rows is None else rows[i],
            )
            for i in range(n)
        ]

    @property
    def sizes(self) -> list[int]:
        """Of each member, the examples of an epoch."""
        return [member.n for member in self._members]

    def __len__(self) -> int:
        return max(map(len, self._members))

    def batches(self, epoch: int, start: int = 0) -> Iterator[Any]:
        for i, member in enumerate(self._members):
            member.seed = number_at(self.seed, i)
        yield from map(_joined, zip_longest(*[member.batches(epoch, start) for member in self._members]))


def _joined(parts: Sequence[Any]) -> Any:
    """The members' parts as one, in the nesting that they have."""
    present = [part for part in parts if part is not None]
    first = present[0]
    if isinstance(first, tuple):
        return tuple(
            [_joined([None if part is None else part[k] for part in parts]) for k in range(len(first))]
        )
    if isinstance(first, dict):
        return {key: _joined([None if part is None else part[key] for part in parts]) for key in first}
    alike = len(present) == len(parts) and len({part.shape for part in present}) == 1
    return np.stack(present) if alike else list(parts)
