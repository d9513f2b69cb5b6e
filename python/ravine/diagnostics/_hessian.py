"""The curvature of a loss: extreme eigenvalues of its Hessian, from exact products with vectors."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _core, nn
from .._grad import hvp
from .._numbers import positive, whole
from .._probe import as_inputs, check_model


@dataclass(frozen=True)
class Curvature:
    """What `hessian_eigenvalues` found.

    Attributes:
        eigenvalues: the k largest, descending, [k].
        residuals: bounds of their errors, [k].
        ritz_values: all that the iteration found, descending: the ends of the spectrum are exact first.
        complete: whether the iteration went on to the number of parameters, so that these are all
            eigenvalues.
    """

    eigenvalues: np.ndarray
    residuals: np.ndarray
    ritz_values: np.ndarray
    complete: bool

    @property
    def sharpness(self) -> float:
        """The largest eigenvalue: the curvature in the sharpest direction."""
        return float(self.eigenvalues[0])

    @property
    def max_rate(self) -> float:
        """2 / sharpness: descent with a larger rate diverges in that direction; infinite for no curvature."""
        return 2 / self.sharpness if self.sharpness > 0 else math.inf

    @property
    def condition_number(self) -> float:
        """The largest over the smallest magnitude found; a lower bound unless `complete`."""
        sizes = np.abs(self.ritz_values)
        return float(sizes.max() / sizes.min()) if sizes.min() > 0 else math.inf

    def __str__(self) -> str:
        values = ", ".join(f"{value:.4g}" for value in self.eigenvalues)
        bound = "" if self.complete else "at least "
        return (
            f"largest eigenvalues {values}; smallest found {self.ritz_values[-1]:.4g}; condition number "
            f"{bound}{self.condition_number:.4g}; rates below {self.max_rate:.4g} descend"
        )


def hessian_eigenvalues(
    model: nn.Module,
    loss: Callable[[Any, Any], Any],
    x: Any,
    y: Any,
    k: int = 5,
    *,
    iterations: int | None = None,
    tolerance: float = 1e-4,
    seed: int = 0,
) -> Curvature:
    """The largest eigenvalues of the Hessian of a loss by a model's parameters.

    Lanczos iteration with full reorthogonalisation on exact products (`rv.hvp`); a product costs a few
    gradients. Large eigenvalues bound the rate (2 / the largest for gradient descent), negative ones show
    a saddle.

    Args:
        model: a copy of it runs, in the mode it is in; with dropout take `model.eval()`.
        loss: a function of (output, y) that returns a scalar tensor.
        x: a batch of inputs; of a model with several, a tuple.
        y: its labels.
        k: how many.
        iterations: products at most; 20 + 4k by default, never more than there are parameters.
        tolerance: it ends early where the errors of the k are below this share of the largest.
        seed: of the first vector.

    Raises TypeError for something else than a module, ValueError where no parameter is trained or k exceeds
    their number, FloatingPointError where a product is not finite.

    Source: Lanczos 1950; Pearlmutter 1994 for the products.

    Example:
        >>> import numpy as np
        >>> from ravine import diagnostics, nn
        >>> x, y = np.array([[3.0, 0.0], [0.0, 1.0]]), np.zeros((2, 1))
        >>> model = nn.Linear(2, 1, bias=False).double()
        >>> found = diagnostics.hessian_eigenvalues(model, nn.MSELoss(), x, y, k=2)
        >>> found.eigenvalues.round(6), round(found.max_rate, 6), round(found.condition_number, 6)
        (array([9., 1.]), 0.222222, 9.0)
    """
    what = "hessian_eigenvalues"
    check_model(what, model)
    k = whole(what, "k", k)
    tolerance = positive(what, "tolerance", tolerance)
    twin = copy.deepcopy(model)
    shapes = {name: p.shape for name, p in twin.named_parameters() if p.requires_grad}
    n = sum(math.prod(shape) for shape in shapes.values())
    if n == 0:
        raise ValueError(f"{what}: no parameter of {type(model).__name__} requires a gradient")
    if k > n:
        raise ValueError(f"{what}: k={k}, but there are {n} parameters")
    most = min(n, 20 + 4 * k if iterations is None else whole(what, "iterations", iterations, k))
    product = hvp(lambda m, *arrays: loss(m(*arrays[:-1]), arrays[-1]), twin)
    arguments = (*as_inputs(x), y)

    def times(vector: np.ndarray) -> np.ndarray:
        parts, start = {}, 0
        for name, shape in shapes.items():
            size = math.prod(shape)
            parts[name] = vector[start : start + size].reshape(shape)
            start += size
        products = product(*arguments, parts)
        result = np.concatenate([np.asarray(products[name], np.float64).ravel() for name in shapes])
        if not np.isfinite(result).all():
            raise FloatingPointError(f"{what}: the product of the Hessian and a vector is not finite")
        return result

    return _lanczos(times, n, k, most, tolerance, np.random.default_rng(seed))


def _lanczos(
    times: Callable[[np.ndarray], np.ndarray],
    n: int,
    k: int,
    most: int,
    tolerance: float,
    generator: np.random.Generator,
) -> Curvature:
    basis = np.zeros((most, n))
    diagonal, beside = np.zeros(most), np.zeros(most)
    vector = generator.standard_normal(n)
    vector /= np.linalg.norm(vector)
    size = 0
    while True:
        basis[size] = vector
        rest = times(vector)
        diagonal[size] = vector @ rest
        size += 1
        for _ in range(2):  # once leaves what rounding put in
            rest -= basis[:size].T @ (basis[:size] @ rest)
        beside[size - 1] = np.linalg.norm(rest)
        tridiagonal = np.diag(diagonal[:size])
        steps = np.arange(size - 1)
        tridiagonal[steps, steps + 1] = tridiagonal[steps + 1, steps] = beside[: size - 1]
        values, vectors = (array[..., ::-1] for array in _core.symmetric_eigen(tridiagonal))
        residuals = np.abs(beside[size - 1] * vectors[-1, : min(k, size)])
        scale = np.abs(values).max()
        exhausted = beside[size - 1] <= 1e-10 * scale
        done = size >= k and not exhausted and residuals.max() <= tolerance * scale and size >= min(2 * k, n)
        if size == most or done:
            return Curvature(values[:k].copy(), residuals, values.copy(), size == n)
        if exhausted:  # all directions that this one leads to are seen: go on in another
            beside[size - 1] = 0.0
            rest = generator.standard_normal(n)
            for _ in range(2):
                rest -= basis[:size].T @ (basis[:size] @ rest)
        vector = rest / np.linalg.norm(rest)
