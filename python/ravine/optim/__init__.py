"""Optimizers: torch.optim's names, arguments and formulas, bound to a model by `ravine.TrainStep`."""

from . import schedules
from ._adagrad import Adadelta, Adagrad, RMSprop
from ._adam import LAMB, AdaBelief, Adam, Adamax, AdamW, Adan, NAdam, RAdam, Yogi
from ._momentum import ASGD, LARS, SGD, Lion, Rprop
from ._optimizer import LearningRate, Optimizer
from ._options import Group
from ._schedule_free import ScheduleFreeAdamW, ScheduleFreeSGD

__all__ = [
    "ASGD",
    "LAMB",
    "LARS",
    "SGD",
    "AdaBelief",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Adan",
    "Group",
    "LearningRate",
    "Lion",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "ScheduleFreeAdamW",
    "ScheduleFreeSGD",
    "Yogi",
    "schedules",
]
