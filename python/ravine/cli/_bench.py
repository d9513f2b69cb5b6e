"""`ravine bench`."""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable

import numpy as np

import ravine as rv

from .. import nn
from ._failure import running
from ._network import build
from ._prepare import new_optimizer

_ROUNDS = 5


def run_bench(options: argparse.Namespace) -> int:
    """Prints how long a training step and a prediction of a mini-batch take on random data."""
    if options.threads:
        rv.set_num_threads(options.threads)
    rv.seed(0)
    spec = {
        "name": options.model,
        "shape": options.shape,
        "outputs": options.classes,
        "hidden": options.hidden,
        "dropout": None,
        "width": options.width,
        "standardize": False,
        "rescale": False,
    }
    model = build(spec)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(options.batch_size, *options.shape)).astype(np.float32)
    y = rng.integers(0, options.classes, options.batch_size)
    settings = argparse.Namespace(
        optimizer=options.optimizer, lr=None, schedule="constant", clip_norm=None, weight_decay=None
    )
    step = rv.TrainStep(model, nn.CrossEntropyLoss(), new_optimizer(settings, 1))
    step.check(x, y)
    cpu, threads = rv.cpu_info(), rv.get_num_threads()
    parameters = sum(math.prod(p.shape) for p in model.parameters())
    print(f"ravine {rv.__version__}  {cpu['model']}, {cpu['isa']}, {threads} thread{'s' * (threads > 1)}")
    print(
        f"{options.model}, {parameters:,} parameters, {options.optimizer}, mini-batches of "
        f"{options.batch_size} examples {options.shape} of random numbers, float32"
    )
    with running():
        _report("training step", lambda: step(x, y), options)
        model.eval()
        _report("prediction", lambda: model(x), options)
    return 0


def _report(name: str, run: Callable[[], object], options: argparse.Namespace) -> None:
    """A line with the median of some rounds, and their spread."""
    run()  # which compiles
    started = time.perf_counter()
    run()
    once = max(time.perf_counter() - started, 1e-7)
    repeats = max(1, round(options.seconds / _ROUNDS / once))
    rounds = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        for _ in range(repeats):
            run()
        rounds.append((time.perf_counter() - started) / repeats)
    median = statistics.median(rounds)
    print(
        f"{name:<14} {1e3 * median:10.4g} ms ({1e3 * min(rounds):.4g} to {1e3 * max(rounds):.4g})  "
        f"{options.batch_size / median:10,.0f} examples/s"
    )
