"""A model that a training step trains: its optimizer, the optimizer's state, and what an update records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from . import _core
from .nn import Module
from .optim import Optimizer
from .optim._average import register
from .optim._bound import BoundOptimizer
from .record import Parameter, Trace

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
        register(model, self.bound)

    # --- recording an update

    def parameters(self, trace: Trace) -> list[tuple[str, Parameter]]:
        """Those that require a gradient and take part in what was recorded."""
        named = self.model.named_parameters()
        return [(name, p) for name, p in named if p.requires_grad and id(p.array) in trace.used]

    def bind(self, parameters: Sequence[tuple[str, Parameter]]) -> None:
        """Makes these the trained parameters."""
        self.bound.bind(parameters, dict(self.model.named_parameters()))

    def prepare(
        self,
        trace: Trace,
        parameters: Sequence[tuple[str, Parameter]],
        gradients: Sequence[_core.Value],
        gradients_at: Callable[[Sequence[Parameter], Sequence[_core.Value]], list[_core.Value]],
    ) -> _core.PreparedUpdate:
        """Records all that may refuse the update."""
        states = [parameter for _, parameter in parameters]
        return self.bound.prepare(trace, gradients, lambda values: gradients_at(states, values))

    def update(self, trace: Trace, prepared: _core.PreparedUpdate) -> None:
        """Records the rule."""
        self.bound.update(trace, prepared)

    # --- state

    def _prefixed(self, part: str) -> str:
        return f"{part}.{self.name}." if self.name else f"{part}."

    def state_dict(self) -> dict[str, np.ndarray]:
        """The optimizer's, its schedules' and its preconditioner's, each under a prefix."""
        return {
            self._prefixed(part) + key: value
            for part, state in self.bound.state_dict().items()
            for key, value in state.items()
        }

    def owns(self, key: str) -> bool:
        """Whether a key of the step's state_dict belongs here."""
        parts = _PARTS if self.bound.preconditioner is not None else _PARTS[:2]
        return any(key.startswith(self._prefixed(part)) for part in parts)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes the keys that are owned. Raises ValueError, and changes nothing, if they do not fit."""
        states: dict[str, dict[str, Any]] = {part: {} for part in _PARTS}
        for key, value in state_dict.items():
            part = key.partition(".")[0]
            states[part][key.removeprefix(self._prefixed(part))] = value
        self.bound.load_state_dict(states, dict(self.model.named_parameters()))


def named_models(given: Module | Mapping[Any, Any]) -> dict[str, Module]:
    """Models by name; a single one has the name ""."""
    if isinstance(given, Module):
        return {"": given}
    for name, model in given.items():
        if not isinstance(name, str) or not name or "." in name:
            raise ValueError(f"TrainStep: a model needs a name without dots, got {name!r}")
        if not isinstance(model, Module):
            raise TypeError(f"TrainStep: model {name!r} must be a Module, got {type(model).__name__}")
    return dict(given)


def checked_optimizers(optimizers: Any, models: Mapping[str, Module]) -> Any:
    """Optimizers for some of the models, in the models' order."""
    if not isinstance(optimizers, Mapping):
        raise TypeError(
            "TrainStep: with a dict of models, optimizer must be a dict of optimizers for those that are "
            f"trained, got {type(optimizers).__name__}"
        )
    unknown = [name for name in optimizers if name not in models]
    if unknown or not optimizers:
        raise ValueError(
            f"TrainStep: optimizers for {list(optimizers)}, expected some of the models {list(models)}"
        )
    return {name: optimizers[name] for name in models if name in optimizers}


def named_optimizers(given: Any) -> dict[str, Optimizer]:
    named = given if isinstance(given, dict) else {"": given}
    for optimizer in named.values():
        if not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"TrainStep: optimizer must be one of ravine.optim, got {type(optimizer).__name__}"
            )
    return named
