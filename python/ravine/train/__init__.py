"""The training loop over arrays."""

from ._callbacks import Callback
from ._metrics import accuracy
from ._trainer import Trainer

__all__ = ["Callback", "Trainer", "accuracy"]
