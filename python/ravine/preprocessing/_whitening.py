"""Rotations to principal axes, and whitening: inputs without correlations, whose loss is no ravine."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .. import _core, nn, ops
from .._numbers import flag, number, whole
from ._affine import Affine
from ._base import NumericTransformer, Transformer
from ._table import blocks, floating, numbers, read

_ROWS = 4096  # whose products are summed by one program
_COLUMNS = 96  # of the triangle's blocks


class _Scatter(nn.Module):
    """The mean of rows, and the upper block triangle of Σ (x - mean)ᵀ (x - mean).

    The programs of a module give the same bits on any number of threads, which a BLAS does not promise.
    """

    def forward(self, x: Any) -> Any:
        mean = ops.mean(x, 0)
        centred = x - mean
        starts = range(0, x.shape[1], _COLUMNS)
        turned = [ops.transpose(centred[:, i : i + _COLUMNS], 0, 1) for i in starts]
        return mean, [ops.matmul(part, centred[:, i:]) for part, i in zip(turned, starts, strict=True)]


class Covariance(NamedTuple):
    """How many rows, their mean, and the sum of the products of their distances from it."""

    n: int
    mean: np.ndarray
    scatter: np.ndarray

    def merged(self, array: np.ndarray) -> Covariance:
        """With the rows of an array too, by the formula of Chan, Golub and LeVeque 1983 for two columns."""
        n, mean, scatter = self.n, self.mean.copy(), self.scatter.copy()
        measure = _Scatter().to("float64")
        for start in range(0, len(array), _ROWS):
            block = np.ascontiguousarray(array[start : start + _ROWS], np.float64)
            block_mean, parts = measure(block)
            for part, i in zip(parts, range(0, len(mean), _COLUMNS), strict=True):
                scatter[i : i + len(part), i:] += part
            apart = block_mean - mean
            n += len(block)
            share = len(block) / n
            scatter += np.outer(apart, apart * ((n - len(block)) * share))
            mean = block_mean if share == 1 else mean + apart * share
        return Covariance(n, mean, np.triu(scatter) + np.triu(scatter, 1).T)

    def eigen(self) -> tuple[np.ndarray, np.ndarray]:
        """The variances along the principal axes, the largest first, and the axes in rows, [axes, columns].

        Of the two directions of an axis, that whose largest coordinate is positive, as in scikit-learn.
        """
        values, vectors = _core.symmetric_eigen(self.scatter / (self.n - 1))
        values, axes = np.maximum(values[::-1], 0.0), np.ascontiguousarray(vectors.T[::-1])
        largest = np.abs(axes).argmax(axis=1)
        return values, axes * np.where(axes[np.arange(len(axes)), largest] < 0, -1.0, 1.0)[:, None]


class _Whitener(Transformer):
    """What learns a covariance."""

    _state_names = ("n_samples_seen_", "mean_", "scatter_")

    n_samples_seen_: np.ndarray
    mean_: np.ndarray
    scatter_: np.ndarray

    def _learn(self, rows: np.ndarray) -> None:
        columns = rows.shape[1]
        if self._is_fitted:
            before = Covariance(int(self.n_samples_seen_), self.mean_.reshape(-1), self.scatter_)
        else:
            before = Covariance(0, np.zeros(columns), np.zeros((columns, columns)))
        after = before.merged(rows)
        self.n_samples_seen_, self.scatter_ = np.array(after.n), after.scatter
        self.mean_ = after.mean

    def _eigen(self) -> tuple[np.ndarray, np.ndarray]:
        self._check_fitted()
        count = int(self.n_samples_seen_)
        if count < 2:
            raise ValueError(f"{self._owner}: at least 2 rows are needed to learn a variance, got {count}")
        covariance = Covariance(count, self.mean_.reshape(-1), self.scatter_)
        return self._derived(self.scatter_, "eigen", covariance.eigen)


class PCA(_Whitener, NumericTransformer):
    """Principal component analysis: the coordinates along the axes of largest variance, uncorrelated.

    y = (x - mean) @ componentsᵀ, divided by the standard deviations with `whiten`. For fewer, uncorrelated
    inputs; the eigenvectors are those of the exact covariance matrix in float64, for up to some thousand
    columns.

    Shape: [rows, columns] to [rows, components]. float32, float16 and uint8 give float32, other dtypes
    float64.

    Args:
        n_components: how many; None for min(rows, columns), a share below 1 for as many as explain more than
            this share of the variance.
        whiten: whether the coordinates get variance 1. Those without variance (up to rounding) become 0.

    Attributes:
        components_: [components, columns], explained_variance_, explained_variance_ratio_, singular_values_:
            [components], mean_: [columns], noise_variance_: mean variance along the axes left out.
        n_samples_seen_: rows seen.

    Raises ValueError for NaN and infinities (naming the column), tables of another width, fewer than 2
    rows or than components; TypeError for what are no numbers.

    Example:
        >>> import numpy as np
        >>> from ravine.preprocessing import PCA
        >>> x = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
        >>> PCA(1).fit(x).explained_variance_ratio_.round(6)
        array([1.])
        >>> PCA(1, whiten=True).fit_transform(x).T
        array([[-1.,  0.,  1.]])
    """

    _takes_missing = False

    def __init__(self, n_components: float | None = None, *, whiten: bool = False) -> None:
        if isinstance(n_components, float | np.floating) and n_components < 1:
            n_components = number("PCA", "n_components", n_components, below=1)
            if n_components == 0:
                raise ValueError("PCA: n_components must be above 0")
        elif n_components is not None:
            n_components = whole("PCA", "n_components", n_components)
        self.n_components, self.whiten = n_components, flag("PCA", "whiten", whiten)

    @property
    def n_features_in_(self) -> int:
        return len(self.mean_)

    def partial_fit(self, X: Any, y: Any = None) -> PCA:
        array, names = self._to_learn(X)
        if isinstance(self.n_components, int) and self.n_components > array.shape[1]:
            raise ValueError(f"PCA: n_components={self.n_components}, but there are {array.shape[1]} columns")
        self._learn(array)
        self._keep_names(names)
        return self

    @property
    def n_components_(self) -> int:
        values, _ = self._eigen()
        most = min(int(self.n_samples_seen_), len(values))
        if self.n_components is None:
            return most
        if isinstance(self.n_components, int):
            if self.n_components > most:
                raise ValueError(
                    f"PCA: n_components={self.n_components}, but only {self.n_samples_seen_} rows were seen"
                )
            return self.n_components
        shares = np.cumsum(values[:most] / max(values.sum(), np.finfo(np.float64).tiny))
        return min(int(np.searchsorted(shares, self.n_components, side="right")) + 1, most)

    @property
    def components_(self) -> np.ndarray:
        return self._eigen()[1][: self.n_components_]

    @property
    def explained_variance_(self) -> np.ndarray:
        return self._eigen()[0][: self.n_components_]

    @property
    def explained_variance_ratio_(self) -> np.ndarray:
        total = self._eigen()[0].sum()
        return self.explained_variance_ / (total if total > 0 else 1.0)

    @property
    def singular_values_(self) -> np.ndarray:
        return np.sqrt(self.explained_variance_ * (int(self.n_samples_seen_) - 1))

    @property
    def noise_variance_(self) -> float:
        rest = self._eigen()[0][self.n_components_ : min(int(self.n_samples_seen_), len(self.mean_))]
        return float(rest.mean()) if rest.size else 0.0

    def _stretch(self) -> np.ndarray:
        """What the coordinates are multiplied by."""
        variance = self.explained_variance_
        if not self.whiten:
            return np.ones_like(variance)
        rounding = len(self.mean_) * np.finfo(np.float64).eps * self._eigen()[0][0]
        there = variance > rounding
        return np.where(there, 1 / np.sqrt(np.where(there, variance, 1.0)), 0.0)

    def affine(self) -> Affine:
        return Affine(self.mean_, matrix=self.components_.T * self._stretch())

    def transform(self, X: Any) -> np.ndarray:
        array = self._to_transform(X)
        matrix = self.components_.T * self._stretch()
        return self._by_blocks(array, lambda block: _product(block - self.mean_, matrix), matrix.shape[1])

    def inverse_transform(self, X: Any) -> np.ndarray:
        """The points whose coordinates are X; what the axes left out held is their mean."""
        self._check_fitted()
        array, _ = self._read(X)
        stretch = self._stretch()
        if array.shape[1] != len(stretch):
            raise ValueError(f"PCA: {len(stretch)} components were fitted, got {array.shape[1]} columns")
        back = np.where(stretch > 0, 1 / np.where(stretch > 0, stretch, 1.0), 0.0)[:, None] * self.components_
        return self._by_blocks(array, lambda block: _product(block, back) + self.mean_, len(self.mean_))


class ZCA(_Whitener):
    """Whitening that stays as near to the data as can be: y = (x - mean) V diag(1 / √(λ + ε)) Vᵀ.

    λ and V are the eigenvalues and eigenvectors of the covariance matrix. The features become
    uncorrelated, with variance λ / (λ + ε), and images still look like images: the edges stay.

    Shape: [n, ...] to the same; an example is taken as one row of features, some thousand at most. float32,
    float16 and uint8 give float32, other dtypes float64; the covariance and its eigenvectors are float64.

    Args:
        epsilon: ε, added to the variances, at least 0. It keeps directions that hold rounding and noise alone
            from being blown up; take a small part of a typical variance.

    Attributes:
        mean_: of the shape of an example; n_samples_seen_: examples seen.
        whitening_, coloring_: [features, features], the matrix above and its inverse.

    Raises ValueError for NaN and infinities, examples of another shape, fewer than 2 of them, and with
    epsilon=0 for data without variance in some direction; TypeError for what are no numbers.

    Source: Bell and Sejnowski 1997; Krizhevsky 2009, appendix A.

    Example:
        >>> import numpy as np
        >>> from ravine.preprocessing import ZCA
        >>> x = np.random.default_rng(0).standard_normal((500, 2)) @ [[3.0, 1.0], [0.0, 0.1]]
        >>> bool(np.allclose(np.cov(ZCA(epsilon=0).fit_transform(x).T), np.eye(2)))
        True
    """

    def __init__(self, *, epsilon: float = 1e-5) -> None:
        self.epsilon = number("ZCA", "epsilon", epsilon)

    def _read(self, X: Any) -> np.ndarray:
        array, _ = read("ZCA", X)
        if array.ndim < 2 or 0 in array.shape[1:]:
            raise ValueError(f"ZCA: an array [n, ...] of features is expected, got shape {array.shape}")
        if self._is_fitted and array.shape[1:] != self.mean_.shape:
            raise ValueError(f"ZCA: examples of shape {self.mean_.shape} were fitted, got {array.shape[1:]}")
        return numbers("ZCA", array, None, missing=False)

    def partial_fit(self, X: Any, y: Any = None) -> ZCA:
        array = self._read(X)
        if array.size == 0:
            raise ValueError(f"ZCA: at least one example is expected, got shape {array.shape}")
        self._learn(array.reshape(len(array), -1))
        self.mean_ = self.mean_.reshape(array.shape[1:])
        return self

    def _spectral(self, power: float) -> np.ndarray:
        values, axes = self._eigen()
        if self.epsilon == 0 and values[-1] <= len(values) * np.finfo(np.float64).eps * values[0]:
            raise ValueError(
                "ZCA: the data do not vary in some direction, so epsilon must be above 0 (or the rows more)"
            )
        return self._derived(
            self.scatter_,
            (power, self.epsilon),
            lambda: _product(axes.T * (values + self.epsilon) ** power, axes),
        )

    @property
    def whitening_(self) -> np.ndarray:
        return self._spectral(-0.5)

    @property
    def coloring_(self) -> np.ndarray:
        return self._spectral(0.5)

    def affine(self) -> Affine:
        return Affine(self.mean_, matrix=self.whitening_)

    def transform(self, X: Any) -> np.ndarray:
        self._check_fitted()
        array, matrix = self._read(X), self.whitening_
        mean = self.mean_.reshape(-1)
        return self._multiplied(array, lambda rows: _product(rows - mean, matrix))

    def inverse_transform(self, X: Any) -> np.ndarray:
        self._check_fitted()
        array, matrix = self._read(X), self.coloring_
        mean = self.mean_.reshape(-1)
        return self._multiplied(array, lambda rows: _product(rows, matrix) + mean)

    def _multiplied(self, array: np.ndarray, change: Any) -> np.ndarray:
        result = np.empty(array.shape, floating(array))
        for rows in blocks(array):
            block = array[rows]
            result[rows] = change(block.reshape(len(block), -1).astype(np.float64)).reshape(block.shape)
        return result


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return ops.matmul(a, b).numpy()
