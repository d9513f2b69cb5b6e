"""Module: the base of every layer and model."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from .._from_torch import check_device
from .._random import RandomStream
from ..record import (
    FLOATING,
    Compiled,
    HookedCall,
    Inputs,
    ProgramCache,
    Reader,
    Tensor,
    Trace,
    add_place,
    compile_recording,
    copies_of,
    eager_mode,
    eager_result,
    mode_of,
    new_version,
    place_of,
    record,
    split_inputs,
    target_dtype,
    thread,
)
from ._parts import Parts
from ._state_dict import IncompatibleKeys, load, named_state
from ._tree import BELOW, below_first, post_order, tree_text, walk

if TYPE_CHECKING:
    from .._profile import Profile

M = TypeVar("M", bound="Module")


def _with_device(init: Callable[..., None]) -> Callable[..., None]:
    """`init` that also takes `device`, as PyTorch's layers do: None or the CPU."""

    @functools.wraps(init)
    def wrapped(self: Module, *args: Any, device: Any = None, **kwargs: Any) -> None:
        check_device(type(self).__name__, device)
        init(self, *args, **kwargs)

    return wrapped


class Module(Parts):
    """Base class of layers and models.

    A subclass makes its parts in `__init__`, after `super().__init__()`, and says in `forward` how they
    compute. Parameters, buffers and modules assigned to attributes are registered under the attribute's name;
    names of nested parts are joined by dots ("layer1.0.weight").

    Called on arrays, a module runs as a compiled program: `forward` is recorded once for each combination of
    input shapes, dtypes, mode and attribute values, and the program kept. Python control flow in `forward`
    therefore runs when it is recorded, not in every call. Called in another module's `forward`, it becomes
    part of that recording. Floating arrays take the model's dtype; integers, uint8 and bool stay.

    Example:
        >>> import numpy as np, ravine as rv
        >>> from ravine import nn
        >>> class Net(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.hidden = nn.Linear(4, 8)
        ...         self.head = nn.Linear(8, 2)
        ...
        ...     def forward(self, x):
        ...         return self.head(rv.ops.relu(self.hidden(x)))
        >>> net = Net()
        >>> net(np.zeros((5, 4))).shape
        (5, 2)
        >>> list(net.state_dict())
        ['hidden.weight', 'hidden.bias', 'head.weight', 'head.bias']
    """

    # Attributes that are bookkeeping, not what a program depends on.
    _INTERNAL: ClassVar[frozenset[str]] = frozenset(
        ("_parameters", "_buffers", "_modules", "_programs", "_stream", "_version", "_hooks")
    )

    def __init__(self) -> None:
        fields = self.__dict__
        fields["_parameters"] = {}
        fields["_buffers"] = {}
        fields["_modules"] = {}
        fields["training"] = True
        fields["_floating"] = "float32"  # dtype of floating inputs where there is no floating state to tell
        self._init_bookkeeping()

    def _init_bookkeeping(self) -> None:
        fields = self.__dict__
        fields["_programs"] = ProgramCache(type(self).__name__)
        fields["_stream"] = RandomStream()
        fields["_version"] = new_version()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith(f"{__package__}.") and "__init__" in cls.__dict__:
            cls.__init__ = _with_device(cls.__init__)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes, on tensors. Every subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not kwargs and (result := self._programs.run(args)) is not NotImplemented:
            return result
        trace = thread.trace
        if trace is not None:
            with trace.within(self):
                first = trace.graph.n_nodes if trace.check_nan else 0
                try:
                    if self._hooks and trace.tells:
                        result = self._call_with_hooks(trace, args, kwargs)
                    else:
                        result = self.forward(*args, **kwargs)
                except Exception as error:
                    add_place(error, place_of(trace.modules))
                    raise
                finally:
                    if trace.check_nan:
                        trace.spans.append((first, trace.graph.n_nodes, place_of(trace.modules)))
            if trace.observer is not None:
                trace.observer(self, result)
            return result
        return self._call_on_arrays(args, kwargs)

    def _call_with_hooks(self, trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        call = HookedCall(self, trace.path, self._hooks, args)
        result = call.returned(self.forward(*call.inputs, **kwargs))
        trace.calls.append(call)
        return result

    def _call_on_arrays(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        inputs = split_inputs((args, kwargs), levels=2) if kwargs else split_inputs(args)
        what = f"{type(self).__name__}.forward"

        def call(arguments: Any) -> Any:
            positional, named = arguments if kwargs else (arguments, {})
            return self(*positional, **named)

        if eager_mode():
            recording = record(
                call,
                inputs,
                self._floating_dtype(),
                self._state_names(),
                stream=self._stream,
                eager=True,
                parameters=self.named_parameters(),
            )
            return eager_result(recording, what)

        compiled = self._program_for(inputs, call)
        if not kwargs and thread.modes is None and all(x is None or type(x) is np.ndarray for x in args):
            self._programs.remember(args, compiled)
        return compiled.run(inputs.arrays)

    def _program_for(self, inputs: Inputs, call: Callable[[Any], Any]) -> Compiled:
        def build() -> Compiled:
            recording = record(
                call,
                inputs,
                self._floating_dtype(),
                self._state_names(),
                stream=self._stream,
                roots=[self],
            )
            return compile_recording(
                recording, f"{type(self).__name__}.forward", self._stream, keep_derived=True
            )

        return self._programs.get(inputs, build)

    def profile(self, *args: Any, runs: int = 20) -> Profile:
        """Where the time of a call goes, kernel call by kernel call, module by module.

        The compiled program runs `runs` times as usual and, in turns, as often with a barrier and a look at
        the clock around each kernel call. Statistics of a model in training are as before then.

        Args:
            args: what the model is called with.
            runs: how often; the medians count.

        Raises ValueError for runs below 1, and what a call raises.

        Example:
            >>> import numpy as np, ravine as rv
            >>> from ravine import nn
            >>> model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2)).eval()
            >>> profile = model.profile(np.zeros((4, 8)), runs=3)
            >>> [(call.kernel, call.module) for call in profile.calls]
            [('gemm + add, relu', '0'), ('gemm + add', '2')]
        """
        from .._profile import profile_of  # late: few ask for it, all import the package

        inputs = split_inputs(args)
        compiled = self._program_for(inputs, lambda arguments: self(*arguments))
        return profile_of(compiled, inputs, type(self).__name__, runs)

    # --- what programs depend on

    def _static_key(self, reader: Reader) -> dict[str, Hashable]:
        key: dict[str, Hashable] = {"its class": type(self)}
        if self._hooks:
            key["its hooks"] = tuple([hook.number for hook in self._hooks])
        for name, state in itertools.chain(self._parameters.items(), self._buffers.items()):
            key[name] = reader.key(state)
        for name, module in self._modules.items():
            key[name] = reader.key(module)
        for name, value in self._static_items():
            key[name] = reader.key(value)
        return key

    def _static_items(self) -> Iterator[tuple[str, Any]]:
        for name, value in self.__dict__.items():
            if name not in self._INTERNAL and name != "training" and not isinstance(value, Tensor):
                yield name, value

    def _with_parts(self) -> Iterator[tuple[str, Module]]:
        return walk(self, "", True)

    def _floating_dtype(self) -> str:
        for state in itertools.chain(self.parameters(), self.buffers()):
            if state.dtype in FLOATING:
                return state.dtype
        return self._floating

    def _state_names(self) -> dict[int, str]:
        states = itertools.chain(self.named_parameters(), self.named_buffers())
        return {id(state.array): name for name, state in states}

    # --- modes

    @property
    def training(self) -> bool:
        """Whether the module is in training mode: dropout drops, BatchNorm uses the batch."""
        return mode_of(self)

    @training.setter
    def training(self, mode: bool) -> None:
        modes = thread.modes
        if modes is None:
            self.__dict__["training"] = mode
        else:  # of this thread alone
            modes[id(self)] = mode

    def train(self: M, mode: bool = True) -> M:
        """Sets this module and all below it to training (dropout drops, BatchNorm uses the batch) or not."""
        if not isinstance(mode, bool):
            raise TypeError(f"train: a bool is expected, got {mode!r}")
        modes, fields, plain = thread.modes, self.__dict__, _TRAIN
        own = mode and "_frozen" not in fields  # by nn.freeze
        if modes is None:
            fields["training"] = own
        else:
            modes[id(self)] = own
        todo = [fields["_modules"]]
        for parts in todo:  # quickly, as this stands around every prediction of a service
            for child in parts.values():
                if child is None:
                    continue
                if type(child).train is not plain:  # it decides for itself, to stay frozen, say
                    child.train(mode)
                    continue
                fields = child.__dict__
                own = mode and "_frozen" not in fields
                if modes is None:
                    fields["training"] = own
                else:
                    modes[id(child)] = own
                if fields["_modules"]:
                    todo.append(fields["_modules"])
        return self

    def eval(self: M) -> M:
        """`train(False)`."""
        return self.train(False)

    def requires_grad_(self: M, requires_grad: bool = True) -> M:
        """Freezes (False) or thaws all parameters."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def apply(self: M, fn: Callable[[Module], Any]) -> M:
        """Calls `fn` on every module below and then on this one, to initialise weights, say."""
        for module in post_order(self, remove_duplicate=False):
            fn(module)
        return self

    def to(self: M, *target: Any, dtype: Any = None, device: Any = None) -> M:
        """Converts all floating parameters and buffers to float32 or float64. Optimizer state follows.

        Args:
            target: a dtype, "cpu" (which changes nothing), both, or a tensor whose dtype is taken.
            dtype, device: the same by name.

        Raises ValueError for another device, TypeError for another dtype and for two of them.
        """
        name = target_dtype(target, dtype, device)
        if name is None:
            return self
        if name not in FLOATING:
            raise TypeError(f"to: float32 or float64 is expected, got {name}")
        for module in self.modules():
            module._floating = name
        for state in itertools.chain(self.parameters(), self.buffers()):
            if state.dtype in FLOATING:
                state.to_dtype(name)
        return self

    def float(self: M) -> M:
        """`to("float32")`."""
        return self.to("float32")

    def double(self: M) -> M:
        """`to("float64")`."""
        return self.to("float64")

    # --- state

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and persistent buffers under their full names; torch's keys and shapes.

        Beside a thread that trains the model, all of it is of one step, for which that waits one copy.
        """
        named = dict(named_state(self))
        return dict(zip(named, copies_of(list(named.values())), strict=True))

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Takes parameters and buffers from what `state_dict` returned. On an error nothing is changed.

        A tied weight needs one of its names only; where it has several, their values must agree. BatchNorm's
        `num_batches_tracked`, which old checkpoints of PyTorch lack, may be missing and stays as it is.

        Args:
            state_dict: full names and arrays (anything NumPy can read, and torch's tensors, of half
                precision and those that require gradients too).
            strict: whether missing, unexpected and misshaped names are errors. With False they are left out,
                and returned.

        Returns:
            The names that do not fit: `missing, unexpected = model.load_state_dict(...)` as in PyTorch, and
            the attribute `misshaped_keys`.

        Raises:
            ValueError: listing missing, unexpected and misshaped names; and, strict or not, for names of one
                tied weight with different values, and for values that the model's dtype cannot hold.
            TypeError: for something else than a dict, and for masked arrays.
        """
        return load(self, state_dict, strict)

    def __getstate__(self) -> dict[str, Any]:
        kept = ("_parameters", "_buffers", "_modules")
        state = {k: v for k, v in self.__dict__.items() if k in kept or k not in self._INTERNAL}
        return below_first(self, state)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({name: value for name, value in state.items() if name != BELOW})
        self._init_bookkeeping()
        for own in itertools.chain(self._parameters.values(), self._buffers.values()):
            if own is not None:
                own._join(self)

    # --- text

    def extra_repr(self) -> str:
        """The arguments shown in the module's line."""
        return ""

    def __repr__(self) -> str:
        return tree_text(self, Module.__repr__)

    def summary(self, input_shape: Sequence[int], dtype: str | None = None) -> str:
        """A table of the layers with output shape and number of parameters.

        Args:
            input_shape: of one sample, without the batch.
            dtype: of the input; the model's floating dtype by default (int64 for a model that starts with an
                Embedding).

        Example:
            >>> from ravine import nn
            >>> print(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).summary((4,)))
            Layer        Output shape  Parameters
            0  (Linear)  [N, 8]                40
            1  (ReLU)    [N, 8]                 0
            2  (Linear)  [N, 2]                18
            58 parameters, 58 trainable, 232 bytes
        """
        from ._summary import summary  # late: few ask for it, all import the package

        return summary(self, tuple(input_shape), dtype)

    def programs(self) -> list[Any]:
        """The programs compiled for this module so far; `program.describe()` shows one as a table."""
        return self._programs.programs()


_TRAIN = Module.train
