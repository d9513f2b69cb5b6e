"""An optimizer bound to the parameters of a model: its description as the engine's training state has it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .. import _core
from .._numbers import number
from .._random import RandomStream
from ..record import Parameter, Trace, add_place, as_tensor, plain_array, recording_into
from ._changes import can_be_saved, change, changes, entry, value_of
from ._optimizer import Limits, Optimizer, announce
from ._options import Group, assign_groups
from ._stages import engine_stage
from .schedules import Schedule
from .schedules import _schedule as rates

_ANY = Limits(0.0, -float("inf"), float("inf"), flag=False)

GradientsAt = Callable[[Sequence[_core.Value]], "list[_core.Value]"]


class _Functions(list[Callable[[int], Any]]):
    """Functions of the step that the engine asks through a weak reference, so that no circle is closed."""


class _Describer:
    """Puts an optimizer into the engine's terms."""

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self._owner = optimizer._owner
        self.functions = _Functions()

    def description(self) -> _core.Description:
        optimizer = self._optimizer
        average, slow = optimizer.average, optimizer._slow_weight()
        return _core.Description(
            self._owner,
            optimizer.rule,
            [self._of_group(group) for group in (None, *optimizer.groups)],
            [engine_stage(option, value, self._schedule) for option, value in optimizer._stages()],
            None if average is None else average._expression(self._leaf),
            slow,
        )

    def _of_group(self, group: Group | None) -> tuple[list[tuple[str, str, Any]], bool]:
        optimizer, limits = self._optimizer, self._optimizer._allowed()
        hyper = [
            (name, label, self._schedule(label, value, limits[name]) if callable(value) else value)
            for name, (label, value) in optimizer._values(group).items()
            if name not in optimizer._fixed
        ]
        hyper += [(name, name, value) for name, value in optimizer._fixed.items()]
        decays = group is not None and "weight_decay" in group._hyper
        return hyper, decays or not optimizer.no_decay

    def _schedule(self, label: str, rate: Any, limits: Limits = _ANY) -> _core.Schedule:
        if isinstance(rate, Schedule):
            return rate._expression(self._leaf)
        return self._ask(
            lambda step: number(
                self._owner, f"{label} in step {step}", rate(step), limits.low, below=limits.below
            )
        )

    def _leaf(self, function: Callable[[int], float], steps: int | None, text: str) -> _core.Schedule:
        return self._ask(function, steps, text)

    def _ask(self, function: Callable[[int], Any], *length_and_text: Any) -> _core.Schedule:
        place, functions = len(self.functions), weakref.ref(self.functions)
        self.functions.append(function)
        return _core.Schedule.of_function(lambda step: functions()[place](step), *length_and_text)  # type: ignore[index]


class BoundOptimizer:
    """The training state of an optimizer for named parameters; parameters may leave (freeze) and come back.

    Args:
        optimizer: its changes are taken over before the next run.
        stream: of the random numbers of the step.
    """

    def __init__(self, optimizer: Optimizer, stream: RandomStream) -> None:
        self.given = optimizer
        self.own = optimizer._copy()  # with what was changed here
        self._stream = stream
        self._groups, self._regroupings = self.own.groups, 0
        describer = _Describer(self.own)
        self.state = _core.TrainState(describer.description(), stream.get())
        self._described(describer)
        self._parameters: Sequence[tuple[str, Parameter]] | None = None  # bound, since the newest loading
        self._known: Mapping[str, Parameter] = {}  # those of the model, when they were bound
        self._bound = self.generation
        self._constrained: list[tuple[str, Parameter]] = []
        announce(optimizer, self)

    def _described(self, describer: _Describer) -> None:
        self._functions, self._foreign = describer.functions, self.state.foreign
        self._seen = self.given._version, self.own._version

    def _describe(self) -> None:
        describer = _Describer(self.own)
        self.state.describe(describer.description())
        self._described(describer)

    @property
    def generation(self) -> tuple[int, int]:
        """Changes whenever programs recorded before have to go."""
        return self.state.generation, self._regroupings

    def refresh(self) -> bool:
        """Takes over what has changed in the optimizer; whether something had."""
        given = self.given._version
        if given != self._seen[0]:
            self.own._take_over(self.given)
        if (given, self.own._version) == self._seen:
            return False
        self._describe()
        if self.own.groups != self._groups:
            self._groups = self.own.groups
            self._regroupings += 1
        return True

    def bind(self, parameters: Sequence[tuple[str, Parameter]], known: Mapping[str, Parameter]) -> None:
        """Makes these the trained parameters, of those that are known to the model.

        Raises ValueError, and changes nothing, where the groups do not fit the model.
        """
        self.state.bind(self._in_groups(dict(parameters), known))
        self._parameters, self._known, self._bound = parameters, known, self.generation
        self._constrained = [named for named in parameters if named[1].constraint is not None]

    def _in_groups(
        self, parameters: Mapping[str, Parameter], known: Mapping[str, Parameter]
    ) -> list[tuple[str, _core.Array, int]]:
        groups = assign_groups(self.own.groups, known)
        return [(name, parameter.array, groups.get(name, -1) + 1) for name, parameter in parameters.items()]

    def prepare(
        self,
        trace: Trace,
        gradients: Sequence[_core.Value],
        gradients_at: GradientsAt | None = None,
        weight: _core.Value | None = None,
    ) -> _core.PreparedUpdate:
        """Records the stages, for the gradients of the bound parameters, and all that may refuse the update.

        `weight` is what the gradients count by in an accumulation; None for as much as those of each call.

        Raises ValueError for an optimizer that compares gradients with a loss that draws random numbers.
        """
        trace.draws = trace.draws or self.state.draws
        return self.state.prepare(trace.graph, list(gradients), gradients_at, weight)

    def bind_gathered(self, known: Mapping[str, Parameter]) -> None:
        """Makes those the trained parameters that take part in an accumulation, with the present stages."""
        parameters = self._parameters
        if parameters is None:
            keys = [key for key in self.state.state_dict() if key.endswith(".gradient_sum")]
            names = [key.removeprefix("optimizer.").removesuffix(".gradient_sum") for key in keys]
            parameters = [(name, known[name]) for name in names]
        self.bind(parameters, known)

    def prepare_gathered(self, trace: Trace) -> _core.PreparedUpdate:
        """Records the stages of an update by what an accumulation has gathered so far."""
        trace.draws = trace.draws or self.state.draws
        return self.state.prepare_gathered(trace.graph)

    def update(self, trace: Trace, prepared: _core.PreparedUpdate) -> None:
        """Records the rule, and what brings parameters back to their constraints behind it."""
        self.state.update(trace.graph, prepared)
        if self._constrained and prepared.updates:
            _core.run_afterwards(trace.graph, _projection(self._constrained))

    @property
    def asks(self) -> bool:
        """Whether functions of the step give some of the numbers."""
        return self._foreign

    def before_run(self) -> None:
        """Asks functions of the step for the numbers of the next run."""
        if self._foreign:
            self.state.ask()

    @property
    def calls_per_update(self) -> int:
        return next((value for option, value in self.own._stages() if option == "accumulate"), 1)

    def groups(self) -> dict[str, Group]:
        """The groups by name."""
        return {group._name(i): group for i, group in enumerate(self.own.groups)}

    def averages(self, parameters: Mapping[str, Parameter]) -> dict[str, np.ndarray]:
        """Averages by name, in the dtypes of the model's parameters; of weights that no step moved none."""
        return self.state.averages(self._in_groups(parameters, parameters))

    def unsaved(self) -> dict[str, Any]:
        """The changes to the optimizer that was handed over which no state_dict holds: they are code."""
        own = changes(self.own, self.given)
        return {name: value for name, value in own.items() if not can_be_saved(value)}

    def change(self, values: Mapping[str, Any]) -> None:
        """Sets numbers by their names in `unsaved`."""
        change(self.own, values)
        self._describe()

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of the state, of one step; and of its schedules, and of what was changed here."""
        self.refresh()
        if self._parameters is not None and self._bound != self.generation:
            self.bind(self._parameters, self._known)  # a number set since may want other slots
        self._stream.get()  # begun again, if the process was seeded since
        state = self.state.state_dict()
        state |= {f"schedule.{key}": value for key, value in rates.schedule_states(self.own).items()}
        return state | {f"hyper.{name}": value for name, value in self._saved_changes().items()}

    def _saved_changes(self) -> dict[str, np.ndarray]:
        numbers = changes(self.own, self.given).items()
        return {name: entry(value) for name, value in numbers if can_be_saved(value)}

    def exported(self, moved: Mapping[str, Parameter], known: Mapping[str, Parameter]) -> tuple[Any, ...]:
        """What a file is to have of it: see the engine's LoadedStep.

        Args:
            moved: the parameters that are trained.
            known: all of the model.
        """
        self.refresh()
        constrained = [named for named in moved.items() if named[1].constraint is not None]
        projected = None
        if constrained:
            trace = _projected(constrained)
            projected = (0, trace.graph, [], trace.assigned(), trace.quotients)
        groups = [("", [])] + [(name, _labels(group)) for name, group in self.groups().items()]
        parameters = [(*named, named[0] in moved) for named in self._in_groups(known, known)]
        return (
            self.state,
            groups,
            parameters,
            projected,
            rates.followers(self.own),
            self._saved_changes(),
        )

    def load_state_dict(self, state_dict: Mapping[str, Any], parameters: Mapping[str, Parameter]) -> None:
        """Takes what `state_dict` returned; the next `bind` puts it in place.

        Raises ValueError with all that does not fit; nothing is changed then.
        """
        self.refresh()
        self._stream.get()  # so that it goes on as loaded
        arrays = {key: _loadable(plain_array(array, key)) for key, array in state_dict.items()}
        of_schedules, of_hyper = _taken(arrays, "schedule."), _taken(arrays, "hyper.")
        own, before = self.given._copy(), self.own
        change(own, {**self.unsaved(), **{name: value_of(array) for name, array in of_hyper.items()}})
        states = rates.schedule_states(own)
        rates.load_schedule_states(own, of_schedules)
        try:
            self._replace(own)
            self.state.load_state_dict(arrays, self._in_groups(parameters, parameters))
        except ValueError:
            rates.load_schedule_states(own, states)
            self._replace(before)
            raise
        self._parameters = None

    def _replace(self, own: Optimizer) -> None:
        self.own, self._groups = own, own.groups
        self._describe()


def _taken(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Takes the entries with that prefix out, and returns them without it."""
    keys = [key for key in arrays if key.startswith(prefix)]
    return {key[len(prefix) :]: arrays.pop(key) for key in keys}


def _labels(group: Group) -> list[str]:
    """The names of a group's own numbers: of a pair "betas[0]" and "betas[1]"."""
    labels: list[str] = []
    for name, value in group._hyper.items():
        labels += [f"{name}[{i}]" for i in range(len(value))] if isinstance(value, tuple) else [name]
    return labels


def _projection(constrained: Sequence[tuple[str, Parameter]]) -> _core.Program:
    """The program that brings parameters to their constraints."""
    trace = _projected(constrained)
    trace.finish()
    return _core.Program(trace.graph, [])


def _projected(constrained: Sequence[tuple[str, Parameter]]) -> Trace:
    """A recording in which they are assigned what their constraints make of them."""
    trace = Trace()
    with recording_into(trace):
        for name, parameter in constrained:
            assert parameter.constraint is not None
            try:
                value = as_tensor(parameter.constraint(parameter))
                if value.shape != parameter.shape or value.dtype != parameter.dtype:
                    raise ValueError(
                        f"the constraint makes {value.dtype} of shape {value.shape} of a parameter of shape "
                        f"{parameter.shape} and dtype {parameter.dtype}"
                    )
            except Exception as error:
                add_place(error, name)
                raise
            trace.assign(parameter.array, value._as_value(trace))
    if trace.draws:
        raise ValueError("a constraint must not draw random numbers")
    return trace


def _loadable(array: np.ndarray) -> np.ndarray:
    """In a dtype of the engine, which has fewer than files."""
    wider = {"f": np.float64, "i": np.int64, "u": np.int64}.get(array.dtype.kind)
    known = array.dtype.name in ("float32", "float64", "int32", "int64", "uint8", "bool") or wider is None
    return array if known else array.astype(wider)
