"""Where a training loop takes its batches from: one interface, with a state that resumes inside a pass."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from itertools import islice
from typing import Any

import numpy as np

from .. import _core
from .._state import check_keys, count, read_count, read_seed, seed_entry

__all__ = ["Map", "Source", "Stream"]


class Source(ABC):
    """Base of the sources of batches: passes over them, each of which is an epoch of the source.

    A batch is a tuple (x, y) or (x, y, weight), each an array or arrays in nested tuples and dicts. Derive
    from this and define `batches`; `len(source)` is for those that know their number of batches.

    Attributes:
        seed: the number that orders and random changes are a function of, together with the epoch.
        epoch: the number of the next pass, from 0; it may be set.

    Example:
        >>> import numpy as np, ravine as rv
        >>> class Squares(rv.data.Source):
        ...     def batches(self, epoch, start=0):
        ...         for i in range(start, 4):
        ...             yield np.array([i + epoch]), np.array([(i + epoch) ** 2])
        >>> [int(y[0]) for x, y in Squares()]
        [0, 1, 4, 9]
    """

    seed: int = 0
    _next: tuple[int, int] = (0, 0)  # epoch and first batch of the next pass
    _stands: tuple[int, int] | None = None  # epoch and next batch of the pass under way

    @abstractmethod
    def batches(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """The batches of pass `epoch` from number `start` on; a function of its arguments and the seed."""

    @property
    def epoch(self) -> int:
        return self._next[0]

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._next, self._stands = (epoch, 0), None

    def __iter__(self) -> Iterator[Any]:
        epoch, start = self._next
        self._next, self._stands = (epoch + 1, 0), (epoch, start)
        return self._pass(epoch, start)

    def _pass(self, epoch: int, start: int) -> Iterator[Any]:
        for i, batch in enumerate(self.batches(epoch, start), start):
            self._stands = (epoch, i + 1)
            yield batch
        self._stands = None

    def give_back(self) -> None:
        """Counts the newest batch as not given out, for a loop that failed on it."""
        if self._stands is not None:
            epoch, position = self._stands
            self._stands = (epoch, max(0, position - 1))

    def state_dict(self) -> dict[str, np.ndarray]:
        """Where the source stands: "seed", "epoch", and "position", the batches given out in that epoch."""
        epoch, position = self._stands or self._next
        return {"seed": seed_entry(self.seed), "epoch": count(epoch), "position": count(position)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Makes the next pass go on where `state_dict` was taken, inside of the epoch.

        Raises ValueError for missing, unexpected and wrong entries; nothing is changed then.
        """
        owner = type(self).__name__
        check_keys(owner, state_dict, ("seed", "epoch", "position"))
        stands = (read_count(owner, state_dict, "epoch"), read_count(owner, state_dict, "position"))
        self.seed = read_seed(owner, state_dict, "seed")
        self._next, self._stands = stands, None


class Stream(Source):
    """Batches of a function that gives an iterator of them, or of anything that can be iterated.

    Args:
        batches: a function, called for every pass, with its number if it takes an argument; or an iterable,
            such as a list of batches or torch's DataLoader. An iterator can be passed over once, in pieces
            of `steps`.
        steps: the number of batches of a pass; None for as many as there are.

    To resume inside of a pass the batches before are drawn and dropped, so the run goes on to the same bits
    if the function gives the same batches again.

    Raises TypeError for what is neither a function nor iterable, ValueError for steps below 1.

    Example:
        >>> import numpy as np, ravine as rv
        >>> def chunks(epoch):
        ...     for i in range(3):
        ...         yield np.full((2, 1), i), np.full(2, epoch)
        >>> [(x[0, 0].item(), y[0].item()) for x, y in rv.data.Stream(chunks)]
        [(0, 0), (1, 0), (2, 0)]
    """

    def __init__(
        self, batches: Callable[..., Iterable[Any]] | Iterable[Any], steps: int | None = None
    ) -> None:
        if not callable(batches) and not isinstance(batches, Iterable):
            raise TypeError(
                f"Stream: a function or an iterable of batches is expected, got {type(batches).__name__}"
            )
        if steps is not None and steps < 1:
            raise ValueError(f"Stream: steps={steps}, expected at least 1")
        self._steps = steps
        self._whole = batches if isinstance(batches, Sized) else None
        self._once = iter(batches) if isinstance(batches, Iterator) else None
        self._drawn = 0  # batches of an iterator
        self._begin = _beginning(batches)

    def __len__(self) -> int:
        if self._whole is not None:
            n = len(self._whole)
            return n if self._steps is None else min(n, self._steps)
        if self._steps is None:
            raise TypeError("this Stream does not know how many batches it has; give it steps")
        return self._steps

    def batches(self, epoch: int, start: int = 0) -> Iterator[Any]:
        if self._once is None:
            return islice(iter(self._begin(epoch)), start, self._steps)
        return self._further(epoch * (self._steps or 0) + start, start)

    def _further(self, drawn: int, start: int) -> Iterator[Any]:
        """What the iterator has left, after those that an interrupted run has drawn."""
        assert self._once is not None
        while self._drawn < drawn and next(self._once, None) is not None:
            self._drawn += 1
        for batch in islice(self._once, None if self._steps is None else self._steps - start):
            self._drawn += 1
            yield batch


def _beginning(batches: Any) -> Callable[[int], Iterable[Any]]:
    """What begins the pass of a number."""
    if isinstance(batches, Iterable):
        return lambda epoch: batches
    try:
        takes_epoch = len(inspect.signature(batches).parameters) > 0
    except (TypeError, ValueError):  # some functions written in C tell nothing
        takes_epoch = False
    return batches if takes_epoch else lambda epoch: batches()


class Map(Source):
    """The batches of another source, changed by a function: augmentation, noise, decoding.

    Args:
        source: where the batches come from.
        function: `function(rng, x, y)` (or `(rng, x, y, weight)`, as the source's batches are) to a tuple
            like it. `rng` is a `numpy.random.Generator` made of the seed, the epoch and the number of the
            batch, so a run that resumes sees what the uninterrupted one saw.
        seed: of the random numbers; None draws one from the process generator (`rv.seed`).

    Example:
        >>> import numpy as np, ravine as rv
        >>> def noisy(rng, x, y):
        ...     return x + 0.1 * rng.normal(size=x.shape), y
        >>> source = rv.data.Map(rv.data.Batches(np.zeros((6, 2)), np.zeros(6), batch_size=4), noisy)
        >>> len(source), [x.shape for x, y in source]
        (2, [(4, 2), (2, 2)])
    """

    def __init__(self, source: Source, function: Callable[..., Any], seed: int | None = 0) -> None:
        if not isinstance(source, Source):
            raise TypeError(f"Map: a source of ravine.data is expected, got {type(source).__name__}")
        self.source = source
        self.function = function
        self.seed = _core.draw_seed() if seed is None else seed

    def __len__(self) -> int:
        return len(self.source)  # type: ignore[arg-type]

    def batches(self, epoch: int, start: int = 0) -> Iterator[Any]:
        for i, batch in enumerate(self.source.batches(epoch, start), start):
            yield self.function(np.random.default_rng([self.seed, epoch, i]), *batch)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Where the source stands, and under "source." what the source below adds of its own."""
        inner = self.source.state_dict() | {"epoch": count(0), "position": count(0)}
        return super().state_dict() | {f"source.{key}": value for key, value in inner.items()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        inner = {key[7:]: value for key, value in state_dict.items() if key.startswith("source.")}
        own = {key: value for key, value in state_dict.items() if not key.startswith("source.")}
        check_keys(type(self).__name__, own, ("seed", "epoch", "position"))
        self.source.load_state_dict(inner)
        super().load_state_dict(own)
