"""The parameters, buffers and modules of a module: registered under names, found and listed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .._from_torch import MODULE, absent
from ..record import Buffer, Parameter, State, Tensor, as_tensor, new_version
from ._hooks import Hooked
from ._tree import walk

if TYPE_CHECKING:
    from ._module import Module


class Parts(Hooked):
    """The part of a module that holds its parameters, buffers and modules."""

    # --- registration

    def __setattr__(self, name: str, value: Any) -> None:
        self._set(name, value)
        if name != "training":
            self.__dict__["_version"] = new_version()

    def _set(self, name: str, value: Any) -> None:
        fields = self.__dict__
        if "_parameters" not in fields:
            if isinstance(value, State | Parts):
                raise AttributeError(
                    f"{type(self).__name__}: call super().__init__() before assigning parameters, modules"
                )
            object.__setattr__(self, name, value)
            return
        tables = (fields["_parameters"], fields["_buffers"], fields["_modules"])
        target = next(
            (
                t
                for t, kind in zip(tables, (Parameter, Buffer, Parts), strict=True)
                if isinstance(value, kind)
            ),
            None,
        )
        if target is not None:
            self._check_name(name, fields.get(name))
            for table in tables:
                if table is not target:
                    table.pop(name, None)
            fields.pop(name, None)
            self._register(target, name, value)
            return
        if name in tables[1] and isinstance(value, Tensor | np.ndarray) and tables[1][name] is not None:
            tables[1][name].assign(value)
            return
        if name in fields.get("_computed", ()):
            fields["_modules"]["parametrizations"][name].set(value)
            return
        for table in tables:
            if name in table:
                if value is not None:
                    raise TypeError(
                        f"{type(self).__name__}.{name} is registered state; assign a Parameter, a Buffer, "
                        f"a Module or None, or write into its .data, instead of {type(value).__name__}"
                    )
                table[name] = None
                return
        object.__setattr__(self, name, value)

    def _register(self, table: dict[str, Any], name: str, value: Any) -> None:
        table[name] = value
        if isinstance(value, State):
            value._join(self)
        self.__dict__["_version"] = new_version()

    def __getattr__(self, name: str) -> Any:
        fields = self.__dict__
        for table in ("_parameters", "_buffers", "_modules"):
            if table in fields and name in fields[table]:
                return fields[table][name]
        if name in fields.get("_computed", ()):
            # Its value in the recording under way, or outside of any.
            return as_tensor(fields["_modules"]["parametrizations"][name]())
        raise absent(type(self).__name__, name, MODULE)

    def __delattr__(self, name: str) -> None:
        table = next((t for t in (self._parameters, self._buffers, self._modules) if name in t), None)
        if table is not None:
            del table[name]
        else:
            object.__delattr__(self, name)
        self.__dict__["_version"] = new_version()

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._parameters, *self._buffers, *self._modules})

    def _check_name(self, name: str, existing: Any = None) -> None:
        if not name or "." in name:
            raise ValueError(f"a parameter, buffer or module needs a name without dots, got {name!r}")
        if hasattr(type(self), name) and not existing and name not in self.__dict__:
            raise ValueError(f"{type(self).__name__} already has a method or property named {name!r}")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Adds a parameter under `name`; None keeps the name free for one."""
        self._check_name(name)
        if not (param is None or isinstance(param, Parameter)):
            raise TypeError(
                f"register_parameter: a Parameter or None is expected, got {type(param).__name__}"
            )
        self._register(self._parameters, name, param)

    def register_buffer(self, name: str, tensor: Any, persistent: bool = True) -> None:
        """Adds a buffer under `name`, from a Buffer or an array; None keeps the name free for one."""
        self._check_name(name)
        is_ready = tensor is None or isinstance(tensor, Buffer)
        self._register(self._buffers, name, tensor if is_ready else Buffer(tensor, persistent))

    def register_module(self, name: str, module: Module | None) -> None:
        """Adds a module under `name`."""
        self._check_name(name)
        if not (module is None or isinstance(module, Parts)):
            raise TypeError(f"register_module: a Module or None is expected, got {type(module).__name__}")
        self._register(self._modules, name, module)

    add_module = register_module

    # --- iteration

    def named_modules(self, prefix: str = "", remove_duplicate: bool = True) -> Iterator[tuple[str, Module]]:
        """This module and all below it, with their paths; one that occurs twice comes once by default."""
        return walk(cast("Module", self), prefix, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all below it."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly below, with their names."""
        return ((name, child) for name, child in self._modules.items() if child is not None)

    def children(self) -> Iterator[Module]:
        """The modules directly below."""
        return (child for _, child in self.named_children())

    def _named_states(
        self, table: str, prefix: str, recurse: bool, unique: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for path, module in self.named_modules(prefix, unique) if recurse else [(prefix, self)]:
            for name, state in getattr(module, table).items():
                if state is not None and not (unique and id(state) in seen):
                    seen.add(id(state))
                    yield (f"{path}.{name}" if path else name), state

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters with their full names; a shared parameter comes once, unless asked."""
        return self._named_states("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, each once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Buffer]]:
        """The buffers with their full names."""
        return self._named_states("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Buffer]:
        """The buffers, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def _find(self, path: str) -> Module:
        module = cast("Module", self)
        for name in path.split(".") if path else ():
            child = module._modules.get(name)
            if child is None:
                raise AttributeError(f"{type(self).__name__} has no module {path!r}")
            module = child
        return module

    def get_submodule(self, target: str) -> Module:
        """The module at a path such as "layer1.0"."""
        return self._find(target)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a path such as "layer1.0.weight"."""
        path, _, name = target.rpartition(".")
        parameter = self._find(path)._parameters.get(name)
        if parameter is None:
            raise AttributeError(f"{type(self).__name__} has no parameter {target!r}")
        return parameter
