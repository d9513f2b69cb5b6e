"""Random tensors. Their numbers are a function of the seed, the run, the operation and the element."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import _trace
from .._tensor import Operand, Tensor, apply, as_tensor, dtype_name


def _uniform(shape: Sequence[int], dtype: str) -> Tensor:
    trace = _trace.current()
    if trace is not None:
        trace.draws = True
    return apply("uniform", shape=tuple(int(n) for n in shape), dtype=dtype)


def rand(*size: int, dtype: Any = "float32") -> Tensor:
    """Uniform random numbers in [0, 1), other ones in every run.

    Example:
        >>> import ravine as rv
        >>> rv.ops.rand(2, 3).shape
        (2, 3)
    """
    return _uniform(size, dtype_name(dtype))


def randn(*size: int, dtype: Any = "float32") -> Tensor:
    """Normal random numbers of mean 0 and variance 1, other ones in every run (Box and Muller 1958).

    Example:
        >>> import ravine as rv
        >>> rv.ops.randn(2, 3).shape
        (2, 3)
    """
    name = dtype_name(dtype)
    # 1 - u lies in (0, 1], where the logarithm is finite
    radius = apply("sqrt", apply("log", 1.0 - _uniform(size, name)) * -2.0)
    return radius * apply("cos", _uniform(size, name) * (2 * math.pi))


def _check_probability(p: float, op: str) -> None:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"{op}: p must be a probability in [0, 1], got {p}")


def _drop(x: Operand, p: float, mask_shape: Sequence[int]) -> Tensor:
    if p == 1.0:  # the mask of no number kept, which makes 0 of infinity too
        return apply("scale_by_positive", np.zeros((), x.dtype), x, slope=0.0)
    # u >= p, by a sign: for numbers of this dtype it means u > (the one below p). Booleans are bytes and cost
    # more.
    below = np.nextafter(np.asarray(p, x.dtype), np.asarray(-1, x.dtype))
    kept = apply("sub", _uniform(mask_shape, x.dtype), below)
    return apply("scale_by_positive", kept, x * (1.0 / (1.0 - p)), slope=0.0)


def dropout(input: Any, p: float = 0.5, training: bool = True) -> Tensor:
    """Sets elements to 0 with probability p, scales the others by 1 / (1 - p); identity when not training.

    Source: Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html.

    Example:
        >>> import ravine as rv
        >>> rv.ops.dropout([1.0, 2.0], p=0.5, training=False)
        tensor([1., 2.], dtype=float32)
    """
    _check_probability(p, "dropout")
    x = as_tensor(input)
    return _drop(x, float(p), x.shape) if training and p > 0 else apply("identity", x)


def dropout2d(input: Any, p: float = 0.5, training: bool = True) -> Tensor:
    """Dropout of whole channels of [N, C, ...].

    Source: Tompson et al. 2015, https://arxiv.org/abs/1411.4280.

    Example:
        >>> import numpy as np, ravine as rv
        >>> float(rv.ops.dropout2d(np.ones((2, 3, 4, 4)), p=1.0).numpy().max())
        0.0
    """
    _check_probability(p, "dropout2d")
    x = as_tensor(input)
    if x.ndim < 2:
        raise ValueError(f"dropout2d: input must have shape [N, C, ...], got {x.shape}")
    shape = x.shape[:2] + (1,) * (x.ndim - 2)
    return _drop(x, float(p), shape) if training and p > 0 else apply("identity", x)
