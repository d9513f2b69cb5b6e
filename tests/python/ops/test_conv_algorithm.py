"""Which algorithm computes a convolution: chosen by shape, forced by the environment, ruled out."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest
from helper import normal, record

import ravine as rv
from ravine import _core, nn, ops, optim


@pytest.fixture(autouse=True)
def _fast() -> Iterator[None]:
    yield
    rv.set_conv_precision("fast")


def description(
    channels: int, out_channels: int, size: int, dtype: str = "float32", **attributes: int
) -> str:
    """What the program says of the convolution of a batch of 16 images."""
    kernel = attributes.pop("kernel", 3)
    groups = attributes.get("groups", 1)
    arrays = [
        normal(16, channels, size, size).astype(dtype),
        normal(out_channels, channels // groups, kernel, kernel).astype(dtype),
    ]
    graph, _, outputs = record(lambda x, w: ops.conv2d(x, w, **attributes), arrays)
    lines = _core.Program(graph, outputs).describe().splitlines()
    (line,) = [line for line in lines if "conv2d" in line]
    return line


def algorithm(channels: int, out_channels: int, size: int, dtype: str = "float32", **attributes: int) -> str:
    chosen, *_ = description(channels, out_channels, size, dtype, **attributes).split("; kcycles")
    return next((name for name in ("winograd 2x2", "winograd 4x4") if name in chosen), "direct")


def test_the_program_tells_the_costs_among_which_it_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    for out_channels, size in ((64, 16), (64, 2), (512, 1)):
        line = description(out_channels, out_channels, size, padding=1)
        costs = {
            name: float(cost)
            for name, cost in re.findall(r"(direct|winograd \dx\d) (\d+)", line.split("kcycles:")[1])
        }
        assert costs.keys() == {"direct", "winograd 2x2", "winograd 4x4"}
        assert costs[algorithm(out_channels, out_channels, size, padding=1)] == min(costs.values())
    assert "kcycles" not in description(64, 64, 16, stride=3)  # nothing to choose
    monkeypatch.setenv("RAVINE_CONV", "direct")
    assert "kcycles" not in description(64, 64, 16, padding=1)


def test_the_model_chooses_by_shape() -> None:
    assert algorithm(64, 64, 16, padding=1) == "winograd 4x4"
    assert algorithm(16, 16, 32, padding=1) == "winograd 4x4"
    assert algorithm(64, 64, 2, padding=1) == "winograd 2x2"
    assert algorithm(512, 512, 1, padding=1) == "direct"
    assert algorithm(1, 64, 16, padding=1) == "direct"
    assert algorithm(64, 64, 16, padding=1, dtype="float64") == "direct"
    assert algorithm(32, 64, 14, kernel=5, padding=2) == "winograd 2x2"
    assert algorithm(64, 128, 32, stride=2, padding=1) == "winograd 4x4"
    assert algorithm(64, 64, 16, dilation=2, padding=2) == "winograd 4x4"
    assert algorithm(128, 128, 16, groups=4, padding=1) == "winograd 4x4"
    assert algorithm(256, 512, 8, stride=2, padding=1) == "direct"  # its filter fits no cache
    for attributes in ({"stride": 3}, {"stride": 2}, {"kernel": 7}, {"kernel": 1}, {"groups": 64}):
        assert algorithm(64, 64, 16, **attributes) == "direct"


def test_the_environment_forces_an_algorithm_where_it_applies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAVINE_CONV", "direct")
    assert algorithm(64, 64, 16, padding=1) == "direct"
    monkeypatch.setenv("RAVINE_CONV", "winograd")
    assert algorithm(1, 64, 16, padding=1).startswith("winograd")
    assert algorithm(64, 64, 16, kernel=5) == "winograd 2x2"
    assert algorithm(64, 64, 16, stride=3) == "direct"
    monkeypatch.setenv("RAVINE_CONV", "winograd_2x2")
    assert algorithm(64, 64, 16, padding=1) == "winograd 2x2"
    assert algorithm(64, 64, 16, stride=2, padding=1) == "winograd 2x2"
    monkeypatch.setenv("RAVINE_CONV", "winograd_4x4")
    assert algorithm(64, 64, 2, padding=1) == "winograd 4x4"
    monkeypatch.setenv("RAVINE_CONV", "fft")
    with pytest.raises(ValueError, match=r"RAVINE_CONV: expected 'direct', 'winograd', .*, got 'fft'"):
        algorithm(64, 64, 16)


def test_exact_precision_rules_winograd_out() -> None:
    rv.set_conv_precision("exact")
    assert algorithm(64, 64, 16, padding=1) == "direct"
    with pytest.raises(ValueError, match=r"'fast' or 'exact' is expected, got 'high'"):
        rv.set_conv_precision("high")
    assert algorithm(64, 64, 16, padding=1) == "direct"


def test_precision_takes_effect_on_a_model_that_has_run() -> None:
    model = nn.Conv2d(32, 48, 3, padding=1)
    x = normal(4, 32, 12, 12).astype("float32")
    fast = model(x)
    rv.set_conv_precision("exact")
    exact = model(x)
    rv.set_conv_precision("fast")
    again = model(x)
    np.testing.assert_array_equal(again, fast)
    assert not np.array_equal(exact, fast)
    assert np.abs(exact - fast).max() <= 2e-5 * np.abs(exact).max()


def test_the_gradients_choose_too() -> None:
    conv = nn.Conv2d(64, 64, 3, padding=1)
    compute = rv.value_and_grad(lambda m, x: ops.sum(ops.square(m(ops.tanh(m(x))))), conv)
    compute(normal(8, 64, 16, 16).astype("float32"))
    (program,) = compute._programs.programs()
    lines = [line for line in program.describe().splitlines() if "conv2d" in line]
    assert len(lines) == 5
    assert all("winograd 4x4" in line for line in lines)


def losses(precision: str, x: np.ndarray, y: np.ndarray) -> list[float]:
    rv.set_conv_precision(precision)
    rv.seed(0)
    layers: list[nn.Module] = []
    for before, after in ((3, 32), (32, 32), (32, 48)):
        layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(48, 10))
    step = rv.TrainStep(model, nn.CrossEntropyLoss(), optim.SGD(lr=0.05, momentum=0.9))
    curve = [step(x, y) for _ in range(25)]
    lines = [line for program in step._programs.programs() for line in program.describe().splitlines()]
    assert any("winograd" in line for line in lines) == (precision == "fast")
    return curve


def test_training_curves_with_and_without_winograd_agree() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(48) % 10
    x = (rng.normal(size=(48, 3, 32, 32)) + rng.normal(size=(10, 3, 1, 1))[y]).astype("float32")
    fast, exact = losses("fast", x, y), losses("exact", x, y)
    assert exact[-1] < 0.5 * exact[0]
    np.testing.assert_allclose(fast, exact, rtol=2e-3)
