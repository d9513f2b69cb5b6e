"""Comparison and logic, elementwise: bool tensors. Shapes broadcast as in NumPy; no gradient flows."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..record import FLOATING, Tensor, apply, as_tensor, is_number


def equal(input: Any, other: Any) -> Tensor:
    """True where the two are equal; shapes broadcast.

    Example:
        >>> import ravine as rv
        >>> rv.ops.equal([1.0, 2.0], [1.0, 3.0])
        tensor([ True, False], dtype=bool)
    """
    return apply("equal", input, other)


def not_equal(input: Any, other: Any) -> Tensor:
    """True where the two differ; shapes broadcast.

    Example:
        >>> import ravine as rv
        >>> rv.ops.not_equal([1.0, 2.0], [1.0, 3.0])
        tensor([False,  True], dtype=bool)
    """
    return apply("not_equal", input, other)


def less(input: Any, other: Any) -> Tensor:
    """True where `input < other`; shapes broadcast.

    Example:
        >>> import ravine as rv
        >>> rv.ops.less([1.0, 2.0], [1.0, 3.0])
        tensor([False,  True], dtype=bool)
    """
    return apply("less", input, other)


def less_equal(input: Any, other: Any) -> Tensor:
    """True where `input <= other`; shapes broadcast.

    Example:
        >>> import ravine as rv
        >>> rv.ops.less_equal([1.0, 4.0], [1.0, 3.0])
        tensor([ True, False], dtype=bool)
    """
    return apply("less_equal", input, other)


def greater(input: Any, other: Any) -> Tensor:
    """True where `input > other`; shapes broadcast.

    Example:
        >>> import ravine as rv
        >>> rv.ops.greater([1.0, 4.0], [1.0, 3.0])
        tensor([False,  True], dtype=bool)
    """
    return apply("greater", input, other)


def greater_equal(input: Any, other: Any) -> Tensor:
    """True where `input >= other`; shapes broadcast.

    Example:
        >>> import ravine as rv
        >>> rv.ops.greater_equal([1.0, 2.0], [1.0, 3.0])
        tensor([ True, False], dtype=bool)
    """
    return apply("greater_equal", input, other)


def logical_and(input: Any, other: Any) -> Tensor:
    """True where both are true; shapes broadcast.

    Example:
        >>> import ravine as rv
        >>> rv.ops.logical_and([True, False], [True, True])
        tensor([ True, False], dtype=bool)
    """
    return apply("logical_and", input, other)


def logical_or(input: Any, other: Any) -> Tensor:
    """True where at least one is true; shapes broadcast.

    Example:
        >>> import ravine as rv
        >>> rv.ops.logical_or([True, False], [True, True])
        tensor([ True,  True], dtype=bool)
    """
    return apply("logical_or", input, other)


def logical_xor(input: Any, other: Any) -> Tensor:
    """True where exactly one is true; shapes broadcast.

    Example:
        >>> import ravine as rv
        >>> rv.ops.logical_xor([True, False], [True, True])
        tensor([False,  True], dtype=bool)
    """
    return apply("logical_xor", input, other)


def logical_not(input: Any) -> Tensor:
    """True where x is false or 0.

    Example:
        >>> import ravine as rv
        >>> rv.ops.logical_not([True, False])
        tensor([False,  True], dtype=bool)
    """
    return apply("logical_not", input)


def _check_bits(op: str, *operands: Any) -> None:
    """Raises TypeError for numbers alone: no dtype says how many bits they have."""
    if all(is_number(x) for x in operands):
        seen = " and ".join(repr(x) for x in operands)
        raise TypeError(f"{op}: expected a tensor or an array, got {seen}")


def bitwise_and(input: Any, other: Any) -> Tensor:
    """`input & other`, bit by bit for integers, `logical_and` for bools; shapes broadcast.

    Raises TypeError for floating inputs, and where both are numbers.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.bitwise_and(np.array([6, 5]), 3)
        tensor([2, 1], dtype=int64)
    """
    _check_bits("bitwise_and", input, other)
    return apply("bitwise_and", input, other)


def bitwise_or(input: Any, other: Any) -> Tensor:
    """`input | other`, bit by bit for integers, `logical_or` for bools; shapes broadcast.

    Raises TypeError as `bitwise_and`.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.bitwise_or(np.array([6, 5]), 3)
        tensor([7, 7], dtype=int64)
    """
    _check_bits("bitwise_or", input, other)
    return apply("bitwise_or", input, other)


def bitwise_xor(input: Any, other: Any) -> Tensor:
    """`input ^ other`, bit by bit for integers, `logical_xor` for bools; shapes broadcast.

    Raises TypeError as `bitwise_and`.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.bitwise_xor(np.array([6, 5]), 3)
        tensor([5, 6], dtype=int64)
    """
    _check_bits("bitwise_xor", input, other)
    return apply("bitwise_xor", input, other)


def bitwise_not(input: Any) -> Tensor:
    """`~input`: every bit of an integer turned, `logical_not` for bools.

    Raises TypeError for a floating input, and for a number.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.bitwise_not(np.array([0, 5]))
        tensor([-1, -6], dtype=int64)
    """
    _check_bits("bitwise_not", input)
    x = as_tensor(input)
    if x.dtype == "bool":
        return apply("logical_not", x)
    if x.dtype in FLOATING:
        raise TypeError(f"bitwise_not: expected integers or bools, got {x.dtype}")
    return apply("bitwise_xor", x, np.invert(np.zeros((), x.dtype)))


def isnan(input: Any) -> Tensor:
    """True where the value is not a number.

    Example:
        >>> import ravine as rv
        >>> rv.ops.isnan([1.0, float("nan")])
        tensor([False,  True], dtype=bool)
    """
    return apply("not_equal", input, input)


eq, ne, lt, le, gt, ge = equal, not_equal, less, less_equal, greater, greater_equal
