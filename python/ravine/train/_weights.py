"""Weights of examples, as they are given and as their classes give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._nesting import as_arrays, common_length

__all__ = ["example_weights"]


def example_weights(
    x: Any, y: Any, sample_weight: Any, class_weight: Any, caller: str = "fit"
) -> np.ndarray | None:
    """The weight of each example; None for all alike.

    Raises ValueError for weights that are negative, not finite, all 0, or too few; for classes without a
    weight, and class weights of targets that are no labels.
    """
    n = common_length((x, y))
    weight = None if sample_weight is None else _checked(caller, sample_weight, n)
    if class_weight is None:
        return weight
    of_class = _by_class(y, class_weight)
    return _checked(caller, of_class if weight is None else weight * of_class, n)


def _checked(caller: str, given: Any, n: int | None) -> np.ndarray:
    weight = as_arrays(given, f"{caller}: sample_weight")
    if not isinstance(weight, np.ndarray) or weight.shape != (n,) or weight.dtype.kind not in "biuf":
        seen = f"{weight.dtype} {weight.shape}" if isinstance(weight, np.ndarray) else type(weight).__name__
        raise ValueError(f"{caller}: sample_weight is {seen}, expected a number for each of {n} examples")
    if not np.isfinite(weight).all() or (weight < 0).any() or not (weight > 0).any():
        raise ValueError(f"{caller}: weights of examples must be finite, 0 or more, and not all 0")
    return weight.astype(np.float64)


def _by_class(y: Any, class_weight: Any) -> np.ndarray:
    if not isinstance(y, np.ndarray) or y.ndim != 1 or y.dtype.kind not in "iub":
        seen = f"{y.dtype} {y.shape}" if isinstance(y, np.ndarray) else type(y).__name__
        raise ValueError(f"fit: class_weight needs integer labels [n], got y {seen}")
    classes, place, counts = np.unique(y, return_inverse=True, return_counts=True)
    if class_weight == "balanced":  # n / (classes · count), as scikit-learn
        return (len(y) / (len(classes) * counts))[place.reshape(-1)]
    if not isinstance(class_weight, Mapping):
        raise ValueError(f"fit: class_weight is {class_weight!r}, expected 'balanced' or a dict")
    missing = [c for c in classes.tolist() if c not in class_weight]
    if missing:
        raise ValueError(f"fit: class_weight has no weight for the classes {missing}")
    return np.array([float(class_weight[c]) for c in classes.tolist()])[place.reshape(-1)]
