"""Optimizers: torch.optim's names, arguments and formulas, bound to a model by `ravine.TrainStep`."""

from . import lr_scheduler, schedules
from ._adagrad import Adadelta, Adagrad, RMSprop
from ._adam import LAMB, AdaBelief, Adam, Adamax, AdamW, Adan, NAdam, RAdam, Yogi
from ._average import EMA, SWA, Average, Polyak, averaged, update_bn
from ._lbfgs import LBFGS
from ._matrices import Adafactor, Muon
from ._momentum import ASGD, LARS, SGD, Lion, Rprop
from ._optimizer import LearningRate, Optimizer
from ._options import Group
from ._schedule_free import ScheduleFreeAdamW, ScheduleFreeSGD
from ._wrappers import SAM, Lookahead

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
    "LearningRate",
    "Lion",
    "Lookahead",
    "Muon",
    "NAdam",
    "Optimizer",
    "Polyak",
    "RAdam",
    "RMSprop",
    "Rprop",
    "ScheduleFreeAdamW",
    "ScheduleFreeSGD",
    "Yogi",
    "averaged",
    "lr_scheduler",
    "schedules",
    "update_bn",
]
