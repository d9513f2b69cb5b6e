"""Modules made of modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, overload

from ._arguments import named, several
from ._module import Module


def _checked(module: Any, owner: Module) -> Module:
    if not isinstance(module, Module):
        raise TypeError(f"{type(owner).__name__}: a Module is expected, got {type(module).__name__}")
    return module


class _Indexed(Module):
    """Modules under the names "0", "1", ..."""

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> _Indexed: ...
    def __getitem__(self, index: int | slice) -> Module:
        items = list(self._modules.items())
        if isinstance(index, slice):
            part = type(self).__new__(type(self))
            Module.__init__(part)
            for name, module in items[index]:
                part.register_module(name, module)
            return part
        if not -len(items) <= index < len(items):
            raise IndexError(f"index {index} is out of range for {len(items)} modules")
        module = items[index][1]
        assert module is not None
        return module

    def __setitem__(self, index: int, module: Module) -> None:
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is out of range for {len(self)} modules")
        self.register_module(list(self._modules)[index], _checked(module, self))

    def append(self, module: Module) -> Any:
        """Adds a module at the end."""
        self.register_module(str(len(self)), _checked(module, self))
        return self

    def extend(self, modules: Iterable[Module]) -> Any:
        """Adds several modules at the end."""
        for module in several(type(self).__name__, modules):
            self.append(module)
        return self


class Sequential(_Indexed):
    """Modules applied one after the other: the output of each is the input of the next.

    Args:
        *modules: the modules, or one dict of names and modules.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> net(np.zeros((5, 4))).shape
        (5, 2)
        >>> net
        Sequential(
          (0): Linear(in_features=4, out_features=8, bias=True)
          (1): ReLU()
          (2): Linear(in_features=8, out_features=2, bias=True)
        )
    """

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self.register_module(name, _checked(module, self))
        else:
            self.extend(modules)

    def forward(self, input: Any) -> Any:
        for module in self:
            input = module(input)
        return input


class ModuleList(_Indexed):
    """A list whose modules are registered.

    Args:
        modules: the modules, none by default.

    Example:
        >>> from ravine import nn
        >>> layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
        >>> len(layers), len(list(layers.parameters()))
        (3, 6)
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self.extend(modules)


class ModuleDict(Module):
    """A dict whose modules are registered.

    Args:
        modules: names and modules, none by default.

    Example:
        >>> from ravine import nn
        >>> heads = nn.ModuleDict({"a": nn.Linear(2, 1), "b": nn.Linear(2, 3)})
        >>> list(heads.keys())
        ['a', 'b']
    """

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        super().__init__()
        self.update({} if modules is None else modules)

    def update(self, modules: Mapping[str, Module]) -> None:
        """Adds or replaces modules."""
        for name, module in named(type(self).__name__, modules).items():
            self[name] = module

    def __getitem__(self, name: str) -> Module:
        module = self._modules.get(name)
        if module is None:
            raise KeyError(name)
        return module

    def __setitem__(self, name: str, module: Module) -> None:
        self._modules.pop(name, None)
        self.register_module(name, _checked(module, self))

    def __delitem__(self, name: str) -> None:
        delattr(self, name)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, name: object) -> bool:
        return name in self._modules

    def keys(self) -> Iterable[str]:
        return self._modules.keys()

    def values(self) -> Iterable[Module]:
        return list(self.children())

    def items(self) -> Iterable[tuple[str, Module]]:
        return list(self.named_children())
