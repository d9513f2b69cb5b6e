"""A look inside a model: one recording of its forward pass in which every module's output can be measured.

The program that comes of it has no effects: running averages and counters of the model stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ._random import RandomStream
from .record import (
    FLOATING,
    Operand,
    Tensor,
    compile_recording,
    current,
    flatten_outputs,
    gradients,
    record,
    split_inputs,
)


class Observation(NamedTuple):
    """What one call of a module returned.

    Attributes:
        path: of the module; a second call of the same module is "path (2)".
        module: the module.
        output: its output, of several the first floating one.
    """

    path: str
    module: Any
    output: Tensor


class Probe:
    """A program that measures the modules of a model on some inputs, again whenever it runs.

    Args:
        what: whose measurement it is, for errors.
        model: a Module, recorded in the mode it is in.
        inputs: the arguments of the model.
        measure: called inside the recording with the model's output and the observations in the order of the
            calls; returns tensors in tuples, lists and dicts. A module that hands on what one of its parts
            returned is left out.
        extra: further arrays, of labels say, whose tensors `measure` gets as its third argument.

    Raises TypeError where model is no module, and what recording raises.
    """

    def __init__(
        self,
        what: str,
        model: Any,
        inputs: Sequence[Any],
        measure: Callable[[Any, list[Observation], Any], Any],
        extra: Sequence[Any] = (),
    ) -> None:
        check_model(what, model)
        paths = {id(module): path for path, module in model.named_modules()}
        calls: dict[str, int] = {}
        seen: set[int] = set()
        observations: list[Observation] = []

        def observe(module: Any, result: Any) -> None:
            output = _floating(result, what)
            if output is None or id(output) in seen:
                return
            seen.add(id(output))
            path = paths.get(id(module), type(module).__name__)
            calls[path] = calls.get(path, 0) + 1
            name = path if calls[path] == 1 else f"{path} ({calls[path]})"
            observations.append(Observation(name, module, output))

        def call(arguments: Any) -> Any:
            trace = current()
            assert trace is not None
            given, further = arguments
            trace.observer = observe
            try:
                output = model(*given)
            finally:
                trace.observer = None
            return measure(output, observations, further)

        self._given = split_inputs((tuple(inputs), tuple(extra)), levels=2)
        stream = RandomStream()
        recording = record(call, self._given, model._floating_dtype(), model._state_names(), stream=stream)
        recording.trace.forget()  # what forward assigned to buffers never becomes an effect of the program
        self._compiled = compile_recording(recording, what, stream)

    def run(self) -> Any:
        """What `measure` returned, as arrays, for the model's present parameters."""
        return self._compiled.run(self._given.arrays)


def check_model(what: str, model: Any) -> None:
    """Raises TypeError where `model` is no module."""
    if not hasattr(model, "named_modules") or not hasattr(model, "named_parameters"):
        raise TypeError(f"{what}: model must be a Module, got {type(model).__name__}")


def as_inputs(x: Any) -> tuple[Any, ...]:
    """The arguments of a model: those of a tuple, or `x` alone."""
    return x if isinstance(x, tuple) else (x,)


def gradients_by(loss: Tensor, wrt: Sequence[Operand]) -> list[Tensor]:
    """The gradients of a scalar by tensors of the recording under way, and by parameters."""
    trace = current()
    assert trace is not None
    values = gradients(trace, loss._as_value(trace), [tensor._as_value(trace) for tensor in wrt])
    return [Tensor(value, trace) for value in values]


def _floating(result: Any, what: str) -> Tensor | None:
    tensors = [result] if isinstance(result, Tensor) else flatten_outputs(result, what)[0]
    return next((x for x in tensors if isinstance(x, Tensor) and x.dtype in FLOATING), None)
