"""The input scaling that travels inside a model's weights."""

from __future__ import annotations

import numpy as np

from .. import nn
from ..record import Tensor, plain_array

__all__ = ["Standardize"]


class Standardize(nn.Module):
    """y = (x − mean) × scale, per channel (axis 1), with scale = 1 / standard deviation.

    The two vectors are buffers, saved with the weights, so that whoever loads the model scales alike.

    Args:
        mean: [channels].
        std: [channels]; a channel that does not vary (0) is left unscaled.

    Shape: [n, channels, ...] to the same.

    Example:
        >>> import numpy as np, ravine as rv
        >>> x = np.array([[1.0, 5.0], [3.0, 5.0]], dtype=np.float32)
        >>> rv.models.Standardize.fit(x)(x).tolist()
        [[-1.0, 0.0], [1.0, 0.0]]
    """

    def __init__(self, mean: np.ndarray, std: np.ndarray) -> None:
        super().__init__()
        mean = plain_array(mean, "Standardize: mean").astype(np.float32)
        std = plain_array(std, "Standardize: std").astype(np.float32)
        if mean.ndim != 1 or mean.shape != std.shape:
            raise ValueError(
                f"Standardize: mean {mean.shape} and std {std.shape}, expected two vectors [channels]"
            )
        self.register_buffer("mean", mean)
        self.register_buffer("scale", 1.0 / np.where(std > 0, std, np.float32(1.0)))

    @classmethod
    def fit(cls, x: np.ndarray) -> Standardize:
        """With the statistics of x [n, channels, ...], one pair per channel."""
        x = plain_array(x, "Standardize.fit: x")
        axes = (0, *range(2, x.ndim))
        return cls(x.mean(axis=axes, dtype=np.float64), x.std(axis=axes, dtype=np.float64))

    def forward(self, x: Tensor) -> Tensor:
        shape = (1, -1) + (1,) * (x.ndim - 2)
        return (x - self.mean.reshape(shape)) * self.scale.reshape(shape)

    def extra_repr(self) -> str:
        return str(self.mean.shape[0])
