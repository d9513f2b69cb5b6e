"""Arrays that a recording met: which of them may change before the program runs again."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping

import numpy as np


def living(arrays: Mapping[int, np.ndarray]) -> list[np.ndarray]:
    """Those that others can write to. `arrays`, by identity, holds the only reference of the recording.

    An array that nothing else refers to was made while recording, and stays as it is. A doubtful one counts
    as living: that costs a program a little time, and never makes it wrong.
    """
    (alone,) = _references({0: np.empty(1)})
    return [
        array
        for array, n in zip(arrays.values(), _references(arrays), strict=True)
        if _owner(array).flags.writeable and (n > alone or _owner(array).base is not None)
    ]


def _references(arrays: Mapping[int, np.ndarray]) -> list[int]:
    """How many references to each, or to the owner of its memory, `arrays` does not explain."""
    known = Counter(id(array) for array in arrays.values())
    known.update(id(_owner(array)) for array in arrays.values() if array.base is not None)
    result = []
    for array in arrays.values():
        n = sys.getrefcount(array) - known[id(array)]
        if array.base is not None:
            owner = _owner(array)
            n = max(n, sys.getrefcount(owner) - known[id(owner)])
            del owner
        result.append(n)
    return result


def _owner(array: np.ndarray) -> np.ndarray:
    """The array that owns the memory; the last one if it belongs to a file or another library."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array
