"""A temporal convolutional network foretells a series with a day and a week in it.

Hourly values, say of a power grid, rise by day and fall by night, less so at weekends, wander slowly, and
are noisy. At every hour the network foretells the next 24 from all that it sees before (Bai et al. 2018:
dilated causal convolutions, so one pass trains on all hours of a window). Beside it stand the usual naive
forecasts: the same hour of yesterday, and that of a week ago.

    python examples/series_tcn.py --steps 300
"""

from __future__ import annotations

import argparse

import numpy as np

import ravine as rv
from ravine import ops, optim

HOURS, AHEAD, WINDOW, BATCH = 24 * 7 * 60, 24, 512, 8


def load(rng):
    """Values of HOURS hours, float32."""
    hours = np.arange(HOURS)
    day = np.sin(2 * np.pi * hours / 24 - 2) + 0.4 * np.sin(4 * np.pi * hours / 24)
    weekend = (hours // 24) % 7 >= 5
    wander = np.cumsum(rng.normal(0, 0.02, HOURS))
    wander -= np.convolve(wander, np.ones(24 * 14) / (24 * 14), mode="same")
    return (np.where(weekend, 0.3, 1.0) * day + wander + rng.normal(0, 0.1, HOURS)).astype("float32")


def windows(series, starts):
    """Inputs [n, 1, WINDOW] and, at each of their hours, the next AHEAD values: [n, AHEAD, WINDOW]."""
    hours = starts[:, None] + np.arange(WINDOW)
    following = hours[:, None, :] + np.arange(1, AHEAD + 1)[:, None]
    return series[hours][:, None], series[following]


def loss(foretold, following):
    """The mean absolute error behind the first week, before which no week has been seen."""
    return ops.mean(ops.abs(foretold[:, :, 24 * 7 :] - following[:, :, 24 * 7 :]))


def main(steps):
    rv.seed(0)
    rng = np.random.default_rng(0)
    series = load(rng)
    first = HOURS * 3 // 4  # of the test
    model = rv.models.tcn(1, (24,) * 6, AHEAD, kernel_size=3, dropout=0.0)
    print(f"{HOURS} hours; a forecast sees the last {model.receptive_field}")
    step = rv.TrainStep(model, loss, optim.Adam(lr=optim.schedules.Cosine(5e-3, steps)))
    for i in range(steps):
        value = step(*windows(series, rng.integers(0, first - WINDOW - AHEAD, BATCH)))
        if i % (steps // 4) == 0:
            print(f"step {i}: error {value:.3f}")

    x, following = windows(series, np.arange(first, HOURS - WINDOW - AHEAD, WINDOW))
    foretold = model.eval()(x)
    seen = np.arange(24 * 7, WINDOW)  # the hours at which a whole week is known
    hours = seen + np.arange(1, AHEAD + 1)[:, None]
    before = {"yesterday": hours - 24, "a week ago": hours - 24 * 7}
    whole = np.concatenate([x[:, 0], following[:, :, -1]], axis=1)
    print(f"error of the next {AHEAD} hours, on {len(x)} unseen windows:")
    print(f"  network: {np.abs(foretold - following)[..., seen].mean():.3f}")
    for name, taken in before.items():
        print(f"  as {name}: {np.abs(whole[:, taken] - following[..., seen]).mean():.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=300, help="updates, at least 4")
    main(parser.parse_args().steps)
