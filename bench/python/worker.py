"""One engine in a process of its own: prepares a step, then times a round for every line it reads."""

from __future__ import annotations

import json
import sys
import time

from . import engines
from .workloads import WORKLOADS, dense


def find(name: str):
    if name in WORKLOADS:
        return WORKLOADS[name]
    width, batch = name.removeprefix("dense").split("x")
    return dense(int(width), int(batch))


def time_round(step, seconds: float) -> float:
    """Seconds per step over at least `seconds` and three steps."""
    count = 0
    start = time.perf_counter()
    while True:
        step()
        count += 1
        elapsed = time.perf_counter() - start
        if elapsed >= seconds and count >= 3:
            return elapsed / count


def main() -> None:
    engine_name, mode, workload_name, threads, seconds = sys.argv[1:6]
    replies = sys.stdout
    sys.stdout = sys.stderr  # whatever an engine prints must not mix with the replies

    def reply(**fields) -> None:
        print(json.dumps(fields), file=replies, flush=True)

    engine = engines.load(engine_name)
    workload = find(workload_name)
    start = time.perf_counter()
    step = engine.prepare(workload, mode, int(threads))
    loss = step()
    first = time.perf_counter() - start
    time_round(step, float(seconds))  # warm-up
    reply(first_call=first, loss=loss, version=engine.version())
    for _ in sys.stdin:
        reply(seconds=time_round(step, float(seconds)))


if __name__ == "__main__":
    main()
