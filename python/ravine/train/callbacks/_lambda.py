"""Callbacks of plain functions."""

from __future__ import annotations

from collections.abc import Callable

from ._callback import Callback, check_event_names

__all__ = ["Lambda"]


class Lambda(Callback):
    """A callback of functions, given by the names of `Callback`'s methods, without `self`.

    Raises TypeError for another name, and for what is no function.

    Example:
        >>> import numpy as np, ravine as rv
        >>> from ravine import nn, optim
        >>> shout = rv.train.Lambda(on_epoch_end=lambda trainer, epoch, logs: print("epoch", epoch))
        >>> trainer = rv.Trainer(nn.Linear(1, 1), nn.MSELoss(), optim.Adam())
        >>> _ = trainer.fit(np.ones((4, 1)), np.ones((4, 1)), callbacks=[shout], verbose=0)
        epoch 0
    """

    def __new__(cls, **functions: Callable[..., object]) -> Lambda:
        check_event_names("Lambda", [*functions])
        for name, function in functions.items():
            if not callable(function):
                raise TypeError(f"Lambda: {name} is a {type(function).__name__}, expected a function")
        # The functions are methods of a class of their own, as those of any callback.
        methods = {name: staticmethod(function) for name, function in functions.items()}
        return object.__new__(type("Lambda", (cls,), methods))

    def __init__(self, **functions: Callable[..., object]) -> None:
        super().__init__()
