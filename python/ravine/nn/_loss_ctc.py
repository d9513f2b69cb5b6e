"""Connectionist temporal classification as a module."""

from __future__ import annotations

from typing import Any

from .. import ops
from ._loss import Loss


class CTCLoss(Loss):
    """`-ln` of the probability that sequences of classes read as their targets; see `ops.ctc_loss`.

    Shapes: log-probabilities [T, N, C], targets [N, S], lengths [N] and [N], to a scalar.

    Args:
        blank: the class between labels.
        reduction: "mean" divides each loss by its number of labels first; "sum" or "none".
        zero_infinity: sequences too short for their labels lose 0 instead of infinity.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> log_probs = np.log(np.full((2, 1, 2), 0.5, "float32"))
        >>> nn.CTCLoss()(log_probs, np.array([[1]]), np.array([2]), np.array([1]))
        array(0.2876821, dtype=float32)
    """

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(reduction)
        self.blank = blank
        self.zero_infinity = zero_infinity

    def forward(self, log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any) -> Any:
        return ops.ctc_loss(
            log_probs,
            targets,
            input_lengths,
            target_lengths,
            blank=self.blank,
            reduction=self.reduction,
            zero_infinity=self.zero_infinity,
        )
