"""Lists and dicts of parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, overload

from ..record import Parameter
from ._arguments import named, several
from ._module import Module


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
        for value in several("ParameterList", values):
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
        self.update({} if parameters is None else parameters)

    def update(self, parameters: Mapping[str, Any]) -> None:
        """Adds or replaces parameters."""
        for name, value in named("ParameterDict", parameters).items():
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
