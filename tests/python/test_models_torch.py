"""The networks of ravine.models have the names, shapes, results, gradients of their references in torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import models

torch = pytest.importorskip("torch")
reference = pytest.importorskip("reference_models")

A, M = 2, "M"  # channels of the first stage of VGG, its maximum
VGG11 = (A, M, 2 * A, M, *(4 * A,) * 2, M, *(8 * A,) * 2, M, *(8 * A,) * 2, M)
VGG13 = (*(A,) * 2, M, *(2 * A,) * 2, M, *(4 * A,) * 2, M, *(8 * A,) * 2, M, *(8 * A,) * 2, M)
VGG16 = (*(A,) * 2, M, *(2 * A,) * 2, M, *(4 * A,) * 3, M, *(8 * A,) * 3, M, *(8 * A,) * 3, M)
VGG19 = (*(A,) * 2, M, *(2 * A,) * 2, M, *(4 * A,) * 4, M, *(8 * A,) * 4, M, *(8 * A,) * 4, M)
STAGES = (8, 8, 8, 8, 16, 16, 32)  # a tenth of MobileNet's, in multiples of 8


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(list(shape)).standard_normal(shape)


def indices(*shape: int, below: tuple[int, ...]) -> np.ndarray:
    """Below a number for each place of axis 1."""
    draws = np.random.default_rng(list(shape)).random(shape)
    return (draws * np.reshape(below, (1, -1, *[1] * (len(shape) - 2)))).astype("int64")


def vgg(depth: int, batch_norm: bool) -> Any:
    return models.vgg(depth, num_classes=5, batch_norm=batch_norm, width=A, hidden=6, dropout=0.0)


IMAGES = numbers(3, 3, 32, 32)
TABLES = (7, 2, 5)
ROWS, CATEGORIES = numbers(6, 4), indices(6, 3, below=TABLES)
BAGS = indices(6, 3, 4, below=TABLES)
NO_DROPOUT = {"attention_dropout": 0.0, "ffn_dropout": 0.0, "d_block": 12, "attention_n_heads": 2}
# Our network, torch's, the inputs.
CASES: dict[str, tuple[Callable[[], Any], Callable[[], Any], list[Any]]] = {
    "vgg11": (lambda: vgg(11, False), lambda: reference.vgg(VGG11, False, 6, 5), [IMAGES]),
    "vgg13_bn": (lambda: vgg(13, True), lambda: reference.vgg(VGG13, True, 6, 5), [IMAGES]),
    "vgg16": (lambda: vgg(16, False), lambda: reference.vgg(VGG16, False, 6, 5), [IMAGES]),
    "vgg19_bn": (lambda: vgg(19, True), lambda: reference.vgg(VGG19, True, 6, 5), [IMAGES]),
    "mobilenet_v2": (
        lambda: models.mobilenet_v2(num_classes=4, width_mult=0.1, dropout=0.0),
        lambda: reference.MobileNetV2(8, STAGES, 1280, 4),
        [IMAGES],
    ),
    "wide_resnet50_2": (
        lambda: models.wide_resnet50_2(num_classes=4, width=4),
        lambda: reference.WideResNet50(4, 4),
        [IMAGES],
    ),
    "wide_resnet": (
        lambda: models.wide_resnet(16, 2, num_classes=4, width=3),
        lambda: reference.WideResNet(16, 2, 3, 4),
        [numbers(3, 3, 12, 12)],
    ),
    "tcn": (
        lambda: models.tcn(3, (5, 5, 4), 2, kernel_size=3, dropout=0.0),
        lambda: reference.TCN(3, (5, 5, 4), 2, 3),
        [numbers(4, 3, 19)],
    ),
    "dlrm": (
        lambda: models.dlrm(4, TABLES, 6, bottom=(8,), top=(9,), num_outputs=2),
        lambda: reference.DLRM((4, 8, 6), TABLES, (12, 9, 2), False),
        [ROWS, CATEGORIES],
    ),
    "dlrm of bags": (
        lambda: models.dlrm(4, TABLES, 6, bottom=(), top=(), interact_itself=True),
        lambda: reference.DLRM((4, 6), TABLES, (16, 1), True),
        [ROWS, BAGS],
    ),
    "ft_transformer": (
        lambda: models.ft_transformer(4, TABLES, 3, n_blocks=3, **NO_DROPOUT),
        lambda: reference.FTTransformer(4, TABLES, 3, 3, 12, 2),
        [ROWS, CATEGORIES],
    ),
    "ft_transformer of numbers": (
        lambda: models.ft_transformer(4, n_blocks=1, **NO_DROPOUT),
        lambda: reference.FTTransformer(4, (), 1, 1, 12, 2),
        [ROWS, None],
    ),
    "ft_transformer of categories": (
        lambda: models.ft_transformer(0, TABLES, n_blocks=2, **NO_DROPOUT),
        lambda: reference.FTTransformer(0, TABLES, 1, 2, 12, 2),
        [None, CATEGORIES],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_model(name: str) -> None:
    """In training, where there is no dropout, with gradients, and in evaluation."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    build, build_reference, inputs = CASES[name]
    theirs = reference.perturbed(build_reference().double()).train()
    for module in theirs.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    ours = build().to("float64").train()
    weights = {key: value.numpy().copy() for key, value in theirs.state_dict().items()}
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in weights.items()}
    ours.load_state_dict(weights)
    tensors = [None if x is None else torch.tensor(x) for x in inputs]

    expected = theirs(*tensors)
    factor = numbers(*expected.shape)
    (expected * torch.tensor(factor)).sum().backward()

    np.testing.assert_allclose(ours(*inputs), expected.detach(), rtol=1e-9, atol=1e-9)
    _, gradients = rv.value_and_grad(lambda model: (model(*inputs) * factor).sum(), ours)()
    slopes = {key: parameter.grad.numpy() for key, parameter in theirs.named_parameters()}
    assert gradients.keys() == slopes.keys()
    for key, slope in slopes.items():
        scale = np.abs(slope).max()
        np.testing.assert_allclose(gradients[key], slope, rtol=1e-6, atol=1e-8 * scale + 1e-10, err_msg=key)

    ours.load_state_dict(weights)
    theirs.load_state_dict({key: torch.tensor(value) for key, value in weights.items()})
    output, expected = ours.eval()(*inputs), theirs.eval()(*tensors)
    np.testing.assert_allclose(output, expected.detach(), rtol=1e-9, atol=1e-9)
