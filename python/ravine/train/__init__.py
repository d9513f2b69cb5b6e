"""The training loop over arrays, and the search for a learning rate."""

from ._callbacks import Callback
from ._lr_search import LRGridSearch, LRRangeTest, lr_grid_search, lr_range_test
from ._metrics import accuracy, binary_accuracy
from ._trainer import Trainer

__all__ = [
    "Callback",
    "LRGridSearch",
    "LRRangeTest",
    "Trainer",
    "accuracy",
    "binary_accuracy",
    "lr_grid_search",
    "lr_range_test",
]
