"""Fixtures that all test files share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Processes of the tests can be interrupted even where a shell runs the tests in its background, and so
    has them and their children ignore SIGINT. (A handler, unlike being ignored, does not outlive exec.)"""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the source tree that these tests belong to."""
    return REPOSITORY


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    """Every test starts from the same random state and leaves the number of threads as it was."""
    import ravine as rv

    threads = rv.get_num_threads()
    rv.seed(0)
    yield
    rv.set_num_threads(threads)


RunPython = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def run_python() -> RunPython:
    """Runs Python in a fresh process: arguments as for the interpreter, environment variables by name."""

    def run(*arguments: str, timeout: float = 120.0, cwd: Path | None = None, **variables: str):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RAVINE_")}
        return subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=cwd,
            env=environment | variables,
        )

    return run
