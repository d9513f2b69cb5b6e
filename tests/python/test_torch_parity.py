"""Layers, losses and training trajectories agree with torch from the same weights.

Every case is written once: a function of a namespace `nn`, called with torch.nn and with ravine.nn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ravine as rv

torch = pytest.importorskip("torch")

DTYPES = ("float64", "float32")
# Relative to the largest value: what other orders of summation leave.
TOLERANCE = {"float64": 1e-11, "float32": 2e-5}
# In float64 torch's gradient of Hardsigmoid has 1/6 rounded to float32.
ROUGH = {"Hardsigmoid": 1e4}

pytestmark = [
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel"),
    pytest.mark.filterwarnings("ignore:reduction. 'mean' divides"),
]


@pytest.fixture(autouse=True)
def _one_torch_thread() -> None:
    torch.set_num_threads(1)


def assert_close(actual: Any, expected: Any, tolerance: float, what: str = "") -> None:
    actual = np.asarray(actual)
    expected = expected.detach().numpy() if isinstance(expected, torch.Tensor) else np.asarray(expected)
    assert actual.shape == expected.shape, what
    assert actual.dtype == expected.dtype, what
    if expected.size:
        scale = max(1.0, float(np.abs(expected).max()))
        assert np.isfinite(actual).all() == np.isfinite(expected).all(), what
        np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * scale, err_msg=what)


def twins(build: Callable[[Any], Any], dtype: str) -> tuple[Any, rv.nn.Module]:
    """The torch model and ours, with the torch model's weights."""
    torch.manual_seed(0)
    theirs = build(torch.nn).to(getattr(torch, dtype))
    ours = build(rv.nn).to(dtype)
    ours.load_state_dict({name: tensor.numpy() for name, tensor in theirs.state_dict().items()})
    return theirs, ours


def numbers(shape: tuple[int, ...], dtype: str, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


LAYERS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "linear": (lambda nn: nn.Linear(5, 7), (6, 5)),
    "linear, no bias": (lambda nn: nn.Linear(5, 7, bias=False), (6, 5)),
    "linear, rank 3": (lambda nn: nn.Linear(5, 7), (2, 3, 5)),
    "linear, one vector": (lambda nn: nn.Linear(5, 7), (5,)),
    "conv": (lambda nn: nn.Conv2d(3, 5, 3), (2, 3, 9, 8)),
    "conv, padded, strided": (
        lambda nn: nn.Conv2d(3, 5, (3, 2), stride=(2, 1), padding=(1, 0)),
        (2, 3, 9, 8),
    ),
    "conv, dilated": (lambda nn: nn.Conv2d(3, 4, 3, dilation=2, padding=2, bias=False), (2, 3, 9, 9)),
    "conv, same": (lambda nn: nn.Conv2d(3, 4, 4, padding="same"), (2, 3, 7, 9)),
    "conv, grouped": (lambda nn: nn.Conv2d(4, 6, 3, groups=2, padding=1), (2, 4, 6, 5)),
    "conv, depthwise": (lambda nn: nn.Conv2d(6, 6, 3, groups=6, padding=1, stride=2), (2, 6, 9, 7)),
    "conv, depth multiplier": (lambda nn: nn.Conv2d(3, 6, 3, groups=3, padding=1), (2, 3, 9, 7)),
    "conv, 1x1": (lambda nn: nn.Conv2d(8, 3, 1), (2, 8, 5, 5)),
    "max pool": (lambda nn: nn.MaxPool2d(3, stride=2, padding=1), (2, 3, 9, 8)),
    "max pool, dilated": (lambda nn: nn.MaxPool2d(2, stride=1, dilation=2), (2, 3, 9, 8)),
    "max pool, ceil mode": (lambda nn: nn.MaxPool2d(3, stride=2, ceil_mode=True), (2, 3, 8, 10)),
    "max pool, ceil mode, padded": (lambda nn: nn.MaxPool2d(2, 2, 1, ceil_mode=True), (2, 3, 8, 7)),
    "max pool, ceil mode, dilated": (lambda nn: nn.MaxPool2d(2, 3, dilation=2, ceil_mode=True), (2, 3, 8, 9)),
    "avg pool, ceil mode": (lambda nn: nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True), (2, 3, 8, 7)),
    "avg pool, ceil mode, pad not counted": (
        lambda nn: nn.AvgPool2d(2, 2, 1, ceil_mode=True, count_include_pad=False),
        (2, 3, 7, 8),
    ),
    "avg pool": (lambda nn: nn.AvgPool2d(3, stride=2, padding=1), (2, 3, 9, 8)),
    "avg pool, pad not counted": (lambda nn: nn.AvgPool2d(3, 2, 1, count_include_pad=False), (2, 3, 9, 8)),
    "adaptive avg pool": (lambda nn: nn.AdaptiveAvgPool2d((3, 4)), (2, 3, 7, 9)),
    "global avg pool": (lambda nn: nn.AdaptiveAvgPool2d(1), (2, 3, 7, 9)),
    "batch norm 1d": (lambda nn: nn.BatchNorm1d(5), (7, 5)),
    "batch norm 1d, length": (lambda nn: nn.BatchNorm1d(5), (3, 5, 4)),
    "batch norm 2d": (lambda nn: nn.BatchNorm2d(5), (3, 5, 4, 6)),
    "batch norm, plain": (
        lambda nn: nn.BatchNorm2d(5, affine=False, track_running_stats=False),
        (3, 5, 4, 6),
    ),
    "layer norm": (lambda nn: nn.LayerNorm((4, 6)), (3, 5, 4, 6)),
    "layer norm, no bias": (lambda nn: nn.LayerNorm(6, bias=False), (3, 4, 6)),
    "group norm": (lambda nn: nn.GroupNorm(2, 6), (3, 6, 4, 5)),
    "instance norm": (lambda nn: nn.InstanceNorm2d(5), (3, 5, 4, 6)),
    "instance norm, affine": (
        lambda nn: nn.InstanceNorm2d(5, affine=True, track_running_stats=True),
        (3, 5, 4, 6),
    ),
    "flatten": (lambda nn: nn.Flatten(1, 2), (2, 3, 4, 5)),
    "unflatten": (lambda nn: nn.Unflatten(1, (2, 3)), (2, 6, 4)),
    "prelu": (lambda nn: nn.PReLU(5), (3, 5, 4)),
    "softmax": (lambda nn: nn.Softmax(dim=1), (3, 5, 4)),
    "log softmax": (lambda nn: nn.LogSoftmax(dim=-1), (3, 5)),
    "softmin": (lambda nn: nn.Softmin(dim=0), (3, 5)),
    "glu": (lambda nn: nn.GLU(dim=1), (3, 6, 2)),
}
for name in (
    "ReLU", "ReLU6", "SELU", "SiLU", "Mish", "Sigmoid", "Tanh", "Softsign", "LogSigmoid", "Tanhshrink",
    "Hardsigmoid", "Hardswish", "LeakyReLU", "ELU", "GELU", "Softplus", "Hardtanh",
):  # fmt: skip
    LAYERS[name] = (lambda nn, name=name: getattr(nn, name)(), (4, 33))
LAYERS["CELU"] = (lambda nn: nn.CELU(0.5), (4, 33))
LAYERS["Hardshrink"] = (lambda nn: nn.Hardshrink(0.3), (4, 33))
LAYERS["Softshrink"] = (lambda nn: nn.Softshrink(0.3), (4, 33))
LAYERS["Threshold"] = (lambda nn: nn.Threshold(0.2, -3.0), (4, 33))
LAYERS["gelu, tanh"] = (lambda nn: nn.GELU(approximate="tanh"), (4, 33))
LAYERS["softplus, scaled"] = (lambda nn: nn.Softplus(beta=3, threshold=4), (4, 33))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("case", LAYERS)
def test_layer(case: str, training: bool, dtype: str) -> None:
    build, shape = LAYERS[case]
    theirs, ours = twins(build, dtype)
    theirs.train(training), ours.train(training)
    x = numbers(shape, dtype)
    expected_input = torch.tensor(x, requires_grad=True)
    expected = theirs(expected_input)
    weights = numbers(tuple(expected.shape), dtype, seed=2)
    (expected * torch.tensor(weights)).sum().backward()

    assert_close(ours(x), expected, TOLERANCE[dtype], "forward")
    assert_state_equal(ours, theirs, dtype)
    _, input_gradient = rv.value_and_grad(lambda t: (ours(t) * weights).sum())(x)
    tolerance = ROUGH.get(case, 10) * TOLERANCE[dtype]
    assert_close(input_gradient, expected_input.grad, tolerance, "gradient of the input")
    if list(ours.parameters()):
        _, gradients = rv.value_and_grad(lambda m, t: (m(t) * weights).sum(), ours)(x)
        for name, parameter in theirs.named_parameters():
            assert_close(gradients[name], parameter.grad, 10 * TOLERANCE[dtype], f"gradient of {name}")


def assert_state_equal(ours: rv.nn.Module, theirs: Any, dtype: str, factor: float = 1.0) -> None:
    state = ours.state_dict()
    assert list(state) == list(theirs.state_dict())
    for name, tensor in theirs.state_dict().items():
        assert_close(state[name], tensor, factor * TOLERANCE[dtype], name)


def test_running_statistics_follow_torch_over_several_batches() -> None:
    for arguments in ({}, {"momentum": None}, {"momentum": 0.3, "affine": False}):
        theirs, ours = twins(lambda nn, a=arguments: nn.BatchNorm2d(4, **a), "float64")
        for seed in range(4):
            x = 3 * numbers((3 + seed, 4, 5, 2), "float64", seed) + 7
            assert_close(ours(x), theirs(torch.tensor(x)), 1e-11)
        assert_state_equal(ours, theirs, "float64")
        theirs.eval(), ours.eval()
        assert_close(ours(x), theirs(torch.tensor(x)), 1e-11)


def test_embedding() -> None:
    theirs, ours = twins(lambda nn: nn.Embedding(7, 4, padding_idx=2), "float64")
    indices = np.array([[1, 2, 2], [6, 1, 0]])
    weights = numbers((2, 3, 4), "float64")
    out = theirs(torch.tensor(indices))
    (out * torch.tensor(weights)).sum().backward()
    _, gradients = rv.value_and_grad(lambda m, i: (m(i) * weights).sum(), ours)(indices)
    assert_close(ours(indices), out, 0)
    assert_close(gradients["weight"], theirs.weight.grad, 1e-14)


LABELS = np.array([2, 0, 4, 1, 1, 3])
LABEL_IMAGES = LABELS.repeat(2).reshape(2, 3, 2)
POSITIVE = np.abs(numbers((6, 5), "float64", 3))
PROBABILITIES = POSITIVE / POSITIVE.sum(1, keepdims=True)
CLASS_WEIGHTS = np.array([0.5, 1.0, 2.0, 0.1, 3.0])
LOSSES: dict[str, tuple[str, dict[str, Any], tuple[int, ...], Any]] = {
    "cross entropy": ("cross_entropy", {}, (6, 5), LABELS),
    "cross entropy, int32": ("cross_entropy", {}, (6, 5), LABELS),
    "cross entropy, one row": ("cross_entropy", {}, (5,), np.array(3)),
    "cross entropy, smoothed": ("cross_entropy", {"label_smoothing": 0.1}, (6, 5), LABELS),
    "cross entropy, weighted": ("cross_entropy", {"weight": CLASS_WEIGHTS}, (6, 5), LABELS),
    "cross entropy, weighted and smoothed": (
        "cross_entropy", {"weight": CLASS_WEIGHTS, "label_smoothing": 0.2, "ignore_index": 1}, (6, 5), LABELS,
    ),
    "cross entropy, ignored": ("cross_entropy", {"ignore_index": 1}, (6, 5), LABELS),
    "cross entropy, probabilities": ("cross_entropy", {}, (6, 5), PROBABILITIES),
    "cross entropy, probabilities, weighted": (
        "cross_entropy", {"weight": CLASS_WEIGHTS, "label_smoothing": 0.2}, (6, 5), PROBABILITIES,
    ),
    "cross entropy, images": ("cross_entropy", {"ignore_index": 0}, (2, 5, 3, 2), LABEL_IMAGES),
    "nll": ("nll_loss", {}, (6, 5), LABELS),
    "nll, weighted, ignored": ("nll_loss", {"weight": CLASS_WEIGHTS, "ignore_index": 1}, (6, 5), LABELS),
    "nll, images": ("nll_loss", {}, (2, 5, 3, 2), LABEL_IMAGES),
    "bce with logits": ("binary_cross_entropy_with_logits", {}, (6, 5), PROBABILITIES),
    "bce with logits, weighted": (
        "binary_cross_entropy_with_logits", {"weight": POSITIVE, "pos_weight": CLASS_WEIGHTS}, (6, 5),
        PROBABILITIES,
    ),
    "mse": ("mse_loss", {}, (6, 5), PROBABILITIES),
    "l1": ("l1_loss", {}, (6, 5), PROBABILITIES),
    "smooth l1": ("smooth_l1_loss", {"beta": 0.7}, (6, 5), PROBABILITIES),
    "huber": ("huber_loss", {"delta": 0.7}, (6, 5), PROBABILITIES),
    "kl": ("kl_div", {}, (6, 5), np.where(PROBABILITIES > 0.1, PROBABILITIES, 0)),
    "kl, log target": ("kl_div", {"log_target": True}, (6, 5), np.log(PROBABILITIES)),
}  # fmt: skip


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("case", LOSSES)
def test_loss(case: str, reduction: str) -> None:
    name, arguments, shape, target = LOSSES[case]
    x = 2 * numbers(shape, "float64")
    if case == "nll":
        x = x - np.log(np.exp(x).sum(1, keepdims=True))
    theirs_in = torch.tensor(x, requires_grad=True)
    theirs_arguments = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in arguments.items()}
    loss = getattr(torch.nn.functional, name)
    expected = loss(theirs_in, torch.tensor(target), reduction=reduction, **theirs_arguments)
    weights = numbers(tuple(expected.shape), "float64", 2) if reduction == "none" else np.float64(1.0)
    (expected * torch.tensor(weights)).sum().backward()
    given = target.astype("int32") if "int32" in case else target

    def ours(t: Any) -> Any:
        return getattr(rv.ops, name)(t, given, reduction=reduction, **arguments)

    assert_close(ours(x).numpy(), expected, 1e-12)
    _, gradient = rv.value_and_grad(lambda t: (ours(t) * weights).sum())(x)
    assert_close(gradient, theirs_in.grad, 1e-12, "gradient")


def mlp(nn: Any) -> Any:
    return nn.Sequential(
        nn.Linear(12, 33), nn.ReLU(), nn.Linear(33, 20), nn.Tanh(), nn.LayerNorm(20), nn.Linear(20, 5)
    )


def cnn(nn: Any) -> Any:
    return nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(12, 5),
    )  # fmt: skip


def residual(nn: Any) -> Any:
    class Block(nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(channels)
            self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(channels)
            self.relu = nn.ReLU()

        def forward(self, x: Any) -> Any:
            y = self.relu(self.bn1(self.conv1(x)))
            return self.relu(x + self.bn2(self.conv2(y)))

    return nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1), Block(8), Block(8), nn.AvgPool2d(6), nn.Flatten(), nn.Linear(8, 5)
    )


def grouped(nn: Any) -> Any:
    return nn.Sequential(
        nn.Conv2d(2, 8, 1), nn.GELU(), nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
        nn.BatchNorm2d(8), nn.SiLU(), nn.Conv2d(8, 12, 3, stride=2, padding=2, dilation=2, groups=2),
        nn.GroupNorm(3, 12), nn.Hardswish(),
        nn.Conv2d(12, 24, 3, groups=12), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 5),
    )  # fmt: skip


NETS = {
    "mlp": (mlp, (9, 12)),
    "cnn": (cnn, (9, 2, 6, 6)),
    "residual": (residual, (9, 2, 6, 6)),
    "grouped": (grouped, (9, 2, 6, 6)),
}
OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {"lr": 0.05}),
    "sgd, momentum": ("SGD", {"lr": 0.02, "momentum": 0.9, "weight_decay": 1e-2}),
    "sgd, dampening": ("SGD", {"lr": 0.02, "momentum": 0.9, "dampening": 0.3}),
    "sgd, nesterov": ("SGD", {"lr": 0.02, "momentum": 0.8, "nesterov": True, "weight_decay": 1e-3}),
    "sgd, maximize": ("SGD", {"lr": 1e-3, "momentum": 0.5, "maximize": True}),
    "adam": ("Adam", {"lr": 1e-2, "eps": 1e-4}),
    "adam, amsgrad": (
        "Adam",
        {"lr": 1e-2, "betas": (0.8, 0.99), "eps": 1e-4, "amsgrad": True, "weight_decay": 0.1},
    ),
    "adamw": ("AdamW", {"lr": 1e-2, "eps": 1e-4, "weight_decay": 0.1}),
}


def trajectory(
    net: str, optimizer: str, dtype: str, steps: int = 20
) -> tuple[Any, rv.nn.Module, list[float], list[float]]:
    """Both models trained side by side on the same batches, with a short batch in between."""
    build, shape = NETS[net]
    name, arguments = OPTIMIZERS[optimizer]
    theirs, ours = twins(build, dtype)
    their_optimizer = getattr(torch.optim, name)(theirs.parameters(), **arguments)
    step = rv.TrainStep(ours, rv.nn.CrossEntropyLoss(), getattr(rv.optim, name)(**arguments))
    expected, losses = [], []
    for i in range(steps):
        x = numbers(shape if i % 5 else (4, *shape[1:]), dtype, seed=i)
        y = np.random.default_rng(i).integers(0, 5, len(x))
        their_optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(theirs(torch.tensor(x)), torch.tensor(y))
        loss.backward()
        their_optimizer.step()
        expected.append(loss.item())
        losses.append(step(x, y))
    return theirs, ours, expected, losses


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("net", NETS)
def test_trajectory_float64(net: str, optimizer: str) -> None:
    theirs, ours, expected, losses = trajectory(net, optimizer, "float64")
    np.testing.assert_allclose(losses, expected, rtol=1e-9)
    assert_state_equal(ours, theirs, "float64", factor=1e3)


@pytest.mark.parametrize("optimizer", ["sgd, nesterov", "adam"])
@pytest.mark.parametrize("net", NETS)
def test_trajectory_float32(net: str, optimizer: str) -> None:
    theirs, ours, expected, losses = trajectory(net, optimizer, "float32")
    np.testing.assert_allclose(losses, expected, rtol=2e-4)
    assert_state_equal(ours, theirs, "float32", factor=50)


def test_default_initialisation_has_torchs_distribution() -> None:
    for build in (
        lambda nn: nn.Linear(300, 400),
        lambda nn: nn.Conv2d(32, 64, 3),
        lambda nn: nn.Embedding(300, 40),
    ):
        theirs, ours = build(torch.nn), build(rv.nn)
        for name, tensor in theirs.state_dict().items():
            expected, actual = tensor.numpy(), ours.state_dict()[name]
            assert abs(actual.std() / expected.std() - 1) < 5 / np.sqrt(expected.size)
            assert abs(actual.mean()) < 5 * expected.std() / np.sqrt(expected.size)
            if not isinstance(ours, rv.nn.Embedding):  # uniform: the same bounds
                assert abs(np.abs(actual).max() / np.abs(expected).max() - 1) < 10 / expected.size


def test_repr_reads_as_torchs() -> None:
    for build in (
        mlp,
        residual,
        grouped,
        lambda nn: nn.ModuleDict({"a": nn.Dropout(0.2), "b": nn.Embedding(3, 4)}),
    ):
        assert repr(build(rv.nn)) == repr(build(torch.nn))


def test_state_dict_takes_torch_tensors() -> None:
    theirs, ours = cnn(torch.nn), cnn(rv.nn)
    ours.load_state_dict(theirs.state_dict())
    assert_state_equal(ours, theirs, "float32", factor=0)


def test_hessian_vector_product() -> None:
    theirs, ours = twins(lambda nn: nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)), "float64")
    x, y = numbers((5, 4), "float64"), np.array([0, 2, 1, 1, 0])
    vectors = {name: numbers(p.shape, "float64", i) for i, (name, p) in enumerate(ours.named_parameters())}
    loss = torch.nn.functional.cross_entropy(theirs(torch.tensor(x)), torch.tensor(y))
    parameters = list(theirs.parameters())
    gradients = torch.autograd.grad(loss, parameters, create_graph=True)
    total = sum((g * torch.tensor(vectors[n])).sum() for g, n in zip(gradients, vectors, strict=True))
    expected = torch.autograd.grad(total, parameters)
    product = rv.hvp(lambda m, x, y: rv.ops.cross_entropy(m(x), y), ours)(x, y, vectors)
    for (name, actual), tensor in zip(product.items(), expected, strict=True):
        assert_close(actual, tensor, 1e-12, name)
