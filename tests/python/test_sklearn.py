"""Estimators for scikit-learn: results of its own perceptrons, any network, its tools around them."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn import neural_network
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import ravine as rv
from ravine import nn, optim
from ravine.sklearn import MLPClassifier, MLPRegressor, NetClassifier, NetRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

IRIS = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])


def numbers(columns: int | None, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 5))
    y = x @ rng.normal(size=(5, columns or 1)) + 0.1 * rng.normal(size=(n, columns or 1))
    return x, y if columns else y[:, 0]


def labels(classes: int) -> tuple[np.ndarray, np.ndarray]:
    x, y = IRIS
    keep = y < classes
    return x[keep], y[keep]


def several_labels() -> tuple[np.ndarray, np.ndarray]:
    x, y = make_multilabel_classification(80, 6, n_classes=3, random_state=0)
    return x / 10.0, y


DATA = {
    "two classes": lambda: labels(2),
    "three classes": lambda: labels(3),
    "several labels": several_labels,
    "numbers": lambda: numbers(None),
    "two numbers": lambda: numbers(2),
}
SOLVERS: dict[str, tuple[dict[str, Any], float]] = {
    "sgd": ({"solver": "sgd", "learning_rate_init": 0.01}, 1e-9),
    "sgd, heavy ball, tanh": ({"solver": "sgd", "nesterovs_momentum": False, "activation": "tanh"}, 1e-9),
    "sgd, no momentum, logistic": ({"solver": "sgd", "momentum": 0.0, "activation": "logistic"}, 1e-9),
    "adam, identity": ({"solver": "adam", "activation": "identity", "alpha": 0.1}, 1e-5),
    "two layers": ({"hidden_layer_sizes": (7, 4), "solver": "sgd", "alpha": 1.0}, 1e-9),
}


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("data", DATA)
def test_the_weights_are_those_of_scikit_learn(data: str, solver: str) -> None:
    """From the same random state, in one mini-batch: the same initial weights and the same way down."""
    x, y = DATA[data]()
    arguments, tolerance = SOLVERS[solver]
    arguments = {"hidden_layer_sizes": (8,), "max_iter": 15, "shuffle": False, "random_state": 3} | arguments
    regression = "numbers" in data
    ours = (MLPRegressor if regression else MLPClassifier)(**arguments).fit(x, y)
    theirs = getattr(neural_network, type(ours).__name__)(**arguments).fit(x, y)
    for a, b in zip([*ours.coefs_, *ours.intercepts_], [*theirs.coefs_, *theirs.intercepts_], strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
    predict = "predict" if regression else "predict_proba"
    np.testing.assert_allclose(getattr(ours, predict)(x), getattr(theirs, predict)(x), atol=10 * tolerance)
    if not regression:
        np.testing.assert_array_equal(ours.predict(x), theirs.predict(x))
    if data != "two numbers":  # whose loss scikit-learn averages over the outputs, but does not minimise so
        np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=100 * tolerance)
    assert ours.out_activation_ == theirs.out_activation_
    assert (ours.n_iter_, ours.t_, ours.n_layers_, ours.n_outputs_) == (
        theirs.n_iter_,
        theirs.t_,
        theirs.n_layers_,
        theirs.n_outputs_,
    )


def test_poisson_regression_is_that_of_scikit_learn() -> None:
    x, y = numbers(None)
    counts = np.floor(np.exp(np.clip(y, None, 2.0)))
    arguments = {"loss": "poisson", "solver": "sgd", "max_iter": 10, "shuffle": False, "random_state": 0}
    ours = MLPRegressor(**arguments).fit(x, counts)
    theirs = neural_network.MLPRegressor(**arguments).fit(x, counts)
    np.testing.assert_allclose(ours.predict(x), theirs.predict(x), rtol=1e-9)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-9)


@pytest.mark.parametrize("rate", ["invscaling", "adaptive"])
def test_rates_and_the_end_are_those_of_scikit_learn(rate: str) -> None:
    x, y = labels(3)
    arguments = {
        "solver": "sgd", "learning_rate": rate, "momentum": 0.0, "shuffle": False, "random_state": 0,
        "learning_rate_init": 0.5, "max_iter": 300, "tol": 1e-3, "n_iter_no_change": 2,
    }  # fmt: skip
    ours = MLPClassifier(**arguments).fit(x, y)
    theirs = neural_network.MLPClassifier(**arguments).fit(x, y)
    assert ours.n_iter_ == theirs.n_iter_ < 300
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-6)
    assert ours.best_loss_ == min(ours.loss_curve_)


def test_lbfgs_reaches_the_minimum_that_scikit_learn_does() -> None:
    x, y = numbers(2)
    arguments = {
        "hidden_layer_sizes": (6,),
        "solver": "lbfgs",
        "alpha": 1.0,
        "random_state": 1,
        "max_iter": 500,
    }
    ours = MLPRegressor(**arguments, activation="identity").fit(x, y)
    theirs = neural_network.MLPRegressor(**arguments, activation="identity").fit(x, y)
    np.testing.assert_allclose(ours.predict(x), theirs.predict(x), atol=2e-2)
    with pytest.warns(ConvergenceWarning, match="lbfgs failed to converge after 3 iteration"):
        MLPRegressor(solver="lbfgs", max_iter=3).fit(x, y)


def test_weights_of_examples_count_as_repeated_examples() -> None:
    x, y = labels(3)
    weight = np.random.default_rng(0).integers(0, 3, len(x))
    arguments = {"max_iter": 10, "batch_size": 500, "random_state": 0, "learning_rate_init": 0.01}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weighted = MLPClassifier(**arguments).fit(x, y, sample_weight=weight)
        repeated = MLPClassifier(**arguments).fit(x.repeat(weight, axis=0), y.repeat(weight))
    np.testing.assert_allclose(weighted.predict_proba(x), repeated.predict_proba(x), rtol=1e-9)
    x, y, few = x[:110], y[:110], {"max_iter": 3, "random_state": 0}
    by_hand = MLPClassifier(**few).fit(x, y, sample_weight=110 / (3 * np.bincount(y))[y])
    balanced = MLPClassifier(**few, class_weight="balanced").fit(x, y)
    np.testing.assert_array_equal(balanced.predict_proba(x), by_hand.predict_proba(x))


def net(in_features: int, out_features: int, width: int = 16) -> nn.Module:
    return nn.Sequential(
        nn.Linear(in_features, width),
        nn.BatchNorm1d(width),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Linear(width, out_features),
    )


FITTED: dict[str, Any] = {
    "MLPClassifier": lambda: MLPClassifier((16,), max_iter=5, dropout=0.2, batch_norm=True, random_state=0),
    "NetClassifier": lambda: NetClassifier(net, max_epochs=5, random_state=0),
    "MLPRegressor": lambda: MLPRegressor("squared_error", (16,), max_iter=5, dropout=0.2, random_state=0),
    "NetRegressor": lambda: NetRegressor(net, max_epochs=5, random_state=0),
}


@pytest.mark.parametrize("name", FITTED)
def test_a_fit_is_a_function_of_the_random_state(name: str) -> None:
    x, y = IRIS
    first = FITTED[name]().fit(x, y).predict(x)
    rv.seed(7)
    before = rv._core.draw_seed()
    second = FITTED[name]().fit(x, y)
    rv.seed(7)
    assert rv._core.draw_seed() == before
    np.testing.assert_array_equal(first, second.predict(x))
    outputs = "predict" if name.endswith("Regressor") else "predict_proba"
    other = FITTED[name]().set_params(random_state=1).fit(x, y)
    assert not np.allclose(getattr(second, outputs)(x), getattr(other, outputs)(x))


@pytest.mark.parametrize("name", FITTED)
def test_copies_and_pickles_predict_and_go_on_alike(name: str) -> None:
    x, y = IRIS
    model = FITTED[name]().fit(x, y)
    other = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(other.predict(x), model.predict(x))
    for each in (model, other):
        each.partial_fit(x, y)
        each.partial_fit(x[:40], y[:40])
    np.testing.assert_array_equal(other.predict(x), model.predict(x))
    unfitted = clone(model)
    assert unfitted.get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        unfitted.predict(x)


@pytest.mark.parametrize("name", FITTED)
def test_a_pickle_holds_no_examples(name: str) -> None:
    x, y = IRIS
    small = len(pickle.dumps(FITTED[name]().fit(x, y)))
    large = len(pickle.dumps(FITTED[name]().fit(np.repeat(x, 50, axis=0), np.repeat(y, 50))))
    assert large < small + 2000


@pytest.mark.parametrize("kind", [MLPClassifier, NetClassifier])
def test_labels_may_be_strings_and_come_in_parts(kind: Any) -> None:
    x, y = IRIS
    model = kind(random_state=0, **{"learning_rate_init" if kind is MLPClassifier else "lr": 0.01})
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        model.partial_fit(x[:50], NAMES[y[:50]])
    for _ in range(40):
        for rows in (slice(0, 60), slice(60, 150)):
            model.partial_fit(x[rows], NAMES[y[rows]], classes=NAMES)
    assert model.score(x, NAMES[y]) > 0.93
    assert model.predict(x[:2]).tolist() == ["setosa", "setosa"]
    assert model.classes_.tolist() == NAMES.tolist()
    np.testing.assert_allclose(np.exp(model.predict_log_proba(x)), model.predict_proba(x))
    with pytest.raises(ValueError, match=r"labels \['rose'\] that are not in the classes"):
        model.partial_fit(x[:2], ["rose", "setosa"])
    with pytest.raises(ValueError, match="is not the same as on last call"):
        model.partial_fit(x[:2], NAMES[:2], classes=NAMES[:2])


CRITERIA: dict[str, Any] = {
    "CrossEntropyLoss": (nn.CrossEntropyLoss, lambda n: nn.Linear(4, n)),
    "NLLLoss": (nn.NLLLoss, lambda n: nn.Sequential(nn.Linear(4, n), nn.LogSoftmax(dim=1))),
    "BCEWithLogitsLoss": (nn.BCEWithLogitsLoss, lambda n: nn.Linear(4, 1 if n == 2 else n)),
    "BCELoss": (nn.BCELoss(), lambda n: nn.Sequential(nn.Linear(4, 1 if n == 2 else n), nn.Sigmoid())),
}


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("criterion", CRITERIA)
def test_outputs_are_read_as_the_criterion_reads_them(criterion: str, classes: int) -> None:
    x, y = labels(classes)
    loss, module = CRITERIA[criterion]
    model = NetClassifier(
        module(classes), criterion=loss, optimizer=optim.Adam(lr=0.1), max_epochs=60, random_state=0
    )
    model.fit(x, y)
    assert model.score(x, y) > 0.9
    p = model.predict_proba(x)
    assert p.shape == (len(x), classes)
    np.testing.assert_allclose(p.sum(axis=1), 1.0)
    decisions = model.decision_function(x)
    assert decisions.shape == ((len(x),) if classes == 2 else (len(x), 3))
    chosen = (decisions > 0).astype(int) if classes == 2 else decisions.argmax(axis=1)
    np.testing.assert_array_equal(chosen, model.predict(x))


def test_one_output_of_two_classes_has_a_usual_criterion() -> None:
    x, y = labels(2)
    model = NetClassifier(
        nn.Sequential(nn.Linear(4, 1), nn.Flatten(0)), lr=0.1, max_epochs=30, random_state=0
    )
    assert model.fit(x, NAMES[y]).score(x, NAMES[y]) == 1.0
    assert model.predict_proba(x).shape == (100, 2)


def test_several_labels_and_several_numbers() -> None:
    x, y = several_labels()
    for model in (
        MLPClassifier(learning_rate_init=0.05, random_state=0),
        NetClassifier(lr=0.05, random_state=0),
    ):
        predicted = model.fit(x, y).predict(x)
        assert predicted.shape == y.shape and (predicted == y).mean() > 0.9
        assert model.predict_proba(x).shape == y.shape
    x, y = numbers(2)
    for model in (
        MLPRegressor(solver="lbfgs", random_state=0),
        NetRegressor(lr=0.01, max_epochs=200, random_state=0),
    ):
        assert model.fit(x, y).predict(x).shape == y.shape
        assert model.score(x, y) > 0.95


@pytest.mark.parametrize("kind", [MLPClassifier, NetClassifier])
def test_early_stopping_takes_the_best_weights_back(kind: Any) -> None:
    x, y = load_digits(return_X_y=True)
    rate = {"learning_rate_init": 0.05} if kind is MLPClassifier else {"lr": 0.05}
    model = kind(early_stopping=True, n_iter_no_change=3, random_state=0, **rate).fit(x[:200] / 16, y[:200])
    assert model.n_iter_ < 100
    if kind is MLPClassifier:
        assert (
            model.best_validation_score_
            == max(model.validation_scores_)
            > model.validation_scores_[-1] - 1e-12
        )
        assert model.best_loss_ is None and len(model.loss_curve_) == model.n_iter_
    else:
        best = int(np.argmin(model.history_["val_loss"])) + 1
        assert best < model.n_iter_ == len(model.history_["loss"])
        alone = kind(max_epochs=best, validation_fraction=0.1, random_state=0, **rate).fit(
            x[:200] / 16, y[:200]
        )
        np.testing.assert_array_equal(alone.predict_proba(x), model.predict_proba(x))
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping"):
        model.partial_fit(x, y)


def test_a_warm_start_goes_on_and_a_cold_one_begins_again() -> None:
    x, y = IRIS
    for model, curve in (
        (MLPClassifier(max_iter=10, random_state=0), lambda m: m.loss_curve_),
        (NetClassifier(max_epochs=10, random_state=0), lambda m: m.history_["loss"]),
    ):
        first = model.fit(x, y).predict_proba(x)
        np.testing.assert_array_equal(model.fit(x, y).predict_proba(x), first)
        loss = curve(model)[-1]
        model.set_params(warm_start=True).fit(x, y)
        assert curve(model)[-1] < loss and model.n_iter_ == 10
        with pytest.raises(ValueError, match=r"features, but"):
            model.set_params(warm_start=True).fit(x[:, :2], y)


def test_any_optimizer_and_schedule() -> None:
    x, y = IRIS
    rate = optim.schedules.Cosine(0.1, 60)
    solver = optim.AdamW(lr=rate, clip_norm=1.0)
    model = MLPClassifier(solver=solver, max_iter=60, tol=0.0, random_state=0).fit(x, y)
    assert model.score(x, y) > 0.93 and solver.lr is rate
    by_name = MLPClassifier(solver="sgd", learning_rate=rate, max_iter=60, random_state=0).fit(x, y)
    assert by_name.score(x, y) > 0.9
    arguments = {
        "lr": rate,
        "optimizer__weight_decay": 0.01,
        "batch_size": 150,
        "max_epochs": 60,
        "random_state": 0,
    }
    assert NetClassifier(optimizer=optim.AdamW, **arguments).fit(x, y).score(x, y) > 0.93


def test_callbacks_metrics_and_images() -> None:
    x, y = load_digits(return_X_y=True)
    images = x.reshape(-1, 1, 8, 8)[:300].astype(np.float32)
    norms = rv.train.Timer()
    model = NetClassifier(
        rv.models.cnn,
        module__in_shape=(1, 8, 8),
        module__num_classes=10,
        module__channels=(8,),
        callbacks=[norms],
        metrics=["accuracy"],
        validation_fraction=0.2,
        max_epochs=4,
        lr=0.01,
        random_state=0,
    ).fit(images, y[:300])
    assert {"accuracy", "val_accuracy"} < set(model.history_)
    assert norms.epochs == [] and len(model.callbacks_[0].epochs) == 4
    assert model.score(images, y[:300]) > 0.8
    assert model.module_.training is False and model.module_.state_dict()["0.weight"].dtype == np.float32


def test_the_dtype_is_that_of_the_examples_or_as_told() -> None:
    x, y = IRIS
    assert MLPClassifier(max_iter=1).fit(x, y).coefs_[0].dtype == np.float64
    assert MLPClassifier(max_iter=1).fit(x.astype("float32"), y).coefs_[0].dtype == np.float32
    assert MLPClassifier(max_iter=1, dtype="float32").fit(x, y).coefs_[0].dtype == np.float32


# --- scikit-learn's tools


def test_pipelines_searches_in_processes_and_calibration() -> None:
    x, y = load_breast_cancer(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), NetClassifier(max_epochs=5, random_state=0))
    grid = {"netclassifier__module__hidden": [(32,)], "netclassifier__lr": [1e-5, 1e-2]}
    search = GridSearchCV(pipeline, grid, cv=2, n_jobs=2).fit(x, y)
    assert search.best_params_ == {"netclassifier__module__hidden": (32,), "netclassifier__lr": 1e-2}
    assert search.best_score_ > 0.95
    in_turn = GridSearchCV(pipeline, grid, cv=2).fit(x, y)
    np.testing.assert_array_equal(
        in_turn.cv_results_["mean_test_score"], search.cv_results_["mean_test_score"]
    )
    calibrated = CalibratedClassifierCV(make_pipeline(StandardScaler(), MLPClassifier(max_iter=20)), cv=2)
    assert calibrated.fit(x, y).score(x, y) > 0.95
    assert cross_val_score(pipeline, x, y, cv=2, scoring="roc_auc").min() > 0.95


def test_frames_name_their_columns() -> None:
    pandas = pytest.importorskip("pandas")
    x, y = IRIS
    frame = pandas.DataFrame(x, columns=["a", "b", "c", "d"])
    model = MLPClassifier(max_iter=2).fit(frame, y)
    assert model.feature_names_in_.tolist() == ["a", "b", "c", "d"] and model.n_features_in_ == 4
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[["b", "a", "c", "d"]])


# --- wrong input: the estimator, the error, its message

X, Y = IRIS
WRONG: dict[str, tuple[Any, Any, str]] = {
    "sparse": (
        lambda: MLPClassifier().fit(sparse.csr_array(X), Y),
        TypeError,
        r"dense data is required.*toarray",
    ),
    "sparse net": (lambda: NetRegressor().fit(sparse.csr_array(X), Y), TypeError, "dense data is required"),
    "NaN": (lambda: MLPClassifier().fit(np.where(X > 6, np.nan, X), Y), ValueError, "Input X contains NaN"),
    "one class": (lambda: MLPClassifier().fit(X, np.zeros(150)), ValueError, "one class, 0.0; at least two"),
    "numbers as labels": (
        lambda: MLPClassifier().fit(X, X[:, 0]),
        ValueError,
        "Unknown label type: continuous",
    ),
    "two columns of classes": (
        lambda: NetClassifier().fit(X, np.c_[Y, Y]),
        ValueError,
        "multiclass-multioutput",
    ),
    "lengths": (lambda: NetRegressor().fit(X, Y[:9]), ValueError, "inconsistent numbers of samples"),
    "activation": (
        lambda: MLPClassifier(activation="sine").fit(X, Y),
        ValueError,
        "activation must be one of identity",
    ),
    "solver": (
        lambda: MLPClassifier(solver="newton").fit(X, Y),
        ValueError,
        "or an optimizer of ravine.optim",
    ),
    "hidden": (
        lambda: MLPClassifier((8, 0)).fit(X, Y),
        ValueError,
        "hidden_layer_sizes must be at least 1, got 0",
    ),
    "alpha": (
        lambda: MLPRegressor(alpha=-1.0).fit(X, Y),
        ValueError,
        "alpha must be a finite number at least 0",
    ),
    "batch": (
        lambda: MLPRegressor(batch_size=0).fit(X, Y),
        ValueError,
        "batch_size must be at least 1, got 0",
    ),
    "rate": (lambda: MLPRegressor(learning_rate="cosine").fit(X, Y), ValueError, "adaptive or a schedule"),
    "flag": (
        lambda: MLPRegressor(shuffle="no").fit(X, Y),
        TypeError,
        "shuffle must be True or False, got 'no'",
    ),
    "dtype": (
        lambda: MLPRegressor(dtype="float16").fit(X, Y),
        ValueError,
        "dtype must be one of auto, float32",
    ),
    "loss": (lambda: MLPRegressor("absolute").fit(X, Y), ValueError, "loss must be squared_error or poisson"),
    "counts": (lambda: MLPRegressor("poisson").fit(X, -Y), ValueError, "needs targets of 0 or more"),
    "lbfgs, dropout": (
        lambda: MLPRegressor(solver="lbfgs", dropout=0.5).fit(X, Y),
        ValueError,
        "without randomness",
    ),
    "lbfgs in parts": (
        lambda: MLPRegressor(solver="lbfgs").partial_fit(X, Y),
        ValueError,
        "partial_fit needs solver 'sgd', 'adam' or an optimizer",
    ),
    "too little to validate": (
        lambda: MLPClassifier(early_stopping=True).fit(X[45:55], Y[45:55]),
        ValueError,
        "the validation set is too small",
    ),
    "diverged": (
        lambda: MLPRegressor(solver="sgd", learning_rate_init=1e6, max_iter=50).fit(1e3 * X, Y),
        FloatingPointError,
        "the loss became",
    ),
    "argument": (
        lambda: NetClassifier(max_epoch=3).fit(X, Y),
        TypeError,
        r"unexpected arguments \['max_epoch'\]",
    ),
    "module": (
        lambda: NetClassifier("mlp").fit(X, Y),
        TypeError,
        "module must be a Module, its class, or a function",
    ),
    "made nothing": (lambda: NetClassifier(lambda: None).fit(X, Y), TypeError, "module made a NoneType"),
    "argument of an instance": (
        lambda: NetClassifier(nn.Linear(4, 3), module__width=3).fit(X, Y),
        ValueError,
        r"is an instance, which takes no arguments \['width'\]",
    ),
    "outputs": (
        lambda: NetClassifier(nn.Linear(4, 2)).fit(X, Y),
        ValueError,
        r"shape \(2,\) under CrossEntropyLoss",
    ),
    "inputs": (lambda: NetClassifier(nn.Linear(5, 3)).fit(X, Y), ValueError, "5"),
    "several labels": (
        lambda: NetClassifier(criterion=nn.CrossEntropyLoss).fit(*several_labels()),
        ValueError,
        "several labels need BCEWithLogitsLoss",
    ),
    "numbers": (lambda: NetRegressor(nn.Linear(4, 2)).fit(X, Y), ValueError, "expected 1 numbers"),
    "rate of an instance": (
        lambda: NetClassifier(optimizer=optim.Adam(), lr=0.1).fit(X, Y),
        ValueError,
        "optimizer is an instance, which has its numbers",
    ),
    "optimizer": (
        lambda: NetClassifier(optimizer="adam").fit(X, Y),
        TypeError,
        "must be one of ravine.optim",
    ),
    "criterion": (lambda: NetClassifier(criterion="mse").fit(X, Y), TypeError, "criterion must be a loss"),
    "criterion's arguments": (
        lambda: NetClassifier(criterion=nn.CrossEntropyLoss(), criterion__weight=1).fit(X, Y),
        ValueError,
        "is not a class, so it takes no arguments",
    ),
    "features": (
        lambda: NetClassifier(max_epochs=1).fit(X, Y).predict(X[:, :3]),
        ValueError,
        "X has 3 features, but",
    ),
    "kind of y": (
        lambda: MLPClassifier(max_iter=1, warm_start=True).fit(X, Y).fit(X, np.c_[Y > 0, Y > 1]),
        ValueError,
        "not of the kind of the first call",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_told(case: str) -> None:
    call, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        call()


def test_a_fit_that_fails_keeps_what_was_learned() -> None:
    x, y = IRIS
    model = NetClassifier(max_epochs=2, random_state=0).fit(x, y)
    before = model.predict_proba(x)
    for change in ({"max_epochs": 0}, {"module": nn.Linear(4, 7)}):
        with pytest.raises(ValueError):
            clone(model).set_params(**change).fit(x, y)
        old = {name: model.get_params()[name] for name in change}
        with pytest.raises(ValueError):
            model.set_params(**change).fit(x, y)
        np.testing.assert_array_equal(model.set_params(**old).predict_proba(x), before)
