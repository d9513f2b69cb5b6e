"""Connectionist temporal classification: the likelihood of labels over all their alignments."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._numbers import whole
from ..record import FLOATING, Operand, Tensor, apply, as_tensor, known_numbers
from ._elementwise import where
from ._index import gather, integer_indices
from ._loss import check_reduction
from ._shape import broadcast_to, concat, narrow, reshape, unsqueeze

# The logarithm of a probability of 0, finite so that no gradient becomes NaN; below `_NEVER` it is infinite.
_ZERO, _NEVER = -1e30, -1e29


def _lengths(name: str, lengths: Any, batch: int, most: int) -> Operand:
    x = integer_indices(lengths, "ctc_loss")
    if x.numel() != batch or x.ndim > 1:
        raise ValueError(f"ctc_loss: {name} must hold {batch} lengths, got shape {x.shape}")
    numbers = known_numbers(x)
    if numbers is not None and numbers.size and not 0 <= numbers.min() <= numbers.max() <= most:
        raise ValueError(f"ctc_loss: {name} must lie in [0, {most}], got {numbers.tolist()}")
    return reshape(apply("cast", x, dtype="int64"), (batch,))


def _labels(targets: Operand, lengths: Operand, batch: int) -> Operand:
    """Targets as [N, S]: as they are, or out of one vector; S is all of it where lengths are not known."""
    if targets.ndim == 2:
        if targets.shape[0] != batch:
            raise ValueError(f"ctc_loss: targets must be [{batch}, S], got shape {targets.shape}")
        return targets
    numbers = known_numbers(lengths)
    count = targets.numel()
    if targets.ndim != 1 or (numbers is not None and count != numbers.sum()):
        expected = "as many labels as target_lengths say" if numbers is None else f"{numbers.sum()} labels"
        raise ValueError(f"ctc_loss: targets must be [N, S], or a vector of {expected}, got {targets.shape}")
    longest = count if numbers is None else int(numbers.max(initial=0))
    if not count:
        return as_tensor(np.zeros((batch, longest), "int64"))
    starts = apply("cumsum", lengths, axis=0) - lengths
    places = apply("minimum", unsqueeze(starts, 1) + np.arange(longest), count - 1)
    return apply("gather_rows", targets, places, axis=0)


def _log_sum(*terms: Any) -> Tensor:
    largest = terms[0]
    for term in terms[1:]:
        largest = apply("maximum", largest, term)
    largest = apply("stop_gradient", largest)
    total: Any = 0.0
    for term in terms:
        total = apply("exp", term - largest) + total
    return apply("log", total) + largest


def _delayed(alpha: Tensor, by: int) -> Tensor:
    """alpha[n, s - by], no probability where s < by."""
    kept = max(alpha.shape[1] - by, 0)
    return apply(
        "pad", narrow(alpha, 1, 0, kept), before=(0, alpha.shape[1] - kept), after=(0, 0), value=_ZERO
    )


def ctc_loss(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """`-ln` of the probability that a sequence of classes reads as the targets, over all alignments.

    Args:
        log_probs: logarithms of probabilities (of `log_softmax`), [T, N, C], or [T, C] for one sequence.
        targets: labels other than blank, [N, S], or all in one vector.
        input_lengths: how much of each sequence counts, [N], at most T.
        target_lengths: how many labels each has, [N].
        blank: the class between labels.
        reduction: "mean" divides each loss by its number of labels first; "sum" or "none".
        zero_infinity: sequences too short for their labels lose 0 instead of infinity, with gradients of 0.

    The recursion is recorded step by step: a program grows with T.

    Source: Graves et al. 2006, https://doi.org/10.1145/1143844.1143891.

    Example:
        >>> import numpy as np, ravine as rv
        >>> log_probs = np.log(np.full((2, 1, 2), 0.5))
        >>> rv.ops.ctc_loss(log_probs, [[1]], [2], [1])
        tensor(0.28768207, dtype=float64)
    """
    check_reduction("ctc_loss", reduction)
    x, labels = as_tensor(log_probs), integer_indices(targets, "ctc_loss")
    if x.ndim not in (2, 3) or x.dtype not in FLOATING:
        raise ValueError(f"ctc_loss: log_probs must be floating [T, N, C] or [T, C], got {x.dtype} {x.shape}")
    single = x.ndim == 2
    x = unsqueeze(x, 1) if single else x
    steps, batch, classes = x.shape
    empty = whole("ctc_loss", "blank", blank, low=0)
    if empty >= classes:
        raise ValueError(f"ctc_loss: blank must be one of {classes} classes, got {blank}")
    if single and labels.ndim == 1:
        labels = unsqueeze(labels, 0)
    sizes = _lengths("target_lengths", target_lengths, batch, labels.numel())
    labels = apply("cast", _labels(labels, sizes, batch), dtype="int64")
    ends = _lengths("input_lengths", input_lengths, batch, steps)
    # Labels with blanks around each, and where a path may leave out the blank between two different ones.
    count = labels.shape[1]
    known = np.arange(count) < unsqueeze(sizes, 1)
    labels = where(known, labels, empty)  # what stands behind a target's end may be anything
    pairs = concat([unsqueeze(labels, 2), broadcast_to(np.asarray(empty), (batch, count, 1))], 2)
    path = concat([broadcast_to(np.asarray(empty), (batch, 1)), reshape(pairs, (batch, 2 * count))], 1)
    length = 2 * count + 1
    before = apply(
        "pad", narrow(path, 1, 0, max(length - 2, 0)), before=(0, min(2, length)), after=(0, 0), value=-1.0
    )
    leaps = apply("logical_and", path != empty, path != before)
    places = broadcast_to(unsqueeze(path, 0), (steps, batch, length))
    emitted = apply("maximum", gather(x, 2, places), _ZERO)
    alpha = where(np.arange(length) < 2, np.zeros((), x.dtype), np.asarray(_ZERO, x.dtype))
    alpha = broadcast_to(alpha, (batch, length))
    for t in range(steps):
        if t:
            over = where(leaps, _delayed(alpha, 2), np.asarray(_ZERO, x.dtype))
            moved = _log_sum(alpha, _delayed(alpha, 1), over)
        else:
            moved = alpha
        moved = apply("maximum", moved + emitted[t], _ZERO)
        alpha = where(unsqueeze(ends, 1) > t, moved, alpha)
    last = unsqueeze(sizes * 2, 1)
    final = gather(alpha, 1, last)
    label = where(last > 0, gather(alpha, 1, apply("maximum", last - 1, 0)), np.asarray(_ZERO, x.dtype))
    likelihood = reshape(_log_sum(final, label), (batch,))
    never = likelihood < _NEVER
    limit = np.asarray(0.0 if zero_infinity else math.inf, x.dtype)
    losses = where(never, limit, -where(never, np.zeros((), x.dtype), likelihood))
    if reduction == "none":
        return reshape(losses, ()) if single else losses
    if reduction == "sum":
        return losses.sum()
    return (losses / apply("cast", apply("maximum", sizes, 1), dtype=x.dtype)).mean()
