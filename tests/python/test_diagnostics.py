"""Modules on a batch against NumPy, Lanczos against dense eigenvalues, slices, noise of gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest

import ravine as rv
from ravine import diagnostics, nn, ops, optim


def net(dtype: str = "float64") -> nn.Sequential:
    return nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 4), nn.Sigmoid(), nn.Linear(4, 3)).to(dtype)


def batch(n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    return generator.standard_normal((n, 5)), generator.integers(0, 3, n)


def test_inspect_is_what_numpy_finds() -> None:
    model, (x, y) = net(), batch()
    model[0].bias.data[0] = -100  # a dead unit
    model[2].weight.data *= 50  # saturates some of the sigmoids
    found = diagnostics.inspect(model, x, y, nn.CrossEntropyLoss())
    hidden = np.maximum(x @ model[0].weight.data.T + model[0].bias.data, 0)
    gates = model[:4](x)
    assert list(found) == ["0", "1", "2", "3", "4"] and len(found) == 5
    record = found["1"]
    assert (record.kind, record.shape) == ("ReLU", (40, 6))
    assert record.mean == pytest.approx(hidden.mean()) and record.std == pytest.approx(hidden.std())
    assert (record.minimum, record.maximum) == pytest.approx((0, hidden.max()))
    assert record.zeros == pytest.approx((hidden == 0).mean())
    assert record.dead == pytest.approx((hidden.max(0) == 0).mean()) and record.dead >= 1 / 6
    assert math.isnan(record.saturated) and math.isnan(record.gradient_norm)
    counts, edges = record.histogram
    np.testing.assert_array_equal(counts, np.histogram(hidden, 20)[0])
    assert len(edges) == 21
    saturated = ((gates < 0.005) | (gates > 0.995)).mean()
    assert 0 < saturated < 1 and found["3"].saturated == pytest.approx(saturated)
    value, gradients = rv.value_and_grad(lambda m, x, y: nn.CrossEntropyLoss()(m(x), y), model)(x, y)
    assert found.loss == pytest.approx(value)
    norm = math.hypot(np.linalg.norm(gradients["2.weight"]), np.linalg.norm(gradients["2.bias"]))
    assert found["2"].gradient_norm == pytest.approx(norm)
    probabilities = np.exp(found.output) / np.exp(found.output).sum(1, keepdims=True)
    by_output = (probabilities - np.eye(3)[y]) / 40
    assert found["4"].output_gradient_std == pytest.approx(np.sqrt((by_output**2).mean()))
    lines = str(found).splitlines()
    assert len(lines) == 6 and lines[2].startswith("1  (ReLU)")


def test_inspect_with_an_optimizer_measures_its_update_and_changes_nothing() -> None:
    model = nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Linear(6, 3)).to("float64")
    x, y = batch()
    before = model.state_dict()
    found = diagnostics.inspect(model, x, y, nn.CrossEntropyLoss(), optimizer=optim.SGD(lr=0.5))
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    for record in found.values():
        assert record.update_ratio == pytest.approx(0.5 * record.gradient_norm / record.weight_norm)


def test_inspect_sees_blocks_and_shared_modules() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.map = nn.Linear(5, 5)

        def forward(self, x):
            return ops.relu(self.map(self.map(x))) + x

    x, y = batch()
    model = nn.Sequential(Block(), nn.Linear(5, 3))
    found = diagnostics.inspect(model, x, y, nn.CrossEntropyLoss())
    assert list(found) == ["0.map", "0.map (2)", "0", "1"]


def dense_hessian(model: nn.Module, x, y) -> np.ndarray:
    product = rv.hvp(lambda m, x, y: nn.CrossEntropyLoss()(m(x), y), model)
    shapes = {name: p.shape for name, p in model.named_parameters()}
    n = sum(math.prod(shape) for shape in shapes.values())
    columns = []
    for unit in np.eye(n):
        splits = np.split(unit, np.cumsum([math.prod(shape) for shape in shapes.values()])[:-1])
        vectors = {
            name: part.reshape(shape) for (name, shape), part in zip(shapes.items(), splits, strict=True)
        }
        products = product(x, y, vectors)
        columns.append(np.concatenate([products[name].ravel() for name in shapes]))
    return np.array(columns)


def test_lanczos_finds_the_eigenvalues_of_the_dense_hessian() -> None:
    model, (x, y) = net(), batch()
    expected = np.linalg.eigvalsh(dense_hessian(model, x, y))[::-1]
    found = diagnostics.hessian_eigenvalues(model, nn.CrossEntropyLoss(), x, y, k=4, tolerance=1e-8)
    np.testing.assert_allclose(found.eigenvalues, expected[:4], rtol=1e-6)
    assert found.sharpness == found.eigenvalues[0] and found.max_rate == pytest.approx(2 / expected[0])
    assert found.ritz_values[-1] == pytest.approx(expected[-1], rel=0.05)  # the other end comes along
    assert (found.residuals <= 1e-8 * expected[0]).all() and not found.complete
    whole = diagnostics.hessian_eigenvalues(model, nn.CrossEntropyLoss(), x, y, k=len(expected))
    assert whole.complete and len(whole.ritz_values) == len(expected)
    np.testing.assert_allclose(whole.ritz_values, expected, atol=1e-9)


def test_the_rate_of_the_sharpest_direction_is_where_descent_turns_into_divergence() -> None:
    x = np.random.default_rng(0).standard_normal((64, 5)) * [3, 1, 1, 1, 0.1]
    y = x @ np.ones((5, 1))
    model = nn.Linear(5, 1).double()
    found = diagnostics.hessian_eigenvalues(model, nn.MSELoss(), x, y, k=6)
    design = np.column_stack([x, np.ones(64)])
    curvature = np.linalg.eigvalsh(2 * design.T @ design / 64)
    np.testing.assert_allclose(found.eigenvalues, curvature[::-1], rtol=1e-9)
    assert found.complete and found.condition_number == pytest.approx(curvature[-1] / curvature[0])
    losses = []
    for factor in (0.98, 1.02):
        twin = nn.Linear(5, 1, weight_init="zeros", bias_init="zeros").double()
        step = rv.TrainStep(twin, nn.MSELoss(), optim.SGD(lr=factor * found.max_rate))
        losses.append([step(x, y) for _ in range(200)])
    assert losses[0][-1] < losses[0][0] < losses[1][-1]


def test_gradient_variance_is_that_of_sampling_without_repetition() -> None:
    generator = np.random.default_rng(0)
    x, y = generator.standard_normal((60, 3)), generator.standard_normal((60, 1))
    model = nn.Linear(3, 1, bias=False).double()
    each = 2 * (x @ model.weight.data.T - y) * x
    spread = ((each - each.mean(0)) ** 2).sum() / 59
    noise = diagnostics.gradient_variance(model, nn.MSELoss(), x, y, (1, 5, 60), samples=400)
    expected = [spread * (1 / size - 1 / 60) for size in (1, 5)]
    np.testing.assert_allclose(noise.variance[:2], expected, rtol=0.2)
    assert noise.variance[2] < 1e-20 and noise.cosine[2] == pytest.approx(1)
    assert noise.cosine[0] < noise.cosine[1]
    assert noise.gradient_norm[2] == pytest.approx(np.linalg.norm(each.mean(0)))


def test_slices_of_a_quadratic_are_parabolas() -> None:
    x, _ = batch()
    model = nn.Linear(5, 2).double()
    targets = x[:, :2]
    one = diagnostics.loss_slice(model, nn.MSELoss(), x, targets, points=7)
    assert np.allclose(np.diff(one.losses, 3), 0) and (np.diff(one.losses, 2) > 0).all()
    assert one.losses[3] == pytest.approx(float(((model(x) - targets) ** 2).mean()))
    direction = one.directions[0]
    assert (direction["bias"] == 0).all()
    lengths = np.linalg.norm(model.weight.data, axis=1)
    np.testing.assert_allclose(np.linalg.norm(direction["weight"], axis=1), lengths)
    two = diagnostics.loss_slice(model, nn.MSELoss(), x, targets, directions=2, radius=0.5, points=5)
    assert two.losses.shape == (5, 5) and two.losses[2, 2] == pytest.approx(one.losses[3])
    moved = nn.Linear(5, 2).double()
    moved.load_state_dict(model.state_dict())
    moved.weight.data += (
        two.steps[1] * two.directions[0]["weight"] + two.steps[4] * two.directions[1]["weight"]
    )
    assert two.losses[1, 4] == pytest.approx(float(((moved(x) - targets) ** 2).mean()))


def test_figures_show_what_was_measured() -> None:
    pytest.importorskip("matplotlib")
    x, y = batch()
    model = net()
    one = diagnostics.loss_slice(model, nn.CrossEntropyLoss(), x, y, points=5)
    np.testing.assert_array_equal(one.plot().axes[0].lines[0].get_ydata(), one.losses)
    two = diagnostics.loss_slice(model, nn.CrossEntropyLoss(), x, y, points=3, directions=2)
    assert two.plot().axes[0].get_ylabel() == "second direction"
    noise = diagnostics.gradient_variance(model, nn.CrossEntropyLoss(), x, y, (1, 8), samples=4)
    np.testing.assert_array_equal(noise.plot().axes[0].lines[0].get_ydata(), noise.variance)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda m, x, y, f: diagnostics.inspect([], x, y, f), TypeError, "inspect: model must be a Module"),
        (lambda m, x, y, f: diagnostics.inspect(m, x, y, f, bins=0), ValueError, "bins must be at least 1"),
        (lambda m, x, y, f: diagnostics.inspect(m, x[:, :2], y, f), ValueError, "in 0 .Linear."),
        (
            lambda m, x, y, f: diagnostics.hessian_eigenvalues(m, f, x, y, 10_000),
            ValueError,
            "there are 79 param",
        ),
        (
            lambda m, x, y, f: diagnostics.hessian_eigenvalues(m.requires_grad_(False), f, x, y),
            ValueError,
            "no parameter of Sequential requires a gradient",
        ),
        (
            lambda m, x, y, f: diagnostics.hessian_eigenvalues(m, f, x * np.nan, y),
            FloatingPointError,
            "not finite",
        ),
        (lambda m, x, y, f: diagnostics.gradient_variance(m, f, x, y, (99,)), ValueError, "from 40 examples"),
        (
            lambda m, x, y, f: diagnostics.loss_slice(m, f, x, y, directions=3),
            ValueError,
            "must be 1 or 2, got 3",
        ),
        (
            lambda m, x, y, f: diagnostics.loss_slice(m, f, x, y, directions=[{"w": np.zeros(2)}]),
            ValueError,
            r"'w' of shape \(2,\), which no parameter has",
        ),
    ],
)
def test_errors_name_what_is_wrong(call, kind: type[Exception], message: str) -> None:
    model, (x, y) = net(), batch()
    with pytest.raises(kind, match=message):
        call(model, x, y, nn.CrossEntropyLoss())
