"""The programs of one model, training step or function, by what they serve."""

from __future__ import annotations

import itertools
import os
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any

from .. import _core
from ._compile import Compiled
from ._settings import settings

_WARNED = 10  # recompilations for one cause, after which a warning names it


class ProgramCache:
    """Compiled programs by key and signature, the least recently used dropped.

    One thread compiles at a time, the others wait. What is there already is found and used without a lock:
    every change of the table is one operation of it.

    Args:
        owner: whose programs these are, for errors and warnings.
    """

    __slots__ = ("_causes", "_compiling", "_owner", "_programs", "_uses")

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._compiling = _core.Lock(owner)
        self._programs: dict[Hashable, tuple[Compiled, ...]] = {}  # of a key, the newest first
        self._uses = itertools.count(1)
        self._causes: Counter[str] = Counter()  # of recompilations

    def get(self, key: Hashable, build: Callable[[], Compiled]) -> Compiled:
        compiled = self._find(key)
        if compiled is None:
            with self._compiling:
                compiled = self._find(key)  # another thread may have compiled it meanwhile
                if compiled is None:
                    self._tell(key)
                    compiled = build()
                    compiled.used = next(self._uses)
                    self._programs[key] = (compiled, *self._programs.get(key, ()))
                    self._drop_least_recently_used()
        return compiled

    def _find(self, key: Hashable) -> Compiled | None:
        for compiled in self._programs.get(key, ()):
            if compiled.signature.holds():
                compiled.used = next(self._uses)
                return compiled
        return None

    def _tell(self, key: Hashable) -> None:
        """Writes why a program is compiled, if that is asked for; warns of the tenth for one cause."""
        others = self._programs.get(key)
        what, how = others[0].signature.change() if others else ("", "")
        if what:
            self._causes[what] += 1
            if self._causes[what] == _WARNED:
                warnings.warn(
                    f"{self._owner} was compiled again for the {_WARNED}th time because {what} {how}. A "
                    f"number that changes can be an rv.Scalar, an array a Buffer or an argument: they do not "
                    f"compile again. RAVINE_LOG=recompile lists all recompilations",
                    stacklevel=2,
                )
        if "recompile" in os.environ.get("RAVINE_LOG", ""):
            new = "a first program" if not self._programs else "other shapes, dtypes, numbers or options"
            print(f"ravine: {self._owner} is compiled: {f'{what} {how}' if what else new}", file=sys.stderr)

    def _drop_least_recently_used(self) -> None:
        oldest = self._all()[:-1]  # but the newest
        n, kept = len(oldest) + 1, sum(program.arena_bytes for program in self.programs())
        for dropped in oldest:
            if n <= settings.programs and kept <= settings.program_bytes:
                break
            n, kept = n - 1, kept - dropped.program.arena_bytes
            for key, group in list(self._programs.items()):
                if dropped in group:
                    self._programs[key] = tuple(compiled for compiled in group if compiled is not dropped)
        self._programs = {key: group for key, group in self._programs.items() if group}

    def clear(self) -> None:
        self._programs = {}

    def __len__(self) -> int:
        return sum(map(len, self._programs.values()))

    def _all(self) -> list[Compiled]:
        """Those that were looked up last come last."""
        groups = list(self._programs.values())
        return sorted(
            (compiled for group in groups for compiled in group), key=lambda compiled: compiled.used
        )

    def programs(self) -> list[_core.Program]:
        return [compiled.program for compiled in self._all()]

    def draws_random_numbers(self) -> bool:
        return any(compiled.draws_random_numbers for compiled in self._all())

    def __deepcopy__(self, memo: dict[int, Any]) -> ProgramCache:
        return ProgramCache(self._owner)

    def __reduce__(self) -> Any:
        return ProgramCache, (self._owner,)
