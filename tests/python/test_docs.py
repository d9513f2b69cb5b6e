"""The examples in the pages of docs/ run, and print what the pages say they print."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

PAGES = (
    "attention.md",
    "checkpoints.md",
    "diagnostics.md",
    "ensembles.md",
    "export.md",
    "from_pytorch.md",
    "index.md",
    "initialisation.md",
    "models.md",
    "preprocessing.md",
    "recording.md",
    "sklearn.md",
    "strategies.md",
    "trainer.md",
    "training.md",
)


def test_every_page_with_examples_is_tested(repository: Path) -> None:
    pages = {page.name for page in (repository / "docs").glob("*.md") if ">>> " in page.read_text()}
    assert pages == set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_examples_of_a_page(repository: Path, page: str) -> None:
    failed, tried = doctest.testfile(str(repository / "docs" / page), module_relative=False)
    assert tried > 5
    assert failed == 0
