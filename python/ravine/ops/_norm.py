"""Normalisation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..record import Buffer, Operand, Quotient, Tensor, apply, apply_all, as_tensor
from ._elementwise import cast, maximum, where
from ._shape import broadcast_to


def _per_channel(x: Any, ndim: int) -> Tensor:
    """A vector of channels [C] as [1, C, 1, ...], beside data of `ndim` dimensions."""
    return as_tensor(x).reshape((1, -1) + (1,) * (ndim - 2))


def _check_channels(op: str, x: Operand, **vectors: Any) -> None:
    if x.ndim < 2:
        raise ValueError(f"{op}: input must have shape [N, C, ...], got {x.shape}")
    for name, vector in vectors.items():
        if vector is not None and as_tensor(vector).shape != (x.shape[1],):
            raise ValueError(
                f"{op}: {name} must have shape ({x.shape[1]},), one number for each channel of the input "
                f"{x.shape}, got {as_tensor(vector).shape}"
            )


def _affine_vectors(x: Operand, weight: Any, bias: Any) -> list[Any]:
    """Weight and bias [C], ones and zeros where there are none."""
    channels = (x.shape[1],)
    gamma = apply("broadcast_to", np.ones((), x.dtype), shape=channels) if weight is None else weight
    beta = apply("broadcast_to", np.zeros((), x.dtype), shape=channels) if bias is None else bias
    return [gamma, beta]


def batch_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: Any = 0.1,
    eps: float = 1e-5,
    mask: Any = None,
) -> Tensor:
    """Batch normalisation of each channel, `y = (x - mean) / sqrt(var + eps) · weight + bias`.

    In training, mean and (biased) variance are those of the batch, over all dimensions but 1, and the running
    statistics move: `running = (1 - momentum) · running + momentum · batch`, the variance with Bessel's
    correction. Otherwise they are the running ones.

    Args:
        input: [N, C, ...], rank 2 to 5.
        running_mean, running_var: Buffers [C] (arrays will do when not training), or both None.
        weight, bias: [C], or None for 1 and 0.
        training: which statistics to use. Without running statistics it is always the batch's.
        momentum: weight of the batch in the running statistics, a number or a scalar tensor.
        eps: added to the variance.
        mask: which examples [N], or which positions [N, ...] of the input without its channels, count in the
            batch's mean and variance: those that are True, or not 0. The others are normalised by them, too.
            Where fewer than two count, the running statistics stay.

    Raises ValueError in training when a channel has a single value.

    Source: Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167.

    Example:
        >>> import ravine as rv
        >>> rv.ops.batch_norm([[1.0], [3.0]], training=True, eps=0.0)
        tensor([[-1.],
                [ 1.]], dtype=float32)
    """
    x = as_tensor(input)
    _check_channels(
        "batch_norm", x, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias
    )
    if (running_mean is None) != (running_var is None):
        raise ValueError("batch_norm: running_mean and running_var go together, give both or neither")
    if not training and running_mean is not None:
        scale = apply("rsqrt", as_tensor(running_var) + eps)
        if weight is not None:
            scale = scale * weight
        y = (x - _per_channel(running_mean, x.ndim)) * _per_channel(scale, x.ndim)
        return y if bias is None else y + _per_channel(bias, x.ndim)
    n = x.numel() // max(x.shape[1], 1)
    if n == 1:
        raise ValueError(
            f"batch_norm: more than one value per channel is needed in training, got input {x.shape}"
        )
    unbiased: Any = Quotient(n, max(n - 1, 1))
    if mask is None:
        y, mean, var = apply_all("batch_norm", [x, *_affine_vectors(x, weight, bias)], eps=float(eps))
    else:
        y, mean, var, count = _masked_batch_norm(x, _mask_beside(x, mask), weight, bias, float(eps))
        momentum = cast(count > 1, x.dtype) * momentum
        unbiased = count / maximum(count - 1.0, 1.0)
    if training and running_mean is not None:
        for name, buffer in (("running_mean", running_mean), ("running_var", running_var)):
            if not isinstance(buffer, Buffer):
                raise TypeError(
                    f"batch_norm: in training {name} must be a Buffer, got {type(buffer).__name__}"
                )
        mean, var = apply("stop_gradient", mean), apply("stop_gradient", var)
        if n > 0:
            running_mean.assign(running_mean * (1.0 - momentum) + mean * momentum)
            running_var.assign(running_var * (1.0 - momentum) + var * (momentum * unbiased))
    return y


def _mask_beside(x: Operand, mask: Any) -> Tensor:
    """Ones and zeros beside data [N, C, ...], for a mask of its examples, or of its positions."""
    given = as_tensor(mask)
    positions = (x.shape[0], *x.shape[2:])
    if given.shape not in ((x.shape[0],), positions):
        either = f"({x.shape[0]},)" if x.ndim == 2 else f"({x.shape[0]},) or {positions}"
        raise ValueError(f"batch_norm: mask must have shape {either} for input {x.shape}, got {given.shape}")
    counts = cast(given != 0, x.dtype)
    return counts.reshape((x.shape[0], 1, *given.shape[1:]) + (1,) * (x.ndim - 1 - given.ndim))


def _masked_batch_norm(
    x: Operand, counts: Tensor, weight: Any, bias: Any, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The result, mean and biased variance [C] over what counts, and how many values that are."""
    axes = [0, *range(2, x.ndim)]
    per_channel = x.shape[:1] + (1,) + x.shape[2:]
    count = broadcast_to(counts, per_channel).sum()
    share = counts * (1.0 / maximum(count, 1.0))
    # Values that do not count may be anything, NaN too.
    kept = where(counts > 0, x, 0.0)
    mean = (kept * share).sum(axes)
    centred = x - _per_channel(mean, x.ndim)
    var = (apply("square", where(counts > 0, centred, 0.0)) * share).sum(axes)
    y = centred * _per_channel(apply("rsqrt", var + eps), x.ndim)
    return _affine(y, weight, bias), mean, var, count


def _row_shape(op: str, x: Operand, normalized_shape: int | Sequence[int], **vectors: Any) -> tuple[int, ...]:
    """The sizes of the last dimensions, once those of the input and of the vectors agree."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or len(shape) > x.ndim or x.shape[x.ndim - len(shape) :] != shape:
        raise ValueError(f"{op}: input of shape {x.shape} must end in normalized_shape {shape}")
    for name, vector in vectors.items():
        if vector is not None and as_tensor(vector).shape != shape:
            raise ValueError(f"{op}: {name} must have shape {shape}, got {as_tensor(vector).shape}")
    return shape


def layer_norm(
    input: Any, normalized_shape: int | Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Tensor:
    """Normalisation over the last dimensions, `y = (x - mean) / sqrt(var + eps) · weight + bias`.

    Args:
        input: [..., *normalized_shape].
        normalized_shape: the sizes of the last dimensions, over which mean and variance are taken.
        weight, bias: of shape normalized_shape, or None for 1 and 0.
        eps: added to the variance.

    Source: Ba et al. 2016, https://arxiv.org/abs/1607.06450.

    Example:
        >>> import ravine as rv
        >>> rv.ops.layer_norm([[1.0, 3.0]], 2, eps=0.0)
        tensor([[-1.,  1.]], dtype=float32)
    """
    x = as_tensor(input)
    shape = _row_shape("layer_norm", x, normalized_shape, weight=weight, bias=bias)
    if weight is not None and bias is not None:
        return apply("layer_norm", x, weight, bias, normalized_dims=len(shape), eps=float(eps))
    y = apply("layer_norm", x, normalized_dims=len(shape), eps=float(eps))
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def rms_norm(
    input: Any, normalized_shape: int | Sequence[int], weight: Any = None, eps: float | None = None
) -> Tensor:
    """Division by the root of the mean square, `y = x / sqrt(mean(x²) + eps) · weight`.

    Args:
        input: [..., *normalized_shape].
        normalized_shape: the sizes of the last dimensions, over which the mean is taken.
        weight: of shape normalized_shape, or None for 1.
        eps: added to the mean square; None: the distance from 1 to the next number of the dtype.

    Source: Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467.

    Example:
        >>> import ravine as rv
        >>> rv.ops.rms_norm([[1.0, 7.0]], 2, eps=0.0)
        tensor([[0.2, 1.4]], dtype=float32)
    """
    x = as_tensor(input)
    shape = _row_shape("rms_norm", x, normalized_shape, weight=weight)
    if eps is None:
        eps = float(np.finfo(x.dtype).eps)
    axes = tuple(range(x.ndim - len(shape), x.ndim))
    mean_square = apply("mean", apply("square", x), axes=axes, keepdims=True)
    y = x * apply("rsqrt", mean_square + float(eps))
    return y if weight is None else y * weight


def group_norm(
    input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Tensor:
    """Normalisation of each sample over groups of channels and all positions.

    Args:
        input: [N, C, ...].
        num_groups: number of groups the channels fall into; it divides C.
        weight, bias: [C], or None for 1 and 0.
        eps: added to the variance.

    Source: Wu and He 2018, https://arxiv.org/abs/1803.08494.

    Example:
        >>> import ravine as rv
        >>> rv.ops.group_norm([[1.0, 3.0, 10.0, 10.0]], 2, eps=1e-5).numpy().round(3)
        array([[-1.,  1.,  0.,  0.]], dtype=float32)
    """
    x = as_tensor(input)
    _check_channels("group_norm", x, weight=weight, bias=bias)
    if num_groups < 1 or x.shape[1] % num_groups:
        raise ValueError(
            f"group_norm: {x.shape[1]} channels cannot be split into {num_groups} groups (input {x.shape})"
        )
    return _group_norm("group_norm", x, num_groups, weight, bias, eps)[0]


def _group_norm(
    op: str, x: Operand, groups: int, weight: Any, bias: Any, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The result, mean and biased variance [N, groups] of a tensor [N, C, ...]."""
    if 0 in x.shape[1:]:
        raise ValueError(f"{op}: the normalised dimensions are empty (input {x.shape})")
    if x.ndim == 4:  # images: channels last inside a program
        inputs = [x]
        if weight is not None or bias is not None:
            inputs += _affine_vectors(x, weight, bias)
        y, mean, var = apply_all("group_norm", inputs, groups=groups, eps=float(eps))
        return y, mean, var
    rows = x.reshape((x.shape[0], groups, math.prod(x.shape[1:]) // groups))
    y, mean, _ = apply_all("layer_norm", [rows], normalized_dims=1, eps=float(eps))
    var = apply("square", rows - mean.unsqueeze(2)).mean(2)
    return _affine(y.reshape(x.shape), weight, bias), mean, var


def _affine(y: Tensor, weight: Any, bias: Any) -> Tensor:
    y = y if weight is None else y * _per_channel(weight, y.ndim)
    return y if bias is None else y + _per_channel(bias, y.ndim)


def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalisation of each channel of each sample over its positions.

    Args:
        input: [N, C, ...] with at least one dimension of positions.
        running_mean, running_var: Buffers [C] that follow the statistics, averaged over the batch; or None.
        weight, bias: [C], or None for 1 and 0.
        use_input_stats: False uses the running statistics instead of the sample's.
        momentum: weight of the batch in the running statistics.
        eps: added to the variance.

    Source: Ulyanov et al. 2016, https://arxiv.org/abs/1607.08022.

    Example:
        >>> import ravine as rv
        >>> rv.ops.instance_norm([[[1.0, 3.0]]], eps=0.0)
        tensor([[[-1.,  1.]]], dtype=float32)
    """
    x = as_tensor(input)
    _check_channels(
        "instance_norm", x, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias
    )
    if x.ndim < 3:
        raise ValueError(f"instance_norm: input must have shape [N, C, positions...], got {x.shape}")
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise ValueError("instance_norm: use_input_stats=False needs running_mean and running_var")
        return batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    n = math.prod(x.shape[2:])
    if n == 1:
        raise ValueError(f"instance_norm: more than one position per channel is needed, got input {x.shape}")
    y, mean, var = _group_norm("instance_norm", x, x.shape[1], weight, bias, eps)
    if isinstance(running_mean, Buffer) and isinstance(running_var, Buffer) and x.shape[0] > 0:
        unbiased = var * (n / (n - 1))
        for running, batch in ((running_mean, mean), (running_var, unbiased)):
            running.assign(running * (1.0 - momentum) + apply("stop_gradient", batch.mean(0)) * momentum)
    return y
