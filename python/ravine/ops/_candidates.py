"""Losses over many classes that look at the right ones and at a sample of the others."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._numbers import whole
from ..record import FLOATING, Operand, Tensor, apply, as_tensor, dtype_name
from ._elementwise import clip, exp, floor, log, log1p
from ._index import integer_indices, read_rows
from ._linalg import matmul
from ._loss import check_reduction, reduced
from ._random import rand
from ._reduce import amax, logsumexp, mean, sum
from ._shape import concat, reshape, unsqueeze

Candidates = tuple[Any, Any, Any]


def log_uniform_candidates(
    true_classes: Any, num_sampled: int, num_classes: int, dtype: Any = "float32"
) -> tuple[Tensor, Tensor, Tensor]:
    """A sample of the classes, for classes that are sorted by how frequent they are, the first the most.

    Each is drawn by itself, class c with probability `ln((c + 2) / (c + 1)) / ln(num_classes + 1)`, about
    that of words in a text (Zipf's law). The numbers are those of the program's random stream: other ones in
    every run, the same for a seed.

    Args:
        true_classes: integers of any shape, whose expected counts are wanted.
        num_sampled: how many classes to draw; some may come twice.
        num_classes: of how many; classes are [0, num_classes).
        dtype: of the expected counts.

    Returns: the classes [num_sampled], int64; and how often a sample is expected to hold each of the true
    classes, in their shape, and each of the sampled ones. They are those of TensorFlow's
    `tf.random.log_uniform_candidate_sampler` with `unique=False`.

    Raises TypeError for classes that are no integers, ValueError for no classes.

    Example:
        >>> import ravine as rv
        >>> sampled, of_true, of_sampled = rv.ops.log_uniform_candidates([0, 9], 3, 10)
        >>> sampled.shape, of_true
        ((3,), tensor([0.8671945, 0.1192423], dtype=float32))
    """
    op = "log_uniform_candidates"
    labels = integer_indices(true_classes, op)
    count, classes = whole(op, "num_sampled", num_sampled), whole(op, "num_classes", num_classes)
    log_classes = math.log1p(classes)
    # The inverse of the distribution function ln(c + 1) / ln(classes + 1), in double: neighbours are near.
    place = exp(rand(count, dtype="float64") * log_classes)
    sampled = apply("cast", clip(floor(place) - 1.0, 0.0, classes - 1.0), dtype="int64")

    def expected(of: Operand) -> Tensor:
        share = log1p(1.0 / (apply("cast", of, dtype="float64") + 1.0)) * (count / log_classes)
        return apply("cast", share, dtype=dtype_name(dtype))

    return sampled, expected(labels), expected(sampled)


def _logits(
    op: str,
    x: Operand,
    weight: Any,
    target: Any,
    num_sampled: int,
    bias: Any,
    candidates: Candidates | None,
    subtract_log_q: bool,
    remove_accidental_hits: bool,
    sparse: bool,
) -> tuple[Tensor, Tensor]:
    """Of the true classes [N, T] and of the candidates [N, num_sampled]."""
    table, labels = as_tensor(weight), integer_indices(target, op)
    if x.dtype not in FLOATING:
        raise TypeError(f"{op}: input must be floating, got {x.dtype}")
    if x.ndim != 2 or table.ndim != 2 or table.shape[1] != x.shape[1]:
        raise ValueError(
            f"{op}: input must be [N, features] and weight [classes, features], got shapes {x.shape} and "
            f"{table.shape}"
        )
    if labels.ndim not in (1, 2) or labels.shape[0] != x.shape[0] or 0 in labels.shape[1:]:
        raise ValueError(
            f"{op}: target must be [N] or [N, T] for an input of shape {x.shape}, got {labels.shape}"
        )
    n, n_true, classes = x.shape[0], math.prod(labels.shape[1:]), table.shape[0]
    labels = reshape(apply("cast", labels, dtype="int64"), (n, n_true))
    if candidates is None:
        candidates = log_uniform_candidates(labels, num_sampled, classes, dtype=x.dtype)
    sampled, of_true, of_sampled = candidates
    sampled = apply("cast", integer_indices(sampled, op), dtype="int64")
    if sampled.shape != (num_sampled,):
        raise ValueError(f"{op}: candidates must have shape {(num_sampled,)}, got {sampled.shape}")

    # One look into the table, and one gradient.
    read = concat([reshape(labels, (n * n_true,)), sampled], 0)
    rows = read_rows(table, read, sparse=sparse)
    of_labels = reshape(rows[: n * n_true], (n, n_true, x.shape[1]))
    true_logits = sum(unsqueeze(x, 1) * of_labels, -1)
    sampled_logits = matmul(x, rows[n * n_true :].transpose(0, 1))
    if bias is not None:
        offsets = as_tensor(bias)
        if offsets.shape != (classes,):
            raise ValueError(f"{op}: bias must have shape {(classes,)}, got {offsets.shape}")
        added = read_rows(offsets, read, sparse=sparse)
        true_logits = true_logits + reshape(added[: n * n_true], (n, n_true))
        sampled_logits = sampled_logits + added[n * n_true :]
    if subtract_log_q:
        of_true, of_sampled = (apply("cast", counts, dtype=x.dtype) for counts in (of_true, of_sampled))
        true_logits = true_logits - log(reshape(of_true, (n, n_true)))
        sampled_logits = sampled_logits - log(of_sampled)
    if remove_accidental_hits:
        hits = apply("equal", unsqueeze(labels, -1), sampled)
        hit = (
            reshape(hits, (n, num_sampled))
            if n_true == 1
            else amax(apply("cast", hits, dtype="int32"), 1) > 0
        )
        sampled_logits = apply("where", hit, np.asarray(-math.inf, x.dtype), sampled_logits)
    return true_logits, sampled_logits


def sampled_softmax_loss(
    input: Any,
    weight: Any,
    target: Any,
    num_sampled: int,
    bias: Any = None,
    *,
    candidates: Candidates | None = None,
    remove_accidental_hits: bool = True,
    sparse: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy of softmax over the right class and a sample of the others, for training alone.

    The logits `x · wᵀ + b` are those of the true classes and of `num_sampled` candidates, which all examples
    share, less the logarithm of how often a sample is expected to hold each; so a step looks at
    `N + num_sampled` rows of the weights, however many there are. For evaluation use all classes.

    Args:
        input: [N, features].
        weight: [classes, features].
        target: the true classes, [N], or [N, T] of which each counts 1/T.
        num_sampled: number of candidates.
        bias: [classes].
        candidates: what `log_uniform_candidates` returns, which are drawn by default: classes, and the
            expected counts of the true classes (in the shape of `target`) and of the candidates.
        remove_accidental_hits: leave candidates that are true classes out of an example's softmax.
        sparse: a training step updates the rows that it reads alone, see `nn.Embedding`.
        reduction: "mean", "sum" or "none".

    Raises TypeError for classes that are no integers, ValueError for shapes that do not fit.

    Source: Jean et al. 2015, https://arxiv.org/abs/1412.2007; the function is TensorFlow's
    `tf.nn.sampled_softmax_loss`.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.sampled_softmax_loss(np.zeros((2, 3)), np.zeros((100, 3)), [5, 7], 10).shape
        ()
    """
    op = "sampled_softmax_loss"
    check_reduction(op, reduction)
    num_sampled = whole(op, "num_sampled", num_sampled)
    of_true, of_sampled = _logits(
        op,
        as_tensor(input),
        weight,
        target,
        num_sampled,
        bias,
        candidates,
        True,
        remove_accidental_hits,
        sparse,
    )
    losses = logsumexp(concat([of_true, of_sampled], 1), 1) - mean(of_true, 1)
    return reduced(op, losses, reduction)


def negative_sampling_loss(
    input: Any,
    weight: Any,
    target: Any,
    num_sampled: int,
    bias: Any = None,
    *,
    candidates: Candidates | None = None,
    subtract_log_q: bool = False,
    remove_accidental_hits: bool = False,
    sparse: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """Logistic losses that tell the right class from a sample of others, `-ln σ(xᵀw⁺) - Σ ln σ(-xᵀw⁻)`.

    With `subtract_log_q` it is noise-contrastive estimation (TensorFlow's `tf.nn.nce_loss`), whose logits
    tend to logarithms of probabilities; without, the loss of word2vec, of which vectors are wanted and no
    probabilities.

    Args:
        input: [N, features].
        weight: [classes, features].
        target: the true classes, [N], or [N, T] of which each counts 1/T.
        num_sampled: number of candidates, which all examples share.
        bias: [classes].
        candidates: as for `sampled_softmax_loss`.
        subtract_log_q: take the logarithms of the expected counts off the logits.
        remove_accidental_hits: leave candidates that are true classes out of an example's sum.
        sparse: a training step updates the rows that it reads alone, see `nn.Embedding`.
        reduction: "mean", "sum" or "none".

    Raises TypeError for classes that are no integers, ValueError for shapes that do not fit.

    Source: Mikolov et al. 2013, https://arxiv.org/abs/1310.4546; Gutmann and Hyvärinen 2010,
    https://proceedings.mlr.press/v9/gutmann10a.html.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.negative_sampling_loss(np.zeros((2, 3)), np.zeros((100, 3)), [5, 7], 4)
        tensor(3.4657359, dtype=float64)
    """
    op = "negative_sampling_loss"
    check_reduction(op, reduction)
    num_sampled = whole(op, "num_sampled", num_sampled)
    of_true, of_sampled = _logits(
        op,
        as_tensor(input),
        weight,
        target,
        num_sampled,
        bias,
        candidates,
        subtract_log_q,
        remove_accidental_hits,
        sparse,
    )
    share = 1.0 / of_true.shape[1]
    right = sum(apply("softplus", of_true) - of_true * share, 1)
    return reduced(op, right + sum(apply("softplus", of_sampled), 1), reduction)
