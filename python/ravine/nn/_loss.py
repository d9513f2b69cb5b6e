"""Losses as modules. With reduction "none" they return one loss per element or row."""

from __future__ import annotations

from typing import Any, ClassVar

from .. import ops
from ..record import Buffer
from ._arguments import changed_arguments
from ._module import Module


class Loss(Module):
    """A loss with a reduction."""

    reductions: ClassVar[tuple[str, ...]] = ("mean", "sum", "none")

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        if reduction not in self.reductions:
            raise ValueError(
                f"{type(self).__name__}: reduction must be one of {', '.join(self.reductions)}, got "
                f"{reduction!r}"
            )
        self.reduction = reduction

    def extra_repr(self) -> str:
        return ", ".join(changed_arguments(self))


def _as_buffer(weight: Any) -> Buffer | None:
    return None if weight is None else Buffer(weight)


class CrossEntropyLoss(Loss):
    """Cross-entropy of logits against class indices or probabilities; see `ops.cross_entropy`.

    Shapes: logits [N, C, ...] and class indices [N, ...] or probabilities [N, C, ...], to a scalar.

    Args:
        weight: one weight for each class, [C].
        ignore_index: a class index that counts nothing.
        reduction: "mean", "sum" or "none".
        label_smoothing: share of the target spread evenly over the classes.

    Example:
        >>> from ravine import nn
        >>> nn.CrossEntropyLoss()([[0.0, 0.0]], [1])
        array(0.6931472, dtype=float32)
    """

    def __init__(
        self,
        weight: Any = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", _as_buffer(weight))
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Any, target: Any) -> Any:
        return ops.cross_entropy(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(Loss):
    """Negative log-likelihood of log-probabilities against class indices; see `ops.nll_loss`.

    Shapes: log-probabilities [N, C, ...] and class indices [N, ...], to a scalar.

    Args:
        weight: one weight for each class, [C].
        ignore_index: a class index that counts nothing.
        reduction: "mean", "sum" or "none".

    Example:
        >>> from ravine import nn
        >>> nn.NLLLoss()([[-1.0, -2.0]], [1])
        array(2., dtype=float32)
    """

    def __init__(self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", _as_buffer(weight))
        self.ignore_index = ignore_index

    def forward(self, input: Any, target: Any) -> Any:
        return ops.nll_loss(
            input, target, weight=self.weight, ignore_index=self.ignore_index, reduction=self.reduction
        )


class BCEWithLogitsLoss(Loss):
    """Binary cross-entropy of logits; see `ops.binary_cross_entropy_with_logits`.

    Shapes: logits and targets of one shape, to a scalar.

    Args:
        weight: factor of each element's loss, broadcast to the input.
        reduction: "mean", "sum" or "none".
        pos_weight: factor of the positive part, broadcast to the input.

    Example:
        >>> from ravine import nn
        >>> nn.BCEWithLogitsLoss()([0.0], [1.0])
        array(0.6931472, dtype=float32)
    """

    def __init__(self, weight: Any = None, reduction: str = "mean", pos_weight: Any = None) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", _as_buffer(weight))
        self.register_buffer("pos_weight", _as_buffer(pos_weight))

    def forward(self, input: Any, target: Any) -> Any:
        return ops.binary_cross_entropy_with_logits(
            input, target, weight=self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


class BCELoss(Loss):
    """Binary cross-entropy of probabilities; see `ops.binary_cross_entropy`.

    Shapes: probabilities and targets of one shape, to a scalar.

    Args:
        weight: factor of each element's loss, broadcast to the input.
        reduction: "mean", "sum" or "none".

    Example:
        >>> from ravine import nn
        >>> nn.BCELoss()([0.5], [1.0])
        array(0.6931472, dtype=float32)
    """

    def __init__(self, weight: Any = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", _as_buffer(weight))

    def forward(self, input: Any, target: Any) -> Any:
        return ops.binary_cross_entropy(input, target, weight=self.weight, reduction=self.reduction)


class MSELoss(Loss):
    """Mean squared error, `(x - t)²`.

    Shapes: predictions and targets of one shape, to a scalar.

    Args:
        reduction: "mean", "sum" or "none".

    Example:
        >>> from ravine import nn
        >>> nn.MSELoss()([1.0, 2.0], [1.0, 4.0])
        array(2., dtype=float32)
    """

    def forward(self, input: Any, target: Any) -> Any:
        return ops.mse_loss(input, target, reduction=self.reduction)


class L1Loss(Loss):
    """Mean absolute error, `|x - t|`.

    Shapes: predictions and targets of one shape, to a scalar.

    Args:
        reduction: "mean", "sum" or "none".

    Example:
        >>> from ravine import nn
        >>> nn.L1Loss()([1.0, 2.0], [1.0, 4.0])
        array(1., dtype=float32)
    """

    def forward(self, input: Any, target: Any) -> Any:
        return ops.l1_loss(input, target, reduction=self.reduction)


class HuberLoss(Loss):
    """`(x - t)² / 2` for errors up to delta, `delta · (|x - t| - delta / 2)` beyond.

    Shapes: predictions and targets of one shape, to a scalar.

    Args:
        reduction: "mean", "sum" or "none".
        delta: error at which the parabola becomes a line.

    Example:
        >>> from ravine import nn
        >>> nn.HuberLoss()([0.0], [3.0])
        array(2.5, dtype=float32)
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta

    def forward(self, input: Any, target: Any) -> Any:
        return ops.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class SmoothL1Loss(Loss):
    """`(x - t)² / (2 beta)` for errors up to beta, `|x - t| - beta / 2` beyond.

    Shapes: predictions and targets of one shape, to a scalar.

    Args:
        reduction: "mean", "sum" or "none".
        beta: error at which the parabola becomes a line.

    Example:
        >>> from ravine import nn
        >>> nn.SmoothL1Loss()([0.0], [3.0])
        array(2.5, dtype=float32)
    """

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta

    def forward(self, input: Any, target: Any) -> Any:
        return ops.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class KLDivLoss(Loss):
    """Kullback-Leibler divergence of log-probabilities from a target; see `ops.kl_div`.

    Shapes: log-probabilities and probabilities of one shape, to a scalar.

    Args:
        reduction: "mean", "batchmean", "sum" or "none".
        log_target: whether the target holds logarithms.

    Example:
        >>> from ravine import nn
        >>> nn.KLDivLoss()([[-0.6931472, -0.6931472]], [[1.0, 0.0]])
        array(0.3465736, dtype=float32)
    """

    reductions: ClassVar[tuple[str, ...]] = ("mean", "batchmean", "sum", "none")

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction)
        self.log_target = log_target

    def forward(self, input: Any, target: Any) -> Any:
        return ops.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)
