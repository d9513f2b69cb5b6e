"""Update: an optimizer applied to gradients from anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import _core
from .._random import RandomStream
from ..nn import Module
from ..record import Parameter, Trace, plain_array, recording_into
from ._average import register
from ._bound import BoundOptimizer
from ._hyper import Hyper
from ._optimizer import Optimizer


class Update:
    """An optimizer that is applied to gradients from anywhere: `update(gradients)`.

    For training loops that are no `TrainStep`: gradients of several losses, of other models, per example,
    from other processes, changed by hand. The update is one compiled call.

    Args:
        optimizer: the update rule, such as `optim.chain(optim.clip_by_global_norm(1.0), optim.Adam())`.
        model: the module whose parameters are updated.

    Raises ValueError for an optimizer that takes gradients at two places itself (`SAM`, `LBFGS`).

    Example:
        >>> import numpy as np, ravine as rv
        >>> from ravine import nn, optim
        >>> rv.seed(0)
        >>> model = nn.Linear(3, 1)
        >>> update = optim.Update(optim.Adam(lr=0.1), model)
        >>> gradients = rv.value_and_grad(lambda m, x, y: ((m(x) - y) ** 2).mean(), model)
        >>> x = np.eye(3); y = np.array([[1.0], [2.0], [3.0]])
        >>> for _ in range(200):
        ...     loss, slopes = gradients(x, y)
        ...     update(slopes)
        >>> float(loss) < 1e-3, update.steps
        (True, 200)
    """

    def __init__(self, optimizer: Optimizer, model: Module) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"Update: optimizer must be one of ravine.optim, got {type(optimizer).__name__}: "
                f"Update(optimizer, model)"
            )
        if not isinstance(model, Module):
            raise TypeError(f"Update: model must be a Module, got {type(model).__name__}")
        self._model = model
        self._optimizer = optimizer
        self._stream = RandomStream()  # which is drawn now: threads that update at once draw in a known order
        self._bound = BoundOptimizer(optimizer, self._stream)
        if self._bound.state.looks_elsewhere:
            raise ValueError(
                f"Update: {type(optimizer).__name__} takes gradients at two places itself: use rv.TrainStep"
            )
        register(model, self._bound)
        self._programs: dict[tuple[bool, bool], _core.Program] = {}  # by phase of an accumulation
        self._generation = self._bound.generation
        self._trained: list[tuple[str, int, Any]] | None = None
        self._lock = _core.Lock("Update")

    def __call__(self, gradients: Mapping[str, Any]) -> None:
        """Updates the parameters that have a gradient; others, and their state, are left as they are.

        Args:
            gradients: {a parameter's name: its gradient, an array of the parameter's shape}, as
                `rv.value_and_grad` returns them.

        Raises ValueError for names that the model does not have and for other shapes, and TypeError for
        gradients that are no real numbers; nothing has changed then.
        """
        with self._lock:
            known = dict(self._model.named_parameters())
            arrays = self._checked(gradients, known)
            self._refresh()
            parameters = [(name, known[name]) for name in known if name in arrays]
            trained = [(name, id(p.array), p.constraint) for name, p in parameters]
            if trained != self._trained:
                self._trained = None
                self._programs.clear()
                self._bound.bind(parameters, known)
                self._drop_stale()
                self._trained = trained
            phase = self._bound.state.phase
            if phase not in self._programs:
                self._programs[phase] = self._compile(parameters)
            self._stream.get()  # begun again, if the process was seeded since
            self._bound.before_run()
            self._programs[phase].run([arrays[name] for name, _ in parameters])

    def _checked(self, gradients: Mapping[str, Any], known: Mapping[str, Parameter]) -> dict[str, np.ndarray]:
        if not isinstance(gradients, Mapping):
            raise TypeError(
                f"Update: gradients must be a dict of arrays by name, got {type(gradients).__name__}"
            )
        if not gradients:
            raise ValueError("Update: there are no gradients")
        unknown = [name for name in gradients if name not in known]
        if unknown:
            names, kind = ", ".join(map(repr, unknown)), type(self._model).__name__
            raise ValueError(f"Update: {kind} has no parameter {names}; it has {', '.join(known)}")
        arrays = {}
        for name, gradient in gradients.items():
            array, parameter = plain_array(gradient, name), known[name]
            if array.dtype.kind not in "fiu":
                raise TypeError(f"Update: the gradient of {name} has dtype {array.dtype}")
            if array.shape != parameter.shape:
                raise ValueError(
                    f"Update: the gradient of {name} has shape {array.shape}, the parameter {parameter.shape}"
                )
            arrays[name] = array.astype(parameter.dtype, copy=False)
        return arrays

    def _compile(self, parameters: list[tuple[str, Parameter]]) -> _core.Program:
        trace = Trace()
        values = [trace.graph.input(p.shape, p.dtype, f"gradient of {name}") for name, p in parameters]
        trace.graph.begin_update()
        with recording_into(trace):
            self._bound.update(trace, self._bound.prepare(trace, values))
        return _core.Program(trace.graph, [], self._stream.get() if trace.draws else None)

    def _refresh(self) -> None:
        self._bound.refresh()
        self._drop_stale()

    def _drop_stale(self) -> None:
        """Drops programs that were recorded for other parameters or stages."""
        generation = self._bound.generation
        if generation != self._generation:
            self._trained = None
            self._programs.clear()
            self._generation = generation

    @property
    def model(self) -> Module:
        """The module whose parameters are updated."""
        return self._model

    @property
    def optimizer(self) -> Optimizer:
        """The update rule; its hyperparameters may be changed between updates."""
        return self._optimizer

    @property
    def hyper(self) -> Hyper:
        """The numbers of the optimizer: `update.hyper["lr"] = 0.01` holds from the next update on."""
        return Hyper(self._bound, self._lock, self._refresh)

    @property
    def steps(self) -> int:
        """Number of updates done."""
        return self._bound.state.steps

    @property
    def skipped(self) -> int:
        """Number of calls that changed nothing because a gradient was NaN or infinite (`skip_nonfinite`)."""
        return self._bound.state.skipped

    @property
    def gradient_norm(self) -> float | None:
        """The norm of all gradients in the newest update, before clipping by norm; None if not measured."""
        return self._bound.state.gradient_norm

    def programs(self) -> list[_core.Program]:
        """The programs compiled so far; `program.describe()` shows one as a table."""
        return list(self._programs.values())

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of the optimizer's state, the step and the random state, with the keys of `TrainStep`."""
        with self._lock:
            return self._bound.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continues where `state_dict` was taken, here or in a `TrainStep` of the same model and optimizer.

        Raises ValueError naming missing, unexpected and misshaped keys; nothing is changed then.
        """
        with self._lock:
            self._bound.load_state_dict(state_dict, dict(self._model.named_parameters()))
            self._drop_stale()

    def __reduce__(self) -> Any:
        """Copies and pickles are updates of copied models, in the same state."""
        return type(self), (self._bound.given, self._model), (self.state_dict(), self._bound.unsaved())

    def __setstate__(self, state: tuple[dict[str, np.ndarray], dict[str, Any]]) -> None:
        state_dict, unsaved = state
        self._bound.change(unsaved)
        self.load_state_dict(state_dict)
