from __future__ import annotations

from collections.abc import Callable

import numpy as np
import sklearn
from sklearn.neural_network import MLPClassifier

from ..workloads import Workload


def modes(workload: Workload) -> list[str]:
    """It has neither BatchNorm nor convolutions."""
    if workload.net != "mlp" or workload.batch_norm:
        return []
    return ["predict_proba"] if workload.inference else ["partial_fit"]


def version() -> str:
    return sklearn.__version__


def prepare(workload: Workload, mode: str, threads: int) -> Callable[[], float]:
    options = {"learning_rate_init": 1e-3} if workload.optimizer == "adam" else {"learning_rate_init": 0.01}
    model = MLPClassifier(
        workload.sizes[1:-1],
        solver=workload.optimizer,
        alpha=0,
        batch_size=workload.batch,
        random_state=0,
        **options,
    )
    x, y = workload.data()
    classes = np.arange(workload.classes)

    if workload.inference:
        model.partial_fit(x, y, classes=classes)
        return lambda: float(model.predict_proba(x)[0, 0])

    def step() -> float:
        model.partial_fit(x, y, classes=classes)
        return float(model.loss_)

    return step
