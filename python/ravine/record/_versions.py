"""Versions: numbers that are new with every change, so that "nothing changed" is one comparison."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._signature import Reader


_numbers = itertools.count(1)  # whose step is atomic: threads never share a number


def new_version() -> int:
    """A number that nothing else has had. It is to be stored after the change that it stands for."""
    return next(_numbers)


class Versioned:
    """What programs depend on. Its `__dict__` holds `_version`, and `training`, its mode."""

    def _static_key(self, reader: Reader) -> dict[str, Hashable]:
        """All that programs depend on but the mode, by name."""
        raise NotImplementedError

    def _with_parts(self) -> Iterable[tuple[str, Versioned]]:
        """Itself and what is registered below it, with paths."""
        return [("", self)]

    def _static_items(self) -> Iterable[tuple[str, Any]]:
        """Attributes that may hold functions and objects, with their names."""
        return ()
