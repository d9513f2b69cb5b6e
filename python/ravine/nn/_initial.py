"""How layers fill their parameters: by the initialisers they were given, else by their defaults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import init
from ..record import Parameter, add_place
from ._module import Module


class InitialisedModule(Module):
    """A layer whose weight and bias can be filled by initialisers of the user's, see `init.get`.

    `weight_init` and `bias_init` are what the layer was given; without, `reset_parameters` uses its default.
    """

    weight_init: init.Initializer | None = None
    bias_init: init.Initializer | None = None

    def _keep_initialisers(self, **given: init.Initializer | None) -> None:
        """Sets the attributes of those that are not None, which the class has."""
        for name, initialiser in given.items():
            if initialiser is not None:
                setattr(self, name, initialiser)

    def _initialise(self, name: str, default: Callable[[Parameter], Any]) -> None:
        """Fills the parameter of this name, if the layer has it."""
        parameter = getattr(self, name)
        if parameter is None:
            return
        given = getattr(self, f"{name}_init")
        try:
            (default if given is None else init.get(given))(parameter)
        except (TypeError, ValueError) as error:
            add_place(error, f"{type(self).__name__}: {name}_init")
            raise
