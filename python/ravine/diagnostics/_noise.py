"""How much the gradients of mini-batches differ."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import nn
from .._grad import value_and_grad
from .._numbers import whole
from .._plot import new_axes
from .._probe import check_model

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class GradientNoise:
    """What `gradient_variance` found.

    Attributes:
        batch_sizes: [n].
        variance: for each the summed variance of all elements of the gradient between batches, [n].
        cosine: the mean cosine between the gradients of two batches, [n].
        gradient_norm: the norm of the mean gradient, [n].
    """

    batch_sizes: np.ndarray
    variance: np.ndarray
    cosine: np.ndarray
    gradient_norm: np.ndarray

    def plot(self) -> Figure:
        """Draws the variance over the batch size. Raises ModuleNotFoundError without matplotlib."""
        labels = {"xlabel": "batch size", "ylabel": "variance of the gradient"}
        figure, axes = new_axes("GradientNoise.plot", xscale="log", yscale="log", **labels)
        axes.plot(self.batch_sizes, self.variance, marker="o", label="measured")
        first = self.variance[0] * self.batch_sizes[0]
        axes.plot(self.batch_sizes, first / self.batch_sizes, linestyle=":", label="1 / batch size")
        axes.legend()
        return figure


def gradient_variance(
    model: nn.Module,
    loss: Callable[[Any, Any], Any],
    x: np.ndarray,
    y: np.ndarray,
    batch_sizes: Sequence[int] = (1, 4, 16, 64),
    *,
    samples: int = 32,
    seed: int = 0,
) -> GradientNoise:
    """The variance of the gradient between mini-batches, which falls as one over their size.

    Args:
        model: a copy of it runs, in the mode it is in.
        loss: a function of (output, y) that returns the mean over the batch.
        x: examples [n, ...].
        y: labels [n, ...].
        batch_sizes: which are tried; at most n.
        samples: batches of each size, at least 2, drawn at random, each without repetition.
        seed: of the draws.

    Raises TypeError for something else than a module, ValueError for sizes beyond the examples.

    Example:
        >>> import numpy as np
        >>> from ravine import diagnostics, nn
        >>> x = np.random.default_rng(0).standard_normal((512, 3))
        >>> noise = diagnostics.gradient_variance(nn.Linear(3, 1), nn.MSELoss(), x, x[:, :1], (4, 64))
        >>> bool(8 < noise.variance[0] / noise.variance[1] < 32)
        True
    """
    what = "gradient_variance"
    check_model(what, model)
    samples = whole(what, "samples", samples, 2)
    sizes = [whole(what, "batch_sizes", size) for size in batch_sizes]
    x, y = np.asarray(x), np.asarray(y)
    if len(x) != len(y) or not sizes or max(sizes) > len(x):
        raise ValueError(f"{what}: batches of {sizes} from {len(x)} examples and {len(y)} labels")
    gradient = value_and_grad(lambda m, x, y: loss(m(x), y), copy.deepcopy(model))
    generator = np.random.default_rng(seed)
    rows = []
    for size in sizes:
        gradients = []
        for _ in range(samples):
            chosen = generator.choice(len(x), size, replace=False)
            _, parts = gradient(x[chosen], y[chosen])
            gradients.append(np.concatenate([np.asarray(g, np.float64).ravel() for g in parts.values()]))
        rows.append(_spread(np.array(gradients)))
    variance, cosine, norm = np.array(rows).T
    return GradientNoise(np.array(sizes), variance, cosine, norm)


def _spread(gradients: np.ndarray) -> tuple[float, float, float]:
    mean = gradients.mean(axis=0)
    variance = ((gradients - mean) ** 2).sum() / (len(gradients) - 1)
    norms = np.linalg.norm(gradients, axis=1, keepdims=True)
    units = gradients / np.where(norms > 0, norms, 1)
    total = units.sum(axis=0)
    pairs = len(gradients) * (len(gradients) - 1)
    cosine = (total @ total - (units * units).sum()) / pairs
    return float(variance), float(cosine), float(np.linalg.norm(mean))
