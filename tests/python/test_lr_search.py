"""Learning rate range test and grid search: which rates they try, what they find and leave alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn, optim
from ravine.data import Batches
from ravine.optim import schedules
from ravine.train import LRGridSearch, LRRangeTest, lr_grid_search, lr_range_test


def net() -> nn.Module:
    """With running statistics, which a search must leave alone too."""
    rv.seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3)).eval()


def examples(n: int = 96) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, 6)).astype("float32")
    return x, np.argmax(x[:, :3] + 0.1 * rng.standard_normal((n, 3)), 1)


SEARCHES: list[Callable[..., Any]] = [
    lambda model, optimizer, **keywords: lr_range_test(
        model, nn.CrossEntropyLoss(), optimizer, *examples(), seed=1, **keywords
    ),
    lambda model, optimizer, **keywords: lr_grid_search(
        model, nn.CrossEntropyLoss(), optimizer, *examples(), seed=1, **keywords
    ),
]


@pytest.mark.parametrize("search", SEARCHES)
def test_a_search_leaves_model_and_optimizer_as_they_were(search: Callable[..., Any]) -> None:
    model, optimizer = net(), optim.SGD(lr=0.123, momentum=0.9)
    before = {name: value.tobytes() for name, value in model.state_dict().items()}
    search(model, optimizer)
    assert {name: value.tobytes() for name, value in model.state_dict().items()} == before
    assert optimizer.lr == 0.123 and optimizer.current_lr == 0.123 and not model.training
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize("search", SEARCHES)
def test_an_error_leaves_them_too(search: Callable[..., Any]) -> None:
    model, optimizer = net(), optim.SGD(lr=0.123)
    before = {name: value.tobytes() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=r"0 < lr_min < lr_max is expected, got 1.0 and 0.1"):
        search(model, optimizer, lr_min=1.0, lr_max=0.1)
    with pytest.raises(
        TypeError, match=r"a Module and an optimizer of ravine.optim are expected, got Linear and int"
    ):
        search(nn.Linear(1, 1), 3)
    assert {name: value.tobytes() for name, value in model.state_dict().items()} == before
    assert optimizer.lr == 0.123


@pytest.mark.parametrize("search", SEARCHES)
def test_a_search_is_a_function_of_its_seed(search: Callable[..., Any]) -> None:
    assert repr(search(net(), optim.Adam())) == repr(search(net(), optim.Adam()))


def test_range_test_trains_with_growing_rates() -> None:
    test = lr_range_test(
        net(), nn.CrossEntropyLoss(), optim.SGD(), *examples(), lr_min=1e-4, lr_max=0.1, steps=10, seed=1
    )
    np.testing.assert_allclose(test.lrs, 1e-4 * 1000 ** (np.arange(10) / 9), rtol=1e-12)
    model = net().train()
    step = rv.TrainStep(model, nn.CrossEntropyLoss(), optim.SGD(lr=lambda i: float(test.lrs[min(i, 9)])))
    batches = Batches(*examples(), batch_size=32, shuffle=True, seed=1)
    losses = [step(x, y) for _ in range(4) for x, y in batches][:10]
    assert test.losses.tolist() == losses and not test.diverged
    weights = [[0.9 ** (i - j) * (j <= i) for j in range(10)] for i in range(10)]
    np.testing.assert_allclose(test.smoothed, [np.average(losses, weights=w) for w in weights], rtol=1e-12)


def test_range_test_suggests_a_rate_that_trains_and_sees_divergence() -> None:
    model, (x, y) = net(), examples(512)
    test = lr_range_test(model, nn.CrossEntropyLoss(), optim.SGD(), x, y, lr_max=1e4, smoothing=0.7, seed=1)
    assert test.diverged and test.lrs[-1] < 1e4 and len(test.lrs) == len(test.losses) == len(test.smoothed)
    assert (
        test.smoothed[-1] > 4 * test.smoothed.min() >= 0
        and (test.smoothed[:-1] <= 4 * test.smoothed.min()).any()
    )

    def loss_after_an_epoch(lr: float) -> float:
        return lr_grid_search(model, nn.CrossEntropyLoss(), optim.SGD(), x, y, lrs=[lr], seed=1).results[0][
            "loss"
        ]

    suggested = loss_after_an_epoch(test.suggestion)
    assert suggested < loss_after_an_epoch(test.suggestion / 100)
    assert suggested < loss_after_an_epoch(float(test.lrs[-1]))


def test_suggestion_is_the_steepest_descent_over_log_lr() -> None:
    lrs = np.geomspace(1e-4, 1, 9)
    smoothed = np.array([5, 4.9, 4.5, 3.0, 2.4, 2.3, 2.35, 1e3, 1e-3 + 1e4])
    assert LRRangeTest(lrs, smoothed, smoothed, True).suggestion == pytest.approx(lrs[3])
    rising = LRRangeTest(lrs, smoothed[::-1], np.arange(9.0), True)
    with pytest.raises(ValueError, match=r"the loss never fell from lr=0.0001 to 1; try others"):
        _ = rising.suggestion


def test_range_test_ends_where_the_loss_is_not_finite() -> None:
    x, y = examples()
    y = y.astype("float32")[:, None]
    with np.errstate(all="ignore"):
        test = lr_range_test(
            nn.Linear(6, 1),
            nn.MSELoss(),
            optim.SGD(),
            x,
            y,
            lr_min=1e10,
            lr_max=1e30,
            stop_factor=1e300,
            seed=1,
        )
    assert test.diverged and len(test.losses) < 100 and np.isfinite(test.losses).all()
    with pytest.raises(FloatingPointError, match="the loss is nan before the first update"):
        lr_range_test(nn.Linear(6, 1), nn.MSELoss(), optim.SGD(), x * np.float32(np.nan), y)


def test_grid_search_trains_each_rate_on_the_same_batches() -> None:
    x, y = examples()
    x_val, y_val = examples(40)
    rates = [0.01, 0.3]
    search = lr_grid_search(
        net(),
        nn.CrossEntropyLoss(),
        optim.SGD(momentum=0.5),
        x,
        y,
        lrs=rates,
        epochs=2,
        batch_size=40,
        validation_data=(x_val, y_val),
        metrics=["accuracy"],
        schedule=lambda lr: schedules.Cosine(lr, 4),
        seed=5,
    )
    for rate, row, steps in zip(rates, search.results, search.steps, strict=True):
        model = net().train()
        optimizer = optim.SGD(lr=schedules.Cosine(rate, 4), momentum=0.5)
        step = rv.TrainStep(model, nn.CrossEntropyLoss(), optimizer)
        batches = Batches(x, y, batch_size=40, shuffle=True, seed=5, drop_last=True)
        losses = [[step(*batch) for batch in batches] for _ in range(2)]
        assert steps == 4 and row["loss"] == pytest.approx(np.mean(losses[-1]), rel=1e-12)
        trainer = rv.Trainer(model, nn.CrossEntropyLoss(), optimizer, ["accuracy"])
        measured = trainer.evaluate(x_val, y_val)
        assert row["val_loss"] == measured["loss"] and row["val_accuracy"] == measured["accuracy"]
    assert search.lrs.tolist() == rates


@pytest.mark.parametrize("wrapped", [False, True])
def test_groups_of_parameters_come_along(wrapped: bool) -> None:
    """A group names a module of the model that is given; in the copy it must mean the copy's."""
    model = net()
    optimizer: optim.Optimizer = optim.SGD(groups=[optim.Group(model[0], lr=0.0)])
    if wrapped:
        optimizer = optim.Lookahead(optimizer, k=1, alpha=1.0)
    search = lr_grid_search(model, nn.CrossEntropyLoss(), optimizer, *examples(), lrs=[0.2], seed=1)
    by_hand = net().train()
    step = rv.TrainStep(
        by_hand, nn.CrossEntropyLoss(), optim.SGD(0.2, groups=[optim.Group(by_hand[0], lr=0.0)])
    )
    losses = [step(*batch) for batch in Batches(*examples(), batch_size=32, shuffle=True, seed=1)]
    assert search.results[0]["loss"] == pytest.approx(np.mean(losses), rel=1e-12)
    assert optimizer.lr == 1e-3


def test_grid_search_drops_rates_that_diverge() -> None:
    x, y = examples()
    y = (x @ np.arange(6, dtype="float32"))[:, None]
    search = lr_grid_search(
        nn.Linear(6, 1),
        nn.MSELoss(),
        optim.SGD(),
        x,
        y,
        lr_min=1e-2,
        lr_max=1e18,
        points=3,
        epochs=4,
        validation_data=(x, y),
        seed=1,
    )
    np.testing.assert_allclose(search.lrs, [1e-2, 1e8, 1e18], rtol=1e-12)
    assert search.best == 1e-2 and search.steps[0] == 12
    assert math.isnan(search.results[2]["loss"]) and math.isnan(search.results[2]["val_loss"])
    assert search.steps[2] < 12
    lines = str(search).splitlines()
    assert lines[0].split() == ["lr", "loss", "val_loss"] and len(lines) == 4
    assert lines[1].split()[0] == "0.01" and lines[1].endswith("best")
    assert lines[3].split()[:4] == ["1e+18", "diverged", "after", str(search.steps[2])]


def test_grid_search_without_a_finite_rate() -> None:
    search = LRGridSearch(np.array([1.0, 2.0]), [{"loss": math.nan}] * 2, [1, 1])
    with pytest.raises(ValueError, match="no rate from 1 to 2 kept the loss finite"):
        _ = search.best
    assert str(search).count("diverged") == 2


def test_plots_show_the_curves() -> None:
    pytest.importorskip("matplotlib")
    test = lr_range_test(net(), nn.CrossEntropyLoss(), optim.Adam(), *examples(), seed=1)
    (axes,) = test.plot().axes
    assert axes.get_xscale() == "log"
    np.testing.assert_array_equal(axes.lines[1].get_xydata(), np.stack([test.lrs, test.smoothed], 1))
    assert axes.lines[2].get_xdata()[0] == test.suggestion
    search = lr_grid_search(net(), nn.CrossEntropyLoss(), optim.Adam(), *examples(), seed=1)
    (axes,) = search.plot().axes
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [row["loss"] for row in search.results])


BAD: list[tuple[Callable[..., Any], dict[str, Any], str]] = [
    (lr_range_test, {"steps": 4}, "at least 5 rates are expected, got 4"),
    (lr_range_test, {"smoothing": 1.0}, r"smoothing must be in \[0, 1\), got 1.0"),
    (lr_range_test, {"stop_factor": 1.0}, "stop_factor must be above 1, got 1.0"),
    (lr_range_test, {"lr_min": 0.0}, "0 < lr_min < lr_max is expected, got 0.0 and 10.0"),
    (lr_grid_search, {"lrs": [0.1, -1.0]}, r"lrs must be finite numbers above 0, got \[0.1, -1.0\]"),
    (lr_grid_search, {"lrs": []}, "lrs must be finite numbers above 0, got"),
    (lr_grid_search, {"points": 1}, "at least 2 rates are expected, got 1"),
    (lr_grid_search, {"epochs": 0}, "epochs=0, expected at least 1"),
    (lr_grid_search, {"metrics": ["accuracy"]}, "metrics accuracy need validation_data"),
]


@pytest.mark.parametrize(("search", "keywords", "message"), BAD)
def test_bad_input(search: Callable[..., Any], keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        search(net(), nn.CrossEntropyLoss(), optim.SGD(), *examples(), **keywords)
    x, y = examples()
    with pytest.raises(ValueError, match=r"x has shape \(96, 6\) and y \(95,\), expected as many targets"):
        search(net(), nn.CrossEntropyLoss(), optim.SGD(), x, y[:-1])
