"""Training and test sets, and the seeded split that makes them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .. import _core, _trace

__all__ = ["TrainTest", "train_test_split"]


class TrainTest(NamedTuple):
    """Examples and targets for training and for testing; the first axis of each array counts examples."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def train_test_split(
    x: np.ndarray,
    y: np.ndarray,
    test_size: float | int = 0.2,
    *,
    seed: int = 0,
    stratify: bool = False,
) -> TrainTest:
    """Splits examples into a training and a test set, the same way for the same seed on every machine.

    Args:
        x: examples, [n, ...].
        y: targets, [n, ...].
        test_size: the share (a float between 0 and 1) or the number (an int) of test examples; a share is
            rounded to the nearest number, but at least one example stays on each side.
        seed: of the shuffle.
        stratify: keep the shares of the classes, y then being integer labels [n].

    Raises:
        ValueError: different numbers of examples, fewer than 2, a test size that leaves one side empty.

    Example:
        >>> import numpy as np, ravine as rv
        >>> x, y = np.arange(20.0).reshape(10, 2), np.repeat([0, 1], 5)
        >>> split = rv.data.train_test_split(x, y, 0.4, stratify=True)
        >>> split.x_train.shape, sorted(split.y_test.tolist())
        ((6, 2), [0, 0, 1, 1])
    """
    x, y = _trace.plain_array(x, "train_test_split: x"), _trace.plain_array(y, "train_test_split: y")
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
        raise ValueError(f"train_test_split: x of shape {x.shape} and y of shape {y.shape} differ in length")
    n_test = _test_count(len(x), test_size)
    order = _core.permutation(len(x), seed)
    if stratify:
        test = _stratified(y, order, n_test)
    else:
        test = np.zeros(len(x), dtype=bool)
        test[:n_test] = True
    # Both sides come in the shuffled order.
    train_rows, test_rows = order[~test], order[test]
    return TrainTest(x[train_rows], y[train_rows], x[test_rows], y[test_rows])


def _test_count(n: int, test_size: float | int) -> int:
    if n < 2:
        raise ValueError(f"train_test_split: needs at least 2 examples, got {n}")
    if isinstance(test_size, (int, np.integer)):
        if not 0 < test_size < n:
            raise ValueError(
                f"train_test_split: test_size={test_size} of {n} examples, expected 1 to {n - 1}"
            )
        return int(test_size)
    if not 0.0 < test_size < 1.0:
        raise ValueError(f"train_test_split: test_size={test_size}, expected a share between 0 and 1")
    return min(n - 1, max(1, round(n * test_size)))


def _stratified(y: np.ndarray, order: np.ndarray, n_test: int) -> np.ndarray:
    """Marks positions of `order` for the test set: a share of each class, remainders to the largest."""
    if y.ndim != 1 or y.dtype.kind not in "iub":
        raise ValueError(
            f"train_test_split: stratify needs integer labels of shape [n], got {y.dtype} of shape {y.shape}"
        )
    _, label, count = np.unique(y[order], return_inverse=True, return_counts=True)
    quota = count * (n_test / len(y))
    take = np.floor(quota).astype(np.int64)
    remainders = np.argsort(take - quota, kind="stable")
    take[remainders[: n_test - int(take.sum())]] += 1
    test = np.zeros(len(y), dtype=bool)
    for which, n in enumerate(take):
        test[np.flatnonzero(label == which)[:n]] = True
    return test
