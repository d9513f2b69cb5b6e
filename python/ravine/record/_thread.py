"""The recording under way in this thread, whether it is eager, and the modes of modules that it sees.

A `Trace` owns one graph. Code that runs a user's `forward` opens a trace with `recording_into`; operations
find it through `current`. Without an open trace an operation runs at once, in an eager graph of its own.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from .. import _core
from .._random import RandomStream
from ._trace import Trace


class _ThreadState(threading.local):
    trace: Trace | None = None
    eager: bool = False
    check_nan: bool = False
    modes: dict[int, bool] | None = None  # of modules, by identity, if other than their own


thread = _ThreadState()
_process_stream = RandomStream()  # of operations called outside of any model


def current() -> Trace | None:
    """The trace this thread records into, if any."""
    return thread.trace


def current_or_eager() -> Trace:
    """The trace this thread records into; outside of any, a fresh eager one."""
    return thread.trace or Trace(eager=True, check_nan=thread.check_nan, random=_process_stream.get())


@contextmanager
def part_of_step(name: str) -> Iterator[None]:
    """For a while, what this thread records outside of modules belongs to a part of this name."""
    graph = current_or_eager().graph
    origin = graph.origin
    graph.enter(name)
    try:
        yield
    finally:
        graph.origin = origin


def eager_mode() -> bool:
    """Whether this thread is inside `rv.eager()`."""
    return thread.eager


def new_trace(
    names: Mapping[int, str] | None,
    *,
    eager: bool,
    random: _core.RandomState | None = None,
    living: Sequence[np.ndarray] = (),
) -> Trace:
    """A trace that looks for NaN if this thread is inside `rv.eager(check_nan=True)`."""
    check_nan = eager and thread.check_nan
    return Trace(eager=eager, check_nan=check_nan, names=names, random=random, living=living)


class recording_into:
    """Context: operations of this thread go into `trace`."""

    __slots__ = ("_outer", "_served", "_trace")

    def __init__(self, trace: Trace) -> None:
        self._trace = trace

    def __enter__(self) -> Trace:
        self._outer, self._served = thread.trace, _core.serve_known_calls(False)
        thread.trace = self._trace
        return self._trace

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        thread.trace = self._outer
        _core.serve_known_calls(self._served)
        if kind is RecursionError and self._outer is None:
            limit = sys.getrecursionlimit()
            raise RecursionError(
                f"forward calls are nested deeper than Python's recursion limit of {limit} allows; a module "
                f"takes 2 to 4 of it, so about {limit // 4} to {limit // 2} modules inside each other run; "
                f"sys.setrecursionlimit raises it"
            )


class eager:
    """Context in which every operation runs as soon as it is recorded.

    Inside, tensors in `forward` print their values, `float(tensor)` and `tensor.numpy()` work, a debugger can
    look at them, and an error or a NaN is raised at the line that made it. The kernels are the same as in a
    compiled program; there is no fusion and no promise of speed. A module called on arrays still returns
    arrays.

    Args:
        check_nan: raise `FloatingPointError` where a number goes wrong: before anything runs, if an input, a
            label or a parameter holds a NaN or an infinity; else at the first operation that makes a NaN,
            forward or backward. Where a loss becomes infinite, the error names the first operation that made
            an infinity. The message has the module's path.

    Example:
        >>> import ravine as rv
        >>> with rv.eager():
        ...     print(rv.ops.exp([0.0, 1.0]))
        tensor([1.       , 2.7182817], dtype=float32)
    """

    __slots__ = ("_check_nan", "_outer", "_served")

    def __init__(self, check_nan: bool = False) -> None:
        self._check_nan = check_nan

    def __enter__(self) -> None:
        self._outer, self._served = (thread.eager, thread.check_nan), _core.serve_known_calls(False)
        thread.eager, thread.check_nan = True, self._check_nan

    def __exit__(self, *_: object) -> None:
        thread.eager, thread.check_nan = self._outer
        _core.serve_known_calls(self._served)


@contextmanager
def own_modes() -> Iterator[None]:
    """Context in which this thread sets and sees modes of its own; other threads keep the modules'."""
    outer, served = thread.modes, _core.serve_known_calls(False)
    thread.modes = dict(outer or {})
    try:
        yield
    finally:
        thread.modes = outer
        _core.serve_known_calls(served)
