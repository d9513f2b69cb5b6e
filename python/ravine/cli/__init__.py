"""The command `ravine`."""

from ._main import main

__all__ = ["main"]
