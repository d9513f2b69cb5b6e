"""Layers that disturb their input in training, masked and cumulative BatchNorm, folding of BatchNorm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn, ops

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("build", "ndim"), [(nn.Dropout1d, 3), (nn.Dropout2d, 4), (nn.Dropout3d, 5)])
def test_spatial_dropout_drops_whole_channels_at_its_rate(build: Any, ndim: int) -> None:
    x = RNG.uniform(1, 2, (64, 32) + (3,) * (ndim - 2)).astype("float32")
    layer = build(0.25)
    y = layer(x)
    kept = (y != 0).reshape(64 * 32, -1)
    assert (kept.all(1) | ~kept.any(1)).all()
    assert 0.7 < kept[:, 0].mean() < 0.8
    np.testing.assert_allclose(y[y != 0], (x / 0.75)[y != 0], rtol=1e-6)
    assert not np.array_equal(layer(x), y)  # each call draws
    np.testing.assert_array_equal(layer.eval()(x), x)
    gradient = rv.value_and_grad(lambda x: build(1.0)(x).sum())(x)[1]
    np.testing.assert_array_equal(gradient, np.zeros_like(x))


@pytest.mark.parametrize("scale", [True, False])
def test_drop_path_drops_whole_samples_at_its_rate(scale: bool) -> None:
    x = RNG.uniform(1, 2, (2000, 3, 2)).astype("float32")
    layer = nn.DropPath(0.25, scale_by_keep=scale)
    y = layer(x)
    kept = (y != 0).reshape(2000, -1)
    assert (kept.all(1) | ~kept.any(1)).all()
    assert 0.71 < kept[:, 0].mean() < 0.79
    np.testing.assert_allclose(y[y != 0], ((x / 0.75) if scale else x)[y != 0], rtol=1e-6)
    np.testing.assert_array_equal(layer.eval()(x), x)
    np.testing.assert_array_equal(nn.DropPath(0.0)(x), x)
    np.testing.assert_array_equal(nn.DropPath(1.0, scale)(x), np.zeros_like(x))


def test_noise_is_normal_in_training_only() -> None:
    x = np.full((200, 200), 3.0)
    layer = nn.GaussianNoise(0.5).double()
    z = (layer(x) - x) / 0.5
    assert abs(z.mean()) < 0.02 and abs(z.std() - 1) < 0.02 and abs((z**3).mean()) < 0.05
    np.testing.assert_array_equal(layer.eval()(x), x)
    rv.seed(3)
    first = layer.train()(x)
    rv.seed(3)
    np.testing.assert_array_equal(layer(x), first)


def test_gamma_sigma_and_beta_mu_make_batch_norm_the_identity() -> None:
    x = RNG.normal(3, 5, (32, 4, 5, 5))
    layer = nn.BatchNorm2d(4, eps=1e-5).double()
    layer.weight.data[...] = np.sqrt(x.var((0, 2, 3)) + layer.eps)
    layer.bias.data[...] = x.mean((0, 2, 3))
    np.testing.assert_allclose(layer(x), x, rtol=0, atol=1e-12)
    layer.running_mean.data[...] = x.mean((0, 2, 3))
    layer.running_var.data[...] = x.var((0, 2, 3))
    np.testing.assert_allclose(layer.eval()(x), x, rtol=0, atol=1e-12)


def test_without_momentum_the_statistics_are_the_means_over_all_batches() -> None:
    layer = nn.BatchNorm1d(3, momentum=None).double()
    batches = [RNG.normal(i, 1 + i, (10, 3)) for i in range(4)]
    for batch in batches:
        layer(batch)
    np.testing.assert_allclose(layer.running_mean.data, np.mean([b.mean(0) for b in batches], 0))
    np.testing.assert_allclose(layer.running_var.data, np.mean([b.var(0, ddof=1) for b in batches], 0))


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("whole_examples", [True, False])
def test_a_mask_leaves_padding_out_of_the_statistics(momentum: float | None, whole_examples: bool) -> None:
    x = RNG.standard_normal((8, 3, 5))
    masked, plain = (nn.BatchNorm1d(3, momentum=momentum).double() for _ in range(2))
    if whole_examples:
        mask, part = np.arange(8) < 6, np.s_[:6]
    else:
        mask, part = np.broadcast_to(np.arange(5) < 3, (8, 5)), np.s_[:, :, :3]
    weights = np.zeros_like(x)
    weights[part] = RNG.standard_normal(x[part].shape)
    for i in range(2):
        y = masked(x + i, mask=mask)
        np.testing.assert_allclose(y[part], plain((x + i)[part]), rtol=0, atol=1e-13)
    for a, b in ((masked.running_mean, plain.running_mean), (masked.running_var, plain.running_var)):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-13)

    gradient = rv.value_and_grad(lambda x: (masked(x, mask=mask) * weights).sum())(x)[1]
    expected = rv.value_and_grad(lambda x: (plain(x) * weights[part]).sum())(np.ascontiguousarray(x[part]))[1]
    np.testing.assert_allclose(gradient[part], expected, rtol=0, atol=1e-12)


def test_statistics_stay_where_fewer_than_two_values_count() -> None:
    layer = nn.BatchNorm1d(2)
    x = RNG.standard_normal((4, 2)).astype("float32")
    for count in (0, 1):
        y = layer(x, mask=np.arange(4) < count)
        assert np.isfinite(y).all()
        np.testing.assert_array_equal(layer.running_mean.data, [0, 0])
        np.testing.assert_array_equal(layer.running_var.data, [1, 1])
    x[2:] = np.nan  # what does not count may be anything
    assert np.isfinite(layer(x, mask=np.arange(4) < 2)[:2]).all()


# --- fuse


def trained(model: nn.Module, x: np.ndarray) -> nn.Module:
    """The model with statistics and affine parameters that are not the identity."""
    for _ in range(3):
        model(x)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.weight is not None:
            module.weight.data[...] = RNG.uniform(0.5, 2, module.num_features)
            if module.bias is not None:
                module.bias.data[...] = RNG.standard_normal(module.num_features)
    return model


IMAGES, ROWS = RNG.standard_normal((4, 3, 8, 8)), RNG.standard_normal((6, 5))
FUSED: dict[str, tuple[Callable[[], nn.Module], np.ndarray, int]] = {
    "conv": (lambda: nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU()), IMAGES, 0),
    "conv_bias": (lambda: nn.Sequential(nn.Conv2d(3, 6, 3, groups=3), nn.BatchNorm2d(6)), IMAGES, 0),
    "no_affine": (lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, affine=False)), IMAGES, 0),
    "no_shift": (lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, bias=False)), IMAGES, 0),
    "linear": (lambda: nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Linear(7, 2)), ROWS, 0),
    "nested": (
        lambda: nn.Sequential(nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7)), nn.BatchNorm1d(7)),
        ROWS,
        1,
    ),
    "activation_between": (lambda: nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.BatchNorm1d(7)), ROWS, 1),
    "no_statistics": (
        lambda: nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7, track_running_stats=False)),
        ROWS,
        1,
    ),
    "computed": (
        lambda: nn.Sequential(nn.utils.weight_norm(nn.Linear(5, 7)), nn.BatchNorm1d(7)),
        ROWS,
        1,
    ),
}


@pytest.mark.parametrize("name", FUSED)
def test_fused_models_compute_the_same(name: str) -> None:
    build, x, left = FUSED[name]
    model = trained(build().double(), x)
    before = model.state_dict()
    fused = nn.utils.fuse(model)
    np.testing.assert_allclose(fused(x), model.eval()(x), rtol=0, atol=1e-12)
    norms = [m for m in fused.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert len(norms) == left
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[key])


def test_the_weights_of_a_fused_layer_are_the_formulas() -> None:
    model = trained(nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7)).double(), ROWS)
    linear, norm = model
    scale = norm.weight.data / np.sqrt(norm.running_var.data + norm.eps)
    fused = nn.utils.fuse(model)[0]
    np.testing.assert_allclose(fused.weight.data, linear.weight.data * scale[:, None], rtol=1e-14)
    expected = (linear.bias.data - norm.running_mean.data) * scale + norm.bias.data
    np.testing.assert_allclose(fused.bias.data, expected, rtol=1e-13, atol=1e-15)


def test_what_occurs_twice_is_left() -> None:
    layer = nn.Linear(5, 5)
    twice = nn.Sequential(layer, nn.BatchNorm1d(5), layer)
    tied = nn.Sequential(nn.Linear(5, 5), nn.BatchNorm1d(5), nn.Linear(5, 5))
    tied[2].weight = tied[0].weight
    for model in (twice, tied):
        trained(model, ROWS)
        fused = nn.utils.fuse(model)
        assert isinstance(fused[1], nn.BatchNorm1d)
        np.testing.assert_array_equal(fused(ROWS), model.eval()(ROWS))


def test_a_folded_norm_behind_a_linear_map_takes_matrices_only() -> None:
    model = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4))
    with pytest.raises(ValueError, match=r"folded for inputs \[N, C\], got \(2, 4, 4\)"):
        nn.utils.fuse(model)(np.zeros((2, 4, 5)))


BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: nn.DropPath(1.5), ValueError, r"DropPath: p must be a finite number in \[0, 1\], got 1.5"),
    (lambda: nn.DropPath(0.1, scale_by_keep=1), TypeError, "DropPath: scale_by_keep must be True or False"),
    (lambda: nn.Dropout1d(-0.1), ValueError, "Dropout1d: p must be a probability in .0, 1., got -0.1"),
    (lambda: nn.Dropout1d()(np.ones(3)), ValueError, r"dropout1d: input must have shape \[N, C, L\]"),
    (lambda: nn.Dropout3d()(np.ones((2, 3))), ValueError, r"dropout3d: .* \[N, C, D, H, W\], got \(2, 3\)"),
    (lambda: ops.drop_path(1.0, 0.5), ValueError, r"drop_path: input must have shape \[N, ...\], got \(\)"),
    (lambda: ops.drop_path([1.0], -1), ValueError, "drop_path: p must be a probability"),
    (lambda: nn.GaussianNoise(-1), ValueError, "GaussianNoise: std must be a finite number at least 0"),
    (lambda: nn.GaussianNoise()(np.ones(3, int)), TypeError, "GaussianNoise: a floating input is expected"),
    (
        lambda: nn.BatchNorm1d(3)(np.ones((4, 3, 5)), mask=np.ones(5)),
        ValueError,
        r"batch_norm: mask must have shape \(4,\) or \(4, 5\) for input \(4, 3, 5\), got \(5,\)",
    ),
    (lambda: nn.utils.fuse(3), TypeError, "fuse: a Module is expected, got int"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_arguments(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
