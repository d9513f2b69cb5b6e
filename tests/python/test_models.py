"""The networks of ravine.models: what they refuse, how they begin, that they train; copies, bits, threads."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import models, nn, optim


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(list(shape)).standard_normal(shape).astype("float32")


def integers(*shape: int, below: int) -> np.ndarray:
    return np.random.default_rng(list(shape)).integers(0, below, shape)


IMAGES, SMALL = numbers(8, 3, 32, 32), numbers(8, 3, 8, 8)
ROWS, CATEGORIES = numbers(8, 4), integers(8, 2, below=5)
# A small network of each kind, the arguments of a call, the output's shape.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[Any, ...], tuple[int, ...]]] = {
    "mlp": (lambda: models.mlp(4, 3, (8,), dropout=0.1), (ROWS,), (8, 3)),
    "cnn": (lambda: models.cnn((3, 8, 8), 3, (4, 6), hidden=8), (SMALL,), (8, 3)),
    "resnet18": (lambda: models.resnet18(3, 3, width=4), (SMALL,), (8, 3)),
    "vgg": (
        lambda: models.vgg(11, num_classes=3, batch_norm=True, width=4, hidden=8),
        (IMAGES,),
        (8, 3),
    ),
    "mobilenet_v2": (lambda: models.mobilenet_v2(3, 3, width_mult=0.1), (IMAGES,), (8, 3)),
    "wide_resnet": (lambda: models.wide_resnet(10, 2, 3, 3, dropout=0.2, width=4), (SMALL,), (8, 3)),
    "wide_resnet50_2": (lambda: models.wide_resnet50_2(3, 3, width=4), (IMAGES,), (8, 3)),
    "tcn": (lambda: models.tcn(2, (6, 6, 4), 3), (numbers(8, 2, 20),), (8, 3, 20)),
    "gpt": (
        lambda: models.gpt(5, context_length=6, num_layers=1, embed_dim=8, num_heads=2, dropout=0.1),
        (integers(8, 6, below=5),),
        (8, 6, 5),
    ),
    "dlrm": (lambda: models.dlrm(4, (5, 6), 4, bottom=(8,), top=(8,)), (ROWS, CATEGORIES), (8, 1)),
    "ft_transformer": (
        lambda: models.ft_transformer(4, (5, 6), 3, n_blocks=2, d_block=16),
        (ROWS, CATEGORIES),
        (8, 3),
    ),
}
every_network = pytest.mark.parametrize("name", NETWORKS)


def test_the_table_has_every_model() -> None:
    functions = {name for name in models.__all__ if not isinstance(getattr(models, name), type)}
    assert functions == set(NETWORKS)


@every_network
def test_copies_and_saved_ones_give_the_same(name: str) -> None:
    build, inputs, shape = NETWORKS[name]
    model = build().eval()
    output = model(*inputs)
    assert output.shape == shape
    assert output.dtype == np.float32
    other = build().eval()
    assert not np.array_equal(other(*inputs), output)  # other random numbers
    other.load_state_dict(model.state_dict())
    for again in (other, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(again(*inputs), output)
    wide = [x.astype("float64") if x.dtype.kind == "f" else x for x in inputs]
    np.testing.assert_allclose(model.to("float64")(*wide), output, rtol=1e-3, atol=1e-4)


@every_network
def test_training_has_the_same_bits_on_any_number_of_threads(name: str) -> None:
    build, inputs, shape = NETWORKS[name]
    target = numbers(*shape)

    def loss_of(model: nn.Module, *inputs: Any) -> Any:
        return ((model(*inputs) - target) ** 2).mean()

    results = []
    for threads in (1, 3):
        rv.set_num_threads(threads)
        rv.seed(0)
        model = build()
        step = rv.TrainStep(loss_of, model, optim.Adam(lr=3e-3))
        results.append(([step(*inputs) for _ in range(12)], model.state_dict()))
    (losses, weights), (again, other) = results
    assert losses == again
    for key, value in weights.items():
        np.testing.assert_array_equal(other[key], value)
    assert min(losses[-3:]) < losses[0]
    assert np.isfinite(losses).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: models.vgg(12), r"vgg: depth must be one of \[11, 13, 16, 19\], got 12"),
        (lambda: models.wide_resnet(12), r"wide_resnet: depth must be 6n \+ 4 .* got 12"),
        (lambda: models.wide_resnet(4), r"depth must be 6n \+ 4 .* got 4"),
        (lambda: models.wide_resnet(10, 0), "widen_factor must be at least 1, got 0"),
        (lambda: models.mobilenet_v2(width_mult=0.0), "width_mult must be above 0, got 0.0"),
        (lambda: models.tcn(2, ()), "channels must name at least one block"),
        (lambda: models.dlrm(0, (3,)), r"got dense_features=0, cardinalities=\(3,\)"),
        (lambda: models.dlrm(2, ()), r"got dense_features=2, cardinalities=\(\)"),
        (
            lambda: models.dlrm(3, (5, 6))(ROWS, CATEGORIES),
            r"dense must have shape \[N, 3\], got \(8, 4\)",
        ),
        (
            lambda: models.dlrm(4, (5, 6, 7))(ROWS, CATEGORIES),
            r"indices must have shape \[8, 3\] or \[8, 3, P\], got \(8, 2\)",
        ),
        (lambda: models.dlrm(4, (5, 2))(ROWS, CATEGORIES + 3), r"index 6 is outside \[0, 5\)"),
        (lambda: models.ft_transformer(0), "n_cont_features=0"),
        (lambda: models.ft_transformer(1, n_blocks=0), "n_blocks must be at least 1"),
        (lambda: models.ft_transformer(1, d_block=20), "attention_n_heads must divide d_block, got 8 heads"),
        (
            lambda: models.ft_transformer(3, d_block=8)(ROWS),
            r"x_cont must have shape \[N, 3\], got \(8, 4\)",
        ),
        (
            lambda: models.ft_transformer(4, (2, 3), d_block=8)(ROWS),
            r"x_cat must have shape \[N, 2\], got None",
        ),
        (
            lambda: models.ft_transformer(4, d_block=8)(ROWS, CATEGORIES),
            "x_cat must be None, as there are no such features",
        ),
    ],
)
def test_what_does_not_fit_is_named(call: Callable[[], Any], message: str) -> None:
    with pytest.raises((ValueError, IndexError), match=message):
        call()


def test_an_output_of_tcn_sees_its_receptive_field_and_nothing_later() -> None:
    model = models.tcn(1, (8, 8, 8), 1).to("float64").eval()
    x = numbers(1, 1, 60).astype("float64")
    before, at = model(x), 40
    changed = x.copy()
    changed[..., at] += 1
    touched = np.flatnonzero((model(changed) != before)[0, 0])
    assert touched[0] == at
    assert touched[-1] < at + model.receptive_field == 40 + 29


def test_weights_begin_as_their_sources_say() -> None:
    deviations = {
        "vgg": (models.vgg(11, width=16, hidden=64), "classifier.0.weight", 0.01),
        "mobilenet_v2": (models.mobilenet_v2(width_mult=0.5), "classifier.1.weight", 0.01),
        "wide_resnet": (models.wide_resnet(10, 2), "block2.layer.0.conv2.weight", (2 / (64 * 9)) ** 0.5),
        "dlrm": (models.dlrm(40, (500,), 40, bottom=()), "bot_l.0.weight", (2 / 80) ** 0.5),
        "embedding": (models.dlrm(4, (400,), 40), "emb_l.0.weight", (400 * 3) ** -0.5),
        "tokens": (
            models.ft_transformer(40, d_block=48),
            "cont_embeddings.weight",
            (48 * 3) ** -0.5,
        ),
    }
    for name, (model, key, deviation) in deviations.items():
        assert abs(model.state_dict()[key].std() / deviation - 1) < 0.1, name
    assert sum(p.data.size for p in models.mobilenet_v2().parameters()) == 3_504_872  # torchvision's
