"""A model that a training step trains: its optimizer, the optimizer's state, and what an update records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from . import _core
from ._parameter import Parameter
from ._trace import Trace
from .nn import Module
from .optim import Optimizer
from .optim._average import register
from .optim._bound import BoundOptimizer
from .optim._gradients import bounded_by_weights, sharpest
from .optim.schedules._schedule import load_schedule_states, schedule_states

_PARTS = ("optimizer", "schedule", "preconditioner")  # of a state_dict, that belong to the optimizer


class Trained:
    """A model and its optimizer at work.

    Args:
        name: the model's, among several of a step; "" if there is but one.
        model: what is trained.
        optimizer: how.
    """

    def __init__(self, name: str, model: Module, optimizer: Optimizer) -> None:
        self.name = name
        self.model = model
        self.optimizer = optimizer
        self.bound = BoundOptimizer(optimizer)
        self._preconditioner = optimizer._preconditioner()
        register(model, self.bound)

    # --- recording an update

    def parameters(self, trace: Trace) -> list[tuple[str, Parameter]]:
        """Those that require a gradient and take part in what was recorded."""
        named = self.model.named_parameters()
        return [(name, p) for name, p in named if p.requires_grad and id(p.array) in trace.used]

    def bind(self, parameters: Sequence[tuple[str, Parameter]]) -> bool:
        """Makes these the trained parameters. True if that changes anything: older programs must go."""
        changed = self.bound.bind(parameters, dict(self.model.named_parameters()))
        if self._preconditioner is not None:
            changed = self._preconditioner.bind(parameters) or changed
        return changed

    def direct(
        self,
        trace: Trace,
        parameters: Sequence[tuple[str, Parameter]],
        gradients: dict[str, _core.Value],
        gradients_at: Callable[[Sequence[Parameter], Sequence[_core.Value]], list[_core.Value]],
    ) -> dict[str, _core.Value]:
        """What an optimizer makes of the gradients that looks at the loss at other parameters, too."""
        states = [parameter for _, parameter in parameters]
        rho, adaptive = self.optimizer._sharpness()
        if rho != 0:
            look = self.bound.number(trace, "rho")
            values = sharpest(trace, dict(parameters), gradients, look, adaptive)
            gradients = dict(zip(gradients, gradients_at(states, values), strict=True))
        if self._preconditioner is not None:
            if trace.draws:
                kind = type(self.optimizer).__name__
                raise ValueError(
                    f"TrainStep: {kind} compares two gradients of a mini-batch; a loss that draws random "
                    "numbers has no two that agree: turn dropout off"
                )
            gradients = self._preconditioner.direct(
                trace, gradients, lambda values: gradients_at(states, values)
            )
        return gradients

    def prepare(
        self,
        trace: Trace,
        parameters: Sequence[tuple[str, Parameter]],
        gradients: dict[str, _core.Value],
    ) -> dict[str, _core.Value]:
        """Records all that may refuse the update. Returns what the rule steps along; {}: no update now."""
        gathered = self.bound.gather(trace, gradients)
        if not self.bound.phase[1]:
            return {}
        bounded = bounded_by_weights(self.optimizer, trace, dict(parameters), gathered)
        return self.bound.prepare(trace, bounded)

    def update(self, trace: Trace, steps: Mapping[str, _core.Value]) -> None:
        """Records the rule."""
        if steps:
            self.bound.record(trace, steps)

    # --- state

    def _prefixed(self, part: str) -> str:
        return f"{part}.{self.name}." if self.name else f"{part}."

    def state_dict(self) -> dict[str, np.ndarray]:
        """The optimizer's, its schedules' and its preconditioner's, each under a prefix."""
        states = {"optimizer": self.bound.state_dict(), "schedule": schedule_states(self.optimizer)}
        if self._preconditioner is not None:
            states["preconditioner"] = self._preconditioner.state_dict()
        return {
            self._prefixed(part) + key: value
            for part, state in states.items()
            for key, value in state.items()
        }

    def owns(self, key: str) -> bool:
        """Whether a key of the step's state_dict belongs here."""
        parts = _PARTS if self._preconditioner is not None else _PARTS[:2]
        return any(key.startswith(self._prefixed(part)) for part in parts)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes the keys that are owned. Raises ValueError, and changes nothing, if they do not fit."""
        states: dict[str, dict[str, Any]] = {part: {} for part in _PARTS}
        for key, value in state_dict.items():
            part = key.partition(".")[0]
            states[part][key.removeprefix(self._prefixed(part))] = value
        shapes = {name: parameter.shape for name, parameter in self.model.named_parameters()}
        preconditioner = self._preconditioner
        memory = preconditioner and preconditioner.check_state(states["preconditioner"], shapes)
        before = schedule_states(self.optimizer)
        load_schedule_states(self.optimizer, states["schedule"])
        try:
            self.bound.load_state_dict(states["optimizer"], shapes)
        except ValueError:
            load_schedule_states(self.optimizer, before)
            raise
        if preconditioner is not None and memory is not None:
            preconditioner.load_state(memory)
