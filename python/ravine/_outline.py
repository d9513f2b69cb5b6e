"""The nesting of arguments and results without their arrays, as JSON holds it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["Place", "filled", "is_flat", "outline"]


class Place:
    """Where the array with this number stands."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


def outline(x: Any, what: str) -> Any:
    """The nesting of places, numbers, texts and None in lists and dicts that JSON has.

    Raises TypeError for something else, and ValueError for a dict with names that are no texts.
    """
    if isinstance(x, Place):
        return x.number
    if x is None or isinstance(x, bool | int | float | str):
        return {"value": x}
    if isinstance(x, tuple | list):
        return {"tuple" if isinstance(x, tuple) else "list": [outline(item, what) for item in x]}
    if isinstance(x, dict):
        if any(not isinstance(name, str) for name in x):
            raise ValueError(f"{what}: the names of a dict must be texts, got {list(x)}")
        return {"dict": [[name, outline(item, what)] for name, item in x.items()]}
    raise TypeError(
        f"{what}: arrays, numbers and texts in tuples, lists and dicts are expected, got {type(x).__name__}"
    )


def is_flat(nesting: Any) -> bool:
    """Whether it is a tuple of arrays."""
    return isinstance(nesting, dict) and nesting.get("tuple") == list(range(len(nesting.get("tuple", ()))))


def filled(nesting: Any, arrays: Sequence[Any]) -> Any:
    """The nesting with arrays at their places. Raises ValueError for what `outline` did not make."""
    if isinstance(nesting, int) and not isinstance(nesting, bool) and 0 <= nesting < len(arrays):
        return arrays[nesting]
    if isinstance(nesting, dict) and len(nesting) == 1:
        ((kind, held),) = nesting.items()
        if kind == "value" and (held is None or isinstance(held, bool | int | float | str)):
            return held
        if kind in ("tuple", "list") and isinstance(held, list):
            items = [filled(item, arrays) for item in held]
            return tuple(items) if kind == "tuple" else items
        if kind == "dict" and isinstance(held, list):
            return dict(_pairs(held, arrays))
    raise ValueError(f"a nesting of arrays is expected, got {nesting!r:.200}")


def _pairs(held: list[Any], arrays: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    for pair in held:
        if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str)):
            raise ValueError(f"a name and its value are expected, got {pair!r:.200}")
        yield pair[0], filled(pair[1], arrays)
