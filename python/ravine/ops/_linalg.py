"""Matrix products."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..record import FLOATING, Operand, Tensor, apply, as_array, as_tensor, operand_dtype
from ._shape import permute


def matmul(input: Any, other: Any) -> Tensor:
    """Matrix product: [..., n, k] times [..., k, m] is [..., n, m], leading dimensions broadcast.

    A vector stands for a row on the left and for a column on the right.

    Raises ValueError naming both shapes where the inner sizes differ.

    Example:
        >>> import ravine as rv
        >>> rv.ops.matmul([[1.0, 2.0], [3.0, 4.0]], [1.0, 1.0])
        tensor([3., 7.], dtype=float32)
    """
    like = operand_dtype([input, other])
    a = input if isinstance(input, Operand) else _matmul_array(input, like)
    b = other if isinstance(other, Operand) else _matmul_array(other, like)
    if not a.shape or not b.shape:
        raise ValueError(f"matmul: operands need at least one dimension, got shapes {a.shape} and {b.shape}")
    # The operation takes rank 2 and more: vectors get a unit dimension and lose it again.
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
    array = as_array(x, "matmul")
    return array.astype(like, copy=False) if array.dtype.kind == "f" and like in FLOATING else array


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
    y = matmul(rows, permute(w, (1, 0)))
    if bias is not None:
        b = as_tensor(bias)
        if b.shape != (w.shape[0],):
            raise ValueError(f"linear: bias must have shape ({w.shape[0]},), got {b.shape}")
        y = y + b
    return y if x.ndim == 2 else y.reshape((*leading, w.shape[0]))
