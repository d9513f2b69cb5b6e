"""Sharpness-aware minimisation and gradient noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn, optim

torch = pytest.importorskip("torch")


def net(kind: Any) -> Any:
    return kind.Sequential(kind.Linear(6, 8), kind.BatchNorm1d(8), kind.Tanh(), kind.Linear(8, 3))


def batch(i: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(i)
    return rng.standard_normal((16, 6)), rng.integers(0, 3, 16)


def torch_sam_step(model: Any, optimizer: Any, x: Any, y: Any, rho: float, adaptive: bool) -> float:
    def backward() -> Any:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        return loss

    loss = backward()
    statistics = [buffer.clone() for buffer in model.buffers()]
    with torch.no_grad():
        parameters = list(model.parameters())
        saved = [p.clone() for p in parameters]
        slopes = [p.abs() * p.grad if adaptive else p.grad for p in parameters]
        scale = rho / (torch.sqrt(sum((s * s).sum() for s in slopes)) + 1e-12)
        for p in parameters:
            p += scale * (p * p * p.grad if adaptive else p.grad)
    backward()
    with torch.no_grad():
        for p, value in zip(parameters, saved, strict=True):
            p.copy_(value)
        for buffer, value in zip(model.buffers(), statistics, strict=True):
            buffer.copy_(value)
    optimizer.step()
    return loss.item()


@pytest.mark.parametrize("adaptive", [False, True])
def test_sam(adaptive: bool) -> None:
    rho = 0.5 if adaptive else 0.1
    torch.manual_seed(0)
    theirs = net(torch.nn).double()
    ours = net(nn).to("float64")
    ours.load_state_dict(theirs.state_dict())
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9)
    wrapped = optim.SAM(optim.SGD(lr=0.1, momentum=0.9), rho=rho, adaptive=adaptive)
    step = rv.TrainStep(ours, nn.CrossEntropyLoss(), wrapped)
    plain = rv.TrainStep(net(nn).to("float64"), nn.CrossEntropyLoss(), optim.SGD(lr=0.1, momentum=0.9))
    plain.model.load_state_dict(theirs.state_dict())
    for i in range(30):
        x, y = batch(i)
        expected = torch_sam_step(theirs, optimizer, torch.tensor(x), torch.tensor(y), rho, adaptive)
        assert step(x, y) == pytest.approx(expected, rel=1e-9)
        plain(x, y)
    for key, tensor in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[key], tensor.numpy(), rtol=1e-7, atol=1e-10)
        if "weight" in key:
            assert np.abs(ours.state_dict()[key] - plain.model.state_dict()[key]).max() > 1e-3


def test_rho_changes_without_compiling() -> None:
    def run(*rhos: float) -> np.ndarray:
        rv.seed(1)
        wrapped = optim.SAM(optim.Adam(1e-2), rho=rhos[0])
        step = rv.TrainStep(net(nn), nn.CrossEntropyLoss(), wrapped)
        for i, rho in enumerate(rhos):
            wrapped.rho = rho
            step(*batch(i))
        assert len(step.programs()) == 1
        return np.array(step.model[0].weight.data)

    assert not np.array_equal(run(0.1, 0.1), run(0.1, 1.0))
    np.testing.assert_array_equal(run(0.1, 1.0), run(0.1, 1.0))


def test_sam_with_dropout_and_accumulation() -> None:
    rv.seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
    optimizer = optim.SAM(optim.Adam(1e-2, accumulate=2, clip_global_norm=1.0), rho=0.05)
    step = rv.TrainStep(model, nn.CrossEntropyLoss(), optimizer)
    x, y = batch(0)
    losses = [step(x, y) for _ in range(200)]
    assert step.steps == 100 and np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: optim.SAM(optim.SGD(), rho=0.0), ValueError, "SAM: rho must be above 0"),
        (lambda: optim.SAM(optim.SGD(), rho=float("nan")), ValueError, "rho must be a finite number"),
        (lambda: optim.SAM(0.1), TypeError, "SAM: optimizer must be one of"),  # type: ignore[arg-type]
        (lambda: optim.SAM(optim.LBFGS()), ValueError, "LBFGS takes gradients at two places itself"),
        (lambda: optim.SAM(optim.SAM(optim.SGD())), ValueError, "SAM takes gradients at two places itself"),
        (lambda: optim.SGD(noise=-1.0), ValueError, r"noise\[0\] must be a finite number"),
        (lambda: optim.SGD(noise=(1.0, 2.0, 3.0)), TypeError, "noise must be a number or a pair"),  # type: ignore[arg-type]
    ],
)
def test_errors(build: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build()


class Flat(nn.Module):
    """A loss whose gradient is 3 for every number."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(np.zeros(40_000))

    def forward(self, _: rv.Tensor) -> rv.Tensor:
        return 3.0 * self.w.sum()


def moves(optimizer: optim.Optimizer, steps: int) -> list[np.ndarray]:
    model = Flat()
    step = rv.TrainStep(model, lambda output, _: output, optimizer)
    result = []
    for _ in range(steps):
        before = np.array(model.w.data)
        step(np.zeros(1), np.zeros(1))
        result.append(before - model.w.data)
    assert len(step.programs()) == 1
    return result


def test_noise_has_its_variance_and_falls() -> None:
    seen = moves(optim.SGD(lr=1.0, noise=(0.25, 2.0), clip_value=1.0), 4)
    for t, move in enumerate(seen):
        assert move.mean() == pytest.approx(1.0, abs=0.02)  # the gradient is bounded, the noise is not
        assert move.std() == pytest.approx(0.5 / (1 + t), rel=0.03)
    assert abs(np.corrcoef(seen[0], seen[1])[0, 1]) < 0.03


def test_noise_is_a_function_of_the_seed() -> None:
    rv.seed(5)
    first = moves(optim.Muon(lr=1.0, noise=0.5), 2)
    rv.seed(5)
    second = moves(optim.Muon(lr=1.0, noise=0.5), 2)
    rv.seed(6)
    third = moves(optim.Muon(lr=1.0, noise=0.5), 2)
    for a, b, c in zip(first, second, third, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)
