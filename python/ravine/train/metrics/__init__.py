"""Metrics: accumulators over batches, by the names and with the results of scikit-learn."""

from ._answers import Reading, reading_under
from ._classification import (
    F1,
    Accuracy,
    AveragePrecision,
    ConfusionMatrix,
    LogLoss,
    Precision,
    Recall,
    RocAuc,
    TopKAccuracy,
)
from ._metric import Metric, Metrics, WholeSet, examples_in
from ._named import MetricLike, accuracy, binary_accuracy, named_metrics
from ._regression import MAE, R2, RMSE
from ._tally import loss_sums

__all__ = [
    "F1",
    "MAE",
    "R2",
    "RMSE",
    "Accuracy",
    "AveragePrecision",
    "ConfusionMatrix",
    "LogLoss",
    "Metric",
    "MetricLike",
    "Metrics",
    "Precision",
    "Reading",
    "Recall",
    "RocAuc",
    "TopKAccuracy",
    "WholeSet",
    "accuracy",
    "binary_accuracy",
    "examples_in",
    "loss_sums",
    "named_metrics",
    "reading_under",
]
