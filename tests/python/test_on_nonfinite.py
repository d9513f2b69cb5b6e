"""`fit(..., on_nonfinite=)`: stop, leave such batches out, or go back to a checkpoint with a smaller rate."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn, optim
from ravine.optim import schedules
from ravine.train import Checkpoint, RollBack

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3)).astype(np.float32)
Y = X @ np.array([[1.0], [-2.0], [0.5]], np.float32)
BAD = X.copy()
BAD[13, 1] = np.nan  # in mini-batch 3 of 10
Fit = Callable[..., Any]


def new_trainer(optimizer: optim.Optimizer) -> rv.Trainer:
    rv.seed(7)
    return rv.Trainer(nn.Linear(3, 1), nn.MSELoss(), optimizer, ["mae"])


def fit(trainer: rv.Trainer, x: np.ndarray = X, **options: Any) -> Any:
    return trainer.fit(x, Y, batch_size=4, shuffle=False, seed=0, verbose=0, **options)


def state(trainer: rv.Trainer) -> dict[str, bytes]:
    states = trainer.model.state_dict() | trainer.step.state_dict()
    return {name: array.tobytes() for name, array in states.items()}


def without_seconds(history: dict[str, list[Any]]) -> dict[str, list[Any]]:
    return {name: values for name, values in history.items() if name != "seconds"}


def test_stop_is_the_default() -> None:
    trainer = new_trainer(optim.Adam(lr=0.1))
    with pytest.raises(FloatingPointError, match="became nan in epoch 1, batch 4, after 3 updates"):
        fit(trainer, BAD)
    before = state(trainer)
    with pytest.raises(FloatingPointError, match="became nan in epoch 1, batch 4, after 3 updates"):
        fit(trainer, BAD, on_nonfinite="stop")
    assert state(trainer) == before


def test_skip_leaves_out_the_batches_that_are_not_finite() -> None:
    trainer, expected = new_trainer(optim.Adam(lr=0.1)), new_trainer(optim.Adam(lr=0.1))
    history = fit(trainer, BAD, epochs=3, on_nonfinite="skip")
    good = [(X[i : i + 4], Y[i : i + 4]) for i in range(0, 40, 4) if i != 12]
    expected.step.hyper["skip_nonfinite"] = True
    reference = expected.fit(rv.data.Stream(good), epochs=3, verbose=0)
    assert state(trainer) == state(expected)
    assert history.pop("skipped") == [1.0, 1.0, 1.0]
    assert without_seconds(history) == without_seconds(reference)
    assert not trainer.optimizer.skip_nonfinite


def test_skipping_ends_with_the_fit_that_asked_for_it() -> None:
    trainer = new_trainer(optim.Adam(lr=0.1))
    fit(trainer, BAD, on_nonfinite="skip")
    with pytest.raises(FloatingPointError, match="epoch 2, batch 4"):
        fit(trainer, BAD, epochs=2)
    assert trainer.step.hyper["skip_nonfinite"] is False


def test_an_epoch_of_nothing_but_skipped_batches_is_an_error() -> None:
    trainer = new_trainer(optim.SGD(lr=0.1))
    before = trainer.model.state_dict()
    with pytest.raises(FloatingPointError, match="every update of epoch 1 was skipped"):
        fit(trainer, np.full_like(X, np.nan), on_nonfinite="skip")
    np.testing.assert_array_equal(trainer.model.state_dict()["weight"], before["weight"])


def test_a_run_that_skips_resumes_inside_of_an_epoch(tmp_path: Path) -> None:
    whole = new_trainer(optim.Adam(lr=0.1))
    expected = fit(whole, BAD, epochs=2, on_nonfinite="skip")
    first = new_trainer(optim.Adam(lr=0.1))
    fit(first, BAD, epochs=2, on_nonfinite="skip", max_steps=5)  # behind the skipped batch
    first.save(tmp_path / "checkpoint")
    second = new_trainer(optim.Adam(lr=0.1))
    history = fit(second, BAD, epochs=2, on_nonfinite="skip", resume=tmp_path / "checkpoint")
    assert state(second) == state(whole)
    assert without_seconds(history) == without_seconds(expected)


# Optimizers that diverge on these data within two epochs, until their rate is a fraction of what it is.
DIVERGING: dict[str, Callable[[], optim.Optimizer]] = {
    "a number": lambda: optim.SGD(lr=500.0),
    "a schedule": lambda: optim.SGD(lr=schedules.Exponential(500.0, gamma=0.999)),
    "a function": lambda: optim.SGD(lr=lambda step: 500.0),
    "groups": lambda: optim.SGD(lr=500.0, groups=[optim.Group("bias", lr=400.0)]),
    "accumulation": lambda: optim.SGD(lr=5000.0, accumulate=2, clip_value=1e30),
}


def rate(trainer: rv.Trainer) -> float:
    return float(trainer.optimizer.current_lr)


@pytest.mark.parametrize("name", DIVERGING)
def test_going_back_is_resuming_by_hand_with_a_smaller_rate(name: str, tmp_path: Path) -> None:
    trainer = new_trainer(DIVERGING[name]())
    saving = Checkpoint(tmp_path / "own", every=3, unit="step")
    back = RollBack(saving, factor=1e-4, most=1)
    history = fit(trainer, epochs=3, callbacks=[saving], on_nonfinite=back)
    assert back.count == 1 and np.isfinite(history["loss"]).all()
    assert history["rollbacks"] == [0.0, 1.0, 1.0] or history["rollbacks"] == [1.0, 1.0, 1.0]

    by_hand = new_trainer(DIVERGING[name]())
    other = Checkpoint(tmp_path / "other", every=3, unit="step")
    with pytest.raises(FloatingPointError):
        fit(by_hand, epochs=3, callbacks=[other])
    newest = rv.train.latest_checkpoint(tmp_path / "other")
    assert newest is not None and int(newest.stem[5:]) == back.newest
    resumed = new_trainer(DIVERGING[name]())

    class Slower(rv.train.Callback):
        def on_fit_begin(self, trainer: rv.Trainer) -> None:
            given: Any = trainer.optimizer.lr
            hyper = trainer.step.hyper
            hyper["lr"] = (lambda step: given(step) * 1e-4) if callable(given) else given * 1e-4
            if name == "groups":
                hyper["bias"]["lr"] = 400.0 * 1e-4

    expected = fit(resumed, epochs=3, resume=newest, callbacks=[Slower()])
    for key, array in trainer.model.state_dict().items():
        np.testing.assert_array_equal(array, resumed.model.state_dict()[key])
    history.pop("rollbacks")
    assert without_seconds(history) == without_seconds(expected)


@pytest.mark.parametrize("name", DIVERGING)
def test_a_run_that_went_back_resumes_to_the_same_bits(name: str, tmp_path: Path) -> None:
    def run(trainer: rv.Trainer, folder: str, **options: Any) -> Any:
        saving = Checkpoint(tmp_path / folder, every=3, unit="step")
        resume = rv.train.latest_checkpoint(tmp_path / folder)
        back = RollBack(saving, factor=1e-4)
        return fit(trainer, epochs=3, resume=resume, callbacks=[saving], on_nonfinite=back, **options)

    whole = new_trainer(DIVERGING[name]())
    expected = run(whole, "whole")
    run(new_trainer(DIVERGING[name]()), "parts", max_steps=whole.step.steps - 4)
    resumed = new_trainer(DIVERGING[name]())
    history = run(resumed, "parts")
    assert history["rollbacks"][-1] == 1.0
    for key, array in whole.model.state_dict().items():
        np.testing.assert_array_equal(array, resumed.model.state_dict()[key])
    assert without_seconds(history) == without_seconds(expected)
    assert rate(resumed) == rate(whole)


def test_a_run_goes_back_to_its_beginning_if_there_is_nothing_else(tmp_path: Path) -> None:
    trainer = new_trainer(optim.SGD(lr=1e30))
    saving = Checkpoint(tmp_path)
    history = fit(trainer, epochs=2, callbacks=[saving], on_nonfinite=RollBack(saving, factor=1e-31))
    expected = new_trainer(optim.SGD(lr=1e30 * 1e-31))
    assert history["loss"] == fit(expected, epochs=2)["loss"]


def test_a_run_that_fails_again_goes_back_further(tmp_path: Path) -> None:
    trainer = new_trainer(optim.SGD(lr=500.0))
    saving = Checkpoint(tmp_path, every=1, unit="step", keep=100)
    back = RollBack(saving, factor=0.9, most=2)
    with pytest.raises(FloatingPointError, match="had gone back 2 times, as often as RollBack allows"):
        fit(trainer, epochs=3, callbacks=[saving], on_nonfinite=back)
    assert back.count == 2
    assert trainer.step.hyper["lr"] == 500.0 * 0.9 * 0.9
    # From 7 it failed at once; from 6 it came to 7 again.
    assert back.newest == 6 and trainer.step.steps == 7
    assert [int(path.stem[5:]) for path in saving.saved()] == list(range(8))


def test_weights_that_are_not_finite_are_not_gone_back_to(tmp_path: Path) -> None:
    class Spoil(rv.train.Callback):
        """Weights that become NaN in update 5, as by a gradient that is, before the checkpoint of it."""

        spoilt = False

        def on_update(self, trainer: rv.Trainer, step: int) -> None:
            if step == 5 and not self.spoilt:
                self.spoilt = True
                trainer.model.weight.data[...] = np.nan

    trainer = new_trainer(optim.SGD(lr=0.1))
    saving = Checkpoint(tmp_path, every=1, unit="step", keep=9)
    back = RollBack(saving, factor=0.5)
    history = fit(trainer, callbacks=[Spoil(), saving], on_nonfinite=back)
    assert (back.count, back.newest) == (1, 4)
    assert np.isfinite(history["loss"]).all() and history["lr"] == [0.05]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"on_nonfinite": "ignore"},
            ValueError,
            "must be 'stop', 'skip' or a RollBack, got 'ignore'",
        ),
        ({"on_nonfinite": None}, ValueError, "on_nonfinite must be 'stop', 'skip' or a RollBack, got None"),
        ({"on_nonfinite": np.zeros(3)}, ValueError, "on_nonfinite must be 'stop', 'skip' or a RollBack"),
        ({"on_nonfinite": RollBack(Checkpoint("x"))}, ValueError, "must be among the callbacks"),
    ],
)
def test_other_arguments_are_refused(options: Any, error: type[Exception], message: str) -> None:
    trainer = new_trainer(optim.SGD(lr=0.1))
    before = state(trainer)
    with pytest.raises(error, match=message):
        fit(trainer, **options)
    assert state(trainer) == before and trainer.step.steps == 0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("folder",), TypeError, "a ravine.train.Checkpoint is expected, got str"),
        ((Checkpoint("x"), 1.0), ValueError, r"factor must be a finite number in \[0, 1\), got 1"),
        ((Checkpoint("x"), 0.0), ValueError, "factor must be above 0"),
        ((Checkpoint("x"), 0.5, 0), ValueError, "most must be at least 1, got 0"),
    ],
)
def test_arguments_of_roll_back(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        RollBack(*arguments)
    assert not os.path.exists("x")
