"""Functions of the normal and the gamma distribution, and entropy; element by element, in float64."""

from __future__ import annotations

import math
from typing import Any

from ...record import Tensor, apply, as_tensor
from .._elementwise import log, where


def erfcx(input: Any) -> Tensor:
    """Scaled complement of the error function, `exp(x²) erfc(x)`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.special.erfcx([0.0])
        tensor([1.], dtype=float32)
    """
    return apply("erfcx", input)


def ndtr(input: Any) -> Tensor:
    """Distribution function of the standard normal, `Φ(x) = erfc(-x / √2) / 2`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.special.ndtr([0.0])
        tensor([0.5], dtype=float32)
    """
    return apply("ndtr", input)


def log_ndtr(input: Any) -> Tensor:
    """`ln Φ(x)` with all digits, in the tails too.

    Example:
        >>> import ravine as rv
        >>> rv.ops.special.log_ndtr([0.0])
        tensor([-0.6931472], dtype=float32)
    """
    return apply("log_ndtr", input)


def ndtri(input: Any) -> Tensor:
    """Inverse of `ndtr`: the x at which `Φ(x)` is p; ±infinity at 0 and 1, NaN outside.

    Example:
        >>> import ravine as rv
        >>> rv.ops.special.ndtri([0.5])
        tensor([0.], dtype=float32)
    """
    return apply("ndtri", input)


def entr(input: Any) -> Tensor:
    """`-x ln x`, a share of an entropy: 0 at 0, minus infinity below.

    Example:
        >>> import ravine as rv
        >>> rv.ops.special.entr([0.0, 1.0])
        tensor([ 0., -0.], dtype=float32)
    """
    x = as_tensor(input)
    inside = where(x > 0, x, 1.0)
    border = where(x == 0, 0.0, -math.inf)
    return where(x > 0, -inside * log(inside), where(x != x, x, border))


def gammainc(input: Any, other: Any) -> Tensor:
    """Lower incomplete gamma function of a = input and x = other, divided by Γ(a).

    From 0 at x = 0 to 1; NaN where one is negative. Its gradient is by x alone.

    Example:
        >>> import ravine as rv
        >>> rv.ops.special.gammainc([1.0], [1.0])
        tensor([0.63212055], dtype=float32)
    """
    return apply("igamma", input, other)


def gammaincc(input: Any, other: Any) -> Tensor:
    """Upper incomplete gamma function of a = input and x = other, divided by Γ(a).

    One less `gammainc`, with all digits in the tail. Its gradient is by x alone.

    Example:
        >>> import ravine as rv
        >>> rv.ops.special.gammaincc([1.0], [1.0])
        tensor([0.36787945], dtype=float32)
    """
    return apply("igammac", input, other)
