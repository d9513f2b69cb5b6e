"""What depends on numbers: where they are not 0, which there are, how often.

A program's shapes are fixed when it is compiled, so results whose shape depends on numbers are for arrays
and for `rv.eager()`.
"""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from .._dims import normalise_dim
from ..record import FLOATING, Tensor, apply, as_tensor, known_numbers
from ._create import several
from ._index import integer_indices
from ._shape import broadcast_to, reshape


def _known(op: str, x: Any, advice: str) -> np.ndarray:
    numbers = known_numbers(x)
    if numbers is None:
        raise ValueError(
            f"{op}: the result's shape depends on the numbers, which are not known when a program is "
            f"compiled; {advice}"
        )
    return numbers


def masked_select(input: Any, mask: Any) -> Tensor:
    """The elements where a mask is true, as a vector; the mask's numbers have to be known.

    Raises ValueError for a mask that is computed while a program is recorded: use `where` or `masked_fill`.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.masked_select([1.0, 2.0, 3.0], np.array([True, False, True]))
        tensor([1., 3.], dtype=float32)
    """
    numbers = _known("masked_select", mask, "use ops.where or ops.masked_fill")
    if numbers.dtype != bool:
        raise TypeError(f"masked_select: the mask must be bool, got {numbers.dtype}")
    x = as_tensor(input)
    shape = np.broadcast_shapes(x.shape, numbers.shape)
    places = np.flatnonzero(np.broadcast_to(numbers, shape))
    return apply(
        "gather_rows", reshape(broadcast_to(x, shape), (-1,) if 0 not in shape else (0,)), places, axis=0
    )


def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """Where an array's elements are not 0: rows of indices [count, dims], or `as_tuple` vectors.

    Raises ValueError for a tensor that a program computes, whose count is not known when it is compiled.

    Example:
        >>> import ravine as rv
        >>> rv.ops.nonzero([0.0, 2.0, 3.0])
        tensor([[1],
                [2]], dtype=int64)
    """
    numbers = _known("nonzero", input, "use ops.where")
    found = np.nonzero(np.atleast_1d(numbers))
    if as_tuple:
        return tuple(apply("identity", i) for i in found)
    rows = np.stack(found, 1)
    return apply("identity", rows if numbers.ndim else rows[:, :0])


def argwhere(input: Any) -> Tensor:
    """`nonzero`: where an array's elements are not 0, as rows of indices.

    Example:
        >>> import ravine as rv
        >>> rv.ops.argwhere([0.0, 2.0])
        tensor([[1]], dtype=int64)
    """
    return nonzero(input)


def unique(
    input: Any,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The different numbers of an array, ascending; also where each element went, and how often each occurs.

    Raises ValueError for a tensor that a program computes, whose count is not known when it is compiled.

    Example:
        >>> import ravine as rv
        >>> rv.ops.unique([3.0, 1.0, 3.0])
        tensor([1., 3.], dtype=float32)
    """
    numbers = _known("unique", input, "sort, and compare neighbours")
    axis = None if dim is None else normalise_dim(dim, numbers.ndim, "unique", scalar=True)
    values, inverse, counts = np.unique(
        numbers, return_inverse=True, return_counts=True, axis=axis if numbers.ndim else None, equal_nan=False
    )
    inverse = inverse.reshape(numbers.shape if axis is None or not numbers.ndim else (numbers.shape[axis],))
    return _those_asked((values, inverse, counts), return_inverse, return_counts)


def unique_consecutive(
    input: Any, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The first of each run of equal neighbours; arguments and errors as for `unique`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.unique_consecutive([1.0, 1.0, 3.0, 1.0])
        tensor([1., 3., 1.], dtype=float32)
    """
    numbers = _known("unique_consecutive", input, "compare neighbours")
    axis = 0 if dim is None else normalise_dim(dim, numbers.ndim, "unique_consecutive", scalar=True)
    x = numbers.reshape(-1) if dim is None or not numbers.ndim else np.moveaxis(numbers, axis, 0)
    rows = x.reshape(x.shape[0], int(np.prod(x.shape[1:])))
    first = np.ones(x.shape[0], bool)
    first[1:] = (rows[1:] != rows[:-1]).any(1)
    inverse = np.cumsum(first) - 1
    starts = np.flatnonzero(first)
    counts = np.diff(np.append(starts, x.shape[0]))
    values = x[first] if dim is None or not numbers.ndim else np.moveaxis(x[first], 0, axis)
    if dim is None or not numbers.ndim:
        inverse = inverse.reshape(numbers.shape)
    return _those_asked((values, inverse, counts), return_inverse, return_counts)


def _those_asked(found: tuple[np.ndarray, ...], inverse: bool, counts: bool) -> Any:
    asked = builtins.zip((True, inverse, counts), found, strict=True)
    result = [apply("identity", np.asarray(x, order="C")) for wanted, x in asked if wanted]
    return result[0] if len(result) == 1 else tuple(result)


def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Tensor:
    """How often each number 0, 1, ... occurs in a vector, or the sum of its weights.

    The result ends at the largest number where that is known, else at `minlength`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.bincount([1, 1, 3])
        tensor([0, 2, 0, 1], dtype=int64)
    """
    x = integer_indices(input, "bincount")
    numbers = known_numbers(x)
    if x.ndim != 1:
        raise ValueError(f"bincount: a vector is expected, got shape {x.shape}")
    largest = int(numbers.max()) + 1 if numbers is not None and numbers.size else 0
    length = max(largest, minlength)
    if numbers is None and not minlength:
        raise ValueError(
            "bincount: give minlength: the largest number is not known when a program is compiled"
        )
    if weights is None:
        ones = broadcast_to(np.ones((), "float64"), x.shape)
        return apply("cast", apply("scatter_add", ones, x, axis=0, extent=length), dtype="int64")
    w = as_tensor(weights)
    w = w if w.dtype in FLOATING else apply("cast", w, dtype="float64")
    return apply("scatter_add", w, x, axis=0, extent=length)


def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Where elements are among the test elements (with `invert`: are not).

    Example:
        >>> import ravine as rv
        >>> rv.ops.isin([1.0, 2.0, 3.0], [2.0, 5.0])
        tensor([False,  True, False], dtype=bool)
    """
    x, tests = several(([elements, test_elements],))
    if not tests.numel():
        return apply("broadcast_to", np.asarray(invert), shape=x.shape)
    hits = reshape(x, (*x.shape, 1)) == reshape(tests, (-1,))
    found = apply("greater", apply("sum", hits, axes=(x.ndim,), keepdims=False), 0)
    return apply("logical_not", found) if invert else found
