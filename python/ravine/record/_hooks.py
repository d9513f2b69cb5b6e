"""Hooks of modules: functions that see the values of a module's calls after each run of a program."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import _core
from ._convert import FLOATING
from ._places import gradients
from ._tensor import Operand, Tensor, apply

if TYPE_CHECKING:
    from ._trace import Trace

_numbers = itertools.count(1)


class Hook:
    """A function that is told of a module's calls.

    Args:
        function: of (module, inputs, outputs), and of the module's path where it is to be told.
        backward: whether it sees gradients instead of values.
        with_path: whether it is told the path.
    """

    __slots__ = ("backward", "function", "number", "with_path")

    def __init__(self, function: Callable[..., Any], backward: bool, with_path: bool) -> None:
        self.function, self.backward, self.with_path = function, backward, with_path
        self.number = next(_numbers)  # programs depend on it

    def __call__(self, module: Any, path: str, first: Any, second: Any) -> None:
        result = self.function(module, first, second, *([path] if self.with_path else ()))
        if result is not None:
            kind = "full_backward" if self.backward else "forward"
            raise TypeError(
                f"register_{kind}_hook: a hook looks at values and returns None, got "
                f"{type(result).__name__}; change them in the module's forward"
            )


class HookedCall:
    """One call of a module with hooks in a recording."""

    def __init__(self, module: Any, path: str, hooks: Sequence[Hook], inputs: tuple[Any, ...]) -> None:
        # A module keeps its programs, and those what they tell hooks: so neither the module nor tensors.
        self._module, self.path = weakref.ref(module), path
        self._hooks = hooks
        # The gradient by a copy is that by way of this module alone.
        self.inputs = tuple([_copy(x) for x in inputs]) if self.backward else inputs
        self.outputs: Any = None
        self.gradients: list[_core.Value] | None = None

    @property
    def backward(self) -> bool:
        """Whether a hook wants gradients."""
        return any(hook.backward for hook in self._hooks)

    def returned(self, outputs: Any) -> Any:
        """Takes what the module returned; what its caller gets."""
        if self.backward and isinstance(outputs, Tensor):
            outputs = _copy(outputs)
        self.outputs = outputs
        return outputs

    def tensors(self) -> list[Tensor]:
        """By which gradients are wanted: of inputs, then of outputs."""
        return [x for x in (*self.inputs, *_sequence(self.outputs)) if _floating(x)] if self.backward else []

    def recorded(self, trace: Trace) -> Any:
        """What a program is to return for this call: values, and gradients as far as there are some.

        The call then forgets its tensors.
        """
        values = (
            (_known(self.inputs), _known(self.outputs)) if not all(h.backward for h in self._hooks) else None
        )
        gradients = None
        if self.gradients is not None:
            slopes = iter([Tensor(value, trace) for value in self.gradients])
            parts = (self.inputs, _sequence(self.outputs))
            gradients = tuple(
                [tuple([next(slopes) if _floating(x) else None for x in part]) for part in parts]
            )
        self.inputs, self.outputs, self.gradients = (), None, None
        return values, gradients

    def tell(self, found: Any, backward: bool) -> None:
        """Calls the hooks that look forward, or those that look backward, with the arrays of a run."""
        seen, module = found[1] if backward else found[0], self._module()
        for hook in self._hooks:
            if hook.backward == backward and seen is not None and module is not None:
                hook(module, self.path, *seen)


class _Delivery(NamedTuple):
    """Hooks' values behind the result of a recording."""

    result: Any
    found: list[Any]


def with_calls(trace: Trace, result: Any) -> Any:
    """The result of a recording, with what the hooks of its modules are to see."""
    if not trace.calls:
        return result
    return _Delivery(result, [call.recorded(trace) for call in trace.calls])


def deliver(calls: Sequence[HookedCall], result: Any) -> Any:
    """Tells the hooks, forward in the order of calls, then backward in reverse; the result without them."""
    if not calls:
        return result
    pairs = list(zip(calls, result.found, strict=True))
    for call, found in pairs:
        call.tell(found, backward=False)
    for call, found in reversed(pairs):
        call.tell(found, backward=True)
    return result.result


def gradients_for_hooks_too(trace: Trace, output: _core.Value, wrt: list[_core.Value]) -> list[_core.Value]:
    """The gradients of a scalar; those that hooks are to see are kept for them."""
    wanted = [tensor._as_value(trace) for call in trace.calls for tensor in call.tensors()]
    found = gradients(trace, output, [*wanted, *wrt])
    rest = iter(found)
    for call in trace.calls:
        if call.backward:
            call.gradients = [next(rest) for _ in call.tensors()]
    return list(rest)


def _copy(x: Any) -> Any:
    return apply("identity", x) if isinstance(x, Tensor) else x


def _floating(x: Any) -> bool:
    return isinstance(x, Tensor) and x.dtype in FLOATING


def _sequence(outputs: Any) -> tuple[Any, ...]:
    return tuple(outputs) if isinstance(outputs, tuple | list) else (outputs,)


def _known(x: Any) -> Any:
    """Nested values without what is neither a tensor nor a number; such places are None."""
    if isinstance(x, tuple | list):
        return tuple([_known(item) for item in x])
    if isinstance(x, dict):
        return {key: _known(item) for key, item in x.items()}
    return x if isinstance(x, Operand | bool | int | float | str) else None
