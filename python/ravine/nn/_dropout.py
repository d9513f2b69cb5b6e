"""Dropout of elements and of channels of images."""

from __future__ import annotations

from typing import Any

from .. import ops
from .._numbers import probability
from ._module import Module


class Dropout(Module):
    """In training, sets each element to 0 with probability p and scales the others by 1 / (1 - p).

    The draws are a function of seed, call, layer and element: independent of threads, and repeatable after
    `rv.seed`. Shapes: any, the same out.

    Args:
        p: probability of a zero, in [0, 1].

    Source: Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html.

    Example:
        >>> from ravine import nn
        >>> nn.Dropout(0.5).eval()([1.0, 2.0])
        array([1., 2.], dtype=float32)
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()  # inplace is torch's argument; the planner reuses memory by itself
        self.p = probability(type(self).__name__, p)

    def forward(self, input: Any) -> Any:
        return ops.dropout(input, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace=False"


class Dropout2d(Dropout):
    """Dropout of whole channels of [N, C, H, W]; see `Dropout`.

    Source: Tompson et al. 2015, https://arxiv.org/abs/1411.4280.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> float(nn.Dropout2d(1.0)(np.ones((1, 2, 3, 3))).max())
        0.0
    """

    def forward(self, input: Any) -> Any:
        return ops.dropout2d(input, self.p, self.training)
