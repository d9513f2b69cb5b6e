"""Rules whose directions are matrix products and sums: operations of the recorded program compute them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from .. import ops
from .._numbers import flag, number, whole
from .._tensor import Tensor
from ._optimizer import Limits, Optimizer
from ._options import Rate

Shapes = dict[str, tuple[int, ...]]
State = dict[str, Tensor]
Numbers = Mapping[str, Any]

_POSITIVE = (0.0, math.inf, False)


class Directed(Optimizer):
    """An optimizer that moves weights by `w = (1 - lr · weight_decay) w - direction`.

    The direction is recorded behind the gradients, with all of the library's operations; the move itself, and
    what follows it, is a rule of the engine.
    """

    rule = "directed"
    _limits: ClassVar[Mapping[str, Limits]]
    """The numbers that may change from step to step: the program reads them when it runs."""

    def _allowed(self) -> Mapping[str, Limits]:
        return self._limits

    def _state_shapes(self, shape: tuple[int, ...]) -> Shapes:
        """The state of a parameter of this shape, zero at first."""
        raise NotImplementedError

    def _direction(
        self, w: Tensor, g: Tensor, old: State, numbers: Mapping[str, Any]
    ) -> tuple[Tensor, State]:
        """The direction, and the new state.

        Args:
            w: the parameter.
            g: its gradient, negated where it is maximised.
            old: its state.
            numbers: the numbers that may change and "step", from 1; scalars of w's dtype.
        """
        raise NotImplementedError

    def _structure(self) -> Any:
        """What a program depends on."""
        return None


class Muon(Directed):
    """Muon: momentum made orthogonal, for matrices; AdamW for all other parameters.

    For the gradient g of a matrix (a filter [out, in, ...] counts as [out, in · ...]):
    `b = momentum · b + (1 - momentum) · g`, u = b, with nesterov `u = momentum · b + (1 - momentum) · g`.
    `ns_steps` times, from `x = u / max(|u|, eps)`: `x = a x + (b A + c A²) x` with `A = x xᵀ` and
    (a, b, c) = ns_coefficients (Newton and Schulz), which brings the singular values of x near to 1. Then
    `w -= lr · weight_decay · w + lr · r · x`, where for a matrix [n, m] r is sqrt(max(1, n / m)), with
    adjust_lr_fn "match_rms_adamw" 0.2 · sqrt(max(n, m)).

    Biases and the scales of norms (parameters with fewer than two axes) take AdamW's step with adam_lr and
    adam_betas.

    Args:
        lr: learning rate, or a function of the step (from 0) that gives it.
        weight_decay: decoupled: share of the weight taken off per unit of lr.
        momentum: share of the old mean of the gradients, in [0, 1).
        nesterov: look ahead along the momentum.
        ns_coefficients: of the iteration.
        eps: least norm that a direction is divided by.
        ns_steps: number of iterations.
        adjust_lr_fn: "original" (None is the same) or "match_rms_adamw", see above.
        adam_lr: learning rate of the other parameters; None: lr.
        adam_betas: AdamW's decays for them.
        maximize: go up instead of down.
        options: as every optimizer's, see `Optimizer`.

    Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon; Liu et al. 2025 for
    "match_rms_adamw", https://arxiv.org/abs/2502.16982. torch's form of it, in the parameter's precision
    where torch iterates in bfloat16.

    Example:
        >>> from ravine import optim
        >>> optim.Muon(lr=0.02, adam_lr=1e-3).momentum
        0.95
    """

    _limits: ClassVar = {
        "lr": Limits(1e-3, *_POSITIVE),
        "weight_decay": Limits(0.1, *_POSITIVE),
        "momentum": Limits(0.95, 0.0, 1.0, False),
        "adam_lr": Limits(1e-3, *_POSITIVE),
        "adam_beta1": Limits(0.9, 0.0, 1.0, False),
        "adam_beta2": Limits(0.999, 0.0, 1.0, False),
        "maximize": Limits(0.0, 0.0, 0.0, True),
    }
    _several: ClassVar = {"adam_betas": ("adam_beta1", "adam_beta2")}
    _adam_eps = 1e-8

    lr: Rate = 1e-3
    weight_decay: Rate = 0.1
    momentum: Rate = 0.95
    nesterov: bool = True
    ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315)
    eps: float = 1e-7
    ns_steps: int = 5
    adjust_lr_fn: str | None = None
    adam_lr: Rate | None = None
    adam_betas: tuple[Rate, Rate] = (0.9, 0.999)
    maximize: bool = False

    def _checked(self, name: str, value: Any) -> Any:
        if name == "nesterov":
            return flag("Muon", name, value)
        if name == "eps":
            return number("Muon", name, value)
        if name == "ns_steps":
            return whole("Muon", name, value, 1)
        if name == "ns_coefficients":
            if not isinstance(value, tuple | list) or len(value) != 3:
                raise TypeError(f"Muon: ns_coefficients must be three numbers, got {value!r}")
            return tuple(number("Muon", name, item, -math.inf) for item in value)
        if name == "adjust_lr_fn":
            if value not in (None, "original", "match_rms_adamw"):
                raise ValueError(f"Muon: adjust_lr_fn must be 'original' or 'match_rms_adamw', got {value!r}")
            return value
        if name == "adam_lr" and value is None:
            return None
        return super()._checked(name, value)

    def _values(self, group: Any) -> dict[str, tuple[str, Any]]:
        values = super()._values(group)
        return {**values, "adam_lr": values["lr"]} if values["adam_lr"][1] is None else values

    def _structure(self) -> Any:
        return self.nesterov, self.ns_coefficients, self.eps, self.ns_steps, self.adjust_lr_fn

    def _state_shapes(self, shape: tuple[int, ...]) -> Shapes:
        if len(shape) > 1:
            return {"momentum_buffer": shape}
        return {"exp_avg": shape, "exp_avg_sq": shape}

    def _direction(
        self, w: Tensor, g: Tensor, old: State, numbers: Mapping[str, Any]
    ) -> tuple[Tensor, State]:
        if len(w.shape) < 2:
            return self._adam(g, old, numbers)
        momentum = numbers["momentum"]
        buffer = old["momentum_buffer"] + (1.0 - momentum) * (g - old["momentum_buffer"])
        ahead = g + momentum * (buffer - g) if self.nesterov else buffer
        rows, columns = w.shape[0], math.prod(w.shape[1:])
        x = self._orthogonal(ops.reshape(ahead, (rows, columns)))
        if self.adjust_lr_fn == "match_rms_adamw":
            ratio = 0.2 * math.sqrt(max(rows, columns))
        else:
            ratio = math.sqrt(max(1.0, rows / columns)) if columns else 1.0
        return numbers["lr"] * ratio * ops.reshape(x, w.shape), {"momentum_buffer": buffer}

    def _orthogonal(self, x: Tensor) -> Tensor:
        a, b, c = self.ns_coefficients
        tall = x.shape[0] > x.shape[1]
        if tall:
            x = ops.transpose(x, 0, 1)
        x = x / ops.maximum(ops.sqrt(ops.sum(ops.square(x))), self.eps)
        for _ in range(self.ns_steps):
            gram = ops.matmul(x, ops.transpose(x, 0, 1))
            x = a * x + ops.matmul(b * gram + c * ops.matmul(gram, gram), x)
        return ops.transpose(x, 0, 1) if tall else x

    def _adam(self, g: Tensor, old: State, numbers: Numbers) -> tuple[Tensor, State]:
        beta1, beta2, step = numbers["adam_beta1"], numbers["adam_beta2"], numbers["step"]
        m = beta1 * old["exp_avg"] + (1.0 - beta1) * g
        v = beta2 * old["exp_avg_sq"] + (1.0 - beta2) * ops.square(g)
        root = ops.sqrt(v / (1.0 - ops.pow(beta2, step))) + self._adam_eps
        return numbers["adam_lr"] * (m / (1.0 - ops.pow(beta1, step))) / root, {"exp_avg": m, "exp_avg_sq": v}


class Adafactor(Directed):
    """Adafactor: Adam without momentum, whose second moment is kept as one row and one column of means.

    In step t from 1, with `ρ = min(lr, 1 / sqrt(t))`, `α = max(eps[1], rms(w)) · ρ` and the share
    `c = t^beta2_decay` of new squares: for a matrix `r += c (mean of g² over columns - r)`,
    `s += c (mean of g² over rows - s)`, `v = r s / max(mean(r), eps[0])`; else `v += c (g² - v)`. Then
    `u = g / sqrt(max(v, eps[0]²))`, `w -= lr · weight_decay · w + α u / max(1, rms(u) / d)`.
    Leading axes of filters count as batches of matrices.

    Args:
        lr: largest relative step size, or a function of the step (from 0) that gives it.
        beta2_decay: power of t in the share of new squares, at most 0.
        eps: (least mean of squares; None: the dtype's machine epsilon; least rms of weights).
        d: bound on the rms of u, at least 1.
        weight_decay: decoupled: share of the weight taken off per unit of lr.
        maximize: go up instead of down.
        options: as every optimizer's, see `Optimizer`.

    Source: Shazeer and Stern 2018, https://arxiv.org/abs/1804.04235; torch's form of it.

    Example:
        >>> from ravine import optim
        >>> optim.Adafactor().eps
        (None, 0.001)
    """

    _limits: ClassVar = {
        "lr": Limits(1e-2, *_POSITIVE),
        "beta2_decay": Limits(-0.8, -math.inf, math.inf, False),
        "d": Limits(1.0, 1.0, math.inf, False),
        "weight_decay": Limits(0.0, *_POSITIVE),
        "maximize": Limits(0.0, 0.0, 0.0, True),
    }

    lr: Rate = 1e-2
    beta2_decay: Rate = -0.8
    eps: tuple[float | None, float] = (None, 1e-3)
    d: Rate = 1.0
    weight_decay: Rate = 0.0
    maximize: bool = False

    def _checked(self, name: str, value: Any) -> Any:
        if name == "eps":
            if not isinstance(value, tuple | list) or len(value) != 2:
                raise TypeError(f"Adafactor: eps must be a pair of numbers, got {value!r}")
            least = None if value[0] is None else number("Adafactor", "eps[0]", value[0])
            return least, number("Adafactor", "eps[1]", value[1])
        value = super()._checked(name, value)
        if name == "beta2_decay" and not callable(value) and value > 0:
            raise ValueError(f"Adafactor: beta2_decay must be at most 0, got {value}")
        return value

    def _structure(self) -> Any:
        return self.eps

    def _state_shapes(self, shape: tuple[int, ...]) -> Shapes:
        if len(shape) > 1:
            return {"row_var": (*shape[:-1], 1), "col_var": (*shape[:-2], 1, shape[-1])}
        return {"variance": shape}

    def _direction(
        self, w: Tensor, g: Tensor, old: State, numbers: Mapping[str, Any]
    ) -> tuple[Tensor, State]:
        least = float(np.finfo(w.dtype).eps) if self.eps[0] is None else self.eps[0]
        step, size = numbers["step"], max(1, math.prod(w.shape))
        share = ops.pow(step, numbers["beta2_decay"])
        rate = ops.minimum(numbers["lr"], 1.0 / ops.sqrt(step))
        alpha = ops.maximum(_norm(w) / math.sqrt(size), self.eps[1]) * rate
        square = ops.square(g)
        if len(w.shape) > 1:
            row = old["row_var"] + share * (ops.mean(square, -1, keepdim=True) - old["row_var"])
            column = old["col_var"] + share * (ops.mean(square, -2, keepdim=True) - old["col_var"])
            variance = row * column / ops.maximum(ops.mean(row, -2, keepdim=True), least)
            new = {"row_var": row, "col_var": column}
        else:
            variance = old["variance"] + share * (square - old["variance"])
            new = {"variance": variance}
        update = g / ops.sqrt(ops.maximum(variance, least * least))
        bound = ops.maximum(_norm(update) / (math.sqrt(size) * numbers["d"]), 1.0)
        return alpha / bound * update, new


def _norm(x: Tensor) -> Tensor:
    return ops.sqrt(ops.sum(ops.square(x)))
