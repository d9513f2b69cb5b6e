"""Weights in files, in the safetensors format."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from . import _core
from ._step import TrainStep
from .nn import Module
from .record import as_array

_Path: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]
_State: TypeAlias = Module | TrainStep | Mapping[str, Any]


def save(path: _Path | _State, state: _State | _Path, metadata: Mapping[str, str] | None = None) -> None:
    """Writes arrays to a safetensors file; the file appears whole or not at all.

    The content is written to a temporary file in the same folder, flushed to the disk, and renamed. So a
    reader, a full disk, a crash or another saver of the same path meets the old file or the new one. A file
    that is replaced hands on its mode; a symbolic link stays and its target is replaced. A saver that is
    killed leaves its temporary file (".ravine-<16 digits>.tmp"), which the next save into the folder removes.

    Args:
        path: of the file, a text, bytes or a path object. PyTorch's order, `save(state, path)`, is understood
            as well.
        state: a model or a training step (their state_dict is written), or a dict of names and arrays.
        metadata: texts to keep in the file's header, which `load_metadata` reads.

    Raises:
        TypeError: for something else than a path and a state, names or metadata that are no texts, arrays
            that have none of Ravine's dtypes or a mask.
        ValueError: for a name that is empty, reserved ("__metadata__"), longer than 65,536 bytes, or has a
            null character; for more than 65,536 arrays or metadata texts; for a metadata text over 8 MiB;
            where a pipe, device or socket is in the file's place.
        OSError: where the system refuses (FileNotFoundError, PermissionError, IsADirectoryError, ...).

    Example:
        >>> import os, tempfile, ravine as rv
        >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
        >>> rv.save(path, rv.nn.Linear(2, 1))
        >>> list(rv.load(path))
        ['weight', 'bias']
    """
    if isinstance(path, Module | TrainStep | Mapping):
        path, state = state, path
    if not isinstance(state, Module | TrainStep | Mapping) or not isinstance(path, str | bytes | os.PathLike):
        raise TypeError(
            f"save: expected a path and a model, a training step or a dict of arrays, as in "
            f"rv.save('model.safetensors', model); got {type(path).__name__} and {type(state).__name__}"
        )
    arrays = state if isinstance(state, Mapping) else state.state_dict()
    ready = {}
    for name, value in arrays.items():
        _check_text(name, "a name")
        array = as_array(value, f"save: {name}")
        ready[name] = np.ascontiguousarray(array).reshape(array.shape)
    texts = dict(metadata or {})
    for key, text in texts.items():
        _check_text(key, "a name in metadata")
        _check_text(text, f"metadata[{key!r}]")
    _core.save_safetensors(os.fsencode(path), ready, texts)


def load(path: _Path) -> dict[str, np.ndarray]:
    """Reads the arrays of a safetensors file; half precision (F16, BF16) becomes float32, exactly.

    Nothing in a file is executed, and a file takes no more memory than its arrays and its header; a damaged
    one is refused before its arrays are read.

    Raises:
        ValueError: naming the file, for one that is truncated, damaged or something else, that has a tensor
            of another dtype (I8, I16, F8_E4M3, ...), more than 65,536 tensors, more than 8 dimensions, a
            name over 65,536 bytes, or a header over 100 MB (the format's own limit); for a pipe, device or
            socket, which is not waited for.
        OSError: where the system refuses (FileNotFoundError, PermissionError, IsADirectoryError, ...).

    Example:
        >>> import os, tempfile, ravine as rv
        >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
        >>> rv.save(path, {"w": [1.0, 2.0]})
        >>> rv.load(path)
        {'w': array([1., 2.], dtype=float32)}
    """
    return _core.load_safetensors(os.fsencode(path))


def load_metadata(path: _Path) -> dict[str, str]:
    """Reads the metadata of a safetensors file, without its arrays; {} where it has none.

    Raises:
        ValueError: as `load`, except for what is wrong inside the arrays; for more than 65,536 texts, or one
            over 8 MiB.
        OSError: where the system refuses.

    Example:
        >>> import os, tempfile, ravine as rv
        >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
        >>> rv.save(path, rv.nn.Linear(2, 1), metadata={"epoch": "3"})
        >>> rv.load_metadata(path)
        {'epoch': '3'}
    """
    return _core.safetensors_metadata(os.fsencode(path))


def _check_text(text: object, what: str) -> None:
    if not isinstance(text, str):
        raise TypeError(f"save: {what} must be a text, got {text!r}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"save: {what} has characters that UTF-8 does not have: {text!r}") from None
