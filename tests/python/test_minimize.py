"""Minimisers: arguments, models, tolerances, errors; the methods are in test_minimize_methods.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from minimize_problems import FUNCTIONS, rosenbrock

import ravine as rv
from ravine import nn, ops

DESCENTS = ("gd", "cg", "bfgs", "l-bfgs")
METHODS = (*DESCENTS, "newton", "newton-cg", "coordinate", "block-coordinate")
START = np.array([-1.2, 1.0])


def shifted(x: Any) -> Any:
    return ((x - np.array([1.0, -2.0, 3.0])) ** 2 * np.array([1.0, 2.0, 5.0])).sum()


def options(method: str) -> dict[str, Any]:
    return {"blocks": [[0, 2], [1]]} if method == "block-coordinate" else {}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_result(method: str, dtype: str) -> None:
    start = np.zeros(3, dtype)
    result = rv.minimize(shifted, start, method=method, **options(method))
    tolerance = {"float64": 1e-5, "float32": 1e-3}[dtype]
    assert result.success and result.status == 0 and result["message"].startswith("converged")
    assert result.x.dtype == result.jac.dtype == dtype
    np.testing.assert_allclose(result.x, [1, -2, 3], atol=tolerance)
    value, gradient = rv.value_and_grad(shifted)(result.x)
    assert result.fun == value and np.array_equal(result.jac, gradient)
    assert np.abs(gradient).max() <= tolerance
    assert 1 <= result.nit <= result.nfev == result.njev
    assert (result.nhev > 0) == method.startswith("newton")
    assert (result.hess_inv is not None) == (method == "bfgs")
    assert set(result) == {*result.keys()} >= {"x", "fun", "jac", "nit", "nfev", "njev", "nhev"}
    np.testing.assert_array_equal(start, 0)


def test_unknown_field_of_the_result() -> None:
    with pytest.raises(KeyError, match="jacobian"):
        rv.minimize(shifted, np.zeros(3))["jacobian"]


@pytest.mark.parametrize("method", METHODS)
def test_arrays_in_structures(method: str) -> None:
    """The same problem over a dict of matrix and vector as over one vector."""

    def function(p: Any, target: Any) -> Any:
        w, (b, c) = p["w"], p["rest"]
        return ((w - target) ** 2).sum() + ((b + 1) ** 2).sum() * 3 + (w.sum() - c) ** 2

    target = np.array([[1.0, 2.0], [3.0, 4.0]])
    start = {"w": np.zeros((2, 2)), "rest": (np.zeros(3), np.zeros(()))}
    result = rv.minimize(function, start, (target,), method=method, gtol=1e-8, max_iterations=5000)
    assert result.success
    np.testing.assert_allclose(result.x["w"], target, atol=1e-7)
    b, c = result.x["rest"]
    assert isinstance(result.x["rest"], tuple) and c.shape == ()
    np.testing.assert_allclose(b, -1, atol=1e-7)
    np.testing.assert_allclose(c, 10, atol=1e-7)
    assert result.jac["w"].shape == (2, 2)


def logistic() -> tuple[nn.Module, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((80, 4))
    y = (x @ [1.0, -2.0, 0.5, 0.0] + rng.standard_normal(80) > 0.3).astype(float)
    rv.seed(0)
    return nn.Linear(4, 1).to("float64"), x, y[:, None]


def ridge(model: Any, x: Any, y: Any) -> Any:
    return ops.binary_cross_entropy_with_logits(model(x), y) + 0.01 * (model.weight * model.weight).sum()


@pytest.mark.parametrize("method", METHODS)
def test_the_parameters_of_a_model(method: str) -> None:
    model, x, y = logistic()
    result = rv.minimize(ridge, model, (x, y), method=method, gtol=1e-7)
    assert result.success
    np.testing.assert_array_equal(model.weight.data, result.x["weight"])
    np.testing.assert_array_equal(model.bias.data, result.x["bias"])

    def flat(w: Any) -> Any:
        logits = (ops.matmul(x, w[:4]) + w[4]).reshape(80, 1)
        return ops.binary_cross_entropy_with_logits(logits, y) + 0.01 * (w[:4] * w[:4]).sum()

    expected = rv.minimize(flat, np.zeros(5), method="newton", gtol=1e-10)
    np.testing.assert_allclose(np.append(model.weight.data, model.bias.data), expected.x, atol=1e-5)


def test_frozen_parameters_stay() -> None:
    model, x, y = logistic()
    model.bias.requires_grad = False
    before = model.bias.data.copy()
    result = rv.minimize(ridge, model, (x, y), method="bfgs")
    assert result.success and list(result.x) == ["weight"]
    np.testing.assert_array_equal(model.bias.data, before)


@pytest.mark.parametrize("method", METHODS)
def test_same_bits_on_any_number_of_threads(method: str) -> None:
    def run(threads: int) -> tuple[Any, ...]:
        rv.seed(0)
        rv.set_num_threads(threads)
        model = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 1))
        x = np.random.default_rng(0).standard_normal((64, 5)).astype("float32")
        loss = lambda model, x: ((model(x) - 1) ** 2).mean()  # noqa: E731
        result = rv.minimize(loss, model, (x,), method=method, max_iterations=3)
        return result.fun, result.nfev, *(array.tobytes() for array in result.x.values())

    assert run(1) == run(2) == run(3) == run(5)


def test_tolerances_and_limits() -> None:
    loose, tight = (rv.minimize(rosenbrock, START, method="bfgs", gtol=gtol) for gtol in (1e-1, 1e-9))
    assert loose.nfev < tight.nfev and loose.success and tight.success
    assert tight.fun < 1e-16 < loose.fun

    early = rv.minimize(rosenbrock, START, method="bfgs", ftol=1e-1)
    assert early.success and "reduced the function by no more than ftol=0.1" in early.message
    assert early.nit < tight.nit

    limited = rv.minimize(rosenbrock, START, method="bfgs", max_iterations=3)
    assert (limited.nit, limited.status, limited.success) == (3, 1, False)
    assert limited.message == "stopped after 3 iterations"


@pytest.mark.parametrize("method", METHODS)
def test_a_limit_of_evaluations_keeps_the_best_point(method: str) -> None:
    blocks = {"blocks": [[0], [1]]} if method == "block-coordinate" else {}
    result = rv.minimize(rosenbrock, START, method=method, max_evaluations=12, **blocks)
    assert (result.nfev, result.status) == (12, 2)
    assert result.message == "stopped after 12 evaluations of the function"
    value, gradient = rv.value_and_grad(rosenbrock)(result.x)
    assert result.fun == value < rv.value_and_grad(rosenbrock)(START)[0]
    np.testing.assert_array_equal(result.jac, gradient)


def test_callback() -> None:
    seen: list[tuple[int, float]] = []

    def stop_at_five(so_far: rv.MinimizeResult) -> bool:
        assert so_far.fun == rv.value_and_grad(rosenbrock)(so_far.x)[0]
        seen.append((so_far.nit, so_far.fun))
        return so_far.nit == 5

    result = rv.minimize(rosenbrock, START, callback=stop_at_five)
    assert [nit for nit, _ in seen] == [1, 2, 3, 4, 5] and seen[-1][1] == result.fun
    assert [f for _, f in seen] == sorted((f for _, f in seen), reverse=True)
    assert (result.status, result.success, result.message) == (99, False, "stopped by the callback")

    def raises(so_far: rv.MinimizeResult) -> None:
        raise StopIteration

    assert rv.minimize(rosenbrock, START, callback=raises).nit == 1


def test_an_error_in_the_callback_leaves_the_model_at_the_point_reached() -> None:
    model, x, y = logistic()
    reached = {}

    def fail(so_far: rv.MinimizeResult) -> None:
        reached.update(so_far.x)
        if so_far.nit == 3:
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        rv.minimize(ridge, model, (x, y), callback=fail)
    np.testing.assert_array_equal(model.weight.data, reached["weight"])


@pytest.mark.parametrize("method", [m for m in METHODS if m != "block-coordinate"])
def test_a_domain_with_an_edge(method: str) -> None:
    """log makes NaN of steps that are too long; they are taken back."""
    result = rv.minimize(lambda x: (x - ops.log(x)).sum(), np.array([30.0, 0.1]), method=method)
    assert result.success
    np.testing.assert_allclose(result.x, 1, atol=1e-4)


@pytest.mark.parametrize("method", DESCENTS)
def test_a_line_search_that_fails_says_so(method: str) -> None:
    """The gradient points uphill: value x², gradient -2x."""
    result = rv.minimize(lambda x: (2 * (x * x).detach() - x * x).sum(), np.array([1.0, 2.0]), method=method)
    assert (result.status, result.success) == (3, False)
    assert result.message.startswith(
        "the line search found no lower point along the negative gradient; the largest"
    )
    assert "its gradient exact?" in result.message
    np.testing.assert_array_equal(result.x, [1, 2])


@pytest.mark.parametrize("method", DESCENTS)
def test_rounding_ends_a_search_with_success(method: str) -> None:
    """No step reduces the function at this precision, and none could by more than rounding."""
    problem = FUNCTIONS["logistic regression"]
    result = rv.minimize(problem.function, problem.start.astype("float32"), method=method, gtol=0.0)
    expected = rv.minimize(problem.function, problem.start, method="newton")
    assert result.fun == pytest.approx(expected.fun, rel=1e-6)
    assert result.success and result.message.startswith("converged to the precision of float32")


def test_a_function_without_a_minimum() -> None:
    result = rv.minimize(lambda x: (x * 3).sum(), np.zeros(2), method="gd")
    assert result.status == 3 and result.message.startswith("the function falls without end: it is -")


BAD: list[tuple[Any, tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
    (rosenbrock, (START, np.ones(2)), {}, TypeError, "args must be a tuple of arguments, got ndarray"),
    (rosenbrock, (START,), {"callback": 3}, TypeError, "callback must be a function, got 3"),
    (rosenbrock, (START,), {"max_iterations": 2.5}, TypeError, "max_iterations must be an integer, got 2.5"),
    (rosenbrock, (START,), {"gtol": "small"}, TypeError, "gtol must be a number, got 'small'"),
    (rosenbrock, (START,), {"memory": 1.5}, TypeError, "memory must be an integer, got 1.5"),
    (rosenbrock, (START,), {"c1": "a"}, TypeError, "c1 must be a number, got 'a'"),
    (rosenbrock, (START,), {"method": "cg", "powell": -1}, ValueError, "powell must be a finite number"),
    (rosenbrock, (START,), {"method": "cg", "restart": 1.5}, TypeError, "restart must be an integer"),
    (rosenbrock, (START,), {"method": "newton", "saddle_free": 2}, TypeError, "saddle_free must be True or"),
    (rosenbrock, (START,), {"method": "newton-cg", "max_products": 0}, ValueError, "max_products must be at"),
    (rosenbrock, (START,), {"method": "coordinate", "seed": -1}, ValueError, "seed must be at least 0"),
    (1, (START,), {}, TypeError, "minimize: a function is expected, got int"),
    (rosenbrock, (START,), {"method": "sgd"}, ValueError, "method must be one of gd, cg, bfgs, .*got 'sgd'"),
    (
        rosenbrock,
        (START,),
        {"memory": 3, "beta": 1},
        TypeError,
        "'l-bfgs' has no option beta; it has memory, ",
    ),
    (rosenbrock, (START,), {"memory": 0}, ValueError, "memory must be at least 1, got 0"),
    (rosenbrock, (START,), {"c1": 0.9}, ValueError, "0 < c1 < c2 < 1 is expected, got c1=0.9 and c2=0.9"),
    (rosenbrock, (START,), {"line_search": "exact"}, ValueError, "'strong-wolfe' or 'armijo', got 'exact'"),
    (rosenbrock, (START,), {"gtol": -1.0}, ValueError, "gtol must be a finite number at least 0, got -1"),
    (
        rosenbrock,
        (START,),
        {"ftol": np.nan},
        ValueError,
        "ftol must be a finite number at least 0, got nan",
    ),
    (rosenbrock, (START,), {"max_iterations": 0}, ValueError, "max_iterations must be at least 1, got 0"),
    (rosenbrock, (START,), {"method": "cg", "beta": "DY"}, ValueError, "'FR', 'PR\\+' or 'HS', got 'DY'"),
    (rosenbrock, (START,), {"method": "cg", "restart": 0}, ValueError, "restart must be at least 1, got 0"),
    (rosenbrock, (START,), {"method": "gd", "lr": 0.0}, ValueError, "lr must be above 0, got 0"),
    (rosenbrock, (START,), {"method": "newton", "damping": -1.0}, ValueError, "damping must be a finite"),
    (rosenbrock, (START,), {"method": "newton-cg", "radius": 0.0}, ValueError, "0 < radius <= max_radius"),
    (rosenbrock, (START,), {"method": "coordinate", "order": "up"}, ValueError, "order must be .*, got 'up'"),
    (rosenbrock, (np.array([1, 2]),), {}, TypeError, "x must be float32 or float64, got int64; convert it"),
    (rosenbrock, (1.0,), {}, TypeError, "an array, arrays in a structure, or a Module is expected, got 1.0"),
    (rosenbrock, (np.zeros(0),), {}, ValueError, r"something in them are expected, got x float64 \(0,\)"),
    (
        lambda p: p["a"].sum(),
        ({"a": np.zeros(2), "b": np.zeros(1, "float32")},),
        {},
        ValueError,
        r"of one dtype .* got a float64 \(2,\), b float32 \(1,\)",
    ),
    (lambda x: x * x, (START,), {}, ValueError, r"minimize: the result of the function .* shape \(2,\)"),
    (lambda x: 1.0, (START,), {}, TypeError, "minimize: the result of the function must be a scalar tensor"),
    (lambda x: ops.log(x).sum(), (START,), {}, ValueError, "function is nan at the starting point"),
    (lambda x: ops.sqrt(x).sum(), (np.zeros(2),), {}, ValueError, "gradient is not finite at the starting"),
    (lambda x: (x * ops.rand(2)).sum(), (START,), {}, ValueError, "draws random numbers"),
    (rosenbrock, (np.zeros(20000),), {"method": "newton"}, ValueError, "a dense matrix of 20000 rows"),
]


@pytest.mark.parametrize(("fn", "args", "keywords", "kind", "message"), BAD)
def test_bad_input(fn: Any, args: Any, keywords: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        rv.minimize(fn, *args, **keywords)


def test_bad_input_leaves_a_model_as_it_was() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))
    before = {name: value.copy() for name, value in model.state_dict().items()}
    x = np.ones((2, 3), "float32")
    with pytest.raises(ValueError, match=r"draws random numbers.*model\.eval\(\)"):
        rv.minimize(lambda model, x: model(x).sum(), model, (x,))
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    with pytest.raises(ValueError, match="no parameter of ReLU requires a gradient"):
        rv.minimize(lambda model: ops.rand(1).sum(), nn.ReLU())
    model.eval()
    assert rv.minimize(lambda model, x: (model(x) ** 2).mean(), model, (x,)).fun < 1e-6


def test_eager_mode_gives_the_same() -> None:
    compiled = rv.minimize(rosenbrock, START, max_iterations=5)
    with rv.eager():
        eager = rv.minimize(rosenbrock, START, max_iterations=5)
    np.testing.assert_allclose(eager.x, compiled.x, rtol=1e-12)
