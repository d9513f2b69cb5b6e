"""Matrix products."""

from __future__ import annotations

import math
from typing import Any

from .. import _tensor
from .._tensor import Tensor, as_tensor


def matmul(input: Any, other: Any) -> Tensor:
    """Matrix product: [..., n, k] times [..., k, m] is [..., n, m], leading dimensions broadcast.

    A vector stands for a row on the left and for a column on the right.

    Raises ValueError naming both shapes where the inner sizes differ.

    Example:
        >>> import ravine as rv
        >>> rv.ops.matmul([[1.0, 2.0], [3.0, 4.0]], [1.0, 1.0])
        tensor([3., 7.], dtype=float32)
    """
    return _tensor.matmul(input, other)


def linear(input: Any, weight: Any, bias: Any = None) -> Tensor:
    """Affine map of the last dimension, `y = x Wᵀ + b`.

    Args:
        input: [..., in_features].
        weight: [out_features, in_features].
        bias: [out_features], or None.

    Returns: [..., out_features].

    Example:
        >>> import ravine as rv
        >>> rv.ops.linear([[1.0, 2.0]], [[1.0, 1.0], [0.0, 3.0]], [0.5, 0.0])
        tensor([[3.5, 6. ]], dtype=float32)
    """
    x, w = as_tensor(input), as_tensor(weight)
    if w.ndim != 2:
        raise ValueError(f"linear: weight must be [out_features, in_features], got shape {w.shape}")
    if x.ndim < 1 or x.shape[-1] != w.shape[1]:
        raise ValueError(
            f"linear: input of shape {x.shape} must end in {w.shape[1]} features, as weight {w.shape} expects"
        )
    leading = x.shape[:-1]
    rows = x if x.ndim == 2 else x.reshape((math.prod(leading), w.shape[1]))
    y = _tensor.matmul(rows, w.T)
    if bias is not None:
        b = as_tensor(bias)
        if b.shape != (w.shape[0],):
            raise ValueError(f"linear: bias must have shape ({w.shape[0]},), got {b.shape}")
        y = y + b
    return y if x.ndim == 2 else y.reshape((*leading, w.shape[0]))
