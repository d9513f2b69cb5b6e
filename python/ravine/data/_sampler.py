"""Orders of examples within an epoch: each a function of the seed alone, the same on every machine."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core
from .._splitmix import number_at, numbers_at

__all__ = ["WEIGHTS_ALONE", "Sampler", "make_sampler"]

# What is said of weights for a sampler that uses none.
WEIGHTS_ALONE = "Batches: weights go with sampler='weighted'; give weights of the loss as the third array"
_OFFSETS = 0x9E3779B97F4A7C15  # makes of a seed that of the numbers by which classes are moved


def _uniform(n: int, seed: int) -> np.ndarray:
    """n numbers in [0, 1), float64."""
    return (numbers_at(seed, np.arange(n)) >> np.uint64(11)).astype(np.float64) * 2.0**-53


class Sampler:
    """The examples of an epoch, in order, as a function of a seed."""

    def order(self, seed: int) -> np.ndarray:
        raise NotImplementedError


class _Weighted(Sampler):
    """As many draws as examples, with replacement, each with a probability in proportion to its weight."""

    def __init__(self, weights: np.ndarray) -> None:
        self._cumulative = np.cumsum(weights, dtype=np.float64)

    def order(self, seed: int) -> np.ndarray:
        total, n = self._cumulative[-1], len(self._cumulative)
        drawn = np.searchsorted(self._cumulative, _uniform(n, seed) * total, side="right")
        # A product that rounds up to the total leads to the last example that has a weight.
        return np.minimum(drawn, np.searchsorted(self._cumulative, total))


def _spread(label: np.ndarray, classes: int, order: np.ndarray, seed: int) -> np.ndarray:
    """Puts examples (`order`, and the class of each) so that each class is spread evenly over the epoch."""
    counts = np.bincount(label, minlength=classes)
    by_class = np.argsort(label, kind="stable")
    rank = np.empty(len(label), np.int64)
    rank[by_class] = np.arange(len(label)) - np.repeat(np.cumsum(counts) - counts, counts)
    place = (rank + _uniform(classes, seed ^ _OFFSETS)[label]) / counts[label]
    return order[np.argsort(place, kind="stable")]


class _Stratified(Sampler):
    """Every example once, in batches whose classes have the shares that they have in all examples."""

    def __init__(self, label: np.ndarray) -> None:
        self._label, self._classes = label, int(label.max()) + 1

    def order(self, seed: int) -> np.ndarray:
        order = _core.permutation(len(self._label), seed)
        return _spread(self._label[order], self._classes, order, seed)


class _Balanced(Sampler):
    """As many examples as there are, in batches with as many of each class: rare ones return, others wait."""

    def __init__(self, label: np.ndarray) -> None:
        self._members = [np.flatnonzero(label == c) for c in range(int(label.max()) + 1)]
        self._n = len(label)

    def order(self, seed: int) -> np.ndarray:
        classes = len(self._members)
        quota = np.full(classes, self._n // classes)
        quota[_core.permutation(classes, seed)[: self._n % classes]] += 1
        drawn = [
            self._draw(members, int(n), number_at(seed, c))
            for c, (members, n) in enumerate(zip(self._members, quota, strict=True))
        ]
        label = np.repeat(np.arange(classes), quota)
        return _spread(label, classes, np.concatenate(drawn), seed)

    @staticmethod
    def _draw(members: np.ndarray, n: int, seed: int) -> np.ndarray:
        """n of the members in random order; none returns before all were drawn."""
        rounds = -(-n // len(members))
        orders = [_core.permutation(len(members), number_at(seed, i)) for i in range(rounds)]
        return members[np.concatenate(orders)[:n]] if rounds else members[:0]


def make_sampler(kind: str, n: int, target: Any, weights: Any) -> Sampler:
    """Raises ValueError for an unknown kind, and for labels or weights that do not serve it."""
    if kind not in ("weighted", "balanced", "stratified"):
        raise ValueError(
            f"Batches: sampler must be 'weighted', 'balanced', 'stratified' or None, got {kind!r}"
        )
    if kind == "weighted":
        return _Weighted(_checked_weights(weights, n))
    if weights is not None:
        raise ValueError(WEIGHTS_ALONE)
    if not isinstance(target, np.ndarray) or target.ndim != 1 or target.dtype.kind not in "iub":
        seen = f"{target.dtype} {target.shape}" if isinstance(target, np.ndarray) else type(target).__name__
        raise ValueError(f"Batches: sampler={kind!r} needs integer labels [n] as second array, got {seen}")
    label = np.unique(target, return_inverse=True)[1].reshape(-1)
    return _Balanced(label) if kind == "balanced" else _Stratified(label)


def _checked_weights(weights: Any, n: int) -> np.ndarray:
    if weights is None:
        raise ValueError("Batches: sampler='weighted' needs weights, a number of 0 or more for each example")
    weights = np.asarray(weights, np.float64)
    usable = weights.shape == (n,) and np.isfinite(weights).all() and (weights >= 0).all()
    if not usable or not weights.sum() > 0:
        raise ValueError(
            f"Batches: weights of shape {weights.shape} with a sum of {weights.sum():g}, expected finite "
            f"numbers of 0 or more, not all 0, of shape ({n},)"
        )
    return weights
