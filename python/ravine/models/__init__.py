"""Ready-made networks, initialised and untrained."""

from ._cnn import cnn
from ._gpt import GPT, gpt
from ._mlp import mlp
from ._resnet import BasicBlock, ResNet, resnet18
from ._standardize import Standardize

__all__ = ["GPT", "BasicBlock", "ResNet", "Standardize", "cnn", "gpt", "mlp", "resnet18"]
