"""Pages of the book: the chapter's docstring, its figure, its claims; and the table of all claims."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from . import CHAPTERS
from .tools import Claim

INTRODUCTION = """# The book of experiments

What courses and papers say of training neural networks, tried with Ravine: each chapter is a short script of
`examples/book`, and its page was written by it. `python -m examples.book --out docs/book` runs all of them
again, with `--fast` in the small form that the tests run. Random numbers are seeded, so the numbers come out
again; "no" in the last column means that what was measured here is not what the source leads one to expect.
"""
HEADER = ("Source", "Expected", "Measured", "Holds")


def title(chapter: ModuleType) -> str:
    """The first line of the chapter's docstring."""
    return (chapter.__doc__ or "").splitlines()[0].rstrip(".")


def page(name: str, chapter: ModuleType, claims: Sequence[Claim]) -> str:
    """The chapter's page in Markdown."""
    prose = (chapter.__doc__ or "").split("\n", 1)[1].strip()
    rows = [row(claim.source, claim.expected, claim.measured, verdict(claim)) for claim in claims]
    parts = [
        f"# {title(chapter)}",
        prose,
        f"![{title(chapter)}: the curves behind the numbers]({name}.svg)",
        "\n".join([row(*HEADER), row(*["---"] * len(HEADER)), *rows]),
        f"The script: `examples/book/{name}.py`; again: `python -m examples.book {name}`.",
    ]
    return "\n\n".join(parts) + "\n"


def row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def verdict(claim: Claim) -> str:
    return "yes" if claim.holds else "no"


def index(folder: Path) -> str:
    """The table of all claims, from the pages in a folder."""
    rows = []
    for name in CHAPTERS:
        path = folder / f"{name}.md"
        if path.exists():
            lines = path.read_text(encoding="utf-8").splitlines()
            table = [line for line in lines if line.startswith("| ")][2:]
            links = f"[{lines[0].removeprefix('# ')}]({name}.md), [figure]({name}.svg)"
            rows += [f"| {links} {line}" for line in table]
    return "\n".join([INTRODUCTION, row("Chapter", *HEADER), row(*["---"] * 5), *rows]) + "\n"


def write_chapter(
    folder: Path, name: str, chapter: ModuleType, found: dict[str, Any], claims: Sequence[Claim]
) -> None:
    """Writes `name.md` and `name.svg`. Raises ModuleNotFoundError where matplotlib is not installed."""
    folder.mkdir(parents=True, exist_ok=True)
    save_figure(folder / f"{name}.svg", chapter, found)
    (folder / f"{name}.md").write_text(page(name, chapter, claims), encoding="utf-8")


def write_index(folder: Path) -> None:
    (folder / "index.md").write_text(index(folder), encoding="utf-8")


def save_figure(path: Path, chapter: ModuleType, found: dict[str, Any]) -> None:
    """The chapter's figure, the same file for the same numbers."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise ModuleNotFoundError("the book's figures need matplotlib: pip install 'ravine[demo]'") from None
    style = {"svg.hashsalt": path.stem, "svg.fonttype": "path", "axes.grid": True, "grid.alpha": 0.3}
    with matplotlib.rc_context({**style, "font.size": 9, "axes.titlesize": "medium"}):
        figure = Figure(figsize=(9, 3.6), layout="constrained", facecolor="white")
        chapter.draw(figure, found)
        figure.savefig(path, metadata={"Date": None})
