"""One engine in one mode, in a process of its own: prepares the workloads it is told, and times their steps.

It reads a request a line, a JSON object: {"prepare": name}, {"round": true} or {"release": true}; and answers
each with one. An answer with "error" says why a step could not be prepared.
"""

from __future__ import annotations

import gc
import json
import sys
import time

from . import engines
from .operations import find_operation
from .workloads import find


def time_round(step, seconds: float, least: int) -> float:
    """Seconds per step over at least `seconds` and `least` steps."""
    count = 0
    start = time.perf_counter()
    while True:
        step()
        count += 1
        elapsed = time.perf_counter() - start
        if elapsed >= seconds and count >= least:
            return elapsed / count


def main() -> None:
    engine_name, mode, threads, seconds, least = sys.argv[1:6]
    replies = sys.stdout
    sys.stdout = sys.stderr  # whatever an engine prints must not mix with the replies

    def reply(**fields) -> None:
        print(json.dumps(fields), file=replies, flush=True)

    engine = engines.load(engine_name)
    reply(version=engine.version())
    step = None
    for line in sys.stdin:
        request = json.loads(line)
        if "prepare" in request:
            start = time.perf_counter()
            try:
                name = request["prepare"]
                operation = find_operation(name)
                if operation is not None:
                    step = engine.prepare_operation(operation, mode, int(threads))
                else:
                    step = engine.prepare(find(name), mode, int(threads))
                loss = step()
            except Exception as error:
                step = None
                reply(error=f"{type(error).__name__}: {error}".splitlines()[0])
                continue
            first = time.perf_counter() - start
            time_round(step, float(seconds), int(least))  # warm-up
            reply(first_call=first, loss=loss)
        elif "round" in request:
            # The engine of the round before may have threads that still spin; ours may have gone to sleep.
            time.sleep(0.1)
            time_round(step, 0.1 * float(seconds), 1)
            reply(seconds=time_round(step, float(seconds), int(least)))
        else:
            step = None
            gc.collect()
            reply()


if __name__ == "__main__":
    main()
