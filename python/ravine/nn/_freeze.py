"""Parts of a model that stay as they are while the rest is trained."""

from __future__ import annotations

from typing import TypeVar

from ._module import Module

M = TypeVar("M", bound=Module)


def freeze(module: M) -> M:
    """Keeps a module, and all below it, as it is: no weight is trained, no running statistic moves.

    The parameters no longer require a gradient, and the modules are in evaluation mode and stay in it when a
    model that they are part of goes to `train()`: BatchNorm uses its statistics, dropout drops nothing. What
    was frozen before stays so. Use it to train a new head on a network that was trained before.

    Returns:
        The module.

    Example:
        >>> from ravine import nn
        >>> model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2))
        >>> _ = nn.freeze(model[0])
        >>> model.train()[0].training, [p.requires_grad for p in model.parameters()]
        (False, [False, False, True, True])
        >>> nn.unfreeze(model)[0].training, model[0].weight.requires_grad
        (True, True)
    """
    _check("freeze", module)
    for part in module.modules():
        if "_frozen" not in part.__dict__:
            own = {name: p for name, p in part._parameters.items() if p is not None and p.requires_grad}
            part._frozen = (part.training, tuple(own))
            part.training = False
            for parameter in own.values():
                parameter.requires_grad = False
    return module


def unfreeze(module: M) -> M:
    """Undoes `freeze` of a module and of all below it: modes and `requires_grad` are as they were before.

    Returns:
        The module.

    Example:
        >>> from ravine import nn
        >>> layer = nn.unfreeze(nn.freeze(nn.Linear(2, 1)))
        >>> layer.training, layer.weight.requires_grad
        (True, True)
    """
    _check("unfreeze", module)
    for part in module.modules():
        if "_frozen" in part.__dict__:
            training, names = part._frozen
            del part._frozen
            part.training = training
            for name in names:
                if (parameter := part._parameters.get(name)) is not None:
                    parameter.requires_grad = True
    return module


def _check(what: str, module: object) -> None:
    if not isinstance(module, Module):
        raise TypeError(f"{what}: a Module is expected, got {type(module).__name__}")
