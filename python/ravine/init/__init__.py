"""Initialisation of parameters: torch.nn.init's names and formulas, some of Keras and JAX, some that see
data.

Functions that end in `_` fill a tensor in place. Layers take an initialiser by name or as a function
(`nn.Linear(8, 4, weight_init="he_normal")`), `apply` gives one to a whole model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._fill import (
    constant_,
    dirac_,
    eye_,
    identity_,
    normal_,
    ones_,
    orthogonal_,
    sparse_,
    trunc_normal_,
    uniform_,
    zeros_,
)
from ._named import Initializer, get, names
from ._scaled import (
    calculate_gain,
    fan_in_uniform_,
    kaiming_normal_,
    kaiming_uniform_,
    lecun_normal_,
    lecun_uniform_,
    variance_scaling_,
    xavier_normal_,
    xavier_uniform_,
)

if TYPE_CHECKING:
    from ._data import lsuv, weight_norm
    from ._model import apply
    from ._variances import Variances, variances

# Loaded when first used, so that `import ravine` stays cheap.
_LAZY_NAMES = {
    "Variances": "_variances",
    "apply": "_model",
    "lsuv": "_data",
    "variances": "_variances",
    "weight_norm": "_data",
}

__all__ = [
    "Initializer",
    "Variances",
    "apply",
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "fan_in_uniform_",
    "get",
    "identity_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "lecun_normal_",
    "lecun_uniform_",
    "lsuv",
    "names",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "variance_scaling_",
    "variances",
    "weight_norm",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _LAZY_NAMES:
        return getattr(import_module(f"{__name__}.{_LAZY_NAMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
