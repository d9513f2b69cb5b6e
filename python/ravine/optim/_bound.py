"""An optimizer bound to parameters: the engine's optimizers and their state under the parameters' names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import _core
from .._parameter import Parameter
from .._tensor import Tensor
from .._trace import Trace, plain_array
from ._gradients import bounded_by_norms, bounds_of, with_noise
from ._optimizer import Optimizer, ScheduledNumber, rule_of
from ._options import Group, assign_groups


class _State(NamedTuple):
    """What one parameter has of the optimizer's state."""

    step: int
    slots: dict[str, np.ndarray]
    scalars: dict[str, float]


class _Part:
    """Parameters of one group that have done the same number of steps: one optimizer of the engine."""

    def __init__(self, description: Optimizer, group: Group | None, decays: bool) -> None:
        self.description = description
        self.group = group
        self.decays = decays
        self.members: list[tuple[str, Parameter]] = []
        self.core: _core.Optimizer  # once all members are known
        self._set: dict[str, float] = {}  # what the engine has
        self.scheduled: list[ScheduledNumber] = []

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.members]

    def constants(self) -> dict[str, float]:
        return self._without_decay(self.description._constants(self.group))

    def _without_decay(self, numbers: dict[str, float]) -> dict[str, float]:
        return numbers if self.decays or "weight_decay" not in numbers else {**numbers, "weight_decay": 0.0}

    def refresh(self) -> None:
        """Reads the description anew, as it has changed."""
        self.scheduled = self.description._scheduled(self.group)

    def numbers(self, step: int) -> dict[str, float]:
        """All numbers of a step. Raises ValueError where one is not allowed."""
        owner = type(self.description).__name__
        scheduled = {number.name: number.at(owner, step) for number in self.scheduled}
        numbers = self._without_decay({**self.description._constants(self.group), **scheduled})
        if scheduled:
            self.description._check_numbers(numbers)
        return numbers

    def changed(self, step: int, refreshed: bool) -> dict[str, float]:
        """The numbers that differ from those the engine has."""
        if refreshed:
            numbers = self.numbers(step)
        elif not self.scheduled:
            return {}
        elif len(self.scheduled) == 1 and self.scheduled[0].name == "lr":
            rate = self.scheduled[0]
            numbers = {"lr": rate.at(type(self.description).__name__, step)}
        else:
            numbers = self.numbers(step)
        return {name: value for name, value in numbers.items() if value != self._set.get(name)}

    def set(self, numbers: Mapping[str, float]) -> None:
        if numbers:
            self.core.set_all(numbers)
            self._set.update(numbers)

    def build(self, state: _State, step: int, states: Mapping[str, _State]) -> None:
        """Makes the engine's optimizer, with the members' state."""
        numbers = self.numbers(step)
        # A number that may become nonzero later has its slots from the beginning.
        slots = self.slots()
        self.core = _core.Optimizer(
            self.description.rule,
            [parameter.array for _, parameter in self.members],
            numbers,
            slots,
        )
        self._set = numbers
        self.core.step = state.step
        for name, value in state.scalars.items():
            self.core.set_scalar(name, value)
        for slot, arrays in self.core.slots.items():
            for (name, _), array in zip(self.members, arrays, strict=True):
                kept = states[name].slots.get(slot) if name in states else None
                if kept is not None and array is not None and kept.shape == array.shape:
                    array.numpy()[...] = kept

    def slots(self) -> list[str]:
        """Of the rule, those that its numbers need or may need later; and what follows the rule."""
        of_rule = [
            slot for slot, needed_by in rule_of(self.description.rule)[1].items() if self._needs(needed_by)
        ]
        average = ["average"] if self.description.average is not None else []
        slow = ["slow"] if self.description._slow_weight(0) is not None else []
        return [*of_rule, *average, *slow]

    def _needs(self, needed_by: str | None) -> bool:
        if needed_by is None:
            return True
        _, value = self.description._values(self.group).get(needed_by, ("", 0.0))
        return callable(value) or bool(value)

    def average(self, slots: Mapping[str, np.ndarray], parameter: np.ndarray, step: int) -> np.ndarray:
        """The average that a member's slots hold: asked for, or the rule's own."""
        if "average" in slots:
            return slots["average"]
        if "ax" in slots:
            return slots["ax"]
        # Schedule-free: the parameter is (1 - beta) z + beta x.
        numbers = self.numbers(step)
        beta = numbers["beta" if "beta" in numbers else "beta1"]
        return (parameter - (1 - beta) * slots["z"].astype(np.float64)) / beta

    def states(self) -> dict[str, _State]:
        slots = self.core.slots
        scalars = self.core.scalars
        result = {}
        for i, name in enumerate(self.names):
            own = {
                slot: np.array(array.numpy(), order="C")
                for slot, arrays in slots.items()
                if (array := arrays[i]) is not None
            }
            result[name] = _State(self.core.step, own, dict(scalars))
        return result


class BoundOptimizer:
    """State of an optimizer for named parameters; parameters may leave (freeze) and come back."""

    def __init__(self, description: Optimizer) -> None:
        self.description = description
        self.steps = 0  # done by the training step; what functions of the step count
        self._states: dict[str, _State] = {}  # of parameters that no part holds at present
        self._parts: list[_Part] = []
        self._signature: Any = None
        self._seen_version: Any = -1
        self.skipped = 0  # calls that changed nothing, as the loss or a gradient was not finite
        self.evaluating = False  # whether the model has its averaged weights at present
        self._follows = True  # whether something follows the rule
        self._constant_lr: float | None = None  # where every number is as in the last run
        self._numbers: dict[str, _core.Array] = {}  # that programs read when they run
        self.gathered = 0  # calls since the last update whose gradients wait for the next
        self._sums: dict[str, _core.Array] = {}  # of gradients that wait
        self._clipping: _core.Clipping | None = None

    def bind(self, parameters: Sequence[tuple[str, Parameter]], known: Mapping[str, Parameter]) -> bool:
        """Makes these the trained parameters, of those that are known to the model.

        True where that changes anything: older programs must go. Raises ValueError, and changes nothing,
        where the groups do not fit the model.
        """
        signature = self._signature_of(parameters)
        if signature == self._signature:
            return False
        states = self._all_states()
        parts = self._divide(parameters, known, states)
        for part, state in parts:
            part.refresh()
            part.build(state, self.steps, states)
        bound = {name for name, _ in parameters}
        self._states = {name: state for name, state in states.items() if name not in bound}
        self._parts = [part for part, _ in parts]
        self._bind_gradients(parameters)
        self._signature, self._seen_version = signature, self.description._version
        return True

    def _bind_gradients(self, parameters: Sequence[tuple[str, Parameter]]) -> None:
        description = self.description
        bounded = bool(bounds_of(description))
        self._clipping = _core.Clipping(len(parameters)) if bounded or description.skip_nonfinite else None
        first = 0
        for part in self._parts:
            if self._clipping is not None:
                part.core.set_clipping(self._clipping, first)
            first += len(part.members)
        self._set_bounds()
        sums = {}
        if description.accumulate > 1:
            for name, parameter in parameters:
                array = parameter.array
                sums[name] = _core.Array(np.zeros_like(parameter.data), array.channels_last)
                old = self._sums.get(name)
                if old is not None and old.shape == array.shape:
                    sums[name].numpy()[...] = old.numpy()
        self._sums = sums
        self._follows, self._constant_lr = True, None
        names = ["noise"] if description.noise is not None else []
        names += ["rho"] if description._sharpness()[0] != 0 else []
        self._numbers = {name: _core.Array(np.zeros((), np.float64)) for name in names}

    def _set_bounds(self) -> None:
        if self._clipping is None:
            return
        bounds = {} if self._bounds_in_program() else bounds_of(self.description)
        for name in ("clip_value", "clip_norm", "clip_global_norm"):
            setattr(self._clipping, name, bounds.get(name, math.inf))
        self._clipping.skip_nonfinite = self.description.skip_nonfinite

    def _divide(
        self,
        parameters: Sequence[tuple[str, Parameter]],
        known: Mapping[str, Parameter],
        states: Mapping[str, _State],
    ) -> list[tuple[_Part, _State]]:
        description = self.description
        groups = assign_groups(description.groups, known)
        parts: dict[Any, tuple[_Part, _State]] = {}
        for name, parameter in parameters:
            group = description.groups[groups[name]] if name in groups else None
            of_group = group is not None and "weight_decay" in group._hyper
            decays = not description.no_decay or of_group or len(parameter.shape) > 1
            state = states.get(name, _State(0, {}, {}))
            key = (groups.get(name), decays, state.step, tuple(sorted(state.scalars.items())))
            part, _ = parts.setdefault(key, (_Part(description, group, decays), state))
            part.members.append((name, parameter))
        return list(parts.values())

    def _signature_of(self, parameters: Sequence[tuple[str, Parameter]]) -> Any:
        return self._structure(), [(name, id(parameter.array)) for name, parameter in parameters]

    def _structure(self) -> Any:
        """What programs depend on: the groups, and which slots each needs."""
        description = self.description
        groups = (None, *description.groups)
        slots = [part.slots() for part in self._parts_of_groups()]
        of_group = [group is not None and "weight_decay" in group._hyper for group in groups]
        bounds = [description.clip_value is None, description.clip_norm is None]
        bounds += [description.clip_global_norm is None, description.skip_nonfinite]
        of_gradients: list[Any] = [bounds, description.clip_adaptive, description.accumulate]
        rho, adaptive = description._sharpness()
        of_gradients += [description.noise is None, rho != 0, adaptive]
        if self._bounds_in_program():
            of_gradients.append(bounds_of(description))
        return [id(group) for group in groups], description.no_decay, slots, of_group, of_gradients

    def _bounds_in_program(self) -> bool:
        """Whether recorded operations bound the gradients, since noise comes between that and the kernel."""
        return self.description.noise is not None

    def structure_changed(self) -> bool:
        """Whether the description changed so that the state has other slots (momentum on or off, say)."""
        if self.description._version == self._seen_version or self._signature is None:
            return False
        return self._structure() != self._signature[0]

    def prepare(self, trace: Trace, gradients: Mapping[str, _core.Value]) -> dict[str, _core.Value]:
        """Records what may refuse the update, and returns what the rule is to step along."""
        description = self.description
        steps = dict(gradients)
        in_program = self._bounds_in_program()
        if in_program:
            steps = bounded_by_norms(bounds_of(description), trace, gradients)
        if description.noise is not None:
            steps = with_noise(trace, steps, self.number(trace, "noise"))
        if description.skip_nonfinite:
            self.guard(trace, gradients)
        elif (description.clip_norm, description.clip_global_norm) != (None, None) and not in_program:
            self._measure(trace, gradients)
        return steps

    def record(self, trace: Trace, steps: Mapping[str, _core.Value]) -> None:
        """Records the rule, behind what may refuse it."""
        for part in self._parts:
            trace.graph.optimizer_step(part.core, [steps[name] for name in part.names])

    def _measure(self, trace: Trace, gradients: Mapping[str, _core.Value]) -> None:
        for part in self._parts:
            trace.graph.gradient_norm(part.core, [gradients[name] for name in part.names])

    def guard(self, trace: Trace, gradients: Mapping[str, _core.Value]) -> None:
        """Records that nothing changes in a run where one of these is NaN or infinite."""
        assert self._clipping is not None
        self._measure(trace, gradients)
        trace.graph.guard_gradients(self._clipping)

    def number(self, trace: Trace, name: str) -> Tensor:
        """A number that the program reads when it runs, as a scalar of float64."""
        return Tensor(trace.state(self._numbers[name]), trace)

    @property
    def phase(self) -> tuple[bool, bool]:
        """Whether the next call begins an accumulation of gradients, and whether it does an update."""
        return self.gathered == 0, self.gathered + 1 >= self.description.accumulate

    def gather(self, trace: Trace, gradients: Mapping[str, _core.Value]) -> dict[str, _core.Value]:
        """Records what accumulation does in the next call. Returns the gradients of an update."""
        begins, updates = self.phase
        if begins and updates:
            return dict(gradients)
        means: dict[str, _core.Value] = {}
        sums: dict[str, _core.Value] = {}
        for name, gradient in gradients.items():
            total = Tensor(gradient, trace)
            if not begins:
                total = Tensor(trace.state(self._sums[name]), trace) + total
            if updates:
                means[name] = (total / self.description.accumulate)._as_value(trace)
            else:
                sums[name] = total._as_value(trace)
        if sums and self.description.skip_nonfinite:
            self.guard(trace, sums)
        for name, total in sums.items():
            trace.assign(self._sums[name], total)
        return means

    def before_run(self) -> float:
        """Hands changed numbers to the engine. Raises before anything changes. Returns the learning rate."""
        version = self.description._version
        refreshed = version != self._seen_version
        if self._constant_lr is not None and not refreshed and not self.evaluating:
            return self._constant_lr
        if self.evaluating:
            raise RuntimeError("training inside of averaged(model) would train the averages: leave it first")
        if refreshed:
            for part in self._parts:
                part.refresh()
        lr = self.description.lr_at(self.steps)
        changes = [part.changed(self.steps, refreshed) for part in self._parts]
        for part, numbers in zip(self._parts, changes, strict=True):
            part.set(numbers)
        if refreshed:
            self._set_bounds()
        if self._follows or refreshed:
            average, slow = self.description.average, self.description._slow_weight(self.steps)
            self._follows = average is not None or slow is not None
            for part in self._parts:
                part.core.average_weight = 0.0 if average is None else average.weight(self.steps)
                part.core.slow_weight = slow or 0.0
        self._set_numbers()
        self._seen_version = version
        varies = self._follows or self._numbers or callable(self.description.lr)
        varies = varies or any(part.scheduled for part in self._parts)
        self._constant_lr = None if varies else lr
        return lr

    def _set_numbers(self) -> None:
        description = self.description
        values = {"noise": description._noise_std(self.steps), "rho": description._sharpness()[0]}
        for name, number in self._numbers.items():
            number.numpy()[...] = values[name]

    def after_run(self, lr: float, refused: bool) -> None:
        """Counts the call; where a guard refused its effects, as one that changed nothing."""
        if refused:
            self.skipped += 1
            return
        if not self.phase[1]:
            self.gathered += 1
            return
        self.gathered = 0
        self.steps += 1
        self.description.__dict__["_last_lr"] = lr  # no change of the description

    @property
    def gradient_norm(self) -> float | None:
        """The norm of all gradients in the newest update, where one is measured."""
        return None if self._clipping is None else self._clipping.global_norm

    def keeps_average(self) -> bool:
        """Whether there are averages of the weights."""
        own = any(slot in ("ax", "z") for part in self._parts_of_groups() for slot in part.slots())
        return self.steps > 0 and (own or self.description.average is not None)

    def averages(self, parameters: Mapping[str, Parameter]) -> dict[str, np.ndarray]:
        """Averages by name, in the dtypes of the model's parameters; of weights that no step moved none."""
        groups = assign_groups(self.description.groups, parameters)
        parts = self._parts_of_groups()
        result = {}
        for name, state in self._all_states().items():
            if name not in parameters or state.step == 0:
                continue
            part, data = parts[groups[name] + 1 if name in groups else 0], parameters[name].data
            result[name] = np.array(part.average(state.slots, data, self.steps - 1), data.dtype)
        return result

    def _parts_of_groups(self) -> list[_Part]:
        """For what depends on the groups alone: of parameters in none, then of each group."""
        parts = [_Part(self.description, group, decays=True) for group in (None, *self.description.groups)]
        for part in parts:
            part.refresh()
        return parts

    def _all_states(self) -> dict[str, _State]:
        states = dict(self._states)
        for part in self._parts:
            states |= part.states()
        return states

    def _expected(self) -> tuple[set[str], set[str], set[str]]:
        """The slots that all groups need, those that some do, and the names of the scalars."""
        needs = [set(part.slots()) for part in self._parts_of_groups()]
        scalars = set(_core.Optimizer(self.description.rule, [], {}).scalars)
        return set.intersection(*needs), set.union(*needs), scalars

    def _slot_shapes(self, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """The slots that a parameter of this shape can have."""
        following = {"average": shape, "slow": shape}
        return {**_core.optimizer_slots(self.description.rule, shape), **following}

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of the state: "steps", a parameter's "<name>.step", "<name>.<slot>", "<name>.<scalar>"."""
        result: dict[str, np.ndarray] = {"steps": np.asarray(self.steps, np.int64)}
        for name, state in self._all_states().items():
            result[f"{name}.step"] = np.asarray(state.step, np.int64)
            for slot, array in state.slots.items():
                result[f"{name}.{slot}"] = array
            for scalar, value in state.scalars.items():
                result[f"{name}.{scalar}"] = np.asarray(value, np.float64)
        if self.gathered:
            result["gathered"] = np.asarray(self.gathered, np.int64)
            result |= {f"{name}.gradient_sum": np.array(total.numpy()) for name, total in self._sums.items()}
        return result

    def load_state_dict(self, state_dict: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Takes what `state_dict` returned; `shapes` are the parameters'. Nothing changes on an error.

        The next `bind` puts the state in place.
        """
        problems: list[str] = []
        steps: dict[str, int] = {}
        slots: dict[str, dict[str, np.ndarray]] = {}
        sums: dict[str, _core.Array] = {}
        scalars: dict[str, dict[str, float]] = {}
        needed, allowed, known_scalars = self._expected()
        shapes_of = {name: self._slot_shapes(shape) for name, shape in shapes.items()}
        for key, value in state_dict.items():
            name, _, field = key.rpartition(".")
            array = plain_array(value, key)
            if key in ("steps", "gathered"):
                continue
            if name not in shapes:
                problems.append(f"unexpected key {key}")
            elif field == "step":
                steps[name] = _count(key, array, problems)
            elif field in known_scalars:
                if array.shape != () or not np.isfinite(array):
                    problems.append(f"{key}: expected a finite number, got {value!r}")
                else:
                    scalars.setdefault(name, {})[field] = float(array)
            elif array.shape != (expected := shapes_of[name].get(field, shapes[name])):
                problems.append(f"{key}: shape {array.shape}, expected {expected}")
            elif field == "gradient_sum":
                sums[name] = _core.Array(np.array(array))
            else:
                slots.setdefault(name, {})[field] = np.array(array)
        problems += [f"missing key {name}.step" for name in {**slots, **scalars} if name not in steps]
        for name, step in steps.items():
            found = set(slots.get(name, {}))
            own = set(shapes_of[name])
            if step > 0:
                missing = sorted((needed & own) - found) + sorted(known_scalars - set(scalars.get(name, {})))
                problems += [f"missing key {name}.{field}" for field in missing]
            problems += [f"unexpected key {name}.{slot}" for slot in sorted(found - (allowed & own))]
        if "steps" not in state_dict:
            problems.append("missing key steps")
        total = _count("steps", state_dict.get("steps", 0), problems)
        gathered = _count("gathered", state_dict.get("gathered", 0), problems)
        if not 0 <= gathered < self.description.accumulate:
            problems.append(f"gathered is {gathered}, with accumulate={self.description.accumulate}")
        if problems:
            raise ValueError("load_state_dict of an optimizer: " + "; ".join(problems))
        self.steps = total
        self._states = {
            name: _State(step, slots.get(name, {}), scalars.get(name, {})) for name, step in steps.items()
        }
        self._parts, self._signature = [], None
        self.gathered, self._sums = gathered, sums


def _count(key: str, value: Any, problems: list[str]) -> int:
    """A number of steps in a state_dict; 0 and one more problem for anything else."""
    array = plain_array(value, key)
    if array.shape != () or array.dtype.kind not in "iu" or not 0 <= int(array) < 2**63:
        problems.append(f"{key}: expected a number of steps, got {value!r}")
        return 0
    return int(array)
