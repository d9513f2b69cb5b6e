"""Fixtures that all test files share."""

from __future__ import annotations

import ast
import functools
import inspect
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from running import RunPython

REPOSITORY = Path(__file__).resolve().parents[2]

# Every program of the tests is verified after each pass, and its schedule too.
os.environ["RAVINE_VERIFY"] = "1"


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
    """Every test starts from the same random state and leaves the number of threads as it was.

    Programs run on the threads that it sets, however busy the machine is.
    """
    import ravine as rv

    rv._core.set_adaptive_teams(False)
    threads = rv.get_num_threads()
    rv.seed(0)
    yield
    rv.set_num_threads(threads)


# ---- tests that need other engines

# Packages that a test may compare with, which no extra of Ravine installs.
PEERS = ("torch", "optax", "jax", "safetensors")


def asks_for_a_peer(code: ast.AST) -> bool:
    """Whether code imports one of PEERS, or asks whether it is there."""
    for node in ast.walk(code):
        if isinstance(node, ast.Import) and any(name.name.split(".")[0] in PEERS for name in node.names):
            return True
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PEERS:
            return True
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            function = getattr(node.func, "attr", getattr(node.func, "id", ""))
            asked = str(node.args[0].value).split(".")[0]
            if function in ("importorskip", "find_spec") and asked in PEERS:
                return True
    return False


@functools.cache
def _module_asks(path: Path) -> bool:
    """Whether a test file asks for a peer outside of its functions and classes."""
    statements = ast.parse(path.read_text()).body
    defined = (ast.FunctionDef, ast.ClassDef)
    return any(not isinstance(statement, defined) and asks_for_a_peer(statement) for statement in statements)


@functools.cache
def _function_asks(function: Callable[..., object]) -> bool:
    return asks_for_a_peer(ast.parse(textwrap.dedent(inspect.getsource(function))))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks with `peers` what compares with other engines: `pytest -m peers` runs that alone."""
    for item in items:
        if not isinstance(item, pytest.Function):
            continue
        fixtures = [one.func for several in item._fixtureinfo.name2fixturedefs.values() for one in several]
        if _module_asks(item.path) or any(
            _function_asks(function) for function in (item.function, *fixtures)
        ):
            item.add_marker(pytest.mark.peers)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A test that is skipped because a peer is missing and is not marked would never run."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[union-attr]
    if not report.skipped or hasattr(report, "wasxfail") or item.get_closest_marker("peers"):
        return
    reason = str(report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr)
    if any(peer in reason for peer in PEERS):
        report.outcome = "failed"
        report.longrepr = f"needs a package of {PEERS} and is not marked `peers`: {reason}"


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
