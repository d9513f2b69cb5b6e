"""Comparison and logic, elementwise: bool tensors. Shapes broadcast as in NumPy; no gradient flows."""

from __future__ import annotations

from typing import Any

from .._tensor import Tensor, apply


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


def isnan(input: Any) -> Tensor:
    """True where the value is not a number.

    Example:
        >>> import ravine as rv
        >>> rv.ops.isnan([1.0, float("nan")])
        tensor([False,  True], dtype=bool)
    """
    return apply("not_equal", input, input)


eq, ne, lt, le, gt, ge = equal, not_equal, less, less_equal, greater, greater_equal
