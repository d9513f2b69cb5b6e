"""Hooks: functions that look at what modules are given, return, and what the loss says about it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from .._numbers import flag
from ..record import Hook, Versioned, new_version


class RemovableHandle:
    """Removes a hook: by `remove()`, or at the end of a `with` block.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> model, seen = nn.Linear(2, 1), []
        >>> with model.register_forward_hook(lambda module, inputs, output: seen.append(output.shape)):
        ...     _ = model(np.zeros((3, 2)))
        >>> _ = model(np.zeros((4, 2)))
        >>> seen
        [(3, 1)]
    """

    def __init__(self, module: Hooked, hook: Hook) -> None:
        self._module, self._hook = weakref.ref(module), hook

    def remove(self) -> None:
        """Removes the hook; again does nothing."""
        module = self._module()
        if module is not None:
            module._set_hooks([hook for hook in module._hooks if hook is not self._hook])

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class Hooked(Versioned):
    """The part of a module that tells hooks of its calls.

    Hooks see NumPy arrays after each run of a compiled program, and of an eager one alike. Adding and
    removing one compiles once; modules without hooks cost nothing. Copies of a module have none.
    """

    _hooks: tuple[Hook, ...] = ()

    def register_forward_hook(self, hook: Callable[..., None], *, with_path: bool = False) -> RemovableHandle:
        """Calls `hook(module, inputs, output)` after each run in which this module was called.

        Args:
            hook: it gets the module, the tuple of its positional inputs and its output as arrays, and returns
                None: it looks, and changes nothing. It must not call what runs the program.
            with_path: whether it gets the module's path in the model as fourth argument.

        In a training step it is called after the update, with the values from before it. What it raises comes
        out of the call, and the update has taken place.

        Raises TypeError for what is no function.

        Example:
            >>> import numpy as np
            >>> from ravine import nn
            >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
            >>> def show(module, inputs, output, path):
            ...     print(path, type(module).__name__, output.shape)
            >>> handles = [part.register_forward_hook(show, with_path=True) for part in model]
            >>> _ = model(np.zeros((5, 2)))
            0 Linear (5, 3)
            1 ReLU (5, 3)
        """
        return self._add_hook("register_forward_hook", hook, False, with_path)

    def register_full_backward_hook(
        self, hook: Callable[..., None], *, with_path: bool = False
    ) -> RemovableHandle:
        """Calls `hook(module, grad_input, grad_output)` after each run that differentiates by way of this.

        These are runs of `TrainStep` and `value_and_grad`. The gradients of the loss by the module's floating
        inputs (as far as they act by way of this module) and outputs are tuples of arrays, None for others.
        Hooks are called from the last module to the first.

        Args and Raises as of `register_forward_hook`.

        Example:
            >>> import numpy as np, ravine as rv
            >>> from ravine import nn
            >>> model, seen = nn.Linear(2, 1, weight_init=1.0), []
            >>> _ = model.register_full_backward_hook(lambda module, inputs, outputs: seen.append(inputs[0]))
            >>> step = rv.TrainStep(model, lambda output, y: (output * y).sum(), rv.optim.SGD(lr=0.1))
            >>> _ = step(np.ones((1, 2)), np.array([[3.0]]))
            >>> seen
            [array([[3., 3.]], dtype=float32)]
        """
        return self._add_hook("register_full_backward_hook", hook, True, with_path)

    def _add_hook(self, what: str, hook: Any, backward: bool, with_path: bool) -> RemovableHandle:
        if not callable(hook):
            raise TypeError(f"{what}: a function is expected, got {type(hook).__name__}")
        own = Hook(hook, backward, flag(what, "with_path", with_path))
        self._set_hooks([*self._hooks, own])
        return RemovableHandle(self, own)

    def _set_hooks(self, hooks: list[Hook]) -> None:
        fields = self.__dict__
        if hooks:
            fields["_hooks"] = tuple(hooks)
        else:
            fields.pop("_hooks", None)
        fields["_version"] = new_version()
