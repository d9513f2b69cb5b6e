"""Means as numerators and denominators: of losses with weights, and over several batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ._mean import Combination, Mean, means_in
from ._tensor import Operand, Tensor, apply
from ._thread import current

__all__ = ["denominator_of", "mean_of", "quotient", "weighted"]

# Whether a tensor depends on the examples of a batch, rather than on parameters alone.
OfBatch = Callable[[Operand], bool]


def mean_of(
    value: Tensor,
    terms: Operand,
    *,
    counts: Operand | None = None,
    size: float | None = None,
    shape: tuple[int, ...] | None = None,
) -> Tensor:
    """The scalar `value`, which from now on tells that it is Σ terms / Σ counts, or Σ terms / size.

    Outside of a recording nobody asks, and it would keep its terms alive.
    """
    if current() is not None:
        size = float(terms.numel() if size is None else size)
        value.means = Mean(terms, counts, size, terms.shape if shape is None else shape)
    return value


def _sum(x: Operand) -> Tensor:
    return apply("sum", x, axes=(), keepdims=False)


def quotient(numerators: Operand, denominators: Operand, shape: tuple[int, ...] | None = None) -> Tensor:
    """Σ numerators / Σ denominators; 0, with a gradient of 0, where the denominators' sum is."""
    total = _sum(denominators)
    nothing = apply("equal", total, 0.0)
    value = _sum(numerators) / apply("where", nothing, np.ones((), total.dtype), total)
    return mean_of(value, numerators, counts=denominators, shape=shape)


def denominator_of(value: Operand, of_batch: OfBatch) -> Tensor | float | None:
    """The denominator of the first mean over the batch in a scalar, in float64; None if there is none."""
    for mean in means_in(value):
        if of_batch(mean.terms):
            return mean.size if mean.counts is None else apply("cast", _sum(mean.counts), dtype="float64")
    return None


def weighted(value: Operand, weight: Operand, of_batch: OfBatch, what: str) -> Tensor:
    """The same scalar with means over examples weighted by w [n]: numerators and denominators times w.

    Raises ValueError for a scalar that depends on the batch by other ways than means over examples.
    """
    if not any(of_batch(mean.terms) for mean in means_in(value)):
        raise ValueError(
            f"{what} cannot be weighted by example, as it is no mean over examples; losses of ravine.nn with "
            "reduction='mean', mean() and ops.weighted_mean are, and sums of them"
        )

    def of_leaf(x: Any, means: Mean | None) -> Any:
        if not isinstance(x, Tensor) or not of_batch(x):
            return x
        if means is None:
            raise ValueError(
                f"{what} cannot be weighted by example: a part of it depends on the batch and is no mean "
                "over examples"
            )
        return _weighted_mean_of(means, weight, x.dtype, what)

    changed: dict[int, Any] = {}  # by the identity of what it stands for
    waiting: list[Any] = [value]  # no recursion: a loss may be the sum of thousands
    while waiting:
        x = waiting[-1]
        means = getattr(x, "means", None)
        parts = means.inputs if isinstance(means, Combination) else ()
        missing = [part for part in parts if id(part) not in changed]
        if missing:
            waiting.extend(missing)
            continue
        waiting.pop()
        if id(x) in changed:
            continue
        if isinstance(means, Combination):
            changed[id(x)] = apply(means.op, *[changed[id(part)] for part in parts], **means.attrs)
        else:
            changed[id(x)] = of_leaf(x, means)
    return changed[id(value)]


def _weighted_mean_of(mean: Mean, weight: Operand, dtype: str, what: str) -> Tensor:
    n = weight.shape[0]
    if mean.shape[:1] != (n,):
        raise ValueError(
            f"{what} cannot be weighted by {n} examples, as it is a mean over the shape {mean.shape}: the "
            "first dimension must be the examples"
        )
    weight = weight if weight.dtype == dtype else apply("cast", weight, dtype=dtype)
    factor = apply("reshape", weight, shape=(n,) + (1,) * (len(mean.shape) - 1))

    def by_example(x: Operand) -> Operand:
        x = x if x.dtype == dtype else apply("cast", x, dtype=dtype)
        return (x if x.shape == mean.shape else apply("reshape", x, shape=mean.shape)) * factor

    counts = weight * (mean.size / n) if mean.counts is None else by_example(mean.counts)
    return quotient(by_example(mean.terms), counts, mean.shape)
