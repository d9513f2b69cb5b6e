"""Counts, means and sums of squares of columns that are learned piece by piece."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Moments(NamedTuple):
    """Of each column: how many numbers, their mean, and the sum of their squared distances from it.

    Pieces are merged by the formulas of Chan, Golub and LeVeque 1983, which do not cancel as sums of squares
    do. NaN are left out; a column without numbers has count 0 and mean 0.
    """

    n: np.ndarray
    mean: np.ndarray
    squares: np.ndarray

    @staticmethod
    def of(block: np.ndarray) -> Moments:
        """Those of a float64 block [rows, columns]; two passes, the second with its rounding taken out."""
        there = ~np.isnan(block)
        count = there.sum(axis=0)
        some = np.maximum(count, 1)
        mean = np.where(there, block, 0.0).sum(axis=0) / some
        centred = np.where(there, block - mean, 0.0)
        rest = centred.sum(axis=0)
        squares = np.maximum((centred * centred).sum(axis=0) - rest * rest / some, 0.0)
        return Moments(count, mean + rest / some, squares)

    @staticmethod
    def none(columns: int) -> Moments:
        return Moments(np.zeros(columns, np.int64), np.zeros(columns), np.zeros(columns))

    def merged(self, other: Moments) -> Moments:
        count = self.n + other.n
        share = other.n / np.maximum(count, 1)
        apart = other.mean - self.mean
        squares = self.squares + other.squares + apart * apart * self.n * share
        # Of one column without numbers so far the mean is taken as it is, not moved to by rounding steps.
        mean = np.where(self.n == 0, other.mean, self.mean + apart * share)
        return Moments(count, mean, squares)

    @property
    def variance(self) -> np.ndarray:
        return self.squares / np.maximum(self.n, 1)


def spread_or_one(variance: np.ndarray, mean: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Standard deviations; 1 for columns that are constant up to the rounding of their numbers."""
    epsilon = np.finfo(np.float64).eps
    rounding = count * epsilon * variance + (count * mean * epsilon) ** 2
    return np.where(variance <= rounding, 1.0, np.sqrt(variance))
