"""Preprocessing that travels inside a model's weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ops
from .._numbers import positive
from ..record import FLOATING, as_array, as_tensor, dtype_name
from ._arguments import changed_arguments, shown
from ._module import Module


class Normalize(Module):
    """y = (x - mean) · scale, or (x - mean) @ matrix, + offset: a fitted preprocessing as a layer.

    The arrays are buffers: saved and converted with the weights, not trained. So prediction does what
    training did, wherever the model is loaded. `from_` makes the layer of a fitted transformer.

    Shapes: [N, ...] to the same; with a matrix of other than as many rows as columns to [N, columns]. `mean`,
    `scale` and `offset` are broadcast over examples from the last dimension on, as NumPy does.

    Args:
        mean: subtracted.
        scale: multiplied by; by default 1.
        matrix: [features in, features out], for the flattened example, instead of a scale.
        offset: added at the end.
        limit: of a smooth clipping y / √(1 + (y / limit)²) that follows.
        dtype: of the buffers, float32 or float64.

    Raises ValueError for arrays that do not go together, and for inputs of another shape.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.Normalize(np.array([1.0, 5.0]), np.array([2.0, 0.5]))([[2.0, 5.0]])
        array([[2., 0.]], dtype=float32)
    """

    def __init__(
        self,
        mean: Any,
        scale: Any = None,
        *,
        matrix: Any = None,
        offset: Any = None,
        limit: float | None = None,
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        name = dtype_name(dtype)
        if name not in FLOATING:
            raise TypeError(f"Normalize: dtype must be float32 or float64, got {name}")
        if scale is not None and matrix is not None:
            raise ValueError("Normalize: a scale or a matrix is expected, got both")
        if mean is None:
            raise TypeError("Normalize: mean must be an array or a number, got None")
        given = {"mean": mean, "scale": scale, "matrix": matrix, "offset": offset}
        arrays = {
            key: None if value is None else as_array(value, f"Normalize: {key}").astype(name)
            for key, value in given.items()
        }
        mean, matrix = arrays["mean"], arrays["matrix"]
        for key, array in arrays.items():
            if array is not None and not np.isfinite(array).all():
                raise ValueError(f"Normalize: {key} must be finite in {name}")
        if matrix is not None and (matrix.ndim != 2 or matrix.shape[0] != mean.size):
            raise ValueError(
                f"Normalize: a matrix [{mean.size}, features] is expected for a mean of {mean.shape}, got "
                f"shape {matrix.shape}"
            )
        for key, array in arrays.items():
            self.register_buffer(key, array)
        self.limit = None if limit is None else positive("Normalize", "limit", limit)

    @classmethod
    def from_(cls, fitted: Any, *, dtype: Any = "float32") -> Normalize:
        """The layer that does what a fitted transformer of `ravine.preprocessing` does.

        Args:
            fitted: MeanSubtraction, MeanImage, ChannelScaler, StandardScaler, MinMaxScaler (without clip),
                RobustScaler, PCA, ZCA, or a Chain of these.
            dtype: of the buffers.

        Results agree up to the rounding of the dtype; for float32 inputs near 1000 that differ by units, the
        transformer's float64 keeps three more digits.

        Raises TypeError for a transformer that is no affine map, ValueError for one that has not been fitted.

        Example:
            >>> import numpy as np
            >>> from ravine import nn, preprocessing
            >>> x = np.array([[1.0, 5.0], [3.0, 5.0]])
            >>> scaler = preprocessing.StandardScaler().fit(x)
            >>> nn.Sequential(nn.Normalize.from_(scaler), nn.Identity())(x)
            array([[-1.,  0.],
                   [ 1.,  0.]], dtype=float32)
        """
        if not callable(getattr(fitted, "affine", None)):
            kind = type(fitted).__name__
            raise TypeError(f"Normalize.from_: a transformer of ravine.preprocessing is expected, got {kind}")
        mean, scale, matrix, offset, limit = fitted.affine()
        return cls(mean, scale, matrix=matrix, offset=offset, limit=limit, dtype=dtype)

    def forward(self, input: Any) -> Any:
        x = as_tensor(input)
        if not self._fits(x.shape[1:]):
            raise ValueError(f"Normalize: inputs [N, {self._layout()}] are expected, got {x.shape}")
        y = x - self.mean
        if self.matrix is not None:
            y = ops.matmul(ops.flatten(y, 1), self.matrix)
            if self.matrix.shape[1] == self.mean.numel():
                y = ops.reshape(y, x.shape)
        elif self.scale is not None:
            y = y * self.scale
        if self.offset is not None:
            y = y + self.offset
        if self.limit is not None:
            y = y / ops.sqrt(1 + ops.square(y / self.limit))
        return y

    def _fits(self, shape: tuple[int, ...]) -> bool:
        mean = self.mean.shape
        if self.matrix is not None:
            return shape == mean
        return len(shape) >= len(mean) and all(
            m in (1, n) for m, n in zip(mean[::-1], shape[::-1], strict=False)
        )

    def _layout(self) -> str:
        return ", ".join("*" if n == 1 and self.matrix is None else str(n) for n in self.mean.shape)

    def extra_repr(self) -> str:
        return ", ".join([shown(self.mean), *changed_arguments(self, "scale", "matrix", "offset", "limit")])
