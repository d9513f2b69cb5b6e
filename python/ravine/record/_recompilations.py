"""Why programs are compiled again: a warning for a cause that comes back, and a list for those who ask."""

from __future__ import annotations

import os
import sys
import warnings
from collections import Counter
from collections.abc import Sequence

from ._settings import settings
from ._signature import Signature

_WARNED = 10  # recompilations for one cause, after which a warning names it
_SIZES = 40  # of one dimension, after which a warning names it

Shapes = Sequence[tuple[int, ...]]


class Recompilations:
    """Those of one model, training step or function.

    Args:
        owner: whose programs these are.
    """

    __slots__ = ("_causes", "_newest", "_owner", "_sizes")

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._causes: Counter[str] = Counter()
        self._newest: Shapes | None = None  # of the program compiled last
        # Of dimensions (array, axis), the sizes that programs were compiled for; None after the warning.
        self._sizes: dict[tuple[int, int], set[int]] | None = {}

    def add(self, shapes: Shapes, other: Signature | None) -> None:
        """A program is about to be compiled for these shapes.

        Args:
            shapes: of the arrays of the call.
            other: of a program for the same shapes, which does not hold now.
        """
        what, how = other.change() if other is not None else ("", "")
        if "recompile" in os.environ.get("RAVINE_LOG", ""):
            cause = f"{what} {how}" if what else self._new(shapes)
            print(f"ravine: {self._owner} is compiled: {cause}", file=sys.stderr)
        if what:
            self._count(what, how)
        elif other is None:
            self._count_sizes(shapes)
        self._newest = shapes

    def dropped(self) -> None:
        """A program had to go, as there are too many."""
        self._warn_of_sizes(2)

    def _new(self, shapes: Shapes) -> str:
        """How these shapes differ from those before."""
        if self._newest is None:
            return "a first program"
        for i, (before, now) in enumerate(zip(self._newest, shapes, strict=False)):
            if len(before) == len(now) and before != now:
                axis = next(axis for axis in range(len(now)) if before[axis] != now[axis])
                return f"dimension {axis} of array {i} was {before[axis]} and is {now[axis]}"
        return "other shapes, dtypes, numbers or options"

    def _count(self, what: str, how: str) -> None:
        self._causes[what] += 1
        if self._causes[what] == _WARNED:
            warnings.warn(
                f"{self._owner} was compiled again for the {_WARNED}th time because {what} {how}. A "
                f"number that changes can be an rv.Scalar, an array a Buffer or an argument: they do not "
                f"compile again. RAVINE_LOG=recompile lists all recompilations",
                stacklevel=2,
            )

    def _count_sizes(self, shapes: Shapes) -> None:
        if self._sizes is None:
            return
        for i, shape in enumerate(shapes):
            for axis, size in enumerate(shape):
                self._sizes.setdefault((i, axis), set()).add(size)
        self._warn_of_sizes(_SIZES)

    def _warn_of_sizes(self, least: int) -> None:
        """Warns, once, of the dimension with most sizes if it has had at least so many."""
        if not self._sizes:
            return
        # Of dimensions that vary together the last: of a batch of sequences that is the length.
        (array, axis), sizes = max(
            self._sizes.items(), key=lambda item: (len(item[1]), item[0][1], -item[0][0])
        )
        if len(sizes) < least:
            return
        self._sizes = None
        shown = ", ".join(map(str, sorted(sizes)[:3]))
        way = (
            "Give batches one size (drop_last=True)"
            if axis == 0
            else "Pad to few lengths (ravine.data.pad_sequences), or draw like lengths together "
            "(ravine.data.Batches(bucket_by=...))"
        )
        warnings.warn(
            f"{self._owner} was compiled for {len(sizes)} sizes of dimension {axis} of array {array} of its "
            f"arguments ({shown}, ...): each costs a compilation, and at most {settings.programs} programs "
            f"of {settings.program_bytes / 2**30:.3g} GiB together are kept (rv.set_program_cache_size). "
            f"{way}. "
            f"RAVINE_LOG=recompile lists all recompilations",
            stacklevel=2,
        )
