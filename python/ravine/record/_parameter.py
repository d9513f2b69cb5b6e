"""Parameters and buffers: the state of a model, which lives outside of programs and is shared by them."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from ._convert import FLOATING, as_array
from ._tensor import Operand, Tensor, dtype_name
from ._thread import current, thread
from ._trace import Trace, as_value
from ._versions import Versioned, new_version

if TYPE_CHECKING:
    from typing_extensions import Self  # typing.Self needs Python 3.11


class State(Operand):
    """An array that outlives programs; in `forward` it stands for its value in that run."""

    __slots__ = ("__weakref__", "_owners", "array")

    def __init__(self, data: Any, channels_last: bool = False) -> None:
        self.array = data if isinstance(data, _core.Array) else _new_array(data, channels_last)
        self._owners: list[weakref.ref[Versioned]] = []

    def _join(self, owner: Versioned) -> None:
        """Tells this module of changes from now on."""
        owners = [known for known in self._owners if known() is not None]
        if all(known() is not owner for known in owners):
            self._owners = [*owners, weakref.ref(owner)]

    def _changed(self) -> None:
        for known in self._owners:
            if (owner := known()) is not None:
                owner.__dict__["_version"] = new_version()

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> str:
        return self.array.dtype

    @property
    def data(self) -> np.ndarray:
        """The numbers, as a writable view: `parameter.data[...] = 0` changes the model."""
        return self.array.numpy()

    @data.setter
    def data(self, value: Any) -> None:
        new = value.numpy() if isinstance(value, Operand) else as_array(value, "data")
        if new.shape != self.shape:
            raise ValueError(f"data of shape {new.shape} cannot replace data of shape {self.shape}")
        self.array.numpy()[...] = new

    def numpy(self) -> np.ndarray:
        """The numbers, as a view that shares memory with the model.

        Raises RuntimeError while a program is recorded, which would keep the numbers of now.
        """
        trace = thread.trace
        if trace is not None and not trace.eager:
            raise RuntimeError(
                f"the numbers of a {type(self).__name__} cannot be looked at while forward is recorded: the "
                f"program would keep those of now. Use it in tensor operations (ops.where instead of `if`), "
                f"or look at values inside `with rv.eager():`"
            )
        return self.array.numpy()

    def to_dtype(self, dtype: Any) -> None:
        """Replaces the memory by a copy of another dtype; programs compiled before keep the old one."""
        name = dtype_name(dtype)
        if name != self.dtype:
            self.array = _core.Array(self.data.astype(name), self.array.channels_last)
            self._changed()

    def _as_value(self, trace: Trace) -> _core.Value:
        return trace.state(self.array)

    def _copy_fields(self) -> dict[str, Any]:
        return {}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copy = type(self)(_core.Array(self.data, self.array.channels_last), **self._copy_fields())
        memo[id(self)] = copy
        return copy

    def __reduce__(self) -> Any:
        return restore_state, (type(self), np.array(self.data), self.array.channels_last, self._copy_fields())


def restore_state(kind: type[State], data: np.ndarray, channels_last: bool, fields: dict[str, Any]) -> State:
    return kind(_core.Array(data, channels_last), **fields)


def copies_of(states: Sequence[State]) -> list[np.ndarray]:
    """Copies of the numbers: beside a thread that trains, all of one step."""
    return _core.copies_of([state.array for state in states])


def _new_array(data: Any, channels_last: bool) -> _core.Array:
    array = data.numpy() if isinstance(data, Operand) else as_array(data, "parameter")
    return _core.Array(array, channels_last)


class Parameter(State):
    """A trainable array of a model.

    Assigned to an attribute of a `Module` it becomes one of the module's parameters.

    Args:
        data: the initial numbers, an array or nested lists; copied. Lists of floats become float32.
        requires_grad: False freezes it: `TrainStep` and `value_and_grad` leave it out.
        channels_last: keep a rank-4 array [O, I, kh, kw] as [O, kh, kw, I] in memory, as convolutions
            read it.
        constraint: what every update keeps, see `nn.constraints`.

    Raises TypeError for a dtype that is not floating.

    Example:
        >>> import ravine as rv
        >>> rv.nn.Parameter([[1.0, 2.0]])
        Parameter containing:
        array([[1., 2.]], dtype=float32)
    """

    __slots__ = ("_constraint", "_requires_grad")

    def __init__(
        self,
        data: Any,
        requires_grad: bool = True,
        *,
        channels_last: bool = False,
        constraint: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__(data, channels_last)
        if self.dtype not in FLOATING:
            raise TypeError(f"a Parameter must be float32 or float64, got {self.dtype}; use a Buffer")
        self._requires_grad = bool(requires_grad)
        self._constraint = constraint

    @property
    def constraint(self) -> Callable[[Any], Any] | None:
        """What every update keeps: a function that gives the nearest allowed weight, see `nn.constraints`."""
        return self._constraint

    @constraint.setter
    def constraint(self, value: Callable[[Any], Any] | None) -> None:
        if not (value is None or callable(value)):
            raise TypeError(
                f"constraint: one of nn.constraints or a function is expected, got {type(value).__name__}"
            )
        self._constraint = value
        self._changed()

    @property
    def requires_grad(self) -> bool:
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self._requires_grad = bool(value)
        self._changed()

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        self.requires_grad = requires_grad
        return self

    def _copy_fields(self) -> dict[str, Any]:
        return {"requires_grad": self._requires_grad, "constraint": self._constraint}

    def __repr__(self) -> str:
        frozen = "" if self._requires_grad else " (frozen)"
        return f"Parameter containing{frozen}:\n{self.data!r}"


class Buffer(State):
    """State of a model that is not trained, such as the running mean of a BatchNorm.

    Args:
        data: the initial numbers, an array or nested lists; copied.
        persistent: whether it is part of the module's `state_dict`.

    Example:
        >>> import ravine as rv
        >>> calls = rv.nn.Buffer(0)
        >>> calls.dtype, calls.persistent
        ('int64', True)
    """

    __slots__ = ("persistent",)

    def __init__(self, data: Any, persistent: bool = True) -> None:
        super().__init__(data)
        self.persistent = bool(persistent)

    def assign(self, value: Any) -> None:
        """Gives the buffer a new value; in `forward`, at the end of the run and for what comes after this."""
        trace = current()
        if trace is None:
            self.data = value
            return
        tensor = value if isinstance(value, Tensor) else Tensor(as_value(value, trace, self.dtype), trace)
        if tensor.shape != self.shape or tensor.dtype != self.dtype:
            raise ValueError(
                f"a buffer of shape {self.shape} and dtype {self.dtype} cannot be assigned a tensor of shape "
                f"{tensor.shape} and dtype {tensor.dtype}"
            )
        trace.assign(self.array, tensor._as_value(trace))

    def _copy_fields(self) -> dict[str, Any]:
        return {"persistent": self.persistent}

    def __repr__(self) -> str:
        return f"Buffer containing:\n{self.data!r}"
