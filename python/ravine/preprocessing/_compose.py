"""Transformers of several steps, and of several columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from ..record import add_place
from ._affine import Affine
from ._base import Transformer, of_part, prefixed, undone_on_error
from ._table import read, table

if TYPE_CHECKING:
    from typing_extensions import Self  # typing.Self needs Python 3.11


class _Composed(Transformer):
    """A transformer made of others, which hold what is learned."""

    @property
    def _parts(self) -> list[Transformer]:
        raise NotImplementedError

    def _forget(self) -> None:
        super()._forget()
        for part in self._parts:
            part._forget()

    def _restorer(self) -> Callable[[], None]:
        restorers = [super()._restorer(), *(part._restorer() for part in self._parts)]

        def restore() -> None:
            for one in restorers:
                one()

        return restore


class Chain(_Composed):
    """Transformers one after the other: each learns from what those before it made.

    Args:
        *steps: the transformers.

    Data larger than memory are learned from by `fit_pieces`, one pass for each step. There is no
    `partial_fit`: what a step has learned changes what the next is given.

    Raises TypeError for steps that are none, and what the steps raise.

    Example:
        >>> import numpy as np
        >>> from ravine.preprocessing import Chain, SimpleImputer, StandardScaler
        >>> Chain(SimpleImputer(), StandardScaler()).fit_transform([[1.0], [np.nan], [3.0], [2.0]]).round(2).T
        array([[-1.41,  0.  ,  1.41,  0.  ]])
    """

    def __init__(self, *steps: Transformer) -> None:
        if not steps:
            raise TypeError("Chain: at least one transformer is expected")
        for i, step in enumerate(steps):
            _check_transformer("Chain", f"step {i}", step)
        self.steps = steps

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {"steps": self.steps}

    def set_params(self, **params: Any) -> Self:
        if set(params) - {"steps"}:
            raise ValueError(f"Chain: the only parameter is steps, got {', '.join(params)}")
        self.steps = Chain(*params.get("steps", self.steps)).steps
        return self

    def __repr__(self) -> str:
        return f"Chain({', '.join(map(repr, self.steps))})"

    @property
    def _parts(self) -> list[Transformer]:
        return list(self.steps)

    @property
    def _is_fitted(self) -> bool:
        return all(step._is_fitted for step in self.steps)

    def fit(self, X: Any, y: Any = None) -> Self:
        self.fit_transform(X)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> np.ndarray:
        with undone_on_error(self):
            for step in self.steps:
                X = step.fit_transform(X)
        return X

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        raise TypeError("Chain: use fit_pieces(pieces), as what a step learns changes what the next is given")

    def fit_pieces(self, pieces: Iterable[Any]) -> Self:
        """Learns from pieces of a set that does not fit into memory; on an error nothing changes.

        Args:
            pieces: a list of arrays, or any object that yields the pieces again each time it is iterated over
                (a generator does so only once). They are passed over once for each step.

        Raises ValueError where there are none, or none any more for a later step.
        """
        with undone_on_error(self):
            self._forget()
            for i, step in enumerate(self.steps):
                for X in pieces:
                    for before in self.steps[:i]:
                        X = before.transform(X)
                    step.partial_fit(X)
                if not step._is_fitted:
                    raise ValueError(
                        f"Chain.fit_pieces: there was no piece for step {i}; a generator yields them once"
                    )
        return self

    def transform(self, X: Any) -> np.ndarray:
        for step in self.steps:
            X = step.transform(X)
        return X

    def inverse_transform(self, X: Any) -> np.ndarray:
        for step in reversed(self.steps):
            X = step.inverse_transform(X)
        return X

    def affine(self) -> Affine:
        first, *others = [step.affine() for step in self.steps]
        for other in others:
            first = first.then(other)
        return first

    def get_state(self) -> dict[str, np.ndarray]:
        state: dict[str, np.ndarray] = {}
        for i, step in enumerate(self.steps):
            state |= prefixed(str(i), step.get_state())
        return state

    def set_state(self, state: Mapping[str, Any]) -> Self:
        with undone_on_error(self):
            for i, step in enumerate(self.steps):
                step.set_state(of_part(str(i), state))
        return self


class Columns(_Composed):
    """Which transformer for which columns of a table or frame; the results stand side by side.

    Args:
        transformers: (name, transformer, columns) in the order of the results. The transformer may also be
            "passthrough" or "drop". Columns are a name or number, a list of these, a slice, or a list of
            bools; names need a frame (anything with `columns` and `to_numpy()`, such as pandas' and
            polars'), or a dict of columns.
        remainder: what happens to the columns that are not named: "drop", or "passthrough", which puts them
            last.

    Shape: [rows, columns] to [rows, columns of all results].

    `partial_fit` hands each piece on; there is no `inverse_transform`.

    Raises ValueError and TypeError that name the transformer, for unknown columns and what the transformers
    raise. On an error in `fit` or `partial_fit` nothing changes.

    Example:
        >>> from ravine.preprocessing import Columns, OneHotEncoder, StandardScaler
        >>> table = {"size": [1.0, 3.0], "colour": ["red", "blue"]}
        >>> columns = Columns([("scaled", StandardScaler(), "size"), ("coded", OneHotEncoder(), ["colour"])])
        >>> columns.fit_transform(table)
        array([[-1.,  0.,  1.],
               [ 1.,  1.,  0.]])
    """

    def __init__(self, transformers: Sequence[tuple[str, Any, Any]], *, remainder: str = "drop") -> None:
        transformers = [tuple(entry) for entry in transformers]  # type: ignore[misc]
        for entry in transformers:
            if len(entry) != 3 or not isinstance(entry[0], str) or "." in entry[0]:
                raise TypeError(f"Columns: (name, transformer, columns) is expected, got {entry!r}")
            if not (isinstance(entry[1], str) and entry[1] in ("passthrough", "drop")):
                _check_transformer("Columns", repr(entry[0]), entry[1])
        names = [name for name, _, _ in transformers]
        if len(set(names)) < len(names) or not names:
            raise ValueError(f"Columns: one name for each of some transformers is expected, got {names}")
        if remainder not in ("drop", "passthrough"):
            raise ValueError(f"Columns: remainder must be 'drop' or 'passthrough', got {remainder!r}")
        self.transformers, self.remainder = transformers, remainder

    @property
    def _parts(self) -> list[Transformer]:
        return [step for _, step, _ in self.transformers if isinstance(step, Transformer)]

    _state_names = ("n_features_in_",)
    n_features_in_: np.ndarray

    def _read(self, X: Any) -> tuple[np.ndarray, list[str] | None]:
        array, names = read("Columns", X)
        array = table("Columns", array)
        if self._is_fitted:
            self._check_names(names)
            if array.shape[1] != self.n_features_in_:
                raise ValueError(f"Columns: {self.n_features_in_} columns were fitted, got {array.shape[1]}")
            known = getattr(self, "feature_names_in_", None)
            names = list(known) if names is None and known is not None else names
        return array, names

    def _chosen(self, name: str, columns: Any, width: int, names: Sequence[str] | None) -> list[int]:
        """The numbers of the columns that one of the transformers is given."""
        if isinstance(columns, slice):
            return list(range(width))[columns]
        items = [columns] if isinstance(columns, str | int | np.integer) else list(columns)
        if items and all(isinstance(item, bool | np.bool_) for item in items):
            if len(items) != width:
                raise ValueError(f"Columns: {name!r}: {len(items)} bools are given for {width} columns")
            return [i for i, yes in enumerate(items) if yes]
        chosen = []
        for item in items:
            if isinstance(item, str):
                if names is None or item not in names:
                    known = "X has no names of columns" if names is None else f"known are {list(names)}"
                    raise ValueError(f"Columns: {name!r}: there is no column {item!r}; {known}")
                chosen.append(list(names).index(item))
            elif isinstance(item, int | np.integer) and not isinstance(item, bool) and -width <= item < width:
                chosen.append(int(item) % width)
            else:
                raise ValueError(f"Columns: {name!r}: there is no column {item!r} among {width}")
        return chosen

    def _split(self, array: np.ndarray, names: Sequence[str] | None) -> list[tuple[str, Any, Any]]:
        """Of each transformer with columns: its name, itself, and what it is given."""
        width = array.shape[1]
        chosen = [
            (name, step, self._chosen(name, columns, width, names))
            for name, step, columns in self.transformers
        ]
        used = {i for _, _, columns in chosen for i in columns}
        chosen.append(("remainder", self.remainder, [i for i in range(width) if i not in used]))
        return [
            (name, step, _Frame(array[:, columns], None if names is None else [names[i] for i in columns]))
            for name, step, columns in chosen
            if columns and step != "drop"
        ]

    def fit(self, X: Any, y: Any = None) -> Self:
        with undone_on_error(self):
            self._forget()
            self._learn(X, lambda step, given: step.fit(given))
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        with undone_on_error(self):
            self._learn(X, lambda step, given: step.partial_fit(given))
        return self

    def _learn(self, X: Any, teach: Callable[[Transformer, Any], Any]) -> None:
        array, names = self._read(X)
        for name, step, given in self._split(array, names):
            if isinstance(step, Transformer):
                with _in_part(name):
                    teach(step, given.plain())
        self.n_features_in_ = np.array(array.shape[1])
        self._keep_names(names)

    def transform(self, X: Any) -> np.ndarray:
        self._check_fitted()
        array, names = self._read(X)
        results = []
        for name, step, given in self._split(array, names):
            if isinstance(step, Transformer):
                with _in_part(name):
                    results.append(step.transform(given.plain()))
            else:
                results.append(given.to_numpy())
        return np.concatenate(results, axis=1) if results else np.empty((len(array), 0))

    def get_state(self) -> dict[str, np.ndarray]:
        state = super().get_state()
        for name, step, _ in self.transformers:
            if isinstance(step, Transformer) and step._is_fitted:
                state |= prefixed(name, step.get_state())
        return state

    def set_state(self, state: Mapping[str, Any]) -> Self:
        with undone_on_error(self):
            super().set_state({name: array for name, array in state.items() if "." not in name})
            for name, step, _ in self.transformers:
                if isinstance(step, Transformer) and (part := of_part(name, state)):
                    step.set_state(part)
        return self


class _Frame:
    """Some columns of a table: numbers where all of them are, and their names."""

    def __init__(self, array: np.ndarray, names: list[str] | None) -> None:
        self._array, self.columns = array, names
        if array.dtype == object:
            with suppress(TypeError, ValueError):
                if not any(isinstance(value, str) for value in array.ravel()):
                    self._array = array.astype(np.float64)

    def to_numpy(self) -> np.ndarray:
        return self._array

    def plain(self) -> Any:
        """This frame, or where the columns have no names its array."""
        return self._array if self.columns is None else self


@contextmanager
def _in_part(name: str) -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError) as error:
        add_place(error, f"Columns: {name!r}")
        raise


def _check_transformer(owner: str, what: str, step: Any) -> None:
    if not isinstance(step, Transformer):
        raise TypeError(f"{owner}: {what} must be a transformer of ravine.preprocessing, got {step!r}")
