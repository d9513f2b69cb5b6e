"""Trains for thousands of steps and watches the memory of the process: it stays flat after the warm-up.

    python tests/soak_training.py [--steps 20000] [--limit 2]

Batches of changing sizes and repeated `fit`s, with a validation, metrics, averages and a callback, as a
service trains for days. The limit is in MB between the resident memory after the warm-up, a fifth of the
steps, and that of any later fit. `test_long_runs.py` has a short form.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from pathlib import Path

import numpy as np

import ravine as rv
from ravine import nn, optim

SIZES = (1, 7, 16, 32, 33, 64)
BATCHES = 20  # of a fit


def resident() -> int:
    """Bytes of this process's memory that are resident, without what is only waiting to be collected."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def growth(steps: int) -> tuple[int, int]:
    """Steps that were done, and the bytes by which memory grew at most after a fifth of them."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(400, 20)).astype(np.float32), rng.integers(0, 3, 400)
    model = nn.Sequential(nn.Linear(20, 64), nn.LayerNorm(64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 3))
    optimizer = optim.Adam(lr=1e-4, average=optim.EMA(0.99), clip_norm=1.0)
    trainer = rv.Trainer(model, nn.CrossEntropyLoss(), optimizer, ["accuracy", "roc_auc"])
    base, most, fits = None, 0, 0
    while trainer.step.steps < steps:
        n = SIZES[fits % len(SIZES)]
        rows = rng.permutation(400)[: n * BATCHES]
        trainer.fit(
            x[rows],
            y[rows],
            epochs=fits + 1,
            batch_size=n,
            validation_data=(x[:100], y[:100]),
            callbacks=[rv.train.EMA(0.9, replace=False)],
            verbose=0,
        )
        fits += 1
        if base is None and trainer.step.steps >= steps // 5:
            base = resident()
        elif base is not None and fits % 25 == 0:
            most = max(most, resident() - base)
    assert base is not None
    return trainer.step.steps, max(most, resident() - base)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--limit", type=float, default=2.0, help="MB")
    options = parser.parse_args()
    done, grown = growth(options.steps)
    print(f"{done} steps, {grown / 1e6:.2f} MB more than after the warm-up; {options.limit:g} are allowed")
    return 1 if grown > options.limit * 1e6 else 0


if __name__ == "__main__":
    sys.exit(main())
