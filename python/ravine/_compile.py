"""From a Python function on tensors to a program: inputs, recording, caching, running."""

from __future__ import annotations

import itertools
import os
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import _core, _trace
from ._finite import check_inputs, check_parameters
from ._parameter import State
from ._random import RandomStream
from ._tensor import Operand, Tensor
from .record._arrays import living
from .record._draws import Draws
from .record._signature import Reader, Signature
from .record._versions import Versioned, new_version

_WARNED = 10  # recompilations for one cause, after which a warning names it


class _Settings(Versioned):
    """Of the process; programs depend on the precision of convolutions as on a module."""

    def __init__(self) -> None:
        self.programs = 64
        self.program_bytes = 1 << 30
        self.conv_precision = "fast"
        self.training = False
        self._version = new_version()

    def _static_key(self, reader: Reader) -> dict[str, Hashable]:
        return {"conv_precision": self.conv_precision}


_settings = _Settings()


def set_program_cache_size(n: int = 64, max_bytes: int = 1 << 30) -> None:
    """Sets how many compiled programs each model, training step and function keeps, newest used first.

    A program belongs to input shapes and dtypes, and to the model's mode, and has memory of its own for what
    it computes. The least recently used are dropped, and compiled again when they are needed; the newest
    always stays. Limits take effect when the next program is compiled.

    Args:
        n: programs, at least 1.
        max_bytes: of their memory together, at least 0.

    Raises:
        ValueError: for other numbers.

    Example:
        >>> import ravine as rv
        >>> rv.set_program_cache_size(8, max_bytes=500_000_000)
        >>> rv.set_program_cache_size()  # 64 programs, 1 GiB
    """
    if not isinstance(n, int) or n < 1:
        raise ValueError(f"set_program_cache_size: a positive integer is expected, got {n!r}")
    if not isinstance(max_bytes, int) or max_bytes < 0:
        raise ValueError(
            f"set_program_cache_size: max_bytes must be an integer of 0 or more, got {max_bytes!r}"
        )
    _settings.programs, _settings.program_bytes = n, max_bytes


def set_conv_precision(precision: str) -> None:
    """Sets how convolutions may be computed, for the whole process: "fast" (the default) or "exact".

    "fast" allows Winograd's minimal filtering (Lavin and Gray, CVPR 2016) for float32 convolutions 3x3 (with
    stride 1 or 2) and 5x5, where that is faster: it saves up to three multiplications in four, and its
    largest error is up to 3e-6 of the largest output where that of the plain sum is about 3e-7. It adds the
    pixels of a whole tile (4x4 to 8x8 inputs) before it multiplies. So one that is NaN or infinite reaches
    every output of its tile, also those whose window does not hold it, and where an input is far larger than
    the others the outputs of its tile are exact only in proportion to it. "exact" computes every
    convolution as the sum over its window: use it where pixels may be missing or wildly different in size.
    Results do not depend on the number of threads with either.

    Raises:
        ValueError: for another value.

    Example:
        >>> import ravine as rv
        >>> rv.set_conv_precision("exact")
        >>> rv.set_conv_precision("fast")
    """
    if precision not in ("fast", "exact"):
        raise ValueError(f"set_conv_precision: 'fast' or 'exact' is expected, got {precision!r}")
    _core.set_exact_convolutions(precision == "exact")
    _settings.conv_precision = precision
    _settings._version = new_version()


class Inputs(NamedTuple):
    """The arrays of a call, what tells its program from others, and how to put tensors in their place."""

    arrays: list[np.ndarray]
    key: Hashable
    rebuild: Callable[[Sequence[Any]], Any]


def split_inputs(arguments: Any, levels: int = 1) -> Inputs:
    """Takes the arrays out of nested tuples, lists and dicts.

    Numbers are constants. Lists of numbers are arrays, and so are tuples of numbers below the first `levels`
    levels, which are arguments of a call.
    """
    if type(arguments) is tuple and all(type(x) is np.ndarray for x in arguments):  # quickly
        key = tuple([(x.shape, x.dtype) for x in arguments])
        return Inputs(list(arguments), key, tuple)
    arrays: list[np.ndarray] = []
    key, rebuild = _split(arguments, arrays, levels)
    return Inputs(arrays, key, lambda tensors: rebuild(iter(tensors)))


def _split(x: Any, arrays: list[np.ndarray], levels: int) -> tuple[Hashable, Callable[[Any], Any]]:
    if x is None or isinstance(x, str | bool | int | float):
        return (type(x), x), lambda _: x
    if isinstance(x, tuple | list) and (levels > 0 or _is_structure(x)):
        parts = [_split(item, arrays, levels - 1) for item in x]
        kind = tuple if isinstance(x, tuple) else list
        key = (kind, *(part[0] for part in parts))
        return key, lambda tensors: kind([rebuild(tensors) for _, rebuild in parts])
    if isinstance(x, dict):
        named = {name: _split(item, arrays, levels - 1) for name, item in x.items()}
        key = (dict, *((name, part[0]) for name, part in named.items()))
        return key, lambda tensors: {name: rebuild(tensors) for name, (_, rebuild) in named.items()}
    if isinstance(x, Operand):
        array = x.numpy()
    else:
        array = _trace.plain_array(x) if hasattr(x, "__array__") else _trace.as_array(x)
    arrays.append(array)
    return (array.shape, array.dtype), next


def _is_structure(x: tuple[Any, ...] | list[Any]) -> bool:
    """Whether a sequence holds arrays, rather than being one in nested lists of numbers."""
    if isinstance(x, tuple):
        return any(not isinstance(item, bool | int | float) for item in x)
    return any(
        _is_structure(item) if isinstance(item, tuple | list) else not isinstance(item, bool | int | float)
        for item in x
    )


def flatten_outputs(result: Any, what: str) -> tuple[list[Operand], Callable[[Sequence[Any]], Any]]:
    """The tensors in a result of nested tuples, lists and dicts, and how to put arrays in their place."""
    tensors: list[Operand] = []

    def walk(x: Any) -> Callable[[Sequence[Any]], Any]:
        if isinstance(x, Operand):
            position = len(tensors)
            tensors.append(x)
            return lambda values: values[position]
        if isinstance(x, tuple | list):
            parts = [walk(item) for item in x]
            if isinstance(x, tuple) and hasattr(x, "_fields"):
                return lambda values: type(x)(*[part(values) for part in parts])
            kind = tuple if isinstance(x, tuple) else list
            return lambda values: kind([part(values) for part in parts])
        if isinstance(x, dict):
            named = {name: walk(item) for name, item in x.items()}
            return lambda values: {name: part(values) for name, part in named.items()}
        if x is None or isinstance(x, str | bool | int | float | np.ndarray | np.generic):
            return lambda _: x
        raise TypeError(
            f"{what} returned {type(x).__name__}; tensors, tuples, lists and dicts of them are expected"
        )

    rebuild = walk(result)
    return tensors, rebuild


class Compiled:
    """A program, what it depends on, and how its outputs form a result. It lets one thread in at a time.

    Args:
        program: to be run on the arrays of a call, and then on those it holds.
        rebuild: makes the result of the outputs.
        stream: of random numbers, if it draws some.
        signature: what it depends on.
        held: arrays that it reads in every run.
    """

    __slots__ = ("_held", "_rebuild", "_stream", "program", "signature", "used")

    def __init__(
        self,
        program: _core.Program,
        rebuild: Callable[[Sequence[Any]], Any],
        stream: RandomStream | None,
        signature: Signature,
        held: Sequence[np.ndarray],
    ) -> None:
        self.program = program
        self.signature = signature
        self.used = 0  # larger for those that were looked up later
        self._rebuild = rebuild
        self._stream = stream
        self._held = held

    @property
    def draws_random_numbers(self) -> bool:
        return self._stream is not None

    def run(self, arrays: Sequence[np.ndarray]) -> Any:
        if self._stream is not None:
            self._stream.get()
        if self._held:
            arrays = [*arrays, *self._held]
        return self._rebuild(self.program.run(arrays))

    def profile(self, arrays: Sequence[np.ndarray], runs: int) -> dict[str, Any]:
        if self._stream is not None:
            self._stream.get()
        return self.program.profile([*arrays, *self._held], runs)


class Recording(NamedTuple):
    """What a function did with tensors in place of arrays."""

    trace: _trace.Trace
    tensors: list[Tensor]  # the inputs
    result: Any
    signature: Signature | None  # of a recording that is to be compiled


def record(
    function: Callable[[Any], Any],
    inputs: Inputs,
    floating: str | None,
    names: Mapping[int, str] | None = None,
    *,
    stream: RandomStream,
    eager: bool = False,
    roots: Iterable[Any] = (),
    parameters: Iterable[tuple[str, State]] = (),
    argument_names: Sequence[str] | None = None,
) -> Recording:
    """Calls `function(arguments)` with tensors for the arrays; floating ones take the dtype `floating`.

    `roots` are the functions and modules that are recorded. An eager recording looks for a NaN, if it does,
    in arrays and parameters first. One that is to be compiled is made again if it met arrays that live on:
    their numbers are then read in every run.
    """

    def attempt(trace: _trace.Trace) -> Recording:
        tensors = []
        for i, array in enumerate(inputs.arrays):
            dtype = _trace.array_dtype(array.dtype, floating, f"input {i}")
            value = np.ascontiguousarray(array, dtype=dtype).reshape(array.shape) if eager else None
            tensors.append(Tensor(trace.graph.input(array.shape, dtype, f"input{i}", value), trace))
        with _trace.recording(trace):
            return Recording(trace, tensors, function(inputs.rebuild(tensors)), None)

    if eager:
        trace = _trace.new_trace(names, eager=True, random=stream.get())
        if trace.check_nan:
            check_inputs(inputs, argument_names)
            check_parameters(parameters)
        return attempt(trace)
    signature = Signature([*roots, _settings])
    draws = Draws(signature.reach)
    recording = attempt(_trace.new_trace(names, eager=False))
    found = living(recording.trace.arrays)
    if found:
        recording = attempt(_trace.new_trace(names, eager=False, living=found))
    draws.check()
    trace = recording.trace
    held = [array for array, _ in trace.held.values()]
    signature.finish(trace.touched.values(), held, living(trace.numbers))
    return recording._replace(signature=signature)


def compile_recording(
    recording: Recording, what: str, stream: RandomStream, *, keep_derived: bool = False
) -> Compiled:
    """The program of what was recorded, buffer assignments included.

    With `keep_derived` it keeps what depends on parameters and buffers alone until one of them changes.
    """
    trace = recording.trace
    outputs, rebuild = flatten_outputs(recording.result, what)
    values = [output._as_value(trace) for output in outputs]
    trace.finish()
    drawing = stream if trace.draws else None
    random = drawing.get() if drawing else None
    program = _core.Program(trace.graph, values, random, keep_derived=keep_derived)
    assert recording.signature is not None
    held = [array for array, _ in trace.held.values()]
    return Compiled(program, rebuild, drawing, recording.signature, held)


def eager_result(recording: Recording, what: str) -> Any:
    """The arrays of an eager recording's result; buffers get what was assigned to them."""
    outputs, rebuild = flatten_outputs(recording.result, what)
    arrays = [np.array(output.numpy()) for output in outputs]
    recording.trace.finish()
    return rebuild(arrays)


class ProgramCache:
    """Compiled programs by key and signature, the least recently used dropped.

    One thread compiles at a time, the others wait. What is there already is found and used without a lock:
    every change of the table is one operation of it.

    Args:
        owner: whose programs these are, for errors and warnings.
    """

    __slots__ = ("_causes", "_compiling", "_owner", "_programs", "_uses")

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._compiling = _core.Lock(owner)
        self._programs: dict[Hashable, tuple[Compiled, ...]] = {}  # of a key, the newest first
        self._uses = itertools.count(1)
        self._causes: Counter[str] = Counter()  # of recompilations

    def get(self, key: Hashable, build: Callable[[], Compiled]) -> Compiled:
        compiled = self._find(key)
        if compiled is None:
            with self._compiling:
                compiled = self._find(key)  # another thread may have compiled it meanwhile
                if compiled is None:
                    self._tell(key)
                    compiled = build()
                    compiled.used = next(self._uses)
                    self._programs[key] = (compiled, *self._programs.get(key, ()))
                    self._drop_least_recently_used()
        return compiled

    def _find(self, key: Hashable) -> Compiled | None:
        for compiled in self._programs.get(key, ()):
            if compiled.signature.holds():
                compiled.used = next(self._uses)
                return compiled
        return None

    def _tell(self, key: Hashable) -> None:
        """Writes why a program is compiled, if that is asked for; warns of the tenth for one cause."""
        others = self._programs.get(key)
        what, how = others[0].signature.change() if others else ("", "")
        if what:
            self._causes[what] += 1
            if self._causes[what] == _WARNED:
                warnings.warn(
                    f"{self._owner} was compiled again for the {_WARNED}th time because {what} {how}. A "
                    f"number that changes can be an rv.Scalar, an array a Buffer or an argument: they do not "
                    f"compile again. RAVINE_LOG=recompile lists all recompilations",
                    stacklevel=2,
                )
        if "recompile" in os.environ.get("RAVINE_LOG", ""):
            new = "a first program" if not self._programs else "other shapes, dtypes, numbers or options"
            print(f"ravine: {self._owner} is compiled: {f'{what} {how}' if what else new}", file=sys.stderr)

    def _drop_least_recently_used(self) -> None:
        oldest = self._all()[:-1]  # but the newest
        n, kept = len(oldest) + 1, sum(program.arena_bytes for program in self.programs())
        for dropped in oldest:
            if n <= _settings.programs and kept <= _settings.program_bytes:
                break
            n, kept = n - 1, kept - dropped.program.arena_bytes
            for key, group in list(self._programs.items()):
                if dropped in group:
                    self._programs[key] = tuple(compiled for compiled in group if compiled is not dropped)
        self._programs = {key: group for key, group in self._programs.items() if group}

    def clear(self) -> None:
        self._programs = {}

    def __len__(self) -> int:
        return sum(map(len, self._programs.values()))

    def _all(self) -> list[Compiled]:
        """Those that were looked up last come last."""
        groups = list(self._programs.values())
        return sorted(
            (compiled for group in groups for compiled in group), key=lambda compiled: compiled.used
        )

    def programs(self) -> list[_core.Program]:
        return [compiled.program for compiled in self._all()]

    def draws_random_numbers(self) -> bool:
        return any(compiled.draws_random_numbers for compiled in self._all())

    def __deepcopy__(self, memo: dict[int, Any]) -> ProgramCache:
        return ProgramCache(self._owner)

    def __reduce__(self) -> Any:
        return ProgramCache, (self._owner,)
