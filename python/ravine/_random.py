"""The process's random seed, and the streams that models and training steps draw from it."""

from __future__ import annotations

from . import _core


class _Epoch:
    """Counts calls of `seed`, so that streams drawn before it start anew."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


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
    _epoch.count += 1


class RandomStream:
    """The random state of one model or training step, drawn when it is first needed."""

    __slots__ = ("_epoch", "state")

    def __init__(self) -> None:
        self.state: _core.RandomState | None = None
        self._epoch = -1

    def get(self) -> _core.RandomState:
        """The state, started anew if `seed` was called since."""
        if self.state is None:
            self.state = _core.RandomState(_core.draw_seed())
        elif self._epoch != _epoch.count:
            self.state.seed, self.state.step = _core.draw_seed(), 0
        self._epoch = _epoch.count
        return self.state

    def set(self, seed: int, step: int) -> None:
        """Continues the stream that was at `step` of `seed`."""
        state = self.state or _core.RandomState(seed)
        state.seed, state.step = seed, step
        self.state = state
        self._epoch = _epoch.count
