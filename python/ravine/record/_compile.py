"""From a Python function on tensors to a program: recording, compiling, running."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import _core
from .._random import RandomStream
from ._arguments import Inputs, flatten_outputs
from ._arrays import living
from ._convert import array_dtype
from ._draws import Draws
from ._finite import check_inputs, check_parameters
from ._hooks import deliver, with_calls
from ._parameter import State
from ._settings import settings
from ._signature import Signature
from ._tensor import Operand, Tensor
from ._thread import new_trace, recording_into
from ._trace import Trace


class Compiled:
    """A program, what it depends on, and how its outputs form a result. It lets one thread in at a time.

    Args:
        program: to be run on the arrays of a call, and then on those it holds.
        rebuild: makes the result of the outputs; None: the result is the only one.
        stream: of random numbers, if it draws some.
        signature: what it depends on.
        held: arrays that it reads in every run.
    """

    __slots__ = ("held", "program", "rebuild", "signature", "stream", "used")

    def __init__(
        self,
        program: _core.Program,
        rebuild: Callable[[Sequence[Any]], Any] | None,
        stream: RandomStream | None,
        signature: Signature,
        held: Sequence[np.ndarray],
    ) -> None:
        self.program = program
        self.signature = signature
        self.used = 0  # larger for those that were looked up later
        self.rebuild = rebuild
        self.stream = stream
        self.held = held

    @property
    def draws_random_numbers(self) -> bool:
        return self.stream is not None

    def run(self, arrays: Sequence[np.ndarray]) -> Any:
        if self.stream is not None:
            self.stream.get()
        outputs = self.program.run([*arrays, *self.held])
        return outputs[0] if self.rebuild is None else self.rebuild(outputs)

    def profile(self, arrays: Sequence[np.ndarray], runs: int) -> dict[str, Any]:
        if self.stream is not None:
            self.stream.get()
        return self.program.profile([*arrays, *self.held], runs)


class Recording(NamedTuple):
    """What a function did with tensors in place of arrays."""

    trace: Trace
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
    frozen: bool = False,
) -> Recording:
    """Calls `function(arguments)` with tensors for the arrays; floating ones take the dtype `floating`.

    `roots` are the functions and modules that are recorded. An eager recording looks for a NaN, if it does,
    in arrays and parameters first. One that is to be compiled is made again if it met arrays that live on:
    their numbers are then read in every run, unless it is `frozen`, for a file.
    """

    def attempt(trace: Trace) -> Recording:
        tensors = []
        for i, array in enumerate(inputs.arrays):
            dtype = array_dtype(array.dtype, floating, f"input {i}")
            value = np.ascontiguousarray(array, dtype=dtype).reshape(array.shape) if eager else None
            tensors.append(Tensor(trace.graph.input(array.shape, dtype, f"input{i}", value), trace))
        with recording_into(trace):
            return Recording(trace, tensors, function(inputs.rebuild(tensors)), None)

    if eager:
        trace = new_trace(names, eager=True, random=stream.get())
        if trace.check_nan:
            check_inputs(inputs, argument_names)
            check_parameters(parameters)
        return attempt(trace)
    signature = Signature([*roots, settings])
    draws = Draws(signature.reach)
    made = attempt(new_trace(names, eager=False))
    found = living(made.trace.arrays)
    if found and not frozen:
        made = attempt(new_trace(names, eager=False, living=found))
    draws.check()
    trace = made.trace
    held = [array for array, _ in trace.held.values()]
    signature.finish(trace.touched.values(), held, living(trace.numbers))
    return made._replace(signature=signature)


def compile_recording(
    recording: Recording, what: str, stream: RandomStream, *, keep_derived: bool = False
) -> Compiled:
    """The program of what was recorded, buffer assignments included.

    With `keep_derived` it keeps what depends on parameters and buffers alone until one of them changes.
    """
    trace = recording.trace
    outputs, rebuild = flatten_outputs(with_calls(trace, recording.result), what)
    values = [output._as_value(trace) for output in outputs]
    trace.finish()
    drawing = stream if trace.draws else None
    random = drawing.get() if drawing else None
    program = _core.Program(trace.graph, values, random, keep_derived=keep_derived)
    assert recording.signature is not None
    held = [array for array, _ in trace.held.values()]
    if calls := tuple(trace.calls):
        plain = rebuild
        rebuild = lambda arrays: deliver(calls, plain(arrays))  # noqa: E731
    elif isinstance(recording.result, Operand):
        rebuild = None
    return Compiled(program, rebuild, drawing, recording.signature, held)


def eager_result(recording: Recording, what: str) -> Any:
    """The arrays of an eager recording's result; buffers get what was assigned to them."""
    trace = recording.trace
    outputs, rebuild = flatten_outputs(with_calls(trace, recording.result), what)
    arrays = [np.array(output.numpy()) for output in outputs]
    trace.finish()
    return deliver(trace.calls, rebuild(arrays))
