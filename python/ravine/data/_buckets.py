"""Buckets of examples of like length: which there are, what goes into which, and how it is padded."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._nesting import leaves, mapped, take
from ..record import is_number, plain_array
from ._sequences import Sequences, check_value

__all__ = ["Buckets", "fill_with", "lengths_of", "sequences_or_array", "take_padded"]


class Buckets:
    """Bounds of lengths, and for each example the first bound that is not below its length.

    Args:
        lengths: of all examples, int64 [n].
        rows: those that take part.
        buckets: the bounds, ascending; or their number, the bounds then being such lengths that as many
            examples fall into each.
    """

    def __init__(self, lengths: np.ndarray, rows: np.ndarray, buckets: Any) -> None:
        ascending = np.sort(lengths[rows])
        longest = int(ascending[-1]) if len(rows) else 0
        if isinstance(buckets, int | np.integer) and not isinstance(buckets, bool):
            if buckets < 1:
                raise ValueError(f"Batches: buckets={buckets}, expected at least 1")
            ends = -(-len(rows) * np.arange(1, buckets + 1) // buckets) - 1
            self.bounds = np.unique(ascending[ends]) if len(rows) else np.zeros(1, np.int64)
        else:
            self.bounds = np.asarray(buckets)
            whole = self.bounds.ndim == 1 and self.bounds.size > 0 and self.bounds.dtype.kind in "iu"
            if not whole or self.bounds[0] < 0 or (np.diff(self.bounds) <= 0).any():
                raise ValueError(f"Batches: buckets must be a number or ascending lengths, got {buckets!r}")
            if longest > self.bounds[-1]:
                raise ValueError(
                    f"Batches: an example has length {longest}, above the last of the buckets, "
                    f"{self.bounds[-1]}; pad_sequences(..., length={self.bounds[-1]}) cuts what is longer"
                )
        self._bucket = np.searchsorted(self.bounds, lengths)

    def sorted(self, order: np.ndarray) -> np.ndarray:
        """The examples of `order` by bucket; those of one bucket stay in the order they have."""
        return order[np.argsort(self._bucket[order], kind="stable")]

    def bound(self, examples: np.ndarray) -> int:
        """The length to which these are padded."""
        return int(self.bounds[self._bucket[examples].max(initial=0)])

    def check(self, nested: Any, rows: np.ndarray) -> None:
        """Raises ValueError if a sequence is longer than the bucket of its example."""
        bounds = self.bounds[self._bucket[rows]]
        for leaf in leaves(nested):
            lengths = leaf.lengths[rows] if isinstance(leaf, Sequences) else bounds
            if (lengths > bounds).any():
                i = int((lengths > bounds).argmax())
                raise ValueError(
                    f"Batches: the sequence of example {rows[i]} has length {lengths[i]}, but the bucket "
                    f"that bucket_by says ends at {bounds[i]}"
                )


def lengths_of(bucket_by: Any, arrays: tuple[Any, ...], n: int) -> np.ndarray:
    """What `bucket_by` says of each of n examples, int64 [n]."""
    if callable(bucket_by):
        examples = ([mapped(part, lambda leaf, i=i: leaf[i]) for part in arrays] for i in range(n))
        lengths = np.asarray([bucket_by(*example) for example in examples] or np.zeros(0, np.int64))
    else:
        lengths = np.asarray(bucket_by)
    if lengths.shape != (n,) or lengths.dtype.kind not in "iu" or (lengths < 0).any():
        raise ValueError(
            f"Batches: bucket_by must give a length of 0 or more for each of {n} examples, got "
            f"{lengths.dtype} {lengths.shape}"
        )
    return lengths.astype(np.int64, copy=False)


def sequences_or_array(data: list[Any], what: str) -> Any:
    """What a list stands for: sequences, or an array where it holds numbers."""
    if all(is_number(item) for item in data):
        return plain_array(data, what)
    return Sequences(data, what)


def fill_with(values: Any, nested: Any, what: str = "Batches: pad_value") -> None:
    """Sets what the sequences of a nesting are padded with: one number for all, or numbers nested alike."""
    if isinstance(nested, Sequences):
        check_value(values, nested.items.dtype, what)
        nested.value = values
    elif isinstance(nested, dict | tuple):
        keys = list(nested) if isinstance(nested, dict) else [*range(len(nested))]
        is_nested = isinstance(values, dict | tuple)
        if is_nested:
            own = list(values) if isinstance(values, dict) else [*range(len(values))]
            if type(values) is not type(nested) or set(own) != set(keys):
                raise ValueError(f"{what}={values!r} is not nested as the arrays are")
        for key in keys:
            fill_with(values[key] if is_nested else values, nested[key], what)


def take_padded(nested: Any, rows: np.ndarray, length: int) -> Any:
    """The examples `rows` of every array, sequences padded to the length."""

    def of_leaf(leaf: Any) -> np.ndarray:
        return leaf.padded(rows, length, leaf.value) if isinstance(leaf, Sequences) else take(leaf, rows)

    return mapped(nested, of_leaf)
