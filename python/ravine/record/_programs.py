"""The programs of one model, training step or function, by what they serve."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable
from typing import Any

from .. import _core
from ._arguments import Inputs
from ._compile import Compiled
from ._recompilations import Recompilations
from ._settings import settings


class ProgramCache:
    """Compiled programs by inputs, variant and signature, the least recently used dropped.

    One thread compiles at a time, the others wait. What is there already is found and used without a lock:
    every change of the table is one operation of it. How many there are costs nothing until one has to go.

    Args:
        owner: whose programs these are, for errors and warnings.
    """

    __slots__ = ("_bytes", "_compiling", "_n", "_owner", "_programs", "_recompilations", "_uses")

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._compiling = _core.Lock(owner)
        self._programs: dict[Hashable, tuple[Compiled, ...]] = {}  # of a key, the newest first
        self._n = 0  # of programs
        self._bytes = 0  # of their memory
        self._uses = itertools.count(1)
        self._recompilations = Recompilations(owner)

    def get(self, inputs: Inputs, build: Callable[[], Compiled], variant: Hashable = None) -> Compiled:
        """The program for these inputs; `build` makes it where there is none.

        Args:
            inputs: of the call.
            build: compiles.
            variant: tells programs of the same inputs apart.
        """
        key = (variant, inputs.key)
        compiled = self._find(key)
        if compiled is None:
            with self._compiling:
                compiled = self._find(key)  # another thread may have compiled it meanwhile
                if compiled is None:
                    others = self._programs.get(key)
                    shapes = [array.shape for array in inputs.arrays]
                    self._recompilations.add(shapes, others[0].signature if others else None)
                    compiled = build()
                    compiled.used = next(self._uses)
                    # Building may have cleared the table.
                    self._programs[key] = (compiled, *self._programs.get(key, ()))
                    self._n += 1
                    self._bytes += compiled.program.arena_bytes
                    self._drop_least_recently_used()
        return compiled

    def _find(self, key: Hashable) -> Compiled | None:
        for compiled in self._programs.get(key, ()):
            if compiled.signature.holds():
                compiled.used = next(self._uses)
                return compiled
        return None

    def _drop_least_recently_used(self) -> None:
        if self._n <= settings.programs and self._bytes <= settings.program_bytes:
            return
        for key, dropped in self._by_use()[:-1]:  # but the newest
            if self._n <= settings.programs and self._bytes <= settings.program_bytes:
                break
            kept = tuple(compiled for compiled in self._programs[key] if compiled is not dropped)
            if kept:
                self._programs[key] = kept
            else:
                del self._programs[key]
            self._n -= 1
            self._bytes -= dropped.program.arena_bytes
        self._recompilations.dropped()

    def clear(self) -> None:
        self._programs, self._n, self._bytes = {}, 0, 0

    def __len__(self) -> int:
        return self._n

    def _by_use(self) -> list[tuple[Hashable, Compiled]]:
        """Programs with their keys; those that were looked up last come last."""
        groups = list(self._programs.items())
        return sorted(
            ((key, compiled) for key, group in groups for compiled in group), key=lambda item: item[1].used
        )

    def programs(self) -> list[_core.Program]:
        return [compiled.program for _, compiled in self._by_use()]

    def draws_random_numbers(self) -> bool:
        return any(compiled.draws_random_numbers for _, compiled in self._by_use())

    def __deepcopy__(self, memo: dict[int, Any]) -> ProgramCache:
        return ProgramCache(self._owner)

    def __reduce__(self) -> Any:
        return ProgramCache, (self._owner,)
