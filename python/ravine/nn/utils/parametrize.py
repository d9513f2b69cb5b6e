"""Parameters that are computed: a tensor of a module becomes a function of others, which are trained.

torch.nn.utils.parametrize, with its names of parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from ...record import Operand, Parameter
from .._containers import ModuleDict, ModuleList
from .._module import Module

M = TypeVar("M", bound=Module)

__all__ = ["ParametrizationList", "is_parametrized", "register_parametrization", "remove_parametrizations"]


class ParametrizationList(ModuleList):
    """The functions that compute one tensor of a module, and the parameters they compute it from.

    Its parameters are `original`, or `original0`, `original1`, ... where the first function takes several.
    `register_parametrization` makes it; it stands in `module.parametrizations.<name>`.
    """

    def __init__(self, first: Module, originals: Sequence[Parameter]) -> None:
        super().__init__([first])
        names = ["original"] if len(originals) == 1 else [f"original{i}" for i in range(len(originals))]
        for name, parameter in zip(names, originals, strict=True):
            self.register_parameter(name, parameter)

    def forward(self) -> Any:
        first, *others = self
        value = first(*self._parameters.values())
        for parametrization in others:
            value = parametrization(value)
        return value

    def set(self, value: Any) -> None:
        """Sets the originals so that the computed tensor has this value, as far as the functions can be
        inverted.

        Raises TypeError where a function has no `right_inverse`, ValueError for another shape.
        """
        arrays = _inverted(list(self)[::-1], np.asarray(value))
        for (name, parameter), array in zip(self._parameters.items(), arrays, strict=True):
            assert parameter is not None
            if array.shape != parameter.shape:
                raise ValueError(
                    f"a value of shape {np.shape(value)} gives {name} the shape {array.shape}, expected "
                    f"{parameter.shape}"
                )
        for parameter, array in zip(self._parameters.values(), arrays, strict=True):
            parameter.data = array  # type: ignore[union-attr]


def _inverted(parametrizations: Sequence[Module], value: np.ndarray) -> list[np.ndarray]:
    arrays = [value]
    for parametrization in parametrizations:
        inverse = getattr(parametrization, "right_inverse", None)
        if inverse is None:
            raise TypeError(f"{type(parametrization).__name__} has no right_inverse, so it cannot be set")
        result = inverse(*arrays)
        several = result if isinstance(result, tuple | list) else (result,)
        arrays = [x.numpy() if isinstance(x, Operand) else np.asarray(x) for x in several]
    return arrays


def register_parametrization(module: M, tensor_name: str, parametrization: Module) -> M:
    """Lets a module compute a parameter from now on: `module.weight` becomes `parametrization(original)`.

    The parameter becomes `module.parametrizations.weight.original`; where the parametrization has a method
    `right_inverse(value)`, what that returns for the value of now, of several `original0`, `original1`, and
    so on. Registered again, functions apply one after the other.

    Args:
        module: changed in place and returned.
        tensor_name: of a parameter of the module itself, such as "weight".
        parametrization: a module that computes a tensor of the same shape. `right_inverse`, if it has it,
            takes and returns arrays.

    Raises:
        TypeError: where module or parametrization is no Module.
        ValueError: where the module has no parameter of this name, or the shape changes. Nothing is changed
            then.

    Example:
        >>> import ravine as rv
        >>> from ravine import nn
        >>> class Symmetric(nn.Module):
        ...     def forward(self, x):
        ...         return x.triu() + x.triu(1).T
        >>> layer = nn.utils.parametrize.register_parametrization(nn.Linear(3, 3), "weight", Symmetric())
        >>> bool((layer.weight.numpy() == layer.weight.numpy().T).all())
        True
        >>> list(layer.state_dict())
        ['bias', 'parametrizations.weight.original']
    """
    if not isinstance(module, Module) or not isinstance(parametrization, Module):
        wrong = parametrization if isinstance(module, Module) else module
        raise TypeError(f"register_parametrization: a Module is expected, got {type(wrong).__name__}")
    if is_parametrized(module, tensor_name):
        known = module.parametrizations[tensor_name]
        before = known()
        after = _result(parametrization, [before])
        _check_shape(parametrization, before.shape, after.shape)
        originals = (
            _inverted([parametrization, *list(known)[::-1]], before)
            if hasattr(parametrization, "right_inverse")
            else None
        )
        known.append(parametrization)
        for parameter, array in zip(known._parameters.values(), originals or (), strict=bool(originals)):
            parameter.data = array
        return module
    parameter = module._parameters.get(tensor_name)
    if parameter is None:
        has = ", ".join(name for name, p in module._parameters.items() if p is not None) or "none"
        raise ValueError(
            f"register_parametrization: {type(module).__name__} has no parameter {tensor_name!r}; it has "
            f"{has}"
        )
    arrays = [parameter.data]
    if hasattr(parametrization, "right_inverse"):
        arrays = [x.astype(parameter.dtype, copy=False) for x in _inverted([parametrization], parameter.data)]
    _check_shape(parametrization, parameter.shape, _result(parametrization, arrays).shape)
    if len(arrays) == 1 and arrays[0].shape == parameter.shape:  # still the same, wherever it occurs
        originals = [parameter]
        parameter.data = arrays[0]
    else:
        last = parameter.array.channels_last
        originals = [
            Parameter(x, parameter.requires_grad, channels_last=last and x.ndim == 4) for x in arrays
        ]
    if "parametrizations" not in module._modules:
        module.register_module("parametrizations", ModuleDict())
    delattr(module, tensor_name)
    module.parametrizations[tensor_name] = ParametrizationList(parametrization, originals)
    module._computed = (*module.__dict__.get("_computed", ()), tensor_name)
    return module


def _result(parametrization: Module, arrays: Sequence[np.ndarray]) -> np.ndarray:
    """What a parametrization makes of these, without its effects on buffers."""
    training = [(part, part.training) for part in parametrization.modules()]
    parametrization.eval()
    try:
        return np.asarray(parametrization(*arrays))
    finally:
        for part, mode in training:
            part.training = mode


def _check_shape(parametrization: Module, before: tuple[int, ...], after: tuple[int, ...]) -> None:
    if after != before:
        raise ValueError(
            f"register_parametrization: {type(parametrization).__name__} returned the shape {after}, "
            f"expected {before}, the parameter's"
        )


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether a module computes this parameter, or any.

    Example:
        >>> from ravine import nn
        >>> layer = nn.utils.weight_norm(nn.Linear(2, 2))
        >>> nn.utils.parametrize.is_parametrized(layer, "weight")
        True
        >>> nn.utils.parametrize.is_parametrized(layer, "bias")
        False
    """
    computed = module.__dict__.get("_computed", ())
    return bool(computed) if tensor_name is None else tensor_name in computed


def remove_parametrizations(module: M, tensor_name: str, leave_parametrized: bool = True) -> M:
    """Makes a computed tensor a parameter again.

    Args:
        module: changed in place and returned.
        tensor_name: of the computed tensor.
        leave_parametrized: whether the parameter has the computed value, else the original one, where there
            is just one.

    Raises ValueError where the tensor is not computed, or has several originals and leave_parametrized is
    False.

    Example:
        >>> from ravine import nn
        >>> layer = nn.utils.weight_norm(nn.Linear(2, 2))
        >>> before = layer.weight.numpy().copy()
        >>> nn.utils.remove_parametrizations(layer, "weight").weight.numpy().tolist() == before.tolist()
        True
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(
            f"remove_parametrizations: {tensor_name!r} of {type(module).__name__} is not parametrized"
        )
    known = module.parametrizations[tensor_name]
    originals = list(known._parameters.values())
    if not leave_parametrized and len(originals) > 1:
        raise ValueError(
            f"remove_parametrizations: {tensor_name!r} has {len(originals)} originals, none of which can "
            f"take its place; leave_parametrized=True is needed"
        )
    if leave_parametrized:
        parameter = Parameter(
            known(),
            any(p.requires_grad for p in originals),
            channels_last=any(p.array.channels_last for p in originals),
        )
    else:
        parameter = originals[0]
    del module.parametrizations[tensor_name]
    computed = tuple(name for name in module._computed if name != tensor_name)
    if computed:
        module._computed = computed
    else:
        del module._computed, module.parametrizations
    module.register_parameter(tensor_name, parameter)
    return module
