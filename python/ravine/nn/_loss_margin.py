"""Losses of pairs, triplets, margins and likelihoods as modules; the formulas are those of `ravine.ops`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import ops
from ..record import Buffer
from ._arguments import changed_arguments
from ._loss import Loss
from ._module import Module


class CosineEmbeddingLoss(Loss):
    """`1 - cos` for pairs of target 1, `max(0, cos - margin)` for -1; see `ops.cosine_embedding_loss`.

    Shapes: [N, D], [N, D] and targets [N], to a scalar.

    Args:
        margin: a cosine that is small enough.
        reduction: "mean", "sum" or "none".

    Example:
        >>> from ravine import nn
        >>> nn.CosineEmbeddingLoss()([[1.0, 0.0]], [[0.0, 1.0]], [1])
        array(1., dtype=float32)
    """

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input1: Any, input2: Any, target: Any) -> Any:
        return ops.cosine_embedding_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)


class MarginRankingLoss(Loss):
    """`max(0, margin - t (x1 - x2))`; see `ops.margin_ranking_loss`.

    Shapes: inputs and targets of one shape, to a scalar.

    Args:
        margin: by how much the one should be above the other.
        reduction: "mean", "sum" or "none".

    Example:
        >>> from ravine import nn
        >>> nn.MarginRankingLoss()([1.0], [3.0], [1.0])
        array(2., dtype=float32)
    """

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input1: Any, input2: Any, target: Any) -> Any:
        return ops.margin_ranking_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)


class HingeEmbeddingLoss(Loss):
    """x for target 1, `max(0, margin - x)` for target -1; see `ops.hinge_embedding_loss`.

    Shapes: distances and targets of one shape, to a scalar.

    Args:
        margin: a distance that is large enough.
        reduction: "mean", "sum" or "none".

    Example:
        >>> from ravine import nn
        >>> nn.HingeEmbeddingLoss()([0.25], [-1.0])
        array(0.75, dtype=float32)
    """

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input: Any, target: Any) -> Any:
        return ops.hinge_embedding_loss(input, target, margin=self.margin, reduction=self.reduction)


class SoftMarginLoss(Loss):
    """`ln(1 + exp(-t x))` for targets 1 and -1; see `ops.soft_margin_loss`.

    Shapes: inputs and targets of one shape, to a scalar.

    Args:
        reduction: "mean", "sum" or "none".

    Example:
        >>> from ravine import nn
        >>> nn.SoftMarginLoss()([0.0], [1.0])
        array(0.6931472, dtype=float32)
    """

    def forward(self, input: Any, target: Any) -> Any:
        return ops.soft_margin_loss(input, target, reduction=self.reduction)


class MultiLabelMarginLoss(Loss):
    """`Σ max(0, 1 - x[t] + x[i]) / C` over labels t and other classes i; see `ops.multilabel_margin_loss`.

    Shapes: scores [N, C] and labels [N, C], which -1 ends, to a scalar.

    Args:
        reduction: "mean", "sum" or "none".

    Example:
        >>> from ravine import nn
        >>> nn.MultiLabelMarginLoss()([[0.1, 0.2, 0.4, 0.8]], [[3, 0, -1, 1]])
        array(0.85, dtype=float32)
    """

    def forward(self, input: Any, target: Any) -> Any:
        return ops.multilabel_margin_loss(input, target, reduction=self.reduction)


class GaussianNLLLoss(Loss):
    """`(ln v + (x - t)² / v) / 2`; see `ops.gaussian_nll_loss`.

    Shapes: means and targets of one shape, variances that fit, to a scalar.

    Args:
        full: add the constant `ln(2π) / 2`.
        eps: variances count as at least this.
        reduction: "mean", "sum" or "none".

    Example:
        >>> from ravine import nn
        >>> nn.GaussianNLLLoss()([1.0], [3.0], [1.0])
        array(2., dtype=float32)
    """

    def __init__(self, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.full = full
        self.eps = eps

    def forward(self, input: Any, target: Any, var: Any) -> Any:
        return ops.gaussian_nll_loss(
            input, target, var, full=self.full, eps=self.eps, reduction=self.reduction
        )


class PoissonNLLLoss(Loss):
    """`eˣ - t x` of counts t; see `ops.poisson_nll_loss`.

    Shapes: expected counts or their logarithms and counts of one shape, to a scalar.

    Args:
        log_input: whether the input holds logarithms.
        full: add Stirling's approximation of `ln t!`.
        eps: added to expected counts.
        reduction: "mean", "sum" or "none".

    Example:
        >>> from ravine import nn
        >>> nn.PoissonNLLLoss()([0.0], [2.0])
        array(1., dtype=float32)
    """

    def __init__(
        self, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def forward(self, input: Any, target: Any) -> Any:
        return ops.poisson_nll_loss(
            input, target, log_input=self.log_input, full=self.full, eps=self.eps, reduction=self.reduction
        )


class TripletMarginLoss(Loss):
    """`max(0, margin + d(a, p) - d(a, n))`; see `ops.triplet_margin_loss`.

    Shapes: anchors, positives and negatives [N, D], to a scalar.

    Args:
        margin: by how much nearer the positive should be.
        p: order of the distance's norm.
        eps: added to differences.
        swap: measure the negative from the positive where that is nearer.
        reduction: "mean", "sum" or "none".

    Example:
        >>> from ravine import nn
        >>> nn.TripletMarginLoss()([[0.0]], [[1.0]], [[5.0]])
        array(0., dtype=float32)
    """

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap

    def forward(self, anchor: Any, positive: Any, negative: Any) -> Any:
        return ops.triplet_margin_loss(
            anchor,
            positive,
            negative,
            margin=self.margin,
            p=self.p,
            eps=self.eps,
            swap=self.swap,
            reduction=self.reduction,
        )


class QuantileLoss(Loss):
    """The pinball loss `max(q e, (q - 1) e)`; see `ops.quantile_loss`.

    Shapes: predictions and targets of one shape, to a scalar.

    Args:
        q: a level in (0, 1), or one for each of the last dimension.
        reduction: "mean", "sum" or "none".

    Example:
        >>> from ravine import nn
        >>> nn.QuantileLoss()([0.0], [2.0])
        array(1., dtype=float32)
    """

    def __init__(self, q: Any = 0.5, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.q = q

    def forward(self, input: Any, target: Any) -> Any:
        return ops.quantile_loss(input, target, q=self.q, reduction=self.reduction)


class SigmoidFocalLoss(Loss):
    """Binary cross-entropy of logits that counts less what is right already; see `ops.sigmoid_focal_loss`.

    Shapes: logits and targets of one shape, to a scalar.

    Args:
        alpha: factor of the positive.
        gamma: how much less those count that are right.
        reduction: "mean", "sum" or "none".

    Example:
        >>> from ravine import nn
        >>> nn.SigmoidFocalLoss()([0.0], [1.0])
        array(0.0433217, dtype=float32)
    """

    def __init__(self, alpha: float = 0.25, gamma: float = 2.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.alpha = alpha
        self.gamma = gamma

    def forward(self, input: Any, target: Any) -> Any:
        return ops.sigmoid_focal_loss(
            input, target, alpha=self.alpha, gamma=self.gamma, reduction=self.reduction
        )


class CosineSimilarity(Module):
    """The cosine of the angle between vectors along a dimension; see `ops.cosine_similarity`.

    Shapes: two tensors of one shape, to that shape without the dimension.

    Args:
        dim: the dimension of the vectors.
        eps: lengths count as at least this.

    Example:
        >>> from ravine import nn
        >>> nn.CosineSimilarity()([[1.0, 0.0]], [[2.0, 0.0]])
        array([1.], dtype=float32)
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Any, x2: Any) -> Any:
        return ops.cosine_similarity(x1, x2, dim=self.dim, eps=self.eps)

    def extra_repr(self) -> str:
        return ", ".join(changed_arguments(self))


class PairwiseDistance(Module):
    """The p-norm of `x1 - x2 + eps` along the last dimension; see `ops.pairwise_distance`.

    Shapes: two tensors [N, D], to [N].

    Args:
        p: order of the norm.
        eps: added to differences.
        keepdim: keep the last dimension, with size 1.

    Example:
        >>> from ravine import nn
        >>> nn.PairwiseDistance()([[0.0, 0.0]], [[3.0, 4.0]]).round(3)
        array([5.], dtype=float32)
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.p = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Any, x2: Any) -> Any:
        return ops.pairwise_distance(x1, x2, p=self.p, eps=self.eps, keepdim=self.keepdim)

    def extra_repr(self) -> str:
        return ", ".join(changed_arguments(self))


class MultiMarginLoss(Loss):
    """`Σ max(0, margin - x[t] + x[i])ᵖ / C` over other classes i; see `ops.multi_margin_loss`.

    Shapes: scores [N, C] and class indices [N], to a scalar.

    Args:
        p: 1 or 2.
        margin: by how much the right class should be above.
        weight: one factor for each class, [C].
        reduction: "mean", "sum" or "none".

    Example:
        >>> from ravine import nn
        >>> nn.MultiMarginLoss()([[0.0, 0.5]], [1])
        array(0.25, dtype=float32)
    """

    def __init__(self, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        if p not in (1, 2):
            raise ValueError(f"MultiMarginLoss: p must be 1 or 2, got {p}")
        self.p = p
        self.margin = margin
        self.register_buffer("weight", None if weight is None else Buffer(weight))

    def forward(self, input: Any, target: Any) -> Any:
        return ops.multi_margin_loss(
            input, target, p=self.p, margin=self.margin, weight=self.weight, reduction=self.reduction
        )


class MultiLabelSoftMarginLoss(Loss):
    """Binary cross-entropy of logits, averaged over the classes; see `ops.multilabel_soft_margin_loss`.

    Shapes: logits and targets [N, C], to a scalar.

    Args:
        weight: one factor for each class, [C].
        reduction: "mean", "sum" or "none".

    Example:
        >>> from ravine import nn
        >>> nn.MultiLabelSoftMarginLoss()([[0.0, 0.0]], [[1.0, 0.0]])
        array(0.6931472, dtype=float32)
    """

    def __init__(self, weight: Any = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", None if weight is None else Buffer(weight))

    def forward(self, input: Any, target: Any) -> Any:
        return ops.multilabel_soft_margin_loss(input, target, weight=self.weight, reduction=self.reduction)


class TripletMarginWithDistanceLoss(Loss):
    """`max(0, margin + d(a, p) - d(a, n))` with a distance of your own.

    Shapes: anchors, positives and negatives [N, D], to a scalar.

    Args:
        distance_function: of two tensors; None takes `ops.pairwise_distance`.
        margin: by how much nearer the positive should be.
        swap: measure the negative from the positive where that is nearer.
        reduction: "mean", "sum" or "none".

    Example:
        >>> from ravine import nn
        >>> nn.TripletMarginWithDistanceLoss()([[0.0]], [[1.0]], [[5.0]])
        array(0., dtype=float32)
    """

    def __init__(
        self,
        *,
        distance_function: Callable[[Any, Any], Any] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        self.distance_function = distance_function
        self.margin = margin
        self.swap = swap

    def forward(self, anchor: Any, positive: Any, negative: Any) -> Any:
        return ops.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )
