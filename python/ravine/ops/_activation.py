"""Activations, elementwise, and the softmax family."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._dims import axes_of, normalise_dim, numpy_names
from ..record import FLOATING, Operand, Tensor, apply, as_tensor, dtype_name
from ._elementwise import cast
from ._shape import reshape

# Klambauer et al. 2017; exact to float64.
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


def relu(input: Any) -> Tensor:
    """Rectified linear unit, `max(x, 0)`. The gradient at 0 is 0.

    Example:
        >>> import ravine as rv
        >>> rv.ops.relu([-1.0, 2.0])
        tensor([0., 2.], dtype=float32)
    """
    return apply("relu", input)


def leaky_relu(input: Any, negative_slope: float = 0.01) -> Tensor:
    """`x` for x > 0, else `negative_slope · x`. The gradient at 0 is `negative_slope`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.leaky_relu([-1.0, 2.0], 0.5)
        tensor([-0.5,  2. ], dtype=float32)
    """
    if negative_slope == 0:
        return apply("relu", input)  # whose -infinity is 0, not 0 · infinity
    return apply("leaky_relu", input, slope=float(negative_slope))


def prelu(input: Any, weight: Any) -> Tensor:
    """`x` for x > 0, else `weight · x`; weight is one number or one per channel (dimension 1).

    The gradient at 0 is `weight`.

    Source: He et al. 2015, https://arxiv.org/abs/1502.01852.

    Example:
        >>> import ravine as rv
        >>> rv.ops.prelu([-1.0, 2.0], [0.25])
        tensor([-0.25,  2.  ], dtype=float32)
    """
    x, w = as_tensor(input), as_tensor(weight)
    if w.numel() != 1 and (x.ndim < 2 or w.shape != (x.shape[1],)):
        raise ValueError(
            f"prelu: weight of shape {w.shape} fits neither one number nor the channels of {x.shape}"
        )
    if w.numel() == 1:
        w = w.reshape(())
    else:
        w = w.reshape((1, -1) + (1,) * (x.ndim - 2))
    # clip, whose gradient at its bound is 1, and relu, whose gradient is 0 there.
    return apply("relu", x) + w * apply("clip", x, low=-math.inf, high=0.0)


def elu(input: Any, alpha: float = 1.0) -> Tensor:
    """`x` for x > 0, else `alpha · (eˣ - 1)`. The gradient at 0 is `alpha`.

    Source: Clevert et al. 2016, https://arxiv.org/abs/1511.07289.

    Example:
        >>> import ravine as rv
        >>> rv.ops.elu([-1.0, 2.0])
        tensor([-0.63212055,  2.        ], dtype=float32)
    """
    return apply("elu", input, alpha=float(alpha))


def celu(input: Any, alpha: float = 1.0) -> Tensor:
    """`x` for x > 0, else `alpha · (exp(x / alpha) - 1)`, which is smooth for every alpha.

    Source: Barron 2017, https://arxiv.org/abs/1704.07483.

    Example:
        >>> import ravine as rv
        >>> rv.ops.celu([0.0, 2.0], 2.0)
        tensor([0., 2.], dtype=float32)
    """
    if alpha == 0:
        raise ValueError("celu: alpha must not be 0")
    return apply("elu", input, alpha=float(alpha), input_scale=1.0 / float(alpha))


def selu(input: Any) -> Tensor:
    """`scale · elu(x, alpha)` with scale 1.0507 and alpha 1.6733, which keep mean 0 and variance 1.

    Source: Klambauer et al. 2017, https://arxiv.org/abs/1706.02515.

    Example:
        >>> import ravine as rv
        >>> rv.ops.selu([0.0, 1.0])
        tensor([0.      , 1.050701], dtype=float32)
    """
    return apply("elu", input, alpha=SELU_ALPHA) * SELU_SCALE


def gelu(input: Any, approximate: str = "none") -> Tensor:
    """Gaussian error linear unit, `x · Φ(x)`; `approximate="tanh"` for the tanh form of it.

    Source: Hendrycks and Gimpel 2016, https://arxiv.org/abs/1606.08415.

    Example:
        >>> import ravine as rv
        >>> rv.ops.gelu([0.0, 1.0])
        tensor([0.       , 0.8413447], dtype=float32)
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")
    return apply("gelu" if approximate == "none" else "gelu_tanh", input)


def silu(input: Any) -> Tensor:
    """Sigmoid linear unit (swish), `x · sigmoid(x)`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.silu([0.0, 1.0])
        tensor([0.       , 0.7310586], dtype=float32)
    """
    return apply("silu", input)


def mish(input: Any) -> Tensor:
    """`x · tanh(softplus(x))`.

    Source: Misra 2019, https://arxiv.org/abs/1908.08681.

    Example:
        >>> import ravine as rv
        >>> rv.ops.mish([0.0, 1.0]).numpy().round(4)
        array([0.    , 0.8651], dtype=float32)
    """
    return apply("mish", input)


def sigmoid(input: Any) -> Tensor:
    """Logistic function, `1 / (1 + e⁻ˣ)`; error at most 2 ulp.

    The gradient is `y · (1 - y)` of the result y, so that its error is the rounding of numbers near 1.

    Example:
        >>> import ravine as rv
        >>> rv.ops.sigmoid([0.0, 100.0])
        tensor([0.5, 1. ], dtype=float32)
    """
    return apply("sigmoid", input)


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """Smooth relu, `ln(1 + exp(beta · x)) / beta`; the line x itself where `beta · x > threshold`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.softplus([0.0, 30.0])
        tensor([ 0.6931472, 30.       ], dtype=float32)
    """
    if not beta > 0:
        raise ValueError(f"softplus: beta must be positive, got {beta}")
    x = as_tensor(input)
    scaled = x if beta == 1 else x * beta
    y = apply("softplus", scaled)
    y = y if beta == 1 else y / beta
    # Above 20 the two agree to the last bit of float32: no comparison needed.
    return y if threshold == 20 and x.dtype == "float32" else apply("where", scaled > threshold, x, y)


def softsign(input: Any) -> Tensor:
    """`x / (1 + |x|)`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.softsign([-1.0, 3.0])
        tensor([-0.5 ,  0.75], dtype=float32)
    """
    return apply("softsign", input)


def logsigmoid(input: Any) -> Tensor:
    """`ln sigmoid(x) = -softplus(-x)`, which does not underflow.

    Example:
        >>> import ravine as rv
        >>> rv.ops.logsigmoid([0.0, -100.0])
        tensor([  -0.6931472, -100.       ], dtype=float32)
    """
    return -apply("softplus", -as_tensor(input))


def tanhshrink(input: Any) -> Tensor:
    """`x - tanh(x)`, without the loss of digits near 0.

    Example:
        >>> import ravine as rv
        >>> rv.ops.tanhshrink([0.0])
        tensor([0.], dtype=float32)
    """
    return apply("tanhshrink", input)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """x limited to [min_val, max_val]. The gradient at the bounds is 0, as in torch (that of `clip` is 1).

    Example:
        >>> import ravine as rv
        >>> rv.ops.hardtanh([-3.0, 0.5])
        tensor([-1. ,  0.5], dtype=float32)
    """
    if not min_val <= max_val:
        raise ValueError(f"hardtanh: max_val must not be below min_val, got {min_val} and {max_val}")
    return apply("hardtanh", input, low=float(min_val), high=float(max_val))


def hardshrink(input: Any, lambd: float = 0.5) -> Tensor:
    """x where `|x| > lambd`, else 0. The gradient at `|x| = lambd` is 0.

    Example:
        >>> import ravine as rv
        >>> rv.ops.hardshrink([-1.0, 0.25, 1.0])
        tensor([-1.,  0.,  1.], dtype=float32)
    """
    x = as_tensor(input)
    return apply("where", apply("abs", x) <= lambd, np.zeros((), x.dtype), x)  # a NaN stays


def softshrink(input: Any, lambd: float = 0.5) -> Tensor:
    """x moved towards 0 by `lambd`; 0 where `|x| <= lambd`, and so is the gradient.

    Example:
        >>> import ravine as rv
        >>> rv.ops.softshrink([-1.0, 0.25, 1.0])
        tensor([-0.5,  0. ,  0.5], dtype=float32)
    """
    if not lambd >= 0:
        raise ValueError(f"softshrink: lambd must not be negative, got {lambd}")
    x = as_tensor(input)
    return apply("relu", x - lambd) - apply("relu", -x - lambd)


def threshold(input: Any, threshold: float, value: float) -> Tensor:
    """x where `x > threshold`, else `value`, which takes the dtype of x. The gradient at the threshold is 0.

    Example:
        >>> import ravine as rv
        >>> rv.ops.threshold([-1.0, 1.0], 0.5, 9.0)
        tensor([9., 1.], dtype=float32)
    """
    x = as_tensor(input)
    return apply("where", x <= threshold, np.asarray(value).astype(x.dtype), x)  # a NaN stays


def relu6(input: Any) -> Tensor:
    """`min(max(x, 0), 6)`. The gradient at 0 and 6 is 0.

    Example:
        >>> import ravine as rv
        >>> rv.ops.relu6([-3.0, 8.0])
        tensor([0., 6.], dtype=float32)
    """
    return apply("hardtanh", input, low=0.0, high=6.0)


def hardsigmoid(input: Any) -> Tensor:
    """`min(max(x + 3, 0), 6) / 6`. The gradient at -3 and 3 is 0.

    Example:
        >>> import ravine as rv
        >>> rv.ops.hardsigmoid([-4.0, 0.0])
        tensor([0. , 0.5], dtype=float32)
    """
    return apply("hardtanh", as_tensor(input) + 3.0, low=0.0, high=6.0) * (1 / 6)


def hardswish(input: Any) -> Tensor:
    """`x · relu6(x + 3) / 6`. The gradient at -3 is 0, at 3 it is 1.

    Source: Howard et al. 2019, https://arxiv.org/abs/1905.02244.

    Example:
        >>> import ravine as rv
        >>> rv.ops.hardswish([-4.0, 3.0]).numpy().round(4)
        array([-0.,  3.], dtype=float32)
    """
    return apply("hardswish", input)


@numpy_names
def glu(input: Any, dim: int = -1) -> Tensor:
    """Gated linear unit, `a · sigmoid(b)` for the two halves a and b of the input along `dim`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.glu([4.0, 0.0])
        tensor([2.], dtype=float32)
    """
    x = as_tensor(input)
    axis = normalise_dim(dim, x.ndim, "glu")
    if x.shape[axis] % 2:
        raise ValueError(f"glu: dimension {dim} of shape {x.shape} must have an even size")
    half = x.shape[axis] // 2
    before = (slice(None),) * axis
    return x[(*before, slice(0, half))] * apply("sigmoid", x[(*before, slice(half, None))])


def _along(op: str, input: Any, dim: int | None, dtype: Any) -> Tensor:
    """An operation of the softmax family; a scalar counts as a vector of one element."""
    x = as_tensor(input)
    if dtype is not None and x.dtype != dtype_name(dtype):
        x = cast(x, dtype)
    axis = normalise_dim(-1 if dim is None else dim, x.ndim, op, scalar=True)
    return apply(op, x, axis=axis) if x.ndim else reshape(apply(op, reshape(x, (1,)), axis=0), ())


@numpy_names
def softmax(input: Any, dim: int | None = -1, dtype: Any = None) -> Tensor:
    """`exp(x) / Σ exp(x)` along `dim`, with the maximum taken out first.

    -infinity has no share; a slice that holds nothing else, or +infinity, is NaN. Integers become float32.

    Args:
        input: any shape.
        dim: the dimension that sums to 1; None means the last, where torch guesses one.
        dtype: cast the input to it first.

    Example:
        >>> import ravine as rv
        >>> rv.ops.softmax([1000.0, 1000.0])
        tensor([0.5, 0.5], dtype=float32)
    """
    return _along("softmax", input, dim, dtype)


@numpy_names
def log_softmax(input: Any, dim: int | None = -1, dtype: Any = None) -> Tensor:
    """`x - ln Σ exp(x)` along `dim`, as `(x - max) - ln Σ exp(x - max)`: no offset costs digits.

    A slice of -infinity alone is NaN. Integers become float32. Arguments as for `softmax`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.log_softmax([0.0, 0.0])
        tensor([-0.6931472, -0.6931472], dtype=float32)
    """
    return _along("log_softmax", input, dim, dtype)


@numpy_names
def softmin(input: Any, dim: int | None = -1, dtype: Any = None) -> Tensor:
    """`softmax(-x)` along `dim`. Arguments as for `softmax`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.softmin([3.0, 3.0])
        tensor([0.5, 0.5], dtype=float32)
    """
    x = as_tensor(input)
    return _along("softmax", -(x if x.dtype in FLOATING else cast(x, "float32")), dim, dtype)


@numpy_names
def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """`x / max(‖x‖ₚ, eps)` along `dim`.

    Args:
        input: any shape with the dimension `dim`.
        p: exponent of the norm `(Σ |x|ᵖ)^(1/p)`; infinity takes the largest size, minus infinity the
            smallest, 0 the number of elements that are not 0.
        dim: the dimension to normalise.
        eps: the least divisor.

    Raises ValueError where p is NaN.

    Example:
        >>> import ravine as rv
        >>> rv.ops.normalize([3.0, 4.0], dim=0)
        tensor([0.6, 0.8], dtype=float32)
    """
    x = as_tensor(input)
    axes = axes_of(dim, x.ndim, "normalize") or range(x.ndim)
    if math.isnan(p):
        raise ValueError(f"normalize: p must be a number, got {p}")
    if p == 0:
        norm = cast(x != 0, x.dtype).sum(dim, True)
    elif all(x.shape[i] == 1 for i in axes):
        norm = apply("abs", x)  # powers and roots would round, and leave a slope where there is none
    elif p == 2:
        # The root of 0 has no derivative, so the floor comes first.
        floored = apply("maximum", apply("square", x).sum(dim, True), np.asarray(eps * eps, x.dtype))
        return x / apply("sqrt", floored)
    elif p == 1:
        norm = apply("abs", x).sum(dim, True)
    elif p == math.inf:
        norm = apply("abs", x).amax(dim, True)
    elif p == -math.inf:
        norm = apply("abs", x).amin(dim, True)
    else:
        norm = _power_at_least_0(_power_at_least_0(apply("abs", x), p).sum(dim, True), 1 / p)
    return x / apply("maximum", norm, np.asarray(eps, x.dtype))


def _power_at_least_0(x: Operand, exponent: float) -> Tensor:
    """`x ** exponent` for x >= 0 whose gradient at 0 is 0, as torch's norms have it, not infinite."""
    zero = x == 0
    at_0, one = np.asarray(0.0 if exponent > 0 else math.inf, x.dtype), np.ones((), x.dtype)
    return apply("where", zero, at_0, apply("pow", apply("where", zero, one, x), exponent))
