"""A model that a training step trains: its optimizer, the optimizer's state, and what an update records."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from . import _core
from ._random import RandomStream
from .nn import Module
from .optim import Optimizer
from .optim._average import register
from .optim._bound import BoundOptimizer
from .record import Operand, Parameter, Trace

# Of a state_dict: those of each optimizer, and that of all.
_PARTS = ("optimizer", "schedule", "preconditioner", "hyper")
_SHARED = "random"


class Trained:
    """A model and its optimizer at work.

    Args:
        name: the model's, among several of a step; "" if there is but one.
        model: what is trained.
        optimizer: how.
        stream: of the random numbers of the step.
    """

    def __init__(self, name: str, model: Module, optimizer: Optimizer, stream: RandomStream) -> None:
        self.name = name
        self.model = model
        self.optimizer = optimizer
        self.bound = BoundOptimizer(optimizer, stream)
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
        weight: Operand,
    ) -> _core.PreparedUpdate:
        """Records all that may refuse the update; `weight` is the call's in an accumulation."""
        states = [parameter for _, parameter in parameters]
        value = weight._as_value(trace)
        return self.bound.prepare(trace, gradients, lambda values: gradients_at(states, values), value)

    def bind_gathered(self) -> None:
        """Makes those the trained parameters that take part in an accumulation."""
        self.bound.bind_gathered(dict(self.model.named_parameters()))

    def prepare_gathered(self, trace: Trace) -> _core.PreparedUpdate:
        """As `prepare`, for an update by what an accumulation has gathered so far."""
        return self.bound.prepare_gathered(trace)

    def update(self, trace: Trace, prepared: _core.PreparedUpdate) -> None:
        """Records the rule."""
        self.bound.update(trace, prepared)

    # --- files

    def exported(self, moved: Sequence[tuple[str, Parameter]]) -> tuple[Any, ...]:
        """What a file is to have of it, when these are the parameters that the step trains."""
        return self.name, *self.bound.exported(dict(moved), dict(self.model.named_parameters()))

    # --- state

    def _split(self, key: str) -> tuple[str, str]:
        """The part that a key of the step's state_dict is of, and the key here; "" if it is another's."""
        part, _, rest = key.partition(".")
        if part == _SHARED or (part in _PARTS and not self.name):
            return part, key
        own = part in _PARTS and rest.startswith(f"{self.name}.")
        return (part, f"{part}.{rest.removeprefix(f'{self.name}.')}") if own else ("", "")

    def state_dict(self) -> dict[str, np.ndarray]:
        """The optimizer's, with the model's name behind the part that a key begins with."""
        state = self.bound.state_dict()
        if not self.name:
            return state
        pairs = [(*key.partition(".")[::2], value) for key, value in state.items()]
        return {
            f"{part}.{rest}" if part == _SHARED else f"{part}.{self.name}.{rest}": value
            for part, rest, value in pairs
        }

    def owns(self, key: str) -> bool:
        """Whether a key of the step's state_dict belongs here."""
        return self._split(key)[0] != ""

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes the keys that are owned. Raises ValueError, and changes nothing, if they do not fit."""
        own = {self._split(key)[1]: value for key, value in state_dict.items() if self.owns(key)}
        self.bound.load_state_dict(own, dict(self.model.named_parameters()))


def watch_of(trained: Sequence[Trained]) -> _core.Watch:
    """Is the same as long as nothing was set in the optimizers, and in those inside them."""
    parts = [part for own in trained for part in own.optimizer._parts()]
    versions = [part.__dict__["_version"] for part in parts]
    return _core.Watch([weakref.ref(part) for part in parts], versions, [None] * len(parts))


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
