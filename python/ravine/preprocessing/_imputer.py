"""Missing numbers and categories filled in."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .._numbers import flag, whole
from ._base import Transformer, of_part, packed, prefixed, unpacked
from ._categories import is_missing, plain_category
from ._quantile import RobustScaler
from ._scalers import StandardScaler
from ._table import floating, numbers, read, table

if TYPE_CHECKING:
    from typing_extensions import Self  # typing.Self needs Python 3.11

_OWNER = "SimpleImputer"


class _Means(StandardScaler):
    """Learns the means of columns."""

    _owner = _OWNER

    @property
    def statistics_(self) -> np.ndarray:
        self._check_seen()
        return self.mean_


class _Medians(RobustScaler):
    """Learns the medians of columns."""

    _owner = _OWNER

    @property
    def statistics_(self) -> np.ndarray:
        return self.center_


class _Frequencies(Transformer):
    """Learns how often each category or number of a column occurs."""

    _owner = _OWNER
    _state_names = ("counts_",)
    counts_: list[dict[Any, int]]

    @property
    def n_features_in_(self) -> int:
        return len(self.counts_)

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        before = getattr(self, "counts_", [{} for _ in X.T])
        counts = []
        for i, (known, column) in enumerate(zip(before, X.T, strict=True)):
            try:
                values = [plain_category(value) for value in column.tolist()]
            except TypeError as error:
                raise TypeError(f"{_OWNER}: {self._column(i)}: {error}") from None
            merged = dict(known)
            for value in values:
                if value is not None:
                    merged[value] = merged.get(value, 0) + 1
            counts.append(merged)
        self.counts_ = counts
        return self

    @property
    def statistics_(self) -> np.ndarray:
        result = []
        for i, counts in enumerate(self.counts_):
            if not counts:
                raise ValueError(f"{_OWNER}: {self._column(i)} held no value to learn from")
            most = max(counts.values())
            result.append(min(value for value, count in counts.items() if count == most))
        return np.array(result, dtype=object)

    def get_state(self) -> dict[str, np.ndarray]:
        return {"counts_": packed([list(counts.items()) for counts in self.counts_])}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        if "counts_" not in state:
            raise ValueError(f"{_OWNER}: the state must hold learner.counts_")
        self.counts_ = [dict(column) for column in unpacked(state["counts_"])]
        return self


class _Width(Transformer):
    """Learns the number of columns alone."""

    _owner = _OWNER
    _state_names = ("n_features_in_",)

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        self.n_features_in_ = np.array(X.shape[1])
        return self


_LEARNERS = {"mean": _Means, "median": _Medians, "most_frequent": _Frequencies, "constant": _Width}


class SimpleImputer(Transformer):
    """Missing values of each column replaced by its mean, median, most frequent value, or a constant.

    Shape: [rows, columns] to the same, with `add_indicator` to more columns. "mean" and "median" take
    numbers, and give dtypes as in `StandardScaler`; the others take texts too, and give objects for tables
    of objects.

    Args:
        missing_values: what stands for a missing value, in addition to None and NaN, which always do.
        strategy: "mean", "median", "most_frequent" (of several the smallest) or "constant".
        fill_value: the constant; 0 by default, "missing_value" for tables of texts.
        add_indicator: whether a column of 0 and 1 is added for each column that had missing values in the
            fit.
        subsample: medians are those of at most so many rows, drawn at random where there are more.

    Attributes:
        statistics_: what is filled in, [columns].
        had_missing_: whether a column had missing values in the fit, [columns].

    Raises ValueError for columns without any value (unless the strategy is "constant"), infinities and tables
    of another width; TypeError for what are no numbers where these are needed. The message names the column.

    Example:
        >>> import numpy as np
        >>> from ravine.preprocessing import SimpleImputer
        >>> SimpleImputer().fit_transform([[1.0, np.nan], [3.0, 5.0]])
        array([[1., 5.],
               [3., 5.]])
        >>> SimpleImputer(strategy="most_frequent").fit_transform([["a"], [None], ["b"], ["b"]]).T
        array([['a', 'b', 'b', 'b']], dtype=object)
    """

    _state_names = ("had_missing_",)

    learner_: Any
    had_missing_: np.ndarray

    def __init__(
        self,
        *,
        missing_values: Any = math.nan,
        strategy: str = "mean",
        fill_value: Any = None,
        add_indicator: bool = False,
        subsample: int = 100_000,
    ) -> None:
        if strategy not in _LEARNERS:
            raise ValueError(f"{_OWNER}: strategy must be one of {', '.join(_LEARNERS)}, got {strategy!r}")
        self.missing_values, self.strategy, self.fill_value = missing_values, strategy, fill_value
        self.add_indicator = flag(_OWNER, "add_indicator", add_indicator)
        self.subsample = whole(_OWNER, "subsample", subsample)

    @property
    def n_features_in_(self) -> int:
        return int(self.learner_.n_features_in_)

    @property
    def statistics_(self) -> np.ndarray:
        self._check_fitted()
        return self._fillings(np.dtype(np.float64))

    def _fillings(self, dtype: np.dtype[Any]) -> np.ndarray:
        if self.strategy != "constant":
            return self.learner_.statistics_
        text = dtype.kind == "O"
        value = self.fill_value if self.fill_value is not None else "missing_value" if text else 0
        return np.full(self.n_features_in_, value, dtype=object if isinstance(value, str) else dtype)

    def _new_learner(self) -> Any:
        options = {"subsample": self.subsample} if self.strategy == "median" else {}
        return _LEARNERS[self.strategy](**options)

    def _read(self, X: Any) -> tuple[np.ndarray, np.ndarray, list[str] | None]:
        """The table, with NaN (None among objects) for what is missing, where that is, and columns' names."""
        array, names = read(_OWNER, X)
        array = table(_OWNER, array)
        if array.dtype.kind in "US":
            array = array.astype(object)
        if array.dtype == object:
            missing = np.array([is_missing(value) for value in array.ravel()], bool).reshape(array.shape)
        else:
            missing = array != array
        if not is_missing(self.missing_values):
            missing |= np.asarray(array == self.missing_values, bool)
        if array.dtype == object:
            array = array.copy()
            array[missing] = None
        if self.strategy in ("mean", "median") or array.dtype != object:
            array = numbers(_OWNER, array, names, missing=True)
            array = np.where(missing, np.nan, array).astype(floating(array))
        return array, missing, names

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        array, missing, names = self._read(X)
        if array.size == 0:
            raise ValueError(f"{_OWNER}: at least one row and one column are expected, got {array.shape}")
        if self._is_fitted:
            self._check_columns(array, names)
            learner, had_missing = copy.copy(self.learner_), self.had_missing_
        else:
            learner, had_missing = self._new_learner(), np.zeros(array.shape[1], bool)
        learner._keep_names(names)
        learner.partial_fit(array)
        self.learner_, self.had_missing_ = learner, had_missing | missing.any(axis=0)
        self._keep_names(names)
        return self

    def _check_columns(self, array: np.ndarray, names: list[str] | None) -> None:
        self._check_names(names)
        if array.shape[1] != self.n_features_in_:
            raise ValueError(f"{_OWNER}: {self.n_features_in_} columns were fitted, got {array.shape[1]}")

    def transform(self, X: Any) -> np.ndarray:
        self._check_fitted()
        array, missing, names = self._read(X)
        self._check_columns(array, names)
        fillings = self._fillings(array.dtype)
        try:
            filled = np.where(missing, fillings.astype(array.dtype), array)
        except ValueError:
            raise TypeError(f"{_OWNER}: {fillings.tolist()} do not fit into a table of numbers") from None
        if not self.add_indicator:
            return filled
        return np.concatenate([filled, missing[:, self.had_missing_].astype(filled.dtype)], axis=1)

    def get_state(self) -> dict[str, np.ndarray]:
        return {**super().get_state(), **prefixed("learner", self.learner_.get_state())}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        learner = self._new_learner().set_state(of_part("learner", state))
        super().set_state({name: x for name, x in state.items() if not name.startswith("learner.")})
        self.learner_ = learner
        return self
