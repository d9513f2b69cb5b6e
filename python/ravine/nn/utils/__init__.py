"""What is done to modules from outside: weights by formulas, constraints, penalties, folding of BatchNorm.

PyTorch's functions on gradients are not here; optimizers bound gradients, and each name says how.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..._from_torch import UTILS, absent
from ..._late import late

if TYPE_CHECKING:
    from . import parametrizations, parametrize
    from ._constrain import constrain
    from ._fuse import fuse
    from ._penalty import l1_penalty, l2_penalty
    from .parametrizations import spectral_norm, weight_norm
    from .parametrize import remove_parametrizations

_LATE = {
    "_constrain": ("constrain",),
    "_fuse": ("fuse",),
    "_penalty": ("l1_penalty", "l2_penalty"),
    "parametrizations": ("spectral_norm", "weight_norm"),
    "parametrize": ("remove_parametrizations",),
}

__all__ = [
    "constrain",
    "fuse",
    "l1_penalty",
    "l2_penalty",
    "parametrizations",
    "parametrize",
    "remove_parametrizations",
    "spectral_norm",
    "weight_norm",
]

_load = late(__name__, _LATE, modules=("parametrizations", "parametrize"))


def __getattr__(name: str) -> Any:
    if name in __all__:
        return _load(name)
    raise absent("ravine.nn.utils", name, UTILS, [*UTILS, *__all__])


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
