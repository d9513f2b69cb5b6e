"""Averages of the weights, their evaluation, Lookahead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from slopes import SHAPES, apply, gradients, initial, new_step, weights

import ravine as rv
from ravine import nn, optim

DTYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])


def averages(step: rv.TrainStep) -> dict[str, np.ndarray]:
    with optim.averaged(step.model):
        return weights(step)


def run(
    optimizer: optim.Optimizer, dtype: str, steps: int
) -> tuple[rv.TrainStep, list[dict[str, np.ndarray]]]:
    step = new_step(optimizer, dtype)
    seen = []
    for slopes in gradients(steps, dtype):
        apply(step, slopes)
        seen.append(weights(step))
    return step, seen


def close(actual: dict[str, np.ndarray], expected: Any, dtype: str) -> None:
    tolerance = 1e-13 if dtype == "float64" else 2e-6
    for key in SHAPES:
        np.testing.assert_allclose(actual[key], expected(key), rtol=tolerance, atol=tolerance)


@DTYPES
def test_polyak_is_the_mean(dtype: str) -> None:
    step, seen = run(optim.SGD(0.1, average=optim.Polyak(start=4)), dtype, 20)
    close(averages(step), lambda key: np.mean([w[key] for w in seen[4:]], axis=0), dtype)


@DTYPES
def test_swa_takes_the_ends_of_cycles(dtype: str) -> None:
    step, seen = run(optim.Adam(0.1, average=optim.SWA(start=5, every=4)), dtype, 20)
    close(averages(step), lambda key: np.mean([seen[t][key] for t in (5, 9, 13, 17)], axis=0), dtype)


@DTYPES
@pytest.mark.parametrize("corrected", [True, False])
def test_ema(corrected: bool, dtype: str) -> None:
    step, seen = run(optim.Lion(0.1, average=optim.EMA(0.8, bias_correction=corrected)), dtype, 15)

    def expected(key: str) -> np.ndarray:
        mean = np.zeros(SHAPES[key]) if corrected else seen[0][key].astype(np.float64)
        for w in seen if corrected else seen[1:]:
            mean = 0.8 * mean + 0.2 * w[key]
        return mean / (1 - 0.8**15) if corrected else mean

    close(averages(step), expected, dtype)


def test_the_averages_are_torchs() -> None:
    torch = pytest.importorskip("torch")
    from torch.optim import swa_utils

    kinds = {"ema": swa_utils.get_ema_multi_avg_fn(0.9), "swa": swa_utils.get_swa_multi_avg_fn()}
    ours = {"ema": optim.EMA(0.9, bias_correction=False), "swa": optim.Polyak()}
    for kind, function in kinds.items():
        rtol = 1e-12 if kind == "ema" else 1e-6  # torch rounds the weights of a plain mean to float32
        model = torch.nn.Linear(3, 2).double()
        with torch.no_grad():
            model.weight.copy_(torch.tensor(initial("float64")["matrix"][:2, :3]))
        twin = nn.Linear(3, 2).to("float64")
        twin.load_state_dict(model.state_dict())
        theirs = swa_utils.AveragedModel(model, multi_avg_fn=function)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        step = rv.TrainStep(twin, nn.MSELoss(), optim.SGD(0.1, momentum=0.9, average=ours[kind]))
        for i in range(30):
            rng = np.random.default_rng(i)
            x, y = rng.standard_normal((4, 3)), rng.standard_normal((4, 2))
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(model(torch.tensor(x)), torch.tensor(y)).backward()
            optimizer.step()
            theirs.update_parameters(model)
            step(x, y)
        with optim.averaged(twin):
            for name, tensor in theirs.module.named_parameters():
                np.testing.assert_allclose(twin.state_dict()[name], tensor.detach().numpy(), rtol=rtol)


@DTYPES
def test_asgd_has_an_average_of_its_own(dtype: str) -> None:
    step, seen = run(optim.ASGD(0.1, t0=5), dtype, 12)
    expected: dict[str, Any] = {}
    for t, w in enumerate(seen):
        mu = 1 / max(1, t - 5)
        expected = {
            key: w[key] if mu == 1 else expected[key] + mu * (w[key] - expected[key]) for key in SHAPES
        }
    close(averages(step), lambda key: expected[key], dtype)


@DTYPES
def test_schedule_free_evaluates_x(dtype: str) -> None:
    rates, beta = [0.01, 0.02, 0.03, 0.03, 0.03], 0.8
    step = new_step(optim.ScheduleFreeSGD(lr=lambda t: rates[t], beta=beta), dtype)
    z = {key: value.astype(np.float64) for key, value in initial(dtype).items()}
    x, total, largest = dict(z), 0.0, 0.0
    for rate, slopes in zip(rates, gradients(5, dtype), strict=True):
        apply(step, slopes)
        largest = max(largest, rate)
        total += largest**2
        z = {key: z[key] - rate * slopes[key] for key in SHAPES}
        x = {key: x[key] + largest**2 / total * (z[key] - x[key]) for key in SHAPES}
    close(weights(step), lambda key: (1 - beta) * z[key] + beta * x[key], dtype)
    close(averages(step), lambda key: x[key], dtype)


def test_an_average_is_saved_and_goes_on() -> None:
    def build() -> optim.Optimizer:
        return optim.Lookahead(optim.Adam(0.1, average=optim.EMA(0.9)), k=4)

    whole, _ = run(build(), "float32", 11)
    first, _ = run(build(), "float32", 6)
    second = new_step(build(), "float32")
    second.model.load_state_dict(first.model.state_dict())
    second.load_state_dict(first.state_dict())
    for slopes in list(gradients(11, "float32"))[6:]:
        apply(second, slopes)
    for key in SHAPES:
        np.testing.assert_array_equal(averages(second)[key], averages(whole)[key])
        np.testing.assert_array_equal(weights(second)[key], weights(whole)[key])
    state = first.state_dict()
    del state["optimizer.vector.average"]
    with pytest.raises(ValueError, match=r"missing key optimizer.vector.average"):
        second.load_state_dict(state)


AVERAGING = {
    "ema": lambda: optim.Adam(0.1, average=optim.EMA(0.9)),
    "groups": lambda: optim.SGD(0.1, average=optim.Polyak(1), groups=[optim.Group("vector", lr=0.2)]),
    "lookahead": lambda: optim.Lookahead(optim.SGD(0.1, momentum=0.9, average=optim.SWA(1, 2))),
    "accumulate": lambda: optim.SGD(0.1, accumulate=2, average=optim.EMA(0.5)),
    "asgd": lambda: optim.ASGD(0.1, t0=2),
    "schedule-free": lambda: optim.ScheduleFreeAdamW(0.1),
    "schedule-free, groups": lambda: optim.ScheduleFreeSGD(0.1, groups=[optim.Group("matrix", beta=0.5)]),
}


@pytest.mark.parametrize("name", AVERAGING)
def test_averages_can_be_evaluated_right_after_a_resume(name: str) -> None:
    first, _ = run(AVERAGING[name](), "float32", 5)
    second = new_step(AVERAGING[name](), "float32")
    with pytest.raises(ValueError, match="no training step keeps an average"):
        averages(second)
    second.model.load_state_dict(first.model.state_dict())
    second.load_state_dict(first.state_dict())
    expected = averages(first)
    for _ in range(2):
        found = averages(second)
        for key in SHAPES:
            np.testing.assert_array_equal(found[key], expected[key])
    assert any(not np.array_equal(expected[key], weights(first)[key]) for key in SHAPES)
    for key in SHAPES:
        np.testing.assert_array_equal(weights(second)[key], weights(first)[key])


def test_training_goes_on_as_if_nothing_was_evaluated() -> None:
    rv.seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    step = rv.TrainStep(model, nn.MSELoss(), optim.SGD(0.1, average=optim.Polyak()))
    x, y = np.random.default_rng(0).standard_normal((16, 3)).astype(np.float32), np.ones((16, 1), np.float32)
    for _ in range(3):
        step(x, y)
    before = {key: value.copy() for key, value in model.state_dict().items()}
    with optim.averaged(model) as same:
        assert same is model
        optim.update_bn(model, x, batch_size=8)
        assert not np.array_equal(model[1].running_mean.data, before["1.running_mean"])
        with pytest.raises(RuntimeError, match="leave it first"):
            step(x, y)
        with pytest.raises(RuntimeError, match="has its averaged weights already"), optim.averaged(model):
            pass
        assert not np.array_equal(model[0].weight.data, before["0.weight"])
    for key, value in before.items():
        np.testing.assert_array_equal(model.state_dict()[key], value)
    assert model.training and np.isfinite(step(x, y))


def test_averaged_without_an_average() -> None:
    model = nn.Linear(2, 1)
    message = "no training step keeps an average of this Linear"
    with pytest.raises(ValueError, match=message), optim.averaged(model):
        pass
    step = rv.TrainStep(model, nn.MSELoss(), optim.SGD(0.1))
    step(np.ones((2, 2)), np.ones((2, 1)))
    with pytest.raises(ValueError, match=message), optim.averaged(model):
        pass


def test_update_bn_is_torchs() -> None:
    torch = pytest.importorskip("torch")

    def build(kind: Any) -> Any:
        return kind.Sequential(kind.Linear(3, 4), kind.BatchNorm1d(4), kind.ReLU(), kind.BatchNorm1d(4))

    theirs = build(torch.nn)
    ours = build(nn)
    ours.load_state_dict(theirs.state_dict())
    x = np.random.default_rng(0).standard_normal((25, 3)).astype(np.float32)

    def batches() -> Iterator[Any]:
        yield from (torch.tensor(x[i:j]) for i, j in ((0, 8), (8, 16), (16, 25)))

    torch.optim.swa_utils.update_bn(batches(), theirs)
    ours.eval()
    optim.update_bn(ours, x, batch_size=8)
    for key, tensor in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[key], tensor.numpy(), rtol=1e-5, atol=1e-6)
    assert not ours.training and ours[1].momentum == 0.1
    with pytest.raises(ValueError, match="at least two examples"):
        optim.update_bn(ours, x[:1])


@DTYPES
def test_lookahead(dtype: str) -> None:
    step = new_step(optim.Lookahead(optim.SGD(0.1, momentum=0.9), k=3, alpha=0.25), dtype)
    fast = {key: value.astype(np.float64) for key, value in initial(dtype).items()}
    slow, buffer = dict(fast), {key: np.zeros(shape) for key, shape in SHAPES.items()}
    for t, slopes in enumerate(gradients(11, dtype)):
        apply(step, slopes)
        buffer = {key: 0.9 * buffer[key] + slopes[key] for key in SHAPES}
        fast = {key: fast[key] - 0.1 * buffer[key] for key in SHAPES}
        if t % 3 == 2:
            slow = fast = {key: slow[key] + 0.25 * (fast[key] - slow[key]) for key in SHAPES}
        close(weights(step), lambda key, fast=fast: fast[key], dtype)


def test_lookahead_has_the_attributes_of_the_optimizer_inside() -> None:
    optimizer = optim.Lookahead(optim.Adam(lr=lambda t: 0.1 / (t + 1)), k=2)
    assert optimizer.lr_at(1) == 0.05 and optimizer.hyper(1)["lr"] == 0.05
    optimizer.betas = (0.5, 0.6)
    assert optimizer.optimizer.betas == (0.5, 0.6)
    optimizer.alpha = 1.0
    assert repr(optimizer).startswith("Lookahead(Adam(lr=<") and repr(optimizer).endswith(", k=2, alpha=1.0)")
    step, _ = run(optimizer, "float64", 3)
    alone, _ = run(optim.Adam(lr=lambda t: 0.1 / (t + 1), betas=(0.5, 0.6)), "float64", 3)
    for key in SHAPES:  # with alpha = 1 the slow weights are the fast ones
        np.testing.assert_allclose(weights(step)[key], weights(alone)[key], rtol=1e-14)
    for arguments, message in (
        ({"k": 0}, "k must be at least 1"),
        ({"alpha": 0.0}, r"alpha must be in \(0, 1\]"),
    ):
        with pytest.raises(ValueError, match=message):
            optim.Lookahead(optim.SGD(), **arguments)
    with pytest.raises(TypeError, match="Lookahead: optimizer must be one of"):
        optim.Lookahead(0.1)  # type: ignore[arg-type]
    with pytest.raises(AttributeError, match="no hyperparameter 'momentum'"):
        optimizer.momentum = 0.9


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: optim.EMA(1.0), ValueError, r"EMA: decay must be a finite number in \[0, 1\)"),
        (lambda: optim.Polyak(start=-1), ValueError, "Polyak: start must be at least 0"),
        (lambda: optim.SWA(start=0, every=0), ValueError, "SWA: every must be at least 1"),
        (lambda: optim.SWA(start=0, every=0.5), TypeError, "SWA: every must be an integer"),
    ],
)
def test_errors(build: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build()
