"""Metrics of regression; of several outputs the mean over them, as scikit-learn's uniform average."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._metric import Metric

__all__ = ["MAE", "R2", "RMSE"]


def _pairs(what: str, output: Any, target: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64 [n, outputs]."""
    if not isinstance(output, np.ndarray) or not isinstance(target, np.ndarray):
        kinds = f"{type(output).__name__} and {type(target).__name__}"
        raise ValueError(f"{what}: one array of outputs and one of targets are expected, got {kinds}")
    same = output.shape == target.shape or (
        output.size == target.size and max(output.ndim, target.ndim) <= 2 and len(output) == len(target)
    )
    if not same or output.ndim == 0:
        raise ValueError(f"{what}: output {output.shape} and target {target.shape} do not fit")
    n = len(output)
    return output.astype(np.float64).reshape(n, -1), target.astype(np.float64).reshape(n, -1)


class MAE(Metric):
    """The mean absolute error, `mean_absolute_error`."""

    fields = ("total", "numbers")

    def reset(self) -> None:
        self.total, self.numbers = 0.0, 0

    def update(self, output: Any, target: Any) -> None:
        output, target = _pairs("MAE", output, target)
        self.total += float(np.abs(output - target).sum())
        self.numbers += output.size

    def compute(self) -> float:
        return self.total / self.numbers if self.numbers else float("nan")


class RMSE(Metric):
    """The root of the mean squared error, `root_mean_squared_error`."""

    fields = ("squares", "examples")

    def reset(self) -> None:
        self.squares: np.ndarray | None = None
        self.examples = 0

    def update(self, output: Any, target: Any) -> None:
        output, target = _pairs("RMSE", output, target)
        squares = np.square(output - target).sum(axis=0)
        self.squares = squares if self.squares is None else self.squares + squares
        self.examples += len(output)

    def compute(self) -> float:
        if self.squares is None:
            return float("nan")
        return float(np.sqrt(self.squares / self.examples).mean())


class R2(Metric):
    """The coefficient of determination, `r2_score`: 1 - Σ(y - ŷ)² / Σ(y - ȳ)².

    NaN for fewer than two examples; of targets that are all equal 1 if they are met, and 0 if not.

    Source of the sums over batches: Chan, Golub and LeVeque 1979, Stanford CS-TR-79-773.
    """

    fields = ("residual", "mean", "spread", "examples")

    def reset(self) -> None:
        self.residual: np.ndarray | None = None
        self.mean: np.ndarray | None = None
        self.spread: np.ndarray | None = None
        self.examples = 0

    def update(self, output: Any, target: Any) -> None:
        output, target = _pairs("R2", output, target)
        n = len(target)
        residual, mean = np.square(output - target).sum(axis=0), target.mean(axis=0)
        spread = np.square(target - mean).sum(axis=0)
        if self.residual is None or self.mean is None or self.spread is None:
            self.residual, self.mean, self.spread, self.examples = residual, mean, spread, n
            return
        total, apart = self.examples + n, mean - self.mean
        self.residual = self.residual + residual
        self.spread = self.spread + spread + apart**2 * (self.examples * n / total)
        self.mean = self.mean + apart * (n / total)
        self.examples = total

    def compute(self) -> float:
        if self.residual is None or self.spread is None or self.examples < 2:
            return float("nan")
        equal = self.spread == 0.0
        ratio = self.residual / np.where(equal, 1.0, self.spread)
        return float(np.where(equal, np.where(self.residual == 0.0, 1.0, 0.0), 1.0 - ratio).mean())
