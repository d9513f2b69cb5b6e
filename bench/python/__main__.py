"""Times whole training steps of Ravine beside other engines.

    python -m bench.python                      all workloads, every engine that is installed
    python -m bench.python --quick              each workload briefly: does it run, roughly how fast
    python -m bench.python tab mlp --engines ravine torch --rounds 9
    python -m bench.python --sweep              dense nets of widths 8 to 4096 and batches 1 to 1024

Engines run in processes of their own and take turns, round by round, so that all see the same machine; a
figure is the median over the rounds. Only ratios within one run mean anything on a shared machine. Writes
results.json and results.md into --out.
"""

from __future__ import annotations

import argparse
import ctypes.util
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

from . import engines
from .report import markdown
from .worker import find
from .workloads import WORKLOADS

ROOT = Path(__file__).resolve().parents[2]


class Worker:
    """An engine in a mode, waiting to time the next round."""

    def __init__(self, engine: str, mode: str, workload: str, threads: int, seconds: float) -> None:
        self.engine, self.mode = engine, mode
        self.rounds: list[float] = []
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS=str(threads))
        environment["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}"
        if "tcmalloc" in mode:
            environment["LD_PRELOAD"] = tcmalloc() or ""
        command = [
            sys.executable,
            "-m",
            "bench.python.worker",
            engine,
            mode,
            workload,
            str(threads),
            str(seconds),
        ]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.ready = self._reply()

    def _reply(self) -> dict:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            _, errors = self.process.communicate()
            raise RuntimeError(errors.strip().splitlines()[-1] if errors.strip() else "the process ended")
        return json.loads(line)

    def time_round(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("round\n")
        self.process.stdin.flush()
        self.rounds.append(self._reply()["seconds"])

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.communicate()


def tcmalloc() -> str | None:
    """The name of the library to preload; Debian: libtcmalloc-minimal4."""
    return ctypes.util.find_library("tcmalloc_minimal") or ctypes.util.find_library("tcmalloc")


def available_modes(engine: str, workload) -> list[str]:
    modes = engines.load(engine).modes(workload)
    return [mode for mode in modes if "tcmalloc" not in mode or tcmalloc()]


def run(name: str, options: argparse.Namespace) -> dict:
    """Times one workload. Engines that fail are listed with their error."""
    workload = find(name)
    workers: list[Worker] = []
    failures: dict[str, str] = {}
    for engine in options.engines:
        for mode in available_modes(engine, workload):
            if options.quick and "compile" in mode:
                continue  # compiling takes longer than all the rest
            try:
                workers.append(Worker(engine, mode, name, options.threads, options.seconds))
            except RuntimeError as error:
                failures[f"{engine} {mode}"] = str(error)
    for _ in range(options.rounds):
        for worker in workers:
            worker.time_round()
    results = []
    for worker in workers:
        worker.close()
        results.append(
            {
                "engine": worker.engine,
                "mode": worker.mode,
                "version": worker.ready["version"],
                "first_call": worker.ready["first_call"],
                "median": statistics.median(worker.rounds),
                "min": min(worker.rounds),
                "max": max(worker.rounds),
            }
        )
    return {"workload": name, "results": results, "failures": failures}


def machine(threads: int) -> dict:
    import ravine as rv

    info = rv.cpu_info()
    return {
        "cpu": info["model"],
        "isa": info["isa"],
        "threads": threads,
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def sweep_names() -> list[str]:
    widths = (8, 32, 128, 512, 2048, 4096)
    return [f"dense{width}x{batch}" for width in widths for batch in (1, 8, 32, 128, 1024)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.python", description=__doc__.split("\n")[0])
    parser.add_argument("workloads", nargs="*", help=f"of {', '.join(WORKLOADS)}; default: all")
    parser.add_argument(
        "--engines", nargs="+", choices=list(engines.ENGINES), help="default: those installed"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="length of one engine's round")
    parser.add_argument(
        "--quick", action="store_true", help="three rounds of 0.1 s, nothing compiled by torch"
    )
    parser.add_argument("--sweep", action="store_true", help="dense nets of many shapes")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 3, 0.1
    installed = engines.installed()
    options.engines = options.engines or installed
    if absent := [engine for engine in options.engines if engine not in installed]:
        parser.error(f"not installed: {', '.join(absent)}")
    names = options.workloads or list(WORKLOADS)
    if options.sweep:
        names = sweep_names()

    report = {"machine": machine(options.threads), "rounds": options.rounds, "workloads": []}
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        report["workloads"].append(run(name, options))
        for failed, error in report["workloads"][-1]["failures"].items():
            print(f"  {failed}: {error}", file=sys.stderr)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "results.json").write_text(json.dumps(report, indent=1))
    table = markdown(report)
    (options.out / "results.md").write_text(table)
    print(table)


if __name__ == "__main__":
    main()
