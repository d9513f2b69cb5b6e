"""Tensors of given numbers: constants, ranges, grids, masks of triangles."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._numbers import whole
from ..record import (
    FLOATING,
    Operand,
    Tensor,
    apply,
    as_tensor,
    dtype_name,
    is_number,
    number_dtype,
    operand_dtype,
)
from ._placing import check_placing, sizes_given
from ._random import rand, randn


def _filled(shape: Sequence[int], value: Any, dtype: str) -> Tensor:
    return apply("broadcast_to", np.asarray(value).astype(dtype), shape=tuple(shape))


def constant(numbers: Any, dtype: Any = None) -> Tensor:
    """An array of numbers as a tensor of the recording under way."""
    array = np.asarray(numbers)
    tensor = as_tensor(array if dtype is None else array.astype(dtype_name(dtype)))
    return tensor if isinstance(tensor, Tensor) else apply("identity", tensor)


def zeros(*size: Any, dtype: Any = "float32", device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of a shape, whose sizes are given one by one or as a sequence.

    Example:
        >>> import ravine as rv
        >>> rv.ops.zeros(2, 2)
        tensor([[0., 0.],
                [0., 0.]], dtype=float32)
    """
    check_placing("zeros", device, requires_grad)
    return _filled(sizes_given(size, "zeros"), 0, dtype_name(dtype))


def ones(*size: Any, dtype: Any = "float32", device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of a shape, whose sizes are given one by one or as a sequence.

    Example:
        >>> import ravine as rv
        >>> rv.ops.ones(3)
        tensor([1., 1., 1.], dtype=float32)
    """
    check_placing("ones", device, requires_grad)
    return _filled(sizes_given(size, "ones"), 1, dtype_name(dtype))


def full(
    size: Sequence[int] | int,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """One number in a whole shape; its dtype is int64 for an integer, bool for a bool, else float32.

    `fill_value` may be a scalar tensor, whose dtype and gradient the result has.

    Example:
        >>> import ravine as rv
        >>> rv.ops.full((2,), 7.0)
        tensor([7., 7.], dtype=float32)
    """
    check_placing("full", device, requires_grad)
    shape = sizes_given((size,), "full")
    if is_number(fill_value):
        return _filled(shape, fill_value, dtype_name(dtype or number_dtype(fill_value, None)))
    value = as_tensor(fill_value)
    if value.ndim:
        raise ValueError(f"full: fill_value must be a number or a scalar, got shape {value.shape}")
    wide = apply("broadcast_to", value, shape=shape)
    return wide if dtype is None else apply("cast", wide, dtype=dtype_name(dtype))


def zeros_like(input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of the input's shape and dtype, or of another dtype.

    Example:
        >>> import ravine as rv
        >>> rv.ops.zeros_like([1.0, 2.0])
        tensor([0., 0.], dtype=float32)
    """
    check_placing("zeros_like", device, requires_grad)
    return full_like(input, 0, dtype=dtype)


def ones_like(input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of the input's shape and dtype, or of another dtype.

    Example:
        >>> import ravine as rv
        >>> rv.ops.ones_like([3.0, 2.0])
        tensor([1., 1.], dtype=float32)
    """
    check_placing("ones_like", device, requires_grad)
    return full_like(input, 1, dtype=dtype)


def full_like(
    input: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """One number in the input's shape and dtype, or in another dtype.

    Example:
        >>> import ravine as rv
        >>> rv.ops.full_like([1.0, 2.0], 5)
        tensor([5., 5.], dtype=float32)
    """
    check_placing("full_like", device, requires_grad)
    x = as_tensor(input)
    return full(x.shape, fill_value, dtype=dtype or x.dtype)


def rand_like(input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Uniform random numbers in [0, 1) of the input's shape; see `rand`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.rand_like([1.0, 2.0]).shape
        (2,)
    """
    check_placing("rand_like", device, requires_grad)
    x = as_tensor(input)
    return rand(*x.shape, dtype=dtype or x.dtype)


def randn_like(input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Normal random numbers of the input's shape; see `randn`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.randn_like([1.0, 2.0]).shape
        (2,)
    """
    check_placing("randn_like", device, requires_grad)
    x = as_tensor(input)
    return randn(*x.shape, dtype=dtype or x.dtype)


def _plain(op: str, name: str, value: Any) -> Any:
    """A number, or what a scalar array holds; a recorded tensor has none when a program is compiled."""
    if is_number(value):
        return value
    if isinstance(value, np.ndarray) and value.size == 1:
        return value.item()
    raise TypeError(
        f"{op}: {name} must be a number, got {value!r}: shapes are fixed when a program is compiled"
    )


def arange(
    start: Any,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`start, start + step, ...` below `end`; of one argument 0, 1, ... below it.

    Args:
        start, end, step: numbers. One is the end.
        dtype: int64 where all three are integers, else float32.

    Raises ValueError where step is 0 or leads away from the end.

    Example:
        >>> import ravine as rv
        >>> rv.ops.arange(1, 2.5, 0.5)
        tensor([1. , 1.5, 2. ], dtype=float32)
    """
    check_placing("arange", device, requires_grad)
    if end is None:
        start, end = 0, start
    first, last, stride = (
        _plain("arange", name, x) for name, x in (("start", start), ("end", end), ("step", step))
    )
    if stride == 0:
        raise ValueError("arange: step must not be 0")
    if not (math.isfinite(first) and math.isfinite(last)):
        raise ValueError(f"arange: start and end must be finite, got {first} and {last}")
    if (last - first) * stride < 0:
        raise ValueError(f"arange: step {stride} leads from {first} away from {last}")
    whole_numbers = all(isinstance(x, int | np.integer) for x in (first, last, stride))
    name = dtype_name(dtype or ("int64" if whole_numbers else "float32"))
    count = math.ceil((last - first) / stride)
    if name.startswith("float"):
        return constant(first + stride * np.arange(count), name)
    first, stride = (operator.index(int(x)) for x in (first, stride))
    return constant(first + stride * np.arange(count), name)


def _spaced(op: str, start: Any, end: Any, steps: int) -> np.ndarray | Tensor:
    """`steps` numbers from start to end, counted from the nearer of the two, as torch does."""
    count = whole(op, "steps", steps, low=0)
    share = np.arange(count) / max(count - 1, 1)
    if is_number(start) and is_number(end):
        half = count // 2
        step = (float(end) - float(start)) / max(count - 1, 1)
        places = np.arange(count)
        numbers = np.where(places < half, start + step * places, end - step * (count - 1 - places))
        return numbers if count > 1 else np.full(count, float(start))
    first, last = as_tensor(start), as_tensor(end)
    for name, value in (("start", first), ("end", last)):
        if value.ndim:
            raise ValueError(f"{op}: {name} must be a number or a scalar, got shape {value.shape}")
    common = operand_dtype([first, last])
    dtype = common if common in FLOATING else "float32"
    first, last = apply("cast", first, dtype=dtype), apply("cast", last, dtype=dtype)
    share = share.astype(dtype)
    return first * (1.0 - share) + last * share


def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    dtype: Any = "float32",
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers from `start` to `end`, both included, at equal distances.

    Example:
        >>> import ravine as rv
        >>> rv.ops.linspace(0, 1, 5)
        tensor([0.  , 0.25, 0.5 , 0.75, 1.  ], dtype=float32)
    """
    check_placing("linspace", device, requires_grad)
    numbers = _spaced("linspace", start, end, steps)
    if isinstance(numbers, np.ndarray):
        return constant(numbers, dtype)
    return apply("cast", numbers, dtype=dtype_name(dtype))


def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = "float32",
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`base` to the powers of `linspace(start, end, steps)`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.logspace(0, 2, 3)
        tensor([  1.,  10., 100.], dtype=float32)
    """
    check_placing("logspace", device, requires_grad)
    numbers = _spaced("logspace", start, end, steps)
    if isinstance(numbers, np.ndarray):
        return constant(np.power(float(base), numbers), dtype)
    return apply("cast", apply("pow", float(base), numbers), dtype=dtype_name(dtype))


def eye(
    n: int, m: int | None = None, *, dtype: Any = "float32", device: Any = None, requires_grad: bool = False
) -> Tensor:
    """The identity matrix [n, n], or [n, m] with ones on its diagonal.

    Example:
        >>> import ravine as rv
        >>> rv.ops.eye(2)
        tensor([[1., 0.],
                [0., 1.]], dtype=float32)
    """
    check_placing("eye", device, requires_grad)
    rows = whole("eye", "n", n, low=0)
    return constant(np.eye(rows, rows if m is None else whole("eye", "m", m, low=0)), dtype)


def _triangle_mask(rows: int, columns: int, diagonal: Any, op: str, lower: bool) -> np.ndarray:
    k = whole(op, "diagonal", diagonal, low=-(2**31))
    return np.tri(rows, columns, k if lower else k - 1, dtype=bool) == lower


def _triangle(op: str, input: Any, diagonal: int, lower: bool) -> Tensor:
    x = as_tensor(input)
    if x.ndim < 2:
        raise ValueError(f"{op}: a matrix or a batch of matrices is expected, got shape {x.shape}")
    mask = _triangle_mask(x.shape[-2], x.shape[-1], diagonal, op, lower)
    return apply("where", mask, x, np.zeros((), x.dtype))


def tril(input: Any, diagonal: int = 0) -> Tensor:
    """The lower triangle of matrices, up to a diagonal; above it zeros.

    Example:
        >>> import ravine as rv
        >>> rv.ops.tril([[1.0, 2.0], [3.0, 4.0]])
        tensor([[1., 0.],
                [3., 4.]], dtype=float32)
    """
    return _triangle("tril", input, diagonal, lower=True)


def triu(input: Any, diagonal: int = 0) -> Tensor:
    """The upper triangle of matrices, from a diagonal on; below it zeros.

    Example:
        >>> import ravine as rv
        >>> rv.ops.triu([[1.0, 2.0], [3.0, 4.0]])
        tensor([[1., 2.],
                [0., 4.]], dtype=float32)
    """
    return _triangle("triu", input, diagonal, lower=False)


def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = "int64") -> Tensor:
    """Rows and columns [2, count] of the elements of a lower triangle.

    Example:
        >>> import ravine as rv
        >>> rv.ops.tril_indices(2, 2)
        tensor([[0, 1, 1],
                [0, 0, 1]], dtype=int64)
    """
    mask = _triangle_mask(whole("tril_indices", "row", row, 0), whole("tril_indices", "col", col, 0), offset,
                          "tril_indices", lower=True)  # fmt: skip
    return constant(np.stack(np.nonzero(mask)), dtype)


def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = "int64") -> Tensor:
    """Rows and columns [2, count] of the elements of an upper triangle.

    Example:
        >>> import ravine as rv
        >>> rv.ops.triu_indices(2, 2)
        tensor([[0, 0, 1],
                [0, 1, 1]], dtype=int64)
    """
    mask = _triangle_mask(whole("triu_indices", "row", row, 0), whole("triu_indices", "col", col, 0), offset,
                          "triu_indices", lower=False)  # fmt: skip
    return constant(np.stack(np.nonzero(mask)), dtype)


def several(tensors: tuple[Any, ...]) -> list[Operand]:
    """Tensors given one by one or as one sequence."""
    given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], list | tuple) else tensors
    return [as_tensor(t) for t in given]


def meshgrid(*tensors: Any, indexing: str = "ij") -> list[Tensor]:
    """Coordinates of a grid: the i-th result varies along dimension i as the i-th vector.

    Args:
        tensors: vectors or scalars, one by one or as a sequence.
        indexing: "ij", or "xy", for which the first two dimensions are swapped.

    Example:
        >>> import ravine as rv
        >>> rows, columns = rv.ops.meshgrid([1.0, 2.0], [3.0, 4.0])
        >>> columns
        tensor([[3., 4.],
                [3., 4.]], dtype=float32)
    """
    vectors = several(tensors)
    if indexing not in ("ij", "xy"):
        raise ValueError(f"meshgrid: indexing must be 'ij' or 'xy', got {indexing!r}")
    if not vectors or any(v.ndim > 1 for v in vectors):
        raise ValueError(f"meshgrid: vectors are expected, got shapes {[v.shape for v in vectors]}")
    if len({v.dtype for v in vectors}) > 1:
        raise TypeError(f"meshgrid: vectors must have one dtype, got {[v.dtype for v in vectors]}")
    order = list(range(len(vectors)))
    if indexing == "xy" and len(vectors) > 1:
        order[:2] = [1, 0]
    shape = tuple(vectors[i].numel() for i in order)
    result = []
    for i, vector in enumerate(vectors):
        place = order.index(i)
        along = tuple(n if j == place else 1 for j, n in enumerate(shape))
        result.append(apply("broadcast_to", apply("reshape", vector, shape=along), shape=shape))
    return result


def broadcast_tensors(*tensors: Any) -> list[Tensor]:
    """The tensors in the shape that they broadcast to together.

    Example:
        >>> import ravine as rv
        >>> [t.shape for t in rv.ops.broadcast_tensors([[1.0], [2.0]], [1.0, 2.0, 3.0])]
        [(2, 3), (2, 3)]
    """
    parts = several(tensors)
    try:
        shape = np.broadcast_shapes(*(p.shape for p in parts))
    except ValueError:
        raise ValueError(f"broadcast_tensors: shapes {[p.shape for p in parts]} do not broadcast") from None
    return [apply("broadcast_to", p, shape=shape) for p in parts]


def new_zeros(input: Any, *size: Any, dtype: Any = None) -> Tensor:
    """Zeros of a shape in the input's dtype, or in another.

    Example:
        >>> import ravine as rv
        >>> rv.ops.abs([1.0]).new_zeros(2)
        tensor([0., 0.], dtype=float32)
    """
    return zeros(*size, dtype=dtype or as_tensor(input).dtype)


def new_ones(input: Any, *size: Any, dtype: Any = None) -> Tensor:
    """Ones of a shape in the input's dtype, or in another.

    Example:
        >>> import ravine as rv
        >>> rv.ops.abs([1.0]).new_ones(2)
        tensor([1., 1.], dtype=float32)
    """
    return ones(*size, dtype=dtype or as_tensor(input).dtype)


def new_full(input: Any, size: Any, fill_value: Any, *, dtype: Any = None) -> Tensor:
    """One number in a shape, in the input's dtype or in another.

    Example:
        >>> import ravine as rv
        >>> rv.ops.abs([1.0]).new_full((2,), 3)
        tensor([3., 3.], dtype=float32)
    """
    return full(size, fill_value, dtype=dtype or as_tensor(input).dtype)
