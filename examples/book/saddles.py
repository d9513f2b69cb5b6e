"""Saddles, plateaus and units that are dead.

At a saddle the gradient is zero and the loss is not at a minimum. Started exactly on its ridge, gradient
descent never leaves; a little noise in the gradient is enough, since whatever falls on the downhill side
grows from step to step. Newton's method, which divides by the curvature, takes the sign of a negative one
for granted and is attracted; with absolute eigenvalues (saddle-free Newton), or damped until the step
descends, it leaves. Two units that start equal sit on such a ridge: their gradients are the same, so they
stay the same until something tells them apart. And there are flat places that are no saddles: sigmoids
driven to their ends, rectifiers pushed below zero for every input. `diagnostics.check` names them in nets
that are made sick on purpose.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import ravine as rv
from ravine import diagnostics, nn, optim

from .tools import Claim, descend, digits, first_below, mlp

RIDGE = [1.0, 0.0]


def valley(at):
    """A saddle at (0, 0), minima of -1/4 at (0, 1) and (0, -1)."""
    return 0.5 * at[0] ** 2 - 0.5 * at[1] ** 2 + 0.25 * at[1] ** 4


def pure_newton(start: list[float], steps: int) -> np.ndarray:
    """Undamped Newton steps by exact Hessians: the path."""
    gradient = rv.value_and_grad(valley)
    at, path = np.array(start), [np.array(start)]
    for _ in range(steps):
        hessian = np.diag([1.0, 3 * at[1] ** 2 - 1])
        at = at - np.linalg.solve(hessian, gradient(at)[1])
        path.append(at)
    return np.array(path)


def hidden_units_apart(noise: bool, seed: int) -> np.ndarray:
    """How far two units of the same start are from each other, step after step."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((64, 3))
    y = np.tanh(x @ [1.0, -2.0, 0.5])[:, None] - np.tanh(x @ [0.5, 1.0, 1.0])[:, None]
    rv.seed(seed)
    model = nn.Sequential(
        nn.Linear(3, 2, weight_init=0.3, bias_init="zeros"), nn.Tanh(), nn.Linear(2, 1, weight_init=0.3)
    )
    model.to("float64")
    optimizer = optim.SGD(lr=0.1, noise=(1e-4, 0.55) if noise else None)
    step = rv.TrainStep(model, nn.MSELoss(), optimizer)
    distances = []
    for _ in range(1000):
        step(x, y)
        distances.append(float(np.abs(model[0].weight.data[0] - model[0].weight.data[1]).max()))
    return np.array(distances)


def experiment(fast: bool, seed: int = 0) -> dict[str, Any]:
    steps = 400
    rv.seed(seed)
    found: dict[str, Any] = {
        "descent": descend(valley, RIDGE, optim.SGD(lr=0.1), steps),
        "noise": descend(valley, RIDGE, optim.SGD(lr=0.1, noise=(1e-4, 0.55)), steps),
        "newton": pure_newton([0.5, 0.3], 8),
        "damped": rv.minimize(valley, np.array([0.5, 0.3]), method="newton"),
        "saddle-free": rv.minimize(valley, np.array([0.5, 0.3]), method="newton", saddle_free=True),
        "apart": {noise: hidden_units_apart(noise, seed) for noise in (False, True)},
    }
    x, y, *_ = digits()
    x = ((x - x.mean(0)) / x.std()).astype("float32")[:512]
    sick = {}
    for name, activation in (("healthy", nn.ReLU), ("dead_units", nn.ReLU), ("saturated", nn.Sigmoid)):
        rv.seed(seed)
        model = mlp((64, 32, 10), activation)
        if name == "dead_units":
            model[0].bias.data[...] = -100.0
        if name == "saturated":
            model[0].weight.data[...] *= 200.0
        findings = diagnostics.check(model, x, y[:512], nn.CrossEntropyLoss())
        sick[name] = [finding.name for finding in findings]
        _, gradients = rv.value_and_grad(lambda m: nn.CrossEntropyLoss()(m(x), y[:512]), model)()
        sick[name, "gradient"] = float(np.abs(gradients["0.weight"]).mean())
    found["sick"] = sick
    return found


def claims(found: dict[str, Any]) -> list[Claim]:
    descent, noise = found["descent"][0], found["noise"][0]
    newton, apart, sick = found["newton"][-1], found["apart"], found["sick"]
    escaped = first_below(noise, -0.2)
    return [
        Claim(
            "Ge et al. 2015, section 1; Goodfellow et al. 2016, section 8.2.3",
            "descent from the ridge ends at the saddle, a little noise of the gradient leads away",
            f"loss {descent[-1]:.1e} without; {noise[-1]:.3f} with noise of 0.01, "
            f"below -0.2 after {escaped} steps",
            abs(descent[-1]) < 1e-6 and noise[-1] < -0.24,
        ),
        Claim(
            "Dauphin et al. 2014, section 4",
            "pure Newton steps are attracted by the saddle",
            f"{np.abs(newton).max():.1e} from the saddle after 8 steps from (0.5, 0.3)",
            np.abs(newton).max() < 1e-3,
        ),
        Claim(
            "Dauphin et al. 2014, section 5",
            "with absolute eigenvalues it goes to a minimum",
            f"value {found['saddle-free'].fun:.4f} after {found['saddle-free'].nit} steps",
            found["saddle-free"].fun < -0.249,
        ),
        Claim(
            "Nocedal and Wright 2006, section 4.3",
            "damping until the step descends does, too",
            f"value {found['damped'].fun:.4f} after {found['damped'].nit} steps",
            found["damped"].fun < -0.249,
        ),
        Claim(
            "Goodfellow et al. 2016, section 8.4",
            "units that start equal stay equal, until they are perturbed",
            f"apart by {apart[False][-1]:.1e} after {len(apart[False])} steps, "
            f"by {apart[True][-1]:.2g} with noise",
            apart[False][-1] < 1e-9 and apart[True][-1] > 1e-2,
        ),
        Claim(
            "Glorot and Bengio 2010, section 3; Maas et al. 2013, section 2",
            "saturated sigmoids and dead rectifiers pass no gradient, and `check` names them",
            f"mean gradient over that of the healthy net: "
            f"dead {sick['dead_units', 'gradient']:.1g}, saturated "
            f"{sick['saturated', 'gradient'] / sick['healthy', 'gradient']:.2g}; "
            f"found: {', '.join(sorted({*sick['dead_units'], *sick['saturated']}))}; "
            f"healthy: {', '.join(sick['healthy']) or 'nothing'}",
            "dead_units" in sick["dead_units"]
            and "saturated" in sick["saturated"]
            and not sick["healthy"]
            and sick["dead_units", "gradient"] == 0,
        ),
    ]


def draw(figure: Any, found: dict[str, Any]) -> None:
    left, middle, right = figure.subplots(1, 3)
    a, b = np.meshgrid(np.linspace(-0.6, 1.1, 80), np.linspace(-1.3, 1.3, 80))
    surface = 0.5 * a**2 - 0.5 * b**2 + 0.25 * b**4
    left.contour(a, b, surface, levels=14, colors="0.75", linewidths=0.7)
    paths = {"descent": found["descent"][1], "with noise": found["noise"][1], "Newton": found["newton"]}
    for name, path in paths.items():
        left.plot(*path.T, ".-", markersize=3, linewidth=1, label=name)
    left.set(title="a saddle", xlim=(-0.6, 1.1), ylim=(-1.3, 1.3))
    left.legend(fontsize="small", loc="upper right")
    middle.plot(found["descent"][0], label="descent")
    middle.plot(found["noise"][0], label="with noise")
    middle.set(title="loss from the ridge", xlabel="step", ylabel="loss")
    middle.legend(fontsize="small")
    for noise, distances in found["apart"].items():
        right.semilogy(np.maximum(distances, 1e-18), label="with noise" if noise else "without")
    right.set(title="two units of one start", xlabel="step", ylabel="difference of their weights")
    right.legend(fontsize="small")
