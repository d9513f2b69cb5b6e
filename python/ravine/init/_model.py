"""One initialiser for a whole model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from .._probe import check_model
from ._data import fill_layer, lsuv, restored_on_error, weight_norm, weighted_layers
from ._named import Initializer, get

if TYPE_CHECKING:
    from ..nn import Module

M = TypeVar("M", bound="Module")

_DATA_DEPENDENT = {"lsuv": lsuv, "weight_norm": weight_norm}


def apply(
    model: M, weight_init: Initializer, x: Any = None, *, bias_init: Initializer | None = None, **options: Any
) -> M:
    """Initialises all linear maps, convolutions and tables of a model, in place.

    Args:
        model: changed and returned. Norms and other parameters of a single dimension stay as they are.
        weight_init: a name, a number or a function, see `get`; or "lsuv" or "weight_norm", which look at
            data.
        x: a batch of inputs (a tuple, where the model takes several), for those that look at data.
        bias_init: for the biases; by default zeros, "weight_norm" makes its own.
        options: further arguments of `lsuv` and `weight_norm`, where weight_init is their name.

    Raises TypeError for `x` or options that the initialiser does not take, or without an `x` that it
    needs, and ValueError for an unknown name. The model is then as it was before.

    Example:
        >>> import numpy as np, ravine as rv
        >>> from ravine import nn
        >>> model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
        >>> x = np.random.default_rng(0).standard_normal((128, 8))
        >>> model = rv.init.apply(model, "he_normal")
        >>> model = rv.init.apply(model, "lsuv", x, tolerance=0.01)
        >>> bool(abs(model(x).var() - 1) < 0.01)
        True
    """
    check_model("init.apply", model)
    if isinstance(weight_init, str) and weight_init in _DATA_DEPENDENT:
        if x is None:
            raise TypeError(
                f"init.apply: {weight_init!r} looks at data: init.apply(model, {weight_init!r}, x)"
            )
        given = {} if bias_init is None else {"bias_init": bias_init}
        return _DATA_DEPENDENT[weight_init](model, x, **given, **options)
    if x is not None or options:
        wrong = ", ".join(["x"] * (x is not None) + list(options))
        raise TypeError(f"init.apply: {weight_init!r} takes no {wrong}")
    fill_weight, fill_bias = get(weight_init), get("zeros" if bias_init is None else bias_init)
    layers = weighted_layers(model)
    with restored_on_error([layer for _, layer in layers]):
        for path, layer in layers:
            fill_layer(path, layer, weight=fill_weight, bias=fill_bias)
    return model
