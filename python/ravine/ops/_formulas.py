"""Elementwise functions that are short formulas of others, and fuse as these do."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._dims import is_dim
from .._numbers import number, whole
from ..record import FLOATING, Operand, Tensor, apply, as_tensor, is_number
from ._elementwise import cast, clip, div, pow, truncated, where


def _floating(x: Any) -> Operand:
    """Integers and bools as float32."""
    tensor = as_tensor(x)
    return tensor if tensor.dtype in FLOATING else apply("cast", tensor, dtype="float32")


def trunc(input: Any) -> Tensor:
    """The whole part, rounded towards 0; integers stay as they are. The gradient is 0.

    Example:
        >>> import ravine as rv
        >>> rv.ops.trunc([-1.5, 2.5])
        tensor([-1.,  2.], dtype=float32)
    """
    x = as_tensor(input)
    return truncated(x) if x.dtype in FLOATING else apply("identity", x)


fix = trunc


def frac(input: Any) -> Tensor:
    """What `trunc` leaves, with the sign of x.

    Example:
        >>> import ravine as rv
        >>> rv.ops.frac([-1.5, 2.25])
        tensor([-0.5 ,  0.25], dtype=float32)
    """
    x = as_tensor(input)
    if x.dtype not in FLOATING:
        raise TypeError(f"frac: input must be floating, got {x.dtype}")
    return x - truncated(x)


def deg2rad(input: Any) -> Tensor:
    """Degrees as radians.

    Example:
        >>> import ravine as rv
        >>> rv.ops.deg2rad([180.0])
        tensor([3.1415927], dtype=float32)
    """
    return _floating(input) * (math.pi / 180)


def rad2deg(input: Any) -> Tensor:
    """Radians as degrees.

    Example:
        >>> import ravine as rv
        >>> rv.ops.rad2deg([0.0])
        tensor([0.], dtype=float32)
    """
    return _floating(input) * (180 / math.pi)


def positive(input: Any) -> Tensor:
    """The input itself.

    Raises TypeError for bools.

    Example:
        >>> import ravine as rv
        >>> rv.ops.positive([-1.0])
        tensor([-1.], dtype=float32)
    """
    x = as_tensor(input)
    if x.dtype == "bool":
        raise TypeError("positive: expected numbers, got bool")
    return apply("identity", x)


def signbit(input: Any) -> Tensor:
    """True for negative numbers, and for -0.

    Example:
        >>> import ravine as rv
        >>> rv.ops.signbit([-1.0, -0.0, 0.0])
        tensor([ True,  True, False], dtype=bool)
    """
    x = as_tensor(input)
    if x.dtype not in FLOATING:
        return x < 0 if x.dtype != "bool" else apply("logical_and", x, False)
    return apply("copysign", np.ones((), x.dtype), x) < 0


def sgn(input: Any) -> Tensor:
    """-1, 0 or 1, as `sign`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.sgn([-2.0, 0.0])
        tensor([-1.,  0.], dtype=float32)
    """
    return apply("sign", input)


def logit(input: Any, eps: float | None = None) -> Tensor:
    """`ln(x / (1 - x))`, the inverse of sigmoid.

    Args:
        input: in [0, 1].
        eps: limits x to [eps, 1 - eps] first; None gives NaN outside of [0, 1].

    Example:
        >>> import ravine as rv
        >>> rv.ops.logit([0.5])
        tensor([0.], dtype=float32)
    """
    x = _floating(input)
    if eps is not None:
        margin = number("logit", "eps", eps, -math.inf)
        x = clip(x, margin, 1 - margin)
    # A factor, since outside of its domain the function has no slope either.
    inside = apply("abs", x - 0.5) <= 0.5
    x = x * where(inside, np.ones((), x.dtype), np.asarray(math.nan, x.dtype))
    return apply("log", x) - apply("log1p", -x)


def sinc(input: Any) -> Tensor:
    """`sin(πx) / (πx)`, 1 at 0.

    Near 0 by its series, since the slope of the quotient, cos(πx) / x - sin(πx) / (πx²), cancels there.

    Example:
        >>> import ravine as rv
        >>> rv.ops.sinc([0.0, 0.5])
        tensor([1.        , 0.63661975], dtype=float32)
    """
    x = _floating(input) * math.pi
    near = apply("abs", x) < 0.5
    square = x * x
    series = where(near, square, np.zeros((), x.dtype))
    powers: Any = 0.0
    for k in range(8, 0, -1):  # the ninth is below 1e-22
        powers = (powers + (-1.0) ** k / math.factorial(2 * k + 1)) * series
    away = where(near, np.ones((), x.dtype), x)
    return where(near, powers + 1.0, apply("sin", away) / away)


def lerp(input: Any, end: Any, weight: Any) -> Tensor:
    """`input + weight · (end - input)`, exact at both ends; shapes broadcast.

    Example:
        >>> import ravine as rv
        >>> rv.ops.lerp([0.0], [10.0], 0.25)
        tensor([2.5], dtype=float32)
    """
    a, b = as_tensor(input), as_tensor(end)
    if a.dtype != b.dtype:
        raise TypeError(f"lerp: input and end must have one dtype, got {a.dtype} and {b.dtype}")
    way = b - a
    if is_number(weight):
        return a + way * weight if abs(weight) < 0.5 else b - way * (1 - weight)
    w = as_tensor(weight)
    return where(apply("abs", w) < 0.5, a + way * w, b - way * (1.0 - w))


def _common(a: Any, b: Any) -> str:
    """The dtype that the sum of two has."""
    return apply("add", a, b).dtype


def remainder(input: Any, other: Any) -> Tensor:
    """What a division rounded down leaves, with the sign of the divisor: Python's `%`. Shapes broadcast.

    Of integers it is exact; where the divisor is 0 it is the dividend, of floats NaN.

    Example:
        >>> import ravine as rv
        >>> rv.ops.remainder([-3.0, 5.5], 2.0)
        tensor([1. , 1.5], dtype=float32)
    """
    return _rest("remainder", "floor", input, other)


def fmod(input: Any, other: Any) -> Tensor:
    """What a division rounded towards 0 leaves, with the sign of the dividend: C's `fmod`. Shapes broadcast.

    Example:
        >>> import ravine as rv
        >>> rv.ops.fmod([-3.0, 5.5], 2.0)
        tensor([-1. ,  1.5], dtype=float32)
    """
    return _rest("fmod", "trunc", input, other)


def _rest(op: str, rounding_mode: str, input: Any, other: Any) -> Tensor:
    dtype = _common(input, other)
    if dtype in FLOATING:
        return apply(op, input, other)
    a, b = cast(input, dtype), cast(other, dtype)
    return a - b * div(a, b, rounding_mode=rounding_mode)


def floor_divide(input: Any, other: Any) -> Tensor:
    """`div` with rounding_mode="floor": Python's `//`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.floor_divide([-3.0, 5.0], 2.0)
        tensor([-2.,  2.], dtype=float32)
    """
    return div(input, other, rounding_mode="floor")


def true_divide(input: Any, other: Any) -> Tensor:
    """`div`, the quotient itself.

    Example:
        >>> import ravine as rv
        >>> rv.ops.true_divide([3.0], 2.0)
        tensor([1.5], dtype=float32)
    """
    return div(input, other)


def rsub(input: Any, other: Any, *, alpha: float = 1) -> Tensor:
    """`other - alpha · input`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.rsub([1.0], 3.0)
        tensor([2.], dtype=float32)
    """
    return apply("sub", other, input if alpha == 1 else as_tensor(input) * alpha)


def fmax(input: Any, other: Any) -> Tensor:
    """The larger of two; where one is NaN the other. Shapes broadcast.

    Example:
        >>> import ravine as rv
        >>> rv.ops.fmax([1.0, float("nan")], [3.0, 2.0])
        tensor([3., 2.], dtype=float32)
    """
    return _known_extreme("maximum", input, other)


def fmin(input: Any, other: Any) -> Tensor:
    """The smaller of two; where one is NaN the other. Shapes broadcast.

    Example:
        >>> import ravine as rv
        >>> rv.ops.fmin([1.0, float("nan")], [3.0, 2.0])
        tensor([1., 2.], dtype=float32)
    """
    return _known_extreme("minimum", input, other)


def _known_extreme(op: str, input: Any, other: Any) -> Tensor:
    a, b = as_tensor(input), as_tensor(other)
    # Equal ones give the first the whole gradient, as in torch.
    first = a >= b if op == "maximum" else a <= b
    return where(apply("logical_or", first, b != b), a, b)


def heaviside(input: Any, values: Any) -> Tensor:
    """0 below 0, 1 above, `values` at 0; no gradient flows. Shapes broadcast.

    Example:
        >>> import ravine as rv
        >>> rv.ops.heaviside([-1.0, 0.0, 2.0], 0.5)
        tensor([0. , 0.5, 1. ], dtype=float32)
    """
    x = as_tensor(input)
    step = apply("cast", x > 0, dtype=x.dtype)
    chosen = where(apply("equal", x, 0), values, step)
    return apply("stop_gradient", chosen)


def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Tensor:
    """`input + value · tensor1 · tensor2`; shapes broadcast.

    Example:
        >>> import ravine as rv
        >>> rv.ops.addcmul([1.0], [2.0], [3.0], value=0.5)
        tensor([4.], dtype=float32)
    """
    product = apply("mul", tensor1, tensor2)
    return apply("add", input, product if value == 1 else product * value)


def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Tensor:
    """`input + value · tensor1 / tensor2`; shapes broadcast.

    Example:
        >>> import ravine as rv
        >>> rv.ops.addcdiv([1.0], [2.0], [4.0], value=2)
        tensor([2.], dtype=float32)
    """
    first = as_tensor(tensor1)
    return apply("add", input, apply("div", first if value == 1 else first * value, tensor2))


def ldexp(input: Any, other: Any) -> Tensor:
    """`input · 2^other`.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.ldexp([1.5], np.array([2]))
        tensor([6.], dtype=float32)
    """
    return apply("mul", input, apply("pow", 2.0, other))


def float_power(input: Any, exponent: Any) -> Tensor:
    """`pow` in float64.

    Example:
        >>> import ravine as rv
        >>> rv.ops.float_power([2.0], 0.5)
        tensor([1.41421356], dtype=float64)
    """
    wide = [np.asarray(x, "float64") if is_number(x) else cast(x, "float64") for x in (input, exponent)]
    return pow(*(float(w) if isinstance(w, np.ndarray) and i else w for i, w in enumerate(wide)))


def logaddexp2(input: Any, other: Any) -> Tensor:
    """`log₂(2ᵃ + 2ᵇ)` without overflow.

    Example:
        >>> import ravine as rv
        >>> rv.ops.logaddexp2([10.0], [10.0])
        tensor([11.], dtype=float32)
    """
    scale = math.log(2.0)
    return apply("logaddexp", _floating(input) * scale, _floating(other) * scale) * (1 / scale)


def polygamma(input: Any, n: Any) -> Tensor:
    """The n-th derivative of `digamma`, `(-1)ⁿ⁺¹ n! ζ(n + 1, x)`.

    `polygamma(n, x)`, as `torch.polygamma` and SciPy have it, and `polygamma(x, n)`, as `x.polygamma(n)`:
    n is the whole number.

    Example:
        >>> import ravine as rv
        >>> rv.ops.polygamma(1, [1.0])
        tensor([1.644934], dtype=float32)
        >>> rv.ops.polygamma([1.0], n=1)
        tensor([1.644934], dtype=float32)
    """
    if is_dim(input) and not is_dim(n):
        input, n = n, input
    order = whole("polygamma", "n", n, low=0)
    x = _floating(input)
    if order == 0:
        return apply("digamma", x)
    return apply("zeta", np.asarray(order + 1.0, x.dtype), x) * (
        (-1.0) ** (order + 1) * math.factorial(order)
    )


def mvlgamma(input: Any, p: int) -> Tensor:
    """The multivariate `lgamma` of dimension p, `p (p - 1) / 4 · ln π + Σ lgamma(x - i / 2)` for i below p.

    Example:
        >>> import ravine as rv
        >>> rv.ops.mvlgamma([3.0], 2)
        tensor([1.550195], dtype=float32)
    """
    count = whole("mvlgamma", "p", p)
    x = _floating(input)
    total: Any = count * (count - 1) / 4 * math.log(math.pi)
    for i in range(count):
        total = apply("lgamma", x - i / 2) + total
    return total


# ---- tests of numbers


def isfinite(input: Any) -> Tensor:
    """True for what is neither infinite nor NaN.

    Example:
        >>> import ravine as rv
        >>> rv.ops.isfinite([1.0, float("inf"), float("nan")])
        tensor([ True, False, False], dtype=bool)
    """
    x = as_tensor(input)
    if x.dtype not in FLOATING:
        return apply("broadcast_to", np.ones((), bool), shape=x.shape)
    return apply("abs", x) < math.inf


def isinf(input: Any) -> Tensor:
    """True for infinities of either sign.

    Example:
        >>> import ravine as rv
        >>> rv.ops.isinf([1.0, -float("inf")])
        tensor([False,  True], dtype=bool)
    """
    x = as_tensor(input)
    if x.dtype not in FLOATING:
        return apply("broadcast_to", np.zeros((), bool), shape=x.shape)
    return apply("abs", x) == math.inf


def isposinf(input: Any) -> Tensor:
    """True for positive infinities.

    Example:
        >>> import ravine as rv
        >>> rv.ops.isposinf([float("inf"), -float("inf")])
        tensor([ True, False], dtype=bool)
    """
    return apply("logical_and", isinf(input), as_tensor(input) > 0)


def isneginf(input: Any) -> Tensor:
    """True for negative infinities.

    Example:
        >>> import ravine as rv
        >>> rv.ops.isneginf([float("inf"), -float("inf")])
        tensor([False,  True], dtype=bool)
    """
    return apply("logical_and", isinf(input), as_tensor(input) < 0)


def isreal(input: Any) -> Tensor:
    """True everywhere: there are no complex numbers.

    Example:
        >>> import ravine as rv
        >>> rv.ops.isreal([1.0])
        tensor([ True], dtype=bool)
    """
    return apply("broadcast_to", np.ones((), bool), shape=as_tensor(input).shape)


def isclose(
    input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """True where `|input - other| <= atol + rtol · |other|`, or where the two are equal.

    Args:
        input, other: of one dtype; shapes broadcast.
        rtol, atol: not negative.
        equal_nan: whether two NaN are close.

    Example:
        >>> import ravine as rv
        >>> rv.ops.isclose([1.0, 2.0], [1.000001, 2.1])
        tensor([ True, False], dtype=bool)
    """
    a, b = as_tensor(input), as_tensor(other)
    if a.dtype != b.dtype:
        raise TypeError(f"isclose: input and other must have one dtype, got {a.dtype} and {b.dtype}")
    relative, absolute = number("isclose", "rtol", rtol), number("isclose", "atol", atol)
    close = apply("equal", a, b)
    if a.dtype in FLOATING or relative or absolute:
        x, y = (z if z.dtype in FLOATING else apply("cast", z, dtype="float64") for z in (a, b))
        allowed = apply("abs", y) * relative + absolute
        gap = apply("abs", x - y)
        close = close | ((gap <= allowed) & (gap < math.inf) & (apply("abs", y) < math.inf))
    return close | ((a != a) & (b != b)) if equal_nan else close


def allclose(
    input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Whether `isclose` holds everywhere, as a scalar.

    Example:
        >>> import ravine as rv
        >>> bool(rv.ops.allclose([1.0], [1.000001]))
        True
    """
    far = apply("logical_not", isclose(input, other, rtol, atol, equal_nan))
    return apply("equal", apply("sum", far, axes=tuple(range(far.ndim)), keepdims=False), 0)


def nan_to_num(
    input: Any, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """Numbers in place of NaN and infinities; the gradient there is 0.

    Args:
        input: any shape.
        nan: instead of NaN; None means 0.
        posinf, neginf: instead of ±infinity; None means the largest and smallest numbers of the dtype.

    Example:
        >>> import ravine as rv
        >>> rv.ops.nan_to_num([1.0, float("nan")])
        tensor([1., 0.], dtype=float32)
    """
    x = as_tensor(input)
    if x.dtype not in FLOATING:
        return apply("identity", x)
    limits = np.finfo(x.dtype)

    def constant(value: float | None, otherwise: Any) -> np.ndarray:
        return np.asarray(otherwise if value is None else value).astype(x.dtype)

    y = where(x != x, constant(nan, 0), x)
    y = where(x == math.inf, constant(posinf, limits.max), y)
    return where(x == -math.inf, constant(neginf, limits.min), y)


def bitwise_left_shift(input: Any, other: Any) -> Tensor:
    """`input · 2^other` of integers; what does not fit wraps around.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.bitwise_left_shift(np.array([3]), 2)
        tensor([12], dtype=int64)
    """
    dtype = _common(input, other)
    if dtype in FLOATING:
        raise TypeError(f"bitwise_left_shift: integers are expected, got {dtype}")
    return apply("mul", cast(input, dtype), apply("pow", np.asarray(2, dtype), cast(other, dtype)))


def bitwise_right_shift(input: Any, other: Any) -> Tensor:
    """`input / 2^other` of integers, rounded down.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.bitwise_right_shift(np.array([13, -1]), 2)
        tensor([ 3, -1], dtype=int64)
    """
    dtype = _common(input, other)
    if dtype in FLOATING:
        raise TypeError(f"bitwise_right_shift: integers are expected, got {dtype}")
    power = apply("pow", np.asarray(2, dtype), cast(other, dtype))
    return div(cast(input, dtype), power, rounding_mode="floor")


def clamp_min(input: Any, min: Any) -> Tensor:
    """`clamp` from below.

    Example:
        >>> import ravine as rv
        >>> rv.ops.clamp_min([1.0, 3.0], 2.0)
        tensor([2., 3.], dtype=float32)
    """
    return clip(input, min, None)


def clamp_max(input: Any, max: Any) -> Tensor:
    """`clamp` from above.

    Example:
        >>> import ravine as rv
        >>> rv.ops.clamp_max([1.0, 3.0], 2.0)
        tensor([1., 2.], dtype=float32)
    """
    return clip(input, None, max)
