"""rv.compile: a plain function of tensors as a compiled function of arrays."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .. import _core
from .._random import RandomStream
from ._arguments import split_inputs
from ._compile import Compiled, compile_recording, eager_result, record
from ._programs import ProgramCache
from ._thread import current, eager_mode


class CompiledFunction:
    """What `compile` returns."""

    def __init__(self, function: Callable[..., Any]) -> None:
        if not callable(function):
            raise TypeError(f"compile: a function is expected, got {type(function).__name__}")
        functools.update_wrapper(self, function)
        self._function = function
        self._what = getattr(function, "__qualname__", type(function).__name__)
        self._programs = ProgramCache(self._what)
        self._stream = RandomStream()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if current() is not None:
            return self._function(*args, **kwargs)
        inputs = split_inputs((args, kwargs), levels=2)

        def call(arguments: Any) -> Any:
            positional, named = arguments
            return self._function(*positional, **named)

        if eager_mode():
            return eager_result(record(call, inputs, None, stream=self._stream, eager=True), self._what)

        def build() -> Compiled:
            recording = record(call, inputs, None, stream=self._stream, roots=self._reached())
            return compile_recording(recording, self._what, self._stream)

        return self._programs.get(inputs, build).run(inputs.arrays)

    def _reached(self) -> tuple[Any, ...]:
        """What a recording that calls this can read."""
        return (self._function,)

    def programs(self) -> list[_core.Program]:
        """The programs compiled so far; `program.describe()` shows one as a table."""
        return self._programs.programs()

    def __repr__(self) -> str:
        return f"<compiled {self._what}>"


def compile(fn: Callable[..., Any]) -> CompiledFunction:
    """A function of arrays that runs `fn`, a function of tensors, as a compiled program.

    `fn` is recorded once for each combination of input shapes, dtypes and arguments that are no arrays, and
    fused like the `forward` of a module. Its Python control flow runs while it is recorded. Inside of another
    recording it becomes part of that. It can stand as a decorator.

    Args:
        fn: a function of tensors (and of numbers, texts, None, and tuples, lists and dicts of all these) that
            returns tensors, alone or in tuples, lists and dicts.

    Returns:
        The function of arrays, with `programs()`.

    Raises:
        TypeError: for what cannot be called.

    Example:
        >>> import numpy as np, ravine as rv
        >>> @rv.compile
        ... def distances(a, b):
        ...     return (a[:, None] - b[None]).square().sum(-1).sqrt()
        >>> distances(np.zeros((2, 3)), np.ones((1, 3))).shape
        (2, 1)
    """
    return CompiledFunction(fn)
