"""The book of experiments: every chapter in its fast form finds what its sources lead one to expect."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2]))

from examples.book import CHAPTERS
from examples.book.pages import page, save_figure
from examples.book.tools import Claim, first_below

# What sources say and the small nets of the fast form do not show: normalisation at the same rate saves less
# than half the steps, pre-training needs more epochs, and towers of dense layers grow their gradients.
NOT_FOUND = {
    "batchnorm": {"Ioffe and Szegedy 2015, section 4.2.2, figure 3, BN-Baseline"},
    "strategies": {
        "Bengio et al. 2007, Greedy layer-wise training",
        "Bengio et al. 2007, Greedy layer-wise training, autoencoders",
        "He et al. 2016, Deep residual learning, figure 4, right",
        "He et al. 2016, Deep residual learning, section 4.1",
    },
}


def chapter(name: str) -> ModuleType:
    return import_module(f"examples.book.{name}")


def test_all_chapters_are_listed(repository: Path) -> None:
    shared = {"__init__", "__main__", "pages", "tools"}
    assert {path.stem for path in (repository / "examples/book").glob("*.py")} - shared == set(CHAPTERS)


@pytest.mark.parametrize("name", CHAPTERS)
def test_chapter(repository: Path, tmp_path: Path, name: str) -> None:
    module = chapter(name)
    found = module.experiment(fast=True, seed=0)
    claims = module.claims(found)
    assert len(claims) >= 3
    assert {claim.source for claim in claims if not claim.holds} == NOT_FOUND.get(name, set())

    # The page in docs/ is of this script: its prose, its claims and their order, whatever the numbers are.
    written = (repository / "docs/book" / f"{name}.md").read_text(encoding="utf-8")
    head, table = page(name, module, claims).split("| Source", 1)
    assert written.startswith(head)
    assert [line.split(" | ")[:2] for line in written.split("| Source", 1)[1].splitlines()] == [
        line.split(" | ")[:2] for line in table.splitlines()
    ]
    listed = (repository / "docs/book/index.md").read_text(encoding="utf-8")
    assert all(f"{claim.source} | {claim.expected}" in listed for claim in claims)

    pytest.importorskip("matplotlib")
    save_figure(tmp_path / "figure.svg", module, found)
    assert (tmp_path / "figure.svg").read_text(encoding="utf-8").count("<path") > 20


def test_pages_say_where_a_claim_fails() -> None:
    claims = [Claim("A 2000", "up|down", "down by 3", False), Claim("B 2001", "up", "up by 2", True)]
    module = ModuleType("made", "A title.\n\nProse.\n")
    lines = page("made", module, claims).splitlines()
    assert lines[0] == "# A title"
    assert "| A 2000 | up\\|down | down by 3 | no |" in lines
    assert "| B 2001 | up | up by 2 | yes |" in lines


def test_first_below() -> None:
    assert first_below([3.0, 2.0, 1.0, 0.5], 1.5) == 2
    assert first_below([3.0, 2.0], 1.5) is None


def test_the_command_names_the_chapters_it_has(repository: Path, run_python) -> None:
    done = run_python("-m", "examples.book", "no_such", cwd=repository)
    assert done.returncode == 2
    assert "no chapter no_such; there are " + ", ".join(CHAPTERS) in done.stderr
