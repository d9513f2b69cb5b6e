"""Estimators for scikit-learn: `fit`, `predict` and `score` around Ravine's training.

`pip install 'ravine[sklearn]'` brings scikit-learn, which nothing else in Ravine needs.
"""

try:
    import sklearn as _  # noqa: F401
except ModuleNotFoundError:
    raise ModuleNotFoundError("ravine.sklearn needs scikit-learn: pip install 'ravine[sklearn]'") from None

from ._mlp import MLPClassifier, MLPRegressor
from ._net import NetClassifier, NetRegressor

__all__ = ["MLPClassifier", "MLPRegressor", "NetClassifier", "NetRegressor"]
