"""Weights of examples and classes: Σ w l / Σ w, in training and validation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import data, nn, ops, optim
from ravine.train import Trainer

RNG = np.random.default_rng(4)
X = RNG.normal(size=(24, 4)).astype(np.float32)
Y = np.repeat([0, 1, 2], [16, 6, 2])
W = np.tile([1, 2, 0, 3], 6)


def trained(*arguments: Any, loss: Any = None, **options: Any) -> Trainer:
    rv.seed(0)
    trainer = Trainer(nn.Linear(4, 3), loss or nn.CrossEntropyLoss(), optim.SGD(0.1), ["accuracy"])
    trainer.fit(*arguments, **({"batch_size": 8, "epochs": 2, "verbose": 0, "shuffle": False} | options))
    return trainer


def check_close(one: Trainer, other: Trainer) -> None:
    np.testing.assert_allclose(one.model.weight.data, other.model.weight.data, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(one.history["loss"], other.history["loss"], rtol=1e-5)


@pytest.mark.parametrize(
    "loss", [nn.CrossEntropyLoss(), ops.cross_entropy, nn.CrossEntropyLoss(weight=np.ones(3, np.float32))]
)
def test_a_weight_is_a_number_of_copies(loss: Any) -> None:
    weighted = trained(X, Y, sample_weight=W, loss=loss, batch_size=24)
    rows = np.repeat(np.arange(24), W)
    check_close(weighted, trained(X[rows], Y[rows], batch_size=len(rows), loss=loss))
    by_source = trained(data.Batches(X, Y, W.astype(np.float32), batch_size=24), loss=loss)
    np.testing.assert_array_equal(by_source.model.weight.data, weighted.model.weight.data)


def test_the_loss_is_the_weighted_mean_over_uneven_batches() -> None:
    rows = np.repeat(np.arange(24), W)
    one = trained(X, Y, sample_weight=W, validation_data={"plain": (X, Y), "weighted": (X, Y, W)}, epochs=1)
    weighted, plain = one.history["val_weighted_loss"][-1], one.history["val_plain_loss"][-1]
    assert weighted == pytest.approx(one.evaluate(X[rows], Y[rows])["loss"], rel=1e-5)
    assert plain == pytest.approx(one.evaluate(X, Y)["loss"], rel=1e-6) != weighted
    still = rv.Trainer(nn.Linear(4, 3), nn.CrossEntropyLoss(), optim.SGD(0.0))
    history = still.fit(X, Y, sample_weight=W, batch_size=5, verbose=0)
    assert history["loss"][0] == pytest.approx(still.evaluate(X[rows], Y[rows])["loss"], rel=1e-5)


def test_weights_of_classes() -> None:
    table = {0: 0.5, 1: 24 / (3 * 6), 2: 4.0}
    check_close(trained(X, Y, class_weight="balanced"), trained(X, Y, class_weight=table))
    both = trained(X, Y, class_weight=table, sample_weight=W)
    check_close(both, trained(X, Y, sample_weight=W * np.array([table[c] for c in Y.tolist()])))
    # A batch in which all weights are 0 changes nothing.
    zero = trained(X, Y, sample_weight=np.repeat([1, 0], [16, 8]))
    check_close(zero, trained(X[:16], Y[:16]))


def test_several_losses_of_an_example_are_their_mean() -> None:
    target = RNG.normal(size=(24, 3)).astype(np.float32)
    rows = np.repeat(np.arange(24), W)
    options = {"loss": nn.MSELoss(), "batch_size": 100}

    def fit(*arguments: Any, **more: Any) -> Trainer:
        rv.seed(0)
        trainer = Trainer(nn.Linear(4, 3), options["loss"], optim.SGD(0.1))
        trainer.fit(*arguments, epochs=2, batch_size=100, shuffle=False, verbose=0, **more)
        return trainer

    check_close(fit(X, target, sample_weight=W), fit(X[rows], target[rows]))


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((X, Y), {"sample_weight": W[:-1]}, r"int64 \(23,\), expected a number for each of 24"),
        ((X, Y), {"sample_weight": -W}, "0 or more"),
        ((X, Y), {"sample_weight": W * np.nan}, "must be finite"),
        ((X, Y), {"sample_weight": W * 0}, "not all 0"),
        ((X, Y), {"class_weight": {0: 1.0}}, r"no weight for the classes \[1, 2\]"),
        ((X, Y), {"class_weight": "even"}, "class_weight is 'even'"),
        ((X, X), {"class_weight": "balanced"}, r"integer labels \[n\], got y float32 \(24, 4\)"),
        ((data.Batches(X, Y),), {"sample_weight": W}, "gives the weights of its examples itself"),
        ((X, Y), {"validation_data": (X, Y, W[:2])}, "sample_weight is int64"),
        (
            (X, Y),
            {"sample_weight": W, "loss": lambda o, y: ops.cross_entropy(o, y).sqrt()},
            "the loss cannot be weighted by example, as it is no mean",
        ),
        ((data.Batches(X, Y, W[:, None].astype(np.float32)),), {}, r"\[n\], got shape \(24, 1\)"),
    ],
)
def test_wrong_weights_are_errors(arguments: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        trained(*arguments, **options)


def test_what_a_trainer_is_made_of_is_checked() -> None:
    for model, loss, message in (
        (lambda x: x, nn.MSELoss(), "Trainer: model must be a Module, got function"),
        (nn.Linear(1, 1), "mse", "TrainStep: loss must be a module or a function, got str"),
    ):
        with pytest.raises(TypeError, match=message):
            Trainer(model, loss, optim.SGD(0.1))  # type: ignore[arg-type]
