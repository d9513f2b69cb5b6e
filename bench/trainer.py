"""What the Trainer costs over a bare loop of training steps, on one thread.

`python -m bench.trainer [--check] [--quick] [--rounds 9] [workloads]`. Epochs of `Trainer.fit` with a bar,
two metrics, a CSV log and a checkpoint an epoch take turns with the same epochs as a user writes them,
`for x, y in batches: step(x, y)`, over the same shuffled batches. A figure is the median of the ratios of the
rounds. With `--check` the command ends with 1 where the Trainer costs more than LIMITS; `--quick` does fewer
and shorter epochs, whose checkpoints weigh more. Results go to runs/bench/trainer.json.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import ravine as rv
from ravine import data, nn

from .python.engines import ravine_engine
from .python.workloads import WORKLOADS

LIMITS = {"lenet": 0.03, "tab": 0.15}  # of the time of the bare loop
BATCHES = {"lenet": 40, "tab": 2000}  # in an epoch, about a second


class _Terminal(io.StringIO):
    """Takes what is written, as a terminal does: the bar is drawn."""

    def isatty(self) -> bool:
        return True


class _Pair:
    """The Trainer and the bare loop, each with a model of its own."""

    def __init__(self, name: str, n_batches: int, folder: str) -> None:
        workload = WORKLOADS[name]
        n = workload.batch * n_batches
        rng = np.random.default_rng(0)
        x = rng.standard_normal((n, *workload.input_shape[1:]), np.float32)
        y = rng.integers(0, workload.classes, n)
        rv.seed(0)
        model, bare = ravine_engine.build(workload), ravine_engine.build(workload)
        optimizer = ravine_engine.optimizer_of
        self._arrays, self._batch_size = (x, y), workload.batch
        metrics = ["accuracy", "f1"]
        self._trainer = rv.Trainer(model, nn.CrossEntropyLoss(), optimizer(workload), metrics)
        self._callbacks = [
            rv.train.CSVLog(Path(folder, f"{name}.csv")),
            rv.train.Checkpoint(Path(folder, name), keep=1),
        ]
        self._step = rv.TrainStep(bare, nn.CrossEntropyLoss(), optimizer(workload))
        self._batches = data.Batches(x, y, batch_size=workload.batch, shuffle=True)
        self._epochs = 0

    def of_trainer(self, epochs: int) -> float:
        """Seconds of so many epochs."""
        self._epochs += epochs
        start = time.perf_counter()
        with contextlib.redirect_stdout(_Terminal()):
            self._trainer.fit(
                *self._arrays,
                batch_size=self._batch_size,
                epochs=self._epochs,
                seed=0,
                callbacks=self._callbacks,
            )
        return time.perf_counter() - start

    def of_loop(self, epochs: int) -> float:
        """Seconds of so many epochs."""
        self._step.model.train()
        start = time.perf_counter()
        for _ in range(epochs):
            for x, y in self._batches:
                self._step(x, y)
        return time.perf_counter() - start


def measure(name: str, rounds: int, n_batches: int) -> list[float]:
    """The Trainer's time over the loop's, of each round."""
    with tempfile.TemporaryDirectory() as folder:
        pair = _Pair(name, n_batches, folder)
        pair.of_trainer(1)
        pair.of_loop(1)
        ratios = []
        for i in range(rounds):
            order = (pair.of_trainer, pair.of_loop) if i % 2 else (pair.of_loop, pair.of_trainer)
            seconds = {turn.__name__: turn(2) for turn in order}
            ratios.append(seconds["of_trainer"] / seconds["of_loop"])
        return ratios


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("workloads", nargs="*", default=list(LIMITS), metavar="workload")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="does it run, roughly what it costs")
    parser.add_argument("--check", action="store_true", help="end with 1 above the limits")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    arguments = parser.parse_args()
    if unknown := set(arguments.workloads) - set(LIMITS):
        parser.error(f"unknown workloads {sorted(unknown)}; there are {sorted(LIMITS)}")
    rv.set_num_threads(1)
    results, above = {}, False
    for name in arguments.workloads:
        n_batches = BATCHES[name] // (10 if arguments.quick else 1)
        ratios = measure(name, 3 if arguments.quick else arguments.rounds, n_batches)
        cost = statistics.median(ratios) - 1
        results[name] = {"cost": cost, "ratios": ratios}
        above = above or cost > LIMITS[name]
        print(
            f"{name:8} the Trainer costs {100 * cost:5.1f} %, at most {100 * LIMITS[name]:g} % are asked",
            flush=True,
        )
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "trainer.json").write_text(json.dumps(results, indent=1))
    return int(arguments.check and above)


if __name__ == "__main__":
    sys.exit(main())
