"""Reading files of any origin: nothing waits for anybody or grows beyond its limit."""

from __future__ import annotations

import errno
import os
import stat
import zlib
from collections.abc import Callable
from typing import BinaryIO

import numpy as np

CHUNK = 1 << 18  # bytes read at a time
_GROWTH, _SMALL = 20, 24 << 20


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """The file, open for reading. ValueError for a pipe, device or socket, which is not waited for."""
    if "\0" in os.fspath(path):
        raise ValueError(f"{os.fspath(path)!r}: a path has no null character")
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
        if not stat.S_ISREG(mode):
            raise ValueError(f"{path}: not a regular file but a pipe, a device or a socket")
        return open(descriptor, "rb", buffering=0)
    except BaseException:
        os.close(descriptor)
        raise


def growth_limit(file_bytes: int, max_bytes: int | None) -> int:
    """What the content of a compressed file may take: `max_bytes`, else 24 MiB or 20 times the file."""
    if max_bytes is None:
        return max(_SMALL, _GROWTH * file_bytes)
    if isinstance(max_bytes, bool) or not isinstance(max_bytes, int) or max_bytes < 0:
        raise ValueError(f"max_bytes: an integer of 0 or more is expected, got {max_bytes!r}")
    return max_bytes


def check_growth(content: int, limit: int) -> None:
    """ValueError where a compressed file says that its content takes more than the limit."""
    if content > limit:
        raise ValueError(
            f"its content would take {content:,} bytes, more than the limit of {limit:,}; "
            f"max_bytes={content} allows it"
        )


def fill(array: np.ndarray, read: Callable[[int], bytes]) -> int:
    """Reads into a C-contiguous array until it is full or the source ends; the number of bytes that came."""
    memory = array.reshape(-1).view(np.uint8).data if array.size else memoryview(b"")
    done = 0
    while done < len(memory):
        piece = read(min(CHUNK, len(memory) - done))
        if not piece:
            break
        memory[done : done + len(piece)] = piece
        done += len(piece)
    return done


class GzipReader:
    """The content of a gzip file, bit by bit: at no time more than a chunk of it is in memory.

    Several members one after the other are one content, as the format has it; zeros may follow them.
    ValueError for a damaged file, or one of thousands of empty members.
    """

    _MEMBERS = 1000  # at least so many, and one more for each 4 KiB of content

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._member = zlib.decompressobj(wbits=31)
        self._input = b""
        self._begun = False  # whether the member has had input
        self._members = 0
        self._produced = 0

    def read(self, n: int) -> bytes:
        """At most `n` bytes, b"" at the end."""
        while True:
            if not self._input:
                self._input = self._file.read(CHUNK)
                if not self._input:
                    if self._begun or self._members == 0:
                        raise ValueError("truncated or damaged gzip file: it ends inside its data")
                    return b""
            if not self._begun and self._members > 0:
                self._input = self._input.lstrip(b"\0")
                if not self._input:
                    continue
            self._begun = True
            try:
                content = self._member.decompress(self._input, n)
            except zlib.error as error:
                raise ValueError(f"truncated or damaged gzip file: {error}") from None
            self._input = self._member.unconsumed_tail
            if self._member.eof:
                self._input = self._member.unused_data
                self._next_member()
            if content:
                self._produced += len(content)
                return content

    def _next_member(self) -> None:
        self._members += 1
        self._begun = False
        self._member = zlib.decompressobj(wbits=31)
        if self._members > self._MEMBERS + self._produced // 4096:
            raise ValueError(f"damaged gzip file: {self._members} members hold {self._produced} bytes")
