"""Tables in text files: comma-separated values (RFC 4180) and their relatives."""

from __future__ import annotations

import codecs
import csv
import io
import math
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain

import numpy as np

from ._files import open_regular
from ._table import Table, no_column

__all__ = ["MISSING", "read_csv"]

MISSING = ("", "NA", "N/A", "#N/A", "NaN", "nan", "null", "NULL", "?")
_DELIMITERS = ",;\t|"  # tried in this order
_BLOCK = 4096  # rows that are parsed at a time
_MAX_COLUMNS = 65_536


def read_csv(
    path: str | os.PathLike[str],
    *,
    header: bool | None = None,
    delimiter: str | None = None,
    decimal: str = ".",
    missing: Collection[str] = MISSING,
    kinds: Mapping[str, str] | None = None,
    encoding: str = "utf-8",
) -> Table:
    """Reads a table of numbers and texts from a CSV file; what is wrong is told with its line and column.

    Fields may be quoted (then they may hold delimiters, quotes as "" and line ends). Blanks around a field
    and empty lines do not count. A column is one of numbers if all its fields are, else one of texts; that is
    settled over the whole file. The file is read in pieces and never held as text.

    Args:
        path: the file.
        header: whether the first line has the columns' names; None: if none of its fields is a number.
            Without names, and for empty ones, columns are called by their number, "0", "1", ...
        delimiter: one character; None takes that of comma, semicolon, tabulator and bar which makes most
            fields of the first line.
        decimal: what stands before decimals, "." or ",".
        missing: the fields that stand for no value.
        kinds: of columns that must be one of "number" and "text", by name: a postal code is a text.
        encoding: of the file; a byte order mark of UTF-8 is skipped.

    Returns:
        A `Table`, a mapping from names to columns.

    Raises:
        ValueError: naming file and line (and column) of a field that is no number where one must be, a row of
            another number of fields, a quote that is not closed, bytes that are not in the encoding, null
            characters; for a file without rows, repeated names, more than 65,536 columns, fields over 131,072
            characters; for a pipe, device or socket; for wrong arguments.
        OSError: where the system refuses (FileNotFoundError, IsADirectoryError, ...).

    Example:
        >>> import os, tempfile, ravine as rv
        >>> path = os.path.join(tempfile.mkdtemp(), "pets.csv")
        >>> with open(path, "w") as file:
        ...     _ = file.write('kind,age\\n"cat, black",3\\ndog,\\n')
        >>> table = rv.data.read_csv(path)
        >>> table["kind"].tolist(), table["age"].tolist()
        (['cat, black', 'dog'], [3.0, nan])
    """
    reader = _Reader(os.fspath(path), header, delimiter, decimal, missing, encoding)
    kinds = dict(kinds or {})
    for name, kind in kinds.items():
        if kind not in ("number", "text"):
            raise ValueError(f"read_csv: kinds[{name!r}] is {kind!r}, expected 'number' or 'text'")
    texts: set[int] = set()
    # A column that turns out to be of texts behind its first rows is read a second time, as texts.
    while (table := reader.read(kinds, texts)) is None:
        pass
    return table


class _Column:
    """What has been read of a column."""

    __slots__ = ("known", "name", "pieces", "text")

    def __init__(self, name: str, text: bool) -> None:
        self.name, self.text = name, text
        self.known: dict[str, int] = {}  # the different texts, and the number of each
        self.pieces: list[np.ndarray] = []

    def add_texts(self, fields: Sequence[str], missing: Collection[str]) -> None:
        known = self.known
        stripped = [field.strip() for field in fields]
        codes = [-1 if field in missing else known.setdefault(field, len(known)) for field in stripped]
        self.pieces.append(np.array(codes, np.int32))

    def array(self) -> np.ndarray:
        joined = np.concatenate(self.pieces)
        if not self.text:
            return joined
        return np.array([*self.known, None], dtype=object)[joined]


class _Reader:
    """The file, and how it is to be read."""

    def __init__(
        self,
        path: str,
        header: bool | None,
        delimiter: str | None,
        decimal: str,
        missing: Collection[str],
        encoding: str,
    ) -> None:
        if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n\0'):
            raise ValueError(f"read_csv: delimiter must be one character, got {delimiter!r}")
        if decimal not in (".", ",") or decimal == delimiter:
            raise ValueError(f"read_csv: decimal must be '.' or ',', and not the delimiter, got {decimal!r}")
        if isinstance(missing, str):
            raise ValueError(f"read_csv: missing must be a list of texts, got {missing!r}")
        try:
            self._encoding = codecs.lookup(encoding).name
        except LookupError:
            raise ValueError(f"read_csv: there is no encoding {encoding!r}") from None
        self._path, self._header, self._delimiter, self._decimal = path, header, delimiter, decimal
        self._missing = frozenset(missing)

    def read(self, kinds: Mapping[str, str], texts: set[int]) -> Table | None:
        """The table; or None where columns (added to `texts`) are of texts, though their first rows are
        not."""
        encoding = "utf-8-sig" if self._encoding == "utf-8" else self._encoding
        with io.TextIOWrapper(self._opened(), encoding, newline="") as file:
            rows = self._rows(file)
            try:
                return self._table(rows, kinds, texts)
            except UnicodeError:
                place = self._undecodable()
                raise ValueError(
                    f"{self._path}: {place} is not in the encoding {self._encoding}; encoding= names another"
                ) from None

    def _opened(self) -> io.BufferedReader:
        return io.BufferedReader(open_regular(self._path))  # type: ignore[arg-type]

    def _undecodable(self) -> str:
        """The first line that is not in the encoding; in those of wide characters lines are not told."""
        if not self._encoding.startswith(("utf-16", "utf-32")):
            with self._opened() as lines:
                for n, line in enumerate(lines, 1):
                    if not _is_in(self._encoding, line):
                        return f"line {n}"
        return "the text"

    def _rows(self, file: io.TextIOWrapper) -> Iterator[tuple[int, list[str]]]:
        """The rows that are not empty, each with the line in which it begins."""
        begin = [file.readline()]  # up to the first line that is not empty
        while begin[-1] and not begin[-1].strip():
            begin.append(file.readline())
        delimiter = self._delimiter or _delimiter_of(begin[-1])
        lines = self._lines(chain(begin, iter(file.readline, "")))
        reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
        line = 1
        try:
            for row in reader:
                if len(row) > 1 or (row and row[0].strip()):
                    yield line, row
                line = reader.line_num + 1
        except csv.Error as error:
            what = str(error)
            if "unexpected end" in what:
                what = "a quote in the row that begins here is not closed"
            elif "field limit" in what:
                what = f"a field of over {csv.field_size_limit():,} characters; is a quote not closed?"
            elif "expected after" in what:
                what = f"{delimiter!r} or the line's end is expected behind a closing quote"
            raise ValueError(f"{self._path}: line {line}: {what}") from None

    def _lines(self, lines: Iterable[str]) -> Iterator[str]:
        for n, line in enumerate(lines, 1):
            if "\0" in line:
                raise ValueError(f"{self._path}: line {n}: a null character, so it is no text file")
            yield line

    def _table(
        self, rows: Iterator[tuple[int, list[str]]], kinds: Mapping[str, str], texts: set[int]
    ) -> Table | None:
        first = next(rows, None)
        if first is None:
            raise ValueError(f"{self._path}: the file is empty")
        first = (first[0], [field.strip() for field in first[1]])
        has_header = self._header
        if has_header is None:
            has_header = not any(map(self._is_number, first[1]))
        names = self._names(first, has_header)
        for name in kinds:
            if name not in names:
                raise no_column(self._path, name, names)
        columns = [_Column(name, kinds.get(name) == "text" or i in texts) for i, name in enumerate(names)]
        lines: list[np.ndarray] = []
        complete = True
        for block_lines, block in _blocks(rows, None if has_header else first):
            for line, row in zip(block_lines, block, strict=True):
                if len(row) != len(names):
                    raise ValueError(
                        f"{self._path}: line {line}: {_fields(len(row))}, expected {len(names)} as in line "
                        f"{first[0]}"
                    )
            for i, (column, fields) in enumerate(zip(columns, zip(*block, strict=True), strict=True)):
                if not column.text:
                    try:
                        column.pieces.append(self._numbers(fields))
                        continue  # with the next column
                    except ValueError:
                        if kinds.get(column.name) == "number":
                            self._refuse(block_lines, fields, column.name)
                    column.text = True
                    if lines:
                        texts.add(i)
                        complete = False
                if complete:
                    column.add_texts(fields, self._missing)
            lines.append(np.array(block_lines, np.int64))
        if not lines:
            raise ValueError(f"{self._path}: no row below the header")
        if not complete:
            return None
        arrays = {column.name: column.array() for column in columns}
        return Table(self._path, arrays, np.concatenate(lines), has_header)

    def _names(self, first: tuple[int, list[str]], has_header: bool) -> list[str]:
        line, fields = first
        if len(fields) > _MAX_COLUMNS:
            raise ValueError(f"{self._path}: line {line}: {_fields(len(fields))}, at most {_MAX_COLUMNS:,}")
        if not has_header:
            return [str(i) for i in range(len(fields))]
        names = [name or str(i) for i, name in enumerate(fields)]
        seen = set()
        for name in names:
            if name in seen:
                raise ValueError(f"{self._path}: line {line}: two columns are called {name!r}")
            seen.add(name)
        return names

    # --- numbers

    def _numbers(self, fields: Sequence[str]) -> np.ndarray:
        """int64, or float64 with NaN for what is missing. Raises ValueError where a field is no number."""
        joined = "".join(fields)
        # Python's own grammar of numbers has more than a file's: 1_000, digits of other scripts.
        plain = joined.isascii() and "_" not in joined and self._decimal == "."
        missing = self._missing
        if plain and missing.isdisjoint(fields):
            with suppress(ValueError, OverflowError):
                return np.array([int(field) for field in fields], np.int64)
            with suppress(ValueError):
                return np.array([float(field) for field in fields])
        stripped = [field.strip() for field in fields]
        return np.array([math.nan if field in missing else self._number(field) for field in stripped])

    def _number(self, field: str) -> float:
        if not field.isascii() or "_" in field or (self._decimal == "," and "." in field):
            raise ValueError(field)
        return float(field.replace(self._decimal, "."))

    def _is_number(self, field: str) -> bool:
        try:
            self._number(field)
        except ValueError:
            return False
        return True

    def _refuse(self, lines: Sequence[int], fields: Sequence[str], name: str) -> None:
        for line, field in zip(lines, fields, strict=True):
            if field.strip() not in self._missing and not self._is_number(field):
                raise ValueError(f"{self._path}: line {line}, column {name!r}: {field[:100]!r} is no number")


def _blocks(
    rows: Iterator[tuple[int, list[str]]], first: tuple[int, list[str]] | None
) -> Iterator[tuple[list[int], list[list[str]]]]:
    """The lines and fields of so many rows at a time, after the first where it is one."""
    lines, block = ([first[0]], [first[1]]) if first else ([], [])
    for line, row in rows:
        lines.append(line)
        block.append(row)
        if len(block) == _BLOCK:
            yield lines, block
            lines, block = [], []
    if block:
        yield lines, block


def _delimiter_of(line: str) -> str:
    """What makes most fields of a line; the comma where nothing makes two."""

    def count(delimiter: str) -> int:
        try:
            return len(next(csv.reader([line], delimiter=delimiter)))
        except (csv.Error, StopIteration):
            return 0

    return max(_DELIMITERS, key=count)


def _is_in(encoding: str, line: bytes) -> bool:
    try:
        line.decode(encoding)
    except UnicodeError:
        return False
    return True


def _fields(n: int) -> str:
    return f"{n:,} field{'s' * (n != 1)}"
