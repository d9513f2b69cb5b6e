"""Losses of pairs, triplets, margins and likelihoods. `reduction` is "mean", "sum" or "none" throughout."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .._numbers import number
from ..record import FLOATING, Operand, Tensor, apply, as_tensor
from ._activation import logsigmoid
from ._elementwise import clip, pow, where
from ._index import gather, integer_indices
from ._loss import check_reduction, operands, reduced
from ._order import cumsum
from ._shape import broadcast_to, reshape, unsqueeze
from ._statistics import order_of, vector_norm


def _broadcast(op: str, *tensors: Operand) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(*(t.shape for t in tensors))
    except ValueError:
        raise ValueError(
            f"{op}: shapes {', '.join(str(t.shape) for t in tensors)} do not broadcast"
        ) from None


def _excess(x: Any) -> Tensor:
    """max(x, 0), with a gradient of 1 at 0, as torch's clamp."""
    return clip(x, 0.0, None)


def _as(x: Operand, other: Any) -> Operand:
    """The other operand in the dtype of the first, as in every loss."""
    y = as_tensor(other)
    return y if y.dtype == x.dtype else apply("cast", y, dtype=x.dtype)


def _zeros(x: Operand) -> np.ndarray:
    return np.zeros((), x.dtype)


# ---- distances


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between vectors along a dimension, `x1 · x2 / (|x1| |x2|)`; shapes broadcast.

    Args:
        x1, x2: floating.
        dim: the dimension of the vectors.
        eps: lengths count as at least this.

    Example:
        >>> import ravine as rv
        >>> rv.ops.cosine_similarity([[1.0, 0.0]], [[2.0, 0.0]])
        tensor([1.], dtype=float32)
    """
    a, b = as_tensor(x1), as_tensor(x2)
    shape = _broadcast("cosine_similarity", a, b)
    axis = _axis("cosine_similarity", dim, len(shape))
    least = number("cosine_similarity", "eps", eps)
    a, b = broadcast_to(a, shape), broadcast_to(b, shape)

    def direction(x: Operand) -> Tensor:
        return x / clip(
            vector_norm("cosine_similarity", x, 2.0, (axis,) if x.ndim else (), True), least, None
        )

    product = direction(a) * direction(b)
    return apply("sum", product, axes=(axis,), keepdims=False) if shape else product


def _axis(op: str, dim: int, rank: int) -> int:
    if not -max(rank, 1) <= dim < max(rank, 1):
        raise IndexError(f"{op}: dim {dim} is out of range for a tensor of {rank} dimensions")
    return dim % max(rank, 1)


def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """The p-norm of `x1 - x2 + eps` along the last dimension; shapes broadcast.

    Example:
        >>> import ravine as rv
        >>> rv.ops.pairwise_distance([[0.0, 0.0]], [[3.0, 4.0]], eps=0.0)
        tensor([5.], dtype=float32)
    """
    a, b = as_tensor(x1), as_tensor(x2)
    shape = _broadcast("pairwise_distance", a, b)
    gap = a - b + number("pairwise_distance", "eps", eps, -math.inf)
    return vector_norm("pairwise_distance", gap, order_of("pairwise_distance", p), (len(shape) - 1,), keepdim)


# ---- pairs


def cosine_embedding_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """`1 - cos` for pairs of target 1, `max(0, cos - margin)` for those of target -1.

    Args:
        input1, input2: [N, D], or [D].
        target: 1 or -1, [N] or a scalar.
        margin: a cosine that is small enough.
        reduction: "mean", "sum" or "none".

    Example:
        >>> import ravine as rv
        >>> rv.ops.cosine_embedding_loss([[1.0, 0.0]], [[0.0, 1.0]], [1])
        tensor(1., dtype=float32)
    """
    check_reduction("cosine_embedding_loss", reduction)
    a, b, t = as_tensor(input1), as_tensor(input2), as_tensor(target)
    if t.ndim > 1 or a.ndim != t.ndim + 1 or b.ndim != t.ndim + 1:
        raise ValueError(
            f"cosine_embedding_loss: [N, D], [N, D] and [N], or [D], [D] and a scalar are expected, got "
            f"shapes {a.shape}, {b.shape} and {t.shape}"
        )
    axis = (t.ndim,)
    least = 1e-12

    def total(x: Operand) -> Tensor:
        return apply("sum", x, axes=axis, keepdims=False)

    sizes = (total(apply("square", a)) + least) * (total(apply("square", b)) + least)
    cosine = total(a * b) / apply("sqrt", sizes)
    zero = _zeros(cosine)
    losses = where(t == 1, 1.0 - cosine, zero) + where(t == -1, _excess(cosine - margin), zero)
    return reduced("cosine_embedding_loss", losses, reduction)


def margin_ranking_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """`max(0, margin - t (x1 - x2))`: t = 1 where the first should rank higher, -1 where the second.

    Example:
        >>> import ravine as rv
        >>> rv.ops.margin_ranking_loss([1.0], [3.0], [1.0])
        tensor(2., dtype=float32)
    """
    a = as_tensor(input1)
    b, t = _as(a, input2), _as(a, target)
    if not a.ndim == b.ndim == t.ndim:
        raise ValueError(
            f"margin_ranking_loss: operands must have one rank, got shapes {a.shape}, {b.shape}, {t.shape}"
        )
    return reduced("margin_ranking_loss", _excess(margin - t * (a - b)), reduction)


def hinge_embedding_loss(input: Any, target: Any, margin: float = 1.0, reduction: str = "mean") -> Tensor:
    """x for target 1, `max(0, margin - x)` for target -1: x is a distance.

    Example:
        >>> import ravine as rv
        >>> rv.ops.hinge_embedding_loss([0.25, 0.25], [1.0, -1.0], reduction="none")
        tensor([0.25, 0.75], dtype=float32)
    """
    x, t = as_tensor(input), as_tensor(target)
    _broadcast("hinge_embedding_loss", x, t)
    losses = where(t != 1, _excess(margin - x), _zeros(x)) + where(t != -1, x, _zeros(x))
    return reduced("hinge_embedding_loss", losses, reduction)


def soft_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Tensor:
    """`ln(1 + exp(-t x))` for targets 1 and -1.

    Example:
        >>> import ravine as rv
        >>> rv.ops.soft_margin_loss([0.0], [1.0])
        tensor(0.6931472, dtype=float32)
    """
    x, t = operands("soft_margin_loss", input, target)
    return reduced("soft_margin_loss", apply("softplus", -(t * x)), reduction)


# ---- triplets


def triplet_margin_with_distance_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`max(0, margin + d(a, p) - d(a, n))` with a distance of your own; None takes `pairwise_distance`.

    Arguments as for `triplet_margin_loss`.

    Example:
        >>> import ravine as rv
        >>> d = lambda x, y: rv.ops.abs(x - y).sum(-1)
        >>> f = rv.ops.triplet_margin_with_distance_loss
        >>> float(f([[0.0]], [[1.0]], [[3.0]], distance_function=d, margin=3.0))
        1.0
    """
    op = "triplet_margin_with_distance_loss"
    check_reduction(op, reduction)
    if not margin > 0:
        raise ValueError(f"{op}: margin must be above 0, got {margin}")
    distance = pairwise_distance if distance_function is None else distance_function
    a, p, n = as_tensor(anchor), as_tensor(positive), as_tensor(negative)
    if not a.ndim == p.ndim == n.ndim:
        raise ValueError(
            f"{op}: all operands must have one rank, got shapes {a.shape}, {p.shape} and {n.shape}"
        )
    near, far = distance(a, p), distance(a, n)
    if swap:
        far = apply("minimum", far, distance(p, n))
    return reduced(op, _excess(margin + near - far), reduction)


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`max(0, margin + d(a, p) - d(a, n))`: an anchor should be nearer to the positive than to the negative.

    Args:
        anchor, positive, negative: [N, D], or [D].
        margin: by how much nearer; above 0.
        p, eps: of `pairwise_distance`.
        swap: measure the negative's distance from the positive where that is smaller.
        reduction: "mean", "sum" or "none".

    Source: Balntas et al. 2016, https://doi.org/10.5244/C.30.119.

    Example:
        >>> import ravine as rv
        >>> rv.ops.triplet_margin_loss([[0.0]], [[1.0]], [[3.0]], margin=3.0, eps=0.0)
        tensor(1., dtype=float32)
    """
    return triplet_margin_with_distance_loss(
        anchor,
        positive,
        negative,
        distance_function=lambda x, y: pairwise_distance(x, y, p, eps),
        margin=margin,
        swap=swap,
        reduction=reduction,
    )


# ---- margins of classes


def _rows(op: str, input: Any) -> tuple[Operand, bool]:
    x = as_tensor(input)
    if x.ndim > 2 or x.dtype not in FLOATING:
        raise ValueError(f"{op}: input must be floating, of shape [N, C] or [C], got {x.shape} {x.dtype}")
    return (x, True) if x.ndim == 2 else (reshape(x, (1, x.numel())), False)


def multi_margin_loss(
    input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean"
) -> Tensor:
    """`Σ max(0, margin - x[t] + x[i])ᵖ / C` over the classes i other than t.

    Args:
        input: scores, [N, C] or [C].
        target: class indices, [N] or a scalar.
        p: 1 or 2.
        margin: by how much the right class should be above.
        weight: one factor for each class, [C].
        reduction: "mean", "sum" or "none".

    Example:
        >>> import ravine as rv
        >>> rv.ops.multi_margin_loss([[0.0, 0.5]], [1])
        tensor(0.25, dtype=float32)
    """
    op = "multi_margin_loss"
    if p not in (1, 2):
        raise ValueError(f"{op}: p must be 1 or 2, got {p}")
    x, _ = _rows(op, input)
    labels = integer_indices(target, op)
    if labels.numel() != x.shape[0]:
        raise ValueError(f"{op}: target must hold {x.shape[0]} class indices, got shape {labels.shape}")
    t = reshape(labels, (x.shape[0], 1))
    gaps = _excess(margin - gather(x, 1, t) + x)
    gaps = gaps if p == 1 else apply("square", gaps)
    if weight is not None:
        w = as_tensor(weight)
        if w.shape != (x.shape[1],):
            raise ValueError(f"{op}: weight must have shape ({x.shape[1]},), got {w.shape}")
        gaps = gaps * apply("gather_rows", w, t, axis=0)
    others = t != np.arange(x.shape[1])
    losses = apply("sum", where(others, gaps, _zeros(x)), axes=(1,), keepdims=False) / float(x.shape[1])
    return reduced(op, reshape(losses, labels.shape), reduction)


def multilabel_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Tensor:
    """`Σ max(0, 1 - x[t] + x[i]) / C` over the labels t of a row and the classes i that are none.

    Args:
        input: scores, [N, C] or [C].
        target: the labels of each row in front, then -1; the input's shape.
        reduction: "mean", "sum" or "none".

    Example:
        >>> import ravine as rv
        >>> rv.ops.multilabel_margin_loss([[0.1, 0.2, 0.4, 0.8]], [[3, 0, -1, 1]])
        tensor(0.85, dtype=float32)
    """
    op = "multilabel_margin_loss"
    x, batched = _rows(op, input)
    labels = integer_indices(target, op)
    if labels.shape != as_tensor(input).shape:
        raise ValueError(
            f"{op}: target must have the input's shape {as_tensor(input).shape}, got {labels.shape}"
        )
    t = reshape(labels, x.shape)
    if not x.numel():
        return reduced(op, apply("sum", x, axes=(1,), keepdims=False), reduction)
    valid = cumsum(t < 0, 1) == 0
    places = where(valid, t, np.zeros((), t.dtype))
    hits = apply("scatter_add", apply("cast", valid, dtype=x.dtype), places, axis=1, extent=x.shape[1])
    gaps = _excess(1.0 - unsqueeze(gather(x, 1, places), 2) + unsqueeze(x, 1))
    counted = apply("logical_and", unsqueeze(valid, 2), unsqueeze(hits == 0, 1))
    losses = apply("sum", where(counted, gaps, _zeros(x)), axes=(1, 2), keepdims=False) / float(x.shape[1])
    return reduced(op, losses if batched else reshape(losses, ()), reduction)


def multilabel_soft_margin_loss(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean"
) -> Tensor:
    """Binary cross-entropy of logits, averaged over the classes: `-mean(t ln σ(x) + (1 - t) ln σ(-x))`.

    Args:
        input: logits, [..., C].
        target: 0 or 1, the input's shape.
        weight: one factor for each class, [C].
        reduction: "mean", "sum" or "none".

    Example:
        >>> import ravine as rv
        >>> rv.ops.multilabel_soft_margin_loss([[0.0, 0.0]], [[1.0, 0.0]])
        tensor(0.6931472, dtype=float32)
    """
    x, t = operands("multilabel_soft_margin_loss", input, target)
    losses = -(t * logsigmoid(x) + (1.0 - t) * logsigmoid(-x))
    if weight is not None:
        losses = losses * weight
    return reduced("multilabel_soft_margin_loss", losses.mean(-1) if losses.ndim else losses, reduction)


# ---- likelihoods


def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """Negative log-likelihood of a normal distribution, `(ln v + (x - t)² / v) / 2`.

    Args:
        input: means, any shape.
        target: the input's shape, or one that broadcasts.
        var: variances, not negative: a number, a shape that broadcasts to the input's, or that without its
            last dimension.
        full: add the constant `ln(2π) / 2`.
        eps: variances count as at least this; the gradient passes as if they were not limited.
        reduction: "mean", "sum" or "none".

    Source: Nix and Weigend 1994, https://doi.org/10.1109/ICNN.1994.374138.

    Example:
        >>> import ravine as rv
        >>> rv.ops.gaussian_nll_loss([1.0], [3.0], [1.0])
        tensor(2., dtype=float32)
    """
    op = "gaussian_nll_loss"
    check_reduction(op, reduction)
    x = as_tensor(input)
    t, v = _as(x, target), _as(x, var)
    if isinstance(var, int | float) and var < 0:
        raise ValueError(f"{op}: var must not be negative, got {var}")
    if v.ndim and v.shape != x.shape:
        if v.shape == x.shape[:-1]:
            v = unsqueeze(v, -1)
        elif _broadcast(op, x, v) != x.shape:
            raise ValueError(f"{op}: var of shape {v.shape} does not fit the input's shape {x.shape}")
    if not eps > 0:
        raise ValueError(f"{op}: eps must be above 0, got {eps}")
    _broadcast(op, x, t)
    fixed = apply("stop_gradient", v)
    v = apply("stop_gradient", clip(fixed, float(eps), None)) + (v - fixed)
    losses = (apply("log", v) + apply("square", x - t) / v) * 0.5
    return reduced(op, losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction)


def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood of counts, `eˣ - t x`; without `log_input` `x - t ln(x + eps)`.

    Args:
        input: expected counts or their logarithms, any shape.
        target: counts.
        log_input: whether the input holds logarithms.
        full: add Stirling's approximation of `ln t!` for counts above 1.
        eps: added to expected counts.
        reduction: "mean", "sum" or "none".

    Example:
        >>> import ravine as rv
        >>> rv.ops.poisson_nll_loss([0.0], [2.0])
        tensor(1., dtype=float32)
    """
    op = "poisson_nll_loss"
    check_reduction(op, reduction)
    x = as_tensor(input)
    t = _as(x, target)
    _broadcast(op, x, t)
    losses = apply("exp", x) - t * x if log_input else x - t * apply("log", x + float(eps))
    if full:
        many = t > 1
        count = where(many, t, np.ones((), t.dtype))
        stirling = count * apply("log", count) - count + 0.5 * apply("log", count * (2 * math.pi))
        losses = losses + where(many, stirling, np.zeros((), stirling.dtype))
    return reduced(op, losses, reduction)


def quantile_loss(input: Any, target: Any, q: Any = 0.5, reduction: str = "mean") -> Tensor:
    """The pinball loss `max(q e, (q - 1) e)` of e = target - input, whose minimum is the q-quantile.

    Args:
        input: predictions, any shape; for several levels the last dimension holds one for each.
        target: the input's shape, or one that broadcasts.
        q: a level in (0, 1), or several, which broadcast against the last dimension.
        reduction: "mean", "sum" or "none".

    Source: Koenker and Bassett 1978, https://doi.org/10.2307/1913643.

    Example:
        >>> import ravine as rv
        >>> rv.ops.quantile_loss([0.0, 0.0], [1.0, -1.0], q=0.75, reduction="none")
        tensor([0.75, 0.25], dtype=float32)
    """
    x = as_tensor(input)
    t = _as(x, target)
    levels = np.asarray(q, x.dtype)
    if not ((levels > 0) & (levels < 1)).all():
        raise ValueError(f"quantile_loss: q must lie in (0, 1), got {q!r}")
    _broadcast("quantile_loss", x, t, as_tensor(levels))
    error = t - x
    return reduced("quantile_loss", apply("maximum", error * levels, error * (levels - 1)), reduction)


def sigmoid_focal_loss(
    input: Any, target: Any, alpha: float = 0.25, gamma: float = 2.0, reduction: str = "none"
) -> Tensor:
    """Binary cross-entropy of logits, times `(1 - p)ᵞ` for the probability p of the right answer.

    Args:
        input: logits, any shape.
        target: 0 or 1, the input's shape.
        alpha: factor of the positive, 1 - alpha that of the negative; a negative number weighs nothing.
        gamma: how much less those count that are right already.
        reduction: "none", "mean" or "sum".

    Source: Lin et al. 2017, https://arxiv.org/abs/1708.02002.

    Example:
        >>> import ravine as rv
        >>> rv.ops.sigmoid_focal_loss([0.0], [1.0])
        tensor([0.0433217], dtype=float32)
    """
    x, t = operands("sigmoid_focal_loss", input, target)
    exponent = number("sigmoid_focal_loss", "gamma", gamma)
    losses = apply("logistic_loss", x, t, 1.0 - t)
    sure = apply("sigmoid", x)
    missing = t + sure - sure * t * 2.0  # 1 - p, as t is 0 or 1
    losses = losses * pow(missing, exponent) if exponent else losses
    if alpha >= 0:
        losses = losses * (t * alpha + (1.0 - t) * (1 - alpha))
    return reduced("sigmoid_focal_loss", losses, reduction)
