"""Modules made of modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, overload

from ..record import Parameter
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
        for module in modules:
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
        self.update(modules or {})

    def update(self, modules: Mapping[str, Module]) -> None:
        """Adds or replaces modules."""
        for name, module in modules.items():
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


def _as_parameter(value: Any, owner: Module) -> Parameter:
    if isinstance(value, Parameter):
        return value
    try:
        return Parameter(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{type(owner).__name__}: a Parameter or an array is expected, {error}") from None


class ParameterList(Module):
    """A list whose parameters are registered, under the names "0", "1", ...

    Args:
        values: parameters, or arrays that become some.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> weights = nn.ParameterList(np.ones((2, 2)) for _ in range(3))
        >>> len(weights), weights[1].shape
        (3, (2, 2))
    """

    def __init__(self, values: Iterable[Any] = ()) -> None:
        super().__init__()
        self.extend(values)

    def append(self, value: Any) -> ParameterList:
        """Adds a parameter at the end."""
        self.register_parameter(str(len(self)), _as_parameter(value, self))
        return self

    def extend(self, values: Iterable[Any]) -> ParameterList:
        """Adds several parameters at the end."""
        for value in values:
            self.append(value)
        return self

    def _name(self, index: int) -> str:
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is out of range for {len(self)} parameters")
        return str(range(len(self))[index])

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[Parameter]:
        return iter(list(self._parameters.values()))

    @overload
    def __getitem__(self, index: int) -> Parameter: ...
    @overload
    def __getitem__(self, index: slice) -> ParameterList: ...
    def __getitem__(self, index: int | slice) -> Parameter | ParameterList:
        if isinstance(index, slice):
            return ParameterList(list(self)[index])
        return self._parameters[self._name(index)]

    def __setitem__(self, index: int, value: Any) -> None:
        setattr(self, self._name(index), _as_parameter(value, self))

    def extra_repr(self) -> str:
        return _listed(self._parameters)


class ParameterDict(Module):
    """A dict whose parameters are registered.

    Args:
        parameters: names and parameters, or arrays that become some.

    Example:
        >>> from ravine import nn
        >>> scales = nn.ParameterDict({"left": [1.0], "right": [2.0, 3.0]})
        >>> list(scales), scales["right"].shape
        (['left', 'right'], (2,))
    """

    def __init__(self, parameters: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.update(parameters or {})

    def update(self, parameters: Mapping[str, Any]) -> None:
        """Adds or replaces parameters."""
        for name, value in parameters.items():
            self[name] = value

    def __getitem__(self, name: str) -> Parameter:
        return self._parameters[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._parameters.pop(name, None)
        self.register_parameter(name, _as_parameter(value, self))

    def __delitem__(self, name: str) -> None:
        delattr(self, name)

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._parameters))

    def __contains__(self, name: object) -> bool:
        return name in self._parameters

    def keys(self) -> Iterable[str]:
        return self._parameters.keys()

    def values(self) -> Iterable[Parameter]:
        return list(self._parameters.values())

    def items(self) -> Iterable[tuple[str, Parameter]]:
        return list(self._parameters.items())

    def extra_repr(self) -> str:
        return _listed(self._parameters)


def _listed(parameters: Mapping[str, Any]) -> str:
    return "\n".join(f"({name}): array of shape {p.shape}, {p.dtype}" for name, p in parameters.items())
