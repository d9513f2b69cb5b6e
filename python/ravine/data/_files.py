"""Reading a file whole, with errors that name it."""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The content of a file, decompressed if it is a gzip file (by its first bytes, whatever its name)."""
    file = Path(path)
    if file.is_dir():
        raise IsADirectoryError(f"{file}: expected a file, got a folder")
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{file}: no such file") from None
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{file}: truncated or damaged gzip file ({len(content)} bytes): {error}") from None
