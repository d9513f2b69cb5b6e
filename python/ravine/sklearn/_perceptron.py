"""The network of a multilayer perceptron, its initial weights, and its losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from .. import nn, ops

__all__ = ["ACTIVATIONS", "LOSSES", "PenalizedLoss", "linear_layers", "perceptron"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "identity": nn.Identity,
    "logistic": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}


def perceptron(
    widths: Sequence[int],
    activation: str,
    batch_norm: bool,
    dropout: float,
    dtype: np.dtype[Any],
    random: np.random.RandomState,
) -> nn.Sequential:
    """Linear layers from width to width, the activation between them, perhaps BatchNorm before it and dropout
    after it.

    The weights are Glorot's, drawn as scikit-learn does: from the same random state, the same ones.
    Source: X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    AISTATS 2010.
    """
    layers: list[nn.Module] = []
    for i, (fan_in, fan_out) in enumerate(pairwise(widths)):
        linear = nn.Linear(fan_in, fan_out)
        bound = np.sqrt((2.0 if activation == "logistic" else 6.0) / (fan_in + fan_out))
        weight = random.uniform(-bound, bound, (fan_in, fan_out))
        bias = random.uniform(-bound, bound, fan_out)
        linear.to(dtype.name).load_state_dict({"weight": weight.T.astype(dtype), "bias": bias.astype(dtype)})
        layers.append(linear)
        if i < len(widths) - 2:
            layers += [nn.BatchNorm1d(fan_out)] if batch_norm else []
            layers.append(ACTIVATIONS[activation]())
            layers += [nn.Dropout(dropout)] if dropout > 0.0 else []
    return nn.Sequential(*layers).to(dtype.name)


def linear_layers(network: nn.Module) -> list[nn.Linear]:
    """The Linear layers of a perceptron, from the input on."""
    return [module for module in network.modules() if isinstance(module, nn.Linear)]


def _yes_or_no(output: Any, target: Any) -> Any:
    return ops.binary_cross_entropy_with_logits(output, target, reduction="none").sum(dim=1)


def _classes(output: Any, target: Any) -> Any:
    return ops.cross_entropy(output, target, reduction="none")


def _squares(output: Any, target: Any) -> Any:
    return 0.5 * ops.square(output - target).sum(dim=1)


def _poisson(output: Any, target: Any) -> Any:
    return (ops.exp(output) - target * output + ops.xlogy(target, target) - target).sum(dim=1)


# Losses of each example, by the name of what the outputs go through.
LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "logistic": _yes_or_no,
    "softmax": _classes,
    "identity": _squares,
    "exp": _poisson,
}


class PenalizedLoss(nn.Module):
    """(Σ w l + alpha / 2 · Σ W²) / Σ w over a mini-batch, W being the weights of the Linear layers.

    Args:
        network: the perceptron.
        out_activation: a key of `LOSSES`.
        alpha: strength of the penalty.

    The target is an array, or a tuple of it and the weights of the examples.
    """

    def __init__(self, network: nn.Module, out_activation: str, alpha: float) -> None:
        super().__init__()
        self.network = network
        self.out_activation = out_activation
        self.alpha = float(alpha)

    def forward(self, output: Any, target: Any) -> Any:
        target, weight = target if isinstance(target, tuple) else (target, None)
        each = LOSSES[self.out_activation](output, target)
        total, count = (
            (each.sum(), each.shape[0]) if weight is None else ((weight * each).sum(), weight.sum())
        )
        if self.alpha > 0.0:
            squares = sum(ops.square(layer.weight).sum() for layer in linear_layers(self.network))
            total = total + 0.5 * self.alpha * squares
        if weight is not None:
            count = ops.where(count > 0.0, count, 1.0)  # a batch whose weights are all 0
        return total / count
