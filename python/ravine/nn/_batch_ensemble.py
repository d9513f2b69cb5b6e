"""Layers whose members share one weight matrix: an ensemble inside of one net."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import init, ops
from ..record import Parameter, dtype_name
from ._initial import InitialisedModule
from ._linear import check_positive
from ._module import Module


class EnsembleView(Module):
    """Gives every member of layers behind it the same examples: [N, ...] to [N, k, ...].

    Args:
        k: the number of members.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.EnsembleView(4)(np.zeros((5, 3))).shape
        (5, 4, 3)
    """

    def __init__(self, k: int) -> None:
        super().__init__()
        check_positive(self, k=k)
        self.k = k

    def forward(self, input: Any) -> Any:
        shape = input.shape
        return ops.broadcast_to(ops.unsqueeze(input, 1), (shape[0], self.k, *shape[1:]))

    def extra_repr(self) -> str:
        return f"k={self.k}"


class BatchEnsembleLinear(InitialisedModule):
    """k affine maps that share one weight matrix: `y_j = s_j ∘ ((r_j ∘ x_j) Wᵀ) + b_j` for member j.

    Beside the matrix a member costs three vectors, so that 32 members cost little more than one, and the
    product is one for all. In TabM such layers make a net an ensemble: the loss is the mean of the members'
    losses, the prediction the mean of their predictions.

    Shapes: [..., k, in_features] to [..., k, out_features]; weight [out_features, in_features], r [k,
    in_features], s [k, out_features], bias [k, out_features].

    Args:
        in_features: size of the input's last dimension.
        out_features: size of the output's last dimension.
        k: the number of members.
        bias: whether there is a bias for each member.
        scaling_init: of r: "random-signs" (±1), "normal", or "ones"; s begins as ones. TabM: "random-signs"
            in the first layer and "ones" behind it, which also begins as one net.
        dtype: of the parameters, float32 or float64.

    Raises ValueError for other sizes, names, and shapes of the input.

    Source: Wen et al. 2020, https://arxiv.org/abs/2002.06715 (BatchEnsemble); Gorishniy et al. 2025,
    https://arxiv.org/abs/2410.24210 (TabM).

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> layers = (nn.EnsembleView(4), nn.BatchEnsembleLinear(3, 8, 4, scaling_init="random-signs"))
        >>> net = nn.Sequential(*layers, nn.ReLU(), nn.BatchEnsembleLinear(8, 2, 4))
        >>> net(np.ones((5, 3))).shape
        (5, 4, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        k: int,
        bias: bool = True,
        *,
        scaling_init: str = "ones",
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        check_positive(self, in_features=in_features, out_features=out_features, k=k)
        if scaling_init not in _SCALINGS:
            raise ValueError(
                f"BatchEnsembleLinear: scaling_init={scaling_init!r}, expected one of {', '.join(_SCALINGS)}"
            )
        self.in_features, self.out_features, self.k = in_features, out_features, k
        self.scaling_init = scaling_init
        name = dtype_name(dtype)
        self.weight = Parameter(np.zeros((out_features, in_features), name))
        self.r = Parameter(np.ones((k, in_features), name))
        self.s = Parameter(np.ones((k, out_features), name))
        self.register_parameter("bias", Parameter(np.zeros((k, out_features), name)) if bias else None)
        self._keep_initialisers(weight_init=None, bias_init=None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight and bias as in `Linear`, one bias for all members at first; r by `scaling_init`, s as 1."""
        bound = 1 / self.in_features**0.5
        self._initialise("weight", lambda weight: init.uniform_(weight, -bound, bound))
        if self.bias is not None:
            one = Parameter(np.zeros(self.out_features, self.bias.dtype))
            init.uniform_(one, -bound, bound)
            self.bias.data = np.broadcast_to(one.data, self.bias.shape)
        _SCALINGS[self.scaling_init](self.r)
        init.ones_(self.s)

    def forward(self, input: Any) -> Any:
        if len(input.shape) < 2 or tuple(input.shape[-2:]) != (self.k, self.in_features):
            raise ValueError(
                f"BatchEnsembleLinear: expected [..., {self.k}, {self.in_features}], got shape "
                f"{tuple(input.shape)}; nn.EnsembleView({self.k}) gives all members the same examples"
            )
        output = ops.linear(input * self.r, self.weight) * self.s
        return output if self.bias is None else output + self.bias

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, k={self.k}, "
            f"bias={self.bias is not None}, scaling_init={self.scaling_init!r}"
        )


def _random_signs(parameter: Parameter) -> None:
    init.uniform_(parameter, -1, 1)
    parameter.data = np.where(parameter.data < 0, -1, 1)


_SCALINGS = {"random-signs": _random_signs, "normal": init.normal_, "ones": init.ones_}
