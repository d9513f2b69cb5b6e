"""Numbers in state dicts: how they are written, and read with a check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

_MASK = (1 << 64) - 1

__all__ = [
    "Stateful",
    "below",
    "check_keys",
    "count",
    "number",
    "read_count",
    "read_number",
    "read_seed",
    "seed_entry",
]


def count(value: int) -> np.ndarray:
    """An entry for a whole number of 0 or more."""
    return np.asarray(value, np.int64)


def number(value: float) -> np.ndarray:
    """An entry for a number."""
    return np.asarray(value, np.float64)


def seed_entry(seed: int) -> np.ndarray:
    """An entry for a seed, any number of 64 bits."""
    return np.asarray(seed & _MASK, np.uint64).view(np.int64)


def check_keys(owner: str, state: Mapping[str, Any], expected: Iterable[str]) -> None:
    """Raises ValueError naming what is missing and what is unexpected."""
    expected = set(expected)
    missing, unexpected = sorted(expected - set(state)), sorted(set(state) - expected)
    if missing or unexpected:
        raise ValueError(f"load_state_dict of {owner}: missing keys {missing}, unexpected keys {unexpected}")


def below(prefix: str, state: Mapping[str, Any]) -> dict[str, Any]:
    """The entries whose names begin with the prefix, under the rest of their names."""
    return {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}


def _scalar(owner: str, state: Mapping[str, Any], key: str, kinds: str, what: str) -> np.ndarray:
    array = np.asarray(state[key])
    if array.shape != () or array.dtype.kind not in kinds:
        raise ValueError(f"load_state_dict of {owner}: {key} is {state[key]!r}, expected {what}")
    return array


def read_count(owner: str, state: Mapping[str, Any], key: str) -> int:
    """A whole number of 0 or more; ValueError for anything else."""
    value = int(_scalar(owner, state, key, "iu", "a whole number of 0 or more"))
    if value < 0:
        raise ValueError(
            f"load_state_dict of {owner}: {key} is {value}, expected a whole number of 0 or more"
        )
    return value


def read_number(owner: str, state: Mapping[str, Any], key: str) -> float:
    """A number; ValueError for anything else."""
    return float(_scalar(owner, state, key, "iuf", "a number"))


def read_seed(owner: str, state: Mapping[str, Any], key: str) -> int:
    """What `seed_entry` wrote; ValueError for anything else."""
    return int(_scalar(owner, state, key, "iu", "a whole number")) & _MASK


class Stateful:
    """Base of what keeps its state in a few attributes: numbers, arrays, or None.

    Attributes:
        fields: the names of these attributes.
    """

    fields: tuple[str, ...] = ()

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of the state by name; what is None is left out."""
        values = {name: getattr(self, name) for name in self.fields}
        return {name: np.array(value) for name, value in values.items() if value is not None}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Goes on where `state_dict` was taken.

        Raises ValueError for entries that are not in `fields`; nothing is changed then.
        """
        check_keys(type(self).__name__, state_dict, set(self.fields) & set(state_dict))
        for name in self.fields:
            array = None if name not in state_dict else np.array(state_dict[name])
            setattr(self, name, array.item() if array is not None and array.ndim == 0 else array)
