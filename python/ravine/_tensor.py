"""Tensors, what a module's `forward` computes with: operators and methods; functions are in `ravine.ops`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _trace
from ._dims import Axes, axes_of, normalise_dim

if TYPE_CHECKING:
    from collections.abc import Sequence

    from . import _core


class Operand:
    """What stands in expressions: `Tensor`, `Parameter`, `Buffer`; their operators and methods."""

    __slots__ = ()
    __array_ufunc__ = None  # ndarray + tensor asks the tensor, not NumPy

    @property
    def shape(self) -> tuple[int, ...]:
        raise NotImplementedError

    @property
    def dtype(self) -> str:
        raise NotImplementedError

    def _as_value(self, trace: _trace.Trace) -> _core.Value:
        raise NotImplementedError

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

    def __pow__(self, exponent: Any) -> Tensor:
        return power(self, exponent)

    def __rpow__(self, base: Any) -> Tensor:
        return power(base, self)

    def __matmul__(self, other: Any) -> Tensor:
        return matmul(self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return matmul(other, self)

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

    def __invert__(self) -> Tensor:
        return apply("logical_not", self)

    def __and__(self, other: Any) -> Tensor:
        return apply("logical_and", self, other)

    def __or__(self, other: Any) -> Tensor:
        return apply("logical_or", self, other)

    def __xor__(self, other: Any) -> Tensor:
        return apply("logical_xor", self, other)

    def __getitem__(self, index: Any) -> Tensor:
        from ._indexing import getitem  # it builds on this module

        return getitem(self, index)

    # elementwise
    def abs(self) -> Tensor:
        return apply("abs", self)

    def exp(self) -> Tensor:
        return apply("exp", self)

    def log(self) -> Tensor:
        return apply("log", self)

    def sqrt(self) -> Tensor:
        return apply("sqrt", self)

    def rsqrt(self) -> Tensor:
        return apply("rsqrt", self)

    def square(self) -> Tensor:
        return apply("square", self)

    def pow(self, exponent: Any) -> Tensor:
        return power(self, exponent)

    def tanh(self) -> Tensor:
        return apply("tanh", self)

    def sigmoid(self) -> Tensor:
        return apply("sigmoid", self)

    def relu(self) -> Tensor:
        return apply("relu", self)

    def clip(self, min: float | None = None, max: float | None = None) -> Tensor:
        return clip(self, min, max)

    clamp = clip

    def to(self, dtype: Any) -> Tensor:
        return cast(self, dtype)

    def detach(self) -> Tensor:
        return apply("stop_gradient", self)

    # reductions
    def sum(self, dim: Axes = None, keepdim: bool = False) -> Tensor:
        return reduce("sum", self, dim, keepdim)

    def mean(self, dim: Axes = None, keepdim: bool = False) -> Tensor:
        return reduce("mean", self, dim, keepdim)

    def prod(self, dim: Axes = None, keepdim: bool = False) -> Tensor:
        return reduce("prod", self, dim, keepdim)

    def amax(self, dim: Axes = None, keepdim: bool = False) -> Tensor:
        return reduce("max", self, dim, keepdim)

    def amin(self, dim: Axes = None, keepdim: bool = False) -> Tensor:
        return reduce("min", self, dim, keepdim)

    def max(self, dim: int | None = None, keepdim: bool = False) -> Any:
        return extreme("max", self, dim, keepdim)

    def min(self, dim: int | None = None, keepdim: bool = False) -> Any:
        return extreme("min", self, dim, keepdim)

    def argmax(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        return arg_extreme("argmax", self, dim, keepdim)

    def argmin(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        return arg_extreme("argmin", self, dim, keepdim)

    # shape
    def reshape(self, *shape: Any) -> Tensor:
        return reshape(self, shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape)

    view = reshape

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        return flatten(self, start_dim, end_dim)

    def permute(self, *dims: Any) -> Tensor:
        return permute(self, dims[0] if len(dims) == 1 and not isinstance(dims[0], int) else dims)

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        return transpose(self, dim0, dim1)

    @property
    def T(self) -> Tensor:
        return permute(self, range(self.ndim)[::-1])

    def unsqueeze(self, dim: int) -> Tensor:
        return unsqueeze(self, dim)

    def squeeze(self, dim: Axes = None) -> Tensor:
        return squeeze(self, dim)


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

    __slots__ = ("_trace", "_value")

    def __init__(self, value: _core.Value, trace: _trace.Trace) -> None:
        self._value = value
        self._trace = trace

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

    def _as_value(self, trace: _trace.Trace) -> _core.Value:
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


class Extreme(NamedTuple):
    """What `max(dim)` and `min(dim)` return."""

    values: Tensor
    indices: Tensor


def operand_dtype(inputs: Sequence[Any]) -> str | None:
    """The dtype that numbers beside these operands take: a floating one first, tensors' before arrays'."""
    tensors = [x.dtype for x in inputs if isinstance(x, Operand)]
    dtypes = tensors or [x.dtype.name for x in inputs if isinstance(x, np.ndarray)]
    return next((d for d in dtypes if d in _trace.FLOATING), dtypes[0] if dtypes else None)


def apply_all(op: str, inputs: Sequence[Any], **attrs: Any) -> list[Tensor]:
    """Records the operation `op` and returns all its outputs."""
    trace = _trace.current_or_eager()
    operands = [
        x if isinstance(x, Operand) or _trace.is_number(x) else _trace.as_array(x, op) for x in inputs
    ]
    like = operand_dtype(operands)
    values = [_trace.as_value(x, trace, like) for x in operands]
    return [Tensor(value, trace) for value in trace.graph.apply(op, values, attrs)]


def apply(op: str, *inputs: Any, **attrs: Any) -> Tensor:
    """Records the operation `op` and returns its (first) output."""
    return apply_all(op, inputs, **attrs)[0]


def as_tensor(x: Any) -> Operand:
    """Operands as they are; anything else becomes a constant of the recording under way."""
    if isinstance(x, Operand):
        return x
    trace = _trace.current_or_eager()
    return Tensor(_trace.as_value(x, trace), trace)


def dtype_name(dtype: Any) -> str:
    """Our name of a dtype given as a string, a NumPy dtype or a Python type."""
    name = {float: "float32", int: "int64", bool: "bool"}.get(dtype) or np.dtype(dtype).name
    if name not in _trace.DTYPES:
        raise TypeError(f"dtype {name} is not supported, expected one of {', '.join(_trace.DTYPES)}")
    return name


def cast(x: Any, dtype: Any) -> Tensor:
    return apply("cast", x, dtype=dtype_name(dtype))


def power(base: Any, exponent: Any) -> Tensor:
    if _trace.is_number(exponent):
        # Exact and differentiable at 0, where the general rule goes through log(base).
        if exponent == 2:
            return apply("square", base)
        if exponent == 0.5:
            return apply("sqrt", base)
        if exponent == -1:
            return apply("reciprocal", base)
    return apply("pow", base, exponent)


def clip(x: Any, low: Any, high: Any) -> Tensor:
    if low is None and high is None:
        raise ValueError("clip: at least one of min and max must be given")
    if isinstance(low, Operand | np.ndarray) or isinstance(high, Operand | np.ndarray):
        x = x if low is None else apply("maximum", x, low)
        return x if high is None else apply("minimum", x, high)
    x = as_tensor(x)
    if x.dtype not in _trace.FLOATING:
        x = x if low is None else apply("maximum", x, low)
        return x if high is None else apply("minimum", x, high)  # type: ignore[return-value]
    return apply(
        "clip",
        x,
        low=-math.inf if low is None else float(low),
        high=math.inf if high is None else float(high),
    )


def reduce(op: str, x: Any, dim: Axes, keepdim: bool) -> Tensor:
    x = as_tensor(x)
    return apply(op, x, axes=axes_of(dim, x.ndim, op), keepdims=bool(keepdim))


def arg_extreme(op: str, x: Any, dim: int | None, keepdim: bool) -> Tensor:
    x = as_tensor(x)
    if dim is None:
        index = apply(op, reshape(x, (-1,)), axis=0, keepdims=False)
        return reshape(index, (1,) * x.ndim) if keepdim else index
    return apply(op, x, axis=normalise_dim(dim, x.ndim, op), keepdims=bool(keepdim))


def extreme(op: str, x: Any, dim: int | None, keepdim: bool) -> Tensor | Extreme:
    if dim is None:
        return reduce(op, x, None, keepdim)
    x = as_tensor(x)
    indices = arg_extreme("arg" + op, x, dim, True)
    values = apply("gather", x, indices, axis=normalise_dim(dim, x.ndim, op))
    if not keepdim:
        values, indices = squeeze(values, dim), squeeze(indices, dim)
    return Extreme(values, indices)


def matmul(a: Any, b: Any) -> Tensor:
    """NumPy's matmul: the operation takes rank 2 and more, vectors get a unit dimension and lose it again."""
    like = operand_dtype([a, b])
    a = a if isinstance(a, Operand) else _matmul_array(a, like)
    b = b if isinstance(b, Operand) else _matmul_array(b, like)
    if not a.shape or not b.shape:
        raise ValueError(f"matmul: operands need at least one dimension, got shapes {a.shape} and {b.shape}")
    row, column = a.ndim == 1, b.ndim == 1
    if row:
        a = apply("reshape", a, shape=(1, a.shape[0]))
    if column:
        b = apply("reshape", b, shape=(b.shape[0], 1))
    y = apply("matmul", a, b)
    if row or column:
        shape = y.shape[: -1 - row] if column else y.shape[:-2] + y.shape[-1:]
        y = apply("reshape", y, shape=shape)
    return y


def _matmul_array(x: Any, like: str | None) -> np.ndarray:
    array = _trace.as_array(x, "matmul")
    return array.astype(like, copy=False) if array.dtype.kind == "f" and like in _trace.FLOATING else array


def reshape(x: Any, shape: Any) -> Tensor:
    return apply("reshape", x, shape=tuple(int(n) for n in shape))


def flatten(x: Any, start_dim: int, end_dim: int) -> Tensor:
    x = as_tensor(x)
    if x.ndim == 0:
        return reshape(x, (1,))
    start, end = normalise_dim(start_dim, x.ndim, "flatten"), normalise_dim(end_dim, x.ndim, "flatten")
    if start > end:
        raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim} in a shape {x.shape}")
    return reshape(x, x.shape[:start] + (math.prod(x.shape[start : end + 1]),) + x.shape[end + 1 :])


def permute(x: Any, dims: Any) -> Tensor:
    x = as_tensor(x)
    axes = tuple(normalise_dim(d, x.ndim, "permute") for d in dims)
    if sorted(axes) != list(range(x.ndim)):
        raise ValueError(
            f"permute: dims {tuple(dims)} are not a permutation of the {x.ndim} dimensions of {x.shape}"
        )
    return apply("transpose", x, axes=axes)


def transpose(x: Any, dim0: int, dim1: int) -> Tensor:
    x = as_tensor(x)
    dims = list(range(x.ndim))
    i, j = normalise_dim(dim0, x.ndim, "transpose"), normalise_dim(dim1, x.ndim, "transpose")
    dims[i], dims[j] = dims[j], dims[i]
    return permute(x, dims)


def unsqueeze(x: Any, dim: int) -> Tensor:
    x = as_tensor(x)
    position = normalise_dim(dim, x.ndim + 1, "unsqueeze")
    return reshape(x, x.shape[:position] + (1,) + x.shape[position:])


def squeeze(x: Any, dim: Axes) -> Tensor:
    """Drops dimensions of size 1: all of them, or the given ones where their size is 1."""
    x = as_tensor(x)
    axes = axes_of(dim, x.ndim, "squeeze")
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if not (i in axes and n == 1)))
