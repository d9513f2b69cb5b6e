"""An optimizer bound to parameters: the engine's optimizers and their state under the parameters' names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import _core
from .._parameter import Parameter
from ._optimizer import Optimizer


class _Group(NamedTuple):
    """Parameters that have done the same number of steps; bias corrections depend on it."""

    optimizer: _core.Optimizer
    names: list[str]


class _State(NamedTuple):
    """What one parameter has of the optimizer's state."""

    step: int
    slots: dict[str, np.ndarray]


class BoundOptimizer:
    """State of an optimizer for named parameters; parameters may leave (freeze) and come back."""

    def __init__(self, description: Optimizer) -> None:
        self.description = description
        self.steps = 0  # done by the training step; what a learning rate schedule counts
        self._states: dict[str, _State] = {}  # of parameters that no group holds at present
        self._groups: list[_Group] = []
        self._signature: Any = None
        self._hyper: dict[str, float] = {}
        self._seen_version = -1
        self._lr: float | None = None

    def bind(self, parameters: Sequence[tuple[str, Parameter]]) -> bool:
        """Makes these the trained parameters. True where that changes anything: older programs must go."""
        hyper = self.description.hyper()
        structure = tuple(name for name, value in hyper.items() if value)  # decides which slots there are
        signature = (structure, [(name, id(parameter.array)) for name, parameter in parameters])
        if signature == self._signature:
            return False
        states = self._all_states()
        by_step: dict[int, list[tuple[str, Parameter]]] = {}
        for name, parameter in parameters:
            step = states[name].step if name in states else 0
            by_step.setdefault(step, []).append((name, parameter))
        lr = self.description.lr_at(self.steps)
        groups = []
        for step, members in by_step.items():
            arrays = [parameter.array for _, parameter in members]
            optimizer = _core.Optimizer(self.description.rule, arrays, {**hyper, "lr": lr})
            optimizer.step = step
            for slot, slot_arrays in optimizer.slots.items():
                for (name, _), array in zip(members, slot_arrays, strict=True):
                    kept = states[name].slots.get(slot) if name in states else None
                    if kept is not None and kept.shape == array.shape:
                        array.numpy()[...] = kept
            groups.append(_Group(optimizer, [name for name, _ in members]))
        bound = {name for name, _ in parameters}
        self._states = {name: state for name, state in states.items() if name not in bound}
        self._groups, self._signature = groups, signature
        self._hyper, self._seen_version, self._lr = hyper, self.description._version, lr
        return True

    def structure_changed(self) -> bool:
        """Whether the description changed so that the state has other slots (momentum on or off, say)."""
        if self.description._version == self._seen_version or self._signature is None:
            return False
        return tuple(name for name, value in self.description.hyper().items() if value) != self._signature[0]

    def record(self, graph: _core.Graph, gradients: Mapping[str, _core.Value]) -> None:
        """Records the update as an effect of the graph."""
        for group in self._groups:
            graph.optimizer_step(group.optimizer, [gradients[name] for name in group.names])

    def before_run(self) -> float:
        """Hands changed hyperparameters and learning rate to the engine. Raises before anything changes."""
        lr = self.description.lr_at(self.steps)
        if self.description._version != self._seen_version:
            for name, value in self.description.hyper().items():
                if value != self._hyper[name]:
                    for group in self._groups:
                        group.optimizer.set(name, value)
            self._hyper, self._seen_version = self.description.hyper(), self.description._version
        if lr != self._lr:
            for group in self._groups:
                group.optimizer.set("lr", lr)
            self._lr = lr
        return lr

    def after_run(self, lr: float) -> None:
        self.steps += 1
        self.description.__dict__["_last_lr"] = lr  # no change of the description

    def _all_states(self) -> dict[str, _State]:
        states = dict(self._states)
        for group in self._groups:
            slots = group.optimizer.slots
            for i, name in enumerate(group.names):
                arrays = {slot: np.array(arrays[i].numpy(), order="C") for slot, arrays in slots.items()}
                states[name] = _State(group.optimizer.step, arrays)
        return states

    def _slot_names(self) -> set[str]:
        hyper = {**self.description.hyper(), "lr": 0.0}
        return set(
            _core.Optimizer(self.description.rule, [_core.Array(np.zeros(1, np.float32))], hyper).slots
        )

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all state: "steps", and for each parameter "<name>.step" and "<name>.<slot>"."""
        result = {"steps": np.asarray(self.steps, np.int64)}
        for name, state in self._all_states().items():
            result[f"{name}.step"] = np.asarray(state.step, np.int64)
            for slot, array in state.slots.items():
                result[f"{name}.{slot}"] = array
        return result

    def load_state_dict(self, state_dict: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Takes what `state_dict` returned; `shapes` are the parameters'. Nothing changes on an error.

        The next `bind` puts the state in place.
        """
        problems: list[str] = []
        steps: dict[str, int] = {}
        slots: dict[str, dict[str, np.ndarray]] = {}
        for key, value in state_dict.items():
            name, _, field = key.rpartition(".")
            array = np.asarray(value)
            if key == "steps":
                continue
            if name not in shapes:
                problems.append(f"unexpected key {key}")
            elif field == "step":
                steps[name] = int(array)
            elif array.shape != shapes[name]:
                problems.append(f"{key}: shape {array.shape}, the parameter has {shapes[name]}")
            else:
                slots.setdefault(name, {})[field] = np.array(array)
        problems += [f"missing key {name}.step" for name in slots if name not in steps]
        expected = self._slot_names()
        for name, step in steps.items():
            found = set(slots.get(name, {}))
            problems += [f"missing key {name}.{slot}" for slot in sorted(expected - found) if step > 0]
            problems += [f"unexpected key {name}.{slot}" for slot in sorted(found - expected)]
        if "steps" not in state_dict:
            problems.append("missing key steps")
        if problems:
            raise ValueError("load_state_dict of an optimizer: " + "; ".join(problems))
        self.steps = int(np.asarray(state_dict["steps"]))
        self._states = {name: _State(step, slots.get(name, {})) for name, step in steps.items()}
        self._groups, self._signature = [], None
