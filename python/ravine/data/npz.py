"""Reads examples and targets from NumPy's .npz files."""

from __future__ import annotations

import os
import zipfile
import zlib
from pathlib import Path

import numpy as np

from ._split import TrainTest, train_test_split

__all__ = ["read"]


def read(path: str | os.PathLike[str], *, test_size: float | int = 0.2, seed: int = 0) -> TrainTest:
    """Training and test set from an .npz file with the arrays x and y, and perhaps x_test and y_test.

    Without x_test and y_test the examples are split by `train_test_split`, stratified if y is integer labels.

    Args:
        path: the file, as written by `numpy.savez(path, x=..., y=...)`.
        test_size: share or number of test examples where the file brings none.
        seed: of that split.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged or no .npz file, an array is missing, holds Python objects, is empty,
            or the numbers of examples or their shapes differ.

    Example:
        >>> import numpy as np, os, tempfile
        >>> from ravine.data import npz
        >>> path = os.path.join(tempfile.mkdtemp(), "points.npz")
        >>> np.savez(path, x=np.zeros((10, 3), np.float32), y=np.repeat([0, 1], 5))
        >>> npz.read(path, test_size=2).x_train.shape
        (8, 3)
    """
    arrays = _arrays(Path(path))
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


def _arrays(path: Path) -> dict[str, np.ndarray]:
    if path.is_dir():
        raise IsADirectoryError(f"{path}: expected a file, got a folder")
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path}: not an .npz file, or a truncated one ({path.stat().st_size} bytes)")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except (ValueError, EOFError, OSError, zlib.error, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: damaged .npz file, or one that holds Python objects: {error}") from None


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
