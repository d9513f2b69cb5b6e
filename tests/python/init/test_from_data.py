"""Initialisers that see data, and the table of variances."""

from __future__ import annotations

import numpy as np
import pytest

import ravine as rv
from ravine import init, nn, ops


def net(depth: int, width: int = 48, **options) -> nn.Sequential:
    return nn.Sequential(
        *[part for _ in range(depth) for part in (nn.Linear(width, width, **options), nn.ReLU())]
    )


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((128, 48)).astype(np.float32)


def test_variances_of_a_linear_net_are_those_of_numpy(x: np.ndarray) -> None:
    model = nn.Sequential(nn.Linear(48, 32), nn.Tanh(), nn.Linear(32, 5)).to("float64")
    y = np.random.default_rng(1).standard_normal((128, 5))
    measured = init.variances(model, x, y, nn.MSELoss())
    first = x.astype(np.float64) @ model[0].weight.data.T + model[0].bias.data
    hidden = np.tanh(first)
    output = hidden @ model[2].weight.data.T + model[2].bias.data
    by_output = 2 * (output - y) / y.size
    by_hidden = by_output @ model[2].weight.data
    by_first = by_hidden * (1 - hidden**2)
    assert measured.paths == ["0", "1", "2"] and measured.kinds == ["Linear", "Tanh", "Linear"]
    np.testing.assert_allclose(measured.forward, [a.var() for a in (first, hidden, output)], rtol=1e-10)
    np.testing.assert_allclose(
        measured.backward, [a.var() for a in (by_first, by_hidden, by_output)], rtol=1e-10
    )
    lines = str(measured).splitlines()
    assert len(lines) == 4 and lines[2].startswith("1  (Tanh)")


def test_he_keeps_what_the_default_loses(x: np.ndarray) -> None:
    he = init.variances(net(20, weight_init="he_normal", bias_init="zeros"), x)
    default = init.variances(net(20, bias_init="zeros"), x)
    assert 0.05 < he.forward[-2] / he.forward[0] < 20 and 0.05 < he.backward[0] < 20
    assert default.forward[-2] < 1e-3 * default.forward[0] and default.backward[0] < 1e-6


def test_variances_change_nothing_and_see_every_call(x: np.ndarray) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(48)
            self.shared = nn.Linear(48, 48)

        def forward(self, x):
            return ops.relu(self.shared(self.shared(self.norm(x))))

    model = Twice()
    before = model.state_dict()
    measured = init.variances(model, x)
    assert measured.paths == ["norm", "shared", "shared (2)", ""]
    assert measured.forward[0] == pytest.approx(1, rel=1e-3)  # of the batch: it is in training mode
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    model.eval()
    assert init.variances(model, 3 * x).forward[0] == pytest.approx((3 * x).var(), rel=1e-3)


def test_lsuv_gives_every_layer_its_variance(x: np.ndarray) -> None:
    model = net(12)
    assert init.apply(model, "lsuv", x, tolerance=0.02, variance=2.0) is model
    forward = init.variances(model, x).forward[::2]
    assert np.abs(forward / 2 - 1).max() <= 0.021
    for layer in model[::2]:
        weight = layer.weight.data / np.linalg.norm(layer.weight.data[0])
        np.testing.assert_allclose(weight @ weight.T, np.eye(48), atol=1e-5)
        assert (layer.bias.data == 0).all()


def test_lsuv_goes_in_the_order_of_the_calls_and_leaves_statistics() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(8, 3)
            self.first = nn.Conv2d(2, 8, 3)
            self.norm = nn.BatchNorm2d(8)

        def forward(self, x):
            return self.last(ops.mean(ops.relu(self.norm(self.first(x))), (2, 3)))

    x = np.random.default_rng(0).uniform(0, 255, (16, 2, 6, 6)).astype(np.float32)
    model = init.lsuv(Net(), x)
    measured = dict(zip(*(lambda v: (v.paths, v.forward))(init.variances(model, x)), strict=True))
    assert abs(measured["first"] - 1) <= 0.1 and abs(measured["last"] - 1) <= 0.1
    assert model.norm.num_batches_tracked.data == 0 and (model.norm.running_mean.data == 0).all()


def test_lsuv_can_leave_the_weights_directions(x: np.ndarray) -> None:
    model = net(3)
    before = [layer.weight.data.copy() for layer in model[::2]]
    init.lsuv(model, x, weight_init=None, bias_init=None)
    for layer, weight in zip(model[::2], before, strict=True):
        ratio = layer.weight.data / weight
        np.testing.assert_allclose(ratio, ratio.mean(), rtol=1e-5)
        assert ratio.mean() > 1.5


def test_weight_norm_normalises_every_unit() -> None:
    x = np.random.default_rng(0).uniform(3, 5, (32, 2, 6, 6))
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 6), nn.Tanh(), nn.Linear(6, 3, bias=False)
    ).to("float64")
    before = model.state_dict()
    assert init.apply(model, "weight_norm", x) is model
    conv, linear = model[0](x), model[:4](x)
    np.testing.assert_allclose(conv.mean((0, 2, 3)), 0, atol=1e-9)
    np.testing.assert_allclose(conv.std((0, 2, 3)), 1, rtol=1e-9)
    np.testing.assert_allclose(linear.mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(linear.std(0), 1, rtol=1e-9)
    np.testing.assert_allclose(model(x).std(0), 1, rtol=1e-9)
    ratio = model[3].weight.data / before["3.weight"]
    np.testing.assert_allclose(ratio, ratio[:, :1].repeat(64, 1), rtol=1e-9)


@pytest.mark.parametrize("threads", [1, 3])
def test_bits_do_not_depend_on_threads(x: np.ndarray, threads: int) -> None:
    weights = []
    for n in (2, threads):
        rv.set_num_threads(n)
        rv.seed(5)
        weights.append(init.lsuv(net(4), x).state_dict())
    for name, array in weights[0].items():
        np.testing.assert_array_equal(array, weights[1][name])


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda m, x: init.lsuv(m, 0 * x), ValueError, r"outputs of 0 \(Linear\) do not vary"),
        (
            lambda m, x: init.lsuv(m, x * np.inf),
            FloatingPointError,
            r"outputs of 0 \(Linear\) are not finite",
        ),
        (lambda m, x: init.lsuv(m, x, max_iterations=0), ValueError, "max_iterations must be at least 1"),
        (
            lambda m, x: init.lsuv(m, x, bias_init=lambda b: init.normal_(b, 0, 9)),
            ValueError,
            r"outputs of 0 \(Linear\) have variance .* after 10 rescalings, expected 1",
        ),
        (lambda m, x: init.weight_norm(m, 0 * x), ValueError, r"unit 0 of 0 \(Linear\) do not vary"),
        (lambda m, x: init.weight_norm(m, x * np.nan), FloatingPointError, "not finite"),
        (lambda m, x: init.lsuv(nn.ReLU(), x), ValueError, "no layer of ReLU has a weight"),
        (lambda m, x: init.lsuv(m, x[:, :3]), ValueError, "in 0 .Linear.: .*48"),
        (lambda m, x: init.variances(m, x, x), ValueError, "a loss and labels belong together"),
        (lambda m, x: init.variances([], x), TypeError, "must be a Module, got list"),
    ],
)
def test_errors_leave_the_model(x: np.ndarray, call, kind: type[Exception], message: str) -> None:
    model = net(3)
    before = model.state_dict()
    with pytest.raises(kind, match=message):
        call(model, x)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_the_figure_has_both_curves(x: np.ndarray) -> None:
    pytest.importorskip("matplotlib")
    figure = init.variances(net(2), x).plot()
    labels = [line.get_label() for line in figure.axes[0].lines]
    assert labels == ["outputs", "gradients by them"]
