"""Where the C++ library of this installation lies: `python -m ravine --cmake-dir`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .. import _core
from ._failure import EXIT_FAILURE

# By option: the folder below the library's, and what it is for.
_FOLDERS = {
    "--cmake-dir": ("lib/cmake/ravine", "of the CMake package: cmake -Dravine_DIR=DIR, find_package(ravine)"),
    "--pkg-config-dir": ("lib/pkgconfig", "of ravine.pc: PKG_CONFIG_PATH=DIR"),
    "--include-dir": ("include", "of the C++ and C headers"),
}


def add_library_folders(parser: argparse.ArgumentParser) -> None:
    for option, (folder, help) in _FOLDERS.items():
        parser.add_argument(option, action=_PrintFolder, const=folder, help=f"print the folder {help}")


class _PrintFolder(argparse.Action):
    """Prints the folder and ends, as `--version` does."""

    def __init__(self, option_strings: list[str], dest: str, const: str, help: str) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, const=const, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        # Beside the extension module: an editable installation has the Python files elsewhere.
        folder = Path(_core.__file__).parent / "cpp" / self.const
        if not folder.is_dir():
            parser.exit(
                EXIT_FAILURE,
                f"{parser.prog}: {folder} is missing: the C++ library comes with an installed package "
                "(pip install), and this one runs from a folder of a build\n",
            )
        print(folder)
        parser.exit()
