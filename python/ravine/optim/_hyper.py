"""The numbers of a running step, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from ._bound import BoundOptimizer
from ._options import Group


class Hyper(Mapping[str, Any]):
    """The hyperparameters of a running step: `step.hyper["lr"] = 0.01` holds from the next call on.

    The names are those of the optimizer's attributes: its rule's numbers, the numbers of its stages
    ("clip_norm"), those of wrappers ("alpha" of Lookahead), and the names of its groups, whose value is again
    such a mapping: `step.hyper["head"]["lr"]`. Nothing is compiled again, unless something is turned on or
    off. The optimizer that was handed over keeps its own numbers, and setting one there sets it here too.

    Raises KeyError for an unknown name, and what setting the optimizer's attribute raises.

    Example:
        >>> from ravine import nn, optim
        >>> groups = [optim.Group("bias", lr=0.2)]
        >>> update = optim.Update(optim.SGD(lr=0.1, clip_norm=1.0, groups=groups), nn.Linear(3, 1))
        >>> update.hyper["clip_norm"] = 0.5
        >>> update.hyper["bias"]["lr"] = 0.01
        >>> update.hyper["clip_norm"], dict(update.hyper["bias"])
        (0.5, {'lr': 0.01})
    """

    __slots__ = ("_bound", "_changed", "_group", "_lock")

    def __init__(
        self,
        bound: BoundOptimizer,
        lock: AbstractContextManager[Any],
        changed: Callable[[], None],
        group: Group | None = None,
    ) -> None:
        self._bound, self._lock, self._changed, self._group = bound, lock, changed, group

    def __getitem__(self, name: str) -> Any:
        with self._lock:
            self._changed()  # takes over what was set in the optimizer
        if self._group is not None:
            return self._group._hyper[self._known(name)]
        groups = self._bound.groups()
        if name in groups:
            return Hyper(self._bound, self._lock, self._changed, groups[name])
        return getattr(self._bound.own, self._known(name))

    def __setitem__(self, name: str, value: Any) -> None:
        with self._lock:
            self._changed()
            setattr(self._group or self._bound.own, self._known(name), value)
            self._changed()

    def _known(self, name: str) -> str:
        names = self._names()
        if name not in names:
            raise KeyError(f"hyper: there is no number {name!r}, only {', '.join(names)}")
        return name

    def _names(self) -> list[str]:
        return list(self._bound.own._numbers()) if self._group is None else list(self._group._hyper)

    def __iter__(self) -> Iterator[str]:
        yield from self._names()
        if self._group is None:
            yield from self._bound.groups()

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __repr__(self) -> str:
        return f"Hyper({dict(self)!r})"
