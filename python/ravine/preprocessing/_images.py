"""Statistics of images: one pair for each channel, or the mean of each pixel."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._affine import Affine
from ._base import Transformer
from ._moments import Moments, spread_or_one
from ._table import blocks, floating, numbers, read


class _ImageMoments(Transformer):
    """Moments of arrays [n, ...] of the same shape after the first dimension."""

    _state_names = ("n_samples_seen_", "mean_", "var_")

    n_samples_seen_: np.ndarray
    mean_: np.ndarray
    var_: np.ndarray

    def _read(self, X: Any, least_rank: int, layout: str) -> np.ndarray:
        array, _ = read(self._owner, X)
        if array.ndim < least_rank:
            raise ValueError(f"{self._owner}: an array {layout} is expected, got shape {array.shape}")
        return numbers(self._owner, array, None, missing=False, unit="channel")

    def _merge(self, array: np.ndarray, shape: tuple[int, ...]) -> None:
        """Learns from an array whose blocks `_rows` turns into [rows, columns]."""
        if array.size == 0:
            raise ValueError(f"{self._owner}: at least one example is expected, got shape {array.shape}")
        if self._is_fitted:
            count, mean, var = (a.reshape(-1) for a in (self.n_samples_seen_, self.mean_, self.var_))
            moments = Moments(count, mean, var * count)
        else:
            moments = Moments.none(int(np.prod(shape)))
        for rows in blocks(array):
            moments = moments.merged(Moments.of(self._rows(array[rows].astype(np.float64))))
        self.n_samples_seen_ = moments.n.reshape(shape)
        self.mean_, self.var_ = moments.mean.reshape(shape), moments.variance.reshape(shape)

    def _rows(self, block: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def _changed(self, array: np.ndarray, shift: np.ndarray, scale: Any, inverse: bool) -> np.ndarray:
        result = np.empty(array.shape, floating(array))
        for rows in blocks(array):
            block = array[rows].astype(np.float64)
            result[rows] = block * scale + shift if inverse else (block - shift) / scale
        return result


class MeanImage(_ImageMoments):
    """Images (or any arrays of one shape) less their mean over the examples, pixel by pixel.

    Shape: [n, ...] to the same. float32, float16 and uint8 give float32, other dtypes float64; all is
    computed in float64.

    Attributes:
        mean_, var_: of each pixel, of the shape of an example.

    Raises ValueError for NaN, infinities, and examples of another shape, TypeError for what are no numbers.

    Example:
        >>> import numpy as np
        >>> from ravine.preprocessing import MeanImage
        >>> MeanImage().fit(np.array([[[1.0, 2.0]], [[3.0, 8.0]]])).mean_
        array([[2., 5.]])
    """

    def __init__(self) -> None:
        pass

    def _rows(self, block: np.ndarray) -> np.ndarray:
        return block.reshape(len(block), -1)

    def _checked(self, X: Any) -> np.ndarray:
        array = self._read(X, 2, "[n, ...]")
        if self._is_fitted and array.shape[1:] != self.mean_.shape:
            raise ValueError(
                f"MeanImage: examples of shape {self.mean_.shape} were fitted, got {array.shape[1:]}"
            )
        return array

    def partial_fit(self, X: Any, y: Any = None) -> MeanImage:
        array = self._checked(X)
        self._merge(array, array.shape[1:])
        return self

    def transform(self, X: Any) -> np.ndarray:
        self._check_fitted()
        return self._changed(self._checked(X), self.mean_, 1.0, inverse=False)

    def inverse_transform(self, X: Any) -> np.ndarray:
        self._check_fitted()
        return self._changed(self._checked(X), self.mean_, 1.0, inverse=True)

    def affine(self) -> Affine:
        self._check_fitted()
        return Affine(self.mean_, np.ones_like(self.mean_))


class ChannelScaler(_ImageMoments):
    """Images with mean 0 and standard deviation 1 in each channel, over all examples and positions.

    What convolutional nets are usually fed. Channels that are constant (up to rounding) are not scaled.

    Shape: [n, channels, ...] to the same, of any height and width. float32, float16 and uint8 give float32,
    other dtypes float64; all is computed in float64.

    Attributes:
        mean_, var_, scale_: of the channels, [channels, 1, ...], as they are broadcast over an example.
        n_samples_seen_: numbers seen in each channel.

    Raises ValueError for NaN and infinities (naming the channel), another number of channels or dimensions;
    TypeError for what are no numbers.

    Example:
        >>> import numpy as np
        >>> from ravine.preprocessing import ChannelScaler
        >>> images = np.arange(8, dtype=np.uint8).reshape(1, 2, 2, 2)
        >>> ChannelScaler().fit(images).mean_.ravel()
        array([1.5, 5.5])
    """

    def __init__(self) -> None:
        pass

    @property
    def scale_(self) -> np.ndarray:
        self._check_fitted()
        return spread_or_one(self.var_, self.mean_, self.n_samples_seen_)

    def _rows(self, block: np.ndarray) -> np.ndarray:
        return np.moveaxis(block, 1, -1).reshape(-1, block.shape[1])

    def _checked(self, X: Any) -> np.ndarray:
        array = self._read(X, 2, "[n, channels, ...]")
        shape = (array.shape[1], *[1] * (array.ndim - 2))
        if self._is_fitted and shape != self.mean_.shape:
            raise ValueError(
                f"ChannelScaler: {len(self.mean_)} channels and {self.mean_.ndim - 1} more dimensions were "
                f"fitted, got shape {array.shape}"
            )
        return array

    def partial_fit(self, X: Any, y: Any = None) -> ChannelScaler:
        array = self._checked(X)
        self._merge(array, (array.shape[1], *[1] * (array.ndim - 2)))
        return self

    def transform(self, X: Any) -> np.ndarray:
        self._check_fitted()
        return self._changed(self._checked(X), self.mean_, self.scale_, inverse=False)

    def inverse_transform(self, X: Any) -> np.ndarray:
        self._check_fitted()
        return self._changed(self._checked(X), self.mean_, self.scale_, inverse=True)

    def affine(self) -> Affine:
        self._check_fitted()
        return Affine(self.mean_, 1 / self.scale_)
