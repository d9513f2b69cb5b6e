"""Random tensors. Their numbers are a function of the seed, the run, the operation and the element."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._numbers import probability
from ..record import Operand, Tensor, apply, as_tensor, current, dtype_name
from ._placing import check_placing, sizes_given


def _uniform(shape: Sequence[int], dtype: str) -> Tensor:
    trace = current()
    if trace is not None:
        trace.draws = True
    return apply("uniform", shape=tuple(int(n) for n in shape), dtype=dtype)


def rand(*size: Any, dtype: Any = "float32", device: Any = None, requires_grad: bool = False) -> Tensor:
    """Uniform random numbers in [0, 1), other ones in every run; sizes one by one or as one sequence.

    Example:
        >>> import ravine as rv
        >>> rv.ops.rand(2, 3).shape
        (2, 3)
    """
    check_placing("rand", device, requires_grad)
    return _uniform(sizes_given(size, "rand"), dtype_name(dtype))


def randn(*size: Any, dtype: Any = "float32", device: Any = None, requires_grad: bool = False) -> Tensor:
    """Normal random numbers of mean 0 and variance 1, other ones in every run (Box and Muller 1958);
    sizes as `rand` takes them.

    Example:
        >>> import ravine as rv
        >>> rv.ops.randn(2, 3).shape
        (2, 3)
    """
    check_placing("randn", device, requires_grad)
    name, shape = dtype_name(dtype), sizes_given(size, "randn")
    # 1 - u lies in (0, 1], where the logarithm is finite
    radius = apply("sqrt", apply("log", 1.0 - _uniform(shape, name)) * -2.0)
    return radius * apply("cos", _uniform(shape, name) * (2 * math.pi))


def _drop(x: Operand, p: float, mask_shape: Sequence[int], scaled: bool = True) -> Tensor:
    if p == 1.0:  # the mask of no number kept, which makes 0 of infinity too
        return apply("scale_by_positive", np.zeros((), x.dtype), x, slope=0.0)
    # u >= p, by a sign: for numbers of this dtype it means u > (the one below p). Booleans are bytes and cost
    # more.
    below = np.nextafter(np.asarray(p, x.dtype), np.asarray(-1, x.dtype))
    kept = apply("sub", _uniform(mask_shape, x.dtype), below)
    return apply("scale_by_positive", kept, x * (1.0 / (1.0 - p)) if scaled else x, slope=0.0)


def dropout(input: Any, p: float = 0.5, training: bool = True) -> Tensor:
    """Sets elements to 0 with probability p, scales the others by 1 / (1 - p); identity when not training.

    Source: Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html.

    Example:
        >>> import ravine as rv
        >>> rv.ops.dropout([1.0, 2.0], p=0.5, training=False)
        tensor([1., 2.], dtype=float32)
    """
    p = probability("dropout", p)
    x = as_tensor(input)
    return _drop(x, float(p), x.shape) if training and p > 0 else apply("identity", x)


def _drop_channels(op: str, input: Any, p: float, training: bool, layout: str) -> Tensor:
    p = probability(op, p)
    x = as_tensor(input)
    rank = layout.count(",") + 1
    single = x.ndim == rank - 1 and not layout.endswith("...]")
    if not single and (x.ndim < 2 if layout.endswith("...]") else x.ndim != rank):
        raise ValueError(f"{op}: input must have shape {layout}, got {x.shape}")
    leading = 1 if single else 2
    shape = x.shape[:leading] + (1,) * (x.ndim - leading)
    return _drop(x, float(p), shape) if training and p > 0 else apply("identity", x)


def dropout1d(input: Any, p: float = 0.5, training: bool = True) -> Tensor:
    """Dropout of whole channels of [N, C, L], or of one example [C, L].

    Source: Tompson et al. 2015, https://arxiv.org/abs/1411.4280.

    Example:
        >>> import numpy as np, ravine as rv
        >>> float(rv.ops.dropout1d(np.ones((2, 3, 4)), p=1.0).numpy().max())
        0.0
    """
    return _drop_channels("dropout1d", input, p, training, "[N, C, L]")


def dropout2d(input: Any, p: float = 0.5, training: bool = True) -> Tensor:
    """Dropout of whole channels of [N, C, ...].

    Source: Tompson et al. 2015, https://arxiv.org/abs/1411.4280.

    Example:
        >>> import numpy as np, ravine as rv
        >>> float(rv.ops.dropout2d(np.ones((2, 3, 4, 4)), p=1.0).numpy().max())
        0.0
    """
    return _drop_channels("dropout2d", input, p, training, "[N, C, ...]")


def dropout3d(input: Any, p: float = 0.5, training: bool = True) -> Tensor:
    """Dropout of whole channels of [N, C, D, H, W], or of one example [C, D, H, W].

    Source: Tompson et al. 2015, https://arxiv.org/abs/1411.4280.

    Example:
        >>> import numpy as np, ravine as rv
        >>> float(rv.ops.dropout3d(np.ones((2, 3, 2, 4, 4)), p=1.0).numpy().max())
        0.0
    """
    return _drop_channels("dropout3d", input, p, training, "[N, C, D, H, W]")


def drop_path(input: Any, p: float = 0.0, training: bool = True, scale_by_keep: bool = True) -> Tensor:
    """Sets whole samples of [N, ...] to 0 with probability p; identity when not training.

    The others are scaled by 1 / (1 - p), unless `scale_by_keep` is False.

    Source: Huang et al. 2016, https://arxiv.org/abs/1603.09382.

    Example:
        >>> import numpy as np, ravine as rv
        >>> np.unique(rv.ops.drop_path(np.ones((100, 3)), p=0.75).numpy())
        array([0., 4.])
    """
    p = probability("drop_path", p)
    x = as_tensor(input)
    if x.ndim < 1:
        raise ValueError(f"drop_path: input must have shape [N, ...], got {x.shape}")
    if not training or p == 0:
        return apply("identity", x)
    return _drop(x, float(p), x.shape[:1] + (1,) * (x.ndim - 1), scale_by_keep)
