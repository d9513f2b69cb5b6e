"""Initialisers by name, of layers and of whole models; the newer formulas against closed forms and torch."""

from __future__ import annotations

import copy
import math
import pickle
from functools import partial

import numpy as np
import pytest

import ravine as rv
from ravine import init, nn

WEIGHT = (64, 32, 3, 3)  # fans 288 and 576


@pytest.mark.parametrize(
    ("name", "variance", "bound"),
    [
        ("lecun_uniform", 1 / 288, math.sqrt(3 / 288)),
        ("lecun_normal", 1 / 288, math.inf),
        ("fan_in_uniform", 1 / (3 * 288), 1 / math.sqrt(288)),
        ("variance_scaling", 1 / 288, 2 / 0.8796256610342398 / math.sqrt(288)),
        ("he_normal", 2 / 288, math.inf),
        ("glorot_uniform", 2 / 864, math.sqrt(6 / 864)),
        (partial(init.variance_scaling_, scale=3, mode="fan_avg", distribution="uniform"), 3 / 432, 0.1444),
        (partial(init.variance_scaling_, mode="fan_out", distribution="normal"), 1 / 576, math.inf),
    ],
)
def test_moments_of_a_convolution(name, variance: float, bound: float) -> None:
    weight = nn.Conv2d(32, 64, 3, weight_init=name).weight.data
    assert weight.shape == WEIGHT
    assert abs(weight.mean()) < 4 * math.sqrt(variance / weight.size)
    assert weight.var() == pytest.approx(variance, rel=0.04)
    if bound < math.inf:
        assert 0.97 * bound < np.abs(weight).max() <= bound * 1.0001


@pytest.mark.parametrize(
    ("name", "torch_name"),
    [
        ("he_uniform", "kaiming_uniform_"),
        ("he_normal", "kaiming_normal_"),
        ("glorot_normal", "xavier_normal_"),
        ("orthogonal", "orthogonal_"),
        ("uniform", "uniform_"),
        ("trunc_normal", "trunc_normal_"),
    ],
)
def test_quantiles_are_torchs(name: str, torch_name: str) -> None:
    torch = pytest.importorskip("torch")
    shares = np.linspace(0.02, 0.98, 25)
    torch.manual_seed(0)
    expected = getattr(torch.nn.init, torch_name)(torch.empty(300, 200)).numpy()
    ours = init.get(name)(np.zeros((300, 200)))
    spread = expected.std()
    np.testing.assert_allclose(
        np.quantile(ours, shares), np.quantile(expected, shares), atol=0.05 * spread, rtol=0
    )


def test_every_name_fills_a_matrix_with_finite_numbers() -> None:
    for name in init.names():
        shape = (4, 4, 3, 3) if name == "dirac" else (8, 6)
        filled = init.get(name)(np.full(shape, np.nan))
        assert np.isfinite(filled).all(), name


def test_identity_of_matrices_and_convolutions() -> None:
    layer = nn.Linear(3, 3, weight_init="identity", bias_init=0.5)
    np.testing.assert_array_equal(layer([[1.0, 2.0, 3.0]]), [[1.5, 2.5, 3.5]])
    x = np.random.default_rng(0).standard_normal((2, 4, 5, 5)).astype(np.float32)
    conv = nn.Conv2d(4, 4, 3, padding=1, weight_init="identity", bias_init="zeros")
    np.testing.assert_array_equal(conv(x), x)
    np.testing.assert_array_equal(init.identity_(np.zeros((2, 3)), 2.0), 2 * np.eye(2, 3))


@pytest.mark.parametrize(
    ("layer", "weight", "bias"),
    [
        (nn.Linear(3, 2, weight_init="ones", bias_init=0.25), 1.0, 0.25),
        (nn.Conv2d(3, 2, 1, weight_init=2, bias_init="ones"), 2.0, 1.0),
        (nn.Embedding(4, 3, weight_init=np.float32(0.5)), 0.5, None),
        (nn.BatchNorm2d(3, weight_init="zeros", bias_init=3.0), 0.0, 3.0),
        (nn.InstanceNorm2d(3, affine=True, weight_init=0.5), 0.5, 0.0),
        (nn.GroupNorm(1, 3, weight_init=0.5, bias_init=-1.0), 0.5, -1.0),
        (nn.LayerNorm(3, weight_init=init.zeros_), 0.0, 0.0),
        (nn.Linear(3, 2, bias=False, weight_init="zeros", bias_init="ones"), 0.0, None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
def test_layers_take_initialisers_and_keep_them(layer, weight: float, bias: float | None) -> None:
    for one in (layer, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        for _ in range(2):
            assert (one.weight.data == weight).all()
            assert bias is None or (one.bias.data == bias).all()
            one.weight.data[...] = 7
            one.reset_parameters()


def test_a_padding_row_stays_zero() -> None:
    table = nn.Embedding(4, 3, padding_idx=1, weight_init="ones")
    assert table.weight.data.sum(1).tolist() == [3, 0, 3, 3]
    init.apply(table, 2.0)
    assert table.weight.data.sum(1).tolist() == [6, 0, 6, 6]


def test_defaults_draw_what_they_drew() -> None:
    """A layer without initialisers consumes the generator as the plain functions do."""
    rv.seed(3)
    layer = nn.Linear(7, 5)
    rv.seed(3)
    weight = init.kaiming_uniform_(np.zeros((5, 7), np.float32), a=math.sqrt(5))
    bias = init.uniform_(np.zeros(5, np.float32), -1 / math.sqrt(7), 1 / math.sqrt(7))
    np.testing.assert_array_equal(layer.weight.data, weight)
    np.testing.assert_array_equal(layer.bias.data, bias)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: nn.Linear(2, 2, weight_init="kaimng"), ValueError, r"in Linear: weight_init: .*'kaimng'"),
        (lambda: nn.Linear(2, 2, bias_init="he_normal"), ValueError, "in Linear: bias_init: .*2 dimensions"),
        (lambda: nn.Conv2d(2, 2, 3, weight_init="eye"), ValueError, "Conv2d: weight_init: eye_: a matrix"),
        (lambda: nn.Linear(2, 2, weight_init=[1, 2]), TypeError, "a name, a number or a function"),
        (lambda: nn.Linear(2, 2, weight_init=True), TypeError, "a name, a number or a function"),
        (lambda: init.get(math.nan), ValueError, "finite number is expected, got nan"),
        (lambda: init.variance_scaling_(np.zeros((2, 2)), 0), ValueError, "scale must be above 0"),
        (lambda: init.variance_scaling_(np.zeros((2, 2)), 1, "in"), ValueError, "mode must be 'fan_in'"),
        (
            lambda: init.variance_scaling_(np.zeros((2, 2)), 1, "fan_in", "beta"),
            ValueError,
            "distribution must be 'truncated_normal'",
        ),
        (lambda: init.lecun_normal_(np.zeros(3)), ValueError, "at least 2 dimensions"),
        (lambda: init.identity_(np.zeros(3)), ValueError, "2 to 5 dimensions"),
        (lambda: init.apply(nn.Linear(2, 2), "lsuv"), TypeError, "'lsuv' looks at data"),
        (lambda: init.apply(nn.Linear(2, 2), "ones", np.zeros(2)), TypeError, "'ones' takes no x"),
        (lambda: init.apply(nn.Linear(2, 2), "ones", gain=2), TypeError, "'ones' takes no gain"),
        (lambda: init.apply("model", "ones"), TypeError, "must be a Module, got str"),
    ],
)
def test_errors_name_what_is_wrong(call, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_apply_fills_weights_and_biases_of_a_model() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3))
    model[1].weight.data[...] = 5
    assert init.apply(model, "ones", bias_init=0.5) is model
    for layer in (model[0], model[3]):
        assert (layer.weight.data == 1).all() and (layer.bias.data == 0.5).all()
    assert (model[1].weight.data == 5).all()
    init.apply(model, init.lecun_normal_)
    assert (model[3].bias.data == 0).all() and model[3].weight.data.std() > 0


def test_a_failing_apply_changes_nothing_and_names_the_parameter() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Conv2d(1, 1, 1))
    before = model.state_dict()
    with pytest.raises(ValueError, match=r"in 1\.weight: eye_: a matrix is needed"):
        init.apply(model, "eye")
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
