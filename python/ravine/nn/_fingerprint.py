"""What a compiled program depends on: a model's structure, modes, attributes, and the arrays of its state."""

from __future__ import annotations

import weakref
import zlib
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .._parameter import Parameter, State
from .._tensor import Tensor

if TYPE_CHECKING:
    from ._module import Module

_HASHED_BYTES = 1 << 16  # larger arrays count by identity: they are taken to be constant
_DEPTH = 4  # of objects inside objects


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


class _Reader:
    """Makes keys of attribute values; `mutable` tells that one of them can change without an assignment."""

    __slots__ = ("mutable",)

    def __init__(self) -> None:
        self.mutable = False

    def key(self, x: Any, depth: int = _DEPTH) -> Hashable:
        if x is None or isinstance(x, bool | int | str | bytes):
            return (type(x), x)
        if isinstance(x, float | complex | np.generic):
            return (type(x), repr(x))  # NaN equals itself here
        if isinstance(x, tuple):
            return (type(x), *(self.key(item, depth) for item in x))
        if isinstance(x, State):
            return (_Identity(x.array), x.requires_grad if isinstance(x, Parameter) else None)
        if isinstance(x, type) or (callable(x) and not hasattr(x, "_parameters")):
            return _Identity(x)
        self.mutable = True
        if depth == 0:
            return _Identity(x)
        if isinstance(x, list | set | frozenset):
            items = [self.key(item, depth - 1) for item in x]
            return (type(x), frozenset(items) if not isinstance(x, list) else tuple(items))
        if isinstance(x, dict):
            return (dict, *((self.key(k, depth - 1), self.key(v, depth - 1)) for k, v in x.items()))
        if isinstance(x, np.ndarray):
            small = x.nbytes <= _HASHED_BYTES
            content = zlib.crc32(np.ascontiguousarray(x).tobytes()) if small else _Identity(x)
            return (x.shape, x.dtype.str, content)
        if hasattr(x, "_parameters"):  # a module kept in a plain list: not registered, but part of forward
            return self.module(cast("Module", x))
        return (type(x), _Identity(x), self.key(getattr(x, "__dict__", None), depth - 1))

    def module(self, root: Module) -> Hashable:
        parts: list[Hashable] = []
        for path, module in root.named_modules(remove_duplicate=False):
            parts.append((path, type(module)))
            for name, parameter in module._parameters.items():
                parts.append((name, self.key(parameter)))
            for name, buffer in module._buffers.items():
                parts.append((name, self.key(buffer)))
            for name, value in module.__dict__.items():
                if name not in module._INTERNAL and not isinstance(value, Tensor):
                    parts.append((name, self.key(value)))
        return tuple(parts)


def fingerprint(root: Module) -> tuple[Hashable, bool]:
    """A value that differs where programs of `root` may differ, and whether only assignments change it."""
    reader = _Reader()
    return reader.module(root), not reader.mutable
