"""Schedules against torch.optim.lr_scheduler, optax and their closed formulas; how they are used."""

from __future__ import annotations

import importlib.util
import json
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn, optim
from ravine.optim import schedules as s

STEPS = 60

# One line a schedule: ours, and torch's as a function of torch.optim.lr_scheduler and an optimizer of lr 0.3.
TORCH: dict[str, tuple[s.Schedule, Callable[[Any, Any], Any]]] = {
    "constant": (s.Constant(0.3), lambda t, o: t.LambdaLR(o, lambda _: 1.0)),
    "step": (s.StepDecay(0.3, 7, gamma=0.5), lambda t, o: t.StepLR(o, 7, gamma=0.5)),
    "multi-step": (s.MultiStep(0.3, [3, 20, 21], 0.2), lambda t, o: t.MultiStepLR(o, [3, 20, 21], 0.2)),
    "exponential": (s.Exponential(0.3, gamma=0.95), lambda t, o: t.ExponentialLR(o, 0.95)),
    "linear": (s.Linear(0.3 / 4, 0.3, 25).hold(), lambda t, o: t.LinearLR(o, 0.25, 1.0, total_iters=25)),
    "linear down": (s.Linear(0.3, 0.03, 25).hold(), lambda t, o: t.LinearLR(o, 1.0, 0.1, total_iters=25)),
    "polynomial": (s.Polynomial(0.3, 40, 2.5).hold(), lambda t, o: t.PolynomialLR(o, 40, 2.5)),
    "cosine": (s.Cosine(0.3, STEPS, end=0.01), lambda t, o: t.CosineAnnealingLR(o, STEPS, 0.01)),
    "restarts": (s.CosineRestarts(0.3, 7), lambda t, o: t.CosineAnnealingWarmRestarts(o, 7)),
    "restarts that grow": (
        s.CosineRestarts(0.3, 4, mult=3, end=0.02),
        lambda t, o: t.CosineAnnealingWarmRestarts(o, 4, 3, 0.02),
    ),
    "triangular": (
        s.Cyclic(0.1, 0.3, 5, 8),
        lambda t, o: t.CyclicLR(o, 0.1, 0.3, 5, 8, cycle_momentum=False),
    ),
    "triangular2": (
        s.Cyclic(0.1, 0.3, 5, mode="triangular2"),
        lambda t, o: t.CyclicLR(o, 0.1, 0.3, 5, mode="triangular2", cycle_momentum=False),
    ),
    "exp_range": (
        s.Cyclic(0.1, 0.3, 5, mode="exp_range", gamma=0.97),
        lambda t, o: t.CyclicLR(o, 0.1, 0.3, 5, mode="exp_range", gamma=0.97, cycle_momentum=False),
    ),
    "one-cycle": (s.OneCycle(0.3, STEPS), lambda t, o: t.OneCycleLR(o, 0.3, total_steps=STEPS)),
    "one-cycle, linear": (
        s.OneCycle(0.3, STEPS, 0.21, "linear", 10.0, 100.0),
        lambda t, o: t.OneCycleLR(
            o,
            0.3,
            total_steps=STEPS,
            pct_start=0.21,
            anneal_strategy="linear",
            div_factor=10.0,
            final_div_factor=100.0,
        ),
    ),
    "one-cycle, three phases": (
        s.OneCycle(0.3, STEPS, 0.4, three_phase=True),
        lambda t, o: t.OneCycleLR(o, 0.3, total_steps=STEPS, pct_start=0.4, three_phase=True),
    ),
    "warm-up": (
        s.Warmup(0.3, 10, start=0.03) + 0.3,
        lambda t, o: t.LinearLR(o, 0.1, total_iters=10),
    ),
    "constant warm-up": (
        s.Warmup(0.3, 10, start=0.1, kind="constant") + 0.3,
        lambda t, o: t.ConstantLR(o, 1 / 3, total_iters=10),
    ),
    "warm-up and cosine": (
        s.Warmup(0.3, 10, start=0.03) + s.Cosine(0.3, 50),
        lambda t, o: t.SequentialLR(
            o, [t.LinearLR(o, 0.1, total_iters=10), t.CosineAnnealingLR(o, 50)], [10]
        ),
    ),
    "product": (
        s.Exponential(0.3, gamma=0.97) * s.StepDecay(1.0, 9, 0.5),
        lambda t, o: t.ChainedScheduler([t.ExponentialLR(o, 0.97), t.StepLR(o, 9, 0.5)], optimizer=o),
    ),
}


@pytest.mark.parametrize("name", TORCH)
def test_as_in_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    ours, build = TORCH[name]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3, momentum=0.9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of its own use of `step(epoch)` in SequentialLR
        theirs = build(torch.optim.lr_scheduler, optimizer)
        rates = []
        for _ in range(STEPS):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if len(rates) < STEPS:
                theirs.step()
    np.testing.assert_allclose(ours.values(STEPS), rates, rtol=1e-12, atol=1e-15)


# One line a schedule: ours, and optax's as an expression.
OPTAX: dict[str, tuple[s.Schedule, str]] = {
    "piecewise": (
        s.Piecewise([5, 20], [0.3, 0.15, 0.6]),
        "optax.piecewise_constant_schedule(0.3, {5: 0.5, 20: 4.0})",
    ),
    "polynomial": (s.Polynomial(0.3, 40, 3, 0.05).hold(), "optax.polynomial_schedule(0.3, 0.05, 3, 40)"),
    "cosine": (s.Cosine(0.3, 40, end=0.03).hold(), "optax.cosine_decay_schedule(0.3, 40, 0.1)"),
    "exponential": (
        s.Exponential(0.3, gamma=0.5, every=8),
        "optax.exponential_decay(0.3, transition_steps=8, decay_rate=0.5)",
    ),
    "warm-up and cosine": (
        s.Warmup(0.3, 10) + s.Cosine(0.3, 50, end=0.01),
        "optax.warmup_cosine_decay_schedule(0.0, 0.3, 10, 60, 0.01)",
    ),
}


@pytest.fixture(scope="module")
def of_optax(run_python: Any) -> dict[str, list[float]]:
    """optax's rates, from a process of its own: JAX, once imported, makes every later fork a warning."""
    if importlib.util.find_spec("optax") is None:
        pytest.skip("optax is not installed")
    parts = [f"{name!r}: [float(({code})(i)) for i in range({STEPS})]" for name, (_, code) in OPTAX.items()]
    done = run_python("-c", f"import json, optax; print(json.dumps({{{', '.join(parts)}}}))")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", OPTAX)
def test_as_in_optax(name: str, of_optax: dict[str, list[float]]) -> None:
    ours, _ = OPTAX[name]  # optax computes in float32
    np.testing.assert_allclose(ours.values(STEPS), of_optax[name], rtol=2e-5, atol=1e-7)


T = np.arange(STEPS)
FORMULAS: dict[str, tuple[s.Schedule, np.ndarray]] = {
    "e^-kt": (s.Exponential(0.3, k=0.05), 0.3 * np.exp(-0.05 * T)),
    "e^-kt, t in epochs": (s.Exponential(0.3, k=0.5, every=10), 0.3 * np.exp(-0.05 * T)),
    "1/t": (s.InverseTime(0.3, k=0.2), 0.3 / (1 + 0.2 * T)),
    "1/t, t in epochs": (s.InverseTime(0.3, k=0.2, every=4), 0.3 / (1 + 0.05 * T)),
    "inverse square root": (s.InverseSqrt(0.3, timescale=9), 0.3 * np.sqrt(9 / (T + 9))),
    "transformer": (
        s.Warmup(1 / math.sqrt(20), 20) + s.InverseSqrt(1 / math.sqrt(20), timescale=20),
        np.minimum(np.maximum(T, 1) ** -0.5, T * 20**-1.5),
    ),
    "exponential warm-up": (
        s.Warmup(1.0, 20, start=1e-4, kind="exponential") + 1.0,
        10 ** np.minimum(-4 + T / 5, 0),
    ),
    "restarts that fall": (
        s.CosineRestarts(1.0, 10, end=0.1, decay=0.5),
        0.1 + 0.5 * (0.5 ** (T // 10) - 0.1) * (1 + np.cos(np.pi * (T % 10) / 10)),
    ),
    "take": (s.Constant(0.3).take(7) + s.Constant(0.1), np.where(T < 7, 0.3, 0.1)),
    "half": (0.5 * s.Constant(0.3) * 3, np.full(STEPS, 0.45)),
    "sequence of three": (
        s.Sequence(s.Linear(0, 1, 10), s.Constant(1).take(30), s.Linear(1, 0, 10)).hold(),
        np.interp(T, [0, 10, 40, 50], [0, 1, 1, 0]),
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_as_the_formula_says(name: str) -> None:
    ours, expected = FORMULAS[name]
    np.testing.assert_allclose(ours.values(STEPS), expected, rtol=1e-13, atol=1e-15)


def test_values_are_what_calls_give() -> None:
    schedule = s.Warmup(0.3, 4) + s.Cosine(0.3, 6)
    values = schedule.values()
    assert values.dtype == np.float64 and values.tolist() == [schedule(step) for step in range(10)]
    assert schedule.steps == 10 and (schedule * s.Constant(2)).steps == 10 and s.Constant(1.0).steps is None
    assert schedule.hold().steps is None and schedule.hold()(10**9) == schedule.hold()(10) == 0.0


def test_plot_draws_the_values() -> None:
    pytest.importorskip("matplotlib")
    schedule = s.Cosine(0.3, 20)
    (axes,) = schedule.plot().axes
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), np.stack([np.arange(20), schedule.values()], 1))


def test_plot_without_matplotlib_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs matplotlib.*pip install 'ravine\[demo\]'"):
        s.Cosine(0.3, 20).plot()


BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: s.Constant(-0.1), ValueError, "Constant: lr must be a finite number at least 0, got -0.1"),
    (lambda: s.Constant(math.nan), ValueError, "Constant: lr must be a finite number at least 0, got nan"),
    (lambda: s.Constant("a"), TypeError, "Constant: lr must be a number, got 'a'"),
    (lambda: s.Cosine(0.1, 0), ValueError, "Cosine: steps must be at least 1, got 0"),
    (lambda: s.Cosine(0.1, 1.5), TypeError, "Cosine: steps must be an integer, got 1.5"),
    (lambda: s.Cosine(0.1, 10, end=math.inf), ValueError, "Cosine: end must be a finite number"),
    (lambda: s.MultiStep(0.1, [5, 5]), ValueError, r"MultiStep: milestones must increase, got \[5, 5\]"),
    (lambda: s.Piecewise([5], [0.1]), ValueError, "Piecewise: 1 boundaries need 2 rates, got 1"),
    (lambda: s.Piecewise([5], [0.1, -1]), ValueError, r"Piecewise: rates\[1\] must be"),
    (lambda: s.Exponential(0.1), ValueError, "one of gamma and k must be given, got gamma=None and k=None"),
    (lambda: s.Exponential(0.1, 0.9, k=1), ValueError, "one of gamma and k must be given"),
    (lambda: s.Warmup(0.1, 5, kind="cubic"), ValueError, "Warmup: kind must be .*, got 'cubic'"),
    (
        lambda: s.Warmup(0.1, 5, kind="exponential"),
        ValueError,
        "an exponential one needs start and lr above 0",
    ),
    (lambda: s.Cyclic(0.3, 0.1), ValueError, "Cyclic: max_lr must be a finite number at least 0.3, got 0.1"),
    (lambda: s.OneCycle(0.1, 10, pct_start=1.5), ValueError, r"pct_start must be .* in \[0, 1\], got 1.5"),
    (lambda: s.OneCycle(0.1, 2), ValueError, "the phases of 2 steps end at steps"),
    (lambda: s.ReduceOnPlateau(0.1, factor=1.0), ValueError, "factor must be below 1, got 1.0"),
    (lambda: s.ReduceOnPlateau(0.1, mode="up"), ValueError, "mode must be 'min' or 'max', got 'up'"),
    (lambda: s.Constant(0.1) + s.Constant(0.2), ValueError, "never ends, so nothing can follow it"),
    (lambda: s.Cosine(0.1, 5).take(6), ValueError, "spans 5 steps, 6 were asked for"),
    (lambda: s.Constant(0.1).values(), ValueError, "never ends, so the number of steps is needed"),
    (lambda: s.Cosine(0.1, 5).values(6), ValueError, r"spans 5 steps, and step 5 \(from 0\) was asked for"),
    (lambda: s.Cosine(0.1, 5)(-1), ValueError, "Cosine: step must be at least 0, got -1"),
    (lambda: s.Cosine(0.1, 5) * -1, ValueError, "a rate must be a finite number at least 0"),
    (lambda: s.Cosine(0.1, 5) + "a", TypeError, "unsupported operand"),
    (lambda: s.Sequence(), ValueError, "at least one schedule"),
    (lambda: s.Product("a"), TypeError, "Product: schedules and numbers are expected, got 'a'"),
]


@pytest.mark.parametrize(("wrong", "kind", "message"), BAD)
def test_bad_input(wrong: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        wrong()


METRICS = [3.0, 2.0, 2.1, 1.9999, 1.9, 1.9, 1.9, 1.9, 1.9, 1.9, 1.2, 1.3, 1.3, math.nan, 1.3, 1.3, 1.0, 1.0]
PLATEAUS: list[dict[str, Any]] = [
    {"factor": 0.5, "patience": 2},
    {"factor": 0.3, "patience": 1, "cooldown": 2, "min_lr": 0.02},
    {"factor": 0.3, "patience": 0, "threshold": 0.05},
    {"factor": 0.3, "patience": 0, "threshold": 0.05, "threshold_mode": "abs"},
    {"factor": 0.3, "patience": 1, "mode": "max"},
    {"factor": 0.3, "patience": 1, "mode": "max", "threshold": 0.2, "threshold_mode": "abs"},
]


@pytest.mark.parametrize("arguments", PLATEAUS)
def test_reduce_on_plateau_as_in_torch(arguments: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **arguments)
    ours = s.ReduceOnPlateau(0.3, **arguments)
    rates, expected = [], []
    for metric in METRICS:
        theirs.step(metric)
        ours.update(metric)
        rates.append(ours(0))
        expected.append(optimizer.param_groups[0]["lr"])
    np.testing.assert_allclose(rates, expected, rtol=1e-12)
    assert len(set(expected)) > 1


def test_reduce_on_plateau_scales_a_schedule_and_resumes() -> None:
    def build() -> tuple[s.ReduceOnPlateau, s.Schedule]:
        plateau = s.ReduceOnPlateau(1.0, factor=0.5, patience=1, cooldown=1)
        return plateau, s.Warmup(0.3, 4) + s.Exponential(0.3, gamma=0.9) * plateau

    (plateau, whole), (copy, other) = build(), build()
    assert [part for part in whole.parts() if isinstance(part, s.ReduceOnPlateau)] == [plateau]
    for i, metric in enumerate(METRICS):
        plateau.update(metric)
        other.load_state_dict(whole.state_dict())
        assert copy.state_dict() == plateau.state_dict()
        assert other(4 + i) == whole(4 + i) == pytest.approx(0.3 * 0.9**i * plateau(0), rel=1e-14)
    assert plateau(0) < 1
    state = whole.state_dict()
    with pytest.raises(ValueError, match=r"unexpected key 7\.best"):
        other.load_state_dict({**state, "7.best": 1.0})
    with pytest.raises(ValueError, match=r"missing keys \['best'\]"):
        other.load_state_dict({key: value for key, value in state.items() if not key.endswith("best")})
    assert other.state_dict() == state


def regression() -> tuple[nn.Module, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((12, 3))
    rv.seed(0)
    return nn.Linear(3, 1).to("float64"), x, x @ np.array([[1.0], [-2.0], [0.5]])


def test_a_training_step_follows_a_schedule() -> None:
    schedule = s.Warmup(0.1, 3) + s.Cosine(0.1, 5)
    model, x, y = regression()
    step = rv.TrainStep(model, nn.MSELoss(), optim.SGD(lr=schedule))
    w, b = model.state_dict()["weight"].copy(), model.state_dict()["bias"].copy()
    for rate in schedule.values():
        step(x, y)
        error = 2 * (x @ w.T + b - y) / len(x)
        w, b = w - rate * error.T @ x, b - rate * error.sum(0)
        np.testing.assert_allclose(model.weight.data, w, rtol=1e-12)
        assert step.optimizer.current_lr == rate
    before = step.state_dict() | model.state_dict()
    with pytest.raises(ValueError, match="spans 8 steps, and step 8"):
        step(x, y)
    after = step.state_dict() | model.state_dict()
    assert all(np.array_equal(before[key], after[key]) for key in before)


def test_momentum_follows_a_schedule() -> None:
    """As the one-cycle policy has it: while the rate rises and falls, the momentum falls and rises."""
    rate = s.OneCycle(0.1, 8, anneal="linear")
    momentum = s.Linear(0.95, 0.85, 3) + s.Linear(0.85, 0.95, 5)
    model, x, y = regression()
    optimizer = optim.SGD(lr=rate, momentum=momentum)
    step = rv.TrainStep(model, nn.MSELoss(), optimizer)
    w, b = model.state_dict()["weight"].copy(), model.state_dict()["bias"].copy()
    v_w, v_b = 0.0, 0.0
    for i in range(8):
        step(x, y)
        error = 2 * (x @ w.T + b - y) / len(x)
        v_w, v_b = momentum(i) * v_w + error.T @ x, momentum(i) * v_b + error.sum(0)
        w, b = w - rate(i) * v_w, b - rate(i) * v_b
        np.testing.assert_allclose(model.weight.data, w, rtol=1e-11)
    assert len(step.programs()) == 1


def test_the_state_of_a_plateau_resumes_with_the_training_step() -> None:
    def build() -> tuple[rv.TrainStep, s.ReduceOnPlateau]:
        model, _, _ = regression()
        plateau = s.ReduceOnPlateau(0.1, factor=0.5, patience=0)
        return rv.TrainStep(model, nn.MSELoss(), optim.Adam(lr=plateau)), plateau

    _, x, y = regression()
    (step, plateau), (other, copy) = build(), build()
    for metric in (2.0, 2.0, 3.0):
        step(x, y)
        plateau.update(metric)
    state = step.state_dict()
    other.model.load_state_dict(step.model.state_dict())
    with pytest.raises(ValueError, match=r"missing key optimizer\.steps"):
        other.load_state_dict({key: value for key, value in state.items() if key != "optimizer.steps"})
    with pytest.raises(ValueError, match=r"unexpected key momentum\.best"):
        other.load_state_dict({**state, "schedule.momentum.best": 1.0})
    assert copy(0) == 0.1
    other.load_state_dict(state)
    assert copy(0) == 0.025 and copy.state_dict() == plateau.state_dict()
    assert [step(x, y) for _ in range(3)] == [other(x, y) for _ in range(3)]


def test_the_trainer_refuses_a_run_longer_than_its_schedule() -> None:
    model, x, y = regression()
    before = model.state_dict()["weight"].copy()
    trainer = rv.Trainer(model, nn.MSELoss(), optim.SGD(lr=s.Cosine(0.1, 8)))
    with pytest.raises(
        ValueError, match=r"run takes 9 updates, but the schedule of lr ends after 8: Cosine\("
    ):
        trainer.fit(x, y, epochs=3, batch_size=4, verbose=0)
    np.testing.assert_array_equal(model.weight.data, before)
    trainer.fit(x, y, epochs=2, batch_size=4, verbose=0)
    with pytest.raises(ValueError, match="run takes 3 updates after the 6 done before, but the schedule"):
        trainer.fit(x, y, epochs=3, batch_size=4, verbose=0)


def test_schedules_inside_a_wrapper_are_found() -> None:
    model, x, y = regression()
    inside = optim.SGD(lr=s.ReduceOnPlateau(0.1, factor=0.5, patience=0), momentum=s.Linear(0.9, 0.5, 8))
    trainer = rv.Trainer(model, nn.MSELoss(), optim.Lookahead(inside))
    with pytest.raises(ValueError, match="monitors 'val_loss', but this run measures loss"):
        trainer.fit(x, y, batch_size=4, verbose=0)
    with pytest.raises(ValueError, match="run takes 9 updates, but the schedule of momentum ends after 8"):
        trainer.fit(x, y, epochs=3, batch_size=4, verbose=0, validation_data=(x, y))
    step = rv.TrainStep(model, nn.MSELoss(), optim.Lookahead(inside))
    assert "schedule.lr.best" in step.state_dict()


def test_the_trainer_feeds_a_plateau() -> None:
    model, x, y = regression()
    plateau = s.ReduceOnPlateau(0.5, factor=0.1, patience=0, threshold=0.9, monitor="loss")
    trainer = rv.Trainer(model, nn.MSELoss(), optim.SGD(lr=s.Constant(1.0) * plateau))
    history = trainer.fit(x, y, epochs=6, batch_size=4, verbose=0)
    expected = s.ReduceOnPlateau(0.5, factor=0.1, patience=0, threshold=0.9)
    rates = []
    for loss in history["loss"]:
        rates.append(expected(0))
        expected.update(loss)
    assert history["lr"] == rates and len(set(rates)) > 1


def test_the_trainer_refuses_a_plateau_without_its_metric() -> None:
    model, x, y = regression()
    trainer = rv.Trainer(model, nn.MSELoss(), optim.SGD(lr=s.ReduceOnPlateau(0.1)))
    with pytest.raises(ValueError, match="monitors 'val_loss', but this run measures loss"):
        trainer.fit(x, y, verbose=0)
    trainer.fit(x, y, verbose=0, validation_data=(x, y))
