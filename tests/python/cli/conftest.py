"""The command in this process, and a run of it that several tests look at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from small_data import write_pets

from ravine.cli import _results, main


@pytest.fixture(autouse=True)
def without_curves(request, monkeypatch) -> None:
    """Drawing takes longer than these trainings; the fixture `curves` lets it."""
    if "curves" not in request.fixturenames:
        monkeypatch.setattr(_results, "_draw", lambda *_: None)


@pytest.fixture
def curves() -> None:
    """For tests that look at the learning curve."""


class Done(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(tmp_path: Path, capsys, monkeypatch) -> Callable[..., Done]:
    """Runs the command in an empty folder, in this process."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Done:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as ended:
            code = int(ended.code or 0)
        return Done(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def pets(tmp_path_factory) -> Path:
    """The folder of a run on a table."""
    folder = tmp_path_factory.mktemp("pets")
    table = write_pets(folder / "pets.csv")
    arguments = ["--data", str(table), "--target", "kind", "--drop", "id", "--epochs", "20", "--lr", "0.02"]
    assert main(["train", *arguments, "--out", str(folder / "run")]) == 0
    return folder
