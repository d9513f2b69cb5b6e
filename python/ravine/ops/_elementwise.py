"""Elementwise arithmetic, comparison and logic. Shapes broadcast as in NumPy."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from .._numbers import whole
from ..record import (
    FLOATING,
    Operand,
    Tensor,
    apply,
    as_array,
    as_tensor,
    dtype_name,
    is_number,
    number_dtype,
    operand_dtype,
)


def add(input: Any, other: Any, *, alpha: float = 1) -> Tensor:
    """Sum, `input + alpha · other`, shapes broadcast.

    Example:
        >>> import ravine as rv
        >>> rv.ops.add([[1.0], [2.0]], [10.0, 20.0])
        tensor([[11., 21.],
                [12., 22.]], dtype=float32)
    """
    return apply("add", input, _times("add", alpha, other))


def sub(input: Any, other: Any, *, alpha: float = 1) -> Tensor:
    """Difference, `input - alpha · other`, shapes broadcast.

    Raises TypeError for two bools: use `logical_xor`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.sub([3.0, 4.0], 1.0)
        tensor([2., 3.], dtype=float32)
    """
    return apply("sub", input, _times("sub", alpha, other))


def _times(op: str, alpha: Any, other: Any) -> Any:
    if not is_number(alpha):
        raise TypeError(f"{op}: alpha must be a number, got {alpha!r}")
    if alpha == 1:
        return other
    x = as_tensor(other)
    if x.dtype not in FLOATING and not isinstance(alpha, int | np.integer):
        raise TypeError(f"{op}: alpha of {x.dtype} must be an integer, got {alpha!r}")
    return x * alpha


def mul(input: Any, other: Any) -> Tensor:
    """Product, `input * other`, shapes broadcast.

    Example:
        >>> import ravine as rv
        >>> rv.ops.mul([3.0, 4.0], [2.0, 0.5])
        tensor([6., 2.], dtype=float32)
    """
    return apply("mul", input, other)


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """Quotient, `input / other`, shapes broadcast; integers give float32.

    Args:
        input, other: tensors or numbers.
        rounding_mode: None for the quotient itself; "floor" rounds it down, as Python's `//`; "trunc" towards
            0. Rounded quotients of integers are integers of their dtype, exact, 0 where the divisor is 0. The
            gradient of rounded quotients is 0.

    Raises ValueError for another rounding_mode.

    Example:
        >>> import ravine as rv
        >>> rv.ops.div([3.0, 4.0], 2.0)
        tensor([1.5, 2. ], dtype=float32)
    """
    if rounding_mode is None:
        return apply("div", input, other)
    if rounding_mode not in ("floor", "trunc"):
        raise ValueError(f"div: rounding_mode must be None, 'floor' or 'trunc', got {rounding_mode!r}")
    # Both in their common dtype, which their sum has.
    dtype = apply("add", input, other).dtype
    # Steps have no slope, not even where the quotient that they round has an infinite one.
    a, b = apply("stop_gradient", cast(input, dtype)), apply("stop_gradient", cast(other, dtype))
    if dtype not in FLOATING:
        return cast(_integer_quotient(cast(a, "int64"), cast(b, "int64"), rounding_mode), dtype)
    return _floor_quotient(a, b) if rounding_mode == "floor" else truncated(apply("div", a, b))


def truncated(x: Any) -> Tensor:
    """The whole part of floating numbers."""
    return apply("where", x < 0, apply("ceil", x), apply("floor", x))


def _floor_quotient(a: Tensor, b: Tensor) -> Tensor:
    """The largest whole number not above the exact quotient, which the rounded quotient may exceed."""
    quotient = apply("div", a, b)
    q = apply("floor", quotient)
    rest = apply("multiply_add", -q, b, a)  # its sign is that of the exact remainder
    over = apply("where", b > 0, rest < 0, rest > 0)
    q = apply("where", over & (apply("abs", b) < math.inf), q - 1.0, q)
    # A finite number over an infinite one of the other sign lies just below 0; inf has no floor.
    below = (apply("abs", b) == math.inf) & (apply("sign", a) * apply("sign", b) < 0)
    q = apply("where", below, np.asarray(-1.0, q.dtype), q)
    # Division by zero keeps the quotient, inf or NaN.
    q = apply("where", (apply("abs", a) == math.inf) & (b != 0), np.asarray(math.nan, q.dtype), q)
    return apply("where", b == 0, quotient, q)


def _integer_quotient(a: Tensor, b: Tensor, rounding_mode: str) -> Tensor:
    """Exact quotients of int64: in float64 first, then what is left of it, which is small."""
    zero = np.zeros((), "int64")
    divisor = apply("where", b == 0, np.ones((), "int64"), b)
    q = cast(apply("floor", apply("div", cast(a, "float64"), cast(divisor, "float64"))), "int64")
    rest = a - q * divisor
    q = q + cast(apply("floor", apply("div", cast(rest, "float64"), cast(divisor, "float64"))), "int64")
    rest = a - q * divisor
    if rounding_mode == "trunc":
        # The floor of a negative quotient lies one below where it is not whole.
        q = apply("where", (rest != 0) & (q < 0), q + 1, q)
    return apply("where", b == 0, zero, q)


def pow(input: Any, exponent: Any) -> Tensor:
    """Power, `input ** exponent`, shapes broadcast.

    Of integers it is exact (what does not fit wraps around). Raises ValueError for integers to a negative
    number; a negative exponent in a tensor of integers gives the whole part, 0 except for the bases 1 and -1.

    Example:
        >>> import ravine as rv
        >>> rv.ops.pow([2.0, 3.0], 2)
        tensor([4., 9.], dtype=float32)
    """
    if is_number(exponent):
        input = as_tensor(input)
        if input.dtype not in FLOATING and isinstance(exponent, int | np.integer) and exponent < 0:
            raise ValueError(
                f"pow: integers to a negative power are no integers, got {input.dtype} to the power "
                f"{exponent}; use a floating exponent, {float(exponent)}, or cast the base"
            )
        # Exact and differentiable at 0, where the general rule goes through log(input).
        if exponent == 2:
            return apply("square", input)
        if exponent == 0.5:
            return apply("sqrt", input)
        if exponent == -1:
            return apply("reciprocal", input)
    return apply("pow", input, exponent)


def maximum(input: Any, other: Any) -> Tensor:
    """The larger of two, elementwise; shapes broadcast. Equal ones share the gradient in halves.

    Example:
        >>> import ravine as rv
        >>> rv.ops.maximum([1.0, 5.0], [3.0, 2.0])
        tensor([3., 5.], dtype=float32)
    """
    return apply("maximum", input, other)


def minimum(input: Any, other: Any) -> Tensor:
    """The smaller of two, elementwise; shapes broadcast. Equal ones share the gradient in halves.

    Example:
        >>> import ravine as rv
        >>> rv.ops.minimum([1.0, 5.0], [3.0, 2.0])
        tensor([1., 2.], dtype=float32)
    """
    return apply("minimum", input, other)


def where(condition: Any, input: Any, other: Any) -> Tensor:
    """`input` where `condition` holds, else `other`; the three shapes broadcast.

    The gradient flows to the chosen side only. Where the other side's own derivative is infinite, its product
    with 0 is still NaN: give that side a harmless argument, as in `where(x > 0, log(where(x > 0, x, 1)), 0)`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.where([True, False], [1.0, 2.0], 0.0)
        tensor([1., 0.], dtype=float32)
    """
    like = operand_dtype(
        [x if isinstance(x, Operand) else as_array(x) for x in (input, other) if not is_number(x)]
    )
    condition, input, other = as_tensor(condition), _like(input, like), _like(other, like)
    if condition.dtype != "bool":
        raise TypeError(f"where: the condition must be bool, got {condition.dtype}")
    return apply("where", condition, input, other)


def _like(x: Any, dtype: str | None) -> Any:
    """Numbers and floating arrays in the dtype of the other branch, not of the condition."""
    if isinstance(x, Operand):
        return x
    if is_number(x):
        return np.asarray(x, dtype=number_dtype(x, dtype))
    array = as_array(x)
    return array.astype(dtype, copy=False) if array.dtype.kind == "f" and dtype in FLOATING else array


def clip(input: Any, min: Any = None, max: Any = None) -> Tensor:
    """Limits values to [min, max]; `None` leaves a side open. The gradient is 0 outside, 1 at the bounds.

    Args:
        input: any shape.
        min: lower bound, a number or a tensor.
        max: upper bound, a number or a tensor.

    Raises ValueError where neither bound is given.

    Example:
        >>> import ravine as rv
        >>> rv.ops.clip([-2.0, 0.5, 3.0], -1.0, 1.0)
        tensor([-1. ,  0.5,  1. ], dtype=float32)
    """
    if min is None and max is None:
        raise ValueError("clip: at least one of min and max must be given")
    x = as_tensor(input)
    if any(isinstance(bound, Operand | np.ndarray) for bound in (min, max)):
        x = x if min is None else _bounded("less", x, min)
        return x if max is None else _bounded("greater", x, max)  # type: ignore[return-value]
    if x.dtype not in FLOATING:
        x = x if min is None else apply("maximum", x, min)
        return x if max is None else apply("minimum", x, max)  # type: ignore[return-value]
    low, high = -math.inf if min is None else float(min), math.inf if max is None else float(max)
    return apply("clip", x, low=low, high=high)


def _bounded(beyond: str, x: Operand, bound: Any) -> Tensor:
    """x, or the bound where x lies beyond it or the bound is NaN; at the bound the gradient is that of x."""
    outside = apply("logical_or", apply(beyond, x, bound), apply("not_equal", bound, bound))
    return apply("where", outside, bound, x)


clamp = clip


def cast(input: Any, dtype: Any) -> Tensor:
    """The same numbers in another dtype: float32, float64, int32, int64, uint8 or bool.

    Example:
        >>> import ravine as rv
        >>> rv.ops.cast([0.5, 2.0], "int64")
        tensor([0, 2], dtype=int64)
    """
    return apply("cast", input, dtype=dtype_name(dtype))


def stop_gradient(input: Any) -> Tensor:
    """The same values, through which no gradient flows (torch's `detach`).

    Example:
        >>> import ravine as rv
        >>> rv.value_and_grad(lambda x: (x * rv.ops.stop_gradient(x)).sum())([3.0])[1]
        array([3.], dtype=float32)
    """
    return apply("stop_gradient", input)


detach = stop_gradient


def abs(input: Any) -> Tensor:
    """Absolute value, `|x|`. The gradient at 0 is 0.

    Example:
        >>> import ravine as rv
        >>> rv.ops.abs([-1.5, 2.0])
        tensor([1.5, 2. ], dtype=float32)
    """
    return apply("abs", input)


def neg(input: Any) -> Tensor:
    """Negation, `-x`. Raises TypeError for bools, which have no sign: use `logical_not`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.neg([-1.5, 2.0])
        tensor([ 1.5, -2. ], dtype=float32)
    """
    return apply("neg", input)


def sign(input: Any) -> Tensor:
    """Sign: -1, 0 or 1; 0 for a NaN, as in torch. The gradient is 0.

    Example:
        >>> import ravine as rv
        >>> rv.ops.sign([-1.5, 0.0, 2.0])
        tensor([-1.,  0.,  1.], dtype=float32)
    """
    return apply("sign", input)


def square(input: Any) -> Tensor:
    """Square, `x²`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.square([-1.5, 2.0])
        tensor([2.25, 4.  ], dtype=float32)
    """
    return apply("square", input)


def exp(input: Any) -> Tensor:
    """Exponential, `eˣ`; error at most 1 ulp.

    Example:
        >>> import ravine as rv
        >>> rv.ops.exp([0.0, 1.0])
        tensor([1.       , 2.7182817], dtype=float32)
    """
    return apply("exp", input)


def expm1(input: Any) -> Tensor:
    """`eˣ - 1`, accurate for small x; error at most 2 ulp.

    Example:
        >>> import ravine as rv
        >>> rv.ops.expm1([0.0, 1e-6])
        tensor([0.0000000e+00, 1.0000005e-06], dtype=float32)
    """
    return apply("expm1", input)


def log(input: Any) -> Tensor:
    """Natural logarithm, `ln x`; error at most 1 ulp.

    Example:
        >>> import ravine as rv
        >>> rv.ops.log([1.0, 2.0])
        tensor([0.       , 0.6931472], dtype=float32)
    """
    return apply("log", input)


def log1p(input: Any) -> Tensor:
    """`ln(1 + x)`, accurate for small x; error at most 1 ulp.

    Example:
        >>> import ravine as rv
        >>> rv.ops.log1p([0.0, 1.0])
        tensor([0.       , 0.6931472], dtype=float32)
    """
    return apply("log1p", input)


def sqrt(input: Any) -> Tensor:
    """Square root, `√x`. The gradient at 0 is infinite.

    Example:
        >>> import ravine as rv
        >>> rv.ops.sqrt([4.0, 9.0])
        tensor([2., 3.], dtype=float32)
    """
    return apply("sqrt", input)


def rsqrt(input: Any) -> Tensor:
    """Reciprocal square root, `1/√x`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.rsqrt([4.0, 16.0])
        tensor([0.5 , 0.25], dtype=float32)
    """
    return apply("rsqrt", input)


def reciprocal(input: Any) -> Tensor:
    """Reciprocal, `1/x`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.reciprocal([4.0, 0.5])
        tensor([0.25, 2.  ], dtype=float32)
    """
    return apply("reciprocal", input)


def sin(input: Any) -> Tensor:
    """Sine of x radians; error at most 2 ulp.

    Example:
        >>> import ravine as rv
        >>> rv.ops.sin([0.0, 0.5])
        tensor([0.        , 0.47942555], dtype=float32)
    """
    return apply("sin", input)


def cos(input: Any) -> Tensor:
    """Cosine of x radians; error at most 2 ulp.

    Example:
        >>> import ravine as rv
        >>> rv.ops.cos([0.0, 0.5])
        tensor([1.        , 0.87758255], dtype=float32)
    """
    return apply("cos", input)


def atan(input: Any) -> Tensor:
    """Inverse tangent in radians, in [-π/2, π/2]; error at most 2 ulp.

    Example:
        >>> import ravine as rv
        >>> rv.ops.atan([0.0, 1.0])
        tensor([0.       , 0.7853982], dtype=float32)
    """
    return apply("atan", input)


def tanh(input: Any) -> Tensor:
    """Hyperbolic tangent; error at most 1.5 ulp.

    Example:
        >>> import ravine as rv
        >>> rv.ops.tanh([0.0, 0.5])
        tensor([0.        , 0.46211717], dtype=float32)
    """
    return apply("tanh", input)


def erf(input: Any) -> Tensor:
    """Error function, `2/√π ∫₀ˣ exp(-t²) dt`; error at most 1.5 ulp.

    Example:
        >>> import ravine as rv
        >>> rv.ops.erf([0.0, 0.5])
        tensor([0.       , 0.5204999], dtype=float32)
    """
    return apply("erf", input)


def floor(input: Any) -> Tensor:
    """The largest integer not above x; integers stay as they are. The gradient is 0.

    Example:
        >>> import ravine as rv
        >>> rv.ops.floor([-1.5, 2.5])
        tensor([-2.,  2.], dtype=float32)
    """
    return apply("floor", input)


def ceil(input: Any) -> Tensor:
    """The smallest integer not below x; integers stay as they are. The gradient is 0.

    Example:
        >>> import ravine as rv
        >>> rv.ops.ceil([-1.5, 2.5])
        tensor([-1.,  3.], dtype=float32)
    """
    return apply("ceil", input)


def round(input: Any, *, decimals: int = 0) -> Tensor:
    """The nearest integer, halves to even; with `decimals` the nearest number of so many digits.

    The gradient is 0. Negative `decimals` round to tens, hundreds and so on; integers take none but 0, which
    leaves them as they are.

    Raises TypeError where decimals is no integer, or not 0 for integers.

    Example:
        >>> import ravine as rv
        >>> rv.ops.round([-1.5, 2.5])
        tensor([-2.,  2.], dtype=float32)
    """
    if decimals == 0:
        return apply("round", input)
    places = whole("round", "decimals", decimals, low=-(2**31))
    x = as_tensor(input)
    if x.dtype not in FLOATING:
        raise TypeError(f"round: decimals={places} needs floating numbers, got {x.dtype}")
    power = 10.0 ** builtins.abs(places)
    return apply("round", x * power) / power if places > 0 else apply("round", x / power) * power
