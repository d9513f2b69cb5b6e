"""Arrays in NumPy's .npy files (NumPy Enhancement Proposal 1): their headers, and files as memory maps.

NumPy's own reader evaluates headers and believes the sizes in them. This one takes plain arrays only, and
checks what the header says against the file before anything else.
"""

from __future__ import annotations

import math
import os
import re
from typing import IO, NamedTuple

import numpy as np

from ._files import open_regular

__all__ = ["Layout", "open_npy", "read_header"]

_MAGIC = b"\x93NUMPY"
_MAX_HEADER = 10_000  # as in NumPy
_MAX_RANK = 32
_FIELD = re.compile(
    r"\s*['\"](descr|fortran_order|shape)['\"]\s*:\s*"
    r"(?:['\"]([^'\"]{1,16})['\"]|(True|False)|\(([0-9\sL,]{0,1000})\))\s*(?:,|(?=\s*\}))"
)


class Layout(NamedTuple):
    """What the header of an array says."""

    dtype: np.dtype
    fortran_order: bool
    shape: tuple[int, ...]

    @property
    def n_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def open_npy(path: str | os.PathLike[str]) -> np.ndarray:
    """The array of an .npy file as a memory map, which is read piece by piece when it is used.

    So `data.Batches(open_npy("x.npy"), y)` trains on an array larger than memory. The file must stay as it
    is in the meantime. `numpy.array(open_npy(path))` reads it whole.

    Raises:
        ValueError: naming the file, where it is no .npy file, damaged, shorter or longer than its header
            says, or holds Python objects or records; for a pipe, a device or a socket.
        OSError: where the system refuses (FileNotFoundError, IsADirectoryError, ...).

    Example:
        >>> import numpy as np, os, tempfile, ravine as rv
        >>> path = os.path.join(tempfile.mkdtemp(), "x.npy")
        >>> np.save(path, np.arange(6.0).reshape(3, 2))
        >>> x = rv.data.open_npy(path)
        >>> x.shape, x[1].tolist(), x.flags.writeable
        ((3, 2), [2.0, 3.0], False)
    """
    path = os.fspath(path)
    with open_regular(path) as file:
        try:
            layout, begin = read_header(file, "the file")
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: cannot be read as an .npy file: {error}") from None
        size = os.fstat(file.fileno()).st_size
        if size != begin + layout.n_bytes:
            raise ValueError(
                f"{path}: cannot be read as an .npy file: it has {size} bytes, expected "
                f"{begin + layout.n_bytes} for shape {layout.shape} of {layout.dtype}"
            )
        order = "F" if layout.fortran_order else "C"
        if layout.n_bytes == 0:  # which cannot be mapped
            try:
                array = np.empty(layout.shape, layout.dtype, order)
            except ValueError as error:
                raise ValueError(f"{path}: an array of shape {layout.shape}: {error}") from None
            array.flags.writeable = False
            return array
        return np.memmap(file, layout.dtype, "r", begin, layout.shape, order)


def read_header(source: IO[bytes], key: str) -> tuple[Layout, int]:
    """The layout of an array, and where its elements begin."""
    start = source.read(8)
    version = start[6:]
    if start[:6] != _MAGIC or version not in (b"\1\0", b"\2\0", b"\3\0"):
        raise ValueError(f"{key} is not an .npy file of version 1, 2 or 3")
    length_bytes = 2 if version == b"\1\0" else 4
    length = int.from_bytes(source.read(length_bytes), "little")
    if length > _MAX_HEADER:
        raise ValueError(f"{key} has a header of {length} bytes, at most {_MAX_HEADER} are read")
    text = source.read(length).decode("latin1")
    return _layout(text, key), 8 + length_bytes + length


def _layout(text: str, key: str) -> Layout:
    """What an .npy header says, which is a Python dict of three fields; nothing is evaluated."""
    stripped = text.strip()
    fields: dict[str, str] = {}
    position = 1
    while match := _FIELD.match(stripped, position):
        name, descr, order, shape = match.groups()
        if name in fields or (name, True) not in (
            ("descr", descr is not None),
            ("fortran_order", order is not None),
            ("shape", shape is not None),
        ):
            raise ValueError(f"{key} has a damaged header: {text[:200]!r}")
        fields[name] = descr or order or shape or ""
        position = match.end()
    if stripped[:1] != "{" or stripped[position:].strip() != "}" or len(fields) != 3:
        raise ValueError(f"{key} holds records, or has a damaged header: {text[:200]!r}")
    dtype = np.dtype(fields["descr"])
    if dtype.hasobject:
        raise ValueError(f"{key} holds Python objects, which are not read, as that could execute anything")
    if dtype.itemsize == 0:
        raise ValueError(f"{key} has elements of no size ({dtype})")
    extents = [int(extent.strip().rstrip("L")) for extent in fields["shape"].split(",") if extent.strip()]
    if len(extents) > _MAX_RANK:
        raise ValueError(f"{key} has {len(extents)} dimensions; at most {_MAX_RANK} are supported")
    return Layout(dtype, fields["fortran_order"] == "True", tuple(extents))
