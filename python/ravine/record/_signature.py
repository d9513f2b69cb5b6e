"""The signature of a program: what it depends on besides its inputs, and whether that is as it was."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Iterable
from functools import partial
from typing import Any

import numpy as np

from .. import _core
from ._parameter import Parameter, State
from ._reach import Place, Reach
from ._tensor import Tensor
from ._thread import thread
from ._versions import Versioned

_HASHED_BYTES = 1 << 16  # larger arrays that operations do not read themselves count by identity
_DEPTH = 4  # of containers inside containers


class _Identity:
    """Equal to another of the same living object; an address alone may be that of a later object."""

    __slots__ = ("_address", "_object")

    def __init__(self, x: object) -> None:
        self._address = id(x)
        try:
            self._object: Callable[[], object] = weakref.ref(x)
        except TypeError:  # cannot be referred to weakly: kept alive
            self._object = lambda: x

    def __hash__(self) -> int:
        return self._address

    def __eq__(self, other: object) -> bool:
        mine = self._object()
        return mine is not None and isinstance(other, _Identity) and other._object() is mine


class Reader:
    """Makes keys of values. `mutable` tells that one of them can change without an assignment.

    Args:
        state: arrays, by identity, whose numbers a program reads in every run.
        numbers: arrays, by identity, whose numbers the recording has looked at.
    """

    __slots__ = ("_numbers", "_state", "mutable")

    def __init__(self, state: frozenset[int] = frozenset(), numbers: frozenset[int] = frozenset()) -> None:
        self._state, self._numbers = state, numbers
        self.mutable = False

    def key(self, x: Any, depth: int = _DEPTH) -> Hashable:
        if x is None or isinstance(x, bool | int | str | bytes):
            return (type(x), x)
        if isinstance(x, float | complex | np.generic):
            return (type(x), repr(x))  # NaN equals itself here
        if isinstance(x, tuple):
            return (type(x), *(self.key(item, depth) for item in x))
        if isinstance(x, State):
            if not isinstance(x, Parameter):
                return _Identity(x.array)
            constraint = x.constraint
            return (
                _Identity(x.array),
                x.requires_grad,
                None if constraint is None else _Identity(constraint),
            )
        if isinstance(x, np.ndarray):
            return self._array(x)
        if depth > 0 and isinstance(x, list | set | frozenset):
            self.mutable = True
            items = [self.key(item, depth - 1) for item in x]
            return (type(x), frozenset(items) if not isinstance(x, list) else tuple(items))
        if depth > 0 and isinstance(x, dict):
            self.mutable = True
            return (dict, *((self.key(k, depth - 1), self.key(v, depth - 1)) for k, v in x.items()))
        return (type(x), _Identity(x))

    def _array(self, x: np.ndarray) -> Hashable:
        kind = (x.shape, x.dtype.str)
        by_content = id(x) in self._numbers or (id(x) not in self._state and x.nbytes <= _HASHED_BYTES)
        if not by_content:
            return (*kind, _Identity(x))
        self.mutable = True
        if id(x) in self._numbers:
            return (*kind, np.ascontiguousarray(x).tobytes())
        return (*kind, hash(np.ascontiguousarray(x).tobytes()))


class _Guard:
    """A place, and the key of the value that was there."""

    __slots__ = ("_key", "_mutable", "_reader", "_value", "place")

    def __init__(self, place: Place, reader: Reader) -> None:
        self.place, self._reader = place, reader
        self._value = place.value()
        reader.mutable = False
        self._key = reader.key(self._value)
        self._mutable = reader.mutable

    @property
    def by_content(self) -> bool:
        """Whether the value is an array, or can change without an assignment."""
        return self._mutable or isinstance(self._value, np.ndarray)

    def holds(self) -> bool:
        value = self.place.value()
        if value is self._value and not self._mutable:
            return True
        return self._reader.key(value) == self._key

    def texts(self) -> tuple[str, str]:
        """What was there, and what is there now."""
        return _text(self._value), _text(self.place.value())


class Signature:
    """What a recording depends on besides its inputs.

    It is the static half of every module that the recording can touch, with its mode, and the numbers, texts
    and objects that its functions can reach; the arrays of state are read when a program runs. It is made
    before the recording, completed by `finish` after it.

    Args:
        roots: the functions and modules that are recorded.
    """

    __slots__ = ("_guards", "_keys", "_modes", "_modules", "_reach", "_reader", "_versions", "watch")

    def __init__(self, roots: Iterable[Any]) -> None:
        self._reach: Reach | None = Reach(roots)
        self._reader = Reader()
        # Weak references: a module keeps its programs, and those keep signatures.
        self._modules: list[tuple[str, weakref.ref[Versioned]]] = []
        self._keys: list[dict[str, Hashable]] = []
        self._versions: list[int] = []
        self._modes: list[bool] = []
        self.watch: _core.Watch  # of the modules, for a thread without modes of its own
        self._guards = [_Guard(place, self._reader) for place in self._reach.places]
        for path, module in self._reach.modules.values():
            self._add(path, module)

    @property
    def reach(self) -> Reach:
        """What the functions reach; until `finish`."""
        assert self._reach is not None
        return self._reach

    def _add(self, path: str, module: Versioned) -> None:
        self._versions.append(module.__dict__["_version"])  # before what it stands for is read
        self._keys.append(module._static_key(self._reader))
        self._modes.append(mode_of(module))
        self._modules.append((path, weakref.ref(module)))

    def finish(
        self, touched: Iterable[Versioned], state: Iterable[np.ndarray], numbers: Iterable[np.ndarray]
    ) -> None:
        """Adds what was not known before the recording.

        Args:
            touched: modules that were called.
            state: arrays that the program reads in every run.
            numbers: arrays whose numbers the recording looked at.
        """
        known = {id(reference()) for _, reference in self._modules}
        for root in touched:
            for path, module in root._with_parts():
                if id(module) not in known:
                    known.add(id(module))
                    self._add(path, module)
        kept = list(numbers)
        self._reader = Reader(frozenset(map(id, state)), frozenset(map(id, kept)))
        places = [Place(lambda x=x: x, "an array whose numbers forward reads") for x in kept]
        for (path, reference), keys in zip(self._modules, self._keys, strict=True):
            module = reference()
            if module is None:
                continue
            for name, value in module._static_items():
                self._reader.mutable = False
                key = self._reader.key(value)
                if self._reader.mutable or isinstance(value, np.ndarray):
                    keys[name] = key  # as the program uses it: by content or by identity
                if self._reader.mutable:
                    places.append(
                        Place(partial(_attribute, reference, name), f"{name} of {_named(path, module)}")
                    )
        # Numbers and texts count as they were before the recording, which may have changed them.
        fixed = [guard for guard in self._guards if not guard.by_content]
        places += [guard.place for guard in self._guards if guard.by_content]
        self._guards = [*fixed, *(_Guard(place, self._reader) for place in places)]
        self._reach = None
        self._watch_modules()

    def _watch_modules(self) -> None:
        references = [reference for _, reference in self._modules]
        self.watch = _core.Watch(references, self._versions, [*self._modes])

    @property
    def guarded(self) -> bool:
        """Whether it depends on more than modules."""
        return bool(self._guards)

    def guards_hold(self) -> bool:
        """Whether everything but the modules is as it was."""
        return all(guard.holds() for guard in self._guards)

    def holds(self) -> bool:
        """Whether everything is as it was."""
        modules = [reference() for _, reference in self._modules]
        for module, mode in zip(modules, self._modes, strict=True):
            if module is None or mode_of(module) != mode:
                return False
        renewed = False
        for i, module in enumerate(modules):
            assert module is not None
            version = module.__dict__["_version"]
            if version != self._versions[i]:
                if module._static_key(self._reader) != self._keys[i]:
                    return False
                self._versions[i] = version  # it is what it was, so this version counts from here on
                renewed = True
        if renewed:
            self._watch_modules()
        return self.guards_hold()

    def change(self) -> tuple[str, str]:
        """The first difference from what is now: what differs, and how. ("", "") if nothing does."""
        living = [(path, module) for path, reference in self._modules if (module := reference()) is not None]
        if len(living) < len(self._modules):
            return "a module", "is gone"
        for (path, module), keys in zip(living, self._keys, strict=True):
            now = module._static_key(self._reader)
            if now != keys:
                name = next(n for n in {**keys, **now} if keys.get(n) != now.get(n))
                return f"{name} of {_named(path, module)}", "has another value"
        for (path, module), mode in zip(living, self._modes, strict=True):
            if mode_of(module) != mode:
                return f"training of {_named(path, module)}", f"was {mode}"
        for guard in self._guards:
            if not guard.holds():
                before, now = guard.texts()
                return guard.place.label, f"was {before} and is {now}"
        return "", ""


def _attribute(reference: weakref.ref[Versioned], name: str) -> Any:
    module = reference()
    return None if module is None else module.__dict__.get(name)


def mode_of(module: Versioned) -> bool:
    """Whether a module is in training mode, as this thread sees it."""
    modes = thread.modes
    own: bool = module.__dict__["training"]
    return own if modes is None else modes.get(id(module), own)


def _named(path: str, module: Versioned) -> str:
    kind = type(module).__name__
    return f"{path} ({kind})" if path else kind


def _text(x: Any) -> str:
    text = f"<{type(x).__name__}>" if isinstance(x, Tensor | np.ndarray) else repr(x)
    return text if len(text) <= 40 else f"{text[:37]}..."
