"""Adaptive rates: corrections, rates that die, and where Adam fails.

Adam divides a running mean of the gradient by the root of a running mean of its square. Both start at
zero, and the second forgets more slowly, so without the correction for this bias the first steps are much
longer than the rate says: (1 - β₁)/sqrt(1 - β₂) = 3.2 times for the usual constants. Adagrad sums squares
instead and never forgets: a few large gradients at the start leave it with a tiny rate for good, while
RMSprop recovers as soon as they have faded from its mean. And Adam's forgetting can mislead it: where a
rare large gradient carries the information and many small ones point the other way, it goes to the wrong
end. AMSGrad, which divides by the largest mean so far, does not.

The third experiment is the online problem by which Reddi and others prove it: a weight in [-1, 1]
(Ravine's `constraint=` of a parameter), whose gradient is 4 in every third step and -1 in the others. Over
three steps that is 2, so the best weight is -1. Betas are 0 and 1/17, as in the proof.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import ravine as rv
from ravine import nn, optim
from ravine.nn import constraints

from .tools import Claim, Point

LARGE = 4.0


def follow(gradients: np.ndarray, optimizer: optim.Optimizer, start: float = 0.0) -> np.ndarray:
    """The path of one weight that is given these gradients, one a step."""
    point = Point([start])
    step = rv.TrainStep(lambda model, gradient: (model() * gradient).sum(), point, optimizer)
    path = [start]
    for gradient in gradients:
        step(np.array([gradient]))
        path.append(float(point.at.data[0]))
    return np.array(path)


class Bounded(nn.Module):
    """A weight in [-1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.at = nn.Parameter(np.zeros(1), constraint=constraints.Bounds(-1.0, 1.0))


def online(optimizer: optim.Optimizer, steps: int) -> np.ndarray:
    """The path of the weight in Reddi's online problem."""
    weight = Bounded()
    step = rv.TrainStep(lambda model, gradient: (model.at * gradient).sum(), weight, optimizer)
    path = [0.0]
    for count in range(steps):
        step(np.array([LARGE if count % 3 == 0 else -1.0]))
        path.append(float(weight.at.data[0]))
    return np.array(path)


def experiment(fast: bool, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    steps = 1500 if fast else 10000
    noise = 1 + 0.1 * rng.standard_normal(200)
    first = follow(noise, optim.Adam(lr=0.001))
    # Without the corrections Adam's rate is multiplied by their inverse, sqrt(1 - β₂^t)/(1 - β₁^t) taken out.
    count = np.arange(1, 201)
    inverse = (1 - 0.9**count) / np.sqrt(1 - 0.999**count)
    uncorrected = follow(
        noise, optim.Adam(lr=optim.schedules.Piecewise(list(count[:-1]), list(0.001 * inverse)))
    )
    betas = (0.0, 1 / (1 + LARGE**2))
    large_first = np.concatenate([np.full(10, 1000.0), np.ones(steps)])
    return {
        "corrected": -np.diff(first) / 0.001,
        "uncorrected": -np.diff(uncorrected) / 0.001,
        "Adagrad": -np.diff(follow(large_first, optim.Adagrad(lr=0.01))) / 0.01,
        "RMSprop": -np.diff(follow(large_first, optim.RMSprop(lr=0.01))) / 0.01,
        "online": {
            "Adam": online(optim.Adam(lr=0.01, betas=betas), steps),
            "AMSGrad": online(optim.Adam(lr=0.01, betas=betas, amsgrad=True), steps),
        },
    }


def claims(found: dict[str, Any]) -> list[Claim]:
    longest, corrected = found["uncorrected"].max(), found["corrected"].max()
    adagrad, rmsprop = found["Adagrad"][-1], found["RMSprop"][-1]
    adam, amsgrad = found["online"]["Adam"], found["online"]["AMSGrad"]
    return [
        Claim(
            "Kingma and Ba 2015, sections 3 and 6.4",
            "without the correction of the bias the first steps are several times too long",
            f"longest of 200 steps over the rate: {longest:.1f} without, {corrected:.2f} with the correction",
            longest > 3 > 1.2 > corrected,
        ),
        Claim(
            "Kingma and Ba 2015, section 3",
            "without it the first step is (1 - 0.9)/sqrt(1 - 0.999) = 3.16 times the rate",
            f"{found['uncorrected'][0]:.3f} times",
            abs(found["uncorrected"][0] - 3.162) < 0.01,
        ),
        Claim(
            "Duchi et al. 2011; Hinton 2012, lecture 6e",
            "after ten gradients of 1000 Adagrad's steps stay tiny",
            f"{adagrad:.1e} of the rate after {len(found['Adagrad']) - 10} gradients of 1",
            adagrad < 1e-3,
        ),
        Claim(
            "Hinton 2012, lecture 6e, RMSprop",
            "a running mean of squares forgets them",
            f"{rmsprop:.2f} of the rate, {rmsprop / adagrad:.0f} times Adagrad's",
            0.9 < rmsprop < 1.1,
        ),
        Claim(
            "Reddi et al. 2018, theorem 1",
            "Adam goes to the worst weight, 1",
            f"weight {adam[-1]:+.2f} after {len(adam) - 1} steps",
            adam[-1] > 0.9,
        ),
        Claim(
            "Reddi et al. 2018, section 4",
            "AMSGrad goes to the best, -1",
            f"weight {amsgrad[-1]:+.2f}",
            amsgrad[-1] < -0.9,
        ),
    ]


def draw(figure: Any, found: dict[str, Any]) -> None:
    left, middle, right = figure.subplots(1, 3)
    for name in ("corrected", "uncorrected"):
        left.plot(1 + np.arange(200), found[name], label=f"Adam, {name}")
    left.set(title="gradients near 1", xlabel="step", ylabel="step length over rate")
    left.legend(fontsize="small")
    for name in ("Adagrad", "RMSprop"):
        middle.loglog(1 + np.arange(len(found[name])), found[name], label=name)
    middle.set(title="ten gradients of 1000, then 1", xlabel="step", ylabel="step length over rate")
    middle.legend(fontsize="small")
    for name, path in found["online"].items():
        right.plot(path[:1001], label=name)
    right.axhline(-1, color="0.5", linestyle="--")
    right.set(title="Reddi's problem, best at -1", xlabel="step", ylabel="weight")
    right.legend(fontsize="small")
