"""Dropout that keeps mean and variance, and rectifiers with random slopes."""

from __future__ import annotations

from typing import Any

from .. import ops
from ._dropout import Dropout
from ._module import Module


class AlphaDropout(Dropout):
    """Dropout for self-normalising networks; see `ops.alpha_dropout`. Shapes: any, the same out.

    Args:
        p: probability of SELU's limit in an element's place.

    Source: Klambauer et al. 2017, https://arxiv.org/abs/1706.02515.

    Example:
        >>> from ravine import nn
        >>> nn.AlphaDropout(0.5).eval()([1.0, 2.0])
        array([1., 2.], dtype=float32)
    """

    def forward(self, input: Any) -> Any:
        return ops.alpha_dropout(input, self.p, self.training)


class FeatureAlphaDropout(Dropout):
    """`AlphaDropout` of whole channels. Shapes: [N, C, ...], the same out.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.FeatureAlphaDropout(0.5).eval()(np.ones((1, 2, 3))).shape
        (1, 2, 3)
    """

    def forward(self, input: Any) -> Any:
        return ops.feature_alpha_dropout(input, self.p, self.training)


class RReLU(Module):
    """Rectifier with random slopes below 0; see `ops.rrelu`. Shapes: any, the same out.

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
        if not lower <= upper:
            raise ValueError(f"RReLU: lower must be at most upper, got {lower} and {upper}")
        self.lower, self.upper = lower, upper

    def forward(self, input: Any) -> Any:
        return ops.rrelu(input, self.lower, self.upper, self.training)

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}"
