"""Tests that need other engines are marked, so that `pytest -m peers` runs them all."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

SETTINGS = "[tool.pytest.ini_options]\nmarkers = ['peers: as in the project']\n"
# torch cannot be imported, whether it is installed or not.
WITHOUT_TORCH = "import sys\nsys.modules['torch'] = None\n"
FILES = {
    "helper.py": "import pytest\n\ndef hidden():\n    pytest.importorskip('torch')\n",
    "test_inside.py": """
import pytest

def test_in_the_function():
    pytest.importorskip("torch")

@pytest.mark.parametrize("x", [1, 2])
def test_without(x):
    assert x

class TestClass:
    def test_import(self):
        torch = pytest.importorskip("torch.nn")
""",
    "test_module.py": """
from importlib.util import find_spec

HAS_OPTAX = find_spec("optax") is not None

def test_of_the_module():
    pass
""",
}


def run(folder: Path, repository: Path, *arguments: str) -> str:
    for name in ("conftest.py", "running.py"):  # the second is what the first imports
        shutil.copy(repository / "tests" / "python" / name, folder / name)
    (folder / "pyproject.toml").write_text(SETTINGS)
    (folder / "sitecustomize.py").write_text(WITHOUT_TORCH)
    for name, text in FILES.items():
        (folder / name).write_text(text)
    code = f"{WITHOUT_TORCH}import pytest\npytest.main({['-v', '-p', 'no:cacheprovider', *arguments]!r})"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120
    ).stdout


def test_what_asks_for_a_peer_is_marked(repository: Path, tmp_path: Path) -> None:
    chosen = run(tmp_path, repository, "-m", "peers", "--collect-only", "-q")
    assert "test_in_the_function" in chosen
    assert "test_import" in chosen
    assert "test_of_the_module" in chosen
    assert "test_without" not in chosen


def test_a_skip_that_no_mark_tells_of_fails(repository: Path, tmp_path: Path) -> None:
    """The name of the package stands in a helper, where the mark's rule does not see it."""
    (tmp_path / "test_hidden.py").write_text("import helper\n\ndef test_hidden():\n    helper.hidden()\n")
    told = run(tmp_path, repository)
    assert "test_hidden.py::test_hidden FAILED" in told
    assert "is not marked `peers`" in told
    assert "test_in_the_function SKIPPED" in told
    assert "1 failed" in told
