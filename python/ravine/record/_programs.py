"""The programs of one model, training step or function, by what they serve."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
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
        lock: held while `run` runs a program; None for none.

    Attributes:
        run: a function of a tuple of arguments: the result, if `remember` was told of such a call and its
            program serves; else NotImplemented.
    """

    __slots__ = (
        "_bytes",
        "_calls",
        "_compiling",
        "_n",
        "_owner",
        "_programs",
        "_recompilations",
        "run",
    )

    def __init__(self, owner: str, lock: _core.Lock | None = None) -> None:
        self._owner = owner
        self._calls = _core.Calls(lock)
        self.run = self._calls.run
        self._compiling = _core.Lock(owner)
        self._programs: dict[Hashable, tuple[Compiled, ...]] = {}  # of a key, the newest first
        self._n = 0  # of programs
        self._bytes = 0  # of their memory
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
                    compiled.used = _core.next_use()
                    # Building may have cleared the table.
                    self._programs[key] = (compiled, *self._programs.get(key, ()))
                    self._n += 1
                    self._bytes += compiled.program.arena_bytes
                    self._drop_least_recently_used()
        return compiled

    def remember(
        self,
        arguments: tuple[Any, ...],
        compiled: Compiled,
        *,
        watches: Sequence[_core.Watch] = (),
        before: Sequence[Callable[[], object]] = (),
        number: bool = False,
    ) -> None:
        """Lets `run` serve calls on arguments like these.

        Args:
            arguments: arrays, in the order of the program's inputs, and objects that count by identity.
            compiled: a program of this cache.
            watches: of what else has to be as it was.
            before: functions to be called before each run.
            number: whether a result that is one output is returned as a number.
        """
        signature, stream = compiled.signature, compiled.stream
        self._calls.remember(
            arguments,
            compiled.program,
            watches=(signature.watch, *watches),
            guards=(signature.guards_hold,) if signature.guarded else (),
            before=(*before, stream.get) if stream is not None else tuple(before),
            result=float if number and compiled.rebuild is None else compiled.rebuild,
            held=list(compiled.held),
        )

    def forget_calls(self) -> None:
        """Lets `run` serve no call until it is remembered again."""
        self._by_use()  # while it is known which were used last
        self._calls.forget()

    def _find(self, key: Hashable) -> Compiled | None:
        for compiled in self._programs.get(key, ()):
            if compiled.signature.holds():
                compiled.used = _core.next_use()
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
        self.forget_calls()
        self._recompilations.dropped()

    def clear(self) -> None:
        self._calls.forget()
        self._programs, self._n, self._bytes = {}, 0, 0

    def __len__(self) -> int:
        return self._n

    def _by_use(self) -> list[tuple[Hashable, Compiled]]:
        """Programs with their keys; those that were used last come last."""
        groups = list(self._programs.items())
        programs = [(key, compiled) for key, group in groups for compiled in group]
        by_program = {id(compiled.program): compiled for _, compiled in programs}
        for program, used in self._calls.uses():
            if (compiled := by_program.get(id(program))) is not None:
                compiled.used = max(compiled.used, used)
        return sorted(programs, key=lambda item: item[1].used)

    def programs(self) -> list[_core.Program]:
        return [compiled.program for _, compiled in self._by_use()]

    def draws_random_numbers(self) -> bool:
        return any(compiled.draws_random_numbers for _, compiled in self._by_use())

    def __deepcopy__(self, memo: dict[int, Any]) -> ProgramCache:
        return ProgramCache(self._owner)

    def __reduce__(self) -> Any:
        return ProgramCache, (self._owner,)
