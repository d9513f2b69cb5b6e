"""What a function can read without being given it: closures, globals, attributes, modules."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any

import numpy as np

from ._tensor import Operand
from ._versions import Versioned

_PACKAGES = frozenset(("ravine", "numpy", "torch", "scipy"))  # whose objects are taken to stay as they are
_LIBRARIES = frozenset(sys.stdlib_module_names) - {"__main__"} | _PACKAGES  # whose code is not entered
_PLAIN = (bool, int, float, complex, str, bytes, type, np.generic, np.ndarray, types.BuiltinFunctionType)
_MISSING = object()  # of a name that is not there


def _of_library(module: str | None, libraries: Set[str] = _LIBRARIES) -> bool:
    return (module or "").partition(".")[0] in libraries


class Place:
    """Where a value is read: a name in a table, or a cell of a closure."""

    __slots__ = ("_get", "label")

    def __init__(self, get: Callable[[], Any], label: str) -> None:
        self._get = get
        self.label = label

    def value(self) -> Any:
        try:
            return self._get()
        except (ValueError, AttributeError):  # an empty cell, a slot without a value
            return _MISSING


def _is_generator(x: Any) -> bool:
    """Whether x draws random numbers: of a module that is loaded, since there is an x of it."""
    python, numpy = sys.modules.get("random"), sys.modules.get("numpy.random")
    if python is not None and isinstance(x, python.Random):
        return True
    return numpy is not None and isinstance(x, numpy.Generator | numpy.RandomState)


class Reach:
    """What is reached from some functions, modules and objects.

    Attributes of plain objects count if code that is reached mentions their names. Code of the standard
    library, NumPy and Ravine is not entered.

    Attributes:
        modules: with the paths they are known by.
        places: where values are read that are no modules.
        generators: of random numbers.
        names: that reached code mentions.
    """

    def __init__(self, roots: Iterable[Any]) -> None:
        self.modules: dict[int, tuple[str, Versioned]] = {}
        self.places: list[Place] = []
        self.generators: list[Any] = []
        self.names: set[str] = set()
        self._seen: dict[int, Any] = {}  # kept alive, as numbers of dead objects come again
        self._objects: list[tuple[Any, set[str]]] = []  # and the names looked for
        for root in roots:
            self._visit(root)
        self._settle()

    def _visit(self, x: Any) -> None:
        if x is None or isinstance(x, (*_PLAIN, Operand)) or id(x) in self._seen:
            return
        self._seen[id(x)] = x
        if isinstance(x, Versioned):
            self._module(x)
        elif isinstance(x, functools.partial):
            self._visit_all((x.func, *x.args, *x.keywords.values()))
        elif isinstance(x, types.MethodType):
            self._visit_all((x.__func__, x.__self__))
        elif isinstance(x, types.FunctionType):
            self._function(x)
        elif isinstance(x, types.ModuleType):
            if not _of_library(x.__name__):
                self._objects.append((x, set()))
        elif isinstance(x, list | tuple | set | frozenset):
            self._visit_all(x)
        elif isinstance(x, Mapping):
            self._visit_all(x.values())
        elif _is_generator(x):
            self.generators.append(x)
        elif hasattr(type(x), "_reached"):
            self._visit_all(x._reached())
        elif not _of_library(type(x).__module__, _PACKAGES):
            self._object(x)

    def _visit_all(self, items: Iterable[Any]) -> None:
        for item in items:
            self._visit(item)

    def _module(self, root: Versioned) -> None:
        for path, module in root._with_parts():
            if id(module) in self.modules:
                continue
            self._seen[id(module)] = module
            self.modules[id(module)] = (path, module)
            for _, value in module._static_items():
                self._visit(value)
            if not _of_library(type(module).__module__):
                self._object(module)

    def _object(self, x: Any) -> None:
        self._objects.append((x, set()))
        for name in ("__call__", "forward"):
            self._visit(_class_attribute(type(x), name)[1])

    def _function(self, function: types.FunctionType) -> None:
        if _of_library(function.__module__):
            return
        what = function.__qualname__
        names = set(_names_in(function.__code__))
        self.names |= names
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            place = Place(functools.partial(getattr, cell, "cell_contents"), f"{name}, which {what} holds,")
            self._add(place)
        for name in names & function.__globals__.keys():
            self._add(Place(functools.partial(_entry, function.__globals__, name), f"the global {name}"))
        self._visit_all(function.__defaults__ or ())
        self._visit_all((function.__kwdefaults__ or {}).values())
        self._visit(getattr(function, "__wrapped__", None))

    def _add(self, place: Place) -> None:
        value = place.value()
        skipped = isinstance(value, types.ModuleType | type | types.BuiltinFunctionType)
        if not skipped and not (isinstance(value, types.FunctionType) and _of_library(value.__module__)):
            self.places.append(place)
        if value is not _MISSING:
            self._visit(value)

    def _settle(self) -> None:
        """Looks for every name in every object, until neither brings more."""
        progress = True
        while progress:
            progress = False
            for x, tried in list(self._objects):
                new = self.names - tried
                tried |= new
                progress = progress or bool(new)
                for name in new:
                    self._attribute(x, name)

    def _attribute(self, x: Any, name: str) -> None:
        fields = getattr(x, "__dict__", {})
        kind = x.__name__ if isinstance(x, types.ModuleType) else type(x).__name__
        label = f"{name} of {kind}"
        if name in fields:
            if not isinstance(x, Versioned):  # whose fields are in its key
                self._add(Place(functools.partial(_entry, fields, name), label))
            return
        if isinstance(x, types.ModuleType):
            return
        owner, value = _class_attribute(type(x), name)
        if owner is None or _of_library(owner.__module__):
            return
        if isinstance(value, types.MemberDescriptorType):
            self._add(Place(functools.partial(getattr, x, name), label))
        elif isinstance(value, property):
            self._visit(value.fget)
        elif isinstance(value, staticmethod | classmethod):
            self._visit(value.__func__)
        elif isinstance(value, types.FunctionType):
            self._visit(value)
        else:
            self._add(Place(functools.partial(_entry, vars(owner), name), f"{name} of class {kind}"))
            if hasattr(x, "__dict__") and not isinstance(x, Versioned):  # a field may come to hide it
                self._add(Place(functools.partial(_entry, fields, name), label))


def _entry(table: Mapping[str, Any], name: str) -> Any:
    return table.get(name, _MISSING)


def _class_attribute(kind: type, name: str) -> tuple[type | None, Any]:
    """The class that defines a name, and what it is there."""
    for owner in kind.__mro__:
        if name in owner.__dict__:
            return owner, owner.__dict__[name]
    return None, None


def _names_in(code: types.CodeType) -> Iterable[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names_in(constant)
