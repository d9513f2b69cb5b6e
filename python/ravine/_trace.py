"""The recording under way in this thread, and how arrays and numbers become values of it.

A `Trace` owns one graph. Code that runs a user's `forward` opens a trace with `recording`; operations find it
through `current`. Without an open trace an operation runs at once, in an eager graph of its own.
"""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _core
from ._random import RandomStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

FLOATING = ("float32", "float64")
DTYPES = ("float32", "float64", "int32", "int64", "uint8", "bool")

# NumPy dtypes that are none of ours but fit into one of ours without loss.
_WIDENED = {"float16": "float32", "int8": "int32", "int16": "int32", "uint16": "int32", "uint32": "int64"}


class Trace:
    """One recording: its graph, the names of the state in it, the buffers that `forward` assigned so far."""

    __slots__ = (
        "_pending",
        "arrays",
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
        "paths",
        "spans",
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
        self.spans: list[tuple[int, int, str]] = []  # with check_nan: first node, end, and place of modules
        self.touched: dict[int, Any] = {}  # modules that were called
        self.arrays: dict[int, np.ndarray] = {}  # that became constants, by identity; not of eager traces
        self.numbers: dict[int, np.ndarray] = {}  # whose numbers decided what was recorded
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
        try:
            yield
        finally:
            self.modules.pop()
            self.graph.origin = origin

    def state(self, array: _core.Array) -> _core.Value:
        """The value of a parameter or buffer in this recording: as assigned last, else as stored."""
        self.used.add(id(array))
        assigned = self._pending.get(id(array))
        return assigned[1] if assigned else self.graph.state(array, self.names.get(id(array), ""))

    def assign(self, array: _core.Array, value: _core.Value) -> None:
        self._pending[id(array)] = (array, value)

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
        """The same, and what is assigned in the meantime is forgotten."""
        pending = dict(self._pending)
        try:
            with self.replaced(values):
                yield
        finally:
            self._pending = pending

    def finish(self) -> None:
        """Makes the assignments effects of the graph; nothing of `forward` is recorded after this."""
        for array, value in self._pending.values():
            self.graph.assign(array, value)
        self._pending.clear()


def _view_of(array: np.ndarray) -> tuple[Any, ...]:
    """What tells an array from others while both are alive."""
    return (array.__array_interface__["data"][0], array.shape, array.strides, array.dtype.str)


class _ThreadState(threading.local):
    trace: Trace | None = None
    eager: bool = False
    check_nan: bool = False
    modes: dict[int, bool] | None = None  # of modules, by identity, if other than their own
    special: bool = False  # whether calls on arrays are to look at any of these


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


class recording:
    """Context: operations of this thread go into `trace`."""

    __slots__ = ("_outer", "_trace")

    def __init__(self, trace: Trace) -> None:
        self._trace = trace

    def __enter__(self) -> Trace:
        self._outer = thread.trace
        thread.trace = self._trace
        return self._trace

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        thread.trace = self._outer
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

    __slots__ = ("_check_nan", "_outer")

    def __init__(self, check_nan: bool = False) -> None:
        self._check_nan = check_nan

    def __enter__(self) -> None:
        self._outer = (thread.eager, thread.check_nan, thread.special)
        thread.eager, thread.check_nan, thread.special = True, self._check_nan, True

    def __exit__(self, *_: object) -> None:
        thread.eager, thread.check_nan, thread.special = self._outer


@contextmanager
def own_modes() -> Iterator[None]:
    """Context in which this thread sets and sees modes of its own; other threads keep the modules'."""
    outer = (thread.modes, thread.special)
    thread.modes, thread.special = dict(outer[0] or {}), True
    try:
        yield
    finally:
        thread.modes, thread.special = outer


def array_dtype(dtype: np.dtype[Any], floating: str | None, what: str) -> str:
    """The dtype under which an array of NumPy's `dtype` enters a graph.

    Floating arrays take the dtype `floating` where it is given. Raises TypeError for object, complex, string
    and date arrays and for integers that do not fit.
    """
    name = dtype.name
    if dtype.kind == "f":
        if floating is not None:
            return floating
        name = _WIDENED.get(name, name)
        return name if name in DTYPES else "float64"
    name = _WIDENED.get(name, name)
    if name in DTYPES:
        return name
    raise TypeError(
        f"{what}: an array of dtype {dtype} cannot be used, expected floating point, signed integers, "
        f"uint8 or bool"
    )


def plain_array(data: Any, what: str = "input") -> np.ndarray:
    """What NumPy makes of an array, a number, nested lists or a torch tensor (detached from its graph).

    Raises TypeError for masked arrays, whose mask NumPy would drop in silence.
    """
    if type(data) is np.ndarray:
        return data
    if type(data).__module__.partition(".")[0] == "torch" and hasattr(data, "detach"):
        tensor = data.detach()
        # NumPy has no bfloat16, and float32 holds its values exactly.
        return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy(force=True)
    if _holds_mask(data):
        raise TypeError(
            f"{what}: a masked array cannot be used, as its mask would be lost; fill it (x.filled(0)) or "
            f"take the rows that are whole"
        )
    return np.asarray(data)


def _holds_mask(data: Any) -> bool:
    if isinstance(data, np.ndarray):
        # Cheaper than importing numpy.ma, which a process without masked arrays has not done.
        return hasattr(data, "mask") and hasattr(data, "filled")
    if isinstance(data, list | tuple):
        return any(isinstance(item, list | tuple | np.ndarray) and _holds_mask(item) for item in data)
    return False


def as_array(data: Any, what: str = "input") -> np.ndarray:
    """An array of one of our dtypes from an array, a number or nested lists; lists of floats give float32."""
    if isinstance(data, np.ndarray | np.generic):
        array = plain_array(data, what)
        dtype = array_dtype(array.dtype, None, what)
    else:
        try:
            array = plain_array(data, what)
        except ValueError as error:
            raise ValueError(f"{what}: cannot make an array of it: {error}") from None
        from_lists = isinstance(data, list | tuple | float)
        dtype = array_dtype(array.dtype, "float32" if from_lists else None, what)
    return array if array.dtype == dtype else array.astype(dtype)


def is_number(x: object) -> bool:
    return isinstance(x, bool | int | float | np.generic)


def number_dtype(x: Any, like: str | None) -> str:
    """The dtype of a constant made of the number `x` beside a tensor of dtype `like`."""
    if isinstance(x, bool | np.bool_):
        return like or "bool"
    if isinstance(x, int | np.integer):
        return "int64" if like in (None, "bool") else like  # type: ignore[return-value]
    return like if like in FLOATING else "float32"  # type: ignore[return-value]


def as_value(x: Any, trace: Trace, like: str | None = None) -> _core.Value:
    """The value of `trace` that stands for a tensor, parameter, buffer, number or array.

    `like` is the dtype of the other operands: numbers take it, and floating arrays where it is floating.
    """
    convert = getattr(x, "_as_value_like", None)
    if convert is not None:
        return convert(trace, like)
    if is_number(x):
        return trace.graph.constant(np.asarray(x, dtype=number_dtype(x, like)))
    return trace.array(x if isinstance(x, np.ndarray) else as_array(x), like)
