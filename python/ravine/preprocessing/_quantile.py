"""Scalers that go by quantiles, which outliers do not move."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._numbers import flag, positive, whole
from ._affine import Affine
from ._normal import normal_cdf, normal_quantile
from ._sample import SampleTransformer

_LEAST_SHARE = 1e-7  # a normal output of QuantileTransformer ends at these quantiles, ±5.2


class RobustScaler(SampleTransformer):
    """Columns less their median, divided by the distance of two quantiles; outliers clipped smoothly, if
    asked.

    For tables with outliers: these move neither the centre nor the scale of all other numbers. With
    `smooth_clip=c` the result y becomes y / √(1 + (y / c)²), which lies within ±c and leaves small numbers as
    they are.

    Shape: [rows, columns] to the same. float32, float16 and uint8 give float32, other dtypes float64; all is
    computed in float64.

    Args:
        with_centering: whether the median is subtracted.
        with_scaling: whether the distance of the quantiles is divided by.
        quantile_range: the two quantiles, in percent.
        unit_variance: divide such that normal numbers get variance 1.
        smooth_clip: the limit c, or None.
        subsample: quantiles are those of at most so many rows, drawn at random where there are more.
        random_state: seed of that sample.

    Columns whose quantiles are equal are not scaled. NaN are left out of the learning, and stay.

    Attributes:
        center_, scale_: of the columns, [columns].
        n_samples_seen_: rows seen.

    Raises ValueError for infinities, tables of another width, and columns that held NaN alone; TypeError for
    what are no numbers. The message names the column.

    Source of the smooth clipping: Holzmüller et al. 2024, https://arxiv.org/abs/2407.04491.

    Example:
        >>> from ravine.preprocessing import RobustScaler
        >>> RobustScaler().fit_transform([[1.0], [2.0], [3.0], [4.0], [1000.0]]).T
        array([[ -1. ,  -0.5,   0. ,   0.5, 498.5]])
        >>> RobustScaler(smooth_clip=3).fit_transform([[1.0], [2.0], [3.0], [4.0], [1000.0]]).round(2).T
        array([[-0.95, -0.49,  0.  ,  0.49,  3.  ]])
    """

    def __init__(
        self,
        *,
        with_centering: bool = True,
        with_scaling: bool = True,
        quantile_range: tuple[float, float] = (25.0, 75.0),
        unit_variance: bool = False,
        smooth_clip: float | None = None,
        subsample: int = 100_000,
        random_state: int = 0,
    ) -> None:
        low, high = quantile_range
        if not 0 <= low < high <= 100:
            raise ValueError(
                f"RobustScaler: quantile_range must be 0 <= low < high <= 100, got {quantile_range}"
            )
        self.quantile_range = (low, high)
        self.with_centering = flag("RobustScaler", "with_centering", with_centering)
        self.with_scaling = flag("RobustScaler", "with_scaling", with_scaling)
        self.unit_variance = flag("RobustScaler", "unit_variance", unit_variance)
        if unit_variance and not (low > 0 and high < 100):
            raise ValueError("RobustScaler: unit_variance needs a quantile_range within (0, 100)")
        self.smooth_clip = (
            None if smooth_clip is None else positive("RobustScaler", "smooth_clip", smooth_clip)
        )
        self._keep_sample_size(subsample, random_state)

    @property
    def center_(self) -> np.ndarray:
        self._check_fitted()
        return self._quantiles(np.array([0.5]))[0]

    @property
    def scale_(self) -> np.ndarray:
        self._check_fitted()
        shares = np.array(self.quantile_range) / 100
        low, high = self._quantiles(shares)
        scale = np.where(high - low < 10 * np.finfo(np.float64).eps, 1.0, high - low)
        if self.unit_variance:
            below, above = normal_quantile(np.clip(shares, 1e-10, 1 - 1e-10))
            scale = scale / (above - below)
        return scale

    def _shift_and_scale(self) -> tuple[np.ndarray, np.ndarray]:
        columns = self.n_features_in_
        center = self.center_ if self.with_centering else np.zeros(columns)
        return center, self.scale_ if self.with_scaling else np.ones(columns)

    def transform(self, X: Any) -> np.ndarray:
        array = self._to_transform(X)
        center, scale = self._shift_and_scale()
        limit = self.smooth_clip

        def change(block: np.ndarray) -> np.ndarray:
            scaled = (block - center) / scale
            return scaled if limit is None else scaled / np.sqrt(1 + (scaled / limit) ** 2)

        return self._by_blocks(array, change)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """What X was. After smooth clipping, numbers within its limit only: others raise ValueError."""
        array = self._to_transform(X)
        center, scale = self._shift_and_scale()
        limit = self.smooth_clip

        def change(block: np.ndarray) -> np.ndarray:
            if limit is not None:
                beyond = np.abs(block) >= limit
                if beyond.any():
                    i = int(np.argwhere(beyond)[0, 1])
                    raise ValueError(f"RobustScaler: {self._column(i)} reaches the limit ±{limit:g}")
                block = block / np.sqrt(1 - (block / limit) ** 2)
            return block * scale + center

        return self._by_blocks(array, change)

    def affine(self) -> Affine:
        """The transformation as an affine map, followed by the smooth clipping."""
        self._check_fitted()
        center, scale = self._shift_and_scale()
        return Affine(center, 1 / scale, limit=self.smooth_clip)


class QuantileTransformer(SampleTransformer):
    """Columns spread evenly: each number becomes the share of the numbers learned from that lie below it.

    Any distribution becomes uniform in [0, 1], or normal. For columns of wild scales and long tails, if
    only the order of their numbers means something.

    Shape: [rows, columns] to the same, dtypes as in `RobustScaler`.

    Args:
        n_quantiles: how many points the distribution is kept by; fewer for fewer rows.
        output_distribution: "uniform" or "normal" (which ends at ±5.2).
        subsample: quantiles are those of at most so many rows, drawn at random where there are more.
        random_state: seed of that sample.

    Numbers beyond those learned from become the ends. A constant column becomes 0 (-5.2 in "normal"). NaN are
    left out of the learning, and stay.

    Attributes:
        quantiles_: [n_quantiles_, columns].
        references_: the shares that they belong to, [n_quantiles_].

    Raises ValueError for infinities, tables of another width, and columns that held NaN alone; TypeError for
    what are no numbers. The message names the column.

    Example:
        >>> from ravine.preprocessing import QuantileTransformer
        >>> QuantileTransformer().fit_transform([[1.0], [10.0], [1e6], [1e9], [3.0]]).T
        array([[0.  , 0.5 , 0.75, 1.  , 0.25]])
    """

    def __init__(
        self,
        *,
        n_quantiles: int = 1000,
        output_distribution: str = "uniform",
        subsample: int = 10_000,
        random_state: int = 0,
    ) -> None:
        if output_distribution not in ("uniform", "normal"):
            raise ValueError(
                f"QuantileTransformer: output_distribution must be 'uniform' or 'normal', "
                f"got {output_distribution!r}"
            )
        self.n_quantiles = whole("QuantileTransformer", "n_quantiles", n_quantiles)
        self.output_distribution = output_distribution
        self._keep_sample_size(subsample, random_state)

    @property
    def n_quantiles_(self) -> int:
        self._check_fitted()
        return max(1, min(self.n_quantiles, len(self.sample_)))

    @property
    def references_(self) -> np.ndarray:
        return np.linspace(0, 1, self.n_quantiles_)

    @property
    def quantiles_(self) -> np.ndarray:
        # Interpolation rounds: quantiles may fall by a bit where numbers are equal.
        return np.maximum.accumulate(self._quantiles(self.references_))

    def transform(self, X: Any) -> np.ndarray:
        array = self._to_transform(X)
        quantiles, shares = self.quantiles_, self.references_

        def change(block: np.ndarray) -> np.ndarray:
            for i, points in enumerate(quantiles.T):
                # Of equal quantiles the mean of the first and the last share counts.
                x = block[:, i]
                below = np.interp(x, points, shares)
                above = -np.interp(-x, -points[::-1], -shares[::-1])
                share = 0.5 * (below + above)
                share[x >= points[-1]] = 1.0
                share[x <= points[0]] = 0.0
                block[:, i] = share
            if self.output_distribution == "normal":
                block = normal_quantile(np.clip(block, _LEAST_SHARE, 1 - _LEAST_SHARE))
            return block

        return self._by_blocks(array, change)

    def inverse_transform(self, X: Any) -> np.ndarray:
        array = self._to_transform(X)
        quantiles, shares = self.quantiles_, self.references_

        def change(block: np.ndarray) -> np.ndarray:
            if self.output_distribution == "normal":
                block = normal_cdf(block)
                least = _LEAST_SHARE * (1 + 1e-5)  # an end that was rounded to float32 is one still
                block[block <= least] = 0.0
                block[block >= 1 - least] = 1.0
            return np.stack([np.interp(block[:, i], shares, q) for i, q in enumerate(quantiles.T)], axis=1)

        return self._by_blocks(array, change)
