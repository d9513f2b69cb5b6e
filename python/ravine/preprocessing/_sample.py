"""A random sample of rows that is the same however the data were cut into pieces."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._numbers import whole
from .._splitmix import numbers_at
from ._base import NumericTransformer


class SampleTransformer(NumericTransformer):
    """A transformer that learns from a sample of at most `subsample` rows, all of them if there are no more.

    Of all rows seen, those with the smallest keys are kept: a uniform sample without replacement that depends
    on the rows and the seed alone, not on the pieces they came in.
    """

    _state_names = ("sample_", "sample_rows_", "n_samples_seen_")

    sample_: np.ndarray  # [k, columns]
    sample_rows_: np.ndarray  # [k], their numbers
    n_samples_seen_: np.ndarray

    def _keep_sample_size(self, subsample: Any, random_state: Any) -> None:
        self.subsample = whole(self._owner, "subsample", subsample)
        self.random_state = whole(self._owner, "random_state", random_state, 0)

    @property
    def n_features_in_(self) -> int:
        return self.sample_.shape[1]

    def partial_fit(self, X: Any, y: Any = None) -> Any:
        array, names = self._to_learn(X)
        seen = int(self.n_samples_seen_) if self._is_fitted else 0
        rows, sample = self._chosen(np.arange(seen, seen + len(array)), array)
        if self._is_fitted:
            rows = np.concatenate([self.sample_rows_, rows])
            rows, sample = self._chosen(rows, np.concatenate([self.sample_, sample]))
        self.sample_, self.sample_rows_ = sample.astype(np.float64), rows
        self.n_samples_seen_ = np.array(seen + len(array))
        self._keep_names(names)
        return self

    def _chosen(self, rows: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if len(rows) <= self.subsample:
            return rows, values
        chosen = np.argpartition(numbers_at(self.random_state, rows), self.subsample - 1)[: self.subsample]
        chosen.sort()
        return rows[chosen], values[chosen]

    def _quantiles(self, shares: np.ndarray) -> np.ndarray:
        """Those of the sample's columns at shares from 0 to 1, [shares, columns]; NaN are left out."""

        def measure() -> np.ndarray:
            empty = np.isnan(self.sample_).all(axis=0)
            if empty.any():
                i = int(np.argmax(empty))
                raise ValueError(f"{self._owner}: {self._column(i)} held no number to learn from, NaN alone")
            return np.nanpercentile(self.sample_, shares * 100, axis=0)

        return self._derived(self.sample_, shares.tobytes(), measure)
