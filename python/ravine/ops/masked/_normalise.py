"""Masked operations along a dimension that keep the input's shape."""

from __future__ import annotations

import math
from typing import Any

from ...record import Tensor
from .. import _activation, _order, _special
from .._elementwise import maximum
from ._fill import converted, filled
from ._reduce import norm


def softmax(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """`exp(x) / Σ exp(x)` along `dim` over what the mask lets through, 0 elsewhere.

    Example:
        >>> import ravine as rv
        >>> rv.ops.masked.softmax([1.0, 9.0, 1.0], 0, mask=[True, False, True])
        tensor([0.5, 0. , 0.5], dtype=float32)
    """
    return _activation.softmax(filled("softmax", converted(input, dtype), mask, -math.inf), dim)


def log_softmax(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """`x - ln Σ exp(x)` along `dim` over what the mask lets through, minus infinity elsewhere.

    Example:
        >>> import ravine as rv
        >>> rv.ops.masked.log_softmax([1.0, 9.0], 0, mask=[True, False])
        tensor([  0., -inf], dtype=float32)
    """
    return _activation.log_softmax(filled("log_softmax", converted(input, dtype), mask, -math.inf), dim)


def softmin(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """`exp(-x) / Σ exp(-x)` along `dim` over what the mask lets through, 0 elsewhere.

    Example:
        >>> import ravine as rv
        >>> rv.ops.masked.softmin([1.0, 0.0, 1.0], 0, mask=[True, False, True])
        tensor([0.5, 0. , 0.5], dtype=float32)
    """
    return _activation.softmin(filled("softmin", converted(input, dtype), mask, math.inf), dim)


def normalize(
    input: Any, ord: float, dim: int, *, eps: float = 1e-12, dtype: Any = None, mask: Any = None
) -> Tensor:
    """`x / max(norm, eps)` along `dim`, the norm that of what the mask lets through; 0 elsewhere.

    Example:
        >>> import ravine as rv
        >>> rv.ops.masked.normalize([3.0, 9.0, 4.0], 2.0, 0, mask=[True, False, True])
        tensor([0.6, 0. , 0.8], dtype=float32)
    """
    x = converted(input, dtype)
    size = norm(x, ord, dim, keepdim=True, mask=mask)
    return filled("normalize", x, mask, 0) / maximum(size, eps)


def cumsum(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """Running sums along `dim` of what the mask lets through.

    Example:
        >>> import ravine as rv
        >>> rv.ops.masked.cumsum([1.0, 9.0, 2.0], 0, mask=[True, False, True])
        tensor([1., 1., 3.], dtype=float32)
    """
    return _order.cumsum(filled("cumsum", converted(input, dtype), mask, 0), dim)


def cumprod(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """Running products along `dim` of what the mask lets through.

    Example:
        >>> import ravine as rv
        >>> rv.ops.masked.cumprod([3.0, 9.0, 2.0], 0, mask=[True, False, True])
        tensor([3., 3., 6.], dtype=float32)
    """
    return _order.cumprod(filled("cumprod", converted(input, dtype), mask, 1), dim)


def logaddexp(
    input: Any, other: Any, *, dtype: Any = None, input_mask: Any = None, other_mask: Any = None
) -> Tensor:
    """`ln(exp(x) + exp(y))` of what the masks let through.

    Example:
        >>> import ravine as rv
        >>> rv.ops.masked.logaddexp([1.0], [9.0], other_mask=[False])
        tensor([1.], dtype=float32)
    """
    x = filled("logaddexp", converted(input, dtype), input_mask, -math.inf)
    y = filled("logaddexp", converted(other, dtype), other_mask, -math.inf)
    return _special.logaddexp(x, y)
