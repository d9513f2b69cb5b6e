"""Training steps on a machine whose cores are taken: two threads beside one, with busy processes beside both.

`python -m bench.loaded [--check] [--busy 4] [--rounds 5] [--seconds 2] [workloads]`. One thread and two take
turns; the figure is the mean time of a step over all rounds. With `--check` the command ends with 1 if two
threads take more than 1.5 times as long as one for any workload. Results go to runs/bench/loaded.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import ravine as rv

from .python.engines import ravine_engine
from .python.workloads import WORKLOADS, Workload

LIMIT = 1.5
WORKLOADS_OF_THIS = {name: WORKLOADS[name] for name in ("tab", "mlp32", "mlp")} | {
    "mlp-bn": Workload("mlp-bn", "mlp", 256, "sgd", (256, 512, 512, 10), batch_norm=True)
}


def step_time(step: Callable[[], float], threads: int, seconds: float) -> float:
    """The mean time of a step, in seconds."""
    with rv.threads(threads):
        start = time.perf_counter()
        steps = 0
        while (elapsed := time.perf_counter() - start) < seconds:
            step()
            steps += 1
    return elapsed / steps


def measure(workload: Workload, rounds: int, seconds: float) -> tuple[float, float]:
    """Mean times of a step on one thread and on two."""
    step = ravine_engine.prepare(workload, "default", 2)
    step()
    times = [(step_time(step, 1, seconds), step_time(step, 2, seconds)) for _ in range(rounds)]
    return statistics.fmean(one for one, _ in times), statistics.fmean(two for _, two in times)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("workloads", nargs="*", default=list(WORKLOADS_OF_THIS), metavar="workload")
    parser.add_argument("--busy", type=int, default=4, help="busy processes")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a turn")
    parser.add_argument("--check", action="store_true", help=f"end with 1 above {LIMIT}")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    arguments = parser.parse_args()
    unknown = set(arguments.workloads) - set(WORKLOADS_OF_THIS)
    if unknown:
        parser.error(f"unknown workloads {sorted(unknown)}; there are {sorted(WORKLOADS_OF_THIS)}")

    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(arguments.busy)]
    results = {}
    try:
        print(f"{arguments.busy} busy processes, step in ms: one thread, two threads, ratio")
        for name in arguments.workloads:
            one, two = measure(WORKLOADS_OF_THIS[name], arguments.rounds, arguments.seconds)
            results[name] = {"one_ms": 1e3 * one, "two_ms": 1e3 * two, "ratio": two / one}
            print(f"{name:8} {1e3 * one:9.3f} {1e3 * two:9.3f} {two / one:6.2f}", flush=True)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    arguments.out.mkdir(parents=True, exist_ok=True)
    file = arguments.out / "loaded.json"
    file.write_text(json.dumps({"busy": arguments.busy, "limit": LIMIT, "workloads": results}, indent=1))
    worst = max(result["ratio"] for result in results.values())
    return 1 if arguments.check and worst > LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
