"""What the README says is so: its program runs, its files exist, and CI runs its commands."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest


def readme(repository: Path) -> str:
    return (repository / "README.md").read_text()


def test_the_first_program_runs_and_learns(repository: Path, run_python) -> None:
    pytest.importorskip("sklearn")
    blocks = re.findall(r"```python\n(.*?)```", readme(repository), re.DOTALL)
    assert len(blocks) == 1
    done = run_python("-W", "error", "-c", blocks[0])
    assert done.returncode == 0, done.stderr
    accuracy = re.search(r"'accuracy': ([0-9.]+)", done.stdout)
    assert accuracy is not None, done.stdout
    assert float(accuracy.group(1)) > 0.95


def test_files_the_readme_names_exist(repository: Path) -> None:
    names = re.findall(r"`((?:cpp|python|tests|bench|examples|third_party)/[\w/.*-]+)`", readme(repository))
    assert len(names) > 10
    missing = [name for name in names if not list(repository.glob(name.rstrip("/")))]
    assert not missing


def test_ci_runs_exactly_the_commands_of_the_readme(repository: Path) -> None:
    """CI takes the two commands out of the README; the function that does so must find them."""
    script = (repository / ".ci" / "run").read_text()
    function = re.search(r"^readme_command\(\) .*$", script, re.MULTILINE)
    assert function is not None
    for mark, command in (
        ("train", "scripts/setup demo && . .venv/bin/activate && ravine train"),
        ("test", "scripts/setup demo test && . .venv/bin/activate && tests/run"),
    ):
        assert f'eval "$(readme_command {mark})"' in script
        found = subprocess.run(
            ["bash", "-c", f"{function.group(0)}\nreadme_command {mark}"],
            cwd=repository,
            capture_output=True,
            text=True,
            check=True,
        )
        assert found.stdout.strip() == command
