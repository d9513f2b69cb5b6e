"""Mini-batches in a seeded order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from .. import _core
from .._dims import is_dim
from .._nesting import as_arrays, common_length, shapes_of, take
from .._numbers import whole
from .._splitmix import number_at
from .._state import check_keys, count, read_count
from ._buckets import Buckets, fill_with, lengths_of, sequences_or_array, take_padded
from ._sampler import WEIGHTS_ALONE, Sampler, make_sampler
from ._source import Source
from ._workers import in_order
from .augment import Plan

__all__ = ["Batches"]

_PLACES = 0xD1B54A32D192ED03  # makes of an epoch's seed that of the order of its batches


class Batches(Source):
    """Mini-batches of arrays that share their first axis; each pass over them is one epoch.

    The order of an epoch is a function of (seed, epoch), so a run that resumes at `epoch = k` sees what the
    uninterrupted run saw.

    Args:
        arrays: at least one array [n, ...], or arrays in nested tuples and dicts; a batch is a tuple with a
            piece of each. `Batches(x, y)` and `Batches(x, y, weight)` are what training takes. Examples are
            taken by index, so a memory map (`numpy.load(path, mmap_mode="r")`) is never copied as a whole.
        batch_size: examples in a batch.
        shuffle: a new order in every epoch; False keeps the arrays' order.
        seed: of the orders; None draws one from the process generator (`rv.seed`).
        drop_last: leave out the last batch if it is short.
        sampler: another way to draw an epoch's examples, always shuffled. "weighted": n draws with
            replacement, with probabilities in proportion to `weights`. "balanced": n examples with as many of
            each class, in every batch up to one: rare ones return, others pause. "stratified": every example
            once, with the classes' shares in every batch up to one. The last two need integer labels [n] as
            second array.
        weights: for "weighted", [n].
        bucket_by: examples of like length come together, and lists of sequences [t, ...] are padded: the
            lengths [n], or a function of an example's parts that returns one. An epoch has as many batches
            as without; its examples, in the order that `shuffle` or `sampler` say, are sorted by bucket
            ("balanced" and "stratified" then hold for epochs, not for batches), cut into batches, and these
            shuffled. All sequences of a batch are padded to the bound of its last bucket, so at most as many
            shapes occur as there are buckets, and one more for a short last batch. Arrays are taken as they
            are; give the lengths as one where the model needs them.
        buckets: for `bucket_by`: ascending bounds of lengths, or how many there are, each then with as many
            examples.
        pad_value: for `bucket_by`: what sequences are padded with, a number for all or numbers in tuples and
            dicts as the arrays are.
        rows: the examples that take part, indices [m], in this order; all by default. For "weighted" and
            labels, the n entries are those of all examples.

        augment: random changes of the images, which are the first array: a list of `rv.data.augment`.
        workers: threads that make batches while the training runs, a few ahead; 0 makes each when it is asked
            for. The batches are the same for any number.

    Attributes:
        epoch: the number of the next pass, from 0; it may be set.
        min_last: a last batch of fewer examples joins the batch before it, 1 by default; it may be set.

    Raises:
        ValueError: no arrays, different lengths, a batch size below 1, a sampler without what it needs, an
            example longer than the last bucket.

    Example:
        >>> import numpy as np, ravine as rv
        >>> batches = rv.data.Batches(np.arange(5), batch_size=2)
        >>> len(batches), [piece.tolist() for (piece,) in batches]
        (3, [[0, 1], [2, 3], [4]])
        >>> words, n = [[1, 2, 3, 4], [5], [6, 7], [8, 9, 10]], np.array([4, 1, 2, 3])
        >>> batches = rv.data.Batches(words, n, batch_size=2, bucket_by=n, buckets=[2, 4])
        >>> for x, n in batches:
        ...     print(x.tolist(), n.tolist())
        [[5, 0], [6, 7]] [1, 2]
        [[1, 2, 3, 4], [8, 9, 10, 0]] [4, 3]
    """

    def __init__(
        self,
        *arrays: Any,
        batch_size: int = 32,
        shuffle: bool = False,
        seed: int | None = 0,
        drop_last: bool = False,
        sampler: str | None = None,
        weights: Any = None,
        rows: Any = None,
        bucket_by: Any = None,
        buckets: Any = 8,
        pad_value: Any = 0,
        augment: Any = (),
        workers: int = 0,
    ) -> None:
        of_list = None if bucket_by is None else sequences_or_array
        self.arrays: tuple[Any, ...] = tuple([as_arrays(array, "Batches", of_list) for array in arrays])
        length = common_length(self.arrays)
        if length is None:
            shapes = [shapes_of(array) for array in self.arrays]
            raise ValueError(f"Batches: expected arrays with as many examples each, got shapes {shapes}")
        self.batch_size = whole("Batches", "batch_size", batch_size, 1)
        self.shuffle = shuffle
        if seed is not None and not is_dim(seed):
            raise TypeError(f"Batches: seed must be an integer or None, got {seed!r}")
        self.seed = _core.draw_seed() if seed is None else seed
        self.drop_last = drop_last
        self.min_last = 1
        self._rows = None if rows is None else _checked_rows(rows, length)
        self.n = length if self._rows is None else len(self._rows)
        self._sampler = self._make_sampler(sampler, weights, length)
        self._buckets = None
        if bucket_by is not None:
            used = np.arange(length) if self._rows is None else self._rows
            self._buckets = Buckets(lengths_of(bucket_by, self.arrays, length), used, buckets)
            self._buckets.check(self.arrays, used)
            fill_with(pad_value, self.arrays)
        self.workers = whole("Batches", "workers", workers, 0)
        self._plan = None
        if augment:
            if self._buckets is not None:
                raise ValueError("Batches: augment changes images, bucket_by is for sequences; give one")
            self._plan = Plan(augment, self.arrays[0], self.arrays[1] if len(self.arrays) > 1 else None)

    n: int
    """Examples in an epoch, before `drop_last`."""

    def _make_sampler(self, kind: str | None, weights: Any, length: int) -> Sampler | None:
        if kind is None:
            if weights is not None:
                raise ValueError(WEIGHTS_ALONE)
            return None
        if self.n == 0:
            raise ValueError(f"Batches: sampler={kind!r} of no examples")
        target = self.arrays[1] if len(self.arrays) > 1 else None
        if self._rows is not None:
            target = take(target, self._rows) if isinstance(target, np.ndarray) else target
            weights = np.asarray(weights)[self._rows] if np.shape(weights) == (length,) else weights
        return make_sampler(kind, self.n, target, weights)

    def __len__(self) -> int:
        full, rest = divmod(self.n, self.batch_size)
        joins = self.drop_last or (full > 0 and rest < self.min_last)
        return full if joins else full + (rest > 0)

    def batches(self, epoch: int, start: int = 0) -> Iterator[tuple[Any, ...]]:
        seed = number_at(self.seed, epoch)
        order, n = self._order(seed), len(self)
        end = n * self.batch_size if self.drop_last else self.n

        def piece(i: int) -> slice:
            begin = i * self.batch_size
            return slice(begin, end if i == n - 1 else begin + self.batch_size)

        if self._buckets is None:
            chosen_of = ((i, piece(i) if order is None else order[piece(i)]) for i in range(start, n))
            yield from in_order(partial(self._taken, epoch), chosen_of, self.workers)
            return
        order = self._buckets.sorted((np.arange(self.n) if order is None else order)[:end])
        is_shuffled = self.shuffle or self._sampler is not None
        places = _core.permutation(n, seed ^ _PLACES) if is_shuffled else np.arange(n)
        padded = (
            (chosen, self._buckets.bound(chosen))
            for i in places[start:].tolist()
            for chosen in [order[piece(i)]]
        )
        yield from in_order(partial(take_padded, self.arrays), padded, self.workers)

    def _taken(self, epoch: int, i: int, chosen: Any) -> tuple[Any, ...]:
        """Batch number i of an epoch."""
        if self._plan is None:
            return tuple([take(array, chosen) for array in self.arrays])
        images = self._plan.images(self.arrays[0], chosen, self.seed, epoch, i * self.batch_size)
        others = [take(array, chosen) for array in self.arrays[1:]]
        return self._plan.batch((images, *others), self.seed, epoch, i)

    def _order(self, seed: int) -> np.ndarray | None:
        """The examples of an epoch by index; None for all as they are."""
        if self._sampler is not None:
            order = self._sampler.order(seed)
        elif self.shuffle:
            order = _core.permutation(self.n, seed)
        else:
            return self._rows
        return order if self._rows is None else self._rows[order]

    def release(self) -> None:
        """Lets go of the arrays: where the source stands is left, and its number of batches."""
        self.arrays, self._sampler = self.arrays[:0], None

    def state_dict(self) -> dict[str, np.ndarray]:
        """Where the source stands, with "n", "batch_size" and "buckets", without which that means nothing."""
        state = super().state_dict() | {"n": count(self.n), "batch_size": count(self.batch_size)}
        return state if self._buckets is None else state | {"buckets": self._buckets.bounds.copy()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        added = {"n", "batch_size"} if self._buckets is None else {"n", "batch_size", "buckets"}
        own = {key: value for key, value in state_dict.items() if key not in added}
        check_keys("Batches", state_dict, {*own, *added})
        for key, value in (("n", self.n), ("batch_size", self.batch_size)):
            saved = read_count("Batches", state_dict, key)
            if saved != value:
                raise ValueError(
                    f"load_state_dict of Batches: the state is of a run with {key}={saved}, this has {value}"
                )
        if self._buckets is not None and not np.array_equal(state_dict["buckets"], self._buckets.bounds):
            raise ValueError(
                f"load_state_dict of Batches: the state is of a run with buckets {state_dict['buckets']}, "
                f"this has {self._buckets.bounds}"
            )
        super().load_state_dict(own)


def _checked_rows(rows: Any, n: int) -> np.ndarray:
    rows = np.asarray(rows)
    if rows.dtype == np.bool_:
        raise ValueError("Batches: rows must be indices, got a mask; numpy.flatnonzero(mask) gives them")
    if rows.size == 0:
        rows = rows.astype(np.int64)
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or (rows.size and not -1 < rows.min() <= rows.max() < n):
        raise ValueError(f"Batches: rows must be indices [m] below {n}, got {rows.dtype} {rows.shape}")
    return rows.astype(np.int64, copy=False)
