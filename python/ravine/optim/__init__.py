"""Optimizers: torch.optim's names, arguments and formulas, bound to a model by `ravine.TrainStep`."""

from . import schedules
from ._optimizer import SGD, Adam, AdamW, LearningRate, Optimizer

__all__ = ["SGD", "Adam", "AdamW", "LearningRate", "Optimizer", "schedules"]
