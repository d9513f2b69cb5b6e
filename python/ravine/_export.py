"""Models and training steps leave Python: files with weights and graphs, which run without the classes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from . import _core
from ._loaded import LoadedModel, LoadedStep, Notes
from ._outline import Place, outline
from ._recorder import Exported
from ._step import TrainStep
from .nn import Module
from .record import Inputs, Recording, flatten_outputs, own_modes, record, split_inputs

__all__ = ["LoadedModel", "LoadedStep", "export", "load_model", "load_step"]

_Path: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]
_Batch: TypeAlias = "int | str | Sequence[int | None]"

# The sizes that a model is recorded for. What is the same function of the batch for all of them is taken to
# be so for every size; the large one meets limits that a program may have, and those below are tried one by
# one, as programs often treat one example, or none, apart.
_SIZES = (5, 11, 2, 3, 4099)
_SMALL = (1, 0)


def export(path: _Path, model: Any, *example_inputs: Any, batch: _Batch = 0) -> None:
    """Writes a model or a training step to a file that runs without Python's classes, for any batch size.

    The file holds the weights and the statistics, and the graph of what the model computes in evaluation
    mode. Of a training step it also has the graph of the loss in the present modes, the optimizer with its
    numbers, stages and schedules, and the whole state of the training. `rv.load_model` and `rv.load_step`
    read it, and so does a C++ program that links the library. On the same instruction set it has the bits of
    the original.

    The graph is recorded for several sizes of the batch; all numbers in it that differ between them (the
    extents of a reshape, a count to divide by) must be multiples of the batch plus a constant, and are kept
    as such. A model that does something else for another size is refused.

    Args:
        path: of the file, which appears whole or not at all.
        model: a module or a `TrainStep`; or a loaded model or step, which is written as it is now, without
            example inputs.
        example_inputs: what the model or the step is called with. Their numbers do not matter.
        batch: the axis of the inputs along which the examples stand; or a sequence with the axis of each
            array, None for one that is the same for every batch; or "fixed" for a graph that serves the
            shapes of the examples alone.

    Raises:
        TypeError: for something else than a model or a step, and results that are no arrays in tuples, lists
            and dicts.
        ValueError: for a graph that depends on the size of the batch by other ways, naming module and
            operation; for inputs that are batches of different sizes; for modules with hooks, and for
            schedules that are functions of Python.
        OSError: where the system refuses.

    Example:
        >>> import os, tempfile, numpy as np, ravine as rv
        >>> from ravine import nn
        >>> path = os.path.join(tempfile.mkdtemp(), "model.ravine")
        >>> model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 2))
        >>> rv.export(path, model, np.zeros((1, 8)))
        >>> x = np.ones((50, 8))
        >>> bool((rv.load_model(path)(x) == model.eval()(x)).all())
        True
    """
    where = os.fsencode(path)
    if isinstance(model, LoadedModel | LoadedStep):
        if example_inputs:
            raise TypeError("export: what was loaded is written as it is, without example inputs")
        model.save(where)
        return
    if not isinstance(model, Module | TrainStep):
        raise TypeError(
            f"export: a module, a TrainStep, or what was loaded is expected, got {type(model).__name__}"
        )
    if not example_inputs:
        raise TypeError("export: example inputs are expected behind the model, to record what it does")
    if isinstance(model, TrainStep):
        with model._lock:
            _exported_step(model, example_inputs, batch).save(where)
    else:
        with own_modes():  # as it is called: lazy modules take their shapes, and errors are of these shapes
            _recorded(model.eval(), split_inputs(example_inputs))
        states = _core.ModelStates(*states_of(model))
        _exported_model(model, example_inputs, batch, states).save(where)


def load_model(path: _Path) -> LoadedModel:
    """Reads a model that `export` wrote; of a training step the model that it trains.

    Nothing in a file is executed but the operations of the engine, which check their arguments as they do
    when a model is recorded.

    Raises:
        ValueError: naming the file, for one that is damaged or something else, has operations that this
            version does not know, or a graph that is inconsistent.
        OSError: where the system refuses (FileNotFoundError, PermissionError, ...).

    Example:
        >>> import os, tempfile, numpy as np, ravine as rv
        >>> path = os.path.join(tempfile.mkdtemp(), "model.ravine")
        >>> rv.export(path, rv.nn.Linear(3, 2), np.zeros((4, 3)))
        >>> rv.load_model(path)(np.zeros((5, 3))).shape
        (5, 2)
    """
    return _read(path, lambda where: LoadedModel(_core.LoadedModel.load(where)))


def load_step(path: _Path) -> LoadedStep:
    """Reads a training step that `export` wrote: it trains, and goes on where it was exported.

    Raises:
        ValueError: as `load_model`, and for a file that holds a model alone.
        OSError: where the system refuses.

    Example:
        >>> import os, tempfile, numpy as np, ravine as rv
        >>> from ravine import nn, optim
        >>> path = os.path.join(tempfile.mkdtemp(), "step.ravine")
        >>> step = rv.TrainStep(nn.Linear(3, 1), nn.MSELoss(), optim.SGD(lr=0.1))
        >>> rv.export(path, step, np.zeros((2, 3)), np.zeros((2, 1)))
        >>> loaded = rv.load_step(path)
        >>> loss = loaded(np.ones((5, 3)), np.ones((5, 1)))
        >>> loaded.steps, loaded.model(np.ones((1, 3))).shape
        (1, (1, 1))
    """

    def load(where: bytes) -> LoadedStep:
        core = _core.LoadedStep.load(where)
        return LoadedStep(core, LoadedModel(core.model) if core.has_model else None)

    return _read(path, load)


def _read(path: _Path, load: Callable[[bytes], Any]) -> Any:
    where = os.fsencode(path)
    try:
        return load(where)
    except ValueError as error:
        if os.fsdecode(where) in str(error):
            raise
        raise ValueError(f"'{os.fsdecode(where)}': {error}") from None


# ---- recording


class Sizes:
    """The example inputs as batches of other sizes.

    Args:
        inputs: the examples.
        batch: as `export` takes it.
    """

    def __init__(self, inputs: Inputs, batch: _Batch) -> None:
        self._inputs = inputs
        arrays = inputs.arrays
        self.fixed = isinstance(batch, str)
        if isinstance(batch, str):
            if batch != "fixed":
                raise ValueError(f"export: batch must be an axis, axes or 'fixed', got {batch!r}")
            axes: Sequence[int | None] = [None] * len(arrays)
        elif isinstance(batch, int):
            axes = [batch if array.ndim else None for array in arrays]
        else:
            axes = list(batch)
        if len(axes) != len(arrays):
            raise ValueError(f"export: batch has {len(axes)} axes for {len(arrays)} arrays")
        for i, (axis, array) in enumerate(zip(axes, arrays, strict=True)):
            if axis is not None and not -array.ndim <= axis < array.ndim:
                raise ValueError(f"export: input {i} of shape {array.shape} has no axis {axis}")
        self._axes = [
            None if axis is None else axis % array.ndim for axis, array in zip(axes, arrays, strict=True)
        ]
        found = {array.shape[axis] for axis, array in self._pairs()}
        if len(found) > 1:
            shapes = [array.shape for array in arrays]
            raise ValueError(
                f"export: the example inputs are batches of {sorted(found)} examples, shapes {shapes} along "
                f"the axes {self._axes}; give batch=(axis or None of each)"
            )
        if not self.fixed and not found:
            raise ValueError("export: no input has an axis of examples; export it with batch='fixed'")
        self.given = found.pop() if found else 0

    def _pairs(self) -> list[tuple[int, np.ndarray]]:
        pairs = zip(self._axes, self._inputs.arrays, strict=True)
        return [(axis, array) for axis, array in pairs if axis is not None]

    def at(self, size: int) -> Inputs:
        """The inputs of a batch of this size; their numbers are 0, as nobody looks at them."""
        arrays = []
        for axis, array in zip(self._axes, self._inputs.arrays, strict=True):
            shape = list(array.shape)
            if axis is not None:
                shape[axis] = size
            arrays.append(np.broadcast_to(np.zeros((), array.dtype), shape))
        return Inputs(arrays, None, self._inputs.rebuild)


Sample: TypeAlias = "tuple[int, _core.Graph, list[_core.Value], list[tuple[_core.Array, _core.Value]], Any]"


def samples_of(
    sample_at: Callable[[int], Sample],
    sizes: Sizes,
    fits: Callable[[list[Sample]], object],
    small: Sequence[int] = _SMALL,
) -> tuple[list[Sample], int | None]:
    """Recordings of which a graph for every batch can be made, and the smallest batch that it serves.

    `fits` raises ValueError where samples are of no one graph.
    """
    if sizes.fixed:
        return [sample_at(sizes.given)], None
    samples = [sample_at(size) for size in _SIZES]
    if sizes.given not in _SIZES + tuple(small):
        samples.append(sample_at(sizes.given))
    fits(samples)
    least = min(_SIZES)
    for size in small:
        try:
            more = [*samples, sample_at(size)]
            fits(more)
        except (ValueError, TypeError, RuntimeError):  # one example, or none, is something else for the model
            break
        samples, least = more, size
    return samples, least


def _recorded(model: Module, inputs: Inputs) -> Recording:
    return record(
        lambda arguments: model(*arguments),
        inputs,
        model._floating_dtype(),
        model._state_names(),
        stream=model._stream,
        roots=[model],
        frozen=True,
    )


def _nesting(inputs: Inputs, what: str) -> Any:
    return outline(inputs.rebuild([Place(i) for i in range(len(inputs.arrays))]), what)


def _exported_model(
    model: Module, example_inputs: tuple[Any, ...], batch: _Batch, states: _core.ModelStates
) -> _core.LoadedModel:
    """The model as a graph that shares its memory."""
    what = f"export: {type(model).__name__}"
    inputs = split_inputs(example_inputs)
    sizes = Sizes(inputs, batch)
    random = model._stream.get()
    outlines: list[Any] = []

    def sample_at(size: int) -> Sample:
        recording = _recorded(model, sizes.at(size))
        refuse_hooks(recording, what)
        tensors, rebuild = flatten_outputs(recording.result, what)
        trace = recording.trace
        outlines.append(outline(rebuild([Place(i) for i in range(len(tensors))]), what))
        if outlines[-1] != outlines[0]:
            raise ValueError(
                f"{what}: a batch of {size} has results nested as {outlines[-1]}, others as {outlines[0]}"
            )
        return (
            size,
            trace.graph,
            [tensor._as_value(trace) for tensor in tensors],
            trace.assigned(),
            trace.quotients,
        )

    def made(samples: list[Sample], least: int | None) -> _core.LoadedModel:
        notes = Notes(_nesting(inputs, what), outlines[0])
        return _core.LoadedModel(samples, states, least, random, notes.text())

    with own_modes():
        model.eval()
        return made(*samples_of(sample_at, sizes, lambda samples: made(samples, min(_SIZES))))


def _exported_step(step: TrainStep, example_inputs: tuple[Any, ...], batch: _Batch) -> _core.LoadedStep:
    """The step as a graph that shares its memory and its state."""
    what = "export: TrainStep"
    recorder = step._recorder
    call = recorder.call(example_inputs)
    recorder.exported(call)  # as it is called: lazy modules take their shapes, and errors are of these shapes
    sizes = Sizes(call.inputs, batch)
    pairs = [states_of(model, f"{name}." if name else "") for name, model in step._models.items()]
    states = _core.ModelStates(*_joined(pairs))
    random = step._stream.get()
    newest: list[Exported] = []

    def sample_at(size: int) -> Sample:
        exported = recorder.exported(call._replace(inputs=sizes.at(size)))
        refuse_hooks(exported.recording, what)
        newest[:] = [exported]
        trace = exported.recording.trace
        return size, trace.graph, exported.values, trace.assigned(), trace.quotients

    model: Any = None
    if step._loss is not None:
        x = example_inputs[0]
        inputs = x if isinstance(x, tuple) else (x,)
        of_inputs = batch if isinstance(batch, int | str) else batch[: len(split_inputs(inputs).arrays)]
        model = _exported_model(step.model, inputs, of_inputs, states)

    def made(samples: list[Sample], least: int | None) -> _core.LoadedStep:
        exported = newest[0]
        pairs = zip(step._trained, exported.moved, strict=True)
        trained = [own.exported(moved) for own, moved in pairs]
        notes = Notes(_nesting(call.inputs, what), outline((), what)).text()
        return _core.LoadedStep(
            samples, states, least, random, exported.part_names, exported.counted, trained, model, notes
        )

    return made(*samples_of(sample_at, sizes, lambda samples: made(samples, min(_SIZES)), small=(1,)))


_Pair: TypeAlias = "tuple[list[tuple[str, _core.Array]], list[tuple[str, int]]]"


def _joined(pairs: Sequence[_Pair]) -> _Pair:
    """The arrays and keys of several models; what two of them share comes once."""
    arrays: list[tuple[str, _core.Array]] = []
    keys: list[tuple[str, int]] = []
    numbers: dict[int, int] = {}
    for own, own_keys in pairs:
        for name, array in own:
            if id(array) not in numbers:
                numbers[id(array)] = len(arrays)
                arrays.append((name, array))
        keys += [(key, numbers[id(own[number][1])]) for key, number in own_keys]
    return arrays, keys


def refuse_hooks(recording: Recording, what: str) -> None:
    """Raises ValueError where Python's functions are to see what a recorded module does."""
    if recording.trace.calls:
        path = recording.trace.calls[0].path
        raise ValueError(f"{what}: the module {path!r} has hooks, which no file can hold; remove them first")


def states_of(model: Module, prefix: str = "") -> _Pair:
    """The arrays of a model by the names of their tensors, and the numbers of those in its state_dict."""
    named = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    numbers: dict[int, int] = {}
    arrays: list[tuple[str, _core.Array]] = []
    for name, state in named:
        if id(state.array) not in numbers:
            numbers[id(state.array)] = len(arrays)
            arrays.append((f"model.{prefix}{name}", state.array))
    of_names = {name: numbers[id(state.array)] for name, state in named}
    return arrays, [(f"{prefix}{name}", of_names[name]) for name in model.state_dict()]
