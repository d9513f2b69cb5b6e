"""Writing a module's state into a dict and taking it from one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..record import State, plain_array

if TYPE_CHECKING:
    from ._module import Module

# BatchNorm's counter, which checkpoints of PyTorch before 0.4.1 lack.
_OPTIONAL = "num_batches_tracked"


class _Keys(NamedTuple):
    missing_keys: list[str]
    unexpected_keys: list[str]


class IncompatibleKeys(_Keys):
    """What `load_state_dict` left out: as in PyTorch a tuple of two lists, missing_keys and unexpected_keys.

    Attributes:
        missing_keys: names of the module that the dict does not have.
        unexpected_keys: names in the dict that the module does not have.
        misshaped_keys: names of both with different shapes; with `strict=False` they are left as they were.
    """

    misshaped_keys: list[str]

    def __new__(cls, missing: list[str], unexpected: list[str], misshaped: list[str]) -> IncompatibleKeys:
        keys = super().__new__(cls, missing, unexpected)
        keys.misshaped_keys = misshaped
        return keys

    def __reduce__(self) -> Any:
        return IncompatibleKeys, (*self, self.misshaped_keys)

    def __repr__(self) -> str:
        return (
            f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys}, "
            f"misshaped_keys={self.misshaped_keys})"
        )


def named_state(root: Module) -> Iterator[tuple[str, State]]:
    """Parameters and persistent buffers under all their names, in torch's order."""
    for path, module in root.named_modules(remove_duplicate=False):
        dot = f"{path}." if path else ""
        for name, parameter in module._parameters.items():
            if parameter is not None:
                yield dot + name, parameter
        for name, buffer in module._buffers.items():
            if buffer is not None and buffer.persistent:
                yield dot + name, buffer


def load(root: Module, state_dict: Mapping[str, Any], strict: bool) -> IncompatibleKeys:
    """See `Module.load_state_dict`."""
    what = f"load_state_dict for {type(root).__name__}"
    if not isinstance(state_dict, Mapping):
        is_path = isinstance(state_dict, str | bytes | os.PathLike)
        hint = "; rv.load(path) reads one from a file" if is_path else ""
        raise TypeError(
            f"{what}: a dict of names and arrays is expected, got {type(state_dict).__name__}{hint}"
        )
    own = dict(named_state(root))
    unexpected = [name for name in state_dict if name not in own]
    misshaped: dict[str, str] = {}
    wrong: list[str] = []
    new: dict[int, tuple[str, State, np.ndarray]] = {}  # by identity: a tied weight has several names
    for name, state in own.items():
        if name not in state_dict:
            continue
        array = plain_array(state_dict[name], f"{what}: {name}")
        if array.shape != state.shape:
            misshaped[name] = f"{name}: shape {array.shape} in the state_dict, {state.shape} in the model"
            continue
        converted = _converted(array, state.dtype)
        if converted is None:
            wrong.append(f"{name}: dtype {array.dtype} in the state_dict does not convert to {state.dtype}")
            continue
        other = new.setdefault(id(state), (name, state, converted))
        if not np.array_equal(other[2], converted, equal_nan=converted.dtype.kind == "f"):
            wrong.append(f"{name} and {other[0]} are one tensor, but have different values in the state_dict")
    missing = [
        name
        for name, state in own.items()
        if name not in state_dict and id(state) not in new and name.rpartition(".")[2] != _OPTIONAL
    ]
    problems = []
    if strict and missing:
        problems.append("missing keys: " + ", ".join(missing))
    if strict and unexpected:
        problems.append("unexpected keys: " + ", ".join(map(str, unexpected)))
    if strict and misshaped:
        problems.append("misshaped: " + "; ".join(misshaped.values()))
    if wrong:
        problems.append("wrong values: " + "; ".join(wrong))
    if problems:
        raise ValueError(f"{what}: " + "\n    ".join(problems))
    for _, state, array in new.values():
        state.data[...] = array
    return IncompatibleKeys(missing, unexpected, list(misshaped))


def _converted(array: np.ndarray, dtype: str) -> np.ndarray | None:
    """The array in that dtype; None if it holds no numbers, or an integer would have another value."""
    if array.dtype.kind not in "fiub":
        return None
    with np.errstate(all="ignore"):  # float64 beyond float32 is infinite
        converted = array.astype(dtype, copy=False)
        if converted.dtype.kind != "f" and not np.array_equal(converted, array):
            return None
    return converted
