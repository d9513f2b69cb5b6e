"""A minimisation under way: the newest point, when to stop, and the result."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ._problem import Problem, largest

CONVERGED, ITERATIONS, EVALUATIONS, FAILED, STOPPED = 0, 1, 2, 3, 99
UNBOUNDED = -1e100
MOST_STILL = 10  # iterations that change nothing beyond rounding
MOST_NOISY = 100  # iterations that together reduce nothing beyond the noise of the function


@dataclass(frozen=True)
class MinimizeResult:
    """What `minimize` returns; the fields are those of SciPy's OptimizeResult, `result["x"]` is `result.x`.

    Attributes:
        x: the minimum, in the form of the unknowns; for a model a dict of its parameters by name.
        fun: the value there.
        jac: the gradient there, in the form of x.
        success: whether a minimum was found, to the tolerances or to the precision of the dtype.
        status: 0 converged, 1 too many iterations, 2 too many evaluations, 3 no step reduces the function, 99
            stopped by the callback.
        message: the same in words.
        nit: iterations done.
        nfev: evaluations of the function; each gives value and gradient.
        njev: evaluations of the gradient, as many.
        nhev: Hessian-vector products.
        hess_inv: the approximation of the inverse Hessian [n, n] that method "bfgs" ends with, else None.
    """

    x: Any
    fun: float
    jac: Any
    success: bool
    status: int
    message: str
    nit: int
    nfev: int
    njev: int
    nhev: int
    hess_inv: np.ndarray | None = None

    def __getitem__(self, name: str) -> Any:
        if name not in self.keys():
            raise KeyError(name)
        return getattr(self, name)

    def keys(self) -> list[str]:
        return [field.name for field in fields(self)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())


class Stop(Exception):
    """Ends a minimisation, from wherever it is noticed."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Run:
    """The point reached, and the rules for stopping.

    Methods call `evaluate` and `accept`, which raise `Stop`.
    """

    def __init__(
        self,
        problem: Any,
        x: np.ndarray,
        *,
        gtol: float,
        ftol: float = 0.0,
        max_iterations: int,
        max_evaluations: int | None = None,
        callback: Callable[[Run], Any] | None = None,
    ) -> None:
        self.problem = problem
        self.gtol = gtol
        self.ftol = ftol
        self.max_iterations = max_iterations
        self.max_evaluations = max_evaluations
        self.callback = callback
        self.iterations = 0
        self.hess_inv: np.ndarray | None = None
        self.x = x
        self.f, self.g = math.nan, x
        self._still = 0
        self._smallest = math.inf  # the least of the gradients' largest components
        # Value and largest component at the newest progress that noise cannot explain, and iterations since.
        self._lowest = self._flattest = math.inf
        self._since = 0

    def start(self) -> None:
        """Evaluates the first point."""
        self.f, self.g = self.problem.evaluate(self.x)
        if not (math.isfinite(self.f) and np.isfinite(self.g).all()):
            what = f"the function is {self.f}" if not math.isfinite(self.f) else "the gradient is not finite"
            raise ValueError(f"minimize: {what} at the starting point, expected finite numbers")
        self.check_gradient()

    def evaluate(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        if self.max_evaluations is not None and self.problem.evaluations >= self.max_evaluations:
            raise Stop(EVALUATIONS, f"stopped after {self.max_evaluations} evaluations of the function")
        return self.problem.evaluate(x)

    def moved(self, step: float, direction: np.ndarray) -> np.ndarray:
        """The point a step along a direction, in the dtype of the problem."""
        return (self.x + step * direction).astype(self.problem.dtype, copy=False)

    def rounding(self, f: float | None = None) -> float:
        """How much two values of the function near f may differ by rounding alone."""
        return 10.0 * self.problem.eps * abs(self.f if f is None else f)

    def noise(self) -> float:
        """How much rounding inside of the function may change its value, where that is ill-conditioned."""
        return float(self.problem.eps) ** 0.75 * abs(self.f)

    def accept(self, x: np.ndarray, f: float, g: np.ndarray) -> None:
        """Moves to a point: one iteration."""
        before = self.f
        self.x, self.f, self.g = x, f, g
        size = largest(g)
        smallest = min(self._smallest, size)
        still = abs(before - f) <= self.problem.eps * abs(f) and smallest > 0.9 * self._smallest
        self._still = self._still + 1 if still else 0
        if f < self._lowest - self.noise() or size <= 0.9 * self._flattest:
            self._lowest, self._flattest, self._since = min(f, self._lowest), min(size, self._flattest), 0
        else:
            self._since += 1
        self._smallest = smallest
        self.iterations += 1
        if self.callback is not None and self.callback(self):
            raise Stop(STOPPED, "stopped by the callback")
        self._check_gradient(size)
        if before - f <= self.ftol * max(abs(before), abs(f), 1.0) and self.ftol > 0:
            raise Stop(
                CONVERGED, f"converged: an iteration reduced the function by no more than ftol={self.ftol:g}"
            )
        if self._still >= MOST_STILL or self._since >= MOST_NOISY:
            raise Stop(
                CONVERGED,
                f"converged to the precision of {self.problem.dtype}: {max(self._still, self._since)} "
                f"iterations reduced neither function nor gradient, whose largest component is {size:.3g}",
            )
        if f < UNBOUNDED:
            raise Stop(
                FAILED, f"the function falls without end: it is {f:.3g} after {self.iterations} iterations"
            )
        if self.iterations >= self.max_iterations:
            raise Stop(ITERATIONS, f"stopped after {self.max_iterations} iterations")

    def check_gradient(self) -> None:
        self._check_gradient(largest(self.g))

    def _check_gradient(self, size: float) -> None:
        if size <= self.gtol:
            raise Stop(CONVERGED, f"converged: no component of the gradient exceeds gtol={self.gtol:g}")

    def give_up(self, promised: float, why: str) -> Stop:
        """Where no step reduces the function, though its gradient promises a reduction by `promised`."""
        seen = f"the largest component of the gradient is {largest(self.g):.3g}"
        if promised <= max(self.rounding(), float(np.finfo(np.float64).tiny)):
            return Stop(CONVERGED, f"converged to the precision of {self.problem.dtype}; {seen}")
        return Stop(
            FAILED,
            f"{why}; {seen}. Is the function smooth and well scaled here, its gradient exact? Rounding may "
            f"hide the decrease of a function in float32: float64 may go on",
        )


def result_of(run: Run, problem: Problem, status: int, message: str) -> MinimizeResult:
    return MinimizeResult(
        x=problem.shaped(run.x),
        fun=run.f,
        jac=problem.shaped(run.g),
        success=status == CONVERGED,
        status=status,
        message=message,
        nit=run.iterations,
        nfev=problem.evaluations,
        njev=problem.evaluations,
        nhev=problem.products,
        hess_inv=run.hess_inv,
    )
