"""What `fit`, `evaluate` and `predict` are given, as sources of batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from .._nesting import as_arrays, common_length, shapes_of
from ..data import Batches, Source, Stream, split_indices
from ._weights import example_weights

__all__ = [
    "EVALUATED_AT_ONCE",
    "as_batch",
    "as_source",
    "check_examples",
    "training_sources",
    "validation_sources",
]

# Examples in a batch of a validation, at least.
EVALUATED_AT_ONCE = 256


def check_examples(caller: str, x: Any, y: Any) -> tuple[Any, Any]:
    """Examples and targets as arrays. Raises ValueError unless there are as many of both, and some."""
    x, y = as_arrays(x, f"{caller}: x"), as_arrays(y, f"{caller}: y")
    if not common_length((x, y)):
        raise ValueError(
            f"{caller}: x has shape {shapes_of(x)} and y {shapes_of(y)}, expected as many targets as "
            "examples, not none"
        )
    return x, y


def as_batch(batch: Any) -> tuple[Any, Any, Any]:
    """Inputs, targets, and the examples' weights or None.

    Raises ValueError for anything but (x, y) and (x, y, weight).
    """
    if type(batch) is tuple and len(batch) == 2 and type(batch[0]) is type(batch[1]) is np.ndarray:
        x, y = batch
        return x, y, None
    if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
        seen = f"a {type(batch).__name__}" + (f" of {len(batch)}" if isinstance(batch, tuple | list) else "")
        raise ValueError(f"a batch of the source is {seen}, expected (x, y) or (x, y, weight)")
    x, y = as_arrays(batch[0], "x of a batch"), as_arrays(batch[1], "y of a batch")
    if len(batch) == 2:
        return x, y, None
    return x, y, as_arrays(batch[2], "weight of a batch")


def _is_source(x: Any) -> bool:
    """Whether x holds batches, rather than examples."""
    examples = isinstance(x, np.ndarray | dict | tuple) or hasattr(x, "__array__") or hasattr(x, "columns")
    numbers = isinstance(x, list) and not (x and isinstance(x[0], tuple | list) and len(x[0]) in (2, 3))
    return isinstance(x, Source) or (not examples and not numbers and isinstance(x, Iterable))


def as_source(caller: str, x: Any, y: Any, batch_size: int, weight: Any = None) -> Source:
    """Of examples and targets their batches in order, of a source itself."""
    if y is None and _is_source(x):
        if weight is not None:
            raise ValueError(
                f"{caller}: a source gives the weights of its examples itself, as (x, y, weight)"
            )
        return x if isinstance(x, Source) else Stream(x)
    if y is None:
        raise ValueError(f"{caller}: targets y are missing; only a source of batches (x, y) has its own")
    x, y = check_examples(caller, x, y)
    weight = example_weights(x, y, weight, None, caller)
    return Batches(*((x, y) if weight is None else (x, y, weight)), batch_size=batch_size)


def training_sources(
    x: Any,
    y: Any,
    *,
    batch_size: int,
    shuffle: bool,
    drop_last: bool,
    seed: int,
    validation_split: float,
    sample_weight: Any,
    class_weight: Any,
) -> tuple[Source, Source | None]:
    """The source of the training, and of the share of examples that is set aside."""
    if y is None and _is_source(x):
        if validation_split != 0.0:
            raise ValueError("fit: validation_split needs arrays x and y; give validation_data")
        if sample_weight is not None or class_weight is not None:
            raise ValueError("fit: a source gives the weights of its examples itself, as (x, y, weight)")
        return (x if isinstance(x, Source) else Stream(x)), None
    if y is None:
        raise ValueError("fit: targets y are missing; only a source of batches (x, y) has its own")
    x, y = check_examples("fit", x, y)
    rows = held_out = None
    if validation_split != 0.0:
        n = common_length((x, y))
        assert n is not None
        rows, held_out = split_indices(n, float(validation_split), seed=seed)
    weight = example_weights(x, y, sample_weight, class_weight)
    arrays = (x, y) if weight is None else (x, y, weight)
    source = Batches(
        *arrays, batch_size=batch_size, shuffle=shuffle, seed=seed, drop_last=drop_last, rows=rows
    )
    if len(source) == 0:
        raise ValueError(
            f"fit: {source.n} examples are no full mini-batch of {batch_size}, and drop_last is set"
        )
    if held_out is None:
        return source, None
    of_examples = example_weights(x, y, sample_weight, None)
    arrays = (x, y) if of_examples is None else (x, y, of_examples)
    return source, Batches(*arrays, batch_size=max(batch_size, EVALUATED_AT_ONCE), rows=held_out)


def validation_sources(given: Any, batch_size: int) -> dict[str, Source]:
    """Sources by the prefix of their values: "val_" for one set, "val_<name>_" for several."""
    if given is None:
        return {}
    size = max(batch_size, EVALUATED_AT_ONCE)
    if isinstance(given, Mapping):
        return {
            f"val_{name}_": _one(f"validation_data[{name!r}]", data, size) for name, data in given.items()
        }
    return {"val_": _one("validation_data", given, size)}


def _one(what: str, given: Any, batch_size: int) -> Source:
    if isinstance(given, tuple) and len(given) == 2:
        return as_source(f"fit: {what}", *given, batch_size)
    if isinstance(given, tuple) and len(given) == 3:
        x, y, weight = given
        return as_source(f"fit: {what}", x, y, batch_size, weight)
    if not _is_source(given) or isinstance(given, Iterator):
        raise ValueError(
            f"fit: {what} is a {type(given).__name__}, expected (x, y), (x, y, weight), a source "
            "of batches, or a dict of these by name"
        )
    return as_source(f"fit: {what}", given, None, batch_size)
