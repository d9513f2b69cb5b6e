"""Tensors, what a module's `forward` computes with, and how operations on them are recorded.

Arithmetic operators stand here; methods are the functions of `ravine.ops`, by the table in `ops/_methods.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .._from_torch import TENSOR, absent, check_device, is_device
from ._convert import DTYPES, FLOATING, as_array, is_number
from ._mean import LINEAR, combined
from ._thread import current_or_eager, thread
from ._trace import Trace, as_value

if TYPE_CHECKING:
    from ..ops._methods import Methods
    from ._mean import Means
else:
    Methods = object  # at run time `ops/_methods.py`, whose functions build on this module, installs them


class Operand(Methods):
    """What stands in expressions: `Tensor`, `Parameter`, `Buffer`; their operators and methods."""

    __slots__ = ()
    __array_ufunc__ = None  # ndarray + tensor asks the tensor, not NumPy
    means: Means = None
    _is_number = False  # whether it takes the dtype of the other operands, as a Python number does

    def __getattr__(self, name: str) -> Any:
        raise absent(type(self).__name__, name, TENSOR)

    @property
    def shape(self) -> tuple[int, ...]:
        raise NotImplementedError

    @property
    def dtype(self) -> str:
        raise NotImplementedError

    def _as_value(self, trace: Trace) -> _core.Value:
        raise NotImplementedError

    def _as_value_like(self, trace: Trace, like: str | None) -> _core.Value:
        """The same next to operands of the dtype `like`."""
        return self._as_value(trace)

    def numpy(self) -> np.ndarray:
        raise NotImplementedError

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def dim(self) -> int:
        return len(self.shape)

    def numel(self) -> int:
        return math.prod(self.shape)

    def size(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.shape[dim]

    def item(self) -> float | int | bool:
        return self.numpy().item()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        if copy is False and dtype is not None and array.dtype != dtype:
            raise ValueError(f"{self!r} is no {np.dtype(dtype)} array: a view of its numbers cannot be one")
        return array.astype(array.dtype if dtype is None else dtype, copy=bool(copy))

    def __float__(self) -> float:
        return float(self.numpy().item())

    def __int__(self) -> int:
        return int(self.numpy().item())

    def __bool__(self) -> bool:
        return bool(self.numpy())

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a tensor without dimensions")
        return self.shape[0]

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    __hash__ = object.__hash__

    # arithmetic
    def __add__(self, other: Any) -> Tensor:
        return apply("add", self, other)

    def __radd__(self, other: Any) -> Tensor:
        return apply("add", other, self)

    def __sub__(self, other: Any) -> Tensor:
        return apply("sub", self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return apply("sub", other, self)

    def __mul__(self, other: Any) -> Tensor:
        return apply("mul", self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return apply("mul", other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return apply("div", self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return apply("div", other, self)

    def __neg__(self) -> Tensor:
        return apply("neg", self)

    def __abs__(self) -> Tensor:
        return apply("abs", self)

    # comparison, elementwise
    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]
        return apply("equal", self, other)

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]
        return apply("not_equal", self, other)

    def __lt__(self, other: Any) -> Tensor:
        return apply("less", self, other)

    def __le__(self, other: Any) -> Tensor:
        return apply("less_equal", self, other)

    def __gt__(self, other: Any) -> Tensor:
        return apply("greater", self, other)

    def __ge__(self, other: Any) -> Tensor:
        return apply("greater_equal", self, other)

    # bit by bit; of bools the same as logic
    def __and__(self, other: Any) -> Tensor:
        return apply("bitwise_and", self, other)

    def __rand__(self, other: Any) -> Tensor:
        return apply("bitwise_and", other, self)

    def __or__(self, other: Any) -> Tensor:
        return apply("bitwise_or", self, other)

    def __ror__(self, other: Any) -> Tensor:
        return apply("bitwise_or", other, self)

    def __xor__(self, other: Any) -> Tensor:
        return apply("bitwise_xor", self, other)

    def __rxor__(self, other: Any) -> Tensor:
        return apply("bitwise_xor", other, self)


class Tensor(Operand):
    """A value inside a recorded computation: a shape and a dtype, and numbers only once the program runs.

    Modules and `ravine.ops` make tensors; users do not. Inside `rv.eager()`, and for an operation called
    outside of any module, a tensor holds its numbers: `tensor.numpy()`, `float(tensor)` and printing show
    them. Operators and indexing mean what they mean in NumPy, methods what the functions of the same name in
    `ravine.ops` mean.

    Example:
        >>> import ravine as rv
        >>> t = rv.ops.relu([-1.0, 2.0])
        >>> t.shape, t.dtype
        ((2,), 'float32')
        >>> (t * 2).numpy()
        array([0., 4.], dtype=float32)
    """

    __slots__ = ("_trace", "_value", "means")

    def __init__(self, value: _core.Value, trace: Trace) -> None:
        self._value = value
        self._trace = trace
        self.means: Means = None  # of a scalar in a recording: what it is a mean of, if that is known

    @property
    def shape(self) -> tuple[int, ...]:
        return self._value.shape

    @property
    def dtype(self) -> str:
        return self._value.dtype

    def numpy(self) -> np.ndarray:
        """A copy of the tensor's numbers. Raises RuntimeError while a program is only being recorded."""
        if not self._trace.eager and self._value.op != "constant":
            raise RuntimeError(
                f"{self!r} has no numbers yet: forward is being recorded, to be compiled. Use tensor "
                f"operations (ops.where instead of `if`), or look at values inside `with rv.eager():`"
            )
        return self._value.numpy()

    def _as_value(self, trace: Trace) -> _core.Value:
        if self._trace is trace:
            return self._value
        if self._trace.eager:
            return trace.graph.constant(self._value.numpy())
        raise RuntimeError(
            f"{self!r} belongs to another recording, which has ended: return tensors from forward instead of "
            f"keeping them, and keep state in a Buffer"
        )

    def __repr__(self) -> str:
        if not self._trace.eager:
            return f"Tensor(shape={self.shape}, dtype={self.dtype}, op={self._value.op})"
        numbers = np.array2string(self._value.numpy(), separator=", ", prefix="tensor(")
        return f"tensor({numbers}, dtype={self.dtype})"

    def __reduce__(self) -> Any:
        raise TypeError("a tensor cannot be copied or pickled; use tensor.numpy() inside rv.eager()")


def operand_dtype(inputs: Sequence[Any]) -> str | None:
    """The dtype that numbers beside these operands take: a floating one first, tensors' before arrays'."""
    tensors = [x.dtype for x in inputs if isinstance(x, Operand) and not x._is_number]
    dtypes = tensors or [x.dtype.name for x in inputs if isinstance(x, np.ndarray)]
    return next((d for d in dtypes if d in FLOATING), dtypes[0] if dtypes else None)


def apply_all(op: str, inputs: Sequence[Any], **attrs: Any) -> list[Tensor]:
    """Records the operation `op` and returns all its outputs."""
    trace = current_or_eager()
    operands = [x if isinstance(x, Operand) or is_number(x) else as_array(x, op) for x in inputs]
    like = operand_dtype(operands)
    # Arrays as they came, not as they were converted: the trace tells those that live on from the others.
    given = [x if isinstance(x, np.ndarray) else operand for x, operand in zip(inputs, operands, strict=True)]
    values = [as_value(x, trace, like) for x in given]
    results = [Tensor(value, trace) for value in trace.graph.apply(op, values, attrs)]
    if op in LINEAR and thread.trace is not None and results[0].shape == ():
        results[0].means = combined(op, operands, attrs)
    return results


def apply(op: str, *inputs: Any, **attrs: Any) -> Tensor:
    """Records the operation `op` and returns its (first) output."""
    return apply_all(op, inputs, **attrs)[0]


def as_tensor(x: Any) -> Operand:
    """Operands as they are; anything else becomes a constant of the recording under way."""
    if isinstance(x, Operand):
        return x
    trace = current_or_eager()
    return Tensor(as_value(x, trace), trace)


def as_operand(x: Any, what: str) -> Operand | np.ndarray:
    """`x` as what has a shape and a dtype; an array is not copied before an operation takes it."""
    if isinstance(x, Operand):
        return x
    return as_tensor(x) if is_number(x) else as_array(x, what)


def known_numbers(x: Any) -> np.ndarray | None:
    """The numbers of an array or a tensor, or None for a tensor that a program will compute."""
    trace = current_or_eager()
    if not isinstance(x, Operand):
        return trace.known_numbers(x if isinstance(x, np.ndarray) else as_array(x))
    return trace.known_numbers(x._as_value(trace))


def dtype_name(dtype: Any) -> str:
    """Our name of a dtype given as a string, a NumPy dtype or a Python type."""
    try:
        name = {float: "float32", int: "int64", bool: "bool"}.get(dtype) or np.dtype(dtype).name
    except (TypeError, ValueError):  # of what is no dtype at all
        name = repr(dtype)
    if name not in DTYPES:
        raise TypeError(f"dtype {name} is not supported, expected one of {', '.join(DTYPES)}")
    return name


def target_dtype(target: Sequence[Any], dtype: Any, device: Any) -> str | None:
    """The dtype that the arguments of `to` ask for, if any: by its name or as that of a tensor.

    Raises ValueError for another device than the CPU, TypeError for two of a kind and for what is no dtype.
    """
    given = [x for x in target if not (x is None or isinstance(x, bool))]  # torch's flags have no effect
    devices = [*filter(is_device, given), *([] if device is None else [device])]
    dtypes = [x for x in given if not is_device(x)] + ([] if dtype is None else [dtype])
    if len(devices) > 1 or len(dtypes) > 1:
        seen = ", ".join(map(repr, devices + dtypes))
        raise TypeError(f"to: expected a dtype, a device, or both, got {seen}")
    for item in devices:
        check_device("to", item)
    if not dtypes:
        return None
    return dtype_name(dtypes[0].dtype if isinstance(dtypes[0], Operand | np.ndarray) else dtypes[0])
