"""Losses. `reduction` is "mean", "sum" or "none" throughout."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._numbers import whole
from ..record import FLOATING, Operand, Tensor, apply, apply_all, as_tensor, mean_of, quotient
from ._elementwise import clip


def check_reduction(op: str, reduction: str, extra: tuple[str, ...] = ()) -> None:
    """Raises ValueError for a reduction that there is not."""
    allowed = ("mean", "sum", "none", *extra)
    if reduction not in allowed:
        raise ValueError(f"{op}: reduction must be one of {', '.join(allowed)}, got {reduction!r}")


def reduced(op: str, losses: Tensor, reduction: str) -> Tensor:
    """The mean or the sum of losses, or each of them."""
    check_reduction(op, reduction)
    return losses.mean() if reduction == "mean" else losses.sum() if reduction == "sum" else losses


def operands(op: str, input: Any, target: Any) -> tuple[Operand, Operand]:
    """Prediction and target of one shape; an integer target takes the prediction's dtype."""
    x, t = as_tensor(input), as_tensor(target)
    if x.shape != t.shape:
        raise ValueError(f"{op}: input and target must have the same shape, got {x.shape} and {t.shape}")
    if x.dtype not in FLOATING:
        raise TypeError(f"{op}: input must be floating, got {x.dtype}")
    return x, t if t.dtype == x.dtype else apply("cast", t, dtype=x.dtype)


def _where_it_counts(factor: Operand, logarithm: Any, dtype: str) -> Tensor:
    """`logarithm`, but 0 where it is infinite and its factor 0: the limit of their product."""
    void = apply(
        "logical_and", apply("equal", factor, 0.0), apply("equal", apply("abs", logarithm), math.inf)
    )
    return apply("where", void, np.zeros((), dtype), logarithm)


def _classes_last(x: Operand) -> Operand:
    """[N, C, d1, ...] as [N, d1, ..., C]."""
    return x if x.ndim <= 2 else x.permute(0, *range(2, x.ndim), 1)


def _class_rows(op: str, x: Operand, t: Operand, weight: Any) -> tuple[Tensor | Operand, bool]:
    """Checks logits against target; returns logits as [rows, C] and whether the target holds indices."""
    if x.ndim < 1 or x.dtype not in FLOATING:
        raise ValueError(
            f"{op}: input must be floating, of shape [N, C, ...] or [C], got {x.shape} {x.dtype}"
        )
    class_axis = 1 if x.ndim > 1 else 0
    n_classes = x.shape[class_axis]
    index_shape = x.shape[:class_axis] + x.shape[class_axis + 1 :]
    indices = t.shape == index_shape and t.dtype not in FLOATING
    if not indices and t.dtype in FLOATING and t.shape == index_shape and t.shape != x.shape:
        raise TypeError(
            f"{op}: a target of shape {t.shape} holds class indices and must be int32 or int64, got {t.dtype}"
        )
    if not indices and t.shape != x.shape:
        raise ValueError(
            f"{op}: target for input of shape {x.shape} must be class indices of shape {index_shape} or "
            f"probabilities of shape {x.shape}, got shape {t.shape}"
        )
    if not indices and t.dtype not in FLOATING:
        raise TypeError(f"{op}: class probabilities must be floating, got {t.dtype}")
    if weight is not None and as_tensor(weight).shape != (n_classes,):
        raise ValueError(f"{op}: weight must have shape ({n_classes},), got {as_tensor(weight).shape}")
    return _classes_last(x).reshape((math.prod(index_shape), n_classes)), indices


def _index_rows(op: str, t: Operand) -> Tensor:
    if t.dtype == "bool":
        raise TypeError(f"{op}: class indices must be int32, int64 or uint8, got bool")
    return (t if t.dtype in ("int32", "int64") else apply("cast", t, dtype="int64")).reshape((t.numel(),))


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy of logits, `-w[t] · ln softmax(x)[t]`, softmax and logarithm in one stable step.

    Args:
        input: logits, [N, C], [N, C, d1, ...] or [C].
        target: class indices [N, d1, ...] (int32, int64 or uint8) in [0, C), or probabilities of the
            input's shape.
        weight: one weight for each class, [C].
        ignore_index: rows with this target count nothing; for class indices alone.
        reduction: "mean" (for indices weighted by `weight`, over rows that are not ignored; 0, with gradients
            of 0, where all rows are, for which torch has NaN), "sum" or "none".
        label_smoothing: share of the target spread evenly over the classes, in [0, 1].

    Returns: a scalar, or the shape of the indices for reduction "none".

    A class whose share of the target or whose weight is 0 adds nothing, even where its logit is -infinity.

    Raises ValueError for shapes that do not fit, for an ignore_index beside probabilities and (when it runs)
    for a class out of range, TypeError for a wrong dtype of the target.

    Source of label smoothing: Szegedy et al. 2016, https://arxiv.org/abs/1512.00567.

    Example:
        >>> import ravine as rv
        >>> rv.ops.cross_entropy([[0.0, 0.0]], [1])
        tensor(0.6931472, dtype=float32)
    """
    check_reduction("cross_entropy", reduction)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"cross_entropy: label_smoothing must be in [0, 1], got {label_smoothing}")
    x, t = as_tensor(input), as_tensor(target)
    logits, indices = _class_rows("cross_entropy", x, t, weight)
    if indices:
        rows: Operand = _index_rows("cross_entropy", t)
    elif ignore_index != -100:
        raise ValueError(
            f"cross_entropy: ignore_index is for class indices, got {ignore_index} and probabilities of "
            f"shape {t.shape}; give rows that shall not count probabilities of 0"
        )
    else:
        rows = _classes_last(t if t.dtype == x.dtype else apply("cast", t, dtype=x.dtype)).reshape(
            logits.shape
        )
    given = [logits, rows] if weight is None else [logits, rows, weight]
    losses, row_weights, *_ = apply_all(
        "cross_entropy",
        given,
        label_smoothing=float(label_smoothing),
        ignore_index=whole("cross_entropy", "ignore_index", ignore_index, -(2**63)),
    )
    shape = t.shape if indices else x.shape[:1] * (x.ndim > 1) + x.shape[2:]
    if reduction == "none":
        return losses if losses.shape == shape else losses.reshape(shape)
    if reduction == "sum":
        return losses.sum()
    return quotient(losses, row_weights, shape) if indices else mean_of(losses.mean(), losses, shape=shape)


def nll_loss(
    input: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
) -> Tensor:
    """Negative log-likelihood, `-w[t] · x[t]`, for log-probabilities x.

    Args:
        input: log-probabilities, [N, C], [N, C, d1, ...] or [C].
        target: class indices [N, d1, ...].
        weight: one weight for each class, [C].
        ignore_index: rows with this target count nothing.
        reduction: "mean" (weighted by `weight`; 0 where all rows are ignored), "sum" or "none".

    Example:
        >>> import ravine as rv
        >>> rv.ops.nll_loss([[-1.0, -2.0]], [1])
        tensor(2., dtype=float32)
    """
    check_reduction("nll_loss", reduction)
    x, t = as_tensor(input), as_tensor(target)
    if t.dtype in FLOATING:
        raise TypeError(f"nll_loss: target must hold class indices, got dtype {t.dtype}")
    rows, _ = _class_rows("nll_loss", x, t, weight)
    labels = _index_rows("nll_loss", t)
    ignored = apply("equal", labels, ignore_index)
    labels = apply("where", ignored, np.zeros((), labels.dtype), labels)
    picked = apply("gather", rows, labels.unsqueeze(1), axis=1).reshape((-1,) if labels.numel() else (0,))
    one = as_tensor(np.ones((), x.dtype))
    weights = one if weight is None else apply("gather_rows", weight, labels, axis=0)
    zero = np.zeros((), x.dtype)
    row_weights = apply("where", ignored, zero, weights)
    losses = apply("where", ignored, zero, -_where_it_counts(weights, picked, x.dtype) * weights)
    if reduction == "none":
        return losses.reshape(t.shape)
    return quotient(losses, row_weights, t.shape) if reduction == "mean" else losses.sum()


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Tensor:
    """Binary cross-entropy of logits, `-w · (p · t · ln σ(x) + (1 - t) · ln(1 - σ(x)))`, without overflow.

    A logit of -infinity with the target 0, or infinity with 1, loses 0.

    Args:
        input: logits, any shape.
        target: the input's shape, in [0, 1]; integers and bools are converted.
        weight: factor of each element's loss, broadcast to the input.
        reduction: "mean", "sum" or "none".
        pos_weight: factor p of the positive part, broadcast to the input (one for each class, say).

    Example:
        >>> import ravine as rv
        >>> rv.ops.binary_cross_entropy_with_logits([0.0, 100.0], [1.0, 1.0], reduction="none")
        tensor([0.6931472, 0.       ], dtype=float32)
    """
    x, t = operands("binary_cross_entropy_with_logits", input, target)
    losses = apply("logistic_loss", x, t if pos_weight is None else t * pos_weight, 1.0 - t)
    if weight is not None:
        losses = losses * weight
    if losses.shape != x.shape:
        raise ValueError(
            f"binary_cross_entropy_with_logits: weights must broadcast to the input's shape {x.shape}"
        )
    return reduced("binary_cross_entropy_with_logits", losses, reduction)


def binary_cross_entropy(input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Tensor:
    """Binary cross-entropy of probabilities; logarithms are limited to -100, as in torch.

    The gradient is `(x - t) / (x · (1 - x))`, with the divisor 1e-12 at 0 and 1, where torch has it too.

    Prefer `binary_cross_entropy_with_logits`, which keeps its precision near 0 and 1.

    Example:
        >>> import ravine as rv
        >>> rv.ops.binary_cross_entropy([0.5], [1.0])
        tensor(0.6931472, dtype=float32)
    """
    x, t = operands("binary_cross_entropy", input, target)
    losses = apply("binary_cross_entropy", x, t)
    if weight is not None:
        losses = losses * weight
    return reduced("binary_cross_entropy", losses, reduction)


def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Tensor:
    """Squared error, `(x - t)²`. Input and target have one shape.

    Example:
        >>> import ravine as rv
        >>> rv.ops.mse_loss([1.0, 2.0], [1.0, 4.0])
        tensor(2., dtype=float32)
    """
    x, t = operands("mse_loss", input, target)
    return reduced("mse_loss", apply("square", x - t), reduction)


def l1_loss(input: Any, target: Any, reduction: str = "mean") -> Tensor:
    """Absolute error, `|x - t|`, whose gradient is 0 where the two agree. Input and target have one shape.

    Example:
        >>> import ravine as rv
        >>> rv.ops.l1_loss([1.0, 2.0], [1.0, 4.0])
        tensor(1., dtype=float32)
    """
    x, t = operands("l1_loss", input, target)
    return reduced("l1_loss", apply("abs", x - t), reduction)


def _huber(error: Tensor, delta: float) -> Tensor:
    """`e²/2` up to delta, then `delta · (e - delta/2)`: as one, c · (e - c/2) for c = min(e, delta)."""
    size = apply("abs", error)
    inner = clip(size, None, delta)
    return inner * (size - inner * 0.5)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    """`(x - t)² / 2` for errors up to delta, `delta · (|x - t| - delta / 2)` beyond.

    Source: Huber 1964, https://doi.org/10.1214/aoms/1177703732.

    Example:
        >>> import ravine as rv
        >>> rv.ops.huber_loss([0.0, 0.0], [1.0, 3.0], reduction="none")
        tensor([0.5, 2.5], dtype=float32)
    """
    if not delta > 0:
        raise ValueError(f"huber_loss: delta must be positive, got {delta}")
    x, t = operands("huber_loss", input, target)
    return reduced("huber_loss", _huber(x - t, float(delta)), reduction)


def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """`(x - t)² / (2 beta)` for errors up to beta, `|x - t| - beta / 2` beyond; beta 0 is the L1 loss.

    Example:
        >>> import ravine as rv
        >>> rv.ops.smooth_l1_loss([0.0, 0.0], [1.0, 3.0], reduction="none")
        tensor([0.5, 2.5], dtype=float32)
    """
    if not beta >= 0:
        raise ValueError(f"smooth_l1_loss: beta must not be negative, got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction)
    x, t = operands("smooth_l1_loss", input, target)
    return reduced("smooth_l1_loss", _huber(x - t, float(beta)) * (1.0 / beta), reduction)


def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """Kullback-Leibler divergence, `t · (ln t - x)` for log-probabilities x; 0 where t is 0, NaN below.

    Args:
        input: log-probabilities, any shape.
        target: probabilities of the same shape, or their logarithms with `log_target`.
        reduction: "batchmean" (the sum divided by the first dimension: the divergence itself), "mean",
            "sum", "none".
        log_target: whether the target holds logarithms.

    Example:
        >>> import ravine as rv
        >>> rv.ops.kl_div([[-0.6931472, -0.6931472]], [[1.0, 0.0]], reduction="batchmean")
        tensor(0.6931472, dtype=float32)
    """
    check_reduction("kl_div", reduction, ("batchmean",))
    x, t = operands("kl_div", input, target)
    if log_target:
        no_share = apply("equal", t, -math.inf)
        losses = apply("exp", t) * apply("where", no_share, np.zeros((), x.dtype), t - x)
    else:
        one = np.ones((), x.dtype)
        # ln 1 stands in where t is 0, so that neither the value nor the gradient meets ln 0
        entropy = t * apply("log", apply("where", apply("equal", t, 0.0), one, t))
        losses = entropy - t * _where_it_counts(t, x, x.dtype)
    if reduction == "batchmean":
        return mean_of(losses.sum() / float(x.shape[0]), losses, size=x.shape[0]) if x.ndim else losses
    return reduced("kl_div", losses, reduction)
