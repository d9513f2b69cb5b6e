"""The history of a run: a list of values for each name, one an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["History"]


class History:
    """Rows of named values; what an epoch does not measure is NaN in its row.

    The last row may be provisional, of an epoch that a run left: it is shown until that epoch goes on.

    Attributes:
        rows: the lists by name, as `Trainer.history` shows them.
    """

    def __init__(self) -> None:
        self.rows: dict[str, list[Any]] = {}
        self._provisional = False

    def __len__(self) -> int:
        return max(map(len, self.rows.values()), default=0)

    def add(self, logs: Mapping[str, Any], *, provisional: bool = False) -> None:
        """Appends a row."""
        n = len(self)
        for name, value in logs.items():
            plain = float(value) if np.ndim(value) == 0 else np.array(value)
            self.rows.setdefault(name, [_missing(plain)] * n).append(plain)
        for values in self.rows.values():
            if len(values) == n:
                values.append(_missing(values[-1]))
        self._provisional = provisional

    def drop_provisional(self) -> None:
        """Removes the row of an epoch that goes on now."""
        if self._provisional:
            for name in [*self.rows]:
                self.rows[name].pop()
                if not self.rows[name]:
                    del self.rows[name]
        self._provisional = False

    def state_dict(self) -> dict[str, np.ndarray]:
        """The rows of finished epochs, an array for each name."""
        n = len(self) - self._provisional
        return {name: np.array(values[:n]) for name, values in self.rows.items() if n}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        arrays = {name: np.asarray(values) for name, values in state_dict.items()}
        if len({len(values) if values.ndim else -1 for values in arrays.values()}) > 1:
            lengths = {name: values.shape for name, values in arrays.items()}
            raise ValueError(f"load_state_dict of History: the lists are of different lengths, {lengths}")
        # The dict stays the same, since `fit` has returned it.
        self.rows.clear()
        for name, values in arrays.items():
            self.rows[name] = values.tolist() if values.ndim == 1 else [*values]
        self._provisional = False


def _missing(like: Any) -> Any:
    return float("nan") if np.ndim(like) == 0 else np.full(np.shape(like), np.nan)
