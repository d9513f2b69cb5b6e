"""Mini-batches in a seeded order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .. import _core, _trace

__all__ = ["Batches"]

_MASK = (1 << 64) - 1


def epoch_seed(seed: int, epoch: int) -> int:
    """One seed for each (seed, epoch), without the collisions of seed + epoch.

    Source: G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators" (SplitMix64), 2014.
    """
    z = (seed + (epoch + 1) * 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


class Batches:
    """Mini-batches of arrays that share their first axis; each pass over them is one epoch.

    The order of an epoch is a function of (seed, epoch), so a run that resumes at `epoch = k` sees what the
    uninterrupted run saw.

    Args:
        arrays: at least one array [n, ...]; a batch is a tuple with a piece of each.
        batch_size: examples in a batch.
        shuffle: a new order in every epoch; False keeps the arrays' order.
        seed: of the orders; None draws one from the process generator (`rv.seed`).
        drop_last: leave out the last batch if it is short.

    Attributes:
        epoch: the number of the next pass, from 0; it may be set.
        min_last: a last batch of fewer examples joins the batch before it, 1 by default; it may be set.

    Raises:
        ValueError: no arrays, different lengths, a batch size below 1.

    Example:
        >>> import numpy as np, ravine as rv
        >>> batches = rv.data.Batches(np.arange(5), batch_size=2)
        >>> len(batches), [piece.tolist() for (piece,) in batches]
        (3, [[0, 1], [2, 3], [4]])
    """

    def __init__(
        self,
        *arrays: np.ndarray,
        batch_size: int = 32,
        shuffle: bool = False,
        seed: int | None = 0,
        drop_last: bool = False,
    ) -> None:
        self.arrays = tuple(_trace.plain_array(array, "Batches") for array in arrays)
        shapes = [array.shape for array in self.arrays]
        if not shapes or () in shapes or len({shape[0] for shape in shapes}) != 1:
            raise ValueError(f"Batches: expected arrays with as many examples each, got shapes {shapes}")
        if batch_size < 1:
            raise ValueError(f"Batches: batch_size={batch_size}, expected at least 1")
        self.batch_size = int(batch_size)
        self.shuffle = shuffle
        self.seed = _core.draw_seed() if seed is None else seed
        self.drop_last = drop_last
        self.epoch = 0
        self.min_last = 1

    @property
    def n(self) -> int:
        """Examples in an epoch, before `drop_last`."""
        return len(self.arrays[0])

    def __len__(self) -> int:
        full, rest = divmod(self.n, self.batch_size)
        joins = self.drop_last or (full > 0 and rest < self.min_last)
        return full if joins else full + (rest > 0)

    def __iter__(self) -> Iterator[tuple[np.ndarray, ...]]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        order = _core.permutation(self.n, epoch_seed(self.seed, epoch)) if self.shuffle else None
        return self._pieces(order)

    def _pieces(self, order: np.ndarray | None) -> Iterator[tuple[np.ndarray, ...]]:
        last = len(self) - 1
        end = (last + 1) * self.batch_size if self.drop_last else self.n
        for i in range(last + 1):
            start = i * self.batch_size
            rows = slice(start, end if i == last else start + self.batch_size)
            if order is None:
                yield tuple(array[rows] for array in self.arrays)
            else:
                yield tuple(array.take(order[rows], axis=0) for array in self.arrays)
