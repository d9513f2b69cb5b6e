"""A deep ensemble knows what it does not know: a curve with a gap in its data, and the spread of ten nets.

Ten nets with two outputs, mean and log variance, learn the distribution of noisy points by the negative
logarithm of the likelihood, all in one program. The ensemble is their mixture: noise is what the members
say themselves, doubt is where they differ, which is largest in the gap.

    python examples/deep_ensemble.py [--members 10] [--steps 1500]

Source: Lakshminarayanan et al. 2017, https://arxiv.org/abs/1612.01474.
"""

from __future__ import annotations

import argparse

import numpy as np

import ravine as rv
from ravine import nn, optim


def points(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A sine with noise that grows to the right; nothing was measured between -0.4 and 0.4."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.4, 1, n) * rng.choice([-1, 1], n)
    y = np.sin(4 * x) + rng.normal(size=n) * (0.03 + 0.15 * (x > 0))
    return x[:, None], y[:, None]


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(1, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 2))


def likelihood(member: nn.Module, x: rv.Tensor, y: rv.Tensor) -> rv.Tensor:
    """The mean of -log p(y) under a normal distribution, up to a constant."""
    output = member(x)
    mean, log_variance = output[:, :1], output[:, 1:].clamp(-10, 5)
    return (0.5 * (log_variance + (y - mean).square() / log_variance.exp())).mean()


def main(argv: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description="A deep ensemble on a curve with a gap.")
    parser.add_argument("--members", type=int, default=10)
    parser.add_argument("--steps", type=int, default=1500)
    arguments = parser.parse_args(argv)
    rv.seed(0)
    x, y = points(256)
    ensemble = rv.Ensemble(net, arguments.members)
    step = rv.TrainStep(likelihood, ensemble, optim.Adam(lr=3e-3, clip_norm=1.0))
    # Every member draws its mini-batches itself: arrays [members, 64, 1].
    source = rv.data.MemberBatches(x, y, n=arguments.members, batch_size=64, drop_last=True, seed=1)
    while step.steps[0] < arguments.steps:
        for batch in source:
            losses = step(*batch, each=True)
    print(f"negative log-likelihood of the members: {losses.mean():.3f} ± {losses.std():.3f}")

    found: dict[str, float] = {}
    for place, at in (("left", -0.7), ("gap", 0.0), ("right", 0.7), ("outside", 2.5)):
        members = ensemble.predict([[at]]).members[:, 0]
        noise = float(np.sqrt(np.exp(members[:, 1].clip(-10, 5)).mean()))
        doubt = float(members[:, 0].std())
        found |= {f"{place} noise": noise, f"{place} doubt": doubt}
        print(f"{place:8} x={at:5.2f}: {members[:, 0].mean():6.3f}, noise {noise:.3f}, doubt {doubt:.3f}")
    return found


if __name__ == "__main__":
    main()
