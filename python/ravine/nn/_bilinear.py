"""A product of two inputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import init, ops
from ..record import Parameter, dtype_name
from ._initial import InitialisedModule
from ._linear import check_positive


class Bilinear(InitialisedModule):
    """Bilinear map of two inputs, `y_k = x1ᵀ A_k x2 + b_k`; see `ops.bilinear`.

    Shapes: [..., in1_features] and [..., in2_features] to [..., out_features]; weight [out_features,
    in1_features, in2_features].

    Args:
        in1_features, in2_features, out_features: sizes of the last dimensions.
        bias: whether there is a bias.
        dtype: of the parameters, float32 or float64.
        weight_init, bias_init: a name, a number or a function, see `init.get`; both are uniform in
            ±1/√in1_features by default.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.Bilinear(3, 4, 5)(np.zeros((2, 3)), np.zeros((2, 4))).shape
        (2, 5)
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: Any = "float32",
        weight_init: init.Initializer | None = None,
        bias_init: init.Initializer | None = None,
    ) -> None:
        super().__init__()
        check_positive(self, in1_features=in1_features, in2_features=in2_features, out_features=out_features)
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        name = dtype_name(dtype)
        self.weight = Parameter(np.zeros((out_features, in1_features, in2_features), name))
        self.register_parameter("bias", Parameter(np.zeros(out_features, name)) if bias else None)
        self._keep_initialisers(weight_init=weight_init, bias_init=bias_init)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = 1 / math.sqrt(self.in1_features)
        self._initialise("weight", lambda weight: init.uniform_(weight, -bound, bound))
        self._initialise("bias", lambda bias: init.uniform_(bias, -bound, bound))

    def forward(self, input1: Any, input2: Any) -> Any:
        return ops.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )
