"""Reads examples and targets from NumPy's .npz files."""

from __future__ import annotations

import os

import numpy as np

from ._npz_arrays import read_arrays as _read_arrays
from ._split import TrainTest, train_test_split

__all__ = ["read", "read_arrays"]


_KEYS = ("x", "y", "x_test", "y_test")


def read(
    path: str | os.PathLike[str],
    *,
    test_size: float | int = 0.2,
    seed: int = 0,
    max_bytes: int | None = None,
) -> TrainTest:
    """Training and test set from an .npz file with the arrays x and y, and perhaps x_test and y_test.

    Without x_test and y_test the examples are split by `train_test_split`, stratified if y is integer labels.

    Args:
        path: the file, as written by `numpy.savez(path, x=..., y=...)`.
        test_size: share or number of test examples where the file brings none.
        seed: of that split.
        max_bytes: what the arrays may take; None means 24 MiB, or 20 times the file if that is more. A file
            that asks for more is refused before anything is decompressed.

    Raises:
        ValueError: naming the file, where it is damaged or no .npz file, an array is missing, holds Python
            objects or records, is empty, or the numbers of examples or their shapes differ; for a pipe, a
            device or a socket.
        OSError: where the system refuses (FileNotFoundError, IsADirectoryError, ...).

    Example:
        >>> import numpy as np, os, tempfile
        >>> from ravine.data import npz
        >>> path = os.path.join(tempfile.mkdtemp(), "points.npz")
        >>> np.savez(path, x=np.zeros((10, 3), np.float32), y=np.repeat([0, 1], 5))
        >>> npz.read(path, test_size=2).x_train.shape
        (8, 3)
    """
    arrays = _read_arrays(path, _KEYS, max_bytes)
    for key in ("x", "y"):
        if key not in arrays:
            raise ValueError(f"{path}: no array {key!r}; it has {_listed(arrays)}, expected x and y")
    if ("x_test" in arrays) != ("y_test" in arrays):
        raise ValueError(f"{path}: has {_listed(arrays)}; x_test and y_test belong together")
    _check_pair(path, "x", "y", arrays)
    x, y = arrays["x"], arrays["y"]
    if "x_test" not in arrays:
        return train_test_split(x, y, test_size, seed=seed, stratify=y.ndim == 1 and y.dtype.kind in "iub")
    _check_pair(path, "x_test", "y_test", arrays)
    for train, test in (("x", "x_test"), ("y", "y_test")):
        if arrays[train].shape[1:] != arrays[test].shape[1:]:
            raise ValueError(
                f"{path}: one example of {train} has shape {arrays[train].shape[1:]}, "
                f"one of {test} {arrays[test].shape[1:]}"
            )
    return TrainTest(x, y, arrays["x_test"], arrays["y_test"])


def read_arrays(
    path: str | os.PathLike[str], *names: str, max_bytes: int | None = None
) -> dict[str, np.ndarray]:
    """Those of the named arrays that an .npz file holds, by name.

    Args:
        path: the file.
        names: of the arrays.
        max_bytes: as for `read`.

    Raises:
        ValueError: naming the file, where it is damaged, or an array holds Python objects or records.
        OSError: where the system refuses.

    Example:
        >>> import numpy as np, os, tempfile
        >>> from ravine.data import npz
        >>> path = os.path.join(tempfile.mkdtemp(), "points.npz")
        >>> np.savez(path, x=np.arange(3))
        >>> npz.read_arrays(path, "x", "y")
        {'x': array([0, 1, 2])}
    """
    return _read_arrays(path, names, max_bytes)


def _check_pair(path: str | os.PathLike[str], x_key: str, y_key: str, arrays: dict[str, np.ndarray]) -> None:
    x, y = arrays[x_key], arrays[y_key]
    if x.ndim < 2 or y.ndim < 1:
        raise ValueError(
            f"{path}: {x_key} has shape {x.shape} and {y_key} {y.shape}, expected [n, ...features] and [n]"
        )
    if len(x) != len(y) or x.size == 0:
        raise ValueError(
            f"{path}: {x_key} has shape {x.shape} and {y_key} {y.shape}, expected as many examples, and some"
        )


def _listed(arrays: dict[str, np.ndarray]) -> str:
    return ", ".join(sorted(arrays)) or "no arrays"
