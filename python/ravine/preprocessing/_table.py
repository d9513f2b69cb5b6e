"""What transformers are given: arrays, nested lists, dicts of columns and frames; and words for their
columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..record import plain_array

_BLOCK_ELEMENTS = 1 << 18  # worked on at a time: 2 MB of float64


def read(owner: str, X: Any) -> tuple[np.ndarray, list[str] | None]:
    """The array of `X`, and the names of its columns where it has them (a frame, or a dict of columns)."""
    if isinstance(X, Mapping):
        columns = [np.asarray(column) for column in X.values()]
        shapes = {column.shape for column in columns}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1:
            seen = {str(name): column.shape for name, column in zip(X, columns, strict=True)}
            raise ValueError(f"{owner}: columns must be vectors of one length, got {seen}")
        alike = len({column.dtype.kind in "fiub" for column in columns}) == 1
        if not (alike and columns[0].dtype.kind in "fiub"):
            columns = [column.astype(object) for column in columns]
        return np.column_stack(columns), [str(name) for name in X]
    if hasattr(X, "columns") and hasattr(X, "to_numpy"):
        return np.asarray(X.to_numpy()), [str(name) for name in X.columns]
    return plain_array(X, f"{owner}: X"), None


def label(names: Sequence[str] | None, i: int, unit: str = "column") -> str:
    """How messages name a column."""
    return f"{unit} {i}" if names is None else f"column {names[i]!r}"


def table(owner: str, array: np.ndarray) -> np.ndarray:
    """The array, where it is a table with columns."""
    if array.ndim != 2:
        hint = "; X.reshape(-1, 1) makes one of a single column" if array.ndim == 1 else ""
        raise ValueError(f"{owner}: a table [rows, columns] is expected, got shape {array.shape}{hint}")
    return array


def numbers(
    owner: str,
    array: np.ndarray,
    names: Sequence[str] | None,
    *,
    missing: bool,
    unit: str = "column",
) -> np.ndarray:
    """The array with a dtype of numbers; infinities, and NaN unless `missing`, are refused by their column.

    `unit` is what the second dimension counts.

    Raises TypeError for what are no numbers, ValueError for numbers that are not finite.
    """
    if array.dtype.kind == "O":
        array = _from_objects(owner, array, names)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{owner}: numbers are expected, got an array of dtype {array.dtype}")
    if array.dtype.kind != "f":
        return array
    for rows in blocks(array):
        block = array[rows]
        bad = np.isinf(block) if missing else ~np.isfinite(block)
        if bad.any():
            where = np.argwhere(bad)[0]
            column = label(names, int(where[1]), unit)
            value = block[tuple(where)]
            raise ValueError(f"{owner}: {column} holds {value} in row {rows.start + where[0]}")
    return array


def _from_objects(owner: str, array: np.ndarray, names: Sequence[str] | None) -> np.ndarray:
    try:
        return array.astype(np.float64)  # None becomes NaN
    except (TypeError, ValueError):
        for where in np.ndindex(array.shape):
            value = array[where]
            if value is not None and not isinstance(value, int | float | np.number | np.bool_):
                raise TypeError(
                    f"{owner}: {label(names, where[1])} holds {value!r}, expected numbers"
                ) from None
        raise


def blocks(array: np.ndarray) -> Iterator[slice]:
    """Slices of rows, few enough to work on a copy of them."""
    rows = max(1, _BLOCK_ELEMENTS // max(1, array[:1].size))
    return (slice(start, min(start + rows, len(array))) for start in range(0, len(array), rows))


def floating(array: np.ndarray) -> np.dtype[Any]:
    """The dtype of what a transformer makes of an array: float32 of float16, float32 and uint8, else
    float64."""
    return np.dtype(np.float32 if array.dtype.name in ("float16", "float32", "uint8") else np.float64)
