"""Of several bad indices the first in order is reported, on any number of threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn, ops, optim

N = 6000
# Places of bad indices and the values there, not in order: the first is at 1201, far from the ends of any
# thread's part.
PLACES = {5800: 907, 3100: -4, 1201: 555, 1202: 99, 4499: 10}


def indices(shape: tuple[int, ...] = (N,), dtype: str = "int64") -> np.ndarray:
    result = (np.arange(np.prod(shape)) % 10).astype(dtype)
    for place, value in PLACES.items():
        result[place] = value
    return result.reshape(shape)


class Function(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs)


def call(function: Callable[..., Any], *inputs: np.ndarray) -> Callable[[], Any]:
    return lambda: Function(function)(*inputs)


X = np.random.default_rng(0).normal(size=(N, 10)).astype(np.float32)
TABLE = X[:10]


def train_embedding() -> Any:
    model = nn.Sequential(nn.Embedding(10, 8), nn.Linear(8, 10))
    return rv.TrainStep(model, nn.CrossEntropyLoss(), optim.Adam(lr=0.1))(indices(), np.arange(N) % 10)


def train_labels() -> Any:
    return rv.TrainStep(nn.Linear(10, 10), nn.CrossEntropyLoss(), optim.SGD(lr=0.1))(X, indices())


# In the last two cases more than one operation meets bad indices: the first of the program counts.
CASES: dict[str, Callable[[], Any]] = {
    "embedding": call(ops.embedding, indices(), TABLE),
    "embedding, int32": call(ops.embedding, indices(dtype="int32"), TABLE),
    "index_select": call(lambda x, i: ops.index_select(x, 0, i), TABLE, indices()),
    "index_select, last axis": call(lambda x, i: ops.index_select(x, 1, i), X[:50], indices()),
    "gather along rows": call(lambda x, i: ops.gather(x, 1, i), X, indices((N, 1))),
    "gather along columns": call(lambda x, i: ops.gather(x, 0, i), TABLE, indices((600, 10))),
    "cross_entropy": call(ops.cross_entropy, X, indices()),
    "cross_entropy, int32": call(ops.cross_entropy, X, indices(dtype="int32")),
    "training step, labels": train_labels,
    "training step, embedding": train_embedding,
    "two operations": call(
        lambda t, i, j: ops.sum(ops.embedding(i, t)) + ops.sum(ops.embedding(j, t)),
        TABLE,
        indices(),
        indices()[::-1],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_first_bad_index_is_reported(name: str) -> None:
    said = set()
    for threads in (1, 2, 3, 5):
        rv.set_num_threads(threads)
        for _ in range(10):
            with pytest.raises(ValueError, match="is outside") as error:
                CASES[name]()
            said.add(str(error.value))
    assert len(said) == 1
    assert " 555 is outside [0, 10)" in said.pop()
