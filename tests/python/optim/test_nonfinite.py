"""A call whose loss, or with skip_nonfinite a gradient, is not finite is as if it had not been made."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from test_contract import RULES

import ravine as rv
from ravine import nn, ops, optim

Build = Callable[..., optim.Optimizer]

# What changes the recorded step beside the rule; each takes further options.
OPTIONS: dict[str, Build] = {
    "accumulate": lambda **k: optim.Adam(0.01, accumulate=3, **k),
    "accumulate, ema": lambda **k: optim.SGD(0.01, accumulate=2, average=optim.EMA(0.5), **k),
    "clip_value": lambda **k: optim.SGD(0.1, momentum=0.9, clip_value=0.01, **k),
    "clip_norm": lambda **k: optim.Adam(0.01, clip_norm=0.1, **k),
    "clip_global_norm": lambda **k: optim.Adam(0.01, clip_global_norm=0.1, **k),
    "clip_adaptive": lambda **k: optim.SGD(0.1, clip_adaptive=0.01, **k),
    "noise": lambda **k: optim.SGD(0.01, noise=0.1, clip_norm=1.0, **k),
    "average": lambda **k: optim.Adam(0.01, average=optim.Polyak(), **k),
    "groups": lambda **k: optim.AdamW(0.01, groups=[optim.Group("0.*", lr=0.1)], no_decay=True, **k),
    "schedule": lambda **k: optim.SGD(optim.schedules.Cosine(0.1, 50), momentum=0.9, **k),
    "lookahead of sam": lambda **k: optim.Lookahead(optim.SAM(optim.SGD(0.01, **k)), k=2),
}
TABLE = {**RULES, **OPTIONS}
COLUMNS = 4


def bad_nan(x: np.ndarray, y: np.ndarray) -> None:
    x[2, 1] = np.nan


def bad_inf(x: np.ndarray, y: np.ndarray) -> None:
    y[1, 0] = np.inf


def bad_overflow(x: np.ndarray, y: np.ndarray) -> None:
    y[1, 0] = 0.5 * np.finfo(x.dtype).max  # whose square is infinite


def bad_gradient(x: np.ndarray, y: np.ndarray) -> None:
    y[:, 1] = 0.0  # the loss is finite, its gradient 0 · inf


NOT_FINITE_LOSSES = {"nan in x": bad_nan, "inf in y": bad_inf, "overflow": bad_overflow}


def loss_of(output: Any, y: Any) -> Any:
    """A mean of squares, plus the norm of what y[:, 1] lets through."""
    return ops.mean(ops.square(output - y[:, :1])) + 1e-3 * ops.sqrt(ops.sum(ops.square(output * y[:, 1:])))


def new_step(optimizer: optim.Optimizer, dtype: str) -> rv.TrainStep:
    rv.seed(3)
    layers: list[nn.Module] = [nn.Linear(COLUMNS, 6), nn.BatchNorm1d(6, momentum=None), nn.Tanh()]
    # L-BFGS refuses losses that draw random numbers.
    if not any(stage == "lbfgs" for stage, _ in optimizer._stages()):
        layers.append(nn.Dropout(0.3))
    model = nn.Sequential(*layers, nn.Linear(6, 1)).to(dtype)
    return rv.TrainStep(model, loss_of, optimizer)


def batches(dtype: str, n: int) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(5)
    return [
        (
            rng.standard_normal((7, COLUMNS)).astype(dtype),
            np.stack([rng.standard_normal(7), np.ones(7)], axis=1).astype(dtype),
        )
        for _ in range(n)
    ]


def state(step: rv.TrainStep) -> dict[str, bytes]:
    arrays = {**step.model.state_dict(), **{f"step.{key}": v for key, v in step.state_dict().items()}}
    return {key: np.asarray(value).tobytes() for key, value in arrays.items()}


def check_refusal(build: Build, spoil: Callable, dtype: str, eager: bool, with_output: bool = False) -> None:
    """The state before and after a bad call, and what a run that never made it has in the end."""
    step, reference = new_step(build(), dtype), new_step(build(), dtype)
    mode = rv.eager if eager else nullcontext
    good = batches(dtype, 6)
    for i, batch in enumerate(good):
        with mode():
            if i in (2, 3, 5):
                x, y = (array.copy() for array in batch)
                spoil(x, y)
                before, counted = state(step), (step.steps, step.skipped)
                loss = step.with_output(x, y)[0] if with_output else step(x, y)
                assert np.isfinite(loss) == (spoil is bad_gradient)
                after = state(step)
                assert [key for key in before if after[key] != before[key]] == []
                assert before.keys() == after.keys()
                assert (step.steps, step.skipped) == (counted[0], counted[1] + 1)
            assert step(*batch) == reference(*batch)
    assert state(step) == state(reference)
    assert all(np.isfinite(value).all() for value in step.model.state_dict().values())
    assert step.model.state_dict()["1.num_batches_tracked"] == len(good)
    assert step.skipped == 3 and step.steps == reference.steps > 0


@pytest.mark.parametrize("spoil", NOT_FINITE_LOSSES.values(), ids=NOT_FINITE_LOSSES)
@pytest.mark.parametrize("name", TABLE)
def test_a_loss_that_is_not_finite_changes_nothing(name: str, spoil: Callable) -> None:
    check_refusal(TABLE[name], spoil, "float32", eager=False)


@pytest.mark.parametrize("spoil", [*NOT_FINITE_LOSSES.values(), bad_gradient])
@pytest.mark.parametrize("name", TABLE)
def test_skipping_changes_nothing(name: str, spoil: Callable) -> None:
    check_refusal(lambda: TABLE[name](skip_nonfinite=True), spoil, "float32", eager=False)


@pytest.mark.parametrize("name", ["SGD", "Lookahead", "LBFGS", "accumulate", "clip_norm", "groups", "noise"])
def test_refusals_eagerly_and_in_float64(name: str) -> None:
    skipping = lambda: TABLE[name](skip_nonfinite=True)  # noqa: E731
    check_refusal(TABLE[name], bad_nan, "float32", eager=True)
    check_refusal(skipping, bad_gradient, "float32", eager=True)
    check_refusal(TABLE[name], bad_overflow, "float64", eager=False, with_output=True)
    check_refusal(skipping, bad_gradient, "float64", eager=False, with_output=True)


@pytest.mark.parametrize("threads", [1, 3])
def test_refusals_on_several_threads(threads: int) -> None:
    rv.set_num_threads(threads)
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(300, 400), nn.BatchNorm1d(400), nn.ReLU(), nn.Linear(400, 5))
    step = rv.TrainStep(model, nn.CrossEntropyLoss(), optim.SGD(0.1, momentum=0.9))
    x, y = rng.standard_normal((64, 300)).astype(np.float32), rng.integers(0, 5, 64)
    step(x, y)
    for _ in range(20):
        before = state(step)
        assert np.isnan(step(np.where(x > 2, np.nan, x).astype(np.float32), y))
        assert state(step) == before
    assert np.isfinite(step(x, y)) and step.steps == 2 and step.skipped == 20


def test_the_first_call_may_be_refused() -> None:
    for eager in (False, True):
        step, reference = (new_step(optim.Adam(0.1, average=optim.EMA()), "float32") for _ in range(2))
        batch, *rest = batches("float32", 3)
        with rv.eager() if eager else nullcontext():
            assert np.isnan(step(batch[0] * np.nan, batch[1]))
            for x, y in rest:
                assert step(x, y) == reference(x, y)
        assert state(step) == state(reference)


def test_a_gradient_that_is_not_finite_counts_unless_skipping_is_asked_for() -> None:
    """As in torch: the loss was finite, and so the update is made."""
    step = new_step(optim.SGD(0.1), "float32")
    x, y = batches("float32", 1)[0]
    bad_gradient(x, y)
    assert np.isfinite(step(x, y))
    assert step.skipped == 0 and step.steps == 1 and step.gradient_norm is None
    assert np.isnan(step.model.state_dict()["4.weight"]).all()


def test_a_refused_call_does_not_join_an_accumulation() -> None:
    model = nn.Linear(1, 1, bias=False)
    step = rv.TrainStep(model, lambda o, y: ops.mean(o * y), optim.SGD(1.0, accumulate=2))
    start = model.weight.item()
    x = np.ones((1, 1), np.float32)
    step(x, np.array([[2.0]]))
    step(x, np.array([[np.nan]]))
    assert model.weight.item() == start and step.steps == 0
    step(x, np.array([[4.0]]))
    assert step.steps == 1
    np.testing.assert_allclose(model.weight.item(), start - 3.0, rtol=1e-6)


def test_the_loss_may_be_the_parameter_itself() -> None:
    """The guarded scalar lies in memory that the update writes."""
    model = nn.Linear(1, 1, bias=False)
    for weight in (2.0, np.inf):
        model.weight.data[...] = weight
        step = rv.TrainStep(model, lambda o, y: ops.reshape(model.weight, ()), optim.SGD(0.5))
        step(np.ones((1, 1)), np.ones((1, 1)))
        assert model.weight.item() == (1.5 if weight == 2.0 else np.inf)


def trainer_on(x: np.ndarray, y: np.ndarray, optimizer: optim.Optimizer) -> rv.Trainer:
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8, momentum=None), nn.ReLU(), nn.Linear(8, 3))
    return rv.Trainer(model, nn.CrossEntropyLoss(), optimizer)


def test_a_trainer_stops_with_the_weights_of_before() -> None:
    rng = np.random.default_rng(8)
    x, y = rng.standard_normal((64, 4)).astype(np.float32), rng.integers(0, 3, 64)
    x[41, 2] = np.nan
    trainer = trainer_on(x, y, optim.Adam(0.01))
    with pytest.raises(FloatingPointError, match="epoch 1, batch 3") as caught:
        trainer.fit(x, y, batch_size=16, shuffle=False, verbose=0)
    assert "as they were" in str(caught.value)
    left = trainer.model.state_dict()

    rv.seed(0)
    reference = trainer_on(x, y, optim.Adam(0.01))
    rv.seed(0)
    trainer = trainer_on(x, y, optim.Adam(0.01))
    reference.fit(x[:32], y[:32], batch_size=16, shuffle=False, verbose=0)
    with pytest.raises(FloatingPointError):
        trainer.fit(x, y, batch_size=16, shuffle=False, verbose=0)
    left = trainer.model.state_dict()
    for key, value in reference.model.state_dict().items():
        np.testing.assert_array_equal(left[key], value)


def test_a_trainer_that_skips_trains_the_rest() -> None:
    rng = np.random.default_rng(8)
    x, y = rng.standard_normal((64, 4)).astype(np.float32), rng.integers(0, 3, 64)
    x[41, 2] = np.inf
    trainer = trainer_on(x, y, optim.Adam(0.01, skip_nonfinite=True))
    history = trainer.fit(x, y, batch_size=16, shuffle=False, verbose=0)
    assert np.isfinite(history["loss"]).all()
    assert trainer.model.state_dict()["1.num_batches_tracked"] == 3
    assert all(np.isfinite(value).all() for value in trainer.model.state_dict().values())
