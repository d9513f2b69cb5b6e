"""A large weight is updated inside the product that computes its gradient; its bias is summed there."""

from __future__ import annotations

import numpy as np
import pytest

import ravine as rv
from ravine import nn, optim

WIDTH = 640


def trained(optimizer: optim.Optimizer, steps: int = 4, threads: int = 2) -> tuple[list[np.ndarray], str]:
    """The parameters after some steps, and the program's description."""
    rv.seed(3)
    before = rv.get_num_threads()
    rv.set_num_threads(threads)
    try:
        model = nn.Sequential(
            nn.Linear(20, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 5)
        )
        step = rv.TrainStep(model, nn.CrossEntropyLoss(), optimizer)
        generator = np.random.default_rng(0)
        for _ in range(steps):
            step(generator.normal(size=(33, 20)).astype(np.float32), generator.integers(0, 5, 33))
        return [np.array(parameter) for parameter in model.parameters()], step.programs()[0].describe()
    finally:
        rv.set_num_threads(before)


@pytest.mark.parametrize(
    "new",
    [
        lambda **options: optim.SGD(lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3, **options),
        lambda **options: optim.AdamW(lr=1e-3, weight_decay=0.1, **options),
        lambda **options: optim.Lion(lr=1e-4, **options),
        lambda **options: optim.Adam(lr=1e-3, average=optim.EMA(0.9), **options),
    ],
    ids=["sgd", "adamw", "lion", "averaged adam"],
)
def test_as_the_update_after_the_gradient(new) -> None:
    inside, program = trained(new())
    assert "gemm_update" in program
    # The norm of all gradients has to be known first: the gradient is then computed as a whole.
    after, program = trained(new(clip_global_norm=1e6))
    assert "gemm_update" not in program
    for a, b in zip(inside, after, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(("batch", "inside"), [(32, True), (128, False)])
def test_a_weight_that_fits_the_cache_where_the_sums_are_short(batch: int, inside: bool) -> None:
    def trained_on(threads: int, **options: float) -> tuple[np.ndarray, str]:
        rv.seed(1)
        model = nn.Linear(200, 60)
        step = rv.TrainStep(model, nn.MSELoss(), optim.SGD(lr=0.1, momentum=0.9, **options))
        generator = np.random.default_rng(0)
        with rv.threads(threads):
            for _ in range(3):
                step(
                    generator.normal(size=(batch, 200)).astype(np.float32),
                    generator.normal(size=(batch, 60)).astype(np.float32),
                )
        return np.array(model.weight), step.programs()[0].describe()

    weight, program = trained_on(1)
    assert ("gemm_update" in program) == inside
    for threads in (2, 3, 5):
        assert trained_on(threads)[0].tobytes() == weight.tobytes()
    np.testing.assert_allclose(weight, trained_on(2, clip_global_norm=1e6)[0], rtol=2e-5, atol=2e-6)


def test_same_bits_for_any_number_of_threads() -> None:
    expected, program = trained(optim.Adam(lr=1e-3), threads=1)
    assert "gemm_update" in program
    for threads in (2, 3, 5):
        for a, b in zip(expected, trained(optim.Adam(lr=1e-3), threads=threads)[0], strict=True):
            assert a.tobytes() == b.tobytes()


def test_a_bad_label_changes_nothing() -> None:
    model = nn.Linear(WIDTH, WIDTH)
    step = rv.TrainStep(model, nn.CrossEntropyLoss(), optim.SGD(lr=0.1))
    x = np.ones((4, WIDTH), np.float32)
    step(x, np.arange(4))
    assert "gemm_update" in step.programs()[0].describe()
    before = np.array(model.weight)
    with pytest.raises(ValueError, match="640"):
        step(x, np.array([0, 1, 640, 2]))
    assert np.array(model.weight).tobytes() == before.tobytes()


def test_a_weight_whose_gradient_reads_another_weight_waits() -> None:
    """The gradient of a b with respect to a reads b, which the same step changes."""

    class Product(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Parameter(np.full((512, 512), 0.01, np.float32))
            self.b = nn.Parameter(np.full((512, 512), 0.02, np.float32))

        def forward(self, x: rv.Tensor) -> rv.Tensor:
            return x + rv.ops.matmul(self.a, self.b)

    model = Product()
    step = rv.TrainStep(model, nn.MSELoss(), optim.SGD(lr=1.0))
    step(np.zeros((512, 512), np.float32), np.zeros((512, 512), np.float32))
    assert "gemm_update" not in step.programs()[0].describe()
    # d mean((a b)^2) / da = 2 / 512^2 (a b) b^T with a b = 512 * 0.01 * 0.02 everywhere.
    gradient = 2 / 512**2 * (512 * 0.01 * 0.02) * 512
    np.testing.assert_allclose(np.array(model.a), 0.01 - gradient * 0.02, rtol=1e-5)
    np.testing.assert_allclose(np.array(model.b), 0.02 - gradient * 0.01, rtol=1e-5)


@pytest.mark.parametrize(("batch", "width"), [(1, 30), (33, 1), (40, 70), (3000, 20)])
def test_bias_gradients_are_summed_by_the_product(batch: int, width: int) -> None:
    rv.seed(1)
    model = nn.Sequential(nn.Linear(20, width), nn.Tanh(), nn.Linear(width, 5)).to("float64")
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(batch, 20)), generator.integers(0, 5, batch)
    step = rv.TrainStep(model, nn.CrossEntropyLoss(), optim.SGD(lr=1.0))
    before = {name: np.array(parameter) for name, parameter in model.named_parameters()}
    step(x, y)
    program = step.programs()[0].describe()
    assert program.count("row sums") == 2
    # By hand, from the outputs backwards.
    hidden = np.tanh(x @ before["0.weight"].T + before["0.bias"])
    logits = hidden @ before["2.weight"].T + before["2.bias"]
    probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    d_logits = (probabilities - np.eye(5)[y]) / batch
    d_hidden = (d_logits @ before["2.weight"]) * (1 - hidden**2)
    after = dict(model.named_parameters())
    for name, gradient in {"2.bias": d_logits.sum(axis=0), "0.bias": d_hidden.sum(axis=0)}.items():
        np.testing.assert_allclose(before[name] - np.array(after[name]), gradient, rtol=1e-9, atol=1e-15)


def test_biases_of_a_group_that_is_updated_first() -> None:
    """The sums come with the products of the weights, which another group updates later."""

    def trained_biases(order: int) -> list[np.ndarray]:
        rv.seed(2)
        model = nn.Sequential(nn.Linear(20, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 5))
        named = dict(model.named_parameters())
        biases = [parameter for name, parameter in named.items() if name.endswith("bias")]
        weights = [parameter for name, parameter in named.items() if name.endswith("weight")]
        groups = [optim.Group(biases, lr=0.1), optim.Group(weights, lr=0.05)][::order]
        step = rv.TrainStep(model, nn.CrossEntropyLoss(), optim.SGD(lr=0.1, groups=groups))
        generator = np.random.default_rng(0)
        for _ in range(3):
            step(generator.normal(size=(33, 20)).astype(np.float32), generator.integers(0, 5, 33))
        return [np.array(parameter) for parameter in model.parameters()]

    for a, b in zip(trained_biases(1), trained_biases(-1), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
