"""Normalisation layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import init, ops
from .._dims import sizes_of
from .._numbers import number
from ..record import Parameter, as_tensor, dtype_name
from ._initial import InitialisedModule
from ._linear import check_positive
from ._module import Module


class _ChannelNorm(InitialisedModule):
    """What BatchNorm and InstanceNorm share: arguments, parameters and running statistics."""

    ranks: tuple[int, ...] = ()
    layout = ""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
        dtype: Any = "float32",
        weight_init: init.Initializer | None = None,
        bias_init: init.Initializer | None = None,
    ) -> None:
        super().__init__()
        check_positive(self, num_features=num_features)
        number(type(self).__name__, "eps", eps)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        name = dtype_name(dtype)
        self.register_parameter("weight", Parameter(np.ones(num_features, name)) if affine else None)
        self.register_parameter("bias", Parameter(np.zeros(num_features, name)) if affine and bias else None)
        tracked = track_running_stats
        self.register_buffer("running_mean", np.zeros(num_features, name) if tracked else None)
        self.register_buffer("running_var", np.ones(num_features, name) if tracked else None)
        self.register_buffer("num_batches_tracked", np.asarray(0, "int64") if tracked else None)
        self._keep_initialisers(weight_init=weight_init, bias_init=bias_init)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Sets the running mean to 0, the running variance to 1 and the count of batches to 0."""
        if self.running_mean is not None:
            self.running_mean.data[...] = 0
            self.running_var.data[...] = 1
            self.num_batches_tracked.data[...] = 0

    def reset_parameters(self) -> None:
        self.reset_running_stats()
        self._initialise("weight", init.ones_)
        self._initialise("bias", init.zeros_)

    def _check(self, x: Any) -> None:
        if x.ndim not in self.ranks or x.shape[1] != self.num_features:
            layout = self.layout.replace("C", str(self.num_features))
            raise ValueError(f"{type(self).__name__}: input must have shape {layout}, got {x.shape}")

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm(_ChannelNorm):
    def forward(self, input: Any, mask: Any = None) -> Any:
        x = as_tensor(input)
        self._check(x)
        use_batch = self.training or self.running_mean is None
        factor: Any = self.momentum
        if self.training and self.running_mean is not None:
            count = self.num_batches_tracked
            count.assign(count + 1)
            if factor is None:  # the mean over all batches so far
                factor = 1.0 / ops.cast(count, x.dtype)
        return ops.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, use_batch, factor, self.eps, mask
        )


class BatchNorm1d(BatchNorm):
    """Batch normalisation of each channel over the batch (and the length).

    In training: `y = (x - mean) / sqrt(var + eps) · weight + bias` with the batch's mean and biased variance,
    while the running statistics follow: `running = (1 - momentum) · running + momentum · batch`, the variance
    unbiased. In evaluation the running statistics take the batch's place.

    Called with `mask=`, of the shape [N] or [N, L], it takes its statistics over those examples or steps of
    time that are True there: padding does not count, see `ops.batch_norm`.

    Shapes: [N, C] or [N, C, L], the same out.

    Args:
        num_features: number of channels C.
        eps: added to the variance.
        momentum: weight of the newest batch; None means the plain average over all batches.
        affine: whether there are weight and bias, [C].
        track_running_stats: whether running statistics are kept; without them the batch's are always used.
        bias: whether there is a bias beside the weight.
        dtype: float32 or float64.
        weight_init, bias_init: a name, a number or a function, see `init.get`; ones and zeros by default.

    Raises ValueError in training when a channel has a single value.

    Source: Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167.

    Example:
        >>> from ravine import nn
        >>> nn.BatchNorm1d(1, eps=0.0)([[1.0], [3.0]])
        array([[-1.],
               [ 1.]], dtype=float32)
    """

    ranks, layout = (2, 3), "[N, C] or [N, C, L]"


class BatchNorm2d(BatchNorm):
    """Batch normalisation of each channel of images over batch and positions; see `BatchNorm1d`.

    Shapes: [N, C, H, W], the same out. Arguments as for `BatchNorm1d`.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.BatchNorm2d(3)(np.zeros((2, 3, 4, 4))).shape
        (2, 3, 4, 4)
    """

    ranks, layout = (4,), "[N, C, H, W]"


class InstanceNorm2d(_ChannelNorm):
    """Normalisation of each channel of each image over its positions.

    Shapes: [N, C, H, W], or one image [C, H, W]; the same out.

    Args:
        num_features: number of channels C.
        eps: added to the variance.
        momentum: weight of the newest batch in the running statistics.
        affine: whether there are weight and bias; not by default, as in torch.
        track_running_stats: keep running statistics and use them in evaluation; not by default.
        bias: whether there is a bias beside the weight.
        dtype: float32 or float64.
        weight_init, bias_init: a name, a number or a function, see `init.get`; ones and zeros by default.

    Source: Ulyanov et al. 2016, https://arxiv.org/abs/1607.08022.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.InstanceNorm2d(3)(np.zeros((2, 3, 4, 4))).shape
        (2, 3, 4, 4)
    """

    ranks, layout = (4,), "[N, C, H, W]"

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        bias: bool = True,
        dtype: Any = "float32",
        weight_init: init.Initializer | None = None,
        bias_init: init.Initializer | None = None,
    ) -> None:
        super().__init__(
            num_features,
            eps,
            momentum,
            affine,
            track_running_stats,
            bias=bias,
            dtype=dtype,
            weight_init=weight_init,
            bias_init=bias_init,
        )

    def forward(self, input: Any) -> Any:
        x = as_tensor(input)
        alone = x.ndim == self.ranks[0] - 1
        if alone:
            x = ops.unsqueeze(x, 0)
        self._check(x)
        use_input = self.training or self.running_mean is None
        update = self.training and self.running_mean is not None
        keep = update or not use_input
        y = ops.instance_norm(
            x,
            self.running_mean if keep else None,
            self.running_var if keep else None,
            self.weight,
            self.bias,
            use_input,
            self.momentum if self.momentum is not None else 0.1,
            self.eps,
        )
        return ops.squeeze(y, 0) if alone else y


def _sizes(module: Module, normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    shape = sizes_of(normalized_shape, f"{type(module).__name__}: normalized_shape")
    check_positive(module, **{f"normalized_shape[{i}]": n for i, n in enumerate(shape)})
    return shape


class LayerNorm(InitialisedModule):
    """Normalisation of each sample over its last dimensions.

    `y = (x - mean) / sqrt(var + eps) · weight + bias`.

    Shapes: [..., *normalized_shape], the same out.

    Args:
        normalized_shape: sizes of the last dimensions; a number means one.
        eps: added to the variance.
        elementwise_affine: whether there are weight and bias, of normalized_shape.
        bias: whether there is a bias beside the weight.
        dtype: float32 or float64.
        weight_init, bias_init: a name, a number or a function, see `init.get`; ones and zeros by default.

    Source: Ba et al. 2016, https://arxiv.org/abs/1607.06450.

    Example:
        >>> from ravine import nn
        >>> nn.LayerNorm(2, eps=0.0)([[1.0, 3.0]])
        array([[-1.,  1.]], dtype=float32)
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: Any = "float32",
        weight_init: init.Initializer | None = None,
        bias_init: init.Initializer | None = None,
    ) -> None:
        super().__init__()
        shape = _sizes(self, normalized_shape)
        number("LayerNorm", "eps", eps)
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine
        name = dtype_name(dtype)
        self.register_parameter("weight", Parameter(np.ones(shape, name)) if elementwise_affine else None)
        has_bias = elementwise_affine and bias
        self.register_parameter("bias", Parameter(np.zeros(shape, name)) if has_bias else None)
        self._keep_initialisers(weight_init=weight_init, bias_init=bias_init)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        self._initialise("weight", init.ones_)
        self._initialise("bias", init.zeros_)

    def forward(self, input: Any) -> Any:
        return ops.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine = f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        return f"{self.normalized_shape}, eps={self.eps}, {affine}"


class RMSNorm(InitialisedModule):
    """Division by the root of the mean square, `y = x / sqrt(mean(x²) + eps) · weight`.

    As a LayerNorm without mean and bias, which many language models use. Shapes: [..., *normalized_shape],
    the same out.

    Args:
        normalized_shape: the sizes of the last dimensions.
        eps: added to the mean square; None: the distance from 1 to the next number of the dtype.
        elementwise_affine: whether there is a weight.
        dtype: float32 or float64.
        weight_init: a name, a number or a function, see `init.get`; ones by default.

    Source: Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467.

    Example:
        >>> from ravine import nn
        >>> nn.RMSNorm(2, eps=0.0)([[1.0, 7.0]])
        array([[0.2, 1.4]], dtype=float32)
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        dtype: Any = "float32",
        weight_init: init.Initializer | None = None,
    ) -> None:
        super().__init__()
        shape = _sizes(self, normalized_shape)
        if eps is not None:
            number("RMSNorm", "eps", eps)
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine
        ones = np.ones(shape, dtype_name(dtype))
        self.register_parameter("weight", Parameter(ones) if elementwise_affine else None)
        self._keep_initialisers(weight_init=weight_init)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        self._initialise("weight", init.ones_)

    def forward(self, input: Any) -> Any:
        return ops.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(InitialisedModule):
    """Normalisation of each sample over groups of channels and all positions.

    Shapes: [N, C, ...], the same out.

    Args:
        num_groups: number of groups; divides num_channels.
        num_channels: number of channels C.
        eps: added to the variance.
        affine: whether there are weight and bias, [C].
        bias: whether there is a bias beside the weight.
        dtype: float32 or float64.
        weight_init, bias_init: a name, a number or a function, see `init.get`; ones and zeros by default.

    Source: Wu and He 2018, https://arxiv.org/abs/1803.08494.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.GroupNorm(2, 4)(np.zeros((2, 4, 3, 3))).shape
        (2, 4, 3, 3)
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        bias: bool = True,
        dtype: Any = "float32",
        weight_init: init.Initializer | None = None,
        bias_init: init.Initializer | None = None,
    ) -> None:
        super().__init__()
        check_positive(self, num_groups=num_groups, num_channels=num_channels)
        if num_channels % num_groups:
            raise ValueError(f"GroupNorm: {num_channels} channels cannot be split into {num_groups} groups")
        number("GroupNorm", "eps", eps)
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        name = dtype_name(dtype)
        self.register_parameter("weight", Parameter(np.ones(num_channels, name)) if affine else None)
        self.register_parameter("bias", Parameter(np.zeros(num_channels, name)) if affine and bias else None)
        self._keep_initialisers(weight_init=weight_init, bias_init=bias_init)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        self._initialise("weight", init.ones_)
        self._initialise("bias", init.zeros_)

    def forward(self, input: Any) -> Any:
        x = as_tensor(input)
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            raise ValueError(f"GroupNorm: input must have shape [N, {self.num_channels}, ...], got {x.shape}")
        return ops.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine = f"affine={self.affine}, bias={self.bias is not None}"
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, {affine}"
