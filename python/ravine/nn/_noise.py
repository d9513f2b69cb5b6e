"""Further layers that disturb what passes through them in training: dropout of parts, noise."""

from __future__ import annotations

import math
from typing import Any

from .. import ops
from .._numbers import flag, number
from ..record import FLOATING, Operand, as_tensor
from ._dropout import Dropout
from ._module import Module

# The limit of SELU at minus infinity: -scale · alpha.
_SATURATED = -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717


def _alpha_dropout(x: Operand, p: float, drawn: tuple[int, ...]) -> Any:
    """SELU's limit c with probability p, by draws that broadcast, then what keeps mean and variance.

    With q = 1 - p: `a (x or c) - a c p`, `a = (q + c² q p)^(-1/2)`.
    """
    if p == 1:
        return x * 0.0
    scale = 1 / math.sqrt((1 - p) * (1 + p * _SATURATED**2))
    kept = ops.rand(*drawn, dtype=x.dtype) >= p
    return ops.where(kept, x, _SATURATED) * scale - scale * p * _SATURATED


class Dropout1d(Dropout):
    """Dropout of whole channels of [N, C, L]; see `Dropout`.

    Source: Tompson et al. 2015, https://arxiv.org/abs/1411.4280.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> float(nn.Dropout1d(1.0)(np.ones((1, 2, 3))).max())
        0.0
    """

    def forward(self, input: Any) -> Any:
        return ops.dropout1d(input, self.p, self.training)


class Dropout3d(Dropout):
    """Dropout of whole channels of [N, C, D, H, W]; see `Dropout`.

    Source: Tompson et al. 2015, https://arxiv.org/abs/1411.4280.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> float(nn.Dropout3d(1.0)(np.ones((1, 2, 2, 3, 3))).max())
        0.0
    """

    def forward(self, input: Any) -> Any:
        return ops.dropout3d(input, self.p, self.training)


class DropPath(Module):
    """Stochastic depth: in training, sets whole samples to 0 with probability p.

    It stands at the end of a residual branch, `x + drop_path(branch(x))`, which such samples then skip; in
    evaluation every branch counts. Usual are rates that grow with depth, from 0 to about 0.2.

    Shapes: [N, ...], the same out.

    Args:
        p: probability that a sample skips the branch, in [0, 1].
        scale_by_keep: whether the other samples are scaled by 1 / (1 - p), so that the mean stays.

    Source: Huang et al. 2016, https://arxiv.org/abs/1603.09382.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> np.unique(nn.DropPath(0.75)(np.ones((100, 3))))
        array([0., 4.], dtype=float32)
    """

    def __init__(self, p: float = 0.0, scale_by_keep: bool = True) -> None:
        super().__init__()
        self.p = number("DropPath", "p", p, high=1.0)
        self.scale_by_keep = flag("DropPath", "scale_by_keep", scale_by_keep)

    def forward(self, input: Any) -> Any:
        return ops.drop_path(input, self.p, self.training, self.scale_by_keep)

    def extra_repr(self) -> str:
        return f"p={self.p}, scale_by_keep={self.scale_by_keep}"


class GaussianNoise(Module):
    """In training, adds normal numbers of mean 0: inputs with noise, or noise between layers.

    For small noise on the inputs of a net it acts as a penalty on the derivatives of its outputs by them
    (Bishop 1995, https://doi.org/10.1162/neco.1995.7.1.108).

    Shapes: any, the same out.

    Args:
        std: standard deviation of the noise, at least 0.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> noisy = nn.GaussianNoise(0.5)(np.zeros((100, 100)))
        >>> bool(abs(noisy.std() - 0.5) < 0.02), nn.GaussianNoise(0.5).eval()([1.0])
        (True, array([1.], dtype=float32))
    """

    def __init__(self, std: float = 0.1) -> None:
        super().__init__()
        self.std = number("GaussianNoise", "std", std)

    def forward(self, input: Any) -> Any:
        x = as_tensor(input)
        if x.dtype not in FLOATING:
            raise TypeError(f"GaussianNoise: a floating input is expected, got {x.dtype}")
        if not self.training or self.std == 0:
            return x
        return x + ops.randn(*x.shape, dtype=x.dtype) * self.std

    def extra_repr(self) -> str:
        return f"std={self.std}"


class AlphaDropout(Dropout):
    """Dropout for self-normalising networks: what it drops becomes SELU's limit, -1.758, not 0.

    Then all is scaled and shifted so that mean and variance stay. Shapes: any, the same out.

    Args:
        p: probability of SELU's limit in an element's place.

    Source: Klambauer et al. 2017, https://arxiv.org/abs/1706.02515.

    Example:
        >>> from ravine import nn
        >>> nn.AlphaDropout(0.5).eval()([1.0, 2.0])
        array([1., 2.], dtype=float32)
    """

    def forward(self, input: Any) -> Any:
        x = as_tensor(input)
        return _alpha_dropout(x, self.p, x.shape) if self.training and self.p > 0 else x


class FeatureAlphaDropout(Dropout):
    """`AlphaDropout` of whole channels. Shapes: [N, C, ...], the same out.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.FeatureAlphaDropout(0.5).eval()(np.ones((1, 2, 3))).shape
        (1, 2, 3)
    """

    def forward(self, input: Any) -> Any:
        x = as_tensor(input)
        if x.ndim < 2:
            raise ValueError(f"FeatureAlphaDropout: input must be [N, C, ...], got shape {x.shape}")
        drawn = (*x.shape[:2], *(1,) * (x.ndim - 2))
        return _alpha_dropout(x, self.p, drawn) if self.training and self.p > 0 else x


class RReLU(Module):
    """x above 0, below it x times a slope: in training drawn for each element, else the middle one.

    Shapes: any, the same out.

    Args:
        lower, upper: between which the slopes are drawn in training; their mean is used in evaluation.

    Source: Xu et al. 2015, https://arxiv.org/abs/1505.00853.

    Example:
        >>> from ravine import nn
        >>> nn.RReLU(0.25, 0.75).eval()([-24.0, 2.0])
        array([-12.,   2.], dtype=float32)
    """

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3, inplace: bool = False) -> None:
        super().__init__()  # inplace is torch's argument; the planner reuses memory by itself
        if not number("RReLU", "lower", lower, -math.inf) <= number("RReLU", "upper", upper, -math.inf):
            raise ValueError(f"RReLU: lower must be at most upper, got {lower} and {upper}")
        self.lower, self.upper = lower, upper

    def forward(self, input: Any) -> Any:
        x = as_tensor(input)
        slope: Any = (self.lower + self.upper) / 2
        if self.training:
            slope = ops.rand(*x.shape, dtype=x.dtype) * (self.upper - self.lower) + self.lower
        return ops.where(x > 0, x, x * slope)

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}"
