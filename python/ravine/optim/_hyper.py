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

    The step's state_dict holds what differs from the optimizer that was handed over, as "hyper.<name>", and a
    resumed step goes on with it. Functions of the step and averages are code, which no state_dict holds: set
    them again before loading.

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

    __slots__ = ("_bound", "_changed", "_lock", "_of")

    def __init__(
        self,
        bound: BoundOptimizer,
        lock: AbstractContextManager[Any],
        changed: Callable[[], None],
        group: str | None = None,
    ) -> None:
        self._bound, self._lock, self._changed, self._of = bound, lock, changed, group

    @property
    def _group(self) -> Group | None:
        return None if self._of is None else self._bound.groups()[self._of]

    def __getitem__(self, name: str) -> Any:
        with self._lock:
            self._changed()  # takes over what was set in the optimizer
        if (group := self._group) is not None:
            return group._hyper[self._known(name)]
        groups = self._bound.groups()
        if name in groups:
            return Hyper(self._bound, self._lock, self._changed, name)
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
        group = self._group
        return list(self._bound.own._numbers()) if group is None else list(group._hyper)

    def __iter__(self) -> Iterator[str]:
        yield from self._names()
        if self._of is None:
            yield from self._bound.groups()

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __repr__(self) -> str:
        return f"Hyper({dict(self)!r})"
