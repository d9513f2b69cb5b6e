"""`ravine.minimize`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._numbers import number, whole
from ._coordinate import block_coordinate, coordinate
from ._descent import bfgs, cg, gd, lbfgs
from ._newton import newton, newton_cg
from ._problem import Problem
from ._run import STOPPED, MinimizeResult, Run, Stop, result_of

METHODS: dict[str, Callable[..., None]] = {
    "gd": gd,
    "cg": cg,
    "bfgs": bfgs,
    "l-bfgs": lbfgs,
    "newton": newton,
    "newton-cg": newton_cg,
    "coordinate": coordinate,
    "block-coordinate": block_coordinate,
}
# Beyond this many unknowns a dense matrix of them takes more than 1 GB.
MOST_DENSE = 11_000
DENSE = ("bfgs", "newton")


def minimize(
    fn: Callable[..., Any],
    x0: Any,
    args: Sequence[Any] = (),
    method: str = "l-bfgs",
    *,
    gtol: float | None = None,
    ftol: float = 0.0,
    max_iterations: int | None = None,
    max_evaluations: int | None = None,
    callback: Callable[[MinimizeResult], Any] | None = None,
    **options: Any,
) -> MinimizeResult:
    """Minimises a function of arrays, or of the parameters of a model, by a full-batch method.

    The function and its gradient are recorded and compiled once, then evaluated together; each evaluation is
    one program. Steps are exact functions of the inputs: there is no randomness, and no mini-batch.

    Methods and their options:

    - "gd": gradient descent. `line_search` "armijo" (default) or "strong-wolfe", or a fixed step `lr`.
    - "cg": non-linear conjugate gradients. `beta` "HS" (Hestenes-Stiefel, default), "PR+" (Polak-Ribière) or
      "FR" (Fletcher-Reeves). Restarts where successive gradients are far from orthogonal, |g·g₋| ≥ `powell` ·
      |g|² (0.5), and after `restart` iterations if that is given. `c2` is 0.1.
    - "bfgs": the inverse Hessian approximated densely; for up to some thousand unknowns.
    - "l-bfgs": the same from the last `memory` (10) steps.
    - "newton": the exact Hessian H, damped as Levenberg and Marquardt do: (H + λ I) p = -g, with λ such that
      |p| is at most a radius, which follows the ratio of the reduction found to the one promised. `radius`
      (none) is the first one, `damping` (0) a λ that is always there. `saddle_free=True` takes |H|, with
      absolute eigenvalues, in the place of H.
    - "newton-cg": Newton with exact Hessian-vector products only: conjugate gradients in a trust region
      (Steihaug). `radius` (1), `max_radius` (1e6), and at most `max_products` in an iteration.
    - "coordinate": one unknown after the other, each to its minimum. `order` "cyclic", "random" (by `seed`),
      "greedy" (largest gradient first). An iteration is a sweep over all.
    - "block-coordinate": one block of unknowns after the other, by at most `inner_iterations` (10) of the
      method `inner` ("l-bfgs"). `blocks`: for several arrays or a model lists of names (each array by
      default), for one array indices into it. An iteration is a sweep over all blocks.

    Line searches ("gd", "cg", "bfgs", "l-bfgs") take `line_search` "strong-wolfe" (Moré and Thuente) or
    "armijo" (backtracking), with the constants `c1` (1e-4) and `c2` (0.9).

    Args:
        fn: `fn(x, *args)`, or for a model `fn(model, *args)`, a function of tensors that returns a scalar
            tensor.
        x0: where to start: a float32 or float64 array (lists of numbers are float32), or arrays in tuples,
            lists and dicts; or a module, whose parameters with `requires_grad` are the unknowns, and hold the
            minimum afterwards. It stays in the mode it is in; in training mode every evaluation counts in
            the running statistics of BatchNorm.
        args: further arguments, not differentiated; arrays become tensors.
        method: see above.
        gtol: converged where no component of the gradient is larger; 1e-5 in float64, 1e-3 in float32.
        ftol: converged where an iteration reduces the function by no more, relative to max(|f|, 1).
        max_iterations: by default 200 for each unknown, at least 1000.
        max_evaluations: no limit by default.
        callback: called after each iteration with the result so far; a true answer, or StopIteration, ends.

    Returns:
        A `MinimizeResult`; where `success` is false, `message` says why.

    Raises:
        TypeError, ValueError: arguments that do not fit, a function that is no floating scalar, that is not
            finite at the start, or that draws random numbers. A model is as it was then.

    Sources: Nocedal and Wright, Numerical Optimization, 2006; Moré and Thuente 1994,
    https://doi.org/10.1145/192115.192132; Liu and Nocedal 1989, https://doi.org/10.1007/BF01589116; Dauphin
    et al. 2014, https://arxiv.org/abs/1406.2572; Martens 2010 (Hessian-free).

    Example:
        >>> import numpy as np, ravine as rv
        >>> def rosenbrock(x):
        ...     return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()
        >>> result = rv.minimize(rosenbrock, np.array([-1.2, 1.0]), method="bfgs")
        >>> result.success, result.x.round(4)
        (True, array([1., 1.]))
        >>> model = rv.nn.Linear(1, 1).to("float64")
        >>> x = np.array([[0.0], [1.0], [2.0]])
        >>> loss = lambda model, x, y: ((model(x) - y) ** 2).mean()
        >>> rv.minimize(loss, model, (x, 3 * x + 1), method="newton").nit
        1
        >>> model.weight.data.round(6), model.bias.data.round(6)
        (array([[3.]]), array([1.]))
    """
    run_method = _method(method, options)
    problem = Problem(fn, x0, args)
    n = len(problem.start)
    if method in DENSE and n > MOST_DENSE:
        raise ValueError(
            f"minimize: {method!r} keeps a dense matrix of {n} rows; 'l-bfgs' and 'newton-cg' do not"
        )
    if gtol is None:
        gtol = 1e-3 if problem.dtype == np.float32 else 1e-5
    if callback is not None and not callable(callback):
        raise TypeError(f"minimize: callback must be a function, got {callback!r}")
    run = Run(
        problem,
        problem.start,
        gtol=number("minimize", "gtol", gtol),
        ftol=number("minimize", "ftol", ftol),
        max_iterations=whole(
            "minimize", "max_iterations", max(1000, 200 * n) if max_iterations is None else max_iterations
        ),
        max_evaluations=None
        if max_evaluations is None
        else whole("minimize", "max_evaluations", max_evaluations),
        callback=None if callback is None else _callback(callback, problem),
    )
    try:
        with np.errstate(all="ignore"):  # trial steps may leave the finite numbers, and are taken back
            run.start()
            run_method(run, **options)
        raise AssertionError(f"{method} returned without a reason")
    except Stop as stop:
        return result_of(run, problem, stop.status, stop.message)
    finally:
        problem.store(run.x)


def _method(method: str, options: dict[str, Any]) -> Callable[..., None]:
    if method not in METHODS:
        raise ValueError(f"minimize: method must be one of {', '.join(METHODS)}, got {method!r}")
    known = [name for name in inspect.signature(METHODS[method]).parameters if name != "run"]
    unknown = [name for name in options if name not in known]
    if unknown:
        raise TypeError(
            f"minimize: method {method!r} has no option {', '.join(unknown)}; it has {', '.join(known)}"
        )
    return METHODS[method]


def _callback(callback: Callable[[MinimizeResult], Any], problem: Problem) -> Callable[[Run], Any]:
    def call(run: Run) -> bool:
        try:
            return bool(callback(result_of(run, problem, STOPPED, "under way")))
        except StopIteration:
            return True

    return call
