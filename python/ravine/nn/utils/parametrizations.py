"""Weights by their direction and length, and weights of spectral norm 1: torch.nn.utils.parametrizations."""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np

from ... import init, ops
from ..._numbers import positive, whole
from ...record import Buffer, Operand
from .._module import Module
from .parametrize import is_parametrized, register_parametrization

M = TypeVar("M", bound=Module)

__all__ = ["spectral_norm", "weight_norm"]


class WeightNorm(Module):
    """`w = g · v / |v|`, with a length g for each index of a dimension; see `weight_norm`."""

    def __init__(self, dim: int | None) -> None:
        super().__init__()
        self.dim = dim

    def _others(self, ndim: int) -> tuple[int, ...]:
        return tuple(i for i in range(ndim) if self.dim is None or i != self.dim % ndim)

    def forward(self, weight_g: Any, weight_v: Any) -> Any:
        others, squares = self._others(weight_v.ndim), ops.square(weight_v)
        if others:
            squares = ops.sum(squares, others, keepdim=self.dim is not None)
        return weight_v * (weight_g / ops.sqrt(squares))

    def right_inverse(self, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        squares = np.sum(np.square(weight, dtype=np.float64), self._others(weight.ndim),
                         keepdims=self.dim is not None)  # fmt: skip
        return np.sqrt(squares).astype(weight.dtype), weight

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class SpectralNorm(Module):
    """`w / σ(w)` with the largest singular value σ by power iteration; see `spectral_norm`."""

    def __init__(self, weight: np.ndarray, n_power_iterations: int, dim: int, eps: float) -> None:
        super().__init__()
        self.dim, self.n_power_iterations, self.eps = dim, n_power_iterations, eps
        if weight.ndim > 1:
            matrix = np.moveaxis(weight, dim, 0).reshape(weight.shape[dim], -1).astype(np.float64)
            u, v = (
                self._unit(init.normal_(np.zeros(n)))  # float64, however the weight is kept
                for n in matrix.shape
            )
            for _ in range(15):  # as torch does, so that the first estimate is close
                u = self._unit(matrix @ v)
                v = self._unit(matrix.T @ u)
            self._u = Buffer(u.astype(weight.dtype))
            self._v = Buffer(v.astype(weight.dtype))

    def _unit(self, x: np.ndarray) -> np.ndarray:
        return x / max(float(np.linalg.norm(x)), self.eps)

    def forward(self, weight: Any) -> Any:
        if weight.ndim == 1:
            return ops.normalize(weight, dim=0, eps=self.eps)
        matrix = ops.movedim(weight, self.dim, 0) if self.dim else weight
        matrix = ops.flatten(matrix, 1)
        u, v = (ops.stop_gradient(x) for x in (self._u, self._v))
        if self.training:
            fixed = ops.stop_gradient(matrix)
            for _ in range(self.n_power_iterations):
                u = ops.normalize(ops.mv(fixed, v), dim=0, eps=self.eps)
                v = ops.normalize(ops.mv(fixed.T, u), dim=0, eps=self.eps)
            self._u.assign(u)
            self._v.assign(v)
        return weight / ops.sum(u * ops.mv(matrix, v))

    def right_inverse(self, value: np.ndarray) -> np.ndarray:
        return value  # its spectral norm becomes 1

    def extra_repr(self) -> str:
        return f"n_power_iterations={self.n_power_iterations}, dim={self.dim}, eps={self.eps}"


def _parameter(what: str, module: Any, name: str) -> Operand:
    if not isinstance(module, Module):
        raise TypeError(f"{what}: a Module is expected, got {type(module).__name__}")
    parameter = module._parameters.get(name)
    if parameter is not None:
        return parameter
    if is_parametrized(module, name):
        return getattr(module, name)
    raise ValueError(f"{what}: {type(module).__name__} has no parameter {name!r}")


def _checked_dim(what: str, dim: Any, ndim: int) -> int:
    number = whole(what, "dim", dim, -ndim)
    if number >= ndim:
        raise ValueError(f"{what}: dim {number} is out of range for a parameter of {ndim} dimensions")
    return number % ndim


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Weight normalisation: a weight as length and direction, `w = g · v / |v|`, which are trained instead.

    The value stays. The parameters become `parametrizations.weight.original0` (g) and `original1` (v).
    `init.weight_norm(model, x)` starts such layers by data.

    Args:
        module: changed in place and returned.
        name: of the parameter.
        dim: each index of it has its own length: 0, the units of linear maps and convolutions. None: one
            length for all.

    Raises TypeError for what is no Module, ValueError for a parameter that there is not and a dim that it
    does not have.

    Source: Salimans and Kingma 2016, https://arxiv.org/abs/1602.07868.

    Example:
        >>> from ravine import nn
        >>> layer = nn.utils.weight_norm(nn.Linear(3, 2))
        >>> [(name, p.shape) for name, p in layer.named_parameters()][1:]
        [('parametrizations.weight.original0', (2, 1)), ('parametrizations.weight.original1', (2, 3))]
    """
    parameter = _parameter("weight_norm", module, name)
    if dim is not None:
        dim = _checked_dim("weight_norm", dim, parameter.ndim)
    return register_parametrization(module, name, WeightNorm(dim))


def spectral_norm(
    module: M, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> M:
    """Spectral normalisation: a weight divided by its largest singular value, for critics and for stability.

    The weight counts as a matrix [dim, all others]. Each computation of it in training mode makes
    `n_power_iterations` steps of power iteration from the vectors before; in evaluation they stay. The
    parameter becomes `parametrizations.weight.original`, the vectors are `parametrizations.weight.0._u` and
    `_v`. A vector is divided by its norm.

    Args:
        module: changed in place and returned.
        name: of the parameter.
        n_power_iterations: of each computation in training, at least 1.
        eps: least norm that a vector is divided by.
        dim: of the rows; None: 0.

    Raises TypeError for what is no Module, ValueError for a parameter that there is not, a dim that it does
    not have, and numbers out of range.

    Source: Miyato et al. 2018, https://arxiv.org/abs/1802.05957.

    Example:
        >>> import numpy as np, ravine as rv
        >>> from ravine import nn
        >>> layer = nn.utils.spectral_norm(nn.Linear(20, 40))
        >>> bool(abs(np.linalg.norm(layer.eval().weight.numpy(), 2) - 1) < 0.05)
        True
    """
    n_power_iterations = whole("spectral_norm", "n_power_iterations", n_power_iterations)
    eps = positive("spectral_norm", "eps", eps)
    parameter = _parameter("spectral_norm", module, name)
    rows = 0 if dim is None else _checked_dim("spectral_norm", dim, parameter.ndim)
    if math.prod(parameter.shape) == 0:
        raise ValueError(f"spectral_norm: {name} of shape {parameter.shape} is empty")
    norm = SpectralNorm(parameter.numpy(), n_power_iterations, rows, eps)
    return register_parametrization(module, name, norm)
