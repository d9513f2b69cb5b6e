"""Linear maps, and modules that only change the shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import init, ops
from .._dims import sizes_of
from .._numbers import whole
from ..record import Parameter, dtype_name
from ._initial import InitialisedModule
from ._module import Module


def check_positive(module: Module, **sizes: int) -> None:
    for name, size in sizes.items():
        whole(type(module).__name__, name, size)


def init_weight_and_bias(layer: InitialisedModule) -> None:
    """torch's default for linear layers and convolutions: both uniform in ±1/√fan_in."""
    bound = 1 / math.sqrt(math.prod(layer.weight.shape[1:]))
    layer._initialise("weight", lambda weight: init.kaiming_uniform_(weight, a=math.sqrt(5)))
    layer._initialise("bias", lambda bias: init.uniform_(bias, -bound, bound))


class Identity(Module):
    """Returns its input. Takes and ignores any arguments.

    Example:
        >>> from ravine import nn
        >>> nn.Identity()([1.0, 2.0])
        array([1., 2.], dtype=float32)
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        return input


class Linear(InitialisedModule):
    """Affine map of the last dimension, `y = x Wᵀ + b`.

    Shapes: [..., in_features] to [..., out_features]; weight [out_features, in_features], bias
    [out_features].

    Args:
        in_features: size of the input's last dimension.
        out_features: size of the output's last dimension.
        bias: whether there is a bias.
        dtype: of the parameters, float32 or float64.
        weight_init, bias_init: a name ("he_normal"), a number or a function, see `init.get`; both are
            uniform in ±1/√in_features by default. The latter is not used without a bias.

    Raises ValueError naming the shapes for other inputs.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.Linear(3, 2)(np.zeros((5, 3))).shape
        (5, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: Any = "float32",
        weight_init: init.Initializer | None = None,
        bias_init: init.Initializer | None = None,
    ) -> None:
        super().__init__()
        check_positive(self, in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        name = dtype_name(dtype)
        self.weight = Parameter(np.zeros((out_features, in_features), name))
        self.register_parameter("bias", Parameter(np.zeros(out_features, name)) if bias else None)
        self._keep_initialisers(weight_init=weight_init, bias_init=bias_init)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        init_weight_and_bias(self)

    def forward(self, input: Any) -> Any:
        return ops.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
        )


class Flatten(Module):
    """Joins the dimensions start_dim to end_dim into one; by default all but the batch.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.Flatten()(np.zeros((2, 3, 4))).shape
        (2, 12)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Any) -> Any:
        return ops.flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Splits one dimension into several.

    Args:
        dim: which one.
        unflattened_size: the sizes it becomes; one may be -1.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.Unflatten(1, (3, 4))(np.zeros((2, 12))).shape
        (2, 3, 4)
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        self.dim, self.unflattened_size = dim, sizes_of(unflattened_size, "Unflatten: unflattened_size")

    def forward(self, input: Any) -> Any:
        return ops.unflatten(input, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
