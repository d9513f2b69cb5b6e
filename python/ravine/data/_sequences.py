"""Sequences of different lengths, and the arrays that they are padded to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..record import plain_array

__all__ = ["Sequences", "pad_sequences"]

_SIDES = ("right", "left")


class Sequences:
    """Sequences [t, ...] one after another in one array, each with a length of its own.

    Raises TypeError for what holds no numbers, ValueError for sequences whose items differ in shape; both
    name the sequence.
    """

    value: float = 0  # what they are padded with

    def __init__(self, sequences: Any, what: str) -> None:
        if isinstance(sequences, str | bytes | dict) or not isinstance(sequences, Iterable):
            raise TypeError(f"{what}: a list of sequences is expected, got {type(sequences).__name__}")
        arrays = [_sequence(sequence, f"{what}: sequence {i}") for i, sequence in enumerate(sequences)]
        filled = [i for i, array in enumerate(arrays) if len(array)]
        for i in filled:
            if arrays[i].shape[1:] != arrays[filled[0]].shape[1:]:
                raise ValueError(
                    f"{what}: the items of sequence {i} have shape {arrays[i].shape[1:]}, those of sequence "
                    f"{filled[0]} {arrays[filled[0]].shape[1:]}"
                )
        self.lengths = np.array([len(array) for array in arrays], np.int64)
        self.items = np.concatenate([arrays[i] for i in filled] or arrays[:1] or [np.zeros(0)])
        self._starts = np.cumsum(self.lengths) - self.lengths

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all, padded to the longest."""
        return (len(self.lengths), int(self.lengths.max(initial=0)), *self.items.shape[1:])

    def __getitem__(self, i: int) -> np.ndarray:
        return self.items[self._starts[i] : self._starts[i] + self.lengths[i]]

    def padded(
        self, rows: np.ndarray | slice, length: int, value: Any, side: str = "right", truncate: str = "right"
    ) -> np.ndarray:
        """The sequences `rows`, [rows, length, ...]; see `pad_sequences`."""
        starts, lengths = self._starts[rows], self.lengths[rows]
        kept = np.minimum(lengths, length)
        if truncate == "left":
            starts = starts + lengths - kept
        result = np.full((len(kept), length, *self.items.shape[1:]), value, self.items.dtype)
        place = np.arange(length)
        is_filled = place < kept[:, None]
        source = (starts[:, None] + place)[is_filled]
        result[is_filled if side == "right" else is_filled[:, ::-1]] = self.items[source]
        return result


def _sequence(sequence: Any, what: str) -> np.ndarray:
    try:
        array = plain_array(sequence, what)
    except ValueError:
        raise ValueError(f"{what} is no array: its items differ in shape") from None
    if array.ndim == 0:
        raise TypeError(f"{what} is {sequence!r}, expected an array or list of items")
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{what} holds {array.dtype} values, expected numbers")
    return array


def check_value(value: Any, dtype: np.dtype, what: str) -> None:
    """Raises TypeError for a padding that is no number, ValueError for one that the dtype cannot hold."""
    filler = np.asarray(value)
    if filler.ndim or filler.dtype.kind not in "biuf":
        raise TypeError(f"{what} must be a number, got {value!r}")
    if not _holds(dtype, filler):
        raise ValueError(f"{what}={value!r} cannot be held by {dtype}, the dtype of the sequences")


def _holds(dtype: np.dtype, values: np.ndarray) -> bool:
    """Whether the values stay what they are; rounding to a floating dtype is no change."""
    if dtype.kind == "f" or values.size == 0:
        return True
    with np.errstate(invalid="ignore"):
        return bool((values.astype(dtype) == values).all())


def _whole(value: Any, least: int, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{what} must be a whole number, got {value!r}")
    if value < least:
        raise ValueError(f"{what}={value}, expected at least {least}")
    return int(value)


def pad_sequences(
    sequences: Any,
    value: float = 0,
    length: int | None = None,
    side: str = "right",
    dtype: Any = None,
    multiple_of: int | None = None,
    *,
    truncate: str | None = "right",
) -> tuple[np.ndarray, np.ndarray]:
    """One array of sequences of different lengths, filled up with `value`, and their lengths.

    A program is compiled for each length that occurs: `length` and `multiple_of` keep these few, as does
    `Batches(sequences, bucket_by=...)`, which pads batch by batch. Recurrent layers take the lengths,
    `gru(x, lengths=n)`.

    Args:
        sequences: arrays or lists [t, ...] whose items all have the same shape; or an array [n, t, ...].
        value: what stands where a sequence has ended.
        length: of the padded sequences; None means that of the longest.
        side: where the padding goes, "right" (behind) or "left" (before).
        dtype: of the array; None means the one that holds the items of all sequences.
        multiple_of: rounds the length of the longest up; not together with `length`.
        truncate: the side on which sequences longer than `length` are cut, "right" (their beginnings stay) or
            "left" (their ends stay); None makes them an error.

    Returns:
        The array [n, length, ...], and the lengths that are no padding, int64 [n].

    Raises:
        TypeError: what is no list of sequences of numbers.
        ValueError: items that differ in shape, with the numbers of the sequences; a value or a dtype that
            cannot hold what it should; an unknown side; a sequence that is too long under `truncate=None`.

    Example:
        >>> import ravine as rv
        >>> x, n = rv.data.pad_sequences([[1, 2, 3], [4], []], value=-1)
        >>> x
        array([[ 1,  2,  3],
               [ 4, -1, -1],
               [-1, -1, -1]])
        >>> n
        array([3, 1, 0])
    """
    if side not in _SIDES or truncate not in (*_SIDES, None):
        raise ValueError(
            f"pad_sequences: side must be 'right' or 'left' and truncate one of them or None, got {side!r} "
            f"and {truncate!r}"
        )
    if length is not None and multiple_of is not None:
        raise ValueError(f"pad_sequences: length={length} or multiple_of={multiple_of} is expected, got both")
    held = Sequences(sequences, "pad_sequences")
    if dtype is not None:
        wanted = np.dtype(dtype)
        if not _holds(wanted, held.items):
            raise ValueError(f"pad_sequences: {wanted} cannot hold the values of the sequences")
        held.items = held.items.astype(wanted)
    check_value(value, held.items.dtype, "pad_sequences: value")
    longest = int(held.lengths.max(initial=0))
    if length is None:
        step = 1 if multiple_of is None else _whole(multiple_of, 1, "pad_sequences: multiple_of")
        length = -(-longest // step) * step
    length = _whole(length, 0, "pad_sequences: length")
    if truncate is None and longest > length:
        i = int(held.lengths.argmax())
        raise ValueError(f"pad_sequences: sequence {i} has length {longest}, above length={length}")
    array = held.padded(slice(None), length, value, side, truncate or "right")
    return array, np.minimum(held.lengths, length)
