"""Positions of a sequence, for attention, which by itself does not know of any order."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import ops
from .._numbers import number
from ..record import as_tensor
from ._linear import check_positive
from ._module import Module


def _angles(length: int, features: int, base: float, offset: Any, dtype: str) -> Any:
    """[length, features / 2]: position · base^(-2i / features), the positions counted from `offset`."""
    frequencies = base ** (np.arange(0, features, 2) / -features)
    if isinstance(offset, int | np.integer):
        return np.outer(np.arange(offset, offset + length), frequencies)
    positions = ops.cast(np.arange(length) + as_tensor(offset), dtype)
    return ops.unsqueeze(positions, 1) * frequencies.astype(dtype)


class SinusoidalPositionalEncoding(Module):
    """Adds sines and cosines of the position, in wavelengths from 2π to base · 2π, then drops out.

        y[t, 2i] = x[t, 2i] + sin(t / base^(2i/d)),  y[t, 2i + 1] = x[t, 2i + 1] + cos(t / base^(2i/d))

    Shapes: [..., T, d_model], the same out; any T.

    Args:
        d_model: features d, an even number.
        dropout: probability, in training.
        base: the longest wavelength is 2π times this.

    Forward's argument `offset` is the position of the first row, a number or a tensor.

    Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.SinusoidalPositionalEncoding(2)(np.zeros((2, 2)))
        array([[0.        , 1.        ],
               [0.84147096, 0.5403023 ]], dtype=float32)
    """

    def __init__(self, d_model: int, dropout: float = 0.0, base: float = 10000.0) -> None:
        super().__init__()
        check_positive(self, d_model=d_model)
        if d_model % 2:
            raise ValueError(f"SinusoidalPositionalEncoding: d_model must be even, got {d_model}")
        self.d_model = d_model
        self.base = number("SinusoidalPositionalEncoding", "base", base, 1, math.inf)
        self.dropout = number("SinusoidalPositionalEncoding", "dropout", dropout, 0, 1)

    def forward(self, input: Any, offset: Any = 0) -> Any:
        x = as_tensor(input)
        if x.ndim < 2 or x.shape[-1] != self.d_model:
            raise ValueError(
                f"SinusoidalPositionalEncoding: input must have shape [..., T, {self.d_model}], got {x.shape}"
            )
        angles = _angles(x.shape[-2], self.d_model, self.base, offset, x.dtype)
        if isinstance(angles, np.ndarray):
            waves: Any = np.stack([np.sin(angles), np.cos(angles)], -1).reshape(x.shape[-2:]).astype(x.dtype)
        else:
            waves = ops.reshape(ops.stack([ops.sin(angles), ops.cos(angles)], -1), x.shape[-2:])
        return ops.dropout(x + waves, self.dropout, self.training)

    def extra_repr(self) -> str:
        return f"{self.d_model}, dropout={self.dropout}, base={self.base}"


class RoPE(Module):
    """Rotary positions: pairs of features are rotated by angles that grow with the position.

    The products of queries and keys then depend on their distance alone. Applied to query and key, not to
    value. Shapes: [..., T, D] with D at least `dims`, the same out; any T.

    Args:
        dims: features that are rotated, an even number; those behind are left alone.
        traditional: whether neighbours are pairs, as in the paper; else feature i and i + dims / 2, as in
            Llama's weights.
        base: pair i turns by t · base^(-2i/dims) at position t.

    Forward's argument `offset` is the position of the first row, a number or a tensor.

    Source: Su et al. 2021, https://arxiv.org/abs/2104.09864.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.RoPE(2)(np.array([[1.0, 0.0], [1.0, 0.0]]))
        array([[1.        , 0.        ],
               [0.5403023 , 0.84147096]], dtype=float32)
    """

    def __init__(self, dims: int, traditional: bool = False, base: float = 10000.0) -> None:
        super().__init__()
        check_positive(self, dims=dims)
        if dims % 2:
            raise ValueError(f"RoPE: dims must be even, got {dims}")
        self.dims, self.traditional = dims, traditional
        self.base = number("RoPE", "base", base, 1, math.inf)

    def forward(self, input: Any, offset: Any = 0) -> Any:
        x = as_tensor(input)
        if x.ndim < 2 or x.shape[-1] < self.dims:
            raise ValueError(f"RoPE: input must have shape [..., T, at least {self.dims}], got {x.shape}")
        angles = _angles(x.shape[-2], self.dims, self.base, offset, x.dtype)
        if isinstance(angles, np.ndarray):
            cos, sin = (np.asarray(f(angles), x.dtype) for f in (np.cos, np.sin))
        else:
            cos, sin = ops.cos(angles), ops.sin(angles)
        rotated, rest = x[..., : self.dims], x[..., self.dims :]
        if self.traditional:
            a, b = rotated[..., ::2], rotated[..., 1::2]
        else:
            a, b = ops.chunk(rotated, 2, -1)
        turned = [a * cos - b * sin, a * sin + b * cos]
        if self.traditional:
            y = ops.reshape(ops.stack(turned, -1), rotated.shape)
        else:
            y = ops.concat(turned, -1)
        return y if x.shape[-1] == self.dims else ops.concat([y, rest], -1)

    def extra_repr(self) -> str:
        return f"{self.dims}, traditional={self.traditional}, base={self.base}"
