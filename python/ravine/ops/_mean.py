"""A mean whose terms have weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..record import FLOATING, Tensor, apply, as_tensor, quotient


def weighted_mean(input: Any, weight: Any) -> Tensor:
    """`Σ w x / Σ w` over all elements; 0, with gradients of 0, where all weights are 0.

    A loss that is made of this, of `mean`, or of the losses of `ravine.nn` tells its denominator to what
    averages it: accumulation, `evaluate` and the loss of an epoch are those of one batch of all examples. So
    is a sum of them, and their product with a number. For a loss with a mask, prefer this to a quotient of
    two sums, which is a number like any other.

    Args:
        input: floating, the examples along the first dimension.
        weight: not negative; broadcasts to the input. Bools and integers are converted.

    Raises ValueError where the weights do not broadcast to the input's shape, TypeError for an input that is
    not floating.

    Example:
        >>> import ravine as rv
        >>> rv.ops.weighted_mean([1.0, 2.0, 9.0], [1.0, 3.0, 0.0])
        tensor(1.75, dtype=float32)
    """
    x, w = as_tensor(input), as_tensor(weight)
    if x.dtype not in FLOATING:
        raise TypeError(f"weighted_mean: input must be floating, got {x.dtype}")
    try:
        fits = np.broadcast_shapes(x.shape, w.shape) == x.shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"weighted_mean: weights of shape {w.shape} do not broadcast to {x.shape}")
    w = w if w.dtype == x.dtype else apply("cast", w, dtype=x.dtype)
    w = w if w.shape == x.shape else apply("broadcast_to", w, shape=x.shape)
    return quotient(x * w, w)
