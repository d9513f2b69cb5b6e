"""Weights of examples: losses that take them, and those that classes give."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from .. import nn, ops
from .._nesting import as_arrays, common_length

__all__ = ["WeightedLoss", "example_weights", "with_weights", "without_weights"]

_TARGET, _WEIGHT = "ravine.target", "ravine.weight"
_SMALLEST = 1e-30  # a batch whose weights are all 0 has the loss 0


def with_weights(target: Any, weight: np.ndarray) -> dict[str, Any]:
    """Targets and weights as one target of a `WeightedLoss`."""
    return {_TARGET: target, _WEIGHT: weight}


def without_weights(target: Any) -> Any:
    """The targets alone of what `with_weights` made."""
    return target[_TARGET] if isinstance(target, dict) and _WEIGHT in target else target


class WeightedLoss(nn.Module):
    """A loss that also takes weights of the examples: Σ w l / Σ w, l being the mean loss of an example.

    Args:
        loss: a loss module or a function of `ravine.ops` with the argument `reduction`, whose reduction is
            the mean; another loss still takes targets without weights.

    Raises TypeError for what is no loss; ValueError for weights beside a loss that cannot be taken apart.
    """

    def __init__(self, loss: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        if not callable(loss):
            raise TypeError(f"a loss must be a module or a function, got {type(loss).__name__}")
        self.loss = loss

    def forward(self, output: Any, target: Any) -> Any:
        if not (isinstance(target, dict) and _WEIGHT in target):
            return self.loss(output, target)
        weight = target[_WEIGHT]
        each = _per_example(self.loss)(output, target[_TARGET])
        if each.shape[:1] != weight.shape:
            raise ValueError(
                f"weights of shape {tuple(weight.shape)} do not fit losses of shape {tuple(each.shape)}"
            )
        if len(each.shape) > 1:
            each = ops.mean(each, dim=tuple(range(1, len(each.shape))))
        return (weight * each).sum() / ops.clamp(weight.sum(), min=_SMALLEST)


def _per_example(loss: Any) -> Callable[[Any, Any], Any]:
    """The loss without its mean. Raises ValueError if it is not known to be one."""
    if isinstance(loss, nn.Module) and getattr(loss, "reduction", None) == "mean":
        each = copy.copy(loss)
        each.reduction = "none"
        return each
    if not isinstance(loss, nn.Module) and "reduction" in inspect.signature(loss).parameters:
        return partial(loss, reduction="none")
    name = getattr(loss, "__name__", type(loss).__name__)
    raise ValueError(
        f"weights of examples need a loss with reduction='mean' that can be taken apart, which {name} is not"
    )


def example_weights(x: Any, y: Any, sample_weight: Any, class_weight: Any) -> np.ndarray | None:
    """The weight of each example in the training; None for all alike.

    Raises ValueError for weights that are negative, not finite, all 0, or too few; for classes without a
    weight, and class weights of targets that are no labels.
    """
    n = common_length((x, y))
    weight = None if sample_weight is None else _checked(sample_weight, n)
    if class_weight is None:
        return weight
    of_class = _by_class(y, class_weight)
    return _checked(of_class if weight is None else weight * of_class, n)


def _checked(given: Any, n: int | None) -> np.ndarray:
    weight = as_arrays(given, "fit: sample_weight")
    if not isinstance(weight, np.ndarray) or weight.shape != (n,) or weight.dtype.kind not in "biuf":
        seen = f"{weight.dtype} {weight.shape}" if isinstance(weight, np.ndarray) else type(weight).__name__
        raise ValueError(f"fit: sample_weight is {seen}, expected a number for each of {n} examples")
    if not np.isfinite(weight).all() or (weight < 0).any() or not (weight > 0).any():
        raise ValueError("fit: weights of examples must be finite, 0 or more, and not all 0")
    return weight.astype(np.float32)


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
