"""`python -m examples.book [--fast] [--out DIR] [NAME...]`: runs chapters and writes their pages.

The pages in docs/book are those of `python -m examples.book --out docs/book`.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from . import CHAPTERS
from .pages import write_chapter, write_index


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m examples.book", description="Runs the book of experiments."
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"chapters, all by default: {', '.join(CHAPTERS)}"
    )
    parser.add_argument("--fast", action="store_true", help="the small form that the tests run")
    parser.add_argument("--out", type=Path, default=Path("build/book"), help="where pages go (build/book)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in CHAPTERS]
    if unknown:
        parser.error(f"no chapter {', '.join(unknown)}; there are {', '.join(CHAPTERS)}")

    for name in arguments.names or CHAPTERS:
        chapter = import_module(f"{__package__}.{name}")
        found = chapter.experiment(arguments.fast, arguments.seed)
        claims = chapter.claims(found)
        print(name)
        for claim in claims:
            print(f"  {'holds' if claim.holds else 'FAILS'}: {claim.measured}  [{claim.source}]")
        write_chapter(arguments.out, name, chapter, found, claims)
    write_index(arguments.out)
    print(f"written to {arguments.out}")


if __name__ == "__main__":
    main()
