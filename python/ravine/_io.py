"""Weights in files, in the safetensors format."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from . import _core, _trace
from ._step import TrainStep
from .nn import Module


def save(
    path: str | os.PathLike[str],
    state: Module | TrainStep | Mapping[str, Any],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Writes arrays to a safetensors file; the file appears whole or not at all.

    Args:
        path: of the file; one of that name is replaced.
        state: a model or a training step (their state_dict is written), or a dict of names and arrays.
        metadata: texts to keep in the file's header.

    Example:
        >>> import os, tempfile, ravine as rv
        >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
        >>> rv.save(path, rv.nn.Linear(2, 1))
        >>> list(rv.load(path))
        ['weight', 'bias']
    """
    arrays = state.state_dict() if isinstance(state, Module | TrainStep) else state
    ready = {}
    for name, value in arrays.items():
        array = _trace.as_array(value, f"save: {name}")
        ready[name] = np.ascontiguousarray(array).reshape(array.shape)
    _core.save_safetensors(os.fspath(path), ready, dict(metadata or {}))


def load(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads the arrays of a safetensors file.

    Raises FileNotFoundError, and ValueError for a file that is truncated or something else.

    Example:
        >>> import os, tempfile, ravine as rv
        >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
        >>> rv.save(path, {"w": [1.0, 2.0]})
        >>> rv.load(path)
        {'w': array([1., 2.], dtype=float32)}
    """
    return _core.load_safetensors(os.fspath(path))
