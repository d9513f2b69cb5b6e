"""What listens to a training: stopping, saving, logging, measuring, averaging."""

from ._callback import Callback, check_callbacks, overridden
from ._checkpoint import Checkpoint, latest_checkpoint
from ._early_stopping import EarlyStopping
from ._ema import EMA
from ._lambda import Lambda
from ._logs import CSVLog, JSONLines, TensorBoard
from ._monitors import GradientNorms, LearningRateMonitor, Timer
from ._roll_back import RollBack, check_on_nonfinite

__all__ = [
    "EMA",
    "CSVLog",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "GradientNorms",
    "JSONLines",
    "Lambda",
    "LearningRateMonitor",
    "RollBack",
    "TensorBoard",
    "Timer",
    "check_callbacks",
    "check_on_nonfinite",
    "latest_checkpoint",
    "overridden",
]
