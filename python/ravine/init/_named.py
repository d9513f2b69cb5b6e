"""Initialisers by name, as layers and `apply` take them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from . import _fill, _scaled

# What a layer takes: a name, a number for all elements, or a function that fills a tensor in place.
Initializer = str | float | Callable[[Any], Any]

# Of sparse weights nine in ten are 0 by name.
_BY_NAME: dict[str, Callable[[Any], Any]] = {
    "zeros": _fill.zeros_,
    "ones": _fill.ones_,
    "uniform": _fill.uniform_,
    "normal": _fill.normal_,
    "trunc_normal": _fill.trunc_normal_,
    "identity": _fill.identity_,
    "eye": _fill.eye_,
    "dirac": _fill.dirac_,
    "orthogonal": _fill.orthogonal_,
    "sparse": partial(_fill.sparse_, sparsity=0.9),
    "xavier_uniform": _scaled.xavier_uniform_,
    "xavier_normal": _scaled.xavier_normal_,
    "glorot_uniform": _scaled.xavier_uniform_,
    "glorot_normal": _scaled.xavier_normal_,
    "kaiming_uniform": _scaled.kaiming_uniform_,
    "kaiming_normal": _scaled.kaiming_normal_,
    "he_uniform": _scaled.kaiming_uniform_,
    "he_normal": _scaled.kaiming_normal_,
    "lecun_uniform": _scaled.lecun_uniform_,
    "lecun_normal": _scaled.lecun_normal_,
    "fan_in_uniform": _scaled.fan_in_uniform_,
    "variance_scaling": _scaled.variance_scaling_,
}


def names() -> tuple[str, ...]:
    """The names that `get`, and so `weight_init` and `bias_init` of the layers, know.

    Example:
        >>> import ravine as rv
        >>> "he_normal" in rv.init.names()
        True
    """
    return tuple(_BY_NAME)


def get(initializer: Initializer) -> Callable[[Any], Any]:
    """The function that fills a tensor in place, of a name, a number or such a function.

    Args:
        initializer: one of `names()`, which are the functions of this package without the underscore, with
            their defaults, and "glorot" for Xavier, "he" for Kaiming; a number, for all elements; or any
            function of a tensor, such as `functools.partial(init.normal_, std=0.02)`.

    Raises ValueError for an unknown name or a number that is not finite, TypeError for anything else.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.init.get(0.5)(np.zeros(2))
        array([0.5, 0.5])
        >>> rv.init.get("he_normal") is rv.init.kaiming_normal_
        True
    """
    if isinstance(initializer, str):
        if initializer not in _BY_NAME:
            known = ", ".join(_BY_NAME)
            raise ValueError(f"init.get: unknown initialiser {initializer!r}, expected one of {known}")
        return _BY_NAME[initializer]
    if isinstance(initializer, int | float | np.number) and not isinstance(initializer, bool):
        value = float(initializer)
        if not math.isfinite(value):
            raise ValueError(f"init.get: a finite number is expected, got {value}")
        return partial(_fill.constant_, val=value)
    if callable(initializer):
        return initializer
    raise TypeError(
        f"init.get: a name, a number or a function that fills a tensor is expected, got {initializer!r}"
    )
