"""The training loop, its callbacks, metrics and checkpoints, and the search for a learning rate."""

from typing import TYPE_CHECKING

from .._late import late
from . import metrics
from ._checkpoint_file import model_state
from ._cross_validation import CrossValidation, cross_validate
from ._ensemble_trainer import EnsembleTrainer
from ._loop import Loop
from ._lr_search import LRGridSearch, LRRangeTest, lr_grid_search, lr_range_test
from ._trainer import Trainer
from .callbacks import (
    EMA,
    Callback,
    Checkpoint,
    CSVLog,
    EarlyStopping,
    GradientNorms,
    JSONLines,
    Lambda,
    LearningRateMonitor,
    RollBack,
    TensorBoard,
    Timer,
    latest_checkpoint,
)
from .metrics import Metric, WholeSet, accuracy, binary_accuracy

if TYPE_CHECKING:
    from . import strategies

__all__ = [
    "EMA",
    "CSVLog",
    "Callback",
    "Checkpoint",
    "CrossValidation",
    "EarlyStopping",
    "EnsembleTrainer",
    "GradientNorms",
    "JSONLines",
    "LRGridSearch",
    "LRRangeTest",
    "Lambda",
    "LearningRateMonitor",
    "Loop",
    "Metric",
    "RollBack",
    "TensorBoard",
    "Timer",
    "Trainer",
    "WholeSet",
    "accuracy",
    "binary_accuracy",
    "cross_validate",
    "latest_checkpoint",
    "lr_grid_search",
    "lr_range_test",
    "metrics",
    "model_state",
    "strategies",
]

__getattr__ = late(__name__, {}, modules=("strategies",))


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
