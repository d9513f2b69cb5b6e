"""Times whole training steps of Ravine, and updates of optimizers alone, beside other engines.

    python -m bench.python                      all workloads, every engine that is installed
    python -m bench.python --quick              each workload briefly: does it run, roughly how fast
    python -m bench.python --inference          forward passes alone, as a trained model serves
    python -m bench.python --convolutions       single convolutions beside torch, three passes each
    python -m bench.python --norms              single normalisations beside torch, forward and with gradients
    python -m bench.python --pools              single poolings beside torch, forward and with gradients
    python -m bench.python --sequences          networks and operations on sequences, DCGAN, beside torch
    python -m bench.python --updates            optimizers alone, on 100 thousand and 10 million numbers
    python -m bench.python --embeddings         tables of 100 thousand and 10 million rows, sparse gradients
    python -m bench.python --trials             what examples/ train, beside torch in its modes
    python -m bench.python --rules              every optimizer alone, beside torch in its forms and optax
    python -m bench.python --sweep              dense nets of widths 8 to 4096 and batches 1 to 1024
    python -m bench.python tab dense128x32 --engines ravine torch --rounds 9

Each engine runs, in each of its modes, in a process of its own; they take turns, round by round, so that all
see the same machine. Single operations and --sweep go through all their workloads once a round, so that what
disturbs the machine for some seconds meets one round of each. A figure is the median over the rounds. Only
ratios within one run mean anything on a shared machine. Writes results.json and results.md into --out.
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
from .convolutions import convolutions, convolutions_markdown, find_convolution
from .norms import norms
from .operations import Operation, find_operation
from .pools import pools
from .report import markdown, sweep_markdown
from .sequences import SEQUENCES
from .workloads import (
    INFERENCE,
    RULE_UPDATES,
    SWEEP_BATCHES,
    SWEEP_WIDTHS,
    TABLES,
    TRIALS,
    UPDATES,
    WORKLOADS,
    Workload,
    find,
)

ROOT = Path(__file__).resolve().parents[2]


class Worker:
    """The process of an engine in a mode. RuntimeError where it cannot do what it is asked."""

    def __init__(self, engine: str, mode: str, options: argparse.Namespace) -> None:
        self.engine, self.mode = engine, mode
        threads = options.threads
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS=str(threads))
        environment["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}"
        if "tcmalloc" in mode:
            environment["LD_PRELOAD"] = tcmalloc() or ""
        numbers = [str(threads), str(options.seconds), str(options.least_steps)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.python.worker", engine, mode, *numbers],
            cwd=ROOT,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if not options.verbose else None,
        )
        self.version = self._reply()["version"]

    def _reply(self) -> dict:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            _, errors = self.process.communicate()
            raise RuntimeError((errors or "").strip().splitlines()[-1:] or "the process ended")
        reply = json.loads(line)
        if "error" in reply:
            raise RuntimeError(reply["error"])
        return reply

    def _ask(self, **request) -> dict:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # the reply tells why
        return self._reply()

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def prepare(self, name: str) -> float:
        """The seconds of the first call."""
        return self._ask(prepare=name)["first_call"]

    def time_round(self) -> float:
        """Seconds a step."""
        return self._ask(round=True)["seconds"]

    def release(self) -> None:
        self._ask(release=True)

    def close(self) -> None:
        if self.alive:
            self.process.communicate()


def tcmalloc() -> str | None:
    """The name of the library to preload; Debian: libtcmalloc-minimal4."""
    return ctypes.util.find_library("tcmalloc_minimal") or ctypes.util.find_library("tcmalloc")


def modes_of(engine: str, workload: Workload | Operation, brief: bool) -> list[str]:
    """Of those that this machine has. In brief: nothing compiled by torch, as compiling takes longer than
    all the rest, and not both with and without tcmalloc."""
    modes = engines.load(engine).modes(workload)
    modes = [mode for mode in modes if "tcmalloc" not in mode or tcmalloc()]
    if brief:
        modes = [mode for mode in modes if "compile" not in mode and f"{mode}+tcmalloc" not in modes]
    return modes


class Timing:
    """What is known of a workload on an engine in a mode."""

    worker: Worker  # which times it now

    def __init__(self, first_call: float) -> None:
        self.first_call = first_call
        self.rounds: list[float] = []

    def result(self) -> dict:
        return {
            "engine": self.worker.engine,
            "mode": self.worker.mode,
            "version": self.worker.version,
            "first_call": self.first_call,
            "median": statistics.median(self.rounds),
            "min": min(self.rounds),
            "max": max(self.rounds),
        }


class Timings:
    """Of a workload, on each engine in each of its modes. Those that fail are listed with their error."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.of: dict[tuple[str, str], Timing] = {}
        self.failures: dict[str, str] = {}

    def report(self) -> dict:
        results = [timing.result() for timing in self.of.values()]
        return {"workload": self.name, "results": results, "failures": self.failures}


class Bench:
    """Runs workloads on all engines."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.workers: dict[tuple[str, str], Worker] = {}

    def _worker(self, engine: str, mode: str) -> Worker:
        worker = self.workers.get((engine, mode))
        if worker is None or not worker.alive:
            worker = self.workers[engine, mode] = Worker(engine, mode, self.options)
        return worker

    def _prepare(self, timings: Timings) -> list[Timing]:
        workload = find_operation(timings.name) or find(timings.name)
        prepared: list[Timing] = []
        for engine in self.options.engines:
            for mode in modes_of(engine, workload, self.options.brief):
                if f"{engine} {mode}" in timings.failures:
                    continue
                try:
                    worker = self._worker(engine, mode)  # another one, if that of the round before has ended
                    first_call = worker.prepare(timings.name)
                except RuntimeError as error:
                    timings.of.pop((engine, mode), None)
                    timings.failures[f"{engine} {mode}"] = str(error)
                    print(f"  {engine} {mode}: {error}", file=sys.stderr)
                    continue
                timing = timings.of.setdefault((engine, mode), Timing(first_call))
                timing.worker = worker
                prepared.append(timing)
        return prepared

    def _time(self, timings: Timings, rounds: int) -> None:
        prepared = self._prepare(timings)
        for _ in range(rounds):
            for timing in prepared:
                timing.rounds.append(timing.worker.time_round())
        for timing in prepared:
            timing.worker.release()

    def run(self, names: list[str]) -> list[dict]:
        """Times workloads, each in all of its rounds or, if `options.apart`, a round of all at a time."""
        timings = [Timings(name) for name in names]
        turns = self.options.rounds if self.options.apart else 1
        for turn in range(turns):
            for timing in timings:
                place = f", round {turn + 1} of {turns}" if turns > 1 else ""
                print(f"{timing.name}{place} ...", file=sys.stderr, flush=True)
                self._time(timing, self.options.rounds // turns)
        return [timing.report() for timing in timings]

    def close(self) -> None:
        for worker in self.workers.values():
            worker.close()


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


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.python", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument(
        "workloads",
        nargs="*",
        help=f"of {', '.join(WORKLOADS | TABLES | UPDATES | TRIALS)}, dense<width>x<batch>; default: all",
    )
    parser.add_argument(
        "--engines", nargs="+", choices=list(engines.ENGINES), help="default: those installed"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, help="default: 7; 3 with --quick, --sweep, --convolutions")
    parser.add_argument("--seconds", type=float, help="length of an engine's round; default: 1, or 0.1")
    parser.add_argument("--quick", action="store_true", help="short rounds, torch in fewer modes")
    parser.add_argument(
        "--inference", action="store_true", help="forward passes alone, of all workloads or of those named"
    )
    parser.add_argument("--sequences", action="store_true", help="networks and operations on sequences")
    parser.add_argument("--updates", action="store_true", help="optimizers alone")
    parser.add_argument("--embeddings", action="store_true", help="tables with sparse gradients")
    parser.add_argument("--trials", action="store_true", help="what the examples train")
    parser.add_argument("--rules", action="store_true", help="every optimizer alone")
    parser.add_argument("--convolutions", action="store_true", help="single convolutions; short rounds")
    parser.add_argument("--norms", action="store_true", help="single normalisations; short rounds")
    parser.add_argument("--pools", action="store_true", help="single poolings; short rounds")
    parser.add_argument("--sweep", action="store_true", help="dense nets of many shapes; short rounds")
    parser.add_argument("--verbose", action="store_true", help="show what the engines print")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    options = parser.parse_args(arguments)
    installed = engines.installed()
    options.engines = options.engines or installed
    if absent := [engine for engine in options.engines if engine not in installed]:
        parser.error(f"not installed: {', '.join(absent)}")
    single = [find_operation(name) is not None for name in options.workloads]
    if any(single) and not all(single):
        parser.error("single operations are timed in a run of their own")
    convolutional = [find_convolution(name) is not None for name in options.workloads]
    if any(convolutional) and not all(convolutional):
        parser.error("convolutions are timed in a run of their own")
    options.convolutions = options.convolutions or any(convolutional)
    single_only = options.convolutions or options.norms or options.pools or any(single)
    if single_only or options.sequences:
        options.engines = [engine for engine in options.engines if engine in ("ravine", "torch")]
    options.brief = options.quick or options.sweep or single_only
    options.apart = options.sweep or single_only  # nothing that takes long to prepare
    options.rounds = options.rounds or (3 if options.brief else 7)
    options.seconds = options.seconds or (0.1 if options.brief else 1.0)
    options.least_steps = 1 if options.brief else 3
    if options.inference:
        options.workloads = [name.removesuffix("-inference") + "-inference" for name in options.workloads]
    try:
        for name in options.workloads:
            if not any(single):
                find(name)
    except KeyError as error:
        parser.error(error.args[0])
    if not options.workloads:
        if options.inference:
            options.workloads = list(INFERENCE)
        elif options.sequences:
            options.workloads = list(SEQUENCES)
        elif options.embeddings:
            options.workloads = list(TABLES)
        elif options.trials:
            options.workloads = list(TRIALS)
        elif options.rules:
            options.workloads = list(RULE_UPDATES)
        elif options.convolutions:
            options.workloads = [convolution.name for convolution in convolutions()]
        elif options.norms:
            options.workloads = [norm.name for norm in norms()]
        elif options.pools:
            options.workloads = [pool.name for pool in pools()]
        elif options.sweep:
            options.workloads = [f"dense{w}x{b}" for w in SWEEP_WIDTHS for b in SWEEP_BATCHES]
        else:
            options.workloads = list(UPDATES if options.updates else WORKLOADS | UPDATES)
    return options


def main() -> None:
    options = parse()
    report = {"machine": machine(options.threads), "rounds": options.rounds}
    bench = Bench(options)
    try:
        report["workloads"] = bench.run(options.workloads)
    finally:
        bench.close()
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "results.json").write_text(json.dumps(report, indent=1))
    write = convolutions_markdown if options.convolutions else sweep_markdown if options.sweep else markdown
    table = write(report)
    (options.out / "results.md").write_text(table)
    print(table)


if __name__ == "__main__":
    main()
