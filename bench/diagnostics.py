"""What looking inside costs: `inspect` and LSUV of ResNet-18 in training steps, ZCA in fits of PCA.

    python -m bench.diagnostics             all three
    python -m bench.diagnostics --check     ends with 1 above LIMITS
    python -m bench.diagnostics --quick     smaller data and one round: does it run
    python -m bench.diagnostics zca         one of them

Every figure is the median of the ratios of turns inside one process. ResNet-18 takes batches of 32 images of
3 x 32 x 32 on one thread, `inspect` and LSUV with the recording and compilation of their programs. The fits
are of 60,000 x 784 float32 numbers on two threads, PCA with the solver that scikit-learn takes by itself.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

LIMITS = {"inspect": 3.0, "lsuv": 10.0, "zca": 1.0}


def seconds(work: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def ratio(work: Callable[[], Any], unit: Callable[[], Any], rounds: int) -> float:
    """The median, over the rounds, of the time of the one over that of the other just before it and after."""
    ratios, before = [], seconds(unit)
    for _ in range(rounds):
        own, after = seconds(work), seconds(unit)
        ratios.append(own / ((before + after) / 2))
        before = after
    return statistics.median(ratios)


def resnet18(name: str, quick: bool, rounds: int) -> float:
    """`inspect` or LSUV, in training steps."""
    import ravine as rv
    from ravine import diagnostics, init, nn, optim

    rv.set_num_threads(1)
    rv.seed(0)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((32, 3, 32, 32), np.float32), rng.integers(0, 10, 32)
    model, loss = rv.models.resnet18(3, 10, width=8 if quick else 64), nn.CrossEntropyLoss()
    step = rv.TrainStep(model, loss, optim.SGD(lr=0.01, momentum=0.9))
    looks: dict[str, Callable[[], Any]] = {
        "inspect": lambda: diagnostics.inspect(model, x, y, loss),
        "lsuv": lambda: init.lsuv(model, x),
    }
    step(x, y)
    return ratio(looks[name], lambda: step(x, y), rounds)


def zca(quick: bool, rounds: int) -> float:
    """The fit of ZCA, in fits of scikit-learn's PCA."""
    from sklearn.decomposition import PCA
    from threadpoolctl import threadpool_limits

    import ravine as rv
    from ravine.preprocessing import ZCA

    rv.set_num_threads(2)
    rng = np.random.default_rng(0)
    n, columns = (5_000, 100) if quick else (60_000, 784)
    x = (rng.standard_normal((n, columns)) @ rng.standard_normal((columns, columns))).astype(np.float32)
    with threadpool_limits(2):
        # The eigenvectors count too: they are computed with the matrix.
        return ratio(lambda: ZCA().fit(x).whitening_, lambda: PCA().fit(x), rounds)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=list(LIMITS), metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="does it run")
    parser.add_argument("--check", action="store_true", help="end with 1 above the limits")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    if unknown := set(given.names) - set(LIMITS):
        parser.error(f"unknown names {sorted(unknown)}; there are {', '.join(LIMITS)}")
    rounds, above = 1 if given.quick else given.rounds, False
    for name in given.names:
        found = zca(given.quick, rounds) if name == "zca" else resnet18(name, given.quick, rounds)
        above = above or found > LIMITS[name]
        unit = "fits of scikit-learn's PCA" if name == "zca" else "training steps"
        print(f"{name}: {found:.2f} {unit}, limit {LIMITS[name]:g}", flush=True)
    return int(given.check and above)


if __name__ == "__main__":
    sys.exit(main())
