"""Builds the benchmarks of single kernels, runs them, and prints their shares of the machine's limits.

    python -m bench.cpp                              all of them, in a few minutes
    python -m bench.cpp --quick                      one call of each row: does it run
    python -m bench.cpp gemm optimizer --isa x86-64-v3
    python -m bench.cpp reduce --filter 'sum_columns.*threads:1'

Writes kernels.json and kernels.md into --out. Needs CMake, Ninja or Make, and Google Benchmark
(`apt install libbenchmark-dev`).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = tuple(
    sorted(file.stem.removeprefix("bench_") for file in Path(__file__).parent.glob("bench_*.cpp"))
)


def build(folder: Path, programs: list[str]) -> None:
    if not (folder / "CMakeCache.txt").exists():
        subprocess.run(["cmake", "-S", ROOT, "-B", folder, "-DRAVINE_BENCHMARKS=ON"], check=True)
    targets = [f"bench_{program}" for program in programs]
    jobs = str(os.cpu_count() or 1)
    subprocess.run(["cmake", "--build", folder, "--parallel", jobs, "--target", *targets], check=True)


def run(program: Path, options: argparse.Namespace) -> tuple[dict, list[dict]]:
    """What the program says of the machine, and its rows."""
    environment = dict(os.environ)
    if options.isa:
        environment["RAVINE_ISA"] = options.isa
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = [
            str(program),
            f"--rounds={options.rounds}",
            f"--batch_ms={options.batch_ms}",
            f"--benchmark_filter={options.filter}",
            f"--benchmark_out={report.name}",
            "--benchmark_out_format=json",
        ]
        result = subprocess.run(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        if result.returncode != 0:
            sys.exit(f"{program.name}: {result.stderr.strip()}")
        text = Path(report.name).read_text()
    if not text:  # no row's name fits the filter
        return {}, []
    told = json.loads(text)
    return told["context"], [row_of(entry) for entry in told["benchmarks"]]


def row_of(entry: dict) -> dict:
    name, *arguments = entry["name"].removesuffix("/iterations:1/manual_time").split("/")
    unit = "GB/s" if "GB/s" in entry else "GFLOP/s"
    share = "of_loop" if unit == "GB/s" else "of_peak"
    return {
        "kernel": name,
        "arguments": {key: int(value) for key, value in (argument.split(":") for argument in arguments)},
        "microseconds": entry["real_time"] / 1e3,
        "rate": entry[unit],
        "unit": unit,
        "share": entry[share],
        "limit": entry["loop" if unit == "GB/s" else "peak"],
    }


def markdown(title: str, rows: list[dict]) -> str:
    """A table for each kernel: a row a shape, a pair of columns a number of threads."""
    lines = [title, ""]
    for kernel in dict.fromkeys(row["kernel"] for row in rows):
        own = [row for row in rows if row["kernel"] == kernel]
        threads = sorted({row["arguments"]["threads"] for row in own})
        shapes: dict[tuple[int, ...], dict[int, dict]] = {}
        for row in own:
            shape = tuple(value for name, value in row["arguments"].items() if name != "threads")
            shapes.setdefault(shape, {})[row["arguments"]["threads"]] = row
        names = [name for name in own[0]["arguments"] if name != "threads"]
        unit, limit = own[0]["unit"], "a plain loop" if own[0]["unit"] == "GB/s" else "peak"
        heads = [f"{n} thread{'s' * (n > 1)}: µs | {unit} | of {limit}" for n in threads]
        lines.append(f"| {kernel}: {' x '.join(names)} | " + " | ".join(heads) + " |")
        lines.append("|---" * (1 + 3 * len(threads)) + "|")
        for shape, by_threads in shapes.items():
            cells = []
            for n in threads:
                row = by_threads.get(n)
                cells.append(
                    " | | "
                    if row is None
                    else f"{row['microseconds']:.4g} | {row['rate']:.4g} | {row['share']:.2f}"
                )
            lines.append(f"| {' x '.join(map(str, shape))} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.cpp", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("programs", nargs="*", help=f"of {', '.join(PROGRAMS)}; default: all")
    parser.add_argument("--filter", default=".", help="regular expression that a row's name must hold")
    parser.add_argument("--isa", help="instruction set; default: the best of this CPU")
    parser.add_argument("--rounds", type=int, default=9, help="of the kernel and its limit in turn")
    parser.add_argument("--batch-ms", type=float, default=2.0, help="length of a round's batches")
    parser.add_argument("--quick", action="store_true", help="one round of one call")
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "bench", help="build folder")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    options = parser.parse_args()
    if unknown := set(options.programs) - set(PROGRAMS):
        parser.error(f"no such program: {', '.join(sorted(unknown))}; there are {', '.join(PROGRAMS)}")
    if options.quick:
        options.rounds, options.batch_ms = 1, 0.0
    try:
        re.compile(options.filter)
    except re.error as error:
        parser.error(f"--filter: {error}")

    programs = options.programs or list(PROGRAMS)
    build(options.build, programs)
    context: dict = {}
    rows: list[dict] = []
    for program in programs:
        print(f"{program} ...", file=sys.stderr, flush=True)
        told, own = run(options.build / "bench" / "cpp" / f"bench_{program}", options)
        context = told or context
        rows += own
    if not rows:
        sys.exit(f"no row's name holds {options.filter!r}")
    options.out.mkdir(parents=True, exist_ok=True)
    machine = {key: context[key] for key in ("cpu", "isa", "date")}
    (options.out / "kernels.json").write_text(
        json.dumps({"machine": machine, "rounds": options.rounds, "rows": rows}, indent=1)
    )
    title = (
        f"{machine['cpu']}, {machine['isa']}, float32, {machine['date']}: medians of {options.rounds} rounds."
    )
    table = markdown(title, rows)
    (options.out / "kernels.md").write_text(table)
    print(table)


if __name__ == "__main__":
    main()
