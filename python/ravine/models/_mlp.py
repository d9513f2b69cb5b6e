"""Multilayer perceptrons."""

from __future__ import annotations

from collections.abc import Sequence

from .. import nn

__all__ = ["mlp"]


def mlp(
    in_features: int,
    out_features: int,
    hidden: Sequence[int] = (128, 64),
    *,
    batch_norm: bool = True,
    dropout: float = 0.0,
) -> nn.Sequential:
    """Flatten, then for each hidden width Linear, BatchNorm1d, ReLU and perhaps Dropout; a Linear at the end.

    Args:
        in_features: features of one example, all axes but the first multiplied.
        out_features: classes, or regression targets.
        hidden: widths of the hidden layers.
        batch_norm: normalise each hidden layer (its Linear then has no bias).
        dropout: probability after each hidden activation; 0 leaves the layer out.

    Shape: [n, ...] with in_features elements an example, to [n, out_features].

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.models.mlp(64, 10).eval()(np.zeros((2, 1, 8, 8), np.float32)).shape
        (2, 10)
    """
    layers: list[nn.Module] = [nn.Flatten()]
    width = in_features
    for next_width in hidden:
        layers.append(nn.Linear(width, next_width, bias=not batch_norm))
        if batch_norm:
            layers.append(nn.BatchNorm1d(next_width))
        layers.append(nn.ReLU())
        if dropout > 0.0:
            layers.append(nn.Dropout(dropout))
        width = next_width
    layers.append(nn.Linear(width, out_features))
    return nn.Sequential(*layers)
