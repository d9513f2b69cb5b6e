"""What a scalar is a mean of, kept beside it: so that means over several batches can be those of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

__all__ = ["LINEAR", "Combination", "Mean", "combined", "means_in"]


class Mean(NamedTuple):
    """Of a scalar that is Σ terms / denominator.

    Attributes:
        terms: a tensor.
        counts: a tensor whose sum is the denominator; None if that is `size`.
        size: a number.
        shape: of terms and counts by examples, the examples first.
    """

    terms: Any
    counts: Any
    size: float
    shape: tuple[int, ...]


class Combination(NamedTuple):
    """Of a scalar that is a linear function of means and other scalars: the operation that made it."""

    op: str
    inputs: Sequence[Any]
    attrs: Mapping[str, Any]


Means: TypeAlias = Mean | Combination | None

# Operations that may be linear in a scalar: sums and reshapings have but one element.
LINEAR = frozenset(("add", "sub", "mul", "div", "neg", "cast", "reshape", "sum", "mean", "identity"))


def _of(x: Any) -> Means:
    return getattr(x, "means", None)


def combined(op: str, inputs: Sequence[Any], attrs: Mapping[str, Any]) -> Means:
    """What the scalar result of a `LINEAR` operation is a combination of; None if that is nothing known."""
    known = [_of(x) is not None for x in inputs]
    if not any(known) or (op == "mul" and all(known)) or (op == "div" and known[1]):
        return None
    return Combination(op, inputs, attrs)


def means_in(x: Any) -> Iterator[Mean]:
    """The means that a scalar is, or is a combination of, each once, from left to right."""
    waiting, seen = [x], set()  # no recursion: a loss may be the sum of thousands
    while waiting:
        x = waiting.pop()
        if id(x) in seen:
            continue
        seen.add(id(x))
        means = _of(x)
        if isinstance(means, Mean):
            yield means
        elif means is not None:
            waiting.extend(reversed(means.inputs))
