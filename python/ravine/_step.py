"""TrainStep: forward, backward and update as one program."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, overload

import numpy as np

from . import _core
from ._random import RandomStream
from ._trained import Trained, checked_optimizers, named_models, named_optimizers, watch_of
from .nn import Module
from .optim import Hyper, Optimizer
from .record import (
    Compiled,
    ProgramCache,
    compile_recording,
    eager_mode,
    eager_result,
    split_inputs,
)

if TYPE_CHECKING:
    from ._loss import Observer
    from ._profile import Profile
    from ._recorder import Call, Forward, Recorder

_WEIGHTED = object()  # behind the arrays of a call with weights of the examples


class TrainStep:
    """One step of training: `loss = step(x, y)` runs forward, backward and the update in one compiled call.

    There are two forms. `TrainStep(model, loss, optimizer)` is for a model with one output and a target: the
    loss is `loss(model(x), y)`. `TrainStep(fn, model, optimizer)` is for everything else: `fn(model, *batch)`
    returns the loss of any number of arrays (or of arrays in tuples, lists and dicts), and `model` may be a
    dict of modules, `optimizer` then a dict of optimizers for those that are trained. Modules without an
    optimizer are read only: no gradient is computed for them, and what they assign to buffers in `forward`,
    such as the running statistics of BatchNorm, is dropped. A discriminator that a generator's step reads
    thus normalises by the batch, as its mode says, and keeps the statistics of its own steps.

    A loss may come with named parts, as `(loss, {"kl": kl, "likelihood": likelihood})`; after a call,
    `step.parts` has their values.

    A program is compiled for each combination of input shapes, dtypes and mode of the model, and kept.
    Parameters with `requires_grad=False`, and parameters the loss does not depend on, are left as they are.
    Only the parameters of the given models are trained, not those of a loss that is a module or those of
    modules that a function holds. A step over a `rv.Ensemble` is an `rv.EnsembleStep`: it trains every
    member, and a call returns the loss of each.

    If a call raises, nothing has changed: no parameter, no running statistic, no state of the optimizer. If
    the loss is NaN or infinite, the call returns it and nothing has changed either: it counts in `skipped`,
    does not join an accumulation, and draws no random numbers (the next call has its dropout), so that the
    run goes on, and resumes, as if the call had not been made. A gradient that is NaN or infinite although
    the loss is finite is applied, as in torch, unless the optimizer has `skip_nonfinite`.

    Args:
        model: the module to train. It is called with x (with several arguments if x is a tuple).
        loss: a module or function of (output, y) that returns a scalar tensor, such as
            `nn.CrossEntropyLoss()`, or a scalar and a dict of named scalars.
        optimizer: the update rule, such as `optim.SGD(lr=0.1, momentum=0.9)`.

    Args of the second form, by position:
        fn: a function of the model (or the dict of models) and the arrays of a batch. It returns what a loss
            returns.
        model: a module, or a dict of names and modules.
        optimizer: for a module its optimizer; for a dict a dict of optimizers under some of its names.

    Raises:
        TypeError, ValueError: for other arguments.

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

        The second form, with a penalty on the weights:

        >>> def loss_of(model, x, y):
        ...     fit, penalty = (model(x) - y).square().mean(), model.weight.square().sum()
        ...     return fit + 0.1 * penalty, {"fit": fit, "penalty": penalty}
        >>> step = rv.TrainStep(loss_of, model, optim.SGD(lr=0.5))
        >>> loss = step(x, y)
        >>> sorted(step.parts), step.parts["penalty"] > 1
        (['fit', 'penalty'], True)
    """

    # Steps over models that are trained in a way of their own, by the type of the model.
    _KINDS: ClassVar[dict[type[Module], type[TrainStep]]] = {}

    def __init_subclass__(cls, *, of: type[Module] | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if of is not None:
            TrainStep._KINDS[of] = cls

    def __new__(cls, *args: Any, **kwargs: Any) -> TrainStep:
        if cls is TrainStep:
            for given in (*args[:2], *kwargs.values()):
                for model, step in cls._KINDS.items():
                    if isinstance(given, model):
                        return object.__new__(step)
        return object.__new__(cls)

    @overload
    def __init__(self, model: Module, loss: Callable[[Any, Any], Any], optimizer: Optimizer) -> None: ...
    @overload
    def __init__(self, fn: Callable[..., Any], model: Module, optimizer: Optimizer, /) -> None: ...
    @overload
    def __init__(
        self,
        fn: Callable[..., Any],
        models: Mapping[str, Module],
        optimizers: Mapping[str, Optimizer],
        /,
    ) -> None: ...
    def __init__(self, model: Any, loss: Any, optimizer: Any) -> None:
        self._loss: Callable[[Any, Any], Any] | None = loss if isinstance(model, Module) else None
        self._function: Callable[..., Any]
        self._given: Any  # the module, or the dict of modules
        if isinstance(model, Module):
            if not callable(loss):
                raise TypeError(f"TrainStep: loss must be a module or a function, got {type(loss).__name__}")
            self._function, self._given = loss, model
        elif callable(model) and isinstance(loss, Module | Mapping):
            self._function, self._given = model, loss if isinstance(loss, Module) else dict(loss)
        elif callable(model):
            raise TypeError(
                "TrainStep: expected (model, loss, optimizer) with a Module first, or (function, model, "
                "optimizer) with a Module or a dict of Modules second, got a function and "
                f"{type(loss).__name__}"
            )
        else:
            raise TypeError(f"TrainStep: model must be a Module or a function, got {type(model).__name__}")
        self._models = self._named_models()
        self._optimizer, optimizers = self._named_optimizers(optimizer)
        self._stream = RandomStream()  # which is drawn now: threads that train at once draw in a known order
        self._trained = [
            Trained(name, self._models[name], rule, self._stream) for name, rule in optimizers.items()
        ]
        self._recorder = self._make_recorder()
        self._lock = _core.Lock("TrainStep")
        self._programs = ProgramCache("TrainStep", self._lock)
        self._generations = [trained.bound.generation for trained in self._trained]
        self._parts: dict[str, float] = {}
        self._output: Any = None
        self._observer: Observer | None = None
        self._observed: Observer | None = None  # the newest observer, which may have gone

    def _named_models(self) -> dict[str, Module]:
        """The models by the names that their parameters have in the step's state."""
        return named_models(self._given)

    def _named_optimizers(self, optimizer: Any) -> tuple[Any, dict[str, Optimizer]]:
        """What was given, checked, and the optimizers by the names of the models that they train."""
        if not isinstance(self._given, Module):
            optimizer = checked_optimizers(optimizer, self._models)
        return optimizer, named_optimizers(optimizer)

    def _make_recorder(self) -> Recorder:
        from ._recorder import Recorder  # late: for those who train, all import the package

        return Recorder(
            self._function, self._given, self._loss is not None, self._models, self._trained, self._stream
        )

    def __call__(self, *batch: Any, weight: Any = None) -> float:
        """Trains on one batch and returns its loss, as it was before the update.

        Args:
            batch: x and y, where x may be a tuple of inputs; in the second form what the function takes after
                the model.
            weight: a weight for each example, [n], finite and 0 or more: the loss is Σ w l / Σ w. Of a loss
                that weighs its terms itself (classes, labels that are ignored), numerator and denominator
                get the factor, as if an example stood w times in the batch. If all are 0, the loss is 0, and
                so are the gradients. The loss must be a mean over examples, or a sum of such means and of
                numbers that do not depend on the batch, such as a penalty on the parameters; parts of the
                loss that are means are weighted, too.

        Raises ValueError or TypeError for inputs that do not fit, for weights of another length, negative
        and not finite ones, and ones for a loss that is no mean over examples; and ValueError for a learning
        rate that is negative or not finite. Nothing has changed then.
        """
        if weight is None:
            result = self._programs.run(batch)
        else:
            result = self._programs.run((*self._recorder.with_weights(batch, weight), _WEIGHTED))
        if type(result) is float:
            return result
        if result is not NotImplemented:
            return self._taken(result)[0]
        with self._lock:
            return self._run(self._recorder.call(batch, weight))[0]

    def finish_accumulation(self) -> bool:
        """Makes the update of an accumulation that has gathered fewer calls than the optimizer asks for.

        The mean is over the calls that there were, by the denominators of their losses. Returns whether there
        was something to do: a complete accumulation has made its update. `Trainer.fit` does this at the end
        of every epoch.
        """
        with self._lock:
            self._refresh()
            for trained in self._waiting():
                trained.bind_gathered()
            self._drop_stale()
            waiting = self._waiting()  # not those whose accumulation was switched off
            if not waiting:
                return False
            variant = ("gathered", *[trained.name for trained in waiting])
            compiled = self._programs.get(split_inputs(()), lambda: self._compile_gathered(waiting), variant)
            for trained in waiting:
                trained.bound.before_run()
            compiled.run(())
            return True

    def _waiting(self) -> list[Trained]:
        """Those with gradients that wait for more."""
        return [trained for trained in self._trained if trained.bound.state.gathered > 0]

    def _compile_gathered(self, waiting: Sequence[Trained]) -> Compiled:
        return compile_recording(self._recorder.record_gathered(waiting), "TrainStep", self._stream)

    def with_output(self, x: Any, y: Any, *, weight: Any = None) -> tuple[float, Any]:
        """Trains on one batch and returns its loss and the model's output, both from before the update.

        Args:
            x, y, weight: as in a call.

        Raises TypeError for a step over a function, which returns what it wants to show as parts of the loss.
        """
        if self._loss is None:
            raise TypeError(
                "TrainStep.with_output: a step over a function has no output; return (loss, parts) and read "
                "step.parts"
            )
        with self._lock:
            return self._run(self._recorder.call((x, y), weight, with_output=True))

    def check(self, *batch: Any, weight: Any = None) -> None:
        """Raises what a call with such arrays would raise, and trains nothing."""
        with self._lock:
            self._recorder.record(self._recorder.call(batch, weight), None, eager=False)

    def observe(self, observer: Observer | None) -> None:
        """Lets an observer count in the programs of calls from now on; None ends that.

        For each program `observer.record(outcome)` is called while it is recorded, and may record what is
        assigned to arrays at the end of every call that changes something. It returns whether it wants the
        model's output besides, which is then `output` after a call. `Loop` measures in this way. A new
        observer is told to `follow` the one before, so that it may take over its programs.
        """
        with self._lock:
            self._programs.forget_calls()
            self._observer, self._output = observer, None
            if observer is not None:
                if self._observed not in (None, observer):
                    observer.follow(self._observed)
                self._observed = observer

    @property
    def parts(self) -> dict[str, float]:
        """The named parts of the newest call's loss, if the loss returned some."""
        return dict(self._parts)

    @property
    def output(self) -> Any:
        """The model's output in the newest call, from before the update, if an observer wants it."""
        return self._output

    def _taken(self, result: Forward | np.ndarray) -> tuple[float, Any]:
        """Keeps the parts of a result, if any; the loss and the output."""
        if not isinstance(result, tuple):  # the loss alone
            return float(result), None
        self._parts = {name: float(value) for name, value in result.parts.items()}
        self._output = result.output if self._observer is not None else None
        return float(result.loss), result.output

    def _run(self, call: Call) -> tuple[float, Any]:
        """One call, with the lock held."""
        return self._taken(self._result_of(call))

    def _result_of(self, call: Call) -> Any:
        """What the program of a call returns; with the lock held."""
        if eager_mode():
            self._refresh()
            return self._run_eagerly(call)
        watch = watch_of(self._trained)
        compiled = self._program_for(call)
        for trained in self._trained:
            trained.bound.before_run()
        result = compiled.run(call.inputs.arrays)
        self._remember(call, compiled, watch)
        return result

    def _refresh(self) -> None:
        """Takes over what has changed in the optimizers."""
        changed = [trained.bound.refresh() for trained in self._trained]
        if any(changed):
            self._programs.forget_calls()  # which may have to ask other functions
        self._drop_stale()

    def _drop_stale(self) -> None:
        """Drops programs that were recorded for other parameters or stages."""
        generations = [trained.bound.generation for trained in self._trained]
        if generations != self._generations:
            self._programs.clear()
            self._generations = generations

    def _program_for(self, call: Call) -> Compiled:
        self._refresh()
        phases = tuple([trained.bound.state.phase for trained in self._trained])
        counted = None if self._observer is None else self._observer.programs
        variant = (counted, phases, call.weighted, call.with_output, call.variant)
        return self._programs.get(call.inputs, lambda: self._compile(call), variant)

    def _run_eagerly(self, call: Call) -> Any:
        random = self._stream.get()
        drawn, refused = random.step, True
        try:
            recording = self._recorder.record(call, self._observer, eager=True)
            self._recorder.add_update(recording, call)  # which takes effect at once
            refused = recording.trace.graph.effects_refused
            return eager_result(recording, "TrainStep")
        finally:
            if refused:  # as if the call had not been made
                random.step = drawn

    def _remember(self, call: Call, compiled: Compiled, optimizers: _core.Watch) -> None:
        """Lets the next such call find this program by comparing, if it is the program of that, too."""
        bound = [trained.bound for trained in self._trained]
        if call.flat and not call.with_output and all(own.calls_per_update == 1 for own in bound):
            arrays = tuple(call.inputs.arrays)
            self._programs.remember(
                (*arrays, _WEIGHTED) if call.weighted else arrays,
                compiled,
                watches=[optimizers],
                before=[own.before_run for own in bound if own.asks],
                number=True,
            )

    def _compile(self, call: Call) -> Compiled:
        recording = self._recorder.record(call, self._observer, eager=False)
        self._recorder.add_update(recording, call)
        self._drop_stale()
        return compile_recording(recording, "TrainStep", self._stream)

    def profile(self, *batch: Any, runs: int = 20) -> Profile:
        """Where the time of a step goes, kernel call by kernel call, module by module.

        The step runs `runs` times as usual and, in turns, as often with a barrier and a look at the clock
        around each call. Nothing is trained: weights, statistics, the optimizer's state and random numbers
        are as before.

        Args:
            batch: as in a call.
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
        return self._profile_of(self._recorder.call(batch), runs)

    def _profile_of(self, call: Call, runs: int) -> Profile:
        from ._profile import profile_of  # late: few ask for it, all import the package

        with self._lock:
            compiled = self._program_for(call)
            for trained in self._trained:
                trained.bound.before_run()
            return profile_of(compiled, call.inputs, "TrainStep", runs)

    @property
    def model(self) -> Any:
        """The module, or the dict of modules, of this step."""
        return self._given if isinstance(self._given, Module) else dict(self._given)

    @property
    def loss(self) -> Callable[..., Any]:
        """The loss, a function of output and target; or the function of the models and the batch."""
        return self._function

    @property
    def optimizer(self) -> Any:
        """The update rule, or the dict of rules; hyperparameters may be changed between steps."""
        return self._optimizer if isinstance(self._optimizer, Optimizer) else dict(self._optimizer)

    @property
    def hyper(self) -> Any:
        """The numbers of the optimizer in this step: `step.hyper["lr"] = 0.01` holds from the next call on.

        The optimizer that was handed over keeps its own, which other steps may use; see `optim.Hyper`. With a
        dict of optimizers, a dict of such numbers: `step.hyper["g"]["lr"]`.

        Example:
            >>> import ravine as rv
            >>> from ravine import nn, optim
            >>> optimizer = optim.SGD(lr=0.1, groups=[optim.Group("bias", lr=0.2)])
            >>> step = rv.TrainStep(nn.Linear(3, 1), nn.MSELoss(), optimizer)
            >>> step.hyper["lr"] = 0.05
            >>> step.hyper["bias"]["lr"], step.hyper["lr"], optimizer.lr
            (0.2, 0.05, 0.1)
        """
        of_each = {t.name: Hyper(t.bound, self._lock, self._refresh) for t in self._trained}
        return of_each[""] if isinstance(self._given, Module) else of_each

    @property
    def steps(self) -> int:
        """Number of updates done; with several optimizers, those of the first."""
        return self._trained[0].bound.state.steps

    def _updates_of(self, calls: int, *, gathered: int | None = None) -> int:
        """Number of updates that so many calls make if the accumulation is finished after them.

        They follow those that are gathered by now, or so many.
        """
        bound = self._trained[0].bound
        waiting = bound.state.gathered if gathered is None else gathered
        return -(-(waiting + calls) // bound.calls_per_update)

    @property
    def skipped(self) -> int:
        """Number of calls that changed nothing because the loss was NaN or infinite.

        With the optimizer's `skip_nonfinite`, also those in which a gradient was.
        """
        return self._trained[0].bound.state.skipped

    @property
    def gradient_norm(self) -> Any:
        """The norm of all gradients in the newest update, before clipping by norm.

        None if the optimizer neither clips by a norm nor skips, so that nothing measures it. With a dict of
        optimizers, a dict of such norms.
        """
        norms = {trained.name: trained.bound.state.gradient_norm for trained in self._trained}
        return norms[""] if isinstance(self._given, Module) else norms

    def programs(self) -> list[_core.Program]:
        """The programs compiled so far; `program.describe()` shows one as a table."""
        return self._programs.programs()

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of the optimizer's state, the step and the random state: with the model's, all to resume.

        Keys: "optimizer.steps", "optimizer.<parameter>.<slot>", "optimizer.<parameter>.step", "random.seed",
        "random.step", for schedules that have state "schedule.<hyperparameter>.<key>", for LBFGS
        "preconditioner.<parameter>.<field>", "preconditioner.rho", "preconditioner.scale", and
        "hyper.<name>" for what `step.hyper` changed. With a dict of optimizers the model's name follows the
        first word: "optimizer.g.steps"; random numbers are the step's, whatever the number of optimizers.

        Beside a thread that trains, all of it is of one step.
        """
        with self._lock:
            return {key: value for trained in self._trained for key, value in trained.state_dict().items()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continues where `state_dict` was taken: the following losses and weights are the same bits.

        Raises ValueError naming missing, unexpected and misshaped keys; nothing is changed then.
        """
        unexpected = [key for key in state_dict if not any(own.owns(key) for own in self._trained)]
        if unexpected:
            raise ValueError(f"load_state_dict of TrainStep: unexpected keys {unexpected}")
        with self._lock:
            self._programs.forget_calls()  # first, as an interruption may come at any point
            before = [trained.state_dict() for trained in self._trained[:-1]]
            try:
                for trained in self._trained:
                    trained.load_state_dict(state_dict)
            except ValueError:  # those that were loaded, before the one that does not fit
                for trained, own in zip(self._trained, before, strict=False):
                    trained.load_state_dict(own)
                raise
            self._drop_stale()

    def __reduce__(self) -> Any:
        """Copies and pickles are steps of copied models, in the same state. Programs are not copied."""
        unsaved = [trained.bound.unsaved() for trained in self._trained]
        of_loss = self._loss is not None
        first, second = (self._given, self._loss) if of_loss else (self._function, self._given)
        return type(self), (first, second, self._optimizer), (self.state_dict(), self._parts, unsaved)

    def __setstate__(self, state: tuple[dict[str, np.ndarray], dict[str, float], list[Any]]) -> None:
        state_dict, self._parts, unsaved = state
        for trained, values in zip(self._trained, unsaved, strict=True):
            trained.bound.change(values)
        self.load_state_dict(state_dict)
