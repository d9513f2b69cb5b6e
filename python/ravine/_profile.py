"""Where the time of a program goes: by kernel call, by module, by part of a step."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _core

if TYPE_CHECKING:
    from os import PathLike

    from .record import Compiled, Inputs


class ProfiledCall(NamedTuple):
    """One kernel call of a program, and its median over the runs."""

    kernel: str  # "gemm", with what is fused into it: "gemm + add, relu"
    description: str  # shapes and algorithm
    module: str  # the path of the module that it belongs to, "" outside of any
    phase: str  # "forward", "backward" or "update"
    seconds: float
    flops: float  # floating-point operations that it does
    bytes: float  # that it reads and writes
    limit: float  # seconds that the machine needs at least: its arithmetic or its memory, whichever is more


class Total(NamedTuple):
    """What several calls take together."""

    calls: int
    seconds: float
    flops: float
    bytes: float
    limit: float


class Profile:
    """What `TrainStep.profile` and `Module.profile` measured. Printed, it is a table.

    Times of calls are measured with a barrier around each, so that together they are more than a step, the
    more the smaller the calls are; `step_seconds` is that of the program as it always runs. A call's limit is
    the longer of its operations at the speed of this engine's largest product and of its bytes at the speed
    of a large sum of arrays, both measured in this process with as many threads. A call can be faster than
    that where its bytes are still in a cache, and by Winograd's method, whose operations are counted as those
    of the sum over taps.

    Attributes:
        calls: the kernel calls, in order.
        step_seconds: the median of whole runs.
        threads: how many threads took part.
    """

    def __init__(self, calls: Sequence[ProfiledCall], step_seconds: float, threads: int) -> None:
        self.calls = list(calls)
        self.step_seconds = step_seconds
        self.threads = threads

    def _totals(self, keys: Sequence[str]) -> dict[str, Total]:
        found: dict[str, Total] = {}
        for key, call in zip(keys, self.calls, strict=True):
            t = found.get(key, Total(0, 0.0, 0.0, 0.0, 0.0))
            found[key] = Total(
                t.calls + 1,
                t.seconds + call.seconds,
                t.flops + call.flops,
                t.bytes + call.bytes,
                t.limit + call.limit,
            )
        return found

    def by_module(self, depth: int | None = None) -> dict[str, Total]:
        """Totals by module path, in order of first use.

        Args:
            depth: how many names of a path count: 1 sums up "layer1.0.conv1" with all of "layer1". None: all.
        """
        return self._totals([".".join(call.module.split(".")[:depth]) for call in self.calls])

    def by_phase(self) -> dict[str, Total]:
        """Totals of forward pass, backward pass and update."""
        return self._totals([call.phase for call in self.calls])

    def by_kernel(self) -> dict[str, Total]:
        """Totals by kernel, without what is fused."""
        return self._totals([call.kernel.split(" + ")[0] for call in self.calls])

    def to_chrome(self, path: str | PathLike[str]) -> None:
        """Writes the median run as a trace for chrome://tracing, ui.perfetto.dev and the like.

        A row each for forward, backward and update; the time between calls is left out.
        """
        rows = {"forward": 1, "backward": 2, "update": 3}
        events: list[dict[str, Any]] = [
            {"name": "thread_name", "ph": "M", "pid": 1, "tid": row, "args": {"name": phase}}
            for phase, row in rows.items()
        ]
        begin = 0.0
        for call in self.calls:
            events.append(
                {
                    "name": call.kernel,
                    "ph": "X",
                    "pid": 1,
                    "tid": rows[call.phase],
                    "ts": begin * 1e6,
                    "dur": call.seconds * 1e6,
                    "args": {
                        "module": call.module,
                        "description": call.description,
                        "GFLOP/s": _rate(call.flops, call.seconds),
                        "GB/s": _rate(call.bytes, call.seconds),
                    },
                }
            )
            begin += call.seconds
        import json  # few look at a profile, all import the package

        Path(path).write_text(json.dumps({"traceEvents": events, "displayTimeUnit": "ns"}), encoding="utf-8")

    def table(self, calls: int = 20) -> str:
        """The report that printing shows.

        Args:
            calls: how many of the longest kernel calls it lists.
        """
        total = sum(call.seconds for call in self.calls) or 1.0
        lines = [
            f"{_time(self.step_seconds)} a run on {self.threads} thread{'s' * (self.threads > 1)}; "
            f"{len(self.calls)} kernel calls, {_time(total)} one by one"
        ]
        for title, totals in (
            ("phase", self.by_phase()),
            ("module", dict(sorted(self.by_module().items(), key=lambda item: -item[1].seconds))),
        ):
            rows = [(name or "-", str(t.calls), *_columns(t, total)) for name, t in totals.items()]
            lines += ["", *_aligned([(title, "calls", *_COLUMNS), *rows])]
        longest = sorted(self.calls, key=lambda call: -call.seconds)[:calls]
        rows = [
            (call.kernel, call.module or "-", call.phase, *_columns(call, total), call.description)
            for call in longest
        ]
        return "\n".join([*lines, "", *_aligned([("kernel", "module", "phase", *_COLUMNS, ""), *rows])])

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        return f"<Profile of {len(self.calls)} kernel calls, {_time(self.step_seconds)} a run>"


_COLUMNS = ("time", "share", "GFLOP/s", "GB/s", "of limit")


def _columns(what: Total | ProfiledCall, total: float) -> tuple[str, ...]:
    seconds = what.seconds or 1e-12
    return (
        _time(what.seconds),
        f"{what.seconds / total:.1%}",
        f"{_rate(what.flops, seconds):.1f}",
        f"{_rate(what.bytes, seconds):.1f}",
        f"{min(what.limit / seconds, 9.99):.2f}",
    )


def _rate(amount: float, seconds: float) -> float:
    """In 1e9 a second."""
    return amount / seconds / 1e9 if seconds else 0.0


def _time(seconds: float) -> str:
    if seconds < 1e-3:
        return f"{seconds * 1e6:.1f} µs"
    return f"{seconds * 1e3:.2f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns of equal width: text to the left, numbers to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    numbers = {i for i, name in enumerate(rows[0]) if name in (*_COLUMNS, "calls")}
    return [
        "  ".join(
            cell.rjust(width) if i in numbers else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _measured(threads: int, op: str, shape: tuple[int, int]) -> dict[str, Any]:
    """The one call of a program of two inputs, profiled."""
    graph = _core.Graph()
    values = [graph.input(shape, "float32", name) for name in ("a", "b")]
    program = _core.Program(graph, graph.apply(op, values))
    measured = program.profile([np.ones(shape, np.float32)] * 2, runs=5, threads=threads)
    return measured["calls"][0] | {"seconds": min(run[0] for run in measured["seconds"])}


@cache
def limits(threads: int) -> tuple[float, float]:
    """FLOP/s of a product of matrices of 768 x 768 and bytes/s of a sum of arrays of 32 MB, in float32."""
    product = _measured(threads, "matmul", (768, 768))
    total = _measured(threads, "add", (2048, 4096))
    return product["flops"] / product["seconds"], total["bytes"] / total["seconds"]


def profile_of(compiled: Compiled, inputs: Inputs, owner: str, runs: int) -> Profile:
    """Profiles a program on the arrays of a call."""
    if not isinstance(runs, int) or isinstance(runs, bool) or runs < 1:
        raise ValueError(f"{owner}.profile: runs must be an integer of at least 1, got {runs!r}")
    measured = compiled.profile(inputs.arrays, runs)
    flops, bandwidth = limits(measured["threads"])
    calls = [
        ProfiledCall(
            kernel=f"{call['kernel']} + {call['fused']}" if call["fused"] else call["kernel"],
            description=call["description"],
            module=call["module"],
            phase=call["phase"],
            seconds=float(median),
            flops=call["flops"],
            bytes=call["bytes"],
            limit=max(call["flops"] / flops, call["bytes"] / bandwidth),
        )
        for call, median in zip(measured["calls"], np.median(measured["seconds"], axis=0), strict=True)
    ]
    return Profile(calls, float(np.median(measured["whole"])), measured["threads"])
