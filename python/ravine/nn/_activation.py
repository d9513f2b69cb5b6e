"""Activations as modules. Shapes: any in, the same out (`GLU` halves one dimension)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import ops
from .._numbers import number
from ..record import Parameter, dtype_name
from ._linear import check_positive
from ._module import Module


class ReLU(Module):
    """Rectified linear unit, `max(x, 0)`.

    Example:
        >>> from ravine import nn
        >>> nn.ReLU()([-1.0, 2.0])
        array([0., 2.], dtype=float32)
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()  # inplace is torch's argument; the planner reuses memory by itself

    def forward(self, input: Any) -> Any:
        return ops.relu(input)


class ReLU6(Module):
    """`min(max(x, 0), 6)`.

    Example:
        >>> from ravine import nn
        >>> nn.ReLU6()([-1.0, 8.0])
        array([0., 6.], dtype=float32)
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()  # inplace is torch's argument; the planner reuses memory by itself

    def forward(self, input: Any) -> Any:
        return ops.relu6(input)


class SELU(Module):
    """Self-normalising `scale · elu(x, alpha)`, scale 1.0507 and alpha 1.6733.

    Source: Klambauer et al. 2017, https://arxiv.org/abs/1706.02515.

    Example:
        >>> from ravine import nn
        >>> nn.SELU()([0.0, 1.0])
        array([0.      , 1.050701], dtype=float32)
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()  # inplace is torch's argument; the planner reuses memory by itself

    def forward(self, input: Any) -> Any:
        return ops.selu(input)


class SiLU(Module):
    """Sigmoid linear unit (swish), `x · sigmoid(x)`.

    Example:
        >>> from ravine import nn
        >>> nn.SiLU()([0.0, 1.0])
        array([0.       , 0.7310586], dtype=float32)
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()  # inplace is torch's argument; the planner reuses memory by itself

    def forward(self, input: Any) -> Any:
        return ops.silu(input)


class Mish(Module):
    """`x · tanh(softplus(x))`.

    Source: Misra 2019, https://arxiv.org/abs/1908.08681.

    Example:
        >>> from ravine import nn
        >>> nn.Mish()([0.0])
        array([0.], dtype=float32)
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()  # inplace is torch's argument; the planner reuses memory by itself

    def forward(self, input: Any) -> Any:
        return ops.mish(input)


class Sigmoid(Module):
    """Logistic function, `1 / (1 + e⁻ˣ)`.

    Example:
        >>> from ravine import nn
        >>> nn.Sigmoid()([0.0])
        array([0.5], dtype=float32)
    """

    def forward(self, input: Any) -> Any:
        return ops.sigmoid(input)


class Tanh(Module):
    """Hyperbolic tangent.

    Example:
        >>> from ravine import nn
        >>> nn.Tanh()([0.0])
        array([0.], dtype=float32)
    """

    def forward(self, input: Any) -> Any:
        return ops.tanh(input)


class Softsign(Module):
    """`x / (1 + |x|)`.

    Example:
        >>> from ravine import nn
        >>> nn.Softsign()([-1.0, 3.0])
        array([-0.5 ,  0.75], dtype=float32)
    """

    def forward(self, input: Any) -> Any:
        return ops.softsign(input)


class LogSigmoid(Module):
    """`ln sigmoid(x)`.

    Example:
        >>> from ravine import nn
        >>> nn.LogSigmoid()([0.0])
        array([-0.6931472], dtype=float32)
    """

    def forward(self, input: Any) -> Any:
        return ops.logsigmoid(input)


class Tanhshrink(Module):
    """`x - tanh(x)`.

    Example:
        >>> from ravine import nn
        >>> nn.Tanhshrink()([0.0])
        array([0.], dtype=float32)
    """

    def forward(self, input: Any) -> Any:
        return ops.tanhshrink(input)


class Hardsigmoid(Module):
    """`min(max(x/6 + 1/2, 0), 1)`.

    Example:
        >>> from ravine import nn
        >>> nn.Hardsigmoid()([-4.0, 0.0])
        array([0. , 0.5], dtype=float32)
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()  # inplace is torch's argument; the planner reuses memory by itself

    def forward(self, input: Any) -> Any:
        return ops.hardsigmoid(input)


class Hardswish(Module):
    """`x · relu6(x + 3) / 6`.

    Source: Howard et al. 2019, https://arxiv.org/abs/1905.02244.

    Example:
        >>> from ravine import nn
        >>> nn.Hardswish()([0.0])
        array([0.], dtype=float32)
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()  # inplace is torch's argument; the planner reuses memory by itself

    def forward(self, input: Any) -> Any:
        return ops.hardswish(input)


class LeakyReLU(Module):
    """`x` for x > 0, else `negative_slope · x`.

    Args:
        negative_slope: slope for negative x.

    Example:
        >>> from ravine import nn
        >>> nn.LeakyReLU()([-1.0, 2.0])
        array([-0.01,  2.  ], dtype=float32)
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()  # inplace is torch's argument; the planner reuses memory by itself
        self.negative_slope = negative_slope

    def forward(self, input: Any) -> Any:
        return ops.leaky_relu(input, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class ELU(Module):
    """`x` for x > 0, else `alpha · (eˣ - 1)`.

    Args:
        alpha: limit for very negative x, with a minus.

    Source: Clevert et al. 2016, https://arxiv.org/abs/1511.07289.

    Example:
        >>> from ravine import nn
        >>> nn.ELU()([0.0, 2.0])
        array([0., 2.], dtype=float32)
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()  # inplace is torch's argument; the planner reuses memory by itself
        self.alpha = alpha

    def forward(self, input: Any) -> Any:
        return ops.elu(input, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"


class GELU(Module):
    """Gaussian error linear unit, `x · Φ(x)`.

    Args:
        approximate: "none", or "tanh" for the tanh form of Φ.

    Source: Hendrycks and Gimpel 2016, https://arxiv.org/abs/1606.08415.

    Example:
        >>> from ravine import nn
        >>> nn.GELU()([0.0, 1.0])
        array([0.       , 0.8413447], dtype=float32)
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Any) -> Any:
        return ops.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Softplus(Module):
    """Smooth relu, `ln(1 + exp(beta · x)) / beta`.

    Args:
        beta: sharpness, positive.
        threshold: above `beta · x` = threshold the function is x itself.

    Example:
        >>> from ravine import nn
        >>> nn.Softplus()([0.0])
        array([0.6931472], dtype=float32)
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta, self.threshold = beta, threshold

    def forward(self, input: Any) -> Any:
        return ops.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Hardtanh(Module):
    """x limited to [min_val, max_val].

    Args:
        min_val: lower limit.
        max_val: upper limit.

    Example:
        >>> from ravine import nn
        >>> nn.Hardtanh()([-3.0, 0.5])
        array([-1. ,  0.5], dtype=float32)
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__()  # inplace is torch's argument; the planner reuses memory by itself
        self.min_val, self.max_val = min_val, max_val

    def forward(self, input: Any) -> Any:
        return ops.hardtanh(input, self.min_val, self.max_val)

    def extra_repr(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}"


class GLU(Module):
    """Gated linear unit, `a · sigmoid(b)` for the halves a and b of the input along `dim`.

    Args:
        dim: dimension to halve.

    Example:
        >>> from ravine import nn
        >>> nn.GLU()([4.0, 0.0])
        array([2.], dtype=float32)
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Any) -> Any:
        return ops.glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax(Module):
    """`exp(x) / Σ exp(x)` along `dim`.

    Args:
        dim: dimension that sums to 1.

    Example:
        >>> from ravine import nn
        >>> nn.Softmax()([5.0, 5.0])
        array([0.5, 0.5], dtype=float32)
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Any) -> Any:
        return ops.softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """`x - ln Σ exp(x)` along `dim`.

    Args:
        dim: dimension whose exponentials sum to 1.

    Example:
        >>> from ravine import nn
        >>> nn.LogSoftmax()([5.0, 5.0])
        array([-0.6931472, -0.6931472], dtype=float32)
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Any) -> Any:
        return ops.log_softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmin(Module):
    """`softmax(-x)` along `dim`.

    Args:
        dim: dimension that sums to 1.

    Example:
        >>> from ravine import nn
        >>> nn.Softmin()([5.0, 5.0])
        array([0.5, 0.5], dtype=float32)
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Any) -> Any:
        return ops.softmin(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class PReLU(Module):
    """`x` for x > 0, else `weight · x`, with a trained weight.

    Args:
        num_parameters: 1, or the number of channels for one weight each.
        init: where the weights start.
        dtype: float32 or float64.

    Source: He et al. 2015, https://arxiv.org/abs/1502.01852.

    Example:
        >>> from ravine import nn
        >>> nn.PReLU()([-1.0, 2.0])
        array([-0.25,  2.  ], dtype=float32)
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25, *, dtype: Any = "float32") -> None:
        super().__init__()
        check_positive(self, num_parameters=num_parameters)
        self.num_parameters, self.init = num_parameters, number("PReLU", "init", init, -math.inf)
        self.weight = Parameter(np.full(num_parameters, init, dtype_name(dtype)))

    def reset_parameters(self) -> None:
        self.weight.data[...] = self.init

    def forward(self, input: Any) -> Any:
        return ops.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"
