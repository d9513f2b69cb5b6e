"""Activations that cut or shrink around 0, and softmax at each pixel. Shapes: any in, the same out."""

from __future__ import annotations

from typing import Any

from .. import ops
from ._module import Module


class CELU(Module):
    """`max(x, 0) + min(alpha · (exp(x / alpha) - 1), 0)`.

    Args:
        alpha: scale of the exponential part, not 0.

    Source: Barron 2017, https://arxiv.org/abs/1704.07483.

    Example:
        >>> from ravine import nn
        >>> nn.CELU()([0.0, 2.0])
        array([0., 2.], dtype=float32)
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()  # inplace is torch's argument; the planner reuses memory by itself
        self.alpha = alpha

    def forward(self, input: Any) -> Any:
        return ops.celu(input, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"


class Hardshrink(Module):
    """x where `|x| > lambd`, else 0.

    Args:
        lambd: half of the width of what becomes 0.

    Example:
        >>> from ravine import nn
        >>> nn.Hardshrink()([-1.0, 0.25])
        array([-1.,  0.], dtype=float32)
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Any) -> Any:
        return ops.hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return f"{self.lambd}"


class Softshrink(Module):
    """x moved towards 0 by `lambd`; 0 where `|x| <= lambd`.

    Args:
        lambd: distance, not negative.

    Example:
        >>> from ravine import nn
        >>> nn.Softshrink()([-1.0, 0.25])
        array([-0.5,  0. ], dtype=float32)
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Any) -> Any:
        return ops.softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return f"{self.lambd}"


class Threshold(Module):
    """x where `x > threshold`, else `value`.

    Args:
        threshold: limit.
        value: what stands for x at or below the limit.

    Example:
        >>> from ravine import nn
        >>> nn.Threshold(0.5, 9.0)([-1.0, 1.0])
        array([9., 1.], dtype=float32)
    """

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()  # inplace is torch's argument; the planner reuses memory by itself
        self.threshold, self.value = threshold, value

    def forward(self, input: Any) -> Any:
        return ops.threshold(input, self.threshold, self.value)

    def extra_repr(self) -> str:
        return f"threshold={self.threshold}, value={self.value}"


class Softmax2d(Module):
    """Softmax over the channels of images, at each pixel: [(N,) C, H, W], the same out.

    Example:
        >>> from ravine import nn
        >>> nn.Softmax2d()([[[5.0]], [[5.0]]]).ravel()
        array([0.5, 0.5], dtype=float32)
    """

    def forward(self, input: Any) -> Any:
        if len(input.shape) not in (3, 4):
            raise ValueError(f"Softmax2d: input must be [(N,) C, H, W], got shape {tuple(input.shape)}")
        return ops.softmax(input, -3)
