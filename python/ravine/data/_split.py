"""Training and test sets, and the seeded split that makes them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .. import _core
from .._nesting import as_arrays, common_length, shapes_of, take
from .._numbers import flag, whole

__all__ = ["TrainTest", "k_fold", "split_indices", "train_test_split"]


class TrainTest(NamedTuple):
    """Examples and targets for training and for testing; the first axis of each array counts examples.

    Each is an array, or arrays in nested tuples and dicts as those that were split.
    """

    x_train: Any
    y_train: Any
    x_test: Any
    y_test: Any


def train_test_split(
    x: Any,
    y: Any,
    test_size: float | int = 0.2,
    *,
    seed: int = 0,
    stratify: bool = False,
) -> TrainTest:
    """Splits examples into a training and a test set, the same way for the same seed on every machine.

    Args:
        x: examples, [n, ...], or arrays in nested tuples and dicts, or a pandas frame.
        y: targets, likewise.
        test_size: the share (a float between 0 and 1) or the number (an int) of test examples; a share is
            rounded to the nearest number, but at least one example stays on each side.
        seed: of the shuffle.
        stratify: keep the shares of the classes, y then being integer labels [n].

    The examples are copied; `split_indices` gives their numbers alone, for arrays that are too large.

    Raises:
        ValueError: different numbers of examples, fewer than 2, a test size that leaves one side empty.

    Example:
        >>> import numpy as np, ravine as rv
        >>> x, y = np.arange(20.0).reshape(10, 2), np.repeat([0, 1], 5)
        >>> split = rv.data.train_test_split(x, y, 0.4, stratify=True)
        >>> split.x_train.shape, sorted(split.y_test.tolist())
        ((6, 2), [0, 0, 1, 1])
    """
    x, y = as_arrays(x, "train_test_split: x"), as_arrays(y, "train_test_split: y")
    n = common_length((x, y))
    if n is None:
        raise ValueError(
            f"train_test_split: x of shape {shapes_of(x)} and y of shape {shapes_of(y)} differ in length"
        )
    train, test = _split(
        "train_test_split", n, test_size, seed, y if flag("train_test_split", "stratify", stratify) else None
    )
    return TrainTest(take(x, train), take(y, train), take(x, test), take(y, test))


def split_indices(
    n: int, test_size: float | int = 0.2, *, seed: int = 0, stratify: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the training and of the test examples of `train_test_split`.

    With `Batches(x, y, rows=train)` they split what is too large to copy, such as a memory map.

    Args:
        n: the number of examples.
        test_size: the share (a float between 0 and 1) or the number (an int) of test examples.
        seed: of the shuffle.
        stratify: integer labels [n] whose classes have the same shares on both sides; None for any.

    Returns:
        Two arrays int64, each in the shuffled order.

    Raises:
        ValueError: as `train_test_split`.

    Example:
        >>> import ravine as rv
        >>> train, test = rv.data.split_indices(10, 0.3)
        >>> len(train), len(test), sorted([*train, *test]) == list(range(10))
        (7, 3, True)
    """
    return _split("split_indices", n, test_size, seed, stratify)


def k_fold(n: int, k: int = 5, *, seed: int = 0, stratify: Any = None) -> list[tuple[np.ndarray, np.ndarray]]:
    """The numbers of the training and of the validation examples of k folds.

    Every example is in one validation set; their sizes differ by at most one.

    Args:
        n: the number of examples.
        k: the number of folds, from 2 to n.
        seed: of the shuffle.
        stratify: integer labels [n] whose classes are spread over the folds evenly; None for any.

    Returns:
        Of each fold (training, validation), arrays int64, each in the shuffled order.

    Raises:
        ValueError: k out of range, or labels that are none.

    Example:
        >>> import ravine as rv
        >>> [validation.size for _, validation in rv.data.k_fold(10, 3)]
        [4, 3, 3]
    """
    if not 2 <= whole("k_fold", "k", k) <= n:
        raise ValueError(f"k_fold: k={k}, expected 2 to the number of examples, {n}")
    order = _core.permutation(n, seed)
    places = np.arange(n)
    if stratify is not None:  # one class after the other, dealt out like cards
        places = np.argsort(_labels("k_fold", stratify, order), kind="stable")
    fold = np.empty(n, np.int64)
    fold[places] = np.arange(n) % k
    return [(order[fold != i], order[fold == i]) for i in range(k)]


def _split(
    caller: str, n: int, test_size: float | int, seed: int, labels: Any
) -> tuple[np.ndarray, np.ndarray]:
    n_test = _test_count(caller, n, test_size)
    order = _core.permutation(n, seed)
    if labels is None:
        test = np.zeros(n, dtype=bool)
        test[:n_test] = True
    else:
        test = _stratified(caller, labels, order, n_test)
    # Both sides come in the shuffled order.
    return order[~test], order[test]


def _test_count(caller: str, n: int, test_size: float | int) -> int:
    if n < 2:
        raise ValueError(f"{caller}: needs at least 2 examples, got {n}")
    if isinstance(test_size, (int, np.integer)):
        if not 0 < test_size < n:
            raise ValueError(f"{caller}: test_size={test_size} of {n} examples, expected 1 to {n - 1}")
        return int(test_size)
    if not isinstance(test_size, float | np.floating):
        raise TypeError(f"{caller}: test_size must be a share or a number of examples, got {test_size!r}")
    if not 0.0 < test_size < 1.0:
        raise ValueError(f"{caller}: test_size={test_size}, expected a share between 0 and 1")
    return min(n - 1, max(1, round(n * test_size)))


def _stratified(caller: str, y: Any, order: np.ndarray, n_test: int) -> np.ndarray:
    """Marks positions of `order` for the test set: a share of each class, remainders to the largest."""
    _, label, count = np.unique(_labels(caller, y, order), return_inverse=True, return_counts=True)
    quota = count * (n_test / len(order))
    take = np.floor(quota).astype(np.int64)
    remainders = np.argsort(take - quota, kind="stable")
    take[remainders[: n_test - int(take.sum())]] += 1
    test = np.zeros(len(order), dtype=bool)
    for which, n in enumerate(take):
        test[np.flatnonzero(label == which)[:n]] = True
    return test


def _labels(caller: str, y: Any, order: np.ndarray) -> np.ndarray:
    """Integer labels, checked, in this order."""
    y = as_arrays(y, f"{caller}: labels")
    if not isinstance(y, np.ndarray) or y.shape != order.shape or y.dtype.kind not in "iub":
        seen = f"{y.dtype} of shape {y.shape}" if isinstance(y, np.ndarray) else type(y).__name__
        raise ValueError(f"{caller}: stratify needs integer labels of shape [n], got {seen}")
    return y[order]
