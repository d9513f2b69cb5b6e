"""Rates: too low, right, too high, and rates that fall.

One number decides more than all others. A net of two hidden layers learns handwritten digits by plain
stochastic gradient descent with rates from 0.001 to 30: too low and it has hardly begun when the time is
over, right and it learns, too high and it bounces or never recovers. Smith's range test finds the region
in one short run whose rate grows from step to step, stopped when the loss explodes. Later, noise is what
is left: a loss that seemed to have settled drops at once when the rate is divided by ten, as the curves of
residual networks showed. On the right every schedule gets the same peak rate, the same steps and the same
order of batches; what falls to nothing in the end finishes lower than the constant rate, on examples that
are a little noisy (a tenth of the labels is wrong, and the loss counted is that of all training examples).
"""

from __future__ import annotations

from typing import Any

import numpy as np

import ravine as rv
from ravine import nn, optim
from ravine.optim import schedules

from .tools import Claim, digits, mean_loss, mlp, train

RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
PEAK = 0.2


def run(x, y, lr: Any, epochs: int, seed: int, batch_size: int = 16) -> tuple[np.ndarray, float]:
    """The losses of the steps, and the loss of all examples in the end."""
    rv.seed(seed)
    model = mlp((64, 32, 32, 10))
    losses = train(model, optim.SGD(lr=lr), x, y, epochs=epochs, batch_size=batch_size, seed=seed)
    return losses, mean_loss(model, x, y)


def curves(steps: int) -> dict[str, optim.schedules.Schedule]:
    """Schedules from the same peak over the same steps."""
    return {
        "constant": schedules.Constant(PEAK),
        "step": schedules.MultiStep(PEAK, [steps // 2, 3 * steps // 4]),
        "linear": schedules.Linear(PEAK, 0.0, steps),
        "cosine": schedules.Cosine(PEAK, steps),
        "exponential": schedules.Exponential(PEAK, 0.01 ** (1 / steps)),
        "inverse time": schedules.InverseTime(PEAK, 10 / steps),
        "one cycle": schedules.OneCycle(PEAK, steps),
        "restarts": schedules.CosineRestarts(PEAK, -(-steps // 3)),
    }


def experiment(fast: bool, seed: int = 0) -> dict[str, Any]:
    x, y, *_ = digits()
    noisy = y.copy()
    wrong = np.random.default_rng(seed).permutation(len(y))[: len(y) // 10]
    noisy[wrong] = (y[wrong] + 1 + wrong % 9) % 10
    epochs = 3 if fast else 20
    steps = epochs * (len(x) // 16)
    found: dict[str, Any] = {"steps": steps, "grid": {rate: run(x, y, rate, epochs, seed) for rate in RATES}}
    rv.seed(seed)
    found["test"] = rv.train.lr_range_test(
        mlp((64, 32, 32, 10)),
        nn.CrossEntropyLoss(),
        optim.SGD(),
        x,
        y,
        lr_min=1e-3,
        lr_max=30,
        steps=400,
        seed=seed,
    )
    noisy_steps = 2 * epochs * (len(x) // 4)
    falling = curves(noisy_steps)
    found["schedules"] = {
        name: run(x, noisy, curve, 2 * epochs, seed, batch_size=4) for name, curve in falling.items()
    }
    found["rates"] = {name: curve.values(noisy_steps) for name, curve in falling.items()}
    return found


def claims(found: dict[str, Any]) -> list[Claim]:
    final = {rate: np.nan_to_num(end, nan=np.inf) for rate, (_, end) in found["grid"].items()}
    best = min(final, key=lambda rate: final[rate])
    suggested = found["test"].suggestion
    ends = {name: end for name, (_, end) in found["schedules"].items()}
    zero = ("linear", "cosine", "one cycle")
    losses, half = found["schedules"]["step"][0], len(found["schedules"]["step"][0]) // 2
    before, after = (losses[part].mean() for part in (slice(half - 400, half), slice(half + 10, half + 410)))
    return [
        Claim(
            "CS231n, Neural networks 3, loss functions over time",
            "too low a rate hardly learns, too high a rate never does",
            f"loss after {found['steps']} steps: {final[0.001]:.2f} at 0.001, {final[best]:.3f} at the best, "
            f"{best:g}, {final[30.0]:.2g} at 30",
            final[best] < 0.5 < 1.5 < min(final[0.001], final[30.0]),
        ),
        Claim(
            "Bengio 2012, Practical recommendations, section 3.1.1",
            "the best rate lies within a factor of about two to ten of the largest that does not diverge",
            f"best {best:g}; the largest of the grid that ends below the loss of guessing is "
            f"{max(rate for rate in RATES if final[rate] < np.log(10)):g}",
            max(rate for rate in RATES if final[rate] < np.log(10)) <= 11 * best,
        ),
        Claim(
            "Smith 2017, Cyclical learning rates, section 3.3",
            "one short run with a growing rate finds the region of the best rates",
            f"suggests {suggested:.2g}; the best of the grid is {best:g}",
            best / 5 < suggested < 5 * best,
        ),
        Claim(
            "He et al. 2016, Deep residual learning, figure 4",
            "the loss drops at once when the rate is divided by ten",
            f"mean loss of 400 steps: {before:.3f} before, {after:.3f} after",
            after < 0.95 * before,
        ),
        Claim(
            "Robbins and Monro 1951; Loshchilov and Hutter 2017",
            "rates that fall to zero end lower than a constant one",
            "; ".join(f"{name} {end:.3f}" for name, end in ends.items()),
            max(ends[name] for name in zero) < ends["constant"],
        ),
    ]


def draw(figure: Any, found: dict[str, Any]) -> None:
    left, middle, right, last = figure.subplots(1, 4)
    for rate in (0.001, 0.03, 0.3, 3.0, 30.0):
        losses = found["grid"][rate][0]
        width = max(1, len(losses) // 40)
        smooth = losses[: len(losses) // width * width].reshape(-1, width).mean(1)
        left.plot(width * np.arange(len(smooth)), np.minimum(smooth, 4), label=f"{rate:g}")
    left.set(title="rates (cut at 4)", xlabel="step", ylabel="loss")
    left.legend(fontsize="x-small")
    test = found["test"]
    middle.semilogx(test.lrs, test.smoothed)
    middle.axvline(test.suggestion, color="0.5", linestyle="--")
    middle.set(title="range test", xlabel="rate", ylabel="smoothed loss")
    for name, rates in found["rates"].items():
        right.plot(rates, linewidth=1, label=name)
    right.set(title="schedules", xlabel="step", ylabel="rate")
    ends = {name: end for name, (_, end) in found["schedules"].items()}
    last.barh(list(ends), list(ends.values()), color=[f"C{i}" for i in range(len(ends))])
    last.set(title="final loss", xlabel="loss, noisy labels")
