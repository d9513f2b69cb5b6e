"""Initialisers whose scale follows from the fans of a weight, so that signals keep their size through depth.

Fans of a weight [out, in, ...]: fan_in = in · receptive field, fan_out = out · receptive field.
"""

from __future__ import annotations

import math

import numpy as np

from .._numbers import positive
from ..record import State
from ._fill import S, normal_, trunc_normal_, uniform_


def _fans(tensor: State | np.ndarray, name: str) -> tuple[int, int]:
    """fan_in and fan_out."""
    shape = tensor.shape
    if len(shape) < 2:
        raise ValueError(f"{name}: fans need a weight of at least 2 dimensions, got shape {shape}")
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Factor by which a nonlinearity asks for larger weights.

    Args:
        nonlinearity: "linear", "sigmoid" (or a layer's name): 1; "tanh": 5/3; "relu": √2; "leaky_relu":
            √(2 / (1 + slope²)); "selu": 3/4.
        param: the slope of leaky_relu, 0.01 by default.

    Example:
        >>> import ravine as rv
        >>> rv.init.calculate_gain("relu")
        1.4142135623730951
    """
    if nonlinearity in ("linear", "conv1d", "conv2d", "conv3d", "sigmoid"):
        return 1.0
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else float(param)
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity == "selu":
        return 3.0 / 4
    raise ValueError(f"calculate_gain: unknown nonlinearity {nonlinearity!r}")


def xavier_uniform_(tensor: S, gain: float = 1.0) -> S:
    """Uniform in ±gain · √(6 / (fan_in + fan_out)).

    Source: Glorot and Bengio 2010, https://proceedings.mlr.press/v9/glorot10a.html.

    Example:
        >>> import numpy as np, ravine as rv
        >>> bool((abs(rv.init.xavier_uniform_(np.zeros((3, 3)))) <= 1).all())
        True
    """
    bound = gain * math.sqrt(6.0 / max(1, sum(_fans(tensor, "xavier_uniform_"))))
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor: S, gain: float = 1.0) -> S:
    """Normal with standard deviation gain · √(2 / (fan_in + fan_out)).

    Source: Glorot and Bengio 2010, https://proceedings.mlr.press/v9/glorot10a.html.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.init.xavier_normal_(np.zeros((3, 3))).shape
        (3, 3)
    """
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / max(1, sum(_fans(tensor, "xavier_normal_")))))


def _kaiming_std(tensor: State | np.ndarray, a: float, mode: str, nonlinearity: str, name: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"{name}: mode must be 'fan_in' or 'fan_out', got {mode!r}")
    fan = _fans(tensor, name)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fan, 1))


def kaiming_uniform_(tensor: S, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> S:
    """Uniform in ±gain · √(3 / fan).

    Args:
        tensor: a weight [out, in, ...].
        a: slope of leaky_relu.
        mode: "fan_in" keeps the variance forward, "fan_out" backward.
        nonlinearity: names the gain, see `calculate_gain`.

    Source: He et al. 2015, https://arxiv.org/abs/1502.01852.

    Example:
        >>> import numpy as np, ravine as rv
        >>> bool((abs(rv.init.kaiming_uniform_(np.zeros((3, 6)))) <= 1).all())
        True
    """
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity, "kaiming_uniform_")
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(tensor: S, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> S:
    """Normal with standard deviation gain / √fan. Arguments as for `kaiming_uniform_`.

    Source: He et al. 2015, https://arxiv.org/abs/1502.01852.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.init.kaiming_normal_(np.zeros((3, 6)), nonlinearity="relu").shape
        (3, 6)
    """
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity, "kaiming_normal_"))


def lecun_uniform_(tensor: S) -> S:
    """Uniform in ±√(3 / fan_in), so that the variance is 1 / fan_in.

    For layers without an activation, with tanh-like ones near 0, and with SELU.

    Source: LeCun et al. 1998, "Efficient BackProp".

    Raises ValueError for a weight of fewer than 2 dimensions.

    Example:
        >>> import numpy as np, ravine as rv
        >>> bool((abs(rv.init.lecun_uniform_(np.zeros((5, 3)))) <= 1).all())
        True
    """
    return variance_scaling_(tensor, 1.0, "fan_in", "uniform")


def lecun_normal_(tensor: S) -> S:
    """Normal with variance 1 / fan_in, not truncated. When to use it: see `lecun_uniform_`.

    Source: LeCun et al. 1998, "Efficient BackProp"; Klambauer et al. 2017, https://arxiv.org/abs/1706.02515.

    Raises ValueError for a weight of fewer than 2 dimensions.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.init.lecun_normal_(np.zeros((5, 3))).shape
        (5, 3)
    """
    return variance_scaling_(tensor, 1.0, "fan_in", "normal")


def fan_in_uniform_(tensor: S) -> S:
    """Uniform in ±1/√fan_in, the old rule of thumb, and PyTorch's default for linear layers and convolutions.

    Its variance, 1 / (3 · fan_in), is too small for deep nets: the signal shrinks to a third in every layer.

    Source: equation 1 of Glorot and Bengio 2010, https://proceedings.mlr.press/v9/glorot10a.html.

    Raises ValueError for a weight of fewer than 2 dimensions.

    Example:
        >>> import numpy as np, ravine as rv
        >>> bool((abs(rv.init.fan_in_uniform_(np.zeros((5, 4)))) <= 0.5).all())
        True
    """
    return variance_scaling_(tensor, 1.0 / 3, "fan_in", "uniform")


# The standard deviation of a standard normal number that is conditioned to lie within ±2.
_STD_WITHIN_2 = 0.8796256610342398


def variance_scaling_(
    tensor: S, scale: float = 1.0, mode: str = "fan_in", distribution: str = "truncated_normal"
) -> S:
    """Numbers of mean 0 and variance scale / fan, of which most other initialisers are special cases.

    Args:
        tensor: a weight [out, in, ...].
        scale: above 0. He's has 2, LeCun's 1, Glorot's 1 with "fan_avg".
        mode: "fan_in", "fan_out" or "fan_avg", their mean.
        distribution: "truncated_normal" (within two standard deviations of the normal distribution that is
            cut, which is wider, so that the variance is as stated), "normal" or "uniform".

    The arguments and defaults are those of Keras's VarianceScaling and JAX's variance_scaling.

    Raises ValueError for other values, and for a weight of fewer than 2 dimensions.

    Example:
        >>> import numpy as np, ravine as rv
        >>> weight = rv.init.variance_scaling_(np.zeros((4, 100)), 2.0, "fan_in", "uniform")
        >>> bool((abs(weight) <= np.sqrt(6 / 100)).all())
        True
    """
    scale = positive("variance_scaling_", "scale", scale)
    fan_in, fan_out = _fans(tensor, "variance_scaling_")
    fans = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
    if mode not in fans:
        raise ValueError(f"variance_scaling_: mode must be 'fan_in', 'fan_out' or 'fan_avg', got {mode!r}")
    std = math.sqrt(scale / max(1, fans[mode]))
    if distribution == "uniform":
        return uniform_(tensor, -math.sqrt(3) * std, math.sqrt(3) * std)
    if distribution == "normal":
        return normal_(tensor, 0.0, std)
    if distribution == "truncated_normal":
        wide = std / _STD_WITHIN_2
        return trunc_normal_(tensor, 0.0, wide, -2 * wide, 2 * wide)
    raise ValueError(
        f"variance_scaling_: distribution must be 'truncated_normal', 'normal' or 'uniform', "
        f"got {distribution!r}"
    )
