"""EnsembleTrainer and cross-validation: each member is trained as alone, ends by itself, resumes."""

from __future__ import annotations

import numpy as np
import pytest

import ravine as rv
from ravine import data, nn, optim
from ravine.train import EnsembleTrainer, Trainer, cross_validate

N = 3


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 3))


def examples(n: int = 90) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    y = np.arange(n) % 3
    return (rng.normal(size=(n, 5)) + 2 * rng.normal(size=(3, 5))[y]).astype("f"), y


def begun(rule=None, seed: int = 0) -> EnsembleTrainer:
    rv.seed(seed)
    return EnsembleTrainer(
        rv.Ensemble(net, N, seeds=[1, 2, 3]), nn.CrossEntropyLoss(), rule or optim.Adam(lr=0.01), ["accuracy"]
    )


def bits(model: nn.Module) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in model.state_dict().items()}


ROWS = [np.arange(70), np.arange(20, 90), np.arange(0, 90, 2)]
HELD_OUT = [np.arange(70, 90), np.arange(20), np.arange(1, 90, 2)]


def test_a_member_is_trained_as_by_a_trainer_alone() -> None:
    x, y = examples()
    trainer = begun()
    history = trainer.fit(x, y, rows=ROWS, epochs=2, batch_size=16, validation_rows=HELD_OUT, seed=9)
    orders = data.MemberBatches(x, y, n=N, rows=ROWS, batch_size=16, seed=9)
    next(iter(orders))  # gives the members their seeds
    for i in range(N):
        rv.seed(i + 1)
        alone = Trainer(net(), nn.CrossEntropyLoss(), optim.Adam(lr=0.01), ["accuracy"])
        own = alone.fit(orders._members[i], epochs=2, verbose=0)
        assert bits(alone.model) == bits(trainer.ensemble.member(i))
        measured = alone.evaluate(x[HELD_OUT[i]], y[HELD_OUT[i]])
        for name, value in measured.items():
            assert history[f"val_{name}"][-1][i] == pytest.approx(value, rel=1e-6)
        assert [row[i] for row in history["loss"]] == pytest.approx(own["loss"], rel=1e-5)
    assert not trainer.ensemble.training


def test_a_run_in_pieces_gives_the_bits_of_one() -> None:
    x, y = examples()
    arguments = {"batch_size": 16, "validation_data": (x[:30], y[:30]), "patience": 2, "seed": 4}
    rule = optim.SGD(lr=0.3, momentum=0.9, accumulate=2)
    whole, first, second = begun(rule), begun(rule), begun(rule, seed=1)
    whole.fit(x, y, epochs=6, **arguments)
    first.fit(x, y, epochs=2, **arguments)
    second.load_state_dict(first.state_dict())
    second.fit(x, y, epochs=6, **arguments)
    assert bits(second.ensemble) == bits(whole.ensemble)
    for name, values in whole.history.items():
        np.testing.assert_array_equal(second.history[name], values)
    np.testing.assert_array_equal(second.best_epoch, whole.best_epoch)
    with pytest.raises(ValueError, match="EnsembleTrainer: missing keys"):
        second.load_state_dict({})


def test_members_end_by_patience_with_their_best_weights() -> None:
    x, y = examples()
    trainer = begun([optim.SGD(lr=0.05), optim.SGD(lr=0.0), optim.SGD(lr=0.05)])
    history = trainer.fit(
        x, y, epochs=4, batch_size=30, validation_data=(x, y), patience=1, shuffle=False, seed=0
    )
    losses = np.array(history["val_loss"])
    assert trainer.step.active.tolist() == [True, False, True]
    # BatchNorm's statistics still move at a rate of 0.
    ended = int(np.isnan(losses[:, 1]).argmax())
    assert np.isnan(losses[ended:, 1]).all()
    assert trainer.evaluate(x, y)["loss"][1] == pytest.approx(np.nanmin(losses[:, 1]), rel=1e-6)
    assert (trainer.best_epoch[[0, 2]] == 3).all()


def test_members_on_one_order_and_a_member_that_diverges() -> None:
    x, y = examples()
    trainer = begun([optim.SGD(lr=0.05), optim.SGD(lr=1e30), optim.SGD(lr=0.05)])
    rv.seed(1)
    alone = rv.TrainStep(net(), nn.CrossEntropyLoss(), optim.SGD(lr=0.05))
    trainer.fit(x, y, epochs=2, batch_size=30, same_order=True, shuffle=False, seed=0, verbose=1)
    for _ in range(2):
        for x_batch, y_batch in data.Batches(x, y, batch_size=30):
            alone(x_batch, y_batch)
    assert bits(trainer.ensemble.member(0)) == bits(alone.model)
    assert np.isfinite(trainer.history["loss"][-1][[0, 2]]).all()


def test_cross_validation_of_each_fold() -> None:
    x, y = examples()
    result = cross_validate(
        net,
        nn.CrossEntropyLoss(),
        optim.Adam(lr=0.02),
        x,
        y,
        folds=4,
        metrics=["accuracy"],
        epochs=3,
        batch_size=16,
        stratify=True,
        seed=2,
    )
    validation = np.concatenate([own for _, own in result.folds])
    assert sorted(validation.tolist()) == list(range(90))
    for (train, own), member, score in zip(
        result.folds, result.ensemble.members, result.scores["accuracy"], strict=True
    ):
        assert not set(train) & set(own)
        assert len(train) + len(own) == 90
        assert np.bincount(y[own]).max() - np.bincount(y[own]).min() <= 1
        assert score == pytest.approx((member(x[own]).argmax(1) == y[own]).mean())
        np.testing.assert_allclose(result.predictions(x)[own], member(x[own]), rtol=1e-5, atol=1e-6)
    assert result.mean["accuracy"] == pytest.approx(result.scores["accuracy"].mean())
    assert str(result).splitlines()[-1].startswith(" std")
    assert len(result.history["loss"]) == 3
    again = cross_validate(
        net, nn.CrossEntropyLoss(), optim.Adam(), x, y, folds=[(range(60), range(60, 90))], seed=0, patience=1
    )
    assert again.scores["loss"].shape == (1,)
    assert np.isnan(again.predictions(x)[:60]).all()


def test_folds_are_even_and_a_function_of_the_seed() -> None:
    labels = np.array([0] * 7 + [1] * 4)
    for k in (2, 3, 11):
        folds = data.k_fold(11, k, seed=1, stratify=labels)
        assert sorted(np.concatenate([own for _, own in folds]).tolist()) == list(range(11))
        assert {len(own) for _, own in folds} <= {11 // k, -(-11 // k)}
        assert all(sorted([*train, *own]) == list(range(11)) for train, own in folds)
    ones = [labels[own].sum() for _, own in data.k_fold(11, 4, stratify=labels)]
    assert set(ones) == {1}
    assert data.k_fold(9, 3, seed=5)[0][1].tolist() != data.k_fold(9, 3, seed=6)[0][1].tolist()


X, Y = examples(12)
CASES = {
    "model": (
        lambda: EnsembleTrainer(net(), nn.CrossEntropyLoss(), optim.SGD()),
        TypeError,
        "rv.Ensemble is",
    ),
    "rows": (lambda: begun().fit(X, Y, rows=ROWS[:2]), ValueError, "rows for 2 members, expected 3"),
    "range": (lambda: begun().fit(X, Y, rows=ROWS), ValueError, "indices"),
    "order": (lambda: begun().fit(X, Y, rows=ROWS, same_order=True), ValueError, "same_order"),
    "patience": (lambda: begun().fit(X, Y, patience=1), ValueError, "patience needs validation"),
    "both": (
        lambda: begun().fit(X, Y, validation_data=(X, Y), validation_rows=ROWS),
        ValueError,
        "not both",
    ),
    "length": (lambda: begun().fit(X, Y[:3]), ValueError, "as many targets"),
    "no batch": (lambda: begun().fit(X, Y, batch_size=64, drop_last=True), ValueError, "mini-batch of 64"),
    "folds": (lambda: data.k_fold(5, 6), ValueError, "k=6, expected 2 to the number of examples, 5"),
    "labels": (lambda: data.k_fold(5, 2, stratify=np.ones(5)), ValueError, "stratify needs integer labels"),
    "empty": (
        lambda: cross_validate(net, nn.CrossEntropyLoss(), optim.SGD(), X, Y, folds=[([0, 1], [])]),
        ValueError,
        "folds without examples",
    ),
    "trainer": (
        lambda: Trainer(rv.Ensemble(net, 2), nn.CrossEntropyLoss(), optim.SGD(lr=0.1)),
        TypeError,
        "EnsembleTrainer",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_errors(case) -> None:
    function, kind, message = CASES[case]
    with pytest.raises(kind, match=message):
        function()
