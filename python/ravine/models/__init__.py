"""Ready-made networks, initialised and untrained."""

from ._cnn import cnn
from ._mlp import mlp
from ._resnet import BasicBlock, ResNet, resnet18
from ._standardize import Standardize

__all__ = ["BasicBlock", "ResNet", "Standardize", "cnn", "mlp", "resnet18"]
