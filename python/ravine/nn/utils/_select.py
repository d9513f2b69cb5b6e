"""Parameters of a module by patterns of their names."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from typing import Any

from ...record import Parameter
from .._module import Module


def selected(what: str, module: Any, select: str | Sequence[str]) -> list[tuple[str, Parameter]]:
    """Names and parameters that match one of the patterns.

    Raises TypeError where `module` is no Module, ValueError for a pattern that no parameter matches.
    """
    if not isinstance(module, Module):
        raise TypeError(f"{what}: a Module is expected, got {type(module).__name__}")
    patterns = [select] if isinstance(select, str) else list(select)
    named = list(module.named_parameters())
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(name, pattern) for name, _ in named):
            names = ", ".join(name for name, _ in named) or "none"
            raise ValueError(
                f"{what}: no parameter of {type(module).__name__} is {pattern!r}; it has {names}"
            )
    return [(name, p) for name, p in named if any(fnmatch.fnmatchcase(name, each) for each in patterns)]
