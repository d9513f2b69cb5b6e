"""What all transformers share: scikit-learn's methods, parameters, state as plain arrays, checks of
columns."""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ._table import blocks, floating, label, numbers, read, table

if TYPE_CHECKING:
    from typing_extensions import Self  # typing.Self needs Python 3.11

    from ._affine import Affine

_NAMES = "feature_names_in_"


class Transformer:
    """Base class of `ravine.preprocessing`: learns from data with `fit`, then changes data with `transform`.

    The methods are scikit-learn's. A subclass keeps what it is given under the arguments' names, and what it
    learns in attributes that end in an underscore.
    """

    _state_names: ClassVar[tuple[str, ...]] = ()  # the learned arrays from which all else follows
    _owner: ClassVar[str]  # who speaks in messages: the class, unless it says otherwise

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "_owner" not in cls.__dict__:
            cls._owner = cls.__name__

    # --- learning

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learns from X alone; what was learned before is forgotten. On an error nothing changes.

        Args:
            X: the data, as the class describes; a memory-mapped array is read block by block.
            y: not used, for scikit-learn's pipelines.
        """
        with undone_on_error(self):
            self._forget()
            self.partial_fit(X)
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Learns from X too, in addition to what was given before. On an error nothing changes.

        Pieces of a set, one after the other, teach what `fit` learns from the whole.
        """
        raise NotImplementedError

    def fit_transform(self, X: Any, y: Any = None) -> np.ndarray:
        """`fit(X)`, then `transform(X)`."""
        return self.fit(X).transform(X)

    def transform(self, X: Any) -> np.ndarray:
        """X, changed by what was learned, as a new array."""
        raise NotImplementedError

    def inverse_transform(self, X: Any) -> np.ndarray:
        """What `transform` made X from, as a new array. Raises TypeError where that cannot be told."""
        raise TypeError(f"{self._owner}: there is no inverse_transform, what was there before cannot be told")

    def affine(self) -> Affine:
        """The transformation as an affine map. Raises TypeError where it is none."""
        raise TypeError(f"{self._owner}: it is no affine map, so it cannot become a layer")

    # --- parameters and state

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments that the object was made with, by name, as scikit-learn asks for them."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params: Any) -> Self:
        """Changes arguments. Raises ValueError for a name that is none."""
        known = self.get_params()
        for name in params:
            if name not in known:
                raise ValueError(f"{self._owner}: no parameter {name!r}, expected one of {', '.join(known)}")
        changed = type(self)(**{**known, **params})  # which checks them
        for name in params:
            setattr(self, name, getattr(changed, name))
        return self

    def get_state(self) -> dict[str, np.ndarray]:
        """What was learned, as named arrays of numbers that `rv.save` writes, beside a model's weights say.

        `set_state` of an object with the same arguments takes it; `partial_fit` then goes on.
        """
        self._check_fitted()
        state = {name: np.array(getattr(self, name)) for name in self._state_names}
        names = getattr(self, _NAMES, None)
        if names is not None:
            state[_NAMES] = packed(list(names))
        return state

    def set_state(self, state: Mapping[str, Any]) -> Self:
        """Takes what `get_state` returned. Raises ValueError for missing or unexpected names."""
        missing = [name for name in self._state_names if name not in state]
        unexpected = [name for name in state if name not in (*self._state_names, _NAMES)]
        if missing or unexpected:
            raise ValueError(f"{self._owner}: the state misses {missing} and has unexpected {unexpected}")
        self._forget()
        for name in self._state_names:
            setattr(self, name, np.array(state[name]))
        if _NAMES in state:
            self.feature_names_in_ = np.array(unpacked(state[_NAMES]), dtype=object)
        return self

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self)).parameters
        given = [
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if repr(value) != repr(defaults[name].default)
        ]
        return f"{self._owner}({', '.join(given)})"

    def __sklearn_clone__(self) -> Self:
        twin = copy.deepcopy(self)
        twin._forget()
        return twin

    def __sklearn_is_fitted__(self) -> bool:
        return self._is_fitted

    def __sklearn_tags__(self) -> Any:
        """What pipelines of scikit-learn, from which alone this is called, want to know of a transformer."""
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(),
            input_tags=InputTags(allow_nan=True),
        )

    # --- for subclasses

    @property
    def _is_fitted(self) -> bool:
        return all(name in self.__dict__ for name in self._state_names)

    def _check_fitted(self) -> None:
        if not self._is_fitted:
            raise ValueError(f"{self._owner}: it has not been fitted; call fit or partial_fit first")

    def _forget(self) -> None:
        """Removes all that was learned."""
        for name in [name for name in self.__dict__ if name.endswith("_")]:
            del self.__dict__[name]

    def _restorer(self) -> Callable[[], None]:
        """A function that brings back what is learned now. Learned arrays are replaced, never written
        into."""
        before = dict(self.__dict__)

        def restore() -> None:
            self.__dict__.clear()
            self.__dict__.update(before)

        return restore

    def _check_names(self, names: list[str] | None) -> None:
        """Raises ValueError where a frame's columns are others than in the first fit."""
        known = getattr(self, _NAMES, None)
        if names is None or known is None or names == list(known):
            return
        missing = [name for name in known if name not in names]
        unexpected = [name for name in names if name not in known]
        if missing or unexpected:
            raise ValueError(
                f"{self._owner}: columns {missing} of the fit are missing, {unexpected} are unexpected"
            )
        raise ValueError(
            f"{self._owner}: columns must be in the order of the fit, {list(known)}, got {names}"
        )

    def _keep_names(self, names: list[str] | None) -> None:
        if names is not None and _NAMES not in self.__dict__:
            self.feature_names_in_ = np.array(names, dtype=object)

    def _column(self, i: int) -> str:
        return label(getattr(self, _NAMES, None), i)

    def _derived(self, source: Any, key: Any, make: Callable[[], Any]) -> Any:
        """`make()`, which depends on the learned object `source` and the key; kept until another is
        learned."""
        kept = self.__dict__.get("_kept")
        if kept is None or kept[0] is not source:
            kept = self._kept = (source, {})
        if key not in kept[1]:
            kept[1][key] = make()
        return kept[1][key]


class NumericTransformer(Transformer):
    """A transformer of tables of numbers [rows, columns].

    NaN are missing numbers unless a subclass refuses them: learning leaves them out, transforming keeps them.
    """

    _takes_missing: ClassVar[bool] = True

    @property
    def n_features_in_(self) -> int:
        """The number of columns that were learned from."""
        raise NotImplementedError

    def _read(self, X: Any) -> tuple[np.ndarray, list[str] | None]:
        array, names = read(self._owner, X)
        array = table(self._owner, array)
        return numbers(self._owner, array, names, missing=self._takes_missing), names

    def _to_learn(self, X: Any) -> tuple[np.ndarray, list[str] | None]:
        """X as a table of at least one row and column, and of the columns learned from before."""
        array, names = self._read(X)
        if array.size == 0:
            raise ValueError(
                f"{self._owner}: at least one row and one column are expected, got shape {array.shape}"
            )
        if self._is_fitted:
            self._check_columns(array, names)
        return array, names

    def _to_transform(self, X: Any) -> np.ndarray:
        self._check_fitted()
        array, names = self._read(X)
        self._check_columns(array, names)
        return array

    def _check_columns(self, array: np.ndarray, names: list[str] | None) -> None:
        self._check_names(names)
        if array.shape[1] != self.n_features_in_:
            raise ValueError(
                f"{self._owner}: {self.n_features_in_} columns were fitted, got {array.shape[1]}"
            )

    def _by_blocks(
        self, array: np.ndarray, change: Callable[[np.ndarray], np.ndarray], columns: int | None = None
    ) -> np.ndarray:
        """A new array of `change(block)` of float64 blocks of rows; `columns` if there are others."""
        result = np.empty((len(array), array.shape[1] if columns is None else columns), floating(array))
        for rows in blocks(array):
            result[rows] = change(array[rows].astype(np.float64))
        return result


@contextmanager
def undone_on_error(transformer: Transformer) -> Iterator[None]:
    """What the transformer learns in the meantime is undone where an error is raised."""
    restore = transformer._restorer()
    try:
        yield
    except BaseException:
        restore()
        raise


def packed(texts: Any) -> np.ndarray:
    """Lists of texts, numbers and None as bytes, for a state of plain arrays."""
    return np.frombuffer(json.dumps(texts).encode(), np.uint8).copy()


def unpacked(array: Any) -> Any:
    """What `packed` was given."""
    return json.loads(np.asarray(array, np.uint8).tobytes().decode())


def prefixed(prefix: str, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The state of a part, as part of another's."""
    return {f"{prefix}.{name}": array for name, array in state.items()}


def of_part(prefix: str, state: Mapping[str, Any]) -> dict[str, Any]:
    """What `prefixed` was given, out of the whole."""
    start = f"{prefix}."
    return {name.removeprefix(start): array for name, array in state.items() if name.startswith(start)}
