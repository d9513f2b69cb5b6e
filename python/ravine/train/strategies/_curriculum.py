"""Curricula: easy examples first."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ... import _core
from ..._nesting import take
from ..._numbers import flag, number, whole
from ..._splitmix import number_at
from ...data import Batches
from .._inputs import check_examples

_PACINGS: dict[str, Callable[[float], float]] = {
    "linear": lambda t: t,
    "root": math.sqrt,
    "quadratic": lambda t: t * t,
    "step": lambda t: math.floor(4 * t) / 4,
}


class Curriculum(Batches):
    """A source of batches whose first epochs draw from the easiest examples only.

    Epoch e of the n epochs of the curriculum draws once each of the easiest
    `start + (1 - start) · pacing(e / (n - 1))` of the examples, in a new order; later epochs draw all.

    Args:
        x, y: examples and targets.
        difficulty: of each example [n], or a function of (x, y) that returns it: larger is harder.
        pacing: how the share grows over the epochs: "linear", "root" (fast first), "quadratic" (slow first),
            "step" (in quarters), or a function from [0, 1] to [0, 1].
        reverse: the hardest examples first, for comparison.
        epochs: after which all examples take part, at least 1.
        batch_size: examples in a mini-batch.
        seed: of the orders; None draws one.
        start: share of the examples in the first epoch, in (0, 1].

    Raises ValueError for a difficulty of another shape or with NaN, an unknown pacing and numbers out of
    range.

    Source: Bengio et al. 2009, https://doi.org/10.1145/1553374.1553380; pacing by Hacohen and Weinshall 2019,
    https://arxiv.org/abs/1904.03626.

    Example:
        >>> import numpy as np, ravine as rv
        >>> x = np.arange(10.0)
        >>> source = rv.train.strategies.Curriculum(x, x, difficulty=x, epochs=3, batch_size=4, start=0.2)
        >>> [sorted(np.concatenate([x for x, y in source]).tolist())[-1] for epoch in range(4)]
        [1.0, 5.0, 9.0, 9.0]
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        *,
        difficulty: Any,
        pacing: str | Callable[[float], float] = "linear",
        reverse: bool = False,
        epochs: int = 10,
        batch_size: int = 32,
        seed: int | None = 0,
        start: float = 0.2,
    ) -> None:
        super().__init__(
            *check_examples("Curriculum", x, y),
            batch_size=whole("Curriculum", "batch_size", batch_size),
            shuffle=True,
            seed=seed,
        )
        scores = np.asarray(difficulty(x, y) if callable(difficulty) else difficulty)
        if scores.shape != (self.n,) or scores.dtype.kind not in "fiub" or np.isnan(scores).any():
            raise ValueError(
                f"Curriculum: difficulty of dtype {scores.dtype} and shape {scores.shape}, expected one "
                f"number for each of {self.n} examples and no NaN"
            )
        if isinstance(pacing, str) and pacing not in _PACINGS:
            raise ValueError(
                f"Curriculum: pacing must be {', '.join(_PACINGS)} or a function, got {pacing!r}"
            )
        if not (isinstance(pacing, str) or callable(pacing)):
            raise TypeError(f"Curriculum: pacing must be a name or a function, got {pacing!r}")
        self.start = number("Curriculum", "start", start, high=1.0)
        if self.start == 0:
            raise ValueError("Curriculum: start must be above 0")
        self.epochs = whole("Curriculum", "epochs", epochs)
        self._pacing = _PACINGS[pacing] if isinstance(pacing, str) else pacing
        by_difficulty = np.argsort(scores, kind="stable")
        self._ranked = by_difficulty[::-1] if flag("Curriculum", "reverse", reverse) else by_difficulty

    def share(self, epoch: int) -> float:
        """The share of the examples that an epoch, from 0, draws from."""
        if epoch >= self.epochs - 1:
            return 1.0
        share = float(self._pacing(epoch / (self.epochs - 1)))
        return number("Curriculum", f"pacing at {epoch / (self.epochs - 1):g}", share, high=1.0)

    def size(self, epoch: int) -> int:
        """The number of examples of an epoch."""
        share = self.share(epoch)
        return max(1, round((self.start + (1 - self.start) * share) * self.n)) if share < 1 else self.n

    def __len__(self) -> int:
        """The number of batches of the epoch under way, or of the next."""
        epoch = (self._stands or self._next)[0]
        return -(-self.size(epoch) // self.batch_size)

    def batches(self, epoch: int, start: int = 0) -> Iterator[tuple[Any, ...]]:
        size = self.size(epoch)
        order = self._ranked[:size][_core.permutation(size, number_at(self.seed, epoch))]
        for begin in range(start * self.batch_size, size, self.batch_size):
            chosen = order[begin : begin + self.batch_size]
            yield tuple([take(array, chosen) for array in self.arrays])
