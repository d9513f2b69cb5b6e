"""Stages before a rule: as options and in chains, in the rule's kernel and as operations of the program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from slopes import SHAPES, Slopes, apply, gradients, initial, new_step, weights

import ravine as rv
from ravine import _core, nn, optim

Gradients = dict[str, np.ndarray]


def numpy_clip_by_value(slopes: Gradients, bound: float) -> Gradients:
    return {name: np.clip(g, -bound, bound) for name, g in slopes.items()}


def within(g: np.ndarray, norm: Any, bound: float) -> np.ndarray:
    return g * np.minimum(1.0, bound / (norm + 1e-6))


def numpy_clip_by_norm(slopes: Gradients, bound: float) -> Gradients:
    return {name: within(g, np.linalg.norm(g), bound) for name, g in slopes.items()}


def numpy_clip_by_global_norm(slopes: Gradients, bound: float) -> Gradients:
    norm = np.sqrt(sum(float((g * g).sum()) for g in slopes.values()))
    return {name: within(g, norm, bound) for name, g in slopes.items()}


def unit_norms(x: np.ndarray) -> Any:
    return np.sqrt((x * x).sum(axis=1, keepdims=True)) if x.ndim > 1 else np.sqrt((x * x).sum())


def numpy_clip_adaptive(slopes: Gradients, share: float) -> Gradients:
    result = {}
    for name, g in slopes.items():
        largest = share * np.maximum(unit_norms(initial("float64")[name]), 1e-3)
        result[name] = g * np.minimum(1.0, largest / np.maximum(unit_norms(g), 1e-6))
    return result


# A stage, the option that means the same, two values of its number, and what it makes of gradients by NumPy.
STAGES: dict[str, tuple[Callable[..., optim.Stage], str, float, float, Callable[..., Gradients]]] = {
    "clip_by_value": (optim.clip_by_value, "clip_value", 0.5, 0.2, numpy_clip_by_value),
    "clip_by_norm": (optim.clip_by_norm, "clip_norm", 0.7, 0.3, numpy_clip_by_norm),
    "clip_by_global_norm": (
        optim.clip_by_global_norm,
        "clip_global_norm",
        0.7,
        0.3,
        numpy_clip_by_global_norm,
    ),
    "clip_adaptive": (optim.clip_adaptive, "clip_adaptive", 0.1, 0.03, numpy_clip_adaptive),
    "add_noise": (optim.add_noise, "noise", 0.1, 0.2, lambda slopes, eta: slopes),
    "accumulate": (optim.accumulate, "accumulate", 2, 3, lambda slopes, calls: slopes),
    "skip_nonfinite": (
        lambda _: optim.skip_nonfinite(),
        "skip_nonfinite",
        True,
        True,
        lambda slopes, _: slopes,
    ),
}
all_stages = pytest.mark.parametrize("name", STAGES)
clipping = pytest.mark.parametrize("name", [name for name in STAGES if name.startswith("clip")])
both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def test_the_table_has_every_stage() -> None:
    assert {*STAGES, "sam", "adaptive_sam", "lbfgs"} == set(_core.stage_names())


def run(optimizer: optim.Optimizer, dtype: str = "float64", steps: int = 6) -> rv.TrainStep:
    rv.seed(5)
    step = new_step(optimizer, dtype)
    for slopes in gradients(steps, dtype):
        apply(step, slopes)
    return step


def assert_same(a: rv.TrainStep, b: rv.TrainStep) -> None:
    for key in SHAPES:
        np.testing.assert_array_equal(weights(a)[key], weights(b)[key])


@both_dtypes
@all_stages
def test_an_option_is_a_stage_of_a_chain(name: str, dtype: str) -> None:
    stage, option, value, _, _ = STAGES[name]
    chained = run(optim.chain(stage(value), optim.Adam(lr=0.05)), dtype)
    assert_same(chained, run(optim.Adam(lr=0.05, **{option: value}), dtype))
    assert (
        chained.state_dict().keys() == run(optim.Adam(lr=0.05, **{option: value}), dtype).state_dict().keys()
    )


def test_all_options_are_one_chain() -> None:
    options = {option: value for _, option, value, _, _ in STAGES.values()}
    chain = optim.chain(
        *(optim.accumulate(2), optim.clip_adaptive(0.1), optim.skip_nonfinite(), optim.clip_by_value(0.5)),
        *(optim.clip_by_norm(0.7), optim.clip_by_global_norm(0.7), optim.add_noise(0.1)),
        optim.SGD(lr=0.1, momentum=0.9),
    )
    assert_same(run(chain), run(optim.SGD(lr=0.1, momentum=0.9, **options)))


@clipping
def test_by_its_formula_in_the_kernel_and_in_the_program(name: str) -> None:
    stage, _, value, _, formula = STAGES[name]
    slopes = next(iter(gradients(1, "float64")))
    expected = formula(slopes, value)
    for stages in ([stage(value)], [stage(value), optim.add_noise(0.0)]):
        step = new_step(optim.chain(*stages, optim.SGD(lr=1.0)), "float64")
        apply(step, slopes)
        for key in SHAPES:
            moved = initial("float64")[key] - weights(step)[key]
            np.testing.assert_allclose(moved, expected[key], rtol=1e-12, atol=1e-14)
            assert not np.allclose(expected[key], slopes[key])


@pytest.mark.parametrize("behind", [(), (optim.add_noise(0.0),)])
@all_stages
def test_numbers_change_without_compiling(name: str, behind: tuple[optim.Stage, ...]) -> None:
    if behind and name == "add_noise":
        behind = ()
    stage, option, value, other, _ = STAGES[name]
    changed, fresh = (
        new_step(optim.chain(stage(first), *behind, optim.SGD(lr=0.1)), "float64") for first in (value, other)
    )
    before = 2 if name == "accumulate" else 1
    for slopes in [*gradients(before, "float64")]:
        apply(changed, slopes)
    if name != "skip_nonfinite":
        changed.hyper[option] = other
        assert changed.hyper[option] != getattr(changed.optimizer, option)
    programs = len(changed.programs())
    for parameter, value_before in initial("float64").items():
        getattr(changed.model, parameter).data = value_before
    for seen, slopes in enumerate(gradients(3, "float64", seed=9)):
        if name != "accumulate" or seen < 2:
            assert len(changed.programs()) == programs
        apply(changed, slopes)
        apply(fresh, slopes)
    if name != "add_noise":  # which draws other numbers by now
        assert_same(changed, fresh)


def test_bounds_may_be_schedules() -> None:
    slopes = list(gradients(3, "float64"))
    by_schedule = new_step(
        optim.chain(optim.clip_by_norm(optim.schedules.Linear(0.9, 0.3, steps=3)), optim.SGD(lr=1.0)),
        "float64",
    )
    by_hand = new_step(optim.SGD(lr=1.0, clip_norm=1.0), "float64")
    for bound, slope in zip(by_schedule.optimizer.stages[0].value.values(), slopes, strict=True):
        by_hand.optimizer.clip_norm = bound
        apply(by_schedule, slope)
        apply(by_hand, slope)
    assert_same(by_schedule, by_hand)


def test_stages_act_in_their_order() -> None:
    slopes = {name: np.full(shape, 3.0) for name, shape in SHAPES.items()}
    value_then_norm = new_step(
        optim.chain(optim.clip_by_value(1.0), optim.clip_by_norm(1.0), optim.SGD(lr=1.0)), "float64"
    )
    norm_then_value = new_step(
        optim.chain(optim.clip_by_norm(1.0), optim.clip_by_value(0.1), optim.SGD(lr=1.0)), "float64"
    )
    for step in (value_then_norm, norm_then_value):
        apply(step, slopes)
    moved = [
        initial("float64")["vector"] - weights(step)["vector"] for step in (value_then_norm, norm_then_value)
    ]
    np.testing.assert_allclose(moved[0], 1 / np.sqrt(33), rtol=1e-6)
    np.testing.assert_allclose(moved[1], 0.1, rtol=1e-12)


def test_stages_before_an_accumulation_see_every_gradient() -> None:
    slopes = [{name: np.full(shape, size) for name, shape in SHAPES.items()} for size in (4.0, 0.5)]
    each = new_step(optim.chain(optim.clip_by_value(1.0), optim.accumulate(2), optim.SGD(lr=1.0)), "float64")
    mean = new_step(optim.chain(optim.accumulate(2), optim.clip_by_value(1.0), optim.SGD(lr=1.0)), "float64")
    for slope in slopes:
        apply(each, slope)
        apply(mean, slope)
    np.testing.assert_allclose(initial("float64")["vector"] - weights(each)["vector"], 0.75, rtol=1e-12)
    np.testing.assert_allclose(initial("float64")["vector"] - weights(mean)["vector"], 1.0, rtol=1e-12)


def test_a_skip_behind_a_clip_by_value_sees_what_is_left() -> None:
    infinite = {name: np.full(shape, np.inf) for name, shape in SHAPES.items()}
    tamed, skipped = Slopes("float64"), Slopes("float64")
    clip, skip = optim.clip_by_value(1.0), optim.skip_nonfinite()
    update = optim.Update(optim.chain(clip, skip, optim.SGD(lr=1.0)), tamed)
    other = optim.Update(optim.chain(skip, clip, optim.add_noise(0.0), optim.SGD(lr=1.0)), skipped)
    update(infinite)
    other(infinite)
    np.testing.assert_array_equal(tamed.vector.data, initial("float64")["vector"] - 1.0)
    np.testing.assert_array_equal(skipped.vector.data, initial("float64")["vector"])
    assert (other.steps, other.skipped, update.steps, update.skipped) == (0, 1, 1, 0)


WRONG: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: optim.clip_by_norm(0.0), ValueError, "clip_by_norm: bound must be above 0, got 0"),
    (lambda: optim.clip_by_value("a"), TypeError, "clip_by_value: bound must be a number, got 'a'"),
    (lambda: optim.accumulate(0), ValueError, "accumulate: calls must be at least 1, got 0"),
    (lambda: optim.add_noise(-1.0), ValueError, r"noise\[0\] must be a finite number at least 0, got -1.0"),
    (lambda: optim.chain(), TypeError, "chain: stages and an optimizer are expected, got nothing"),
    (lambda: optim.chain(optim.SGD(), optim.SGD()), TypeError, r"chain: stages such as .* got SGD\("),
    (
        lambda: optim.chain(optim.clip_by_norm(1.0)),
        TypeError,
        "optimizer must be one of ravine.optim, got Stage",
    ),
    (
        lambda: optim.chain(optim.clip_by_norm(1.0), optim.SGD(clip_norm=2.0)),
        ValueError,
        "chain: clip_by_norm occurs twice",
    ),
    (
        lambda: optim.chain(optim.accumulate(2), optim.LBFGS()),
        ValueError,
        "LBFGS: gradients cannot be accumulated",
    ),
    (
        lambda: optim.chain(optim.clip_by_norm(1.0), optim.SAM(optim.SGD())),
        ValueError,
        r"chain: SAM takes the gradients first: write SAM\(chain\(...\)\) instead",
    ),
    (
        lambda: setattr(optim.clip_by_norm(1.0), "value", 2.0),
        AttributeError,
        "value holds from construction on",
    ),
    (lambda: setattr(optim.EMA(0.9), "decay", 0.5), AttributeError, "EMA: decay holds from construction on"),
    (
        lambda: setattr(optim.schedules.Cosine(0.1, 5), "lr", 0.5),
        AttributeError,
        "Cosine: lr holds from construction on",
    ),
]


@pytest.mark.parametrize(("wrong", "kind", "message"), WRONG)
def test_bad_input(wrong: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        wrong()


def test_a_schedule_of_a_bound_is_checked_when_it_is_asked() -> None:
    step = new_step(optim.SGD(lr=1.0, clip_norm=lambda t: 1.0 - t), "float64")
    slopes = next(iter(gradients(1, "float64")))
    apply(step, slopes)
    before = weights(step)
    with pytest.raises(ValueError, match="SGD: clip_norm in step 1 must be above 0"):
        apply(step, slopes)
    np.testing.assert_array_equal(weights(step)["vector"], before["vector"])
    assert step.steps == 1


def test_wrappers_hold_a_chain() -> None:
    chain = optim.chain(optim.clip_by_global_norm(0.5), optim.SGD(lr=0.1))
    sam = run(optim.SAM(chain, rho=0.01))
    assert_same(sam, run(optim.SAM(optim.SGD(lr=0.1, clip_global_norm=0.5), rho=0.01)))
    ahead = optim.Lookahead(optim.chain(optim.clip_by_norm(0.5), optim.RMSprop(lr=0.1, alpha=0.9)), alpha=0.7)
    assert (ahead.alpha, ahead.clip_norm, ahead.optimizer.optimizer.alpha) == (0.7, 0.5, 0.9)
    assert_same(run(ahead), run(optim.Lookahead(optim.RMSprop(lr=0.1, alpha=0.9, clip_norm=0.5), alpha=0.7)))


def test_a_chain_trains_a_net_with_the_trainer() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 4)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64)
    chain = optim.chain(optim.accumulate(2), optim.clip_by_global_norm(1.0), optim.Adam(lr=0.05))
    trainer = rv.Trainer(nn.Linear(4, 2), nn.CrossEntropyLoss(), chain)
    history = trainer.fit(x, y, epochs=10, batch_size=16, verbose=0)
    assert history["loss"][-1] < 0.5 * history["loss"][0]
