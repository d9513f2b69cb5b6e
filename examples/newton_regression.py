"""Linear and logistic regression trained by Newton's method.

A linear regression is quadratic in its weights, so one step ends at the minimum; a logistic regression takes
a few.
"""

from __future__ import annotations

import numpy as np

import ravine as rv
from ravine import nn, ops

rng = np.random.default_rng(0)
x = rng.standard_normal((500, 8))
weights = rng.standard_normal(8)


def squared_error(model, x, y):
    return ((model(x) - y) ** 2).mean()


def penalised_log_loss(model, x, y):
    return ops.binary_cross_entropy_with_logits(model(x), y) + 1e-3 * (model.weight**2).sum()


if __name__ == "__main__":
    rv.seed(0)
    linear = nn.Linear(8, 1).to("float64")
    y = (x @ weights + 0.5 + 0.1 * rng.standard_normal(500))[:, None]
    result = rv.minimize(squared_error, linear, (x, y), method="newton")
    exact = np.linalg.lstsq(np.column_stack([x, np.ones(500)]), y, rcond=None)[0].ravel()
    error = np.abs(np.append(linear.weight.data, linear.bias.data) - exact).max()
    print(f"linear: {result.nit} step, {error:.1e} from least squares")

    logistic = nn.Linear(8, 1).to("float64")
    y = (x @ weights + 0.3 * rng.standard_normal(500) > 0).astype("float64")[:, None]
    result = rv.minimize(
        penalised_log_loss,
        logistic,
        (x, y),
        method="newton",
        gtol=1e-9,
        callback=lambda so_far: print(f"  step {so_far.nit}: loss {so_far.fun:.9f}"),
    )
    accuracy = ((logistic(x) > 0) == (y > 0.5)).mean()
    print(f"logistic: {result.nit} steps, accuracy {accuracy:.3f}; {result.message}")
