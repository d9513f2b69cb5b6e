"""Ravines.

Two inputs near 1000 that differ by a few units from example to example: as the course of Hinton warns, a
linear model of them has a loss that is a ravine, a million times steeper across than along. Everything
that follows the gradient alone crawls along it; subtracting the mean makes the same problem round, and
gradient descent then needs a handful of steps. Rules with momentum or with a rate of their own for each
weight help where the ravine is moderate, and are no substitute for centring where it is not. Newton's
method does not care: for a quadratic it jumps to the minimum. Conjugate gradients need about as many
iterations as there are unknowns, in exact arithmetic; with line searches and rounding a few more.

The left figure shows paths in a ravine of condition number 100, the middle one the loss of the regression
before and after centring. Each first-order rule got the best of five rates (of 1, 0.3, 0.1 ... times the
inverse of the sharpest curvature for plain descent and momentum, and of 1, 0.3, 0.1, 0.03, 0.01 for the
adaptive ones). On the right a ball rolls down a plane with momentum: its speed becomes rate/(1 -
momentum).
"""

from __future__ import annotations

from typing import Any

import numpy as np

import ravine as rv
from ravine import ops, optim

from .tools import Claim, descend, first_below

GRID = (1.0, 0.3, 0.1, 0.03, 0.01)
RULES = {
    "descent": lambda lr: optim.SGD(lr=lr),
    "momentum": lambda lr: optim.SGD(lr=lr, momentum=0.9),
    "Nesterov": lambda lr: optim.SGD(lr=lr, momentum=0.9, nesterov=True),
    "Adagrad": lambda lr: optim.Adagrad(lr=lr),
    "RMSprop": lambda lr: optim.RMSprop(lr=lr),
    "Adam": lambda lr: optim.Adam(lr=lr),
}
CURVATURES = np.array([1.0, 100.0])


def ravine(at):
    return 0.5 * (at * at * CURVATURES).sum()


def regression(x: np.ndarray, y: np.ndarray):
    return lambda at: 0.5 * ops.square(ops.matmul(x, at) - y).mean()


def best_of(function, start, rule: str, sharpness: float, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The run that ends lowest among five rates."""
    scale = 1 / sharpness if rule in ("descent", "momentum", "Nesterov") else 1.0
    runs = [descend(function, start, RULES[rule](scale * rate), steps) for rate in GRID]
    return min(runs, key=lambda run: np.nan_to_num(run[0][-1], nan=np.inf))


def experiment(fast: bool, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    steps = 100 if fast else 1000
    raw = 1000 + rng.uniform(-3, 3, (200, 2))
    target = raw @ [1.0, -1.0]
    found: dict[str, Any] = {"condition": {}, "losses": {}, "minimize": {}, "paths": {}}
    for form, x in (("raw", raw), ("centred", raw - raw.mean(0))):
        y = target if form == "raw" else target - target.mean()
        curvatures = np.linalg.eigvalsh(x.T @ x / len(x))
        found["condition"][form] = curvatures[-1] / curvatures[0]
        loss, start = regression(x, y), np.zeros(2)
        found["losses"][form] = {
            rule: best_of(loss, start, rule, curvatures[-1], steps)[0] / np.mean(0.5 * y**2) for rule in RULES
        }
        results = {method: rv.minimize(loss, start, method=method) for method in ("newton", "cg", "l-bfgs")}
        found["minimize"][form] = {
            method: (result.nit, float(np.abs(result.x - [1, -1]).max()))
            for method, result in results.items()
        }
    for rule in ("descent", "momentum", "Nesterov", "Adam"):
        found["paths"][rule] = best_of(ravine, [10.0, 1.0], rule, 100.0, steps)[1]
    speed = descend(lambda at: at.sum(), [0.0], optim.SGD(lr=0.01, momentum=0.9), 100)[1]
    found["speed"] = -np.diff(speed[:, 0])
    return found


def claims(found: dict[str, Any]) -> list[Claim]:
    condition, losses = found["condition"], found["losses"]
    raw, centred = (losses[form]["descent"] for form in ("raw", "centred"))
    needed = first_below(centred, 1e-3)
    bent = {rule: ravine_value(found["paths"][rule][50]) for rule in found["paths"]}
    newton, conjugate = found["minimize"]["raw"]["newton"], found["minimize"]["centred"]["cg"]
    factor = found["speed"][-1] / 0.01
    return [
        Claim(
            "Hinton, Coursera 2012, lecture 6b, shifting the inputs",
            "inputs far from zero make a narrow ravine, centring makes it round",
            f"condition number {condition['raw']:.2g} before, {condition['centred']:.2f} after centring",
            condition["raw"] > 1e4 > 10 > condition["centred"],
        ),
        Claim(
            "LeCun et al. 1998, Efficient BackProp, section 4.3",
            "gradient descent learns centred inputs in few steps and crawls without",
            f"centred: below a thousandth of the loss after step {needed}; "
            f"raw: {raw[-1]:.1%} of it left after {len(raw)}",
            needed is not None and needed < 50 and raw[-1] > 0.1,
        ),
        Claim(
            "Polyak 1964; Sutskever et al. 2013, section 2",
            "momentum goes through a ravine of condition number 100 faster than descent",
            f"loss after 50 steps: descent {bent['descent']:.2g}, momentum {bent['momentum']:.2g}, "
            f"Nesterov {bent['Nesterov']:.2g}",
            max(bent["momentum"], bent["Nesterov"]) < 0.1 * bent["descent"],
        ),
        Claim(
            "Nocedal and Wright 2006, section 3.3",
            "Newton's method is at the minimum of a quadratic in one step, however ill-conditioned",
            f"{newton[0]} step on the raw inputs, {newton[1]:.1e} from the minimum",
            newton[0] == 1 and newton[1] < 1e-3,
        ),
        Claim(
            "Nocedal and Wright 2006, theorem 5.1",
            "conjugate gradients end after as many iterations as there are unknowns, two",
            f"{conjugate[0]} iterations on the centred inputs, {conjugate[1]:.1e} from the minimum",
            conjugate[0] <= 2,
        ),
        Claim(
            "Hinton, Coursera 2012, lecture 6c, the momentum method",
            "terminal velocity is rate/(1 - momentum): 10 times the rate for 0.9",
            f"{factor:.3f} times the rate after 100 steps down a plane",
            abs(factor - 10) < 0.01,
        ),
    ]


def ravine_value(at: np.ndarray) -> float:
    return float(0.5 * (at * at * CURVATURES).sum())


def draw(figure: Any, found: dict[str, Any]) -> None:
    left, middle, right = figure.subplots(1, 3)
    a, b = np.meshgrid(np.linspace(-4, 11, 80), np.linspace(-1.3, 1.3, 80))
    left.contour(
        a, b, 0.5 * (a * a + 100 * b * b), levels=np.geomspace(0.5, 90, 8), colors="0.75", linewidths=0.7
    )
    for rule, path in found["paths"].items():
        left.plot(*path[:50].T, ".-", markersize=3, linewidth=1, label=rule)
    left.set(title="50 steps in a ravine", xlim=(-4, 11), ylim=(-1.3, 1.3))
    left.legend(fontsize="small", loc="upper left")
    for number, rule in enumerate(RULES):
        for form, line in (("raw", "-"), ("centred", ":")):
            losses = np.maximum(found["losses"][form][rule], 1e-12)
            label = rule if form == "raw" else None
            middle.loglog(1 + np.arange(len(losses)), losses, line, color=f"C{number}", label=label)
    middle.set(title="regression (dotted: centred)", xlabel="step", ylabel="loss over loss of zero weights")
    middle.legend(fontsize="small")
    right.plot(found["speed"] / 0.01)
    right.axhline(10, color="0.5", linestyle="--")
    right.set(title="momentum 0.9 down a plane", xlabel="step", ylabel="step length over rate")
