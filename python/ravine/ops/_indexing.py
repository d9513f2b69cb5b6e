"""`tensor[index]`: integers, slices, `None`, `...`, integer arrays and boolean masks, as in torch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..record import Operand, Tensor, apply, as_array, known_numbers
from ._shape import permute, reshape


class _Plan:
    """An index, taken apart: what slicing does, the result's shape, and the index arrays by axis."""

    __slots__ = ("arrays", "flips", "places", "shape", "start", "step", "stop")

    def __init__(self, start: list[int], stop: list[int], step: list[int]) -> None:
        self.start, self.stop, self.step = start, stop, step
        self.flips: list[int] = []
        self.shape: list[int] = []  # of the result without the axes of index arrays
        self.arrays: dict[int, Any] = {}
        self.places: list[int] = []  # in `shape`, of every index array

    def slice(self, axis: int, size: int, item: slice) -> None:
        first, last, stride = item.indices(size)
        count = len(range(first, last, stride))
        if stride < 0:
            # the same elements from low to high, then in reverse
            first, stride = first + (count - 1) * stride, -stride
            self.flips.append(axis)
        self.start[axis], self.stop[axis], self.step[axis] = (
            (first, first + (count - 1) * stride + 1, stride) if count else (0, 0, 1)
        )
        self.shape.append(count)


def getitem(x: Operand, index: Any) -> Tensor:
    """Part of a tensor; an integer takes its dimension away, index arrays select along theirs, together."""
    items = _expand_ellipsis(_without_masks(list(index) if isinstance(index, tuple) else [index], x), x)
    plan = _Plan([0] * x.ndim, list(x.shape), [1] * x.ndim)
    axis = 0
    for item in items:
        if item is None:
            plan.shape.append(1)
            continue
        size = x.shape[axis]
        if isinstance(item, slice):
            plan.slice(axis, size, item)
        elif isinstance(item, int | np.integer) and not isinstance(item, bool):
            if not -size <= item < size:
                raise IndexError(
                    f"index {item} is out of range for dimension {axis} of size {size} (shape {x.shape})"
                )
            plan.start[axis] = int(item) % size
            plan.stop[axis] = plan.start[axis] + 1
        elif isinstance(item, Operand | np.ndarray | list):
            plan.arrays[axis] = _index_array(item)
            plan.places.append(len(plan.shape))
        else:
            raise TypeError(f"a tensor cannot be indexed with {item!r}")
        axis += 1
    y = x
    if plan.start != [0] * x.ndim or plan.stop != list(x.shape) or plan.step != [1] * x.ndim:
        y = apply("slice", y, start=tuple(plan.start), stop=tuple(plan.stop), step=tuple(plan.step))
    if plan.flips:
        y = apply("flip", y, axes=tuple(plan.flips))
    shape = plan.shape
    if plan.arrays:
        y, shape = _select(y, plan)
    return reshape(y, shape) if y.shape != tuple(shape) or not isinstance(y, Tensor) else y


def _select(y: Operand, plan: _Plan) -> tuple[Tensor, list[int]]:
    """Index arrays select along their axes together: one lookup in these axes joined into one."""
    axes = list(plan.arrays)
    sizes = [y.shape[a] for a in axes]
    indices, selected = _joined(list(plan.arrays.values()), sizes)
    # Index arrays next to each other leave their dimensions there, others in front, as in NumPy.
    together = axes == list(range(axes[0], axes[-1] + 1)) and len(set(plan.places)) == 1
    first, place = (axes[0], plan.places[0]) if together else (0, 0)
    if not together:
        y = permute(y, axes + [a for a in range(y.ndim) if a not in axes])
    if len(axes) > 1:
        y = reshape(y, (*y.shape[:first], math.prod(sizes), *y.shape[first + len(axes) :]))
    rows = apply("gather_rows", y, indices, axis=first)
    return rows, [*plan.shape[:place], *selected, *plan.shape[place:]]


def _joined(arrays: list[Any], sizes: list[int]) -> tuple[Any, tuple[int, ...]]:
    """Positions in the axes joined into one, and the broadcast shape of the index arrays.

    What is out of range is an IndexError for arrays; recorded indices are looked at when the program runs,
    where any of them that is wrong leads out of the joined axis.
    """
    shapes = [a.shape for a in arrays]
    try:
        selected = np.broadcast_shapes(*shapes)
    except ValueError:
        raise IndexError(f"index arrays of shapes {', '.join(map(str, shapes))} do not broadcast") from None
    recorded = any(isinstance(a, Operand) for a in arrays)
    total: Any = None
    inside: Any = None
    for array, size in zip(arrays, sizes, strict=True):
        if isinstance(array, np.ndarray):
            wrong = array[(array < -size) | (array >= size)]
            if wrong.size:
                raise IndexError(f"index {wrong[0]} is out of range for a dimension of size {size}")
            array = np.where(array < 0, array + size, array)
        else:
            array = apply("cast", array, dtype="int64")
            array = apply("where", array < 0, array + size, array)
            valid = (array >= 0) & (array < size)
            inside = valid if inside is None else inside & valid
        total = array if total is None else total * size + array
    if len(arrays) > 1 and recorded:
        total = apply("where", inside, total, math.prod(sizes))
    return total, selected


def _without_masks(items: list[Any], x: Operand) -> list[Any]:
    """A boolean mask of k dimensions stands for the k index arrays of its true elements."""
    result: list[Any] = []
    axis = 0
    for position, item in enumerate(items):
        if item is Ellipsis:
            rest = items[position + 1 :]
            axis = x.ndim - sum(_consumed(i) for i in rest)
            result.append(item)
        elif _is_mask(item):
            numbers = known_numbers(item)
            if numbers is None:
                raise IndexError(
                    f"a recorded mask, {item!r}, cannot index: the number of elements a mask selects is not "
                    f"known when a program is compiled; use ops.where, or a mask that is a NumPy array"
                )
            covered = x.shape[axis : axis + numbers.ndim]
            if numbers.shape != covered:
                raise IndexError(
                    f"a mask of shape {numbers.shape} does not fit dimensions {covered} of shape {x.shape}"
                )
            result.extend(np.nonzero(numbers))
            axis += numbers.ndim
        else:
            result.append(item)
            axis += _consumed(item)
    return result


def _is_mask(item: Any) -> bool:
    if isinstance(item, list):
        item = np.asarray(item) if item else np.empty(0, "int64")
    return isinstance(item, Operand | np.ndarray) and str(item.dtype) == "bool" and item.ndim > 0


def _consumed(item: Any) -> int:
    """How many dimensions of the tensor an item of an index stands for."""
    if item is None or item is Ellipsis:
        return 0
    return len(np.shape(item) if isinstance(item, list) else item.shape) if _is_mask(item) else 1


def _expand_ellipsis(items: list[Any], x: Operand) -> list[Any]:
    used = sum(item is not None and item is not Ellipsis for item in items)
    if used > x.ndim:
        raise IndexError(f"{used} indices for a tensor of {x.ndim} dimensions (shape {x.shape})")
    rest = [slice(None)] * (x.ndim - used)
    positions = [i for i, item in enumerate(items) if item is Ellipsis]
    if len(positions) > 1:
        raise IndexError("an index can hold one ellipsis only")
    if positions:
        return items[: positions[0]] + rest + items[positions[0] + 1 :]
    return items + rest


def _index_array(item: Any) -> Any:
    """Integers: an array where the numbers are known now, else the recorded tensor."""
    if isinstance(item, list) and np.size(item) == 0:
        return np.asarray(item, "int64")
    indices = item if isinstance(item, Operand) else as_array(item, "index")
    dtype = str(indices.dtype)
    if dtype not in ("int32", "int64"):
        raise TypeError(f"an index array must hold integers (int32 or int64) or be a mask, got {dtype}")
    numbers = known_numbers(indices)
    return indices if numbers is None else numbers.astype("int64")
