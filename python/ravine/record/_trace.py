"""A recording: its graph, and how arrays and numbers become values of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import _core
from ._convert import FLOATING, as_array, is_number, number_dtype
from ._quotient import Quotient


class Trace:
    """One recording: its graph, the names of the state in it, the buffers that `forward` assigned so far."""

    __slots__ = (
        "_pending",
        "arrays",
        "calls",
        "check_nan",
        "draws",
        "eager",
        "graph",
        "held",
        "living",
        "modules",
        "names",
        "numbers",
        "observer",
        "path",
        "paths",
        "quotients",
        "spans",
        "tells",
        "touched",
        "used",
    )

    def __init__(
        self,
        *,
        eager: bool = False,
        check_nan: bool = False,
        names: Mapping[int, str] | None = None,
        random: _core.RandomState | None = None,
        living: Sequence[np.ndarray] = (),
    ) -> None:
        self.graph = _core.Graph(eager=eager, check_nan=check_nan, random=random)
        self.eager = eager
        self.check_nan = check_nan
        self.names = names or {}  # id(Array) -> "layer1.weight"
        self.used: set[int] = set()  # id(Array) of the state that forward reads
        self.draws = False  # whether an operation draws random numbers
        self.observer: Callable[[Any, Any], None] | None = None  # told of every module's output (summary)
        self.modules: list[Any] = []  # whose forward is under way, from the outermost
        self.paths: dict[int, list[str]] = {}  # of the outermost module's parts, by id
        self.path = ""  # of the module under way
        self.spans: list[tuple[int, int, str]] = []  # with check_nan: first node, end, and place of modules
        self.touched: dict[int, Any] = {}  # modules that were called
        self.calls: list[Any] = []  # of modules with hooks
        self.tells = True  # whether hooks are to see the calls that are recorded
        self.arrays: dict[int, np.ndarray] = {}  # that became constants, by identity; not of eager traces
        self.numbers: dict[int, np.ndarray] = {}  # whose numbers decided what was recorded
        self.quotients: dict[int, tuple[float, int, int]] = {}  # by the constant: scale and whole numbers
        # Arrays that are read in every run, by what an operation sees of them; and those that it has seen.
        self.living = {_view_of(array): array for array in living}
        self.held: dict[tuple[int, str], tuple[np.ndarray, _core.Value]] = {}
        self._pending: dict[int, tuple[_core.Array, _core.Value]] = {}

    def array(self, array: np.ndarray, like: str | None) -> _core.Value:
        """An array as a constant; one that is known to live as an input of the program."""
        ours = as_array(array)
        if ours.dtype.kind == "f" and like in FLOATING:
            ours = ours.astype(like, copy=False)
        if self.eager:
            return self.graph.constant(ours)
        living = self.living.get(_view_of(array))
        if living is not None:
            key = (id(living), ours.dtype.name)
            if key not in self.held:
                self.held[key] = (living, self.graph.input(ours.shape, ours.dtype.name, "array"))
            return self.held[key][1]
        self.arrays[id(array)] = array
        return self.graph.constant(ours)

    def known_numbers(self, x: Any) -> np.ndarray | None:
        """The numbers of an array or a value, or None for what a program will compute."""
        if isinstance(x, np.ndarray):
            if not self.eager:
                self.numbers[id(x)] = x
            return as_array(x)
        if self.eager or x.op == "constant":
            return x.numpy()
        array = next((array for array, value in self.held.values() if value.id == x.id), None)
        return None if array is None else self.known_numbers(array)

    @contextmanager
    def within(self, module: Any) -> Iterator[None]:
        """For a while, what is recorded belongs to this module, which those under way have called."""
        self.touched[id(module)] = module
        origin = self.graph.origin
        if not self.modules:
            self.paths = {}
            for path, part in module.named_modules(remove_duplicate=False):
                self.paths.setdefault(id(part), []).append(path)
        self.modules.append(module)
        # A part that is registered several times has the path that its caller leads to.
        paths = self.paths.get(id(module), ())
        callers = [path for outer in self.modules[-2:-1] for path in self.paths.get(id(outer), ())]
        path = next((p for p in paths if any(p.startswith(f"{c}.") for c in callers)), next(iter(paths), ""))
        if path:
            self.graph.enter(path)
        outer, self.path = self.path, path
        try:
            yield
        finally:
            self.modules.pop()
            self.graph.origin, self.path = origin, outer

    def state(self, array: _core.Array) -> _core.Value:
        """The value of a parameter or buffer in this recording: as assigned last, else as stored."""
        self.used.add(id(array))
        assigned = self._pending.get(id(array))
        return assigned[1] if assigned else self.graph.state(array, self.names.get(id(array), ""))

    def assign(self, array: _core.Array, value: _core.Value) -> None:
        self._pending[id(array)] = (array, value)

    def assigned(self) -> list[tuple[_core.Array, _core.Value]]:
        """What was assigned, and is to be at the end of a run."""
        return list(self._pending.values())

    def forget(self, arrays: Sequence[_core.Array] | None = None) -> None:
        """Drops what was assigned to these, or to any."""
        for key in list(self._pending) if arrays is None else map(id, arrays):
            self._pending.pop(key, None)

    @contextmanager
    def replaced(self, values: Sequence[tuple[_core.Array, _core.Value]]) -> Iterator[None]:
        """For a while, states have these values."""
        before = [(id(array), self._pending.get(id(array))) for array, _ in values]
        self._pending.update({id(array): (array, value) for array, value in values})
        try:
            yield
        finally:
            for key, assigned in before:
                if assigned is None:
                    self._pending.pop(key, None)
                else:
                    self._pending[key] = assigned

    @contextmanager
    def substituted(self, values: Sequence[tuple[_core.Array, _core.Value]]) -> Iterator[None]:
        """The same, and what is assigned in the meantime is forgotten, and no hook told of it."""
        pending, tells = dict(self._pending), self.tells
        self.tells = False
        try:
            with self.replaced(values):
                yield
        finally:
            self._pending, self.tells = pending, tells

    def finish(self) -> None:
        """Makes the assignments effects of the graph; nothing of `forward` is recorded after this."""
        for array, value in self._pending.values():
            self.graph.assign(array, value)
        self._pending.clear()


def _view_of(array: np.ndarray) -> tuple[Any, ...]:
    """What tells an array from others while both are alive."""
    return (array.__array_interface__["data"][0], array.shape, array.strides, array.dtype.str)


def as_value(x: Any, trace: Trace, like: str | None = None) -> _core.Value:
    """The value of `trace` that stands for a tensor, parameter, buffer, number or array.

    `like` is the dtype of the other operands: numbers take it, and floating arrays where it is floating.
    """
    convert = getattr(x, "_as_value_like", None)
    if convert is not None:
        return convert(trace, like)
    if is_number(x):
        value = trace.graph.constant(np.asarray(x, dtype=number_dtype(x, like)))
        if type(x) is Quotient:
            trace.quotients[value.id] = (x.scale, x.numerator, x.denominator)
        return value
    return trace.array(x if isinstance(x, np.ndarray) else as_array(x), like)
