"""Random numbers of Python and NumPy that are drawn while a function is recorded."""

from __future__ import annotations

import os
import pickle
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from ._reach import Reach


class Draws:
    """The generators that a recording can reach, as they are before it: every run would repeat what it draws.

    The generators of the process belong to all threads. If there are several, a change counts only if the
    code that is reached mentions `random`.
    """

    def __init__(self, reach: Reach) -> None:
        self._process = os.getpid()
        self._generators = [_Generator(f"a {type(g).__name__}", *_access(g)) for g in reach.generators]
        if threading.active_count() == 1 or "random" in reach.names:
            if "random" in sys.modules:
                module = sys.modules["random"]
                self._generators.append(_Generator("random", module.getstate, module.setstate))
            if "numpy.random" in sys.modules:
                module = np.random
                self._generators.append(_Generator("numpy.random", module.get_state, module.set_state))

    def check(self) -> None:
        """Raises RuntimeError if one has drawn since, and takes it back to where it was."""
        if os.getpid() != self._process:
            return  # forked while recording: Python seeds its generator again in the child
        drawn = [generator for generator in self._generators if generator.changed()]
        for generator in drawn:
            generator.restore()
        if drawn:
            raise RuntimeError(
                f"random numbers of {drawn[0].name} were drawn while a program was recorded, and every run "
                f"would have the same: use rv.ops.rand, rv.ops.randn or rv.ops.dropout, which draw in every "
                f"run, or draw before the call and pass the numbers as an argument"
            )


class _Generator:
    def __init__(self, name: str, get: Callable[[], Any], put: Callable[[Any], None]) -> None:
        self.name = name
        self._get, self._put = get, put
        self._state = get()
        self._bytes = pickle.dumps(self._state)

    def changed(self) -> bool:
        return pickle.dumps(self._get()) != self._bytes

    def restore(self) -> None:
        self._put(self._state)


def _access(generator: Any) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    if isinstance(generator, np.random.Generator):
        bits = generator.bit_generator
        return lambda: bits.state, lambda state: setattr(bits, "state", state)
    if isinstance(generator, np.random.RandomState):
        return generator.get_state, generator.set_state
    return generator.getstate, generator.setstate
