"""Batch normalisation: steps to a fixed accuracy.

Ioffe and Szegedy counted the steps that an Inception net needs to the best accuracy of its baseline: with
batch normalisation half as many, with five and thirty times the rate a tenth or less, and with it even
sigmoids trained, which did not without. The table here has that form, for a net of four hidden layers of
100 units on Fashion-MNIST (20,000 of its images; on digits of 8 × 8 pixels in the fast form, and where
Debian's package dataset-fashion-mnist is not installed), trained by plain stochastic gradient descent in
batches of 60: "accuracy" is the best that the baseline reaches on test images. At prediction the net must
use the running averages: with the statistics of the batch, an answer depends on who else is in it, and in
batches of one class accuracy is lost. Statistics of a batch of two are poor ones, where layer and group
normalisation, which look at one example at a time, do not mind.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import ravine as rv
from ravine import nn, optim

from .tools import Claim, accuracy, digits, first_below, mlp, train

RATE = 0.04
RUNS = {
    "baseline": (nn.ReLU, None, 1),
    "baseline, 30 times the rate": (nn.ReLU, None, 30),
    "BN": (nn.ReLU, nn.BatchNorm1d, 1),
    "BN, 5 times the rate": (nn.ReLU, nn.BatchNorm1d, 5),
    "BN, 30 times the rate": (nn.ReLU, nn.BatchNorm1d, 30),
    "sigmoid": (nn.Sigmoid, None, 5),
    "BN, sigmoid, 5 times the rate": (nn.Sigmoid, nn.BatchNorm1d, 5),
}
NORMS = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm, "group": partial(nn.GroupNorm, 4)}


def data(fast: bool) -> tuple[str, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """The name of the set, and its images as rows to train and to test on."""
    if not fast:
        try:
            x, y, x_test, y_test = rv.data.fashion_mnist()
            rows = (x[:20000].reshape(-1, 784), y[:20000], x_test[:2000].reshape(-1, 784), y_test[:2000])
            return "Fashion-MNIST", rows
        except FileNotFoundError:
            pass
    return "digits", digits()


def curve(sizes, activation, norm, rate, examples, epochs, seed) -> tuple[nn.Module, list[tuple[int, float]]]:
    """A net that was trained, and its accuracy on test images after so many steps."""
    x, y, x_test, y_test = examples
    rv.seed(seed)
    model, seen = mlp(sizes, activation, norm, weight_init="he_normal", bias_init="zeros"), []

    def look(steps: int) -> None:
        if steps % 5 == 0:
            seen.append((steps, accuracy(model, x_test, y_test)))

    train(model, optim.SGD(lr=rate), x, y, epochs=epochs, batch_size=60, seed=seed, after_step=look)
    return model, seen


def experiment(fast: bool, seed: int = 0) -> dict[str, Any]:
    name, examples = data(fast)
    x, y, x_test, y_test = examples
    sizes = (x.shape[1], *[32 if fast else 100] * 4, 10)
    epochs = 12 if fast else 6
    models, curves = {}, {}
    for run, (activation, norm, factor) in RUNS.items():
        models[run], curves[run] = curve(sizes, activation, norm, RATE * factor, examples, epochs, seed)

    # Test images class by class: statistics of such a batch are not those of the set.
    model = models["BN, 5 times the rate"]
    rows = np.argsort(y_test, kind="stable")[: len(y_test) // 20 * 20].reshape(20, -1)
    running = accuracy(model, x_test, y_test)
    model.train()
    batch = np.mean([(np.asarray(model(x_test[i])).argmax(1) == y_test[i]).mean() for i in rows])

    by_size = {}
    for norm, make in NORMS.items():
        for size in (2, 32):
            rv.seed(seed)
            net = mlp((x.shape[1], 32, 32, 10), nn.ReLU, make)
            n = 1000 if fast else 5000
            train(
                net,
                optim.SGD(lr=0.02),
                x[:n],
                y[:n],
                epochs=2 * size if fast else size,
                batch_size=size,
                seed=seed,
            )
            by_size[norm, size] = accuracy(net, x_test, y_test)
    return {"set": name, "curves": curves, "running": running, "batch": float(batch), "by size": by_size}


def steps_to(curve: list[tuple[int, float]], bound: float) -> float:
    reached = first_below([-value for _, value in curve], -bound + 1e-9)
    return np.inf if reached is None else curve[reached][0]


def claims(found: dict[str, Any]) -> list[Claim]:
    curves = found["curves"]
    bound = max(value for _, value in curves["baseline"])
    steps = {run: steps_to(curve, bound) for run, curve in curves.items()}
    best = {run: max(value for _, value in curve) for run, curve in curves.items()}
    text = {run: "never" if np.isinf(count) else f"{count}" for run, count in steps.items()}
    running, batch, sizes = found["running"], found["batch"], found["by size"]
    fast = steps["BN, 5 times the rate"]
    where = f"{found['set']}, to {bound:.3f}"
    return [
        Claim(
            "Ioffe and Szegedy 2015, section 4.2.2, figure 3, BN-Baseline",
            "the baseline's accuracy in less than half the steps",
            f"{where}: {text['BN']} instead of {text['baseline']}",
            2 * steps["BN"] <= steps["baseline"],
        ),
        Claim(
            "Ioffe and Szegedy 2015, figure 3, BN-x5",
            "with five times the rate in far fewer again; there 14 times fewer than the baseline",
            f"{text['BN, 5 times the rate']}, {steps['baseline'] / fast:.1f} times fewer",
            4 * fast <= steps["baseline"] and fast < steps["BN"],
        ),
        Claim(
            "Ioffe and Szegedy 2015, figure 3, BN-x30",
            "thirty times the rate is no harm with it, and too much without",
            f"{text['BN, 30 times the rate']} steps, best {best['BN, 30 times the rate']:.3f}; "
            f"without it {best['baseline, 30 times the rate']:.3f}",
            best["BN, 30 times the rate"] > bound - 0.02 > best["baseline, 30 times the rate"],
        ),
        Claim(
            "Ioffe and Szegedy 2015, figure 3, BN-x5-Sigmoid",
            "deep sigmoid nets train with it and stay at chance without",
            f"best accuracy {best['BN, sigmoid, 5 times the rate']:.3f} with, {best['sigmoid']:.3f} without",
            best["BN, sigmoid, 5 times the rate"] > best["sigmoid"] + 0.3,
        ),
        Claim(
            "Ioffe and Szegedy 2015, section 3.1",
            "prediction uses running averages: with batches of one class the batch's own mislead",
            f"accuracy {running:.3f} with running, {batch:.3f} with the batch's",
            running > batch + 0.1,
        ),
        Claim(
            "Wu and He 2018, Group normalization, figure 1",
            "small batches spoil batch normalisation, not layer or group normalisation",
            "accuracy by batches of 2 and 32: "
            + ", ".join(f"{norm} {sizes[norm, 2]:.3f} and {sizes[norm, 32]:.3f}" for norm in NORMS),
            sizes["batch", 2] < min(sizes["layer", 2], sizes["group", 2]),
        ),
    ]


def draw(figure: Any, found: dict[str, Any]) -> None:
    left, right = figure.subplots(1, 2, width_ratios=[2, 1])
    for run, curve in found["curves"].items():
        left.plot(*np.array(curve).T, linewidth=1, label=run)
    left.axhline(max(value for _, value in found["curves"]["baseline"]), color="0.5", linestyle="--")
    left.set(title=f"accuracy on test images of {found['set']}", xlabel="step")
    left.legend(fontsize="x-small", loc="lower right")
    for number, norm in enumerate(NORMS):
        values = [found["by size"][norm, size] for size in (2, 32)]
        right.bar(np.arange(2) + 0.25 * (number - 1), values, 0.22, label=norm)
    right.set(title="accuracy by batch size", xticks=[0, 1], xticklabels=["2", "32"])
    right.legend(fontsize="small", loc="lower right")
