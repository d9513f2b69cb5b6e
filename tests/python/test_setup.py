"""What is missing on a fresh machine is told in one line, before anything is built or changed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TOOLS = ("bash", "dirname", "id", "sed", "cat", "env", "grep", "uname", "python3", "nproc", "cmake", "ninja")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A PATH that has the usual tools, and no compiler and no package manager."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        if (found := shutil.which(tool)) is not None:
            (folder / tool).symlink_to(found)
    return folder


def run(command: list[str], path: Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("CXX", "CC", "PYTHON")}
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment | {"PATH": str(path)} | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def copy(repository: Path, tmp_path: Path) -> Path:
    """A folder that holds the scripts alone: nothing can be built there."""
    folder = tmp_path / "ravine"
    for name in ("scripts/setup", "tests/run"):
        (folder / name).parent.mkdir(parents=True)
        shutil.copy(repository / name, folder / name)
    return folder


def test_setup_lists_what_is_missing(copy: Path, bare: Path) -> None:
    done = run(["scripts/setup", "demo", "test"], bare, copy)
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "missing" in line
    assert "g++" in line
    assert not (copy / ".venv").exists()


def test_setup_asks_before_it_uses_sudo(copy: Path, bare: Path) -> None:
    """Nobody answers here, so nothing is installed; with -y nobody is asked."""
    calls = copy / "calls"
    for tool in ("apt-get", "sudo"):
        (bare / tool).write_text(f'#!/bin/bash\necho "{tool} $*" >> {calls}\nexit 7\n')
        (bare / tool).chmod(0o755)
    (bare / "id").unlink()
    (bare / "id").write_text("#!/bin/bash\necho 1000\n")
    (bare / "id").chmod(0o755)
    done = run(["scripts/setup", "test"], bare, copy)
    assert done.returncode == 1
    assert "sudo apt-get install" in done.stderr
    assert not calls.exists()
    done = run(["scripts/setup", "-y", "test"], bare, copy)
    assert done.returncode == 7
    assert calls.read_text().splitlines()[0] == "sudo apt-get update -q"


def test_setup_refuses_what_it_does_not_know(copy: Path, bare: Path) -> None:
    done = run(["scripts/setup", "everything"], bare, copy)
    assert done.returncode == 2
    assert "'everything'" in done.stderr


def test_tests_name_a_missing_compiler(copy: Path, bare: Path) -> None:
    done = run(["tests/run"], bare, copy)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "apt install g++" in line


@pytest.mark.skipif(shutil.which("cmake") is None, reason="needs cmake")
def test_a_build_names_a_missing_compiler(repository: Path, bare: Path, tmp_path: Path) -> None:
    generator = "Ninja" if shutil.which("ninja") else "Unix Makefiles"
    done = run(
        ["cmake", "-S", str(repository), "-B", str(tmp_path / "build"), "-G", generator], bare, tmp_path
    )
    assert done.returncode != 0
    assert "apt install g++" in done.stderr
