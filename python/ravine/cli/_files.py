"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Context with the name of a file beside `path`, which is flushed to the disk and takes its place in the
    end; on an error nothing changes, and nothing stays."""
    path = path.resolve()  # a symbolic link stays, and its target is replaced
    partial = path.with_name(f".{path.stem}-{secrets.token_hex(4)}.part{path.suffix}")
    try:
        yield partial
        descriptor = os.open(partial, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    with replaced(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="")


def check_writable(path: Path, option: str) -> None:
    """Raises OSError now where a file could not be written later."""
    folder = path.parent
    if path.is_dir():
        raise IsADirectoryError(f"{option} {path}: a folder of that name is there")
    if not folder.is_dir():
        raise FileNotFoundError(f"{option} {path}: there is no folder {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{option} {path}: no permission to write there")
