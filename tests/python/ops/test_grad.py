"""Gradients inside of recordings: ops.grad and nested value_and_grad, of any order, under all that trains."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn, ops, optim

X = np.linspace(-1.0, 1.5, 6)[:, None]


def network() -> nn.Module:
    rv.seed(0)
    return nn.Sequential(nn.Linear(1, 5), nn.Tanh(), nn.Linear(5, 1)).double()


def weights(model: nn.Module) -> list[np.ndarray]:
    return [p.data.copy() for p in model.parameters()]


def slope_loss(model: Any, x: Any) -> Any:
    """Mean squared residual of u' = -u and of u'' = u, two orders of derivatives by the input."""
    u = model(x)
    first = ops.grad(u.sum(), x)
    second = ops.grad(first.sum(), x)
    return (first + u).square().mean() + (second - u).square().mean()


def numpy_slope_loss(parameters: list[np.ndarray], x: np.ndarray) -> float:
    """The same by hand: u = v tanh(w x + b) + c."""
    w, b, v, c = parameters
    t = np.tanh(x @ w.T + b)
    u = t @ v.T + c
    first = ((1 - t**2) * w.T) @ v.T
    second = (-2 * t * (1 - t**2) * w.T**2) @ v.T
    return float(np.mean((first + u) ** 2) + np.mean((second - u) ** 2))


def differences(parameters: list[np.ndarray], h: float = 1e-5) -> list[np.ndarray]:
    result = []
    for array in parameters:
        slope = np.zeros_like(array)
        for i in np.ndindex(array.shape):
            kept = array[i]
            array[i] = kept + h
            up = numpy_slope_loss(parameters, X)
            array[i] = kept - h
            slope[i] = (up - numpy_slope_loss(parameters, X)) / (2 * h)
            array[i] = kept
        result.append(slope)
    return result


@pytest.mark.parametrize("eager", [False, True])
def test_a_loss_of_derivatives_has_the_gradient_of_differences(eager: bool) -> None:
    model = network()
    with rv.eager() if eager else nullcontext():
        value, found = rv.value_and_grad(slope_loss, model)(X)
    assert value == pytest.approx(numpy_slope_loss(weights(model), X), rel=1e-12)
    for gradient, want in zip(found.values(), differences(weights(model)), strict=True):
        assert np.abs(want).max() > 1e-3
        np.testing.assert_allclose(gradient, want, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("eager", [False, True])
def test_under_a_training_step(eager: bool) -> None:
    model = network()
    wanted = [w - 0.1 * g for w, g in zip(weights(model), differences(weights(model)), strict=True)]
    step = rv.TrainStep(slope_loss, model, optim.SGD(0.1))
    with rv.eager() if eager else nullcontext():
        step(X)
    for got, want in zip(weights(model), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-8)


def test_under_minimize() -> None:
    """E(x) = |∇f(x)|² with f = Σ (x⁴/4 - x): the minimum is where x³ = 1."""

    def energy(x: Any) -> Any:
        return ops.grad((x**4 / 4 - x).sum(), x).square().sum()

    found = rv.minimize(energy, np.array([0.5, 2.0]))
    np.testing.assert_allclose(found.x, 1.0, rtol=1e-6)


def test_a_gradient_penalty_is_that_of_torch() -> None:
    torch = pytest.importorskip("torch")
    model = network()
    twin = torch.nn.Sequential(torch.nn.Linear(1, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1)).double()
    twin.load_state_dict({k: torch.from_numpy(v) for k, v in model.state_dict().items()})
    x = torch.from_numpy(X).requires_grad_()
    (slope,) = torch.autograd.grad(twin(x).sum(), x, create_graph=True)
    penalty = (slope.norm(dim=1) - 1).square().mean()
    penalty.backward()

    def loss(model: Any, x: Any) -> Any:
        slope = ops.grad(model(x).sum(), x)
        return (slope.square().sum(1).sqrt() - 1).square().mean()

    value, found = rv.value_and_grad(loss, model)(X)
    assert value == pytest.approx(penalty.item(), rel=1e-12)
    for name, p in twin.named_parameters():
        want = 0 * p if p.grad is None else p.grad
        np.testing.assert_allclose(found[name], want.detach(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("eager", [False, True])
def test_nested_value_and_grad_is_part_of_the_outer_one(eager: bool) -> None:
    model = network()

    def loss(model: Any, x: Any) -> Any:
        u, du = rv.value_and_grad(lambda z: model(z).sum())(x)
        _, of_weights = rv.value_and_grad(lambda m, z: m(z).sum(), model)(x)
        return du.square().sum() + 0 * u + of_weights["2.weight"].square().sum()

    def by_hand(model: Any, x: Any) -> Any:
        u = model(x)
        slopes = ops.grad(u.sum(), [x, model[2].weight])
        return slopes[0].square().sum() + slopes[1].square().sum()

    with rv.eager() if eager else nullcontext():
        nested = rv.value_and_grad(loss, model)(X)
    plain = rv.value_and_grad(by_hand, model)(X)
    assert nested[0] == pytest.approx(plain[0], rel=1e-12)
    for name, gradient in plain[1].items():
        np.testing.assert_allclose(nested[1][name], gradient, rtol=1e-9, atol=1e-12)
    assert np.abs(nested[1]["0.weight"]).max() > 1e-3


def test_a_nested_variable_is_independent_of_what_else_holds_the_tensor() -> None:
    """d/dz (z x) at z = x is x, not 2 x; the outer derivative of Σ x² then is 2 x."""
    inner = rv.value_and_grad(lambda z, x: (z * x).sum())
    value, slope = rv.value_and_grad(lambda x: (inner(x, x)[1] * x).sum())(X)
    assert value == pytest.approx((X**2).sum())
    np.testing.assert_allclose(slope, 2 * X)
    _, given = rv.value_and_grad(lambda x: sum(g.sum() for g in inner({"a": x}["a"], x)[1:]) * 1.0)(X)
    np.testing.assert_allclose(given, np.ones_like(X))


def test_nested_hessian_vector_products() -> None:
    """H v of Σ x³ is 6 x v, whose sum has the gradient 6 v."""
    product = rv.hvp(lambda x: (x**3).sum())
    _, slope = rv.value_and_grad(lambda x: product(x, np.full_like(X, 2.0)).sum())(X)
    np.testing.assert_allclose(slope, np.full_like(X, 12.0))
    model = network()
    vectors = {name: np.ones_like(p.data) for name, p in model.named_parameters()}
    of_model = rv.hvp(lambda m, x: m(x).square().sum(), model)
    want = of_model(X, vectors)
    found = rv.compile(lambda x: of_model(x, vectors))(X)
    for name, array in want.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-9, atol=1e-12)


def test_statistics_of_a_nested_call_are_kept_and_parameters_are_themselves_again() -> None:
    rv.seed(0)
    model = nn.Sequential(nn.Linear(1, 2), nn.BatchNorm1d(2))

    def loss(model: Any, x: Any) -> Any:
        _, slopes = rv.value_and_grad(lambda m, z: m(z).square().sum(), model)(x)
        return slopes["0.weight"].square().sum() + model[0].weight.sum()

    step = rv.TrainStep(loss, model, optim.SGD(0.0))
    step(X)
    assert model[1].num_batches_tracked.item() == 1


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: ops.grad(ops.exp([1.0]).sum(), ops.exp([1.0])), RuntimeError, "no recording under way"),
        (lambda: rv.compile(lambda x: ops.grad(x, x))(X), ValueError, r"scalar, got shape \(6, 1\)"),
        (lambda: rv.compile(lambda x: ops.grad(x.sum(), X))(X), TypeError, "x must be a tensor.*ndarray"),
        (lambda: rv.compile(lambda x: ops.grad(x.sum(), [x, 1.0]))(X), TypeError, r"x\[1\] must be a tensor"),
        (lambda: rv.compile(lambda x: ops.grad(1.0, x))(X), TypeError, "y must be a tensor.*float"),
        (
            lambda: rv.compile(lambda x: ops.grad(x.sum(), x))(np.ones(2, int)),
            TypeError,
            "y must be floating",
        ),
        (lambda: rv.compile(3), TypeError, "a function is expected, got int"),  # type: ignore[arg-type]
    ],
)
def test_what_has_no_gradient_is_refused(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_a_tensor_of_another_recording_is_refused() -> None:
    """In eager mode, too, where its numbers could be taken for a constant and the gradient for 0."""
    kept = []
    with rv.eager():
        rv.compile(lambda x: kept.append(x) or x)(X)
    with rv.eager(), pytest.raises(RuntimeError, match="x belongs to another recording"):
        rv.compile(lambda x: ops.grad((x * kept[0]).sum(), kept[0]))(X)


def test_a_compiled_function_takes_arrays_numbers_and_names() -> None:
    calls = []

    @rv.compile
    def scaled(x: Any, factor: float, *, shift: Any) -> Any:
        calls.append(factor)
        return {"sum": x.sum() * factor, "both": (x + shift, factor)}

    for factor in (2.0, 2.0, 3.0):
        found = scaled(X, factor, shift=np.ones((1, 1)))
        np.testing.assert_allclose(found["sum"], X.sum() * factor)
        np.testing.assert_allclose(found["both"][0], X + 1)
        assert found["both"][1] == factor
    assert calls == [2.0, 3.0]
    assert len(scaled.programs()) == 2
    assert scaled.__name__ == "scaled"
    with rv.eager():
        np.testing.assert_allclose(scaled(X, 4.0, shift=X)["sum"], X.sum() * 4)
    outer = rv.compile(lambda x: scaled(x, 2.0, shift=x)["both"][0] * 2)
    np.testing.assert_allclose(outer(X), 4 * X)
