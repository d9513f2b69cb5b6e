"""`ravine.minimize` beside scipy.optimize on the test functions of the tests: evaluations, minima, time.

`python -m bench.minimize [--methods l-bfgs bfgs cg] [--repeat 5]`. Both minimise the same compiled function
and gradient to the same size of the gradient; times are the least of the repetitions, ours with recording and
compiling.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from scipy import optimize

import ravine as rv

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "python"))
from minimize_problems import FUNCTIONS, MGH

SCIPY = {
    "l-bfgs": ("L-BFGS-B", {"ftol": 0.0, "gtol": 1e-5, "maxiter": 20000, "maxfun": 20000}),
    "bfgs": ("BFGS", {"gtol": 1e-5, "maxiter": 20000}),
    "cg": ("CG", {"gtol": 1e-5, "maxiter": 20000}),
}


class Timed(NamedTuple):
    result: Any
    seconds: float


def timed(call: Callable[[], Any], repeat: int) -> Timed:
    best, result = float("inf"), None
    for _ in range(repeat):
        started = time.perf_counter()
        result = call()
        best = min(best, time.perf_counter() - started)
    return Timed(result, best)


def compare(method: str, repeat: int) -> None:
    counterpart, options = SCIPY[method]
    columns = (
        f"{'evaluations':>11} {'SciPy':>6} {'ratio':>6} {'minimum':>14} {'SciPy':>14} {'time ratio':>10}"
    )
    print(f"\n{method:26} {columns}")
    evaluations, times = [], []
    for name, (function, start) in {**FUNCTIONS, **MGH}.items():
        compiled = rv.value_and_grad(function)
        ours = timed(
            lambda f=function, x=start: rv.minimize(f, x, method=method, max_iterations=20000), repeat
        )
        theirs = timed(
            lambda f=compiled, x=start: optimize.minimize(
                f, x, jac=True, method=counterpart, options=options
            ),
            repeat,
        )
        evaluations.append(ours.result.nfev / theirs.result.nfev)
        times.append(ours.seconds / theirs.seconds)
        print(
            f"{name:26} {ours.result.nfev:11} {theirs.result.nfev:6} {evaluations[-1]:6.2f} "
            f"{ours.result.fun:14.6e} {theirs.result.fun:14.6e} {times[-1]:10.2f}"
        )
    print(f"median: {statistics.median(evaluations):.2f} of {counterpart}'s evaluations, ", end="")
    print(f"{statistics.median(times):.2f} of its time, {len(times)} functions")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", nargs="+", choices=sorted(SCIPY), default=sorted(SCIPY))
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # SciPy's, of precision
    for chosen in arguments.methods:
        compare(chosen, arguments.repeat)
