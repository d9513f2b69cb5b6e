"""`tensor[index]`: integers, slices, `None`, `...` and one integer array, with NumPy's meaning."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _trace
from .._tensor import Operand, Tensor, apply
from ._shape import reshape


def getitem(x: Operand, index: Any) -> Tensor:
    items = list(index) if isinstance(index, tuple) else [index]
    items = _expand_ellipsis(items, x)
    start, stop, step, flips = [0] * x.ndim, list(x.shape), [1] * x.ndim, []
    shape: list[int] = []  # of the result; None stands for a size that slicing leaves
    array: tuple[int, Any] | None = None  # (axis of x, index array)
    array_position = 0
    axis = 0
    for item in items:
        if item is None:
            shape.append(1)
            continue
        size = x.shape[axis]
        if isinstance(item, slice):
            first, last, stride = item.indices(size)
            count = len(range(first, last, stride))
            if stride < 0:
                # the same elements from low to high, then turned round
                first, stride = first + (count - 1) * stride, -stride
                flips.append(axis)
            start[axis], stop[axis], step[axis] = (
                (first, first + (count - 1) * stride + 1, stride) if count else (0, 0, 1)
            )
            shape.append(count)
        elif isinstance(item, int | np.integer) and not isinstance(item, bool):
            if not -size <= item < size:
                raise IndexError(
                    f"index {item} is out of range for dimension {axis} of size {size} (shape {x.shape})"
                )
            start[axis] = int(item) % size
            stop[axis] = start[axis] + 1
        elif isinstance(item, Operand | np.ndarray | list):
            if array is not None:
                raise IndexError("only one index array at a time is supported; use ops.gather for more")
            array, array_position = (axis, _index_array(item)), len(shape)
        else:
            raise TypeError(f"a tensor cannot be indexed with {item!r}")
        axis += 1
    y = x
    if start != [0] * x.ndim or stop != list(x.shape) or step != [1] * x.ndim:
        y = apply("slice", y, start=tuple(start), stop=tuple(stop), step=tuple(step))
    if flips:
        y = apply("flip", y, axes=tuple(flips))
    if array is not None:
        axis, indices = array
        y = apply("gather_rows", y, indices, axis=axis)
        shape[array_position:array_position] = indices.shape
    return reshape(y, shape) if y.shape != tuple(shape) or not isinstance(y, Tensor) else y


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
    indices = item if isinstance(item, Operand) else _trace.as_array(item, "index")
    dtype = indices.dtype if isinstance(indices, Operand) else indices.dtype.name
    if dtype not in ("int32", "int64"):
        raise TypeError(
            f"an index array must hold integers (int32 or int64), got {dtype}; the number of elements a mask "
            f"selects is not known when a program is compiled, use ops.where instead"
        )
    return indices
