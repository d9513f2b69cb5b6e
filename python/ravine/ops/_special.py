"""Further mathematical functions, element by element; shapes broadcast as in NumPy.

They are the C library's, computed in float64 and rounded; they do not fuse with their neighbours.
"""

from __future__ import annotations

from typing import Any

from ..record import Tensor, apply


def log2(input: Any) -> Tensor:
    """Binary logarithm, `log₂ x`; exact for powers of 2.

    Example:
        >>> import ravine as rv
        >>> rv.ops.log2([8.0, 1.0])
        tensor([3., 0.], dtype=float32)
    """
    return apply("log2", input)


def log10(input: Any) -> Tensor:
    """Decimal logarithm, `log₁₀ x`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.log10([1000.0, 1.0])
        tensor([3., 0.], dtype=float32)
    """
    return apply("log10", input)


def exp2(input: Any) -> Tensor:
    """Power of two, `2ˣ`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.exp2([3.0, 0.0])
        tensor([8., 1.], dtype=float32)
    """
    return apply("exp2", input)


def tan(input: Any) -> Tensor:
    """Tangent of x radians.

    Example:
        >>> import ravine as rv
        >>> rv.ops.tan([0.0, 1.0])
        tensor([0.       , 1.5574077], dtype=float32)
    """
    return apply("tan", input)


def asin(input: Any) -> Tensor:
    """Inverse sine in radians, in [-π/2, π/2]; NaN outside of [-1, 1].

    Example:
        >>> import ravine as rv
        >>> rv.ops.asin([0.0, 1.0])
        tensor([0.       , 1.5707964], dtype=float32)
    """
    return apply("asin", input)


def acos(input: Any) -> Tensor:
    """Inverse cosine in radians, in [0, π]; NaN outside of [-1, 1].

    Example:
        >>> import ravine as rv
        >>> rv.ops.acos([1.0, 0.0])
        tensor([0.       , 1.5707964], dtype=float32)
    """
    return apply("acos", input)


def sinh(input: Any) -> Tensor:
    """Hyperbolic sine.

    Example:
        >>> import ravine as rv
        >>> rv.ops.sinh([0.0, 1.0])
        tensor([0.       , 1.1752012], dtype=float32)
    """
    return apply("sinh", input)


def cosh(input: Any) -> Tensor:
    """Hyperbolic cosine.

    Example:
        >>> import ravine as rv
        >>> rv.ops.cosh([0.0, 1.0])
        tensor([1.       , 1.5430807], dtype=float32)
    """
    return apply("cosh", input)


def asinh(input: Any) -> Tensor:
    """Inverse hyperbolic sine.

    Example:
        >>> import ravine as rv
        >>> rv.ops.asinh([0.0, 1.0])
        tensor([0.       , 0.8813736], dtype=float32)
    """
    return apply("asinh", input)


def acosh(input: Any) -> Tensor:
    """Inverse hyperbolic cosine; NaN below 1.

    Example:
        >>> import ravine as rv
        >>> rv.ops.acosh([1.0, 2.0])
        tensor([0.      , 1.316958], dtype=float32)
    """
    return apply("acosh", input)


def atanh(input: Any) -> Tensor:
    """Inverse hyperbolic tangent; NaN outside of [-1, 1].

    Example:
        >>> import ravine as rv
        >>> rv.ops.atanh([0.0, 0.5])
        tensor([0.        , 0.54930615], dtype=float32)
    """
    return apply("atanh", input)


def erfc(input: Any) -> Tensor:
    """Complement of the error function, `1 - erf(x)`, with full precision where that is small.

    Example:
        >>> import ravine as rv
        >>> rv.ops.erfc([0.0, 1.0])
        tensor([1.       , 0.1572992], dtype=float32)
    """
    return apply("erfc", input)


def erfinv(input: Any) -> Tensor:
    """Inverse of the error function; ±infinity at ±1, NaN outside.

    Example:
        >>> import ravine as rv
        >>> rv.ops.erfinv([0.0, 0.5])
        tensor([0.        , 0.47693628], dtype=float32)
    """
    return apply("erfinv", input)


def lgamma(input: Any) -> Tensor:
    """Logarithm of the size of the gamma function, `ln |Γ(x)|`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.lgamma([1.0, 4.0])
        tensor([0.       , 1.7917595], dtype=float32)
    """
    return apply("lgamma", input)


def digamma(input: Any) -> Tensor:
    """Derivative of `lgamma`, `ψ(x)`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.digamma([1.0])
        tensor([-0.5772157], dtype=float32)
    """
    return apply("digamma", input)


def atan2(input: Any, other: Any) -> Tensor:
    """Angle of the point (other, input) in radians, in [-π, π].

    Example:
        >>> import ravine as rv
        >>> rv.ops.atan2([1.0], [-1.0])
        tensor([2.3561945], dtype=float32)
    """
    return apply("atan2", input, other)


def hypot(input: Any, other: Any) -> Tensor:
    """Length of the hypotenuse, `√(input² + other²)`, without overflow.

    Example:
        >>> import ravine as rv
        >>> rv.ops.hypot([3.0], [4.0])
        tensor([5.], dtype=float32)
    """
    return apply("hypot", input, other)


def logaddexp(input: Any, other: Any) -> Tensor:
    """`ln(eᵃ + eᵇ)` without overflow.

    Example:
        >>> import ravine as rv
        >>> rv.ops.logaddexp([1000.0], [1000.0])
        tensor([1000.6932], dtype=float32)
    """
    return apply("logaddexp", input, other)


def copysign(input: Any, other: Any) -> Tensor:
    """The size of the first with the sign of the second, that of -0 included.

    Example:
        >>> import ravine as rv
        >>> rv.ops.copysign([1.0, 2.0], [-1.0, 3.0])
        tensor([-1.,  2.], dtype=float32)
    """
    return apply("copysign", input, other)


def nextafter(input: Any, other: Any) -> Tensor:
    """The next floating number from the first towards the second; no gradient flows.

    Example:
        >>> import ravine as rv
        >>> rv.ops.nextafter([1.0], [2.0])
        tensor([1.0000001], dtype=float32)
    """
    return apply("nextafter", input, other)


def xlogy(input: Any, other: Any) -> Tensor:
    """`x ln y`, 0 where x is 0 and y no NaN.

    Example:
        >>> import ravine as rv
        >>> rv.ops.xlogy([0.0, 2.0], [0.0, 1.0])
        tensor([0., 0.], dtype=float32)
    """
    return apply("xlogy", input, other)


def xlog1py(input: Any, other: Any) -> Tensor:
    """`x ln(1 + y)`, 0 where x is 0 and y no NaN.

    Example:
        >>> import ravine as rv
        >>> rv.ops.xlog1py([0.0, 2.0], [-1.0, 0.0])
        tensor([0., 0.], dtype=float32)
    """
    return apply("xlog1py", input, other)


def zeta(input: Any, other: Any) -> Tensor:
    """Hurwitz's zeta function `ζ(s, q) = Σ (q + k)⁻ˢ`; its gradient is by q alone.

    Example:
        >>> import ravine as rv
        >>> rv.ops.zeta([2.0], [1.0])
        tensor([1.644934], dtype=float32)
    """
    return apply("zeta", input, other)


arccos, arcsin, arctan2 = acos, asin, atan2
arccosh, arcsinh, arctanh = acosh, asinh, atanh
