"""The examples run, and find what they say they find."""

from __future__ import annotations

import re
from pathlib import Path

EXAMPLES = {"character_model.py", "newton_regression.py", "physics_informed.py", "sparse_coding.py"}


def output(repository: Path, run_python, name: str) -> str:
    done = run_python("-W", "error", str(repository / "examples" / name))
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_tested(repository: Path) -> None:
    assert {file.name for file in (repository / "examples").glob("*.py")} == EXAMPLES


def test_newton_regression(repository: Path, run_python) -> None:
    lines = output(repository, run_python, "newton_regression.py").splitlines()
    error = re.fullmatch(r"linear: 1 step, (\S+) from least squares", lines[0])
    assert error and float(error.group(1)) < 1e-12
    losses = [float(line.split()[-1]) for line in lines if "loss" in line]
    assert losses == sorted(losses, reverse=True) and 4 <= len(losses) <= 10
    last = re.fullmatch(r"logistic: (\d+) steps, accuracy (\S+); converged.*", lines[-1])
    assert last and int(last.group(1)) == len(losses) and float(last.group(2)) > 0.9


def test_sparse_coding(repository: Path, run_python) -> None:
    lines = output(repository, run_python, "sparse_coding.py").splitlines()
    objectives = [float(line.split()[-1]) for line in lines if line.startswith("sweep")]
    assert len(objectives) >= 3 and objectives == sorted(objectives, reverse=True)
    last = re.fullmatch(r"12 of 12 atoms found, (\d+)% of the codes in use", lines[-1])
    assert last and int(last.group(1)) < 30  # 17 % made the signals


def test_character_model(repository: Path, run_python) -> None:
    *epochs, written = output(repository, run_python, "character_model.py").splitlines()
    losses = [float(line.split()[-1]) for line in epochs]
    assert losses[-1] < 0.2 < 0.6 < losses[0]  # nats a character
    assert "forty seven, forty eight, forty nine, fifty, fifty one, " in written


def test_physics_informed(repository: Path, run_python) -> None:
    text = output(repository, run_python, "physics_informed.py")
    adam, lbfgs = (float(error) for error in re.findall(r"largest error (\S+)", text))
    assert lbfgs < 1e-3 < adam < 0.1
