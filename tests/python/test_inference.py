"""Inference keeps what depends on weights alone, and must follow every change of a weight."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable

import numpy as np
import pytest

import ravine as rv
from ravine import init, nn, optim


def net(channels: int = 24) -> nn.Module:
    """Convolutions by Winograd and direct ones; BatchNorm with statistics that are not 0 and 1."""
    model = nn.Sequential(
        *(nn.Conv2d(3, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()),
        *(nn.Conv2d(channels, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()),
        *(nn.Conv2d(32, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32, affine=False), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 5)),
    )
    random = np.random.default_rng(0)
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.data = random.uniform(-0.3, 0.3, buffer.shape)
        elif name.endswith("running_var"):
            buffer.data = random.uniform(0.05, 0.3, buffer.shape)
    return model


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((4, 3, 12, 12), dtype=np.float32)


def fresh(model: nn.Module, x: np.ndarray) -> np.ndarray:
    """The output of a copy, which knows nothing of programs and values of before."""
    return copy.deepcopy(model)(x)


def describe(model: nn.Module) -> str:
    return model._programs.programs()[-1].describe()


def test_batch_norm_is_folded_and_filters_are_kept_transformed(x: np.ndarray) -> None:
    model = net().eval()
    folded = model(x)
    text = describe(model)
    assert text.count("conv2d ") == 3 and text.count("+ add, relu") == 3 and "sub" not in text, text
    assert "kept   winograd_filter" in text and "winograd 4x4" in text, text
    with rv.eager():
        np.testing.assert_allclose(folded, model(x), rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(folded, model.to("float64")(x), rtol=2e-5, atol=2e-6)


def train(model: nn.Module, x: np.ndarray) -> None:
    model.train()
    rv.TrainStep(model, nn.CrossEntropyLoss(), optim.SGD(lr=0.1))(x, np.arange(len(x)) % 5)
    model.eval()


def load(model: nn.Module, x: np.ndarray) -> None:
    model.load_state_dict({name: value * 1.5 for name, value in model.state_dict().items()})


def write(model: nn.Module, x: np.ndarray) -> None:
    model[3].weight.data[1] = 0.25


def replace(model: nn.Module, x: np.ndarray) -> None:
    model[1].running_var.data = np.full(24, 3.0)


def initialise(model: nn.Module, x: np.ndarray) -> None:
    init.normal_(model[3].weight, std=0.1)


def assign(model: nn.Module, x: np.ndarray) -> None:
    model[4].running_mean.assign(np.full(32, -1.0))


def new_parameter(model: nn.Module, x: np.ndarray) -> None:
    model[3].weight = nn.Parameter(np.full((32, 24, 3, 3), 0.01, np.float32))


def statistics(model: nn.Module, x: np.ndarray) -> None:
    model.train()
    model(x)
    model.eval()


@pytest.mark.parametrize(
    "change", [train, load, write, replace, initialise, assign, new_parameter, statistics]
)
def test_outputs_follow_every_change_of_weights(
    change: Callable[[nn.Module, np.ndarray], None], x: np.ndarray
) -> None:
    model = net().eval()
    before = model(x)
    np.testing.assert_array_equal(before, fresh(model, x))
    change(model, x)
    after = model(x)
    assert not np.array_equal(after, before)
    np.testing.assert_array_equal(after, fresh(model, x))
    np.testing.assert_array_equal(model(x[:2]), fresh(model, x[:2]))


def test_outputs_follow_writes_into_a_view_that_is_held(x: np.ndarray) -> None:
    model = net().eval()
    row = model[3].weight.data[5]  # a view of a view
    model(x)
    for number in (0.5, -0.5, 0.25):
        row[...] = number
        np.testing.assert_array_equal(model(x), fresh(model, x))
    row[...] = 1
    del row
    np.testing.assert_array_equal(model(x), fresh(model, x))


def test_outputs_follow_while_training_alternates_with_inference(x: np.ndarray) -> None:
    model = net()
    y = np.arange(len(x)) % 5
    step = rv.TrainStep(model, nn.CrossEntropyLoss(), optim.Adam(lr=1e-2))
    for _ in range(5):
        model.train()
        step(x, y)
        model.eval()
        np.testing.assert_array_equal(model(x), fresh(model, x))


def test_the_bits_do_not_depend_on_the_number_of_threads(x: np.ndarray) -> None:
    expected = None
    before = rv.get_num_threads()
    try:
        for threads in (1, 2, 3, 5):
            rv.set_num_threads(threads)
            rv.seed(0)
            y = net().eval()(x)
            expected = y if expected is None else expected
            np.testing.assert_array_equal(y, expected)
    finally:
        rv.set_num_threads(before)


def test_exact_convolutions_keep_no_transformed_filter(x: np.ndarray) -> None:
    model = net().eval()
    rv.set_conv_precision("exact")
    try:
        y = model(x)
        assert "winograd" not in describe(model)
    finally:
        rv.set_conv_precision("fast")
    np.testing.assert_allclose(model(x), y, rtol=2e-5, atol=2e-6)
    assert "winograd" in describe(model)


def test_threads_that_serve_while_one_trains_end_with_the_newest_weights(x: np.ndarray) -> None:
    """No call hangs, and none keeps old weights, while another program changes the weights."""
    model = net()
    y = np.arange(len(x)) % 5
    step = rv.TrainStep(model, nn.CrossEntropyLoss(), optim.SGD(lr=1e-3))
    step(x, y)
    model.eval()
    done = threading.Event()
    failures: list[Exception] = []

    def serve(batch: int) -> None:
        try:
            while not done.is_set():
                assert np.isfinite(model(x[:batch])).all()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=serve, args=(batch,)) for batch in (1, 2, 4)]
    for thread in threads:
        thread.start()
    for _ in range(30):
        step(x, y)
    done.set()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    assert not failures
    for batch in (1, 2, 4):
        np.testing.assert_array_equal(model(x[:batch]), fresh(model, x[:batch]))


def pooled_net(kernel: int, channels: int) -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, channels, kernel, padding=kernel // 2), nn.BatchNorm2d(channels), nn.ReLU()),
        *(nn.MaxPool2d(2), nn.Conv2d(channels, 20, kernel, padding=kernel // 2), nn.ReLU(), nn.MaxPool2d(2)),
    )


class WithMaps(nn.Module):
    """The same, but what is pooled is wanted too, so that convolutions cannot pool."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: rv.Tensor) -> tuple[rv.Tensor, ...]:
        modules = list(self.model.children())
        first = modules[2](modules[1](modules[0](x)))
        second = modules[5](modules[4](modules[3](first)))
        return modules[6](second), first, second


@pytest.mark.parametrize("size", [28, 15])
@pytest.mark.parametrize("kernel", [3, 5])
def test_convolutions_pool_their_results(kernel: int, size: int) -> None:
    model = pooled_net(kernel, 24).eval()
    model[1].running_mean.data = np.linspace(-0.5, 0.5, 24)
    x = np.random.default_rng(0).standard_normal((8, 1, size, size), dtype=np.float32)
    y = model(x)
    text = describe(model)
    assert text.count("pooled by (2, 2)  + add, relu") == 2 and "max_pool2d" not in text, text
    apart = WithMaps(model).eval()
    np.testing.assert_allclose(y, apart(x)[0], rtol=2e-6, atol=1e-6)
    assert describe(apart).count("max_pool2d") == 2
    np.testing.assert_allclose(y, copy.deepcopy(model).to("float64")(x), rtol=2e-5, atol=2e-6)


def test_pools_that_a_convolution_cannot_compute_stay() -> None:
    x = np.random.default_rng(0).standard_normal((2, 8, 12, 12), dtype=np.float32)
    for pool in (nn.MaxPool2d(3), nn.MaxPool2d(2, 1), nn.MaxPool2d(2, padding=1), nn.MaxPool2d(3, 2, 1)):
        model = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), pool).eval()
        model(x)
        assert "max_pool2d" in describe(model) and "pooled by" not in describe(model)
    beyond = nn.Sequential(nn.Conv2d(8, 16, 3), nn.MaxPool2d(2, ceil_mode=True)).eval()
    y = beyond(x[:, :, 1:])  # 9 rows
    assert y.shape == (2, 16, 5, 5) and "max_pool2d" in describe(beyond)
    strided = nn.Sequential(nn.Conv2d(8, 16, 3, stride=2), nn.MaxPool2d(2)).eval()
    strided(x)
    assert "max_pool2d" in describe(strided)
    rounded_up = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.MaxPool2d(2, ceil_mode=True)).eval()
    rounded_up(x[:, :, :11, :11])
    assert "max_pool2d" in describe(rounded_up)
