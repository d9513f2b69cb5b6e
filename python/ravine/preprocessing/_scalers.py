"""Shifts and scales of columns: their mean, standard deviation, and range."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._numbers import flag
from ._affine import Affine
from ._base import NumericTransformer
from ._moments import Moments, spread_or_one
from ._table import blocks


class ColumnMoments(NumericTransformer):
    """A transformer that learns the mean and variance of columns."""

    _state_names = ("n_samples_seen_", "mean_", "var_")

    n_samples_seen_: np.ndarray
    mean_: np.ndarray
    var_: np.ndarray

    @property
    def n_features_in_(self) -> int:
        return len(self.mean_)

    def _moments(self, columns: int) -> Moments:
        """Those learned so far."""
        if not self._is_fitted:
            return Moments.none(columns)
        return Moments(self.n_samples_seen_, self.mean_, self.var_ * self.n_samples_seen_)

    def _keep_moments(self, moments: Moments) -> None:
        self.n_samples_seen_, self.mean_, self.var_ = moments.n, moments.mean, moments.variance

    def partial_fit(self, X: Any, y: Any = None) -> Any:
        array, names = self._to_learn(X)
        moments = self._moments(array.shape[1])
        for rows in blocks(array):
            moments = moments.merged(Moments.of(array[rows].astype(np.float64)))
        self._keep_moments(moments)
        self._keep_names(names)
        return self

    def _check_seen(self) -> None:
        """Raises ValueError for a column that held NaN alone."""
        if (self.n_samples_seen_ == 0).any():
            i = int(np.argmin(self.n_samples_seen_))
            raise ValueError(f"{self._owner}: {self._column(i)} held no number to learn from, NaN alone")

    def _shift_and_scale(self) -> tuple[np.ndarray, np.ndarray]:
        """The mean that is subtracted and the number that is divided by."""
        raise NotImplementedError

    def transform(self, X: Any) -> np.ndarray:
        array = self._to_transform(X)
        self._check_seen()
        mean, scale = self._shift_and_scale()
        return self._by_blocks(array, lambda block: (block - mean) / scale)

    def inverse_transform(self, X: Any) -> np.ndarray:
        array = self._to_transform(X)
        self._check_seen()
        mean, scale = self._shift_and_scale()
        return self._by_blocks(array, lambda block: block * scale + mean)

    def affine(self) -> Affine:
        self._check_fitted()
        self._check_seen()
        mean, scale = self._shift_and_scale()
        return Affine(mean, 1 / scale)


class StandardScaler(ColumnMoments):
    """Columns of mean 0 and standard deviation 1: (x - mean) / std.

    The scale of almost any net's inputs: gradients by weights are proportional to what goes in, so unequal
    and uncentred columns make a ravine of the loss. The standard deviation is that of the population, as in
    scikit-learn.

    Shape: [rows, columns] to the same. float32, float16 and uint8 give float32, other dtypes float64; all is
    computed in float64.

    Args:
        with_mean: whether the mean is subtracted.
        with_std: whether the standard deviation is divided by.

    Constant columns (up to rounding) are not scaled. NaN are left out of the learning, and stay.

    Attributes:
        mean_, var_, scale_: of the columns, [columns]; scale_ is 1 for constant ones.
        n_samples_seen_: numbers seen in each column, [columns].

    Raises ValueError for infinities, tables of another width, and columns that held NaN alone; TypeError for
    what are no numbers. The message names the column.

    Example:
        >>> from ravine.preprocessing import StandardScaler
        >>> StandardScaler().fit_transform([[1.0, 5.0], [3.0, 5.0]])
        array([[-1.,  0.],
               [ 1.,  0.]])
    """

    def __init__(self, *, with_mean: bool = True, with_std: bool = True) -> None:
        self.with_mean = flag(self._owner, "with_mean", with_mean)
        self.with_std = flag(self._owner, "with_std", with_std)

    @property
    def scale_(self) -> np.ndarray:
        self._check_fitted()
        return spread_or_one(self.var_, self.mean_, self.n_samples_seen_)

    def _shift_and_scale(self) -> tuple[np.ndarray, np.ndarray]:
        mean = self.mean_ if self.with_mean else np.zeros_like(self.mean_)
        return mean, self.scale_ if self.with_std else np.ones_like(self.mean_)


class MeanSubtraction(ColumnMoments):
    """Columns of mean 0; their scales stay, for columns that share a unit.

    Shape, NaN, attributes and errors as in `StandardScaler`.

    Example:
        >>> from ravine.preprocessing import MeanSubtraction
        >>> MeanSubtraction().fit_transform([[1.0, 5.0], [3.0, 5.0]])
        array([[-1.,  0.],
               [ 1.,  0.]])
    """

    def __init__(self) -> None:
        pass

    def _shift_and_scale(self) -> tuple[np.ndarray, np.ndarray]:
        return self.mean_, np.ones_like(self.mean_)


class MinMaxScaler(NumericTransformer):
    """Columns scaled to a range: the least number learned becomes its low end, the largest its high end.

    For columns with natural bounds. One outlier squeezes all other numbers; see `RobustScaler`.

    Shape: [rows, columns] to the same, dtypes as in `StandardScaler`.

    Args:
        feature_range: (low, high).
        clip: whether numbers beyond those learned from are cut to the range.

    Constant columns become the low end, and what differs from them is not scaled. NaN are left out of the
    learning, and stay.

    Attributes:
        data_min_, data_max_, data_range_, scale_, min_: of the columns, [columns]; y = x · scale_ + min_.

    Raises ValueError for infinities, tables of another width, and columns that held NaN alone; TypeError for
    what are no numbers. The message names the column.

    Example:
        >>> from ravine.preprocessing import MinMaxScaler
        >>> MinMaxScaler((-1, 1)).fit_transform([[0.0], [1.0], [4.0]]).T
        array([[-1. , -0.5,  1. ]])
    """

    _state_names = ("data_min_", "data_max_")

    data_min_: np.ndarray
    data_max_: np.ndarray

    def __init__(self, feature_range: tuple[float, float] = (0, 1), *, clip: bool = False) -> None:
        if not isinstance(feature_range, tuple | list) or len(feature_range) != 2:
            raise TypeError(f"MinMaxScaler: feature_range must be (low, high), got {feature_range!r}")
        low, high = feature_range
        if not (np.isfinite(low) and np.isfinite(high) and low < high):
            raise ValueError(
                f"MinMaxScaler: feature_range must be (low, high), low < high, got {feature_range}"
            )
        self.feature_range, self.clip = (low, high), flag("MinMaxScaler", "clip", clip)

    @property
    def n_features_in_(self) -> int:
        return len(self.data_min_)

    def partial_fit(self, X: Any, y: Any = None) -> MinMaxScaler:
        array, names = self._to_learn(X)
        # NaN stand for "no number yet"; fmin and fmax pass over them.
        nothing = np.full(array.shape[1], np.nan)
        low, high = (self.data_min_, self.data_max_) if self._is_fitted else (nothing, nothing)
        self.data_min_ = np.fmin(low, np.fmin.reduce(array, axis=0))
        self.data_max_ = np.fmax(high, np.fmax.reduce(array, axis=0))
        self._keep_names(names)
        return self

    @property
    def data_range_(self) -> np.ndarray:
        self._check_fitted()
        return self.data_max_ - self.data_min_

    @property
    def scale_(self) -> np.ndarray:
        low, high = self.feature_range
        constant = self.data_range_ < 10 * np.finfo(np.float64).eps
        return (high - low) / np.where(constant, 1.0, self.data_range_)

    @property
    def min_(self) -> np.ndarray:
        return self.feature_range[0] - self.data_min_ * self.scale_

    def _check_seen(self) -> None:
        if np.isnan(self.data_min_).any():
            i = int(np.argmax(np.isnan(self.data_min_)))
            raise ValueError(f"{self._owner}: {self._column(i)} held no number to learn from, NaN alone")

    def transform(self, X: Any) -> np.ndarray:
        array = self._to_transform(X)
        self._check_seen()
        (low, high), least, scale = self.feature_range, self.data_min_, self.scale_

        def change(block: np.ndarray) -> np.ndarray:
            scaled = (block - least) * scale + low
            return np.clip(scaled, low, high) if self.clip else scaled

        return self._by_blocks(array, change)

    def inverse_transform(self, X: Any) -> np.ndarray:
        array = self._to_transform(X)
        self._check_seen()
        low, least, scale = self.feature_range[0], self.data_min_, self.scale_
        return self._by_blocks(array, lambda block: (block - low) / scale + least)

    def affine(self) -> Affine:
        self._check_fitted()
        self._check_seen()
        if self.clip:
            raise TypeError("MinMaxScaler: with clip=True it is no affine map, so it cannot become a layer")
        low = self.feature_range[0]
        return Affine(self.data_min_, self.scale_, offset=np.full_like(self.data_min_, low) if low else None)
