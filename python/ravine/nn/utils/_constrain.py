"""Constraints for many parameters at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from .._module import Module
from ._select import selected

M = TypeVar("M", bound=Module)


def constrain(
    module: M, constraint: Callable[[Any], Any] | None, select: str | Sequence[str] = "*weight"
) -> M:
    """Gives parameters a constraint that every update keeps, see `nn.constraints`; None takes it away.

    The weights of now are put onto it at once.

    Args:
        module: changed in place and returned.
        constraint: one of `nn.constraints`, or a function of a weight on tensors that returns one of the same
            shape and depends on nothing else.
        select: patterns of names as in the shell; all weights by default.

    Raises ValueError for a pattern that no parameter matches and for a constraint that changes the shape or
    does not fit it, TypeError for other arguments. Nothing is changed then.

    Example:
        >>> import numpy as np, ravine as rv
        >>> from ravine import nn
        >>> model = nn.utils.constrain(nn.Linear(8, 4), nn.constraints.MaxNorm(0.5))
        >>> step = rv.TrainStep(model, nn.MSELoss(), rv.optim.Adam(lr=1.0))
        >>> loss = step(np.ones((2, 8)), np.ones((2, 4)))
        >>> bool(np.linalg.norm(model.weight.data, axis=1).max() < 0.5 + 1e-6)
        True
    """
    if not (constraint is None or callable(constraint)):
        raise TypeError(
            f"constrain: one of nn.constraints or a function is expected, got {type(constraint).__name__}"
        )
    named = selected("constrain", module, select)
    values = []
    for name, parameter in named if constraint is not None else ():
        value = constraint(parameter)  # type: ignore[misc]
        if getattr(value, "shape", None) != parameter.shape or value.dtype != parameter.dtype:
            raise ValueError(
                f"constrain: the constraint makes of {name} with shape {parameter.shape} and dtype "
                f"{parameter.dtype} {getattr(value, 'dtype', type(value).__name__)} of shape "
                f"{getattr(value, 'shape', None)}"
            )
        values.append(value.numpy())
    for (_, parameter), value in zip(named, values, strict=False):
        parameter.data[...] = value
    for _, parameter in named:
        parameter.constraint = constraint
    return module
