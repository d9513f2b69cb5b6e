"""The arrays in an .npz file, a ZIP archive of .npy files (NumPy Enhancement Proposal 1).

NumPy's own reader evaluates headers, believes the sizes in them, and lets the errors of several modules
through. This one reads plain arrays only, and everything is checked against what the archive says before
memory is taken.
"""

from __future__ import annotations

import io
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Iterable
from typing import BinaryIO

import numpy as np

from ._files import check_growth, fill, growth_limit, open_regular
from ._npy import read_header

_MAX_DIRECTORY = 1 << 20  # of the archive: some 15,000 entries


class _Bounded(io.BufferedIOBase):
    """A file that gives no more than the largest directory at once: `zipfile` asks for it in one piece."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = os.fstat(file.fileno()).st_size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        position = offset + (0, self._file.tell(), self._size)[whence]
        if not 0 <= position <= self._size:
            raise ValueError(f"it refers to byte {position} of {self._size}")
        return self._file.seek(position)

    def read(self, n: int | None = -1) -> bytes:
        rest = self._size - self._file.tell()
        n = rest if n is None or n < 0 else min(n, rest)
        if n > _MAX_DIRECTORY:
            raise ValueError(f"its directory takes {n} bytes, at most {_MAX_DIRECTORY} are read")
        return self._file.read(n)


def read_arrays(
    path: str | os.PathLike[str], keys: Iterable[str], max_bytes: int | None
) -> dict[str, np.ndarray]:
    """Those of the named arrays that the file holds. ValueError names the file, whatever is wrong in it."""
    with open_regular(path) as file:
        file_bytes = os.fstat(file.fileno()).st_size
        limit = growth_limit(file_bytes, max_bytes)
        try:
            with zipfile.ZipFile(_Bounded(file)) as archive:
                return _read_members(archive, keys, limit)
        except OSError as error:
            if error.errno is not None:  # the system's, not a decompressor's
                raise
            reason = error
        except (
            *(ValueError, TypeError, EOFError, KeyError, IndexError, OverflowError, AttributeError),
            *(NotImplementedError, RuntimeError, struct.error, zlib.error, zipfile.BadZipFile),
        ) as error:
            reason = error
    raise ValueError(f"{path}: cannot be read as an .npz file ({file_bytes} bytes): {reason}")


def _read_members(archive: zipfile.ZipFile, keys: Iterable[str], limit: int) -> dict[str, np.ndarray]:
    members = {}
    for member in archive.infolist():
        if member.filename in members:
            raise ValueError(f"it holds {member.filename!r} twice")
        members[member.filename] = member
    wanted = {key: members[f"{key}.npy"] for key in keys if f"{key}.npy" in members}
    check_growth(sum(member.file_size for member in wanted.values()), limit)
    return {key: _read_member(archive, member, key) for key, member in wanted.items()}


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, key: str) -> np.ndarray:
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{key} is compressed by method {member.compress_type}, expected deflate or none")
    with archive.open(member) as source:
        layout, begin = read_header(source, key)
        content = layout.n_bytes
        if begin + content != member.file_size:
            raise ValueError(
                f"{key} has {member.file_size} bytes, expected {begin + content} for shape {layout.shape} of "
                f"{layout.dtype}"
            )
        array = np.empty(math.prod(layout.shape), layout.dtype)
        # Reading on to the end checks the sum of the member's bytes.
        if fill(array, source.read) != content or source.read(1):
            raise ValueError(f"{key} ends before its {member.file_size} bytes")
    if layout.fortran_order:
        return array.reshape(layout.shape[::-1]).transpose()
    return array.reshape(layout.shape)
