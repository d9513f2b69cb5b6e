"""Layers and tensors against NumPy, where torch is not needed to say what is right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn, ops

X = np.random.default_rng(0).standard_normal((4, 6))


def in_module(function: Any, *arrays: Any) -> Any:
    """The result of a function of tensors, compiled."""

    class Wrapper(nn.Module):
        def forward(self, *tensors: Any) -> Any:
            return function(*tensors)

    return Wrapper().double()(*arrays)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x + 1, lambda x: 1 + x, lambda x: x - 2, lambda x: 2 - x, lambda x: x * 3, lambda x: 3 / x,
        lambda x: x / 4, lambda x: x**2, lambda x: x**3, lambda x: 2.0**x, lambda x: -x, lambda x: abs(x),
        lambda x: x @ x.T, lambda x: np.ones((2, 4)) @ x, lambda x: x @ np.ones(6), lambda x: np.ones(4) @ x,
        lambda x: x + np.arange(6), lambda x: np.arange(4.0)[:, None] * x, lambda x: (x > 0) & (x < 1),
        lambda x: ~(x >= 0.5) | (x <= -1), lambda x: (x == x) ^ (x != x), lambda x: x.T, lambda x: x.sum(),
        lambda x: x.reshape(3, 8), lambda x: x.reshape((2, -1)),
        lambda x: x[1], lambda x: x[-1, 2], lambda x: x[1:3], lambda x: x[::2, 1:-1], lambda x: x[:, ::-1],
        lambda x: x[::-2, 4], lambda x: x[..., 0], lambda x: x[None, :, 2:3], lambda x: x[:, None],
        lambda x: x[3:1],
        lambda x: x[np.array([2, 0, 2])], lambda x: x[:, [1, 5]], lambda x: x[1:, np.array([[0, 1], [2, 3]])],
        lambda x: x[np.array([1, 2]), 3], lambda x: x[..., [-1 + 6, 0], None],
    ],
)  # fmt: skip
def test_operators_and_indexing_mean_what_they_mean_in_numpy(function: Any) -> None:
    expected = function(X)
    actual = in_module(function, X)
    assert actual.shape == expected.shape and actual.dtype == expected.dtype
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-14)
    with rv.eager():
        np.testing.assert_allclose(in_module(function, X), actual, rtol=1e-12, atol=1e-14)


def test_numbers_take_the_dtype_of_the_tensor_beside_them() -> None:
    cases = [
        ("float32", lambda x: x + 1, "float32"), ("float32", lambda x: x * 0.5, "float32"),
        ("float32", lambda x: x * np.float64(0.5), "float32"),
        ("float32", lambda x: x * np.ones(3), "float32"),
        ("int64", lambda x: x + 1, "int64"), ("int64", lambda x: x * 0.5, "float32"),
        ("int32", lambda x: x * 2, "int32"),
        ("int64", lambda x: x / 2, "float32"), ("uint8", lambda x: x + 1, "uint8"),
        ("bool", lambda x: x * 2, "int64"),
    ]  # fmt: skip
    for given, function, expected in cases:
        x = ops.cast(np.ones(3), given)
        assert function(x).dtype == expected, (given, expected)


def test_tensor_methods() -> None:
    expected = {
        "sum": X.sum(1), "mean": X.mean(1), "amax": X.max(1), "amin": X.min(1), "argmax": X.argmax(1),
        "argmin": X.argmin(1), "prod": X.prod(1),
    }  # fmt: skip
    t = ops.cast(X, "float64")
    for name, value in expected.items():
        np.testing.assert_allclose(getattr(t, name)(1).numpy(), value, rtol=1e-12)
        assert getattr(t, name)(1, keepdim=True).shape == (4, 1)
    values, indices = t.max(0)
    np.testing.assert_array_equal(values.numpy(), X.max(0))
    np.testing.assert_array_equal(indices.numpy(), X.argmax(0))
    assert t.argmax().item() == X.argmax() and t.min().item() == X.min()
    assert t.unsqueeze(-1).shape == (4, 6, 1) and t.unsqueeze(0).squeeze().shape == (4, 6)
    assert t.permute(1, 0).shape == t.transpose(0, 1).shape == (6, 4)
    assert (
        t.size() == (4, 6)
        and t.size(0) == t.shape[0] == len(t)
        and t.dim() == t.ndim == 2
        and t.numel() == 24
    )
    np.testing.assert_array_equal(t.clip(-0.5, 0.5).numpy(), X.clip(-0.5, 0.5))
    np.testing.assert_array_equal(t.clip(max=0).numpy(), X.clip(max=0))
    assert t.to("float32").dtype == "float32"
    assert [row.shape for row in t] == [(6,)] * 4
    for name in ("abs", "exp", "square", "tanh"):
        np.testing.assert_allclose(getattr(t, name)().numpy(), getattr(np, name)(X), rtol=1e-12)


def test_composite_functions() -> None:
    from numpy.testing import assert_allclose

    assert_allclose(ops.var(X, 0).numpy(), X.var(0, ddof=1), rtol=1e-12)
    assert_allclose(ops.std(X, (0, 1), correction=0).numpy(), X.std(), rtol=1e-12)
    assert_allclose(ops.logsumexp(X, 1).numpy(), np.log(np.exp(X).sum(1)), rtol=1e-12)
    assert ops.logsumexp(np.array([-np.inf, -np.inf])).item() == -np.inf
    assert ops.logsumexp(np.array([np.inf, 0.0])).item() == np.inf
    assert ops.logsumexp(X, 1, keepdim=True).shape == (4, 1)
    assert np.isnan(ops.var(np.ones(1)).item())
    parts = ops.split(X, [1, 3], 0)
    assert [p.shape for p in parts] == [(1, 6), (3, 6)]
    assert_allclose(ops.concat(parts).numpy(), X)
    assert_allclose(ops.stack([X, 2 * X], 1).numpy(), np.stack([X, 2 * X], 1))
    assert [p.shape for p in ops.chunk(X, 4, dim=1)] == [(4, 2)] * 3
    assert_allclose(ops.pad(X, (1, 2, 0, 3), value=7).numpy(), np.pad(X, ((0, 3), (1, 2)), constant_values=7))
    assert_allclose(ops.gather(X, 1, X.argsort(1)).numpy(), np.sort(X, 1))
    assert_allclose(ops.gather(X, 0, [[3, 1], [0, 2]]).numpy(), [[X[3, 0], X[1, 1]], [X[0, 0], X[2, 1]]])
    with pytest.raises(ValueError, match="outside dimension 0"):
        ops.gather(X, 0, np.zeros((1, 7), "int64"))
    assert_allclose(ops.index_select(X, 1, [5, 0]).numpy(), X[:, [5, 0]])
    assert_allclose(ops.expand(X[:, None], -1, 3, -1).numpy(), np.broadcast_to(X[:, None], (4, 3, 6)))
    np.testing.assert_array_equal(ops.one_hot([2, 0], 3).numpy(), np.eye(3, dtype="int64")[[2, 0]])
    assert_allclose(ops.normalize(X, 1, dim=0).numpy(), X / np.abs(X).sum(0), rtol=1e-12)
    assert_allclose(ops.where(X > 0, X, -1).numpy(), np.where(X > 0, X, -1.0))
    values, indices = ops.max_pool2d(X.reshape(1, 1, 4, 6), 2, return_indices=True)
    np.testing.assert_array_equal(X.ravel()[indices.numpy()], values.numpy())


def test_random_tensors_have_their_distributions() -> None:
    uniform, normal = ops.rand(100, 1000).numpy(), ops.randn(100, 1000, dtype="float64").numpy()
    assert uniform.min() >= 0 and uniform.max() < 1 and uniform.dtype == np.float32
    assert uniform.mean() == pytest.approx(0.5, abs=0.01)
    assert normal.mean() == pytest.approx(0, abs=0.02) and normal.std() == pytest.approx(1, abs=0.02)
    assert (normal**4).mean() == pytest.approx(3, abs=0.1)
    noise = in_module(lambda x: x + ops.randn(4, 6, dtype="float64"), X)
    assert np.isfinite(noise).all() and (noise != X).any()
    assert (ops.rand(10).numpy() != ops.rand(10).numpy()).any()


def test_batch_norm_uses_and_keeps_statistics() -> None:
    x = 5 + 3 * np.random.default_rng(1).standard_normal((8, 3, 4, 4))
    norm = nn.BatchNorm2d(3, dtype="float64")
    y = norm(x)
    np.testing.assert_allclose(y.mean((0, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(y.var((0, 2, 3)), 1, rtol=1e-5)
    np.testing.assert_allclose(norm.running_mean.data, 0.1 * x.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(norm.running_var.data, 0.9 + 0.1 * x.var((0, 2, 3), ddof=1), rtol=1e-12)
    assert norm.num_batches_tracked.item() == 1
    norm.eval()
    scale = np.sqrt(norm.running_var.data + 1e-5)[:, None, None]
    np.testing.assert_allclose(norm(x), (x - norm.running_mean.data[:, None, None]) / scale, rtol=1e-10)
    assert norm.num_batches_tracked.item() == 1
    norm.reset_running_stats()
    assert (norm.running_var.data == 1).all() and norm.num_batches_tracked.item() == 0


def test_a_batch_norm_used_twice_moves_twice() -> None:
    norm = nn.BatchNorm1d(2, momentum=0.5)
    net = nn.Sequential(norm, nn.Identity(), norm).double()
    x = np.array([[1.0, 2.0], [3.0, 6.0]])
    net(x)
    assert norm.num_batches_tracked.item() == 2
    np.testing.assert_allclose(norm.running_mean.data, [0.5 * 0.5 * 2, 0.5 * 0.5 * 4], atol=1e-12)


def test_value_and_grad_of_a_model_in_training_moves_the_statistics_as_a_call_does() -> None:
    norm = nn.BatchNorm1d(2)
    rv.value_and_grad(lambda m, x: m(x).sum(), norm)(np.array([[1.0, 2.0], [3.0, 6.0]]))
    np.testing.assert_allclose(norm.running_mean.data, [0.2, 0.4], rtol=1e-6)


def test_every_module_has_a_repr_and_an_example() -> None:
    for module in (nn, ops, rv.init, rv.optim):
        for name in module.__all__:
            if callable(getattr(module, name)) and name not in ("Optimizer",):
                assert ">>>" in (getattr(module, name).__doc__ or ""), name
