"""Clipping, skipping, accumulation of gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from slopes import SHAPES, apply, gradients, initial, new_step, weights

import ravine as rv
from ravine import nn, ops, optim

DTYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])


def norm(slopes: dict[str, np.ndarray]) -> float:
    return float(np.sqrt(sum(np.square(slope, dtype=np.float64).sum() for slope in slopes.values())))


def clipped(
    slopes: dict[str, np.ndarray], value: float, each: float, together: float
) -> dict[str, np.ndarray]:
    result = {key: np.clip(slope.astype(np.float64), -value, value) for key, slope in slopes.items()}
    result = {key: g * min(1.0, each / (norm({key: g}) + 1e-6)) for key, g in result.items()}
    factor = min(1.0, together / (norm(result) + 1e-6))
    return {key: g * factor for key, g in result.items()}


INF = float("inf")
BOUNDS: list[tuple[float, float, float]] = [
    (0.3, INF, INF),
    (INF, 2.0, INF),
    (INF, INF, 1.5),
    (INF, INF, 1e6),
    (0.5, 2.0, 1.0),
]


@DTYPES
@pytest.mark.parametrize(("value", "each", "together"), BOUNDS)
@pytest.mark.parametrize(
    "build", [lambda **k: optim.SGD(0.1, momentum=0.9, **k), lambda **k: optim.LAMB(0.1, **k)]
)
def test_clipping(build: Any, value: float, each: float, together: float, dtype: str) -> None:
    names = ("clip_value", "clip_norm", "clip_global_norm")
    bounds = {n: b for n, b in zip(names, (value, each, together), strict=True) if b != INF}
    step, reference = new_step(build(**bounds), dtype), new_step(build(), dtype)
    for slopes in gradients(10, dtype):
        apply(step, slopes)
        apply(reference, clipped(slopes, value, each, together))
        if len(bounds) == 1 and "clip_value" not in bounds:
            assert step.gradient_norm == pytest.approx(norm(slopes), rel=1e-6)
    rtol, atol = (1e-12, 1e-12) if dtype == "float64" else (1e-5, 1e-6)
    for key in SHAPES:
        np.testing.assert_allclose(weights(step)[key], weights(reference)[key], rtol=rtol, atol=atol)


def test_global_norm_is_torchs_and_covers_all_groups() -> None:
    torch = pytest.importorskip("torch")
    parameters = {key: torch.nn.Parameter(torch.tensor(value)) for key, value in initial("float64").items()}
    theirs = torch.optim.Adam(parameters.values(), lr=0.01)
    groups = [optim.Group("vector", betas=(0.9, 0.999))]
    step = new_step(optim.Adam(lr=0.01, clip_global_norm=3.0, groups=groups), "float64")
    for slopes in gradients(50, "float64"):
        for key, parameter in parameters.items():
            parameter.grad = torch.tensor(slopes[key])
        torch.nn.utils.clip_grad_norm_(parameters.values(), 3.0)
        theirs.step()
        apply(step, slopes)
    for key, parameter in parameters.items():
        np.testing.assert_allclose(weights(step)[key], parameter.detach().numpy(), rtol=1e-11)


def test_bounds_change_without_compiling() -> None:
    step = new_step(optim.SGD(lr=1.0, clip_global_norm=1.0), "float64")
    slopes = list(gradients(2, "float64"))
    apply(step, slopes[0])
    step.optimizer.clip_global_norm = 0.5
    before = weights(step)
    apply(step, slopes[1])
    moved = {key: weights(step)[key] - before[key] for key in SHAPES}
    assert norm(moved) == pytest.approx(0.5, rel=1e-6)
    assert len(step.programs()) == 1
    step.optimizer.clip_global_norm = None
    apply(step, slopes[1])
    moved = {key: weights(step)[key] - before[key] for key in SHAPES}
    assert norm(moved) > 2


def test_both_precisions_in_one_norm() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.exact = nn.Parameter(np.zeros(2, np.float64))
            self.single = nn.Parameter(np.zeros(3, np.float32))

        def forward(self, _: rv.Tensor) -> rv.Tensor:
            return self.exact.sum() * 3.0 + ops.cast(self.single.sum() * 4.0, "float64")

    model = Mixed()
    step = rv.TrainStep(
        model, lambda output, _: output, optim.SGD(lr=1.0, clip_norm=2.0, clip_global_norm=1.0)
    )
    step(np.zeros(1), np.zeros(1))
    np.testing.assert_allclose(np.linalg.norm(model.exact.data), np.sqrt(0.5), rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(model.single.data), np.sqrt(0.5), rtol=1e-6)
    assert step.gradient_norm == pytest.approx(np.sqrt(2 * 9 + 3 * 16))


def test_same_bits_on_any_number_of_threads() -> None:
    results = []
    for threads in (1, 2, 3, 5):
        rv.set_num_threads(threads)
        rv.seed(0)
        model = nn.Sequential(nn.Linear(300, 200), nn.ReLU(), nn.Linear(200, 10))
        step = rv.TrainStep(
            model, nn.CrossEntropyLoss(), optim.Adam(1e-2, clip_global_norm=0.1, clip_norm=0.08)
        )
        rng = np.random.default_rng(0)
        for _ in range(3):
            step(rng.standard_normal((32, 300)).astype(np.float32), rng.integers(0, 10, 32))
        results.append(np.concatenate([p.data.ravel() for p in model.parameters()]))
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_adaptive_clipping_is_by_units() -> None:
    share = 0.1
    step = new_step(optim.SGD(lr=1.0, clip_adaptive=share), "float64")
    slopes = next(gradients(1, "float64"))
    before = weights(step)
    apply(step, slopes)
    for key in SHAPES:
        g, w = slopes[key], before[key]
        axes = tuple(range(1, g.ndim)) if g.ndim > 1 else None
        unit = lambda x, axes=axes: np.sqrt(np.square(x).sum(axes, keepdims=True))  # noqa: E731
        largest = share * np.maximum(unit(w), 1e-3)
        expected = np.where(unit(g) < largest, g, g * largest / np.maximum(unit(g), 1e-6))
        np.testing.assert_allclose(weights(step)[key], w - expected.reshape(w.shape), rtol=1e-12)


def test_steps_with_gradients_that_are_not_finite_change_nothing() -> None:
    optimizer = optim.Adam(lr=0.1, skip_nonfinite=True, average=optim.EMA(0.5))
    step, reference = (
        new_step(optimizer, "float32"),
        new_step(optim.Adam(lr=0.1, average=optim.EMA(0.5)), "float32"),
    )
    for t, slopes in enumerate(gradients(6, "float32")):
        if t in (1, 4):
            before, state = weights(step), step.state_dict()
            bad = {
                **slopes,
                "vector": np.where(np.arange(33) == 20, [np.nan, np.inf][t == 4], slopes["vector"]),
            }
            apply(step, bad)
            for key in SHAPES:
                np.testing.assert_array_equal(weights(step)[key], before[key])
            after = step.state_dict()
            assert all(
                np.array_equal(after[key], state[key]) for key in state if key.startswith("optimizer.")
            )
        else:
            apply(step, slopes)
            apply(reference, slopes)
    assert step.skipped == 2 and step.steps == 4 and reference.skipped == 0
    for key in SHAPES:
        np.testing.assert_array_equal(weights(step)[key], weights(reference)[key])


def test_skipping_keeps_running_statistics() -> None:
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 1))
    step = rv.TrainStep(model, nn.MSELoss(), optim.SGD(lr=0.1, skip_nonfinite=True))
    x, y = np.array([[1.0, 2.0], [3.0, 5.0]]), np.zeros((2, 1))
    step(x, y)
    before = {key: value.copy() for key, value in model.state_dict().items() if "tracked" not in key}
    assert not np.isfinite(step(x * np.nan, y))
    for key, value in before.items():
        np.testing.assert_array_equal(model.state_dict()[key], value)
    assert step.skipped == 1 and np.isfinite(step(x, y))


@DTYPES
def test_accumulation_is_the_mean_of_the_gradients(dtype: str) -> None:
    step = new_step(optim.Adam(lr=0.1, accumulate=3, clip_global_norm=2.0), dtype)
    reference = new_step(optim.Adam(lr=0.1, clip_global_norm=2.0), dtype)
    slopes = list(gradients(12, dtype))
    for t, slope in enumerate(slopes):
        before = weights(step)
        apply(step, slope)
        if t % 3 != 2:
            for key in SHAPES:
                np.testing.assert_array_equal(weights(step)[key], before[key])
            continue
        mean = {key: sum(s[key].astype(np.float64) for s in slopes[t - 2 : t + 1]) / 3 for key in SHAPES}
        apply(reference, mean)
    assert step.steps == 4 and len(step.programs()) == 3
    for key in SHAPES:
        tolerance = 1e-12 if dtype == "float64" else 2e-6
        np.testing.assert_allclose(
            weights(step)[key], weights(reference)[key], rtol=tolerance, atol=tolerance
        )


def test_accumulation_resumes_in_between() -> None:
    slopes = list(gradients(7, "float32"))
    whole = new_step(optim.SGD(lr=0.1, momentum=0.9, accumulate=3), "float32")
    for slope in slopes:
        apply(whole, slope)
    first = new_step(optim.SGD(lr=0.1, momentum=0.9, accumulate=3), "float32")
    for slope in slopes[:5]:
        apply(first, slope)
    second = new_step(optim.SGD(lr=0.1, momentum=0.9, accumulate=3), "float32")
    second.model.load_state_dict(first.model.state_dict())
    second.load_state_dict(first.state_dict())
    for slope in slopes[5:]:
        apply(second, slope)
    for key in SHAPES:
        np.testing.assert_array_equal(weights(second)[key], weights(whole)[key])
    other = new_step(optim.SGD(lr=0.1, momentum=0.9), "float32")
    with pytest.raises(ValueError, match="gathered is 2, with accumulate=1"):
        other.load_state_dict(first.state_dict())


def test_accumulated_convolutions_equal_one_large_batch() -> None:
    def train(accumulate: int) -> dict[str, np.ndarray]:
        rv.seed(0)
        model = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 3))
        step = rv.TrainStep(model, nn.CrossEntropyLoss(), optim.SGD(0.1, momentum=0.9, accumulate=accumulate))
        rng = np.random.default_rng(1)
        for _ in range(3):
            x, y = rng.standard_normal((8, 2, 4, 4)).astype(np.float32), rng.integers(0, 3, 8)
            for part in np.split(np.arange(8), accumulate):
                step(x[part], y[part])
        return model.state_dict()

    one, four = train(1), train(4)
    for key, value in one.items():
        np.testing.assert_allclose(four[key], value, rtol=1e-4, atol=1e-6)


def test_fit_goes_on_after_a_skipped_update() -> None:
    x = np.ones((40, 2), np.float32)
    x[7] = np.nan
    y = np.ones((40, 1), np.float32)
    model = nn.Linear(2, 1)
    trainer = rv.Trainer(model, nn.MSELoss(), optim.SGD(0.01, skip_nonfinite=True))
    history = trainer.fit(x, y, epochs=2, batch_size=10, verbose=0)
    assert np.isfinite(history["loss"]).all() and np.isfinite(model.weight.data).all()
    with pytest.raises(FloatingPointError, match="every update of epoch 3 was skipped"):
        trainer.fit(x * np.nan, y, epochs=3, batch_size=10, verbose=0)
    assert np.isfinite(model.weight.data).all()


def test_a_schedule_counts_updates_and_not_calls() -> None:
    x, y = np.ones((40, 2), np.float32), np.ones((40, 1), np.float32)
    rate = optim.schedules.Linear(0.1, 0.0, steps=5)
    trainer = rv.Trainer(nn.Linear(2, 1), nn.MSELoss(), optim.SGD(rate, accumulate=2))
    trainer.fit(x, y, batch_size=4, verbose=0)
    with pytest.raises(ValueError, match="the run takes 5 updates after the 5 done before"):
        trainer.fit(x, y, epochs=2, batch_size=4, verbose=0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"clip_value": 0}, ValueError, "SGD: clip_value must be above 0"),
        ({"clip_norm": -1.0}, ValueError, "clip_norm must be a finite number at least 0"),
        ({"clip_global_norm": float("nan")}, ValueError, "clip_global_norm must be a finite number"),
        ({"clip_adaptive": "much"}, TypeError, "clip_adaptive must be a number"),
        ({"accumulate": 0}, ValueError, "accumulate must be at least 1"),
        ({"accumulate": 1.5}, TypeError, "accumulate must be an integer"),
        ({"average": 0.9}, TypeError, "average must be one of ravine.optim"),
        ({"average": optim.EMA}, TypeError, "average must be one of ravine.optim, such as EMA"),
        ({"lr": True}, TypeError, "SGD: lr must be a number, got True"),
        ({"lr": [nn.Parameter(np.zeros(1))]}, TypeError, "lr must be a number, got \\[Parameter"),
        ({"maximize": "no"}, TypeError, "SGD: maximize must be True or False, got 'no'"),
        ({"no_decay": 1}, TypeError, "SGD: no_decay must be True or False, got 1"),
    ],
)
def test_errors(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        optim.SGD(**arguments)
