"""Reads and writes IDX files, the format of MNIST and its relatives, plain or gzip-compressed.

An IDX file is a 4-byte magic number (two zeros, the element type, the number of dimensions), one big-endian
32-bit extent per dimension, and the elements in row-major order, big-endian (Y. LeCun, "The MNIST database").
"""

from __future__ import annotations

import gzip
import math
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np

from ..record import plain_array
from ._files import GzipReader, check_growth, fill, growth_limit, open_regular

__all__ = ["read", "write"]

_DTYPES = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
_MAX_RANK = 32
_CODES = {dtype: code for code, dtype in _DTYPES.items()}


def read(path: str | os.PathLike[str], *, max_bytes: int | None = None) -> np.ndarray:
    """The array in an IDX file, in native byte order; gzip files are known by their first bytes.

    Args:
        path: of the file.
        max_bytes: what the array of a compressed file may take; None means 24 MiB, or 20 times the file if
            that is more. A file whose header asks for more is refused before it is decompressed.

    Raises:
        ValueError: naming the file, where it is no IDX file, is damaged, truncated, or longer than its header
            says, or is a pipe, a device or a socket.
        OSError: where the system refuses (FileNotFoundError, IsADirectoryError, ...).

    Example:
        >>> import numpy as np, os, tempfile
        >>> from ravine.data import idx
        >>> path = os.path.join(tempfile.mkdtemp(), "labels.idx1.gz")
        >>> idx.write(path, np.array([3, 1, 2], dtype=np.uint8))
        >>> idx.read(path)
        array([3, 1, 2], dtype=uint8)
    """
    with open_regular(path) as file:
        file_bytes = os.fstat(file.fileno()).st_size
        limit = growth_limit(file_bytes, max_bytes)
        compressed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        try:
            if compressed:
                return _read_array(GzipReader(file).read, None, limit)
            return _read_array(file.read, file_bytes, limit)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None


def _read_array(read: Callable[[int], bytes], length: int | None, limit: int) -> np.ndarray:
    """The array that `read` yields: of a plain file of that length, or of a compressed one (None)."""
    magic = _exactly(read, 4)
    if len(magic) < 4:
        raise ValueError(f"not an IDX file: {len(magic)} bytes, expected at least 4")
    zeros, code, rank = struct.unpack(">HBB", magic)
    if zeros != 0 or code not in _DTYPES:
        known = ", ".join(f"{code:02x}" for code in _DTYPES)
        raise ValueError(
            f"not an IDX file: its first bytes are {magic.hex(' ')}, "
            f"expected 00 00 and an element type of {known}"
        )
    extents = _exactly(read, 4 * rank)
    if len(extents) < 4 * rank:
        raise ValueError(
            f"truncated IDX file: {4 + len(extents)} bytes, its {rank} extents need {4 + 4 * rank}"
        )
    if rank > _MAX_RANK:
        raise ValueError(f"an IDX file of {rank} dimensions; at most {_MAX_RANK} are supported")
    shape = struct.unpack(f">{rank}I", extents)
    dtype = _DTYPES[code]
    expected = 4 + 4 * rank + math.prod(shape) * dtype.itemsize
    native = dtype.newbyteorder("=")
    if length is None:
        check_growth(expected, limit)
    elif length != expected:
        _refuse_length(length, expected, shape, native)
    # Before it has a shape: of (0, 2**32 - 1, ...) NumPy says that it is too big.
    array = np.empty(math.prod(shape), dtype)
    came = 4 + 4 * rank + fill(array, read)
    rest = read(1)
    if came < expected or rest:
        _refuse_length(came + len(rest), expected, shape, native)
    if array.dtype != native:
        array = array.byteswap(inplace=True).view(native)
    try:
        return array.reshape(shape)
    except ValueError as error:
        raise ValueError(f"an IDX file of shape {shape}: {error}") from None


def _exactly(read: Callable[[int], bytes], n: int) -> bytes:
    """So many bytes, or fewer at the end."""
    content = b""
    while len(content) < n and (piece := read(n - len(content))):
        content += piece
    return content


def _refuse_length(length: int, expected: int, shape: tuple[int, ...], dtype: np.dtype) -> NoReturn:
    fault = "truncated" if length < expected else "too long"
    raise ValueError(f"{fault} IDX file: {length} bytes, expected {expected} for shape {shape} of {dtype}")


def write(path: str | os.PathLike[str], array: np.ndarray) -> None:
    """Writes an array as an IDX file, gzip-compressed if the name ends in ".gz".

    Raises:
        TypeError: the dtype is none of uint8, int8, int16, int32, float32, float64.
    """
    array = plain_array(array, "idx.write")
    dtype = array.dtype.newbyteorder(">")
    if dtype not in _CODES:
        names = ", ".join(str(known.newbyteorder("=")) for known in _CODES)
        raise TypeError(f"{path}: an IDX file holds {names}, got {array.dtype}")
    header = struct.pack(f">HBB{array.ndim}I", 0, _CODES[dtype], array.ndim, *array.shape)
    content = header + array.astype(dtype).tobytes()
    if str(path).endswith(".gz"):
        content = gzip.compress(content, mtime=0)
    Path(path).write_bytes(content)
