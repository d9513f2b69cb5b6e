"""The process's random seed, and the streams that models and training steps draw from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from . import _core
from ._splitmix import number_at


class _Epoch:
    """The newest seed and how many there were, so that streams drawn before it are reset."""

    __slots__ = ("count", "seed")

    def __init__(self) -> None:
        self.count = 0
        self.seed = 0


_epoch = _Epoch()


def seed(n: int) -> None:
    """Sets the seed of everything random: initialisation, dropout, shuffling.

    Models and training steps made before draw new streams, so what follows is a function of `n` alone.

    Args:
        n: any integer from 0 to 2**63 - 1.

    Raises TypeError or ValueError for anything else.

    Example:
        >>> import ravine as rv
        >>> rv.seed(0)
        >>> a = rv.nn.Linear(2, 1).weight.data.copy()
        >>> rv.seed(0)
        >>> bool((a == rv.nn.Linear(2, 1).weight.data).all())
        True
    """
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise TypeError(f"seed: an integer is expected, got {n!r}")
    number = n.__index__()
    if not 0 <= number < 2**63:
        raise ValueError(f"seed: an integer from 0 to 2**63 - 1 is expected, got {number}")
    _core.seed(number)
    _epoch.seed = number
    _epoch.count += 1


@contextmanager
def own_generator(seed: int) -> Iterator[None]:
    """Context in which this thread draws initial weights, orders and origins of streams from a generator of
    its own, so that they are a function of `seed` alone; the process's generator is not touched."""
    own = _core.Generator(seed)
    outer = _core.use_generator(own)
    try:
        yield
    finally:
        _core.use_generator(outer)


class RandomStream:
    """The random state of one model or training step.

    It is a function of the seed and of the stream's origin, which is drawn once: a seed set later starts all
    streams again, whichever is used first then.
    """

    __slots__ = ("_epoch", "_origin", "state")

    def __init__(self) -> None:
        self.state: _core.RandomState | None = None
        self._origin: int | None = None
        self._epoch = -1

    def draw(self) -> int:
        """The origin, drawn from the process's generator when this is first asked for."""
        if self._origin is None:
            self._origin = _core.draw_seed()
        return self._origin

    def get(self) -> _core.RandomState:
        """The state, reset if `seed` was called since."""
        if self.state is None or self._epoch != _epoch.count:
            seed = number_at(self.draw(), _epoch.seed)
            if self.state is None:
                self.state = _core.RandomState(seed)
            self.state.seed, self.state.step = seed, 0
            self._epoch = _epoch.count
        return self.state
