"""Rules that see a parameter of two axes and more as a matrix."""

from __future__ import annotations

from typing import Any, ClassVar

from .._numbers import alike, number, whole
from ._options import Group, Rate
from ._rule import Rule


class Muon(Rule):
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

    rule = "muon"
    _several: ClassVar = {
        "ns_coefficients": ("ns_a", "ns_b", "ns_c"),
        "adam_betas": ("adam_beta1", "adam_beta2"),
    }

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
        if name == "ns_steps":
            return whole("Muon", name, value, 1)
        if name == "adjust_lr_fn":
            if value not in (None, "original", "match_rms_adamw"):
                raise ValueError(f"Muon: adjust_lr_fn must be 'original' or 'match_rms_adamw', got {value!r}")
            return value
        if name == "match_rms_adamw":
            raise AttributeError("Muon has no hyperparameter 'match_rms_adamw'")
        if name == "adam_lr" and value is None:
            return None
        return super()._checked(name, value)

    def _values(self, group: Group | None) -> dict[str, tuple[str, Any]]:
        values = super()._values(group)
        fields = self.__dict__ if group is None else {**self.__dict__, **group._hyper}
        adjusts = fields["adjust_lr_fn"] == "match_rms_adamw"
        adam_lr = values["lr"] if fields["adam_lr"] is None else values["adam_lr"]
        return {**values, "adam_lr": adam_lr, "match_rms_adamw": ("adjust_lr_fn", adjusts)}


class Adafactor(Rule):
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

    rule = "adafactor"
    _several: ClassVar = {"eps": ("eps1", "eps2")}

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
            alike("Adafactor", name, value)
            least = None if value[0] is None else number("Adafactor", "eps[0]", value[0])
            return least, number("Adafactor", "eps[1]", value[1])
        if name == "machine_eps":
            raise AttributeError("Adafactor has no hyperparameter 'machine_eps'")
        return super()._checked(name, value)

    def _values(self, group: Group | None) -> dict[str, tuple[str, Any]]:
        values = super()._values(group)
        label, least = values["eps1"]
        return {**values, "eps1": (label, least or 0.0), "machine_eps": (label, least is None)}
