"""Optimizers: torch.optim's names, arguments and formulas, bound to a model by `ravine.TrainStep`."""

from typing import TYPE_CHECKING

from .._late import late
from . import schedules
from ._adam import LAMB, AdaBelief, Adam, Adamax, AdamW, Adan, NAdam, RAdam, SparseAdam, Yogi
from ._average import EMA, SWA, Average, Polyak, averaged, update_bn
from ._momentum import ASGD, LARS, SGD, Lion, Rprop
from ._optimizer import LearningRate, Optimizer
from ._options import Group
from ._stages import (
    Stage,
    accumulate,
    add_noise,
    clip_adaptive,
    clip_by_global_norm,
    clip_by_norm,
    clip_by_value,
    skip_nonfinite,
)

if TYPE_CHECKING:
    from . import lr_scheduler
    from ._adagrad import Adadelta, Adagrad, RMSprop, RowWiseAdagrad
    from ._hyper import Hyper
    from ._lbfgs import LBFGS
    from ._matrices import Adafactor, Muon
    from ._schedule_free import ScheduleFreeAdamW, ScheduleFreeSGD
    from ._update import Update
    from ._wrappers import SAM, Lookahead, chain

_LATE = {
    "_adagrad": ("Adadelta", "Adagrad", "RMSprop", "RowWiseAdagrad"),
    "_hyper": ("Hyper",),
    "_lbfgs": ("LBFGS",),
    "_matrices": ("Adafactor", "Muon"),
    "_schedule_free": ("ScheduleFreeAdamW", "ScheduleFreeSGD"),
    "_update": ("Update",),
    "_wrappers": ("SAM", "Lookahead", "chain"),
}

__all__ = [
    "ASGD",
    "EMA",
    "LAMB",
    "LARS",
    "LBFGS",
    "SAM",
    "SGD",
    "SWA",
    "AdaBelief",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Adan",
    "Average",
    "Group",
    "Hyper",
    "LearningRate",
    "Lion",
    "Lookahead",
    "Muon",
    "NAdam",
    "Optimizer",
    "Polyak",
    "RAdam",
    "RMSprop",
    "RowWiseAdagrad",
    "Rprop",
    "ScheduleFreeAdamW",
    "ScheduleFreeSGD",
    "SparseAdam",
    "Stage",
    "Update",
    "Yogi",
    "accumulate",
    "add_noise",
    "averaged",
    "chain",
    "clip_adaptive",
    "clip_by_global_norm",
    "clip_by_norm",
    "clip_by_value",
    "lr_scheduler",
    "schedules",
    "skip_nonfinite",
    "update_bn",
]

__getattr__ = late(__name__, _LATE, modules=("lr_scheduler",))


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
