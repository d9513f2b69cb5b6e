"""What loading costs: LeNet on Fashion-MNIST with crop and flip, beside the same steps on a batch in memory.

    python -m bench.augmentation             uint8 images, random crop and flip, one worker
    python -m bench.augmentation --quick     few steps: does it run

The net and its batches are those of the workload lenet of bench.python, behind a layer that scales uint8.
Both forms take turns of `--steps` steps, and the figure is the median of the ratios of their times. It means
something on a quiet machine only.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from .python.engines.ravine_engine import build, optimizer_of
from .python.workloads import WORKLOADS


def images(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Fashion-MNIST as uint8 [n, 1, 28, 28], or random images where it is not installed."""
    from ravine import data

    try:
        x, y = data.fashion_mnist()[:2]
        return np.round(x[:n] * 255).astype(np.uint8), y[:n]
    except FileNotFoundError:
        rng = np.random.default_rng(0)
        return rng.integers(0, 256, (n, 1, 28, 28), dtype=np.uint8), rng.integers(0, 10, n)


def endless(source: Any) -> Iterator[Any]:
    while True:
        yield from source


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few steps")
    parser.add_argument("--steps", type=int, default=300, help="of a turn")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1, help="of the training")
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    if given.quick:
        given.steps, given.rounds = 20, 2

    import ravine as rv
    from ravine import nn
    from ravine.data import Batches, augment

    rv.set_num_threads(given.threads)
    rv.seed(0)
    workload = WORKLOADS["lenet"]
    x, y = images(20_000)
    scale = nn.Normalize(np.array([x.mean()]), np.array([x.std()]))
    model = nn.Sequential(scale, build(workload))
    step = rv.TrainStep(model, nn.CrossEntropyLoss(), optimizer_of(workload))
    source = Batches(
        *(x, y), batch_size=workload.batch, shuffle=True, drop_last=True,
        augment=[augment.Crop(padding=2), augment.Flip()], workers=given.workers,
    )  # fmt: skip
    loaded = endless(source)
    fixed = next(loaded)

    def seconds(with_loading: bool) -> float:
        begin = time.perf_counter()
        for _ in range(given.steps):
            step(*(next(loaded) if with_loading else fixed))
        return time.perf_counter() - begin

    seconds(True), seconds(False)
    ratios, times = [], []
    for i in range(given.rounds):
        turns = {form: seconds(form) for form in ((True, False) if i % 2 else (False, True))}
        ratios.append(turns[False] / turns[True])
        times.append(turns[False])
    begin = time.perf_counter()
    for _ in range(given.steps):
        next(loaded)
    alone = (time.perf_counter() - begin) / given.steps
    step_time = statistics.median(times) / given.steps
    print(f"step of {workload.batch} images: {1e6 * step_time:.0f} us on {given.threads} threads")
    print(
        f"batch alone: {1e6 * alone:.0f} us with {given.workers} workers, {alone / step_time:.2%} of a step"
    )
    print(f"speed with loading: {statistics.median(ratios):.2%} of that without")


if __name__ == "__main__":
    main()
