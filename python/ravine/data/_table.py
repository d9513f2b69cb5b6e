"""A table that was read from a file: columns by name, and where in the file each row stood."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

__all__ = ["Table", "no_column"]


def no_column(path: str, name: str, names: Sequence[str]) -> ValueError:
    """What is raised where a file has no column of a name."""
    listed = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    return ValueError(f"{path}: there is no column {name!r}; it has {listed}")


class Table(Mapping[str, np.ndarray]):
    """Columns of one length by name, as `read_csv` returns them; `ravine.preprocessing` takes it as a frame.

    A column of numbers is int64, or float64 where there are others than whole ones; NaN are missing. A column
    of texts holds objects, a str or None where it is missing.

    Attributes:
        path: the file.
        has_header: whether the names stand in the file; else they are "0", "1", ...
        lines: the line of the file in which each row begins, from 1, [rows].

    Example:
        >>> import os, tempfile, ravine as rv
        >>> path = os.path.join(tempfile.mkdtemp(), "pets.csv")
        >>> with open(path, "w") as file:
        ...     _ = file.write("kind,age\\ncat,3\\ndog,5\\n")
        >>> table = rv.data.read_csv(path)
        >>> table["age"], table.place(1, "age").removeprefix(path)
        (array([3, 5]), ": line 3, column 'age'")
        >>> dict(table.without("kind").rows([1]))
        {'age': array([5])}
    """

    def __init__(
        self, path: str, columns: Mapping[str, np.ndarray], lines: np.ndarray, has_header: bool
    ) -> None:
        self._columns = dict(columns)
        self.path, self.lines, self.has_header = path, lines, has_header

    def __getitem__(self, name: str) -> np.ndarray:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        return f"Table({self.path!r}: {len(self.lines)} rows of {', '.join(self)})"

    def is_text(self, name: str) -> bool:
        """Whether a column holds texts rather than numbers."""
        return self._columns[name].dtype == object

    def column(self, name: str) -> np.ndarray:
        """A column. Raises ValueError, which names the file and its columns, where there is none."""
        if name not in self._columns:
            raise no_column(self.path, name, list(self))
        return self._columns[name]

    def only(self, names: Iterable[str]) -> Table:
        """The table of these columns, in this order. Raises ValueError where one is missing."""
        return Table(self.path, {name: self.column(name) for name in names}, self.lines, self.has_header)

    def without(self, *names: str) -> Table:
        """The table without these columns. Raises ValueError where there is none of that name."""
        for name in names:
            self.column(name)
        return self.only(name for name in self if name not in names)

    def rows(self, rows: np.ndarray | list[int]) -> Table:
        """The table of these rows, by their numbers."""
        columns = {name: column[rows] for name, column in self._columns.items()}
        return Table(self.path, columns, self.lines[rows], self.has_header)

    def place(self, row: int, name: str) -> str:
        """How messages name a value: the file, its line and column."""
        return f"{self.path}: line {self.lines[row]}, column {name!r}"
