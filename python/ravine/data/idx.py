"""Reads and writes IDX files, the format of MNIST and its relatives, plain or gzip-compressed.

An IDX file is a 4-byte magic number (two zeros, the element type, the number of dimensions), one big-endian
32-bit extent per dimension, and the elements in row-major order, big-endian (Y. LeCun, "The MNIST database").
"""

from __future__ import annotations

import gzip
import math
import os
import struct
from pathlib import Path

import numpy as np

from ._files import read_bytes

__all__ = ["read", "write"]

_DTYPES = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}


def read(path: str | os.PathLike[str]) -> np.ndarray:
    """The array in an IDX file, in native byte order.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no IDX file, is truncated, or is longer than its header says.

    Example:
        >>> import numpy as np, os, tempfile
        >>> from ravine.data import idx
        >>> path = os.path.join(tempfile.mkdtemp(), "labels.idx1.gz")
        >>> idx.write(path, np.array([3, 1, 2], dtype=np.uint8))
        >>> idx.read(path)
        array([3, 1, 2], dtype=uint8)
    """
    content = read_bytes(path)
    if len(content) < 4:
        raise ValueError(f"{path}: not an IDX file: {len(content)} bytes, expected at least 4")
    zeros, code, rank = struct.unpack(">HBB", content[:4])
    if zeros != 0 or code not in _DTYPES:
        known = ", ".join(f"{code:02x}" for code in _DTYPES)
        raise ValueError(
            f"{path}: not an IDX file: its first bytes are {content[:4].hex(' ')}, "
            f"expected 00 00 and an element type of {known}"
        )
    offset = 4 + 4 * rank
    if len(content) < offset:
        raise ValueError(
            f"{path}: truncated IDX file: {len(content)} bytes, its {rank} extents need {offset}"
        )
    shape = struct.unpack(f">{rank}I", content[4:offset])
    dtype = _DTYPES[code]
    expected = offset + math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        fault = "truncated" if len(content) < expected else "too long"
        raise ValueError(
            f"{path}: {fault} IDX file: {len(content)} bytes, "
            f"expected {expected} for shape {shape} of {dtype.newbyteorder('=')}"
        )
    array = np.frombuffer(content, dtype=dtype, offset=offset).reshape(shape)
    return array.astype(dtype.newbyteorder("="))


def write(path: str | os.PathLike[str], array: np.ndarray) -> None:
    """Writes an array as an IDX file, gzip-compressed if the name ends in ".gz".

    Raises:
        TypeError: the dtype is none of uint8, int8, int16, int32, float32, float64.
    """
    array = np.asarray(array)
    dtype = array.dtype.newbyteorder(">")
    if dtype not in _CODES:
        names = ", ".join(str(known.newbyteorder("=")) for known in _CODES)
        raise TypeError(f"{path}: an IDX file holds {names}, got {array.dtype}")
    header = struct.pack(f">HBB{array.ndim}I", 0, _CODES[dtype], array.ndim, *array.shape)
    content = header + array.astype(dtype).tobytes()
    if str(path).endswith(".gz"):
        content = gzip.compress(content, mtime=0)
    Path(path).write_bytes(content)
