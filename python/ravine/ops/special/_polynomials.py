"""Orthogonal polynomials of degree n, element by element, computed in float64 by their recurrences."""

from __future__ import annotations

from typing import Any

from ...record import Tensor, apply, as_tensor
from .._elementwise import cast


def _with_order(input: Any, n: Any) -> tuple[Any, Any]:
    """x and n in one floating dtype, x's if it has one."""
    x, order = as_tensor(input), as_tensor(n)
    if not x.dtype.startswith("float"):
        x = cast(x, order.dtype if order.dtype.startswith("float") else "float32")
    return x, order if order.dtype.startswith("float") else cast(order, x.dtype)


def chebyshev_polynomial_t(input: Any, n: Any) -> Tensor:
    """Chebyshev polynomial of the first kind, `T_n(cos t) = cos(n t)`.

    Args:
        input: x, any shape.
        n: whole numbers, of a shape that broadcasts with x's; 0 is the value below 0, NaN above 100,000.

    It has no gradient.

    Example:
        >>> import ravine as rv
        >>> rv.ops.special.chebyshev_polynomial_t([0.5], 2)
        tensor([-0.5], dtype=float32)
    """
    return apply("chebyshev_polynomial_t", *_with_order(input, n))


def chebyshev_polynomial_u(input: Any, n: Any) -> Tensor:
    """Chebyshev polynomial of the second kind, `U_n(cos t) = sin((n + 1) t) / sin t`.

    Args:
        input: x, any shape.
        n: whole numbers, of a shape that broadcasts with x's; 0 is the value below 0, NaN above 100,000.

    It has no gradient.

    Example:
        >>> import ravine as rv
        >>> rv.ops.special.chebyshev_polynomial_u([0.5], 2)
        tensor([0.], dtype=float32)
    """
    return apply("chebyshev_polynomial_u", *_with_order(input, n))


def chebyshev_polynomial_v(input: Any, n: Any) -> Tensor:
    """Chebyshev polynomial of the third kind, `V_n(cos t) = cos((n + 1/2) t) / cos(t/2)`.

    Args:
        input: x, any shape.
        n: whole numbers, of a shape that broadcasts with x's; 0 is the value below 0, NaN above 100,000.

    It has no gradient.

    Example:
        >>> import ravine as rv
        >>> rv.ops.special.chebyshev_polynomial_v([0.5], 2)
        tensor([-1.], dtype=float32)
    """
    return apply("chebyshev_polynomial_v", *_with_order(input, n))


def chebyshev_polynomial_w(input: Any, n: Any) -> Tensor:
    """Chebyshev polynomial of the fourth kind, `W_n(cos t) = sin((n + 1/2) t) / sin(t/2)`.

    Args:
        input: x, any shape.
        n: whole numbers, of a shape that broadcasts with x's; 0 is the value below 0, NaN above 100,000.

    It has no gradient.

    Example:
        >>> import ravine as rv
        >>> rv.ops.special.chebyshev_polynomial_w([0.5], 2)
        tensor([1.], dtype=float32)
    """
    return apply("chebyshev_polynomial_w", *_with_order(input, n))


def shifted_chebyshev_polynomial_t(input: Any, n: Any) -> Tensor:
    """`chebyshev_polynomial_t` of 2x - 1: on [0, 1].

    Args:
        input: x, any shape.
        n: whole numbers, of a shape that broadcasts with x's; 0 is the value below 0, NaN above 100,000.

    It has no gradient.

    Example:
        >>> import ravine as rv
        >>> rv.ops.special.shifted_chebyshev_polynomial_t([0.5], 2)
        tensor([-1.], dtype=float32)
    """
    return apply("shifted_chebyshev_polynomial_t", *_with_order(input, n))


def shifted_chebyshev_polynomial_u(input: Any, n: Any) -> Tensor:
    """`chebyshev_polynomial_u` of 2x - 1: on [0, 1].

    Args:
        input: x, any shape.
        n: whole numbers, of a shape that broadcasts with x's; 0 is the value below 0, NaN above 100,000.

    It has no gradient.

    Example:
        >>> import ravine as rv
        >>> rv.ops.special.shifted_chebyshev_polynomial_u([0.5], 2)
        tensor([-1.], dtype=float32)
    """
    return apply("shifted_chebyshev_polynomial_u", *_with_order(input, n))


def shifted_chebyshev_polynomial_v(input: Any, n: Any) -> Tensor:
    """`chebyshev_polynomial_v` of 2x - 1: on [0, 1].

    Args:
        input: x, any shape.
        n: whole numbers, of a shape that broadcasts with x's; 0 is the value below 0, NaN above 100,000.

    It has no gradient.

    Example:
        >>> import ravine as rv
        >>> rv.ops.special.shifted_chebyshev_polynomial_v([0.5], 2)
        tensor([-1.], dtype=float32)
    """
    return apply("shifted_chebyshev_polynomial_v", *_with_order(input, n))


def shifted_chebyshev_polynomial_w(input: Any, n: Any) -> Tensor:
    """`chebyshev_polynomial_w` of 2x - 1: on [0, 1].

    Args:
        input: x, any shape.
        n: whole numbers, of a shape that broadcasts with x's; 0 is the value below 0, NaN above 100,000.

    It has no gradient.

    Example:
        >>> import ravine as rv
        >>> rv.ops.special.shifted_chebyshev_polynomial_w([0.5], 2)
        tensor([-1.], dtype=float32)
    """
    return apply("shifted_chebyshev_polynomial_w", *_with_order(input, n))


def hermite_polynomial_h(input: Any, n: Any) -> Tensor:
    """Physicists' Hermite polynomial, `H_(n+1) = 2x H_n - 2n H_(n-1)`.

    Args:
        input: x, any shape.
        n: whole numbers, of a shape that broadcasts with x's; 0 is the value below 0, NaN above 100,000.

    It has no gradient.

    Example:
        >>> import ravine as rv
        >>> rv.ops.special.hermite_polynomial_h([0.5], 2)
        tensor([-1.], dtype=float32)
    """
    return apply("hermite_polynomial_h", *_with_order(input, n))


def hermite_polynomial_he(input: Any, n: Any) -> Tensor:
    """Probabilists' Hermite polynomial, `He_(n+1) = x He_n - n He_(n-1)`.

    Args:
        input: x, any shape.
        n: whole numbers, of a shape that broadcasts with x's; 0 is the value below 0, NaN above 100,000.

    It has no gradient.

    Example:
        >>> import ravine as rv
        >>> rv.ops.special.hermite_polynomial_he([0.5], 2)
        tensor([-0.75], dtype=float32)
    """
    return apply("hermite_polynomial_he", *_with_order(input, n))


def laguerre_polynomial_l(input: Any, n: Any) -> Tensor:
    """Laguerre polynomial, `(n+1) L_(n+1) = (2n+1-x) L_n - n L_(n-1)`.

    Args:
        input: x, any shape.
        n: whole numbers, of a shape that broadcasts with x's; 0 is the value below 0, NaN above 100,000.

    It has no gradient.

    Example:
        >>> import ravine as rv
        >>> rv.ops.special.laguerre_polynomial_l([0.5], 2)
        tensor([0.125], dtype=float32)
    """
    return apply("laguerre_polynomial_l", *_with_order(input, n))


def legendre_polynomial_p(input: Any, n: Any) -> Tensor:
    """Legendre polynomial, `(n+1) P_(n+1) = (2n+1) x P_n - n P_(n-1)`.

    Args:
        input: x, any shape.
        n: whole numbers, of a shape that broadcasts with x's; 0 is the value below 0, NaN above 100,000.

    It has no gradient.

    Example:
        >>> import ravine as rv
        >>> rv.ops.special.legendre_polynomial_p([0.5], 2)
        tensor([-0.125], dtype=float32)
    """
    return apply("legendre_polynomial_p", *_with_order(input, n))
