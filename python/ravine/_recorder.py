"""What a training step records: the forward pass, the loss, its gradients, and the update."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import _core
from ._loss import Batch, Observer, Outcome, checked_weight, loss_and_parts
from ._random import RandomStream
from ._trained import Trained
from .nn import Module
from .record import (
    FLOATING,
    Inputs,
    Operand,
    Parameter,
    Recording,
    Trace,
    add_place,
    apply,
    as_tensor,
    current,
    gradients,
    gradients_for_hooks_too,
    part_of_step,
    place_of_node,
    record,
    recording_into,
    split_inputs,
)

__all__ = ["Call", "Exported", "Forward", "Recorder"]


class Call(NamedTuple):
    """The arrays of a call, whether the last are weights of the examples, and what it returns.

    `variant` is what else tells its program from those of other calls.
    """

    inputs: Inputs
    weighted: bool
    with_output: bool
    flat: bool  # whether the arguments of the call are these arrays, one by one
    variant: Hashable = None

    def taken_apart(self, arguments: Any) -> tuple[Any, Any]:
        """The batch and the weights, if any, of rebuilt arguments."""
        return arguments if self.weighted else (arguments, None)


class Forward(NamedTuple):
    """What the forward pass of a step recorded: the loss, its named parts, the model's output."""

    loss: Any
    parts: dict[str, Any]
    output: Any = None


class Exported(NamedTuple):
    """A forward pass for a file: loss, parts, and what the loss counts by; and the trained parameters."""

    recording: Recording
    values: list[_core.Value]
    part_names: list[str]
    counted: bool
    moved: list[list[tuple[str, Parameter]]]  # of each trained model


def _real(x: Any) -> Operand:
    tensor = as_tensor(x)
    return tensor if tensor.dtype in FLOATING else apply("cast", tensor, dtype="float64")


class Recorder:
    """Records the calls of a `TrainStep`.

    Args:
        function: of the models and a batch; or the loss, of output and target.
        given: the model, or the dict of models.
        of_loss: whether the function is a loss.
        models: by name.
        trained: those that are trained.
        stream: of random numbers.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        given: Any,
        of_loss: bool,
        models: Mapping[str, Module],
        trained: Sequence[Trained],
        stream: RandomStream,
    ) -> None:
        self._function = function
        self._given = given
        self._of_loss = of_loss
        self._models = models
        self._trained = trained
        self._stream = stream
        names = {part.name for part in trained}
        self._read_only = [model for name, model in models.items() if name not in names]

    def with_weights(self, batch: tuple[Any, ...], weight: Any) -> tuple[Any, ...]:
        """The arguments of a call with weights, one by one. Raises TypeError or ValueError for wrong ones."""
        return *batch, checked_weight(weight, "TrainStep: weight")

    def call(self, batch: tuple[Any, ...], weight: Any = None, *, with_output: bool = False) -> Call:
        """A call on these. Raises TypeError or ValueError for what does not fit."""
        if self._of_loss and len(batch) != 2:
            raise TypeError(
                f"TrainStep: a step over a model and a loss takes x and y, got {len(batch)} arguments; give "
                "several inputs as a tuple"
            )
        flat = all(type(x) is np.ndarray for x in batch)
        if weight is None:
            return Call(split_inputs(batch), False, with_output, flat)
        *_, weight = self.with_weights(batch, weight)
        return Call(split_inputs((batch, weight), levels=2), True, with_output, flat)

    def _forward(self, arguments: Any, call: Call, trace: Trace) -> Forward:
        arguments, weight = call.taken_apart(arguments)
        output = None
        if not self._of_loss:
            what, result = "TrainStep: the result of the function", self._function(self._given, *arguments)
        else:
            x, y = arguments
            output = self._given(*x) if isinstance(x, tuple) else self._given(x)
            with part_of_step("loss"):
                what, result = "TrainStep: the loss", self._function(output, y)
        loss, parts = loss_and_parts(result, what)
        if weight is not None:
            with part_of_step("loss"):
                loss, parts = Batch(trace, arguments).weighted(loss, parts, weight, what)
        return Forward(loss, parts, output)

    def _watched(
        self, observer: Observer, forward: Forward, arguments: Any, call: Call, trace: Trace
    ) -> bool:
        """Lets the observer record; whether it wants the output."""
        batch, _ = call.taken_apart(arguments)
        target = batch[1] if self._of_loss else None
        outcome = Outcome(forward.loss, forward.parts, forward.output, target, Batch(trace, batch))
        return observer.record(outcome)

    def _names(self) -> dict[int, str]:
        """Of the state of all models, by identity."""
        names: dict[int, str] = {}
        for prefix, model in self._models.items():
            own = model._state_names().items()
            names |= {key: f"{prefix}.{name}" if prefix else name for key, name in own}
        return names

    def record(
        self, call: Call, observer: Observer | None, *, eager: bool, frozen: bool = False
    ) -> Recording:
        """Records the forward pass, and what the observer counts; `frozen` for a file."""
        inputs = call.inputs

        def run(arguments: Any) -> Any:
            trace = current()
            assert trace is not None
            forward = self._forward(arguments, call, trace)
            watched = observer is not None and self._watched(observer, forward, arguments, call, trace)
            if watched or call.with_output:
                return forward
            return forward._replace(output=None) if forward.parts else forward.loss

        shapes = [array.shape for array in inputs.arrays]
        if any(0 in shape for shape in shapes):
            raise ValueError(f"TrainStep: there is nothing to learn from empty arrays, got shapes {shapes}")
        recording = record(
            run,
            inputs,
            self._trained[0].model._floating_dtype(),
            self._names(),
            stream=self._stream,
            eager=eager,
            roots=[self._function, *self._models.values()],
            parameters=[named for model in self._models.values() for named in model.named_parameters()],
            argument_names=("x", "y") if self._of_loss and not call.weighted else None,
            frozen=frozen,
        )
        trained = {id(buffer) for part in self._trained for buffer in part.model.buffers()}
        kept = [b for model in self._read_only for b in model.buffers() if id(b) not in trained]
        recording.trace.forget([buffer.array for buffer in kept])
        return recording

    def _moved(self, trace: Trace) -> list[list[tuple[str, Parameter]]]:
        """Of each trained model, those that this step moves."""
        result = [trained.parameters(trace) for trained in self._trained]
        owners: dict[int, str] = {}
        for trained, named in zip(self._trained, result, strict=True):
            if not named:
                of = f" (model {trained.name!r})" if trained.name else ""
                raise ValueError(
                    f"TrainStep: nothing to train: no parameter of {type(trained.model).__name__}{of} both "
                    f"requires a gradient and takes part in the loss"
                )
            for name, parameter in named:
                full = f"{trained.name}.{name}"
                if (other := owners.setdefault(id(parameter.array), full)) != full:
                    raise ValueError(
                        f"TrainStep: {other} and {full} are one parameter; only one optimizer can train it"
                    )
        return result

    def _gradients_at(
        self,
        recording: Recording,
        call: Call,
        parameters: Sequence[Parameter],
        values: Sequence[_core.Value],
    ) -> list[_core.Value]:
        """Gradients of the same loss at other values of the parameters; buffers stay as they are."""
        trace = recording.trace
        with trace.substituted([(p.array, value) for p, value in zip(parameters, values, strict=True)]):
            with recording_into(trace):
                loss = self._forward(call.inputs.rebuild(recording.tensors), call, trace).loss
            return gradients(trace, loss._as_value(trace), list(values))

    def _check_loss(self, trace: Trace, loss: Any) -> None:
        """Raises FloatingPointError for a loss that overflowed, naming where that began."""
        value, first = float(loss), trace.graph.first_infinite
        if not math.isinf(value) or first is None:
            return
        node, op = first
        error = FloatingPointError(f"'{op}' made the first infinity, and the loss became {value}")
        add_place(error, place_of_node(trace, node))
        raise error

    def add_update(self, recording: Recording, call: Call) -> None:
        """Records gradients and updates behind the forward pass."""
        trace = recording.trace
        named = self._moved(trace)
        made = next((name for part in named for name, p in part if id(p.array) not in trace.names), None)
        if made is not None:
            raise RuntimeError(
                f"TrainStep: parameter {made!r} came into being while the step was recorded; call the model "
                f"once on a batch before it is trained"
            )
        loss = recording.result.loss if isinstance(recording.result, Forward) else recording.result
        states = [[trace.graph.state(p.array, trace.names[id(p.array)]) for _, p in part] for part in named]
        if trace.check_nan:
            self._check_loss(trace, loss)
        wrt = [state for part in states for state in part]
        slopes = iter(gradients_for_hooks_too(trace, loss._as_value(trace), wrt))
        of_parts = [[next(slopes) for _ in part] for part in named]
        for trained, part in zip(self._trained, named, strict=True):
            trained.bound.before_run()
            trained.bind(part)

        def gradients_at(parameters: Sequence[Parameter], values: Sequence[_core.Value]) -> list[_core.Value]:
            return self._gradients_at(recording, call, parameters, values)

        trace.graph.begin_update()
        with recording_into(trace):
            trace.graph.guard(loss._as_value(trace))
            counts = self._counts_of_each(recording, loss)
            prepared = [
                trained.prepare(trace, part, of_part, gradients_at, count)
                for trained, part, of_part, count in zip(self._trained, named, of_parts, counts, strict=True)
            ]
            trace.finish()  # behind everything that may refuse
            for trained, update in zip(self._trained, prepared, strict=True):
                trained.update(trace, update)

    def exported(self, call: Call) -> Exported:
        """Records the forward pass as a file has it."""
        recording = self.record(call, None, eager=False, frozen=True)
        trace, result = recording.trace, recording.result
        loss, parts = (result.loss, result.parts) if isinstance(result, Forward) else (result, {})
        moved = self._moved(trace)
        with recording_into(trace):
            outputs = [loss, *[_real(part) for part in parts.values()]]
            counted = any(trained.bound.calls_per_update != 1 for trained in self._trained)
            if counted:
                outputs.append(self._counts(recording, loss))
            values = [output._as_value(trace) for output in outputs]
        return Exported(recording, values, list(parts), counted, moved)

    def _counts(self, recording: Recording, loss: Any) -> Operand:
        """What the gradients of a call count by, among those of an accumulation."""
        if all(trained.bound.calls_per_update == 1 for trained in self._trained):
            return as_tensor(np.ones(()))
        found = Batch(recording.trace, recording.tensors).denominator(loss)
        return found if isinstance(found, Operand) else as_tensor(np.asarray(found))

    def _counts_of_each(self, recording: Recording, loss: Any) -> list[Operand]:
        """The same for each of the trained models, which have one loss."""
        return [self._counts(recording, loss)] * len(self._trained)

    def record_gathered(self, waiting: Sequence[Trained]) -> Recording:
        """Records the update by what accumulations have gathered so far."""
        recording = record(lambda _: None, split_inputs(()), None, self._names(), stream=self._stream)
        trace = recording.trace
        trace.graph.begin_update()
        with recording_into(trace):
            prepared = [trained.prepare_gathered(trace) for trained in waiting]
            for trained, update in zip(waiting, prepared, strict=True):
                trained.update(trace, update)
        return recording
