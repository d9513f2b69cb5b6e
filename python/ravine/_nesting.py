"""Arrays in nested tuples and dicts: the examples of models with several inputs or targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .record import is_number, plain_array

__all__ = ["as_arrays", "common_length", "leaves", "mapped", "shapes_of", "take"]


def as_arrays(data: Any, what: str, of_list: Callable[[list[Any], str], Any] | None = None) -> Any:
    """The same nesting with NumPy arrays at its leaves; a memory map is not copied.

    Dicts are nestings, and tuples that hold anything but numbers. Everything else is one array: a NumPy
    array, lists of numbers, a torch tensor, a pandas series, or a pandas frame (the array of its columns).
    `of_list(data, what)` makes other leaves of lists.

    Raises:
        TypeError: naming the place of a masked array, or of a column that does not hold numbers.
        ValueError: naming the column with missing values, or the place of lists that make no array.
    """
    if type(data) is np.ndarray:
        return data
    if isinstance(data, dict):
        return {key: as_arrays(item, f"{what}[{key!r}]", of_list) for key, item in data.items()}
    if isinstance(data, tuple) and any(not is_number(item) for item in data):
        return tuple(as_arrays(item, f"{what}[{i}]", of_list) for i, item in enumerate(data))
    if of_list is not None and isinstance(data, list):
        return of_list(data, what)
    if type(data).__module__.partition(".")[0] == "pandas":
        return _of_pandas(data, what)
    try:
        return plain_array(data, what)
    except ValueError as error:
        raise ValueError(f"{what}: cannot make an array of it: {error}") from None


def _of_pandas(data: Any, what: str) -> np.ndarray:
    columns = getattr(data, "columns", None)
    if columns is None:
        return _column(data, what, "the series" if data.name is None else f"the series {data.name!r}")
    arrays = [_column(data.iloc[:, i], what, f"column {name!r}") for i, name in enumerate(columns)]
    if not arrays:
        raise ValueError(f"{what}: the frame has no columns")
    return np.stack(arrays, axis=1)


def _column(column: Any, what: str, name: str) -> np.ndarray:
    kind = getattr(column.dtype, "kind", "O")
    if kind not in "biuf":
        example = "" if len(column) == 0 else f" (such as {column.iloc[0]!r})"
        raise TypeError(
            f"{what}: {name} holds {column.dtype} values{example}, expected numbers; encode it first, "
            "for example by .astype('category').cat.codes"
        )
    missing = int(column.isna().sum())
    if missing:
        raise ValueError(f"{what}: {name} has {missing} missing values of {len(column)}; fill or drop them")
    # Columns that can hold missing values have dtypes of their own; NumPy's have the name in small letters.
    return column.to_numpy(dtype=np.dtype(str(column.dtype).lower().replace("boolean", "bool")))


def leaves(nested: Any) -> Iterator[np.ndarray]:
    """The arrays of a nesting, in order."""
    if isinstance(nested, dict):
        for item in nested.values():
            yield from leaves(item)
    elif isinstance(nested, tuple | list):
        for item in nested:
            yield from leaves(item)
    else:
        yield nested


def mapped(nested: Any, function: Callable[[Any], Any]) -> Any:
    """The same nesting with the function's results at its leaves."""
    if isinstance(nested, dict):
        return {key: mapped(item, function) for key, item in nested.items()}
    if isinstance(nested, tuple):
        return tuple([mapped(item, function) for item in nested])
    return function(nested)


def take(nested: Any, rows: np.ndarray | slice) -> Any:
    """The examples `rows` of every array: a copy for indices, a view for a slice."""
    if type(nested) is np.ndarray:
        return nested[rows] if isinstance(rows, slice) else nested.take(rows, axis=0)
    return mapped(nested, lambda array: take(array, rows))


def shapes_of(nested: Any) -> Any:
    """The nesting of the arrays' shapes, for messages."""
    return mapped(nested, lambda array: array.shape)


def common_length(nested: Any) -> int | None:
    """The number of examples that all arrays have; None if they differ, have no axis, or there are none."""
    shapes = [array.shape for array in leaves(nested)]
    if not shapes or () in shapes or len({shape[0] for shape in shapes}) != 1:
        return None
    return shapes[0][0]
