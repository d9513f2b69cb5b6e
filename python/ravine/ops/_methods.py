"""The methods of tensors, parameters and buffers: the functions of `ravine.ops` that take `input` first.

Such a function is the method itself, so that name, arguments and documentation are written once. What only a
method can be stands here. `scripts/methods_stub.py` writes the stub beside this file, for type checkers.
"""

from __future__ import annotations

import builtins
import functools
from collections.abc import Callable, Mapping
from typing import Any

from .._dims import is_dim
from ..record import Operand, Tensor, target_dtype
from . import _compare, _elementwise, _indexing, _late, _linalg, _shape


def _one_by_one(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A method whose sizes or dims may be given one by one: x.reshape(2, 3) as well as x.reshape((2, 3))."""

    @functools.wraps(function)
    def method(self: Any, *numbers: Any, **named: Any) -> Tensor:
        if not numbers and named:
            return function(self, **named)
        return function(
            self, numbers[0] if len(numbers) == 1 and not is_dim(numbers[0]) else numbers, **named
        )

    return method


def _cast_to(dtype: str) -> Callable[..., Tensor]:
    def method(self: Any, memory_format: Any = None) -> Tensor:
        return _elementwise.cast(self, dtype)

    method.__doc__ = f"The same numbers as {dtype}. `memory_format` is Ravine's own business and left alone."
    return method


def _itself(self: Any, *, memory_format: Any = None) -> Tensor:
    """The tensor itself: its numbers never change. A parameter or buffer gives its value at this point."""
    return self if isinstance(self, Tensor) else _shape.reshape(self, self.shape)


def _to(
    self: Any,
    *target: Any,
    dtype: Any = None,
    device: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """The same numbers in another dtype; of another tensor where that is given. The only device is "cpu".

    Args:
        target: a dtype, "cpu", "cpu" and a dtype, or a tensor whose dtype is taken; then torch's flags.
        dtype, device: the same by name.
        non_blocking, copy, memory_format: taken for torch's sake; without effect, as tensors never change.

    Raises ValueError for another device, TypeError for what is no dtype and for two of them.

    Example:
        >>> import ravine as rv
        >>> rv.ops.relu([-1.0, 2.5]).to("int64")
        tensor([0, 2], dtype=int64)
    """
    name = target_dtype(target, dtype, device)
    return _itself(self) if name is None else _elementwise.cast(self, name)


def _where(self: Any, condition: Any, other: Any) -> Tensor:
    """`ops.where(condition, self, other)`: the tensor where the condition holds, else `other`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.abs([-1.0, 2.0]).where([True, False], 0.0)
        tensor([1., 0.], dtype=float32)
    """
    return _elementwise.where(condition, self, other)


def _reversed(self: Any) -> Tensor:
    """The tensor with its dimensions in reverse order."""
    return _shape.permute(self, range(self.ndim)[::-1])


def _transposed(self: Any) -> Tensor:
    """The tensor with its last two dimensions swapped."""
    return _shape.transpose(self, -2, -1)


def _unfold(self: Any, dimension: int, size: int, step: int) -> Tensor:
    """`ops.unfold_dim`: windows along one dimension."""
    return _late.load("unfold_dim")(self, dimension, size, step)


def _type_as(self: Any, other: Any) -> Tensor:
    """The same numbers in another tensor's dtype."""
    return _to(self, other.dtype)


def _tolist(self: Any) -> Any:
    """The numbers as nested lists; see `numpy`."""
    return self.numpy().tolist()


class Methods:
    """What `Tensor`, `Parameter` and `Buffer` have besides their data."""

    __slots__ = ()

    # methods alone, with torch's names
    view = _one_by_one(_shape.reshape)
    where = _where
    to = _to
    clone = contiguous = cpu = _itself
    float = _cast_to("float32")
    double = _cast_to("float64")
    int = _cast_to("int32")
    long = _cast_to("int64")
    byte = _cast_to("uint8")
    bool = _cast_to("bool")
    T = property(_reversed)
    mT = H = mH = property(_transposed)
    type_as = _type_as
    unfold = _unfold
    tolist = _tolist

    # operators that are more than one recorded operation; the others stand in `_tensor.Operand`
    __getitem__ = _indexing.getitem
    __invert__ = _compare.bitwise_not
    __matmul__ = _linalg.matmul
    __pow__ = _elementwise.pow

    def __rmatmul__(self, other: Any) -> Tensor:
        return _linalg.matmul(other, self)

    def __mod__(self, other: Any) -> Tensor:
        return _late.load("remainder")(self, other)

    def __rmod__(self, other: Any) -> Tensor:
        return _late.load("remainder")(other, self)

    def __floordiv__(self, other: Any) -> Tensor:
        return _late.load("floor_divide")(self, other)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return _late.load("floor_divide")(other, self)

    def __rpow__(self, base: Any) -> Tensor:
        return _elementwise.pow(base, self)


# Sizes or dims may be given one by one.
ONE_BY_ONE = ("broadcast_to", "flip", "permute", "reshape")


class _LateMethod:
    """Stands in the place of a function that is loaded where it is used first."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: Any) -> Any:
        function = _late.load(self._name)
        setattr(Operand, self._name, function)
        return function if instance is None else function.__get__(instance, owner)


def takes_a_tensor_first(function: Any) -> builtins.bool:
    """Whether it is a function whose first argument is `input`."""
    code = getattr(getattr(function, "__wrapped__", function), "__code__", None)
    return code is not None and code.co_varnames[:1] == ("input",)


def install(functions: Mapping[str, Any]) -> None:
    """Gives tensors these functions, where the first argument is `input`, and the methods of this file."""
    for name, function in functions.items():
        if takes_a_tensor_first(function):
            setattr(Methods, name, _one_by_one(function) if name in ONE_BY_ONE else function)
    for name, method in vars(Methods).items():
        if callable(method) or isinstance(method, property):
            setattr(Operand, name, method)
    for name in _late.METHODS:
        setattr(Operand, name, _LateMethod(name))
