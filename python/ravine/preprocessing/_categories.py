"""Categories as numbers: one column for each, or one integer for each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._base import _NAMES, Transformer, packed, unpacked
from ._table import read, table

if TYPE_CHECKING:
    from typing_extensions import Self  # typing.Self needs Python 3.11


def is_missing(value: Any) -> bool:
    """Whether a value stands for none: None, NaN, and NA or NaT of frames."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | np.floating) and math.isnan(value)


def plain_category(value: Any) -> Any:
    """A category as a text, a number or a bool; None for what is missing."""
    if is_missing(value):
        return None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return int(value) if value.is_integer() else value  # 1.0 and 1 are one category
    if isinstance(value, str | int):
        return value
    raise TypeError(f"a category must be a text or a number, got {value!r}")


class _Column(NamedTuple):
    """The distinct plain categories of a column, and for each row the position of its own among them."""

    categories: list[Any]
    rows: np.ndarray


def _distinct(column: np.ndarray) -> _Column:
    if column.dtype != object:
        values, rows = np.unique(column, return_inverse=True)
        return _Column([plain_category(value) for value in values], rows.reshape(-1))
    positions: dict[Any, int] = {}
    plain = (plain_category(value) for value in column)
    rows = np.array([positions.setdefault(value, len(positions)) for value in plain], np.int64)
    return _Column(list(positions), rows)


def _sorted(categories: set[Any], what: str) -> list[Any]:
    """In ascending order, what is missing last."""
    try:
        ordered = sorted(category for category in categories if category is not None)
    except TypeError:
        kinds = sorted({type(category).__name__ for category in categories})
        raise TypeError(f"{what} mixes {' and '.join(kinds)}, which have no order") from None
    return ordered + [None] * (None in categories)


class _Encoder(Transformer):
    """What learns the categories of columns."""

    _state_names = ("categories_",)

    handle_unknown: str
    categories_: list[np.ndarray]

    def _keep_categories(self, categories: Any) -> None:
        if not (isinstance(categories, str) and categories == "auto"):
            categories = [list(column) for column in categories]
        self.categories = categories

    @property
    def n_features_in_(self) -> int:
        return len(self.categories_)

    def _columns(self, X: Any, learning: bool) -> tuple[list[_Column], list[str] | None]:
        """The columns, and their names where X has them."""
        array, names = read(self._owner, X)
        array = table(self._owner, array)
        if learning and array.size == 0:
            raise ValueError(
                f"{self._owner}: at least one row and one column are expected, got shape {array.shape}"
            )
        if self._is_fitted:
            self._check_names(names)
            if array.shape[1] != len(self.categories_):
                raise ValueError(
                    f"{self._owner}: {len(self.categories_)} columns were fitted, got {array.shape[1]}"
                )
        columns = [self._distinct(self._name(names, i), column) for i, column in enumerate(array.T)]
        return columns, names

    def _distinct(self, name: str, column: np.ndarray) -> _Column:
        try:
            return _distinct(column)
        except TypeError as error:
            raise TypeError(f"{self._owner}: {name}: {error}") from None

    def _name(self, names: Sequence[str] | None, i: int) -> str:
        return f"column {names[i]!r}" if names is not None else self._column(i)

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        columns, names = self._columns(X, learning=True)
        if self.categories != "auto":
            if len(self.categories) != len(columns):
                raise ValueError(
                    f"{self._owner}: categories are for {len(self.categories)} columns, got {len(columns)}"
                )
            lists = [[plain_category(value) for value in column] for column in self.categories]
            for i, (known, column) in enumerate(zip(lists, columns, strict=True)):
                self._find(known, column, self._name(names, i), refuse=self.handle_unknown == "error")
        else:
            before = [set(known.tolist()) for known in self.categories_] if self._is_fitted else None
            lists = []
            for i, column in enumerate(columns):
                found = set(column.categories) | (before[i] if before else set())
                lists.append(_sorted(found, f"{self._owner}: {self._name(names, i)}"))
        self.categories_ = [np.array(column, dtype=object) for column in lists]
        self._keep_names(names)
        return self

    def _find(self, known: Sequence[Any], column: _Column, name: str, refuse: bool) -> np.ndarray:
        """The positions of a column's categories among the known; -1 for others, unless these are refused."""
        position = {category: i for i, category in enumerate(known)}
        positions = [position.get(category, -1) for category in column.categories]
        found = np.array(positions, np.int64)[column.rows]
        if refuse and (found < 0).any():
            row = int(np.argmax(found < 0))
            unknown = column.categories[column.rows[row]]
            listed = ", ".join(map(repr, known[:10])) + (", ..." if len(known) > 10 else "")
            raise ValueError(
                f"{self._owner}: {name} holds the unknown category {unknown!r} in row {row}; known: {listed}"
            )
        return found

    def _codes(self, X: Any) -> list[np.ndarray]:
        self._check_fitted()
        columns, _ = self._columns(X, learning=False)
        refuse = self.handle_unknown == "error"
        return [
            self._find(known.tolist(), column, self._column(i), refuse)
            for i, (known, column) in enumerate(zip(self.categories_, columns, strict=True))
        ]

    def get_state(self) -> dict[str, np.ndarray]:
        self._check_fitted()
        state = {"categories_": packed([known.tolist() for known in self.categories_])}
        names = getattr(self, _NAMES, None)
        return state if names is None else {**state, _NAMES: packed(list(names))}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        if "categories_" not in state or not set(state) <= {"categories_", _NAMES}:
            raise ValueError(f"{self._owner}: the state must hold categories_, got {list(state)}")
        self.__dict__.pop(_NAMES, None)
        self.categories_ = [np.array(column, dtype=object) for column in unpacked(state["categories_"])]
        if _NAMES in state:
            self.feature_names_in_ = np.array(unpacked(state[_NAMES]), dtype=object)
        return self


def _restored(columns: list[list[Any]]) -> np.ndarray:
    """Categories [rows, columns]: numbers or texts if all are, else objects."""
    values = np.array([list(row) for row in zip(*columns, strict=True)], dtype=object)
    flat = values.ravel().tolist()
    if flat and all(isinstance(value, int | float) for value in flat):
        return np.array(values.tolist())
    return values


class OneHotEncoder(_Encoder):
    """A column of 0 and 1 for each category of each column.

    For a few categories each; of many, an `OrdinalEncoder` and `nn.Embedding` learn more from less.

    Shape: [rows, columns] of texts, numbers or bools to [rows, categories of all columns], columns in the
    order of `get_feature_names_out()`.

    Args:
        categories: "auto" learns them, sorted; or a list of the categories of each column.
        drop: None, or "first": no column for the first category, which is then all 0.
        handle_unknown: what `transform` does about a category that was not learned: "error", or "ignore",
            which makes all its columns 0.
        dtype: of the result.

    None and NaN are a category of their own, the last. A constant column has one category.

    Attributes:
        categories_: for each column an array of objects, what is missing as None.

    Raises ValueError for unknown categories and for tables of another width, TypeError for categories that
    are neither texts nor numbers, or texts beside numbers. The message names the column and the category.

    Example:
        >>> from ravine.preprocessing import OneHotEncoder
        >>> encoder = OneHotEncoder(handle_unknown="ignore").fit([["red"], ["blue"]])
        >>> encoder.get_feature_names_out().tolist()
        ['0_blue', '0_red']
        >>> encoder.transform([["red"], ["green"]])
        array([[0., 1.],
               [0., 0.]], dtype=float32)
    """

    def __init__(
        self,
        *,
        categories: Any = "auto",
        drop: str | None = None,
        handle_unknown: str = "error",
        dtype: Any = np.float32,
    ) -> None:
        if drop not in (None, "first"):
            raise ValueError(f"OneHotEncoder: drop must be None or 'first', got {drop!r}")
        if handle_unknown not in ("error", "ignore"):
            raise ValueError(
                f"OneHotEncoder: handle_unknown must be 'error' or 'ignore', got {handle_unknown!r}"
            )
        self._keep_categories(categories)
        self.drop, self.handle_unknown, self.dtype = drop, handle_unknown, dtype

    def get_feature_names_out(self) -> np.ndarray:
        """Names of the result's columns: that of the column, or its number, and the category."""
        self._check_fitted()
        names = getattr(self, _NAMES, range(len(self.categories_)))
        return np.array(
            [
                f"{name}_{category}"
                for name, known in zip(names, self.categories_, strict=True)
                for category in known[self._first :]
            ],
            dtype=object,
        )

    @property
    def _first(self) -> int:
        return 1 if self.drop == "first" else 0

    def transform(self, X: Any) -> np.ndarray:
        codes = self._codes(X)
        rows = np.arange(len(codes[0]))
        parts = []
        for known, code in zip(self.categories_, codes, strict=True):
            part = np.zeros((len(code), len(known)), self.dtype)
            there = code >= 0
            part[rows[there], code[there]] = 1
            parts.append(part[:, self._first :])
        return np.concatenate(parts, axis=1)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """The categories [rows, columns]; None where all columns are 0 and no category is dropped."""
        self._check_fitted()
        array = table(self._owner, read(self._owner, X)[0])
        widths = [len(known) - self._first for known in self.categories_]
        if array.shape[1] != sum(widths):
            raise ValueError(f"OneHotEncoder: {sum(widths)} columns were made, got {array.shape[1]}")
        columns, start = [], 0
        for known, width in zip(self.categories_, widths, strict=True):
            part = array[:, start : start + width]
            start += width
            none = known[0] if self._first else None
            found = part.argmax(axis=1) if width else np.zeros(len(part), np.int64)
            some = np.asarray(part.any(axis=1))
            columns.append(
                [known[i + self._first] if yes else none for i, yes in zip(found, some, strict=True)]
            )
        return _restored(columns)


class OrdinalEncoder(_Encoder):
    """The number of each category among the sorted ones of its column, from 0.

    For `nn.Embedding` (with dtype="int64"), and for categories with an order, given by `categories`.

    Shape: [rows, columns] of texts, numbers or bools to the same.

    Args:
        categories: "auto" learns them, sorted; or a list of the categories of each column.
        dtype: of the result.
        handle_unknown: what `transform` does about a category that was not learned: "error", or
            "use_encoded_value", which writes `unknown_value`.
        unknown_value: a number that is no category's, such as -1, or NaN.
        encoded_missing_value: what None and NaN become. They are learned as the last category, so with None
            here they take the number after the others'.

    Attributes:
        categories_: for each column an array of objects, what is missing as None.

    Raises ValueError for unknown categories and for tables of another width, TypeError for categories that
    are neither texts nor numbers, or texts beside numbers. The message names the column and the category.

    Example:
        >>> from ravine.preprocessing import OrdinalEncoder
        >>> encoder = OrdinalEncoder(dtype="int64", handle_unknown="use_encoded_value", unknown_value=-1)
        >>> encoder.fit([["red"], ["blue"]]).transform([["blue"], ["red"], ["green"]]).T
        array([[ 0,  1, -1]])
    """

    def __init__(
        self,
        *,
        categories: Any = "auto",
        dtype: Any = np.float64,
        handle_unknown: str = "error",
        unknown_value: float | None = None,
        encoded_missing_value: float | None = math.nan,
    ) -> None:
        if handle_unknown not in ("error", "use_encoded_value"):
            raise ValueError(
                f"OrdinalEncoder: handle_unknown must be 'error' or 'use_encoded_value', "
                f"got {handle_unknown!r}"
            )
        if (handle_unknown == "error") != (unknown_value is None):
            raise ValueError(
                "OrdinalEncoder: unknown_value belongs to handle_unknown='use_encoded_value', which needs it"
            )
        integers = np.dtype(dtype).kind in "iu"
        if integers and isinstance(unknown_value, float) and math.isnan(unknown_value):
            raise ValueError(f"OrdinalEncoder: unknown_value NaN needs a floating dtype, got {dtype!r}")
        self._keep_categories(categories)
        self.dtype, self.handle_unknown, self.unknown_value = dtype, handle_unknown, unknown_value
        self.encoded_missing_value = encoded_missing_value

    def transform(self, X: Any) -> np.ndarray:
        columns = []
        codes = self._codes(X)
        for i, (known, code) in enumerate(zip(self.categories_, codes, strict=True)):
            encoded = code.astype(np.float64)
            missing = np.zeros(len(code), bool)
            if known[-1] is None and self.encoded_missing_value is not None:
                missing = code == len(known) - 1
            for name, where in (("unknown_value", code < 0), ("encoded_missing_value", missing)):
                if where.any():
                    encoded[where] = self._special_code(name, i, known)
            columns.append(encoded)
        return np.stack(columns, axis=1).astype(self.dtype)

    def _special_code(self, name: str, i: int, known: np.ndarray) -> float:
        """The number of this name, where it is no category's and fits into the dtype."""
        value = getattr(self, name)
        if 0 <= value < len(known) - (known[-1] is None):
            raise ValueError(f"OrdinalEncoder: {name} {value} is that of a category of {self._column(i)}")
        if math.isnan(value) and np.dtype(self.dtype).kind in "iu":
            raise ValueError(
                f"OrdinalEncoder: {self._column(i)} has missing values, which as NaN do not fit into "
                f"{np.dtype(self.dtype).name}; give encoded_missing_value"
            )
        return value

    def inverse_transform(self, X: Any) -> np.ndarray:
        """The categories [rows, columns]; None for unknown and missing ones."""
        self._check_fitted()
        array = table(self._owner, read(self._owner, X)[0])
        if array.shape[1] != len(self.categories_):
            raise ValueError(
                f"OrdinalEncoder: {len(self.categories_)} columns were fitted, got {array.shape[1]}"
            )
        columns = []
        for i, known in enumerate(self.categories_):
            column = []
            special_codes = (self.unknown_value, self.encoded_missing_value)
            codes: list[Any] = array[:, i].astype(np.float64).tolist()
            for code in codes:
                special = math.isnan(code) or any(code == one for one in special_codes)
                if not special and not (code.is_integer() and 0 <= code < len(known)):
                    raise ValueError(f"OrdinalEncoder: {self._column(i)} holds {code}, which no category has")
                column.append(None if special else known[int(code)])
            columns.append(column)
        return _restored(columns)
