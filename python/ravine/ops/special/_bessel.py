"""Bessel functions of order 0 and 1, modified ones, and Airy's; element by element, computed in float64."""

from __future__ import annotations

from typing import Any

from ...record import Tensor, apply


def bessel_j0(input: Any) -> Tensor:
    """Bessel function of the first kind of order 0, `J₀(x)`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.special.bessel_j0([0.0])
        tensor([1.], dtype=float32)
    """
    return apply("bessel_j0", input)


def bessel_j1(input: Any) -> Tensor:
    """Bessel function of the first kind of order 1, `J₁(x)`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.special.bessel_j1([0.0])
        tensor([0.], dtype=float32)
    """
    return apply("bessel_j1", input)


def bessel_y0(input: Any) -> Tensor:
    """Bessel function of the second kind of order 0, `Y₀(x)`; NaN below 0.

    Example:
        >>> import ravine as rv
        >>> rv.ops.special.bessel_y0([0.0])
        tensor([-inf], dtype=float32)
    """
    return apply("bessel_y0", input)


def bessel_y1(input: Any) -> Tensor:
    """Bessel function of the second kind of order 1, `Y₁(x)`; NaN below 0.

    Example:
        >>> import ravine as rv
        >>> rv.ops.special.bessel_y1([0.0])
        tensor([-inf], dtype=float32)
    """
    return apply("bessel_y1", input)


def modified_bessel_i0(input: Any) -> Tensor:
    """Modified Bessel function of the first kind of order 0, `I₀(x)`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.special.modified_bessel_i0([0.0])
        tensor([1.], dtype=float32)
    """
    return apply("modified_bessel_i0", input)


def modified_bessel_i1(input: Any) -> Tensor:
    """Modified Bessel function of the first kind of order 1, `I₁(x)`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.special.modified_bessel_i1([0.0])
        tensor([0.], dtype=float32)
    """
    return apply("modified_bessel_i1", input)


def modified_bessel_k0(input: Any) -> Tensor:
    """Modified Bessel function of the second kind of order 0, `K₀(x)`; NaN below 0.

    Example:
        >>> import ravine as rv
        >>> rv.ops.special.modified_bessel_k0([0.0])
        tensor([inf], dtype=float32)
    """
    return apply("modified_bessel_k0", input)


def modified_bessel_k1(input: Any) -> Tensor:
    """Modified Bessel function of the second kind of order 1, `K₁(x)`; NaN below 0.

    Example:
        >>> import ravine as rv
        >>> rv.ops.special.modified_bessel_k1([0.0])
        tensor([inf], dtype=float32)
    """
    return apply("modified_bessel_k1", input)


def scaled_modified_bessel_k0(input: Any) -> Tensor:
    """`exp(x) K₀(x)`, which does not vanish for large x; NaN below 0.

    Example:
        >>> import ravine as rv
        >>> rv.ops.special.scaled_modified_bessel_k0([0.0])
        tensor([inf], dtype=float32)
    """
    return apply("scaled_modified_bessel_k0", input)


def scaled_modified_bessel_k1(input: Any) -> Tensor:
    """`exp(x) K₁(x)`, which does not vanish for large x; NaN below 0.

    Example:
        >>> import ravine as rv
        >>> rv.ops.special.scaled_modified_bessel_k1([0.0])
        tensor([inf], dtype=float32)
    """
    return apply("scaled_modified_bessel_k1", input)


def i0e(input: Any) -> Tensor:
    """`exp(-|x|) I₀(x)`, which stays finite.

    Example:
        >>> import ravine as rv
        >>> rv.ops.special.i0e([0.0])
        tensor([1.], dtype=float32)
    """
    return apply("i0e", input)


def i1e(input: Any) -> Tensor:
    """`exp(-|x|) I₁(x)`, which stays finite.

    Example:
        >>> import ravine as rv
        >>> rv.ops.special.i1e([0.0])
        tensor([0.], dtype=float32)
    """
    return apply("i1e", input)


def spherical_bessel_j0(input: Any) -> Tensor:
    """Spherical Bessel function of order 0, `sin(x) / x`, 1 at 0.

    Example:
        >>> import ravine as rv
        >>> rv.ops.special.spherical_bessel_j0([0.0])
        tensor([1.], dtype=float32)
    """
    return apply("spherical_bessel_j0", input)


def airy_ai(input: Any) -> Tensor:
    """Airy function `Ai(x)`, the solution of y'' = x y that vanishes at infinity. It has no gradient here.

    Example:
        >>> import ravine as rv
        >>> rv.ops.special.airy_ai([0.0])
        tensor([0.35502806], dtype=float32)
    """
    return apply("airy_ai", input)
