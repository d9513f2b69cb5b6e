"""Schedules: rates as functions of the step, which compose.

`warmup + cosine` runs one after the other, `cosine * plateau` and `0.5 * cosine` multiply, `schedule.take(n)`
ends and `schedule.hold()` goes on for ever. An optimizer takes a schedule wherever it takes a learning rate.
"""

from typing import TYPE_CHECKING

from ..._late import late
from ._schedule import Product, Schedule, Sequence

if TYPE_CHECKING:
    from ._cycle import CosineRestarts, Cyclic, OneCycle
    from ._decay import (
        Constant,
        Cosine,
        Exponential,
        InverseSqrt,
        InverseTime,
        Linear,
        MultiStep,
        Piecewise,
        Polynomial,
        StepDecay,
        Warmup,
    )
    from ._plateau import ReduceOnPlateau

_LATE = {
    "_cycle": ("CosineRestarts", "Cyclic", "OneCycle"),
    "_decay": (
        "Constant",
        "Cosine",
        "Exponential",
        "InverseSqrt",
        "InverseTime",
        "Linear",
        "MultiStep",
        "Piecewise",
        "Polynomial",
        "StepDecay",
        "Warmup",
    ),
    "_plateau": ("ReduceOnPlateau",),
}

__all__ = [
    "Constant",
    "Cosine",
    "CosineRestarts",
    "Cyclic",
    "Exponential",
    "InverseSqrt",
    "InverseTime",
    "Linear",
    "MultiStep",
    "OneCycle",
    "Piecewise",
    "Polynomial",
    "Product",
    "ReduceOnPlateau",
    "Schedule",
    "Sequence",
    "StepDecay",
    "Warmup",
]

__getattr__ = late(__name__, _LATE)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
