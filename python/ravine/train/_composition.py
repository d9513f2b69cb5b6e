"""The state of several parts as one: gathered under prefixes, and restored all or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

__all__ = ["HasState", "gathered", "restored"]


class HasState(Protocol):
    """A part of a run."""

    def state_dict(self) -> Mapping[str, Any]: ...

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> object: ...


def gathered(parts: Mapping[str, HasState]) -> dict[str, np.ndarray]:
    """Copies of all entries, under "<part>.<key>"."""
    return {f"{part}.{key}": np.array(value) for part, key, value in _entries(parts)}


def _entries(parts: Mapping[str, HasState]) -> Iterator[tuple[str, str, Any]]:
    for name, part in parts.items():
        for key, value in part.state_dict().items():
            yield name, key, value


@contextmanager
def restored(
    parts: Mapping[str, HasState],
    states: Mapping[str, Mapping[str, Any]],
    path: str,
    check: Callable[[], object],
) -> Iterator[None]:
    """Loads the state of each part; if that fails, or what is done in the context, all are as before.

    Raises ValueError that names the path, of the file with the states, for states that do not fit a part, or
    each other, as `check` tells.
    """
    before = {name: {key: np.array(v) for key, v in parts[name].state_dict().items()} for name in states}
    touched: list[str] = []
    try:
        for name, state in states.items():
            touched.append(name)
            with _naming(path):
                parts[name].load_state_dict(state)
        with _naming(path):
            check()
        yield
    except BaseException:
        for name in touched:
            parts[name].load_state_dict(before[name])
        raise


@contextmanager
def _naming(path: str) -> Iterator[None]:
    """Names the file in errors about its content."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
