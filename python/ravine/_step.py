"""TrainStep: forward, backward and update as one program."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from . import _core, _trace
from ._compile import (
    Compiled,
    Inputs,
    ProgramCache,
    Recording,
    compile_recording,
    eager_result,
    record,
    split_inputs,
)
from ._grad import check_scalar
from ._parameter import Parameter, changes
from ._places import add_place, gradients, place_of_node
from ._profile import Profile, profile_of
from ._random import RandomStream
from .nn import Module
from .optim import Optimizer
from .optim._average import register
from .optim._bound import BoundOptimizer
from .optim._gradients import bounded_by_weights, sharpest
from .optim.schedules._schedule import load_schedule_states, schedule_states

_MASK = (1 << 64) - 1


class _Recent:
    """The newest program and what has to be as it was for it to serve again."""

    __slots__ = ("_changes", "_version", "_x_dtype", "_x_shape", "_y_dtype", "_y_shape", "compiled")

    def __init__(self, count: int, version: int, x: np.ndarray, y: np.ndarray, compiled: Compiled) -> None:
        self._changes, self._version = count, version
        self._x_shape, self._x_dtype, self._y_shape, self._y_dtype = x.shape, x.dtype, y.shape, y.dtype
        self.compiled = compiled

    def serves(self, x: Any, y: Any, version: int) -> bool:
        return (
            changes.count == self._changes
            and version == self._version
            and type(x) is np.ndarray
            and type(y) is np.ndarray
            and x.shape == self._x_shape
            and y.shape == self._y_shape
            and x.dtype == self._x_dtype
            and y.dtype == self._y_dtype
        )


class TrainStep:
    """One step of training: `loss = step(x, y)` runs forward, backward and the update in one compiled call.

    A program is compiled for each combination of input shapes, dtypes and mode of the model, and kept.
    Parameters with `requires_grad=False`, and parameters the loss does not depend on, are left as they are.
    Only the model's parameters are trained, not those of a loss that is a module. If a call raises, nothing
    has changed: no parameter, no running statistic, no state of the optimizer. If the loss is NaN or
    infinite, the call returns it and nothing has changed either: it counts in `skipped`, does not join an
    accumulation, and draws no random numbers (the next call has its dropout), so that the run goes on, and
    resumes, as if the call had not been made. A gradient that is NaN or infinite although the loss is finite
    is applied, as in torch, unless the optimizer has `skip_nonfinite`.

    Args:
        model: the module to train. It is called with x (with several arguments where x is a tuple).
        loss: a module or function of (output, y) that returns a scalar tensor, such as
            `nn.CrossEntropyLoss()`.
        optimizer: the update rule, such as `optim.SGD(lr=0.1, momentum=0.9)`.

    Example:
        >>> import numpy as np, ravine as rv
        >>> from ravine import nn, optim
        >>> rv.seed(0)
        >>> model = nn.Linear(3, 1)
        >>> step = rv.TrainStep(model, nn.MSELoss(), optim.SGD(lr=0.5))
        >>> x = np.eye(3); y = np.array([[1.0], [2.0], [3.0]])
        >>> losses = [step(x, y) for _ in range(200)]
        >>> losses[-1] < 1e-3 < losses[0]
        True
    """

    def __init__(self, model: Module, loss: Callable[[Any, Any], Any], optimizer: Optimizer) -> None:
        if not isinstance(model, Module):
            raise TypeError(f"TrainStep: model must be a Module, got {type(model).__name__}")
        if not callable(loss):
            raise TypeError(f"TrainStep: loss must be a module or a function, got {type(loss).__name__}")
        if not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"TrainStep: optimizer must be one of ravine.optim, got {type(optimizer).__name__}"
            )
        self._model = model
        self._loss = loss
        self._optimizer = optimizer
        self._bound = BoundOptimizer(optimizer)
        register(model, self._bound)
        self._preconditioner = optimizer._preconditioner()
        self._stream = RandomStream()
        self._stream.draw()  # now, so that threads that train at once draw in the order of construction
        self._programs = ProgramCache("TrainStep")
        self._recent: _Recent | None = None
        self._lock = _core.Lock("TrainStep")

    def __call__(self, x: Any, y: Any) -> float:
        """Trains on one batch and returns its loss, as it was before the update.

        Args:
            x: the model's input, or a tuple of inputs.
            y: the target, handed to the loss.

        Raises ValueError or TypeError for inputs that do not fit, and ValueError for a learning
        rate that is negative or not finite.
        """
        with self._lock:
            recent = self._recent
            if recent is None or _trace.eager_mode() or not recent.serves(x, y, self._optimizer._version):
                return self._run(x, y, with_output=False)
            lr = self._bound.before_run()
            loss = recent.compiled.run([x, y])
            self._bound.after_run(lr, recent.compiled.program.refused)
        return float(loss)

    def with_output(self, x: Any, y: Any) -> tuple[float, Any]:
        """Trains on one batch and returns its loss and the model's output, both from before the update."""
        with self._lock:
            return self._run(x, y, with_output=True)

    def check(self, x: Any, y: Any) -> None:
        """Raises what a call with such arrays would raise, and trains nothing."""
        with self._lock:
            self._record(split_inputs((x, y)), with_output=False, eager=False)

    def _run(self, x: Any, y: Any, with_output: bool) -> Any:
        """One call, with the lock held."""
        inputs = split_inputs((x, y))
        if _trace.eager_mode():
            if self._bound.structure_changed():
                self._programs.clear()
            result, lr, refused = self._run_eagerly(inputs, with_output)
        else:
            compiled = self._program_for(inputs, with_output)
            lr = self._bound.before_run()
            result = compiled.run(inputs.arrays)
            refused = compiled.program.refused
            self._remember(x, y, with_output, compiled)
        self._bound.after_run(lr, refused)
        return (float(result[0]), result[1]) if with_output else float(result)

    def _program_for(self, inputs: Inputs, with_output: bool) -> Compiled:
        if self._bound.structure_changed():
            self._programs.clear()
        fingerprint = self._model._fingerprint()
        of_loss = self._loss._fingerprint() if isinstance(self._loss, Module) else id(self._loss)
        key = (fingerprint, of_loss, with_output, self._bound.phase, inputs.key)
        return self._programs.get(key, lambda: self._compile(inputs, with_output))

    def _run_eagerly(self, inputs: Inputs, with_output: bool) -> tuple[Any, float, bool]:
        """Result, learning rate, and whether a guard refused the effects."""
        random = self._stream.get()
        drawn, refused = random.step, True
        try:
            recording = self._record(inputs, with_output, eager=True)
            lr = self._add_update(recording, inputs)  # which takes effect at once
            refused = recording.trace.graph.effects_refused
            return eager_result(recording, "TrainStep"), lr, refused
        finally:
            if refused:  # as if the call had not been made
                random.step = drawn

    def _remember(self, x: Any, y: Any, with_output: bool, compiled: Compiled) -> None:
        """Lets the next call find this program by comparing, without making a key."""
        count = changes.count
        known = self._model._unchanged_since(count)
        if isinstance(self._loss, Module):
            known = known and self._loss._unchanged_since(count)
        simple = type(x) is np.ndarray and type(y) is np.ndarray and not with_output
        simple = simple and self._optimizer.accumulate == 1
        self._recent = _Recent(count, self._optimizer._version, x, y, compiled) if known and simple else None

    def _forward(self, arguments: Any) -> tuple[Any, Any]:
        x, y = arguments
        output = self._model(*x) if isinstance(x, tuple) else self._model(x)
        with _trace.part_of_step("loss"):
            return check_scalar(self._loss(output, y), "TrainStep: the loss"), output

    def _record(self, inputs: Inputs, with_output: bool, eager: bool) -> Recording:
        def call(arguments: Any) -> Any:
            loss, output = self._forward(arguments)
            return (loss, output) if with_output else loss

        shapes = [array.shape for array in inputs.arrays]
        if any(0 in shape for shape in shapes):
            raise ValueError(f"TrainStep: there is nothing to learn from empty arrays, got shapes {shapes}")
        names = self._model._state_names()
        return record(
            call,
            inputs,
            self._model._floating_dtype(),
            names,
            stream=self._stream,
            eager=eager,
            parameters=self._model.named_parameters(),
            argument_names=("x", "y"),
        )

    def _trained(self, trace: _trace.Trace) -> list[tuple[str, Parameter]]:
        named = [(name, p) for name, p in self._model.named_parameters() if p.requires_grad]
        used = [(name, p) for name, p in named if id(p.array) in trace.used]
        if not used:
            raise ValueError(
                f"TrainStep: nothing to train: no parameter of {type(self._model).__name__} both requires a "
                f"gradient and takes part in the loss"
            )
        return used

    def _gradients_at(
        self,
        recording: Recording,
        inputs: Inputs,
        parameters: Sequence[Parameter],
        values: Sequence[_core.Value],
    ) -> list[_core.Value]:
        """Gradients of the same loss at other values of the parameters; buffers stay as they are."""
        trace = recording.trace
        with trace.substituted([(p.array, value) for p, value in zip(parameters, values, strict=True)]):
            with _trace.recording(trace):
                loss, _ = self._forward(inputs.rebuild(recording.tensors))
            return gradients(trace, loss._as_value(trace), list(values))

    def _check_loss(self, trace: _trace.Trace, loss: Any) -> None:
        """Raises FloatingPointError for a loss that overflowed, naming where that began."""
        value, first = float(loss), trace.graph.first_infinite
        if not math.isinf(value) or first is None:
            return
        node, op = first
        error = FloatingPointError(f"'{op}' made the first infinity, and the loss became {value}")
        add_place(error, place_of_node(trace, node))
        raise error

    def _add_update(self, recording: Recording, inputs: Inputs) -> float:
        """Records gradients and update behind the forward pass. Returns the learning rate."""
        trace = recording.trace
        parameters = self._trained(trace)
        loss = recording.result[0] if isinstance(recording.result, tuple) else recording.result
        states = [trace.graph.state(p.array, name) for name, p in parameters]
        if trace.check_nan:
            self._check_loss(trace, loss)
        slopes = gradients(trace, loss._as_value(trace), states)
        changed = self._bound.bind(parameters, dict(self._model.named_parameters()))
        if self._preconditioner is not None:
            changed = self._preconditioner.bind(parameters) or changed
        if changed:
            self._programs.clear()  # they update the optimizers of before
            self._recent = None
        lr = self._bound.before_run()
        updates = self._bound.phase[1]
        by_name = {name: gradient for (name, _), gradient in zip(parameters, slopes, strict=True)}
        trace.graph.begin_update()
        with _trace.recording(trace):
            trace.graph.guard(loss._as_value(trace))
            if self._optimizer._sharpness()[0] != 0:
                rho, adaptive = self._bound.number(trace, "rho"), self._optimizer._sharpness()[1]
                values = sharpest(trace, dict(parameters), by_name, rho, adaptive)
                moved = self._gradients_at(recording, inputs, [p for _, p in parameters], values)
                by_name = dict(zip(by_name, moved, strict=True))
            if self._preconditioner is not None:
                if trace.draws:
                    kind = type(self._optimizer).__name__
                    raise ValueError(
                        f"TrainStep: {kind} compares two gradients of a mini-batch; a loss that draws random "
                        "numbers has no two that agree: turn dropout off"
                    )
                by_name = self._preconditioner.direct(
                    trace,
                    by_name,
                    lambda values: self._gradients_at(recording, inputs, [p for _, p in parameters], values),
                )
            by_name = self._bound.gather(trace, by_name)
            if updates:
                by_name = bounded_by_weights(self._optimizer, trace, dict(parameters), by_name)
                self._bound.record(trace, by_name)
            else:
                trace.finish()
        return lr

    def _compile(self, inputs: Inputs, with_output: bool) -> Compiled:
        recording = self._record(inputs, with_output, eager=False)
        self._add_update(recording, inputs)
        return compile_recording(recording, "TrainStep", self._stream)

    def profile(self, x: Any, y: Any, *, runs: int = 20) -> Profile:
        """Where the time of a step goes, kernel call by kernel call, module by module.

        The step runs `runs` times as usual and, in turns, as often with a barrier and a look at the clock
        around each call. Nothing is trained: weights, statistics, the optimizer's state and random numbers
        are as before.

        Args:
            x, y: as in a call.
            runs: how often; the medians count.

        Raises ValueError for runs below 1, and what a call raises.

        Example:
            >>> import numpy as np, ravine as rv
            >>> from ravine import nn, optim
            >>> model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
            >>> step = rv.TrainStep(model, nn.CrossEntropyLoss(), optim.Adam())
            >>> profile = step.profile(np.zeros((4, 8)), np.zeros(4, int), runs=3)
            >>> sorted(profile.by_phase())
            ['backward', 'forward', 'update']
            >>> sorted(profile.by_module())
            ['', '0', '2', 'loss']
        """
        inputs = split_inputs((x, y))
        with self._lock:
            compiled = self._program_for(inputs, with_output=False)
            self._bound.before_run()
            return profile_of(compiled, inputs, "TrainStep", runs)

    @property
    def model(self) -> Module:
        """The module that is trained."""
        return self._model

    @property
    def loss(self) -> Callable[[Any, Any], Any]:
        """The loss, a function of output and target."""
        return self._loss

    @property
    def optimizer(self) -> Optimizer:
        """The update rule; its hyperparameters may be changed between steps."""
        return self._optimizer

    @property
    def steps(self) -> int:
        """Number of updates done."""
        return self._bound.steps

    def _updates_of(self, calls: int) -> int:
        """Number of updates that so many further calls make."""
        return (self._bound.gathered + calls) // self._optimizer.accumulate

    @property
    def skipped(self) -> int:
        """Number of calls that changed nothing because the loss was NaN or infinite.

        With the optimizer's `skip_nonfinite`, also those in which a gradient was.
        """
        return self._bound.skipped

    @property
    def gradient_norm(self) -> float | None:
        """The norm of all gradients in the newest update, before clipping by norm.

        None where the optimizer neither clips by a norm nor skips, so that nothing measures it.
        """
        return self._bound.gradient_norm

    def programs(self) -> list[_core.Program]:
        """The programs compiled so far; `program.describe()` shows one as a table."""
        return self._programs.programs()

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of the optimizer's state, the step and the random state: with the model's, all to resume.

        Keys: "optimizer.steps", "optimizer.<parameter>.<slot>", "optimizer.<parameter>.step", "random.seed",
        "random.step", for schedules that have state "schedule.<hyperparameter>.<key>", and for LBFGS
        "preconditioner.<parameter>.<field>", "preconditioner.rho", "preconditioner.scale".
        """
        with self._lock:
            result = {f"optimizer.{key}": value for key, value in self._bound.state_dict().items()}
            result |= {f"schedule.{key}": value for key, value in schedule_states(self._optimizer).items()}
            if self._preconditioner is not None:
                state = self._preconditioner.state_dict()
                result |= {f"preconditioner.{key}": value for key, value in state.items()}
            random = self._stream.get()
            result["random.seed"] = np.asarray(random.seed & _MASK, np.uint64).view(np.int64)
            result["random.step"] = np.asarray(random.step & _MASK, np.uint64).view(np.int64)
            return result

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continues where `state_dict` was taken: the following losses and weights are the same bits.

        Raises ValueError naming missing, unexpected and misshaped keys; nothing is changed then.
        """
        parts: dict[str, dict[str, Any]] = {"optimizer": {}, "schedule": {}}
        if self._preconditioner is not None:
            parts["preconditioner"] = {}
        others = []
        for key, value in state_dict.items():
            part, _, rest = key.partition(".")
            if part in parts:
                parts[part][rest] = value
            else:
                others.append(key)
        missing = [key for key in ("random.seed", "random.step") if key not in others]
        unexpected = [key for key in others if key not in ("random.seed", "random.step")]
        if missing or unexpected:
            raise ValueError(
                f"load_state_dict of TrainStep: missing keys {missing}, unexpected keys {unexpected}"
            )
        random = [_trace.plain_array(state_dict[key], key) for key in ("random.seed", "random.step")]
        if any(array.shape != () or array.dtype.kind not in "iu" for array in random):
            raise ValueError(f"load_state_dict of TrainStep: random.seed and random.step are {random}")
        shapes = {name: parameter.shape for name, parameter in self._model.named_parameters()}
        with self._lock:
            preconditioner = self._preconditioner
            memory = preconditioner and preconditioner.check_state(parts["preconditioner"], shapes)
            before = schedule_states(self._optimizer)
            load_schedule_states(self._optimizer, parts["schedule"])
            try:
                self._bound.load_state_dict(parts["optimizer"], shapes)
            except ValueError:
                load_schedule_states(self._optimizer, before)
                raise
            if preconditioner is not None and memory is not None:
                preconditioner.load_state(memory)
            self._programs.clear()
            self._recent = None
            seed, step = (int(array) & _MASK for array in random)
            self._stream.set(seed, step)
