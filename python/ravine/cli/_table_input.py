"""What the columns of a table become before a model sees them; learned once, saved with the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..data import MISSING, Table, read_csv
from ..preprocessing import Chain, OneHotEncoder, SimpleImputer, Transformer
from ._options import SCALERS

_MOSTLY = 0.9  # share of numbers in a column of texts that makes the others look like mistakes


class TableFormat:
    """How CSV files of a run are read, the same in training and prediction."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.header: bool | None = spec["header"]
        self.delimiter: str | None = spec["delimiter"]
        self.decimal: str = spec["decimal"]
        self.encoding: str = spec["encoding"]
        self.missing: list[str] = list(MISSING if spec["missing"] is None else spec["missing"])

    def spec(self) -> dict[str, Any]:
        return dict(self.__dict__)

    def read(self, path: str, kinds: Mapping[str, str]) -> Table:
        return read_csv(path, kinds=kinds, **self.spec())


class TableInput:
    """Columns of a table to an array [rows, features], float32.

    Missing numbers are imputed and numbers scaled; a category becomes a feature that is 1 for it and 0
    otherwise, a missing one too. A category that was not seen in training is 0 in all.

    Args:
        numbers: the names of the columns of numbers.
        categories: the names of the columns of categories.
        scaler: a key of `SCALERS`.
        impute: the strategy of `SimpleImputer`.
    """

    def __init__(self, numbers: list[str], categories: list[str], scaler: str, impute: str) -> None:
        self.numbers, self.categories, self.scaler, self.impute = numbers, categories, scaler, impute
        steps: list[Transformer] = [SimpleImputer(strategy=impute)]
        kind = SCALERS[scaler]
        if kind is not None:
            steps.append(kind())
        self._parts: dict[str, Transformer] = {}
        if numbers:
            self._parts["numbers"] = Chain(*steps)
        if categories:
            self._parts["categories"] = OneHotEncoder(handle_unknown="ignore")

    @property
    def kinds(self) -> dict[str, str]:
        """What `read_csv` must make of the columns."""
        return dict.fromkeys(self.numbers, "number") | dict.fromkeys(self.categories, "text")

    def fit(self, table: Table, rows: np.ndarray, max_categories: int) -> None:
        """Learns from these rows. Raises ValueError for columns that nothing can be learned from."""
        self._check_finite(table)
        known = table.rows(rows)
        for name in self.numbers:
            if np.isnan(known[name]).all():
                raise ValueError(f"{table.path}: column {name!r} holds no value to learn from; --drop {name}")
        for name in self.categories:
            n = len(set(known[name]))
            if n > max_categories:
                raise ValueError(
                    f"{table.path}: column {name!r} holds {n} different texts, more than --max-categories "
                    f"{max_categories}; --drop {name} leaves it out"
                )
        for key, part in self._parts.items():
            part.fit(known.only(getattr(self, key)))

    def transform(self, table: Table) -> np.ndarray:
        self._check_finite(table)
        parts = [part.transform(table.only(getattr(self, key))) for key, part in self._parts.items()]
        return np.concatenate([part.astype(np.float32) for part in parts], axis=1)

    def unknown(self, table: Table) -> list[str]:
        """A line for each column with categories that were not seen in training."""
        lines = []
        encoder = self._parts.get("categories")
        if isinstance(encoder, OneHotEncoder):
            for name, known in zip(self.categories, encoder.categories_, strict=True):
                seen = set(known.tolist())
                new = [i for i, value in enumerate(table[name]) if value not in seen]
                if new:
                    lines.append(
                        f"{table.place(new[0], name)}: {table[name][new[0]]!r} did not occur in training "
                        f"({len(new)} such rows); it counts as none of the categories"
                    )
        return lines

    def _check_finite(self, table: Table) -> None:
        for name in self.numbers:
            infinite = np.isinf(table.column(name))
            if infinite.any():
                row = int(np.argmax(infinite))
                raise ValueError(f"{table.place(row, name)}: {table[name][row]} is not finite")

    # --- as a part of the model's file

    def spec(self) -> dict[str, Any]:
        return {
            "numbers": self.numbers,
            "categories": self.categories,
            "scaler": self.scaler,
            "impute": self.impute,
        }

    def state(self) -> dict[str, np.ndarray]:
        return {
            f"{key}.{name}": a for key, part in self._parts.items() for name, a in part.get_state().items()
        }

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        for key, part in self._parts.items():
            start = f"{key}."
            part.set_state({name[len(start) :]: a for name, a in state.items() if name.startswith(start)})


def check_texts(table: Table, name: str) -> None:
    """Raises ValueError, naming the line, for a text where nearly all others of the column are numbers."""
    column = table[name]
    numbers = np.array([_is_number(value) for value in column])
    present = np.array([value is not None for value in column])
    if not _MOSTLY * present.sum() <= numbers.sum() < present.sum():
        return
    row = int(np.argmax(present & ~numbers))
    raise ValueError(
        f"{table.place(row, name)}: {column[row]!r} is no number, as {numbers.sum()} others of the column "
        f"are; mend it, or --missing '' {column[row]}, or --categories {name}"
    )


def _is_number(value: str | None) -> bool:
    try:
        float(value or "")
    except ValueError:
        return False
    return True
