"""scikit-learn's own checks of estimators, none of which is expected to fail."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from ravine.sklearn import MLPClassifier, MLPRegressor, NetClassifier, NetRegressor

# Few epochs at a higher rate: what is checked is how they behave, not what they reach.
ESTIMATORS = [
    MLPClassifier(max_iter=20, learning_rate_init=0.02),
    MLPRegressor(max_iter=20, learning_rate_init=0.02),
    NetClassifier(max_epochs=10, lr=0.02),
    NetRegressor(max_epochs=10, lr=0.02),
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:Can't check dok sparse matrix:UserWarning")
@parametrize_with_checks(ESTIMATORS)
def test_estimators(estimator: Any, check: Any) -> None:
    check(estimator)
