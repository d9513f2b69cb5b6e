"""Importing ravine is cheap, and needs nothing but NumPy."""

from __future__ import annotations

import statistics

# The promise is 20 ms on machines on which NumPy takes 57 ms, in proportion on slower ones.
BUDGET_SECONDS = 0.020
BUDGET_OF_NUMPY = 0.35
HEAVY = (
    "sklearn",
    "matplotlib",
    "scipy",
    "tqdm",
    "torch",
    "asyncio",
    "logging",
    "multiprocessing",
    "unittest",
)

# Processor time: what else runs on this machine must not decide a test.
TIMED_IMPORT = """
import time
started = time.thread_time()
import numpy
with_numpy = time.thread_time()
import ravine
print(with_numpy - started, time.thread_time() - with_numpy)
"""


def test_import_takes_at_most_20_ms_above_numpy(run_python) -> None:
    """The median of 7 processes, after one that writes the byte code where that is missing; three tries."""
    run_python("-c", TIMED_IMPORT, PYTHONDONTWRITEBYTECODE="")
    taken = []
    for _ in range(3):
        runs = [run_python("-c", TIMED_IMPORT) for _ in range(7)]
        assert all(run.returncode == 0 for run in runs), runs[0].stderr
        seconds = [[float(number) for number in run.stdout.split()] for run in runs]
        of_numpy, own = (statistics.median(column) for column in zip(*seconds, strict=True))
        if own <= max(BUDGET_SECONDS, BUDGET_OF_NUMPY * of_numpy):
            return
        taken.append(f"{1e3 * own:.1f} ms above NumPy's {1e3 * of_numpy:.1f}")
    raise AssertionError(f"import ravine took {', '.join(taken)}")


def test_import_loads_nothing_heavy(run_python) -> None:
    done = run_python(
        "-c", "import sys, numpy; before = set(sys.modules); import ravine; print(*set(sys.modules) - before)"
    )
    assert done.returncode == 0, done.stderr
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert "ravine" in loaded
    assert not loaded & set(HEAVY)


def test_every_public_name_can_be_reached(run_python) -> None:
    """Some names load on first use; each of them must exist, and dir() must show it."""
    program = """
import ravine as rv
missing = [name for name in rv.__all__ if not hasattr(rv, name) or name not in dir(rv)]
assert not missing, missing
for module in (rv.nn, rv.ops, rv.optim, rv.init, rv.data, rv.models, rv.train):
    missing = [name for name in module.__all__ if not hasattr(module, name)]
    assert not missing, (module, missing)
try:
    rv.no_such_name
except AttributeError as error:
    assert "no_such_name" in str(error)
else:
    raise AssertionError("rv.no_such_name exists")
"""
    done = run_python("-c", program)
    assert done.returncode == 0, done.stderr


def test_import_does_not_start_threads(run_python) -> None:
    """So that a process may fork after the import without a thought."""
    done = run_python(
        "-c", "import os, ravine; print(len(os.listdir('/proc/self/task')))", OPENBLAS_NUM_THREADS="1"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1"]
