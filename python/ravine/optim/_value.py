"""Values: objects whose fields are set once."""

from __future__ import annotations

from typing import Any


class Value:
    """Base of what describes and holds no state: a field that is set stays as it is."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__:
            raise AttributeError(
                f"{type(self).__name__}: {name} holds from construction on, so make another one with "
                f"{name}={value!r}"
            )
        self.__dict__[name] = value

    def __repr__(self) -> str:
        fields = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in fields.items())})"
