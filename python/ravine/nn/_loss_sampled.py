"""Losses over many classes with the weights of these classes, trained by samples."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import init, ops
from .._numbers import flag
from ..record import Parameter, dtype_name
from ._arguments import changed_arguments
from ._initial import InitialisedModule
from ._linear import check_positive


class _SampledLoss(InitialisedModule):
    """A weight and a bias for each class, and how many candidates stand for all."""

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        num_sampled: int,
        bias: bool,
        sparse: bool,
        remove_accidental_hits: bool,
        reduction: str,
        dtype: Any,
        weight_init: init.Initializer | None,
    ) -> None:
        super().__init__()
        check_positive(self, in_features=in_features, n_classes=n_classes, num_sampled=num_sampled)
        owner = type(self).__name__
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f"{owner}: reduction must be mean, sum or none, got {reduction!r}")
        self.in_features, self.n_classes, self.num_sampled = in_features, n_classes, num_sampled
        self.sparse = flag(owner, "sparse", sparse)
        self.remove_accidental_hits, self.reduction = remove_accidental_hits, reduction
        name = dtype_name(dtype)
        self.weight = Parameter(np.zeros((n_classes, in_features), name))
        self.bias = Parameter(np.zeros(n_classes, name)) if bias else None
        self._keep_initialisers(weight_init=weight_init)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        std = 1 / math.sqrt(self.in_features)
        self._initialise("weight", lambda weight: init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std))
        self._initialise("bias", init.zeros_)

    def logits(self, input: Any) -> Any:
        """The logits of all classes [N, n_classes], for evaluation and prediction."""
        return ops.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        sizes = f"{self.in_features}, {self.n_classes}, {self.num_sampled}"
        names = ("sparse", "remove_accidental_hits", "reduction")
        without = [] if self.bias is not None else ["bias=False"]
        return ", ".join([sizes, *without, *changed_arguments(self, *names)])


class SampledSoftmaxLoss(_SampledLoss):
    """Cross-entropy over many classes, trained on a log-uniform sample; see `ops.sampled_softmax_loss`.

    In training mode the loss is that of the sample, in evaluation mode of all classes. Classes must be sorted
    by how frequent they are, the first the most.

    Shapes: [N, in_features] and classes [N], to a scalar; weight [n_classes, in_features], by default normal
    of variance 1/in_features within two deviations; bias [n_classes], zeros.

    Args:
        in_features: features of an example.
        n_classes: number of classes.
        num_sampled: candidates that a step looks at, beside the true classes.
        bias: whether there is a bias.
        sparse: a step updates the rows that it looks at alone, see `Embedding`.
        remove_accidental_hits: leave candidates that are an example's own class out.
        reduction: "mean", "sum" or "none".
        dtype: of the parameters, float32 or float64.
        weight_init: a name ("he_normal"), a number or a function, see `init.get`.

    Raises TypeError for classes that are no integers, ValueError for sizes and shapes that do not fit.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> loss = nn.SampledSoftmaxLoss(3, 1000, 20, sparse=True)
        >>> loss(np.zeros((2, 3)), [7, 8]).shape, loss.logits(np.zeros((2, 3))).numpy().shape
        ((), (2, 1000))
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        num_sampled: int,
        bias: bool = True,
        sparse: bool = False,
        remove_accidental_hits: bool = True,
        reduction: str = "mean",
        *,
        dtype: Any = "float32",
        weight_init: init.Initializer | None = None,
    ) -> None:
        super().__init__(
            in_features,
            n_classes,
            num_sampled,
            bias,
            sparse,
            remove_accidental_hits,
            reduction,
            dtype,
            weight_init,
        )

    def forward(self, input: Any, target: Any) -> Any:
        if not self.training:
            return ops.cross_entropy(self.logits(input), target, reduction=self.reduction)
        return ops.sampled_softmax_loss(
            input,
            self.weight,
            target,
            self.num_sampled,
            self.bias,
            remove_accidental_hits=self.remove_accidental_hits,
            sparse=self.sparse,
            reduction=self.reduction,
        )


class NegativeSamplingLoss(_SampledLoss):
    """Tells the right class from a log-uniform sample of others; see `ops.negative_sampling_loss`.

    In evaluation mode each class counts by how often `num_sampled` independent draws are expected to give it,
    so that the loss is no random number. Classes must be sorted by how frequent they are, the first the most.

    Shapes: [N, in_features] and classes [N], to a scalar; weight [n_classes, in_features], by default normal
    of variance 1/in_features within two deviations; bias [n_classes], zeros.

    Args:
        in_features: features of an example.
        n_classes: number of classes.
        num_sampled: candidates that a step looks at, beside the true classes.
        bias: whether there is a bias.
        sparse: a step updates the rows that it looks at alone, see `Embedding`.
        remove_accidental_hits: leave candidates that are an example's own class out.
        reduction: "mean", "sum" or "none".
        subtract_log_q: noise-contrastive estimation.
        dtype: of the parameters, float32 or float64.
        weight_init: a name ("he_normal"), a number or a function, see `init.get`.

    Raises TypeError for classes that are no integers, ValueError for sizes and shapes that do not fit.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.NegativeSamplingLoss(3, 1000, 4)(np.zeros((2, 3)), [7, 8])
        array(3.465736, dtype=float32)
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        num_sampled: int,
        bias: bool = True,
        sparse: bool = False,
        remove_accidental_hits: bool = False,
        reduction: str = "mean",
        subtract_log_q: bool = False,
        *,
        dtype: Any = "float32",
        weight_init: init.Initializer | None = None,
    ) -> None:
        super().__init__(
            in_features,
            n_classes,
            num_sampled,
            bias,
            sparse,
            remove_accidental_hits,
            reduction,
            dtype,
            weight_init,
        )
        self.subtract_log_q = subtract_log_q

    def forward(self, input: Any, target: Any) -> Any:
        if not self.training:
            return self._expected(input, target)
        return ops.negative_sampling_loss(
            input,
            self.weight,
            target,
            self.num_sampled,
            self.bias,
            subtract_log_q=self.subtract_log_q,
            remove_accidental_hits=self.remove_accidental_hits,
            sparse=self.sparse,
            reduction=self.reduction,
        )

    def _expected(self, input: Any, target: Any) -> Any:
        logits, classes = self.logits(input), np.arange(self.n_classes)
        _, counts, _ = ops.log_uniform_candidates(
            classes, self.num_sampled, self.n_classes, dtype=logits.dtype
        )
        if self.subtract_log_q:
            logits = logits - ops.log(counts)
        others = counts * ops.softplus(logits)
        if self.remove_accidental_hits:
            others = ops.where(ops.one_hot(target, self.n_classes, dtype="bool"), 0.0, others)
        right = ops.gather(logits, 1, ops.unsqueeze(target, 1)).squeeze(1)
        losses = ops.softplus(-right) + others.sum(1)
        return losses if self.reduction == "none" else getattr(losses, self.reduction)()

    def extra_repr(self) -> str:
        return ", ".join([super().extra_repr(), *changed_arguments(self, "subtract_log_q")])
