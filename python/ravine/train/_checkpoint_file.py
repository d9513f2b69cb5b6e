"""Checkpoints as files: one safetensors file with the state of every part of a run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import _core, _io

__all__ = ["model_state", "read_checkpoint", "write_checkpoint"]

_FORMAT, _VERSION = "ravine.checkpoint", 1
# What every checkpoint has; a part without any state has no entry.
PARTS = ("model", "step", "loop", "source", "history", "run", "callbacks")


def write_checkpoint(
    path: str | os.PathLike[str], state: Mapping[str, np.ndarray], settings: Mapping[str, Any]
) -> None:
    """Writes the entries "<part>.<key>", whole or not at all, with the settings as JSON in the metadata."""
    metadata = {
        "format": _FORMAT,
        "version": str(_VERSION),
        "ravine": _core.__version__,
        "settings": json.dumps(settings),
    }
    _io.save(path, state, metadata)


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, dict[str, np.ndarray]]:
    """The entries of each part.

    Raises ValueError, naming the file, for one that is damaged, no checkpoint, or of a newer format, and
    OSError where the system refuses.
    """
    metadata = _io.load_metadata(path)
    if metadata.get("format") != _FORMAT:
        raise ValueError(
            f"{os.fspath(path)}: not a checkpoint of a training; rv.load reads weights saved alone"
        )
    version = metadata.get("version", "")
    if version != str(_VERSION):
        raise ValueError(
            f"{os.fspath(path)}: a checkpoint of format {version!r}, by ravine {metadata.get('ravine')}; "
            f"this is ravine {_core.__version__}, which reads format {_VERSION}"
        )
    states: dict[str, dict[str, np.ndarray]] = {part: {} for part in PARTS}
    for name, array in _io.load(path).items():
        part, _, key = name.partition(".")
        if part not in states:
            raise ValueError(f"{os.fspath(path)}: a checkpoint with an unknown entry {name!r}")
        states[part][key] = array
    return states


def model_state(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The model's state in a checkpoint: `model.load_state_dict(rv.train.model_state(path))`.

    Raises:
        ValueError: for a file that is no checkpoint, or a damaged one.
        OSError: where the system refuses.

    Example:
        >>> import os, tempfile, numpy as np, ravine as rv
        >>> from ravine import nn, optim
        >>> trainer = rv.Trainer(nn.Linear(2, 1), nn.MSELoss(), optim.Adam())
        >>> _ = trainer.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
        >>> path = os.path.join(tempfile.mkdtemp(), "checkpoint.safetensors")
        >>> trainer.save(path)
        >>> sorted(rv.train.model_state(path))
        ['bias', 'weight']
    """
    return read_checkpoint(path)["model"]
