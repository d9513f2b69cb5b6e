"""Models and training steps that were exported: they run without the classes and functions that made them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import _core
from ._outline import Place, filled, is_flat, outline
from .record import split_inputs

__all__ = ["LoadedModel", "LoadedStep", "Notes"]


class Notes(NamedTuple):
    """What a file tells Python: how arguments and results are nested."""

    arguments: Any
    result: Any

    def text(self) -> str:
        return json.dumps(self._asdict(), separators=(",", ":"))

    @classmethod
    def read(cls, text: str, n_inputs: int, n_outputs: int) -> Notes:
        """Raises ValueError for a text that `text` did not make. A file of C++ has none: tuples of arrays."""
        if not text:
            flat = {"tuple": list(range(n_inputs))}
            return cls(flat, 0 if n_outputs == 1 else {"tuple": list(range(n_outputs))})
        try:
            found = json.loads(text)
            notes = cls(found["arguments"], found["result"])
            filled(notes.arguments, range(n_inputs))
            filled(notes.result, range(n_outputs))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"'ravine.notes' does not fit the graph: {error}") from None
        return notes


class Arguments:
    """Takes the arrays out of a call that must be nested as the examples were."""

    def __init__(self, nesting: Any, what: str) -> None:
        self._nesting, self._flat, self._what = nesting, is_flat(nesting), what

    def arrays(self, arguments: tuple[Any, ...]) -> Sequence[np.ndarray]:
        """Raises TypeError for another nesting."""
        if self._flat and all(type(x) is np.ndarray for x in arguments):
            return arguments
        inputs = split_inputs(arguments)
        given = outline(inputs.rebuild([Place(i) for i in range(len(inputs.arrays))]), self._what)
        if given != self._nesting:
            raise TypeError(
                f"{self._what}: the arguments are nested as {given}, it was exported for {self._nesting}"
            )
        return inputs.arrays


class LoadedModel:
    """A model of a file: callable on arrays, in evaluation mode, for ever.

    It needs no class and no code of the model. Threads may call it at once: each has a workspace of its own.
    `rv.load_model` makes it.

    Example:
        >>> import os, tempfile, numpy as np, ravine as rv
        >>> path = os.path.join(tempfile.mkdtemp(), "model.ravine")
        >>> rv.export(path, rv.nn.Linear(3, 2), np.zeros((4, 3)))
        >>> model = rv.load_model(path)
        >>> model
        LoadedModel(input0: float32 (B, 3))
        >>> model(np.zeros((7, 3))).shape, list(model.state_dict())
        ((7, 2), ['weight', 'bias'])
    """

    def __init__(self, core: _core.LoadedModel) -> None:
        self._core = core
        self._notes = Notes.read(core.notes, len(core.inputs), core.n_outputs)
        self._arguments = Arguments(self._notes.arguments, "LoadedModel")

    def __call__(self, *arguments: Any) -> Any:
        """The results for a batch of any size that the file serves.

        Args:
            arguments: nested as the example inputs were at the export; floating arrays of other dtypes are
                converted.

        Raises:
            ValueError: for shapes that do not fit, and inputs that are batches of different sizes.
            TypeError: for another nesting, and dtypes that do not convert.
        """
        return self._result(self._core.predict(self._arguments.arrays(arguments)))

    def _result(self, arrays: Sequence[np.ndarray]) -> Any:
        return filled(self._notes.result, arrays)

    def predict(self, *arguments: Any, batch_size: int | None = None) -> Any:
        """The same as a call; with `batch_size` in pieces of so many examples, which are put together.

        Args:
            arguments: as in a call.
            batch_size: at least 1; the examples must stand along the first axis of all inputs and results.

        Raises:
            ValueError: for another batch size, and what a call raises.
        """
        if batch_size is None:
            return self(*arguments)
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"predict: batch_size must be an integer of 1 or more, got {batch_size!r}")
        arrays = self._arguments.arrays(arguments)
        n = arrays[0].shape[0] if arrays and arrays[0].ndim else 0
        if not self._core.by_examples:
            raise ValueError(
                "predict: with batch_size the examples must stand along the first axis of all inputs and "
                f"results: {', '.join(f'{name}: {kind}' for name, kind in self._core.inputs)}"
            )
        starts = range(0, max(n, 1), batch_size)
        pieces = [self._core.predict([a[start : start + batch_size] for a in arrays]) for start in starts]
        return self._result([np.concatenate(parts) for parts in zip(*pieces, strict=True)])

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of the parameters and buffers, under the names that they had in the exported model."""
        return {name: np.array(array) for name, array in self._core.state_dict().items()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes what `state_dict` returned, of this or of the exported model.

        Raises ValueError listing missing, unexpected and misshaped names; nothing is changed then.
        """
        self._core.load_state_dict({name: np.asarray(array) for name, array in state_dict.items()})

    def save(self, path: bytes) -> None:
        """Writes the model to a file again; `rv.export(path, model)` is the public name."""
        self._core.save(path)

    def __repr__(self) -> str:
        return f"LoadedModel({', '.join(f'{name}: {kind}' for name, kind in self._core.inputs)})"


class LoadedHyper(Mapping[str, Any]):
    """The numbers of a loaded step: `step.hyper["lr"] = 0.01` holds from the next call on.

    Numbers of a group stand behind its name, "head.lr"; one that follows a schedule is None, until it is set.
    """

    __slots__ = ("_core", "_trained")

    def __init__(self, core: _core.LoadedStep, trained: int) -> None:
        self._core, self._trained = core, trained

    def _numbers(self) -> dict[str, float | None]:
        return dict(self._core.hyper(self._trained))

    def __getitem__(self, name: str) -> float | None:
        return self._numbers()[name]

    def __setitem__(self, name: str, value: float) -> None:
        self._core.set_hyper(name, float(value), self._trained)

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers())

    def __len__(self) -> int:
        return len(self._numbers())

    def __repr__(self) -> str:
        return f"LoadedHyper({self._numbers()!r})"


class LoadedStep:
    """A training step of a file: `loss = step(x, y)`, with the bits of the step that was exported.

    It needs no class, loss or optimizer of Python. `rv.load_step` makes it.

    Example:
        >>> import os, tempfile, numpy as np, ravine as rv
        >>> from ravine import nn, optim
        >>> path = os.path.join(tempfile.mkdtemp(), "step.ravine")
        >>> step = rv.TrainStep(nn.Linear(3, 1), nn.MSELoss(), optim.Adam(lr=0.1))
        >>> x, y = np.eye(3), np.ones((3, 1))
        >>> losses = [step(x, y) for _ in range(3)]
        >>> rv.export(path, step, x, y)
        >>> loaded = rv.load_step(path)
        >>> loaded(x, y) == step(x, y), loaded.steps
        (True, 4)
    """

    def __init__(self, core: _core.LoadedStep, model: LoadedModel | None) -> None:
        self._core = core
        self._model = model
        notes = Notes.read(core.notes, len(core.inputs), 0)
        self._arguments = Arguments(notes.arguments, "LoadedStep")

    def __call__(self, *batch: Any) -> float:
        """Trains on one batch and returns its loss, as it was before the update.

        Args:
            batch: nested as the example inputs were at the export.

        Raises:
            ValueError, TypeError: for what does not fit; nothing has changed then.
        """
        return self._core.step(self._arguments.arrays(batch))

    def finish_accumulation(self) -> bool:
        """Makes the update of an accumulation that waits for more calls; whether there was one."""
        return self._core.finish_accumulation()

    def report(self, metric: float) -> None:
        """Tells schedules that follow a metric, such as `ReduceOnPlateau`, its newest value."""
        self._core.report(float(metric))

    @property
    def model(self) -> LoadedModel:
        """The model that is trained, in evaluation mode.

        Raises RuntimeError for a step over a function, which does not tell how its model predicts.
        """
        if self._model is None:
            raise RuntimeError(
                "a step over a function has no graph of inference: export the model to a file of its own"
            )
        return self._model

    @property
    def parts(self) -> dict[str, float]:
        """The named parts of the newest call's loss."""
        return dict(self._core.loss_parts)

    @property
    def steps(self) -> int:
        """Number of updates done; with several optimizers, those of the first."""
        return self._core.steps

    @property
    def skipped(self) -> int:
        """Number of calls that changed nothing, because the loss (or a gradient) was NaN or infinite."""
        return self._core.skipped

    @property
    def hyper(self) -> Any:
        """The optimizer's numbers by name; with several optimizers a dict of them by model."""
        names = self._core.trained
        of_each = {name: LoadedHyper(self._core, i) for i, name in enumerate(names)}
        return of_each[""] if names == [""] else of_each

    def state_dict(self) -> dict[str, np.ndarray]:
        """As `TrainStep.state_dict`, whose keys it has: the original step can go on with it."""
        return {name: np.array(array) for name, array in self._core.state_dict().items()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Goes on where `state_dict` was taken, of this or of the exported step.

        Raises ValueError with what does not fit; nothing is changed then.
        """
        self._core.load_state_dict({name: np.asarray(array) for name, array in state_dict.items()})

    def save(self, path: bytes) -> None:
        """Writes the step to a file again; `rv.export(path, step)` is the public name."""
        self._core.save(path)

    def __repr__(self) -> str:
        return f"LoadedStep({', '.join(f'{name}: {kind}' for name, kind in self._core.inputs)})"
