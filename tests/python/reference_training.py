"""A training run in NumPy, from the formulas alone: what test_run_by_model.py expects.

The model is `y = (x A^T + a) B^T + b` under the mean squared error.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]


def gradients(w: Arrays, x: np.ndarray, y: np.ndarray) -> tuple[float, Arrays]:
    """The loss and its gradients."""
    hidden = x @ w["0.weight"].T + w["0.bias"]
    error = hidden @ w["1.weight"].T + w["1.bias"] - y
    slope = 2 * error / error.size
    below = slope @ w["1.weight"]
    return float((error**2).mean()), {
        "0.weight": below.T @ x,
        "0.bias": below.sum(0),
        "1.weight": slope.T @ hidden,
        "1.bias": slope.sum(0),
    }


class Run:
    """Weights, and what an optimizer keeps of them.

    Args:
        weights: as they begin.
        kind: "sgd" (with momentum) or "adam".
        accumulate: calls that make an update, that of a batch of all their examples.
        decay: of an exponential mean of the weights with bias correction; None: there is none.
        lookahead: (k, alpha); None: there is none.
        numbers: lr, momentum, clip_value and clip_global_norm (None: no bound).
    """

    def __init__(
        self,
        weights: Arrays,
        kind: str,
        accumulate: int,
        decay: float | None,
        lookahead: tuple[int, float] | None,
        numbers: dict[str, Any],
    ) -> None:
        self.w = {name: np.array(value) for name, value in weights.items()}
        self.kind, self.accumulate, self.decay, self.lookahead = kind, accumulate, decay, lookahead
        self.numbers = dict(numbers)
        self.frozen: set[str] = set()
        self.steps = self.gathered = self.examples = self.skipped = 0
        self.own: dict[str, Arrays] = {name: {} for name in weights}  # of each parameter
        self.done = dict.fromkeys(weights, 0)  # steps of each parameter

    def saved(self) -> Run:
        """What a file keeps: neither which parameters are frozen nor how many calls were skipped."""
        return copy.deepcopy(self)

    def load(self, saved: Run) -> None:
        frozen, skipped = self.frozen, self.skipped
        self.__dict__.update(copy.deepcopy(saved).__dict__)
        self.frozen, self.skipped = frozen, skipped

    def step(self, x: np.ndarray, y: np.ndarray) -> float:
        loss, found = gradients(self.w, x, y)
        if not np.isfinite(loss):
            self.skipped += 1
            return loss
        g = {name: slope for name, slope in found.items() if name not in self.frozen}
        for name in self.frozen:  # a sum of gradients ends for those that leave it
            self.own[name].pop("sum", None)
        if self.accumulate > 1:
            for name in g:
                before = self.own[name].pop("sum", 0.0) if self.gathered else 0.0
                self.own[name]["sum"] = before + len(x) * g[name]
            self.examples = len(x) + (self.examples if self.gathered else 0)
            self.gathered += 1
            if self.gathered < self.accumulate:
                return loss
            g = {name: self.own[name].pop("sum") / self.examples for name in g}
            self.gathered = 0
        self.update(g)
        self.steps += 1
        return loss

    def update(self, g: Arrays) -> None:
        if (bound := self.numbers["clip_value"]) is not None:
            g = {name: np.clip(slope, -bound, bound) for name, slope in g.items()}
        if (bound := self.numbers["clip_global_norm"]) is not None:
            norm = np.sqrt(sum((slope**2).sum() for slope in g.values()))
            g = {name: slope * min(1.0, bound / (norm + 1e-6)) for name, slope in g.items()}
        for name, slope in g.items():
            own = self.own[name]
            own.setdefault("slow", self.w[name].copy())
            own.setdefault("average", self.w[name].copy())
            self.done[name] += 1
            move = self.adam(own, slope, self.done[name]) if self.kind == "adam" else self.sgd(own, slope)
            self.w[name] = self.w[name] - self.numbers["lr"] * move
            if self.lookahead is not None and (self.steps + 1) % self.lookahead[0] == 0:
                own["slow"] = own["slow"] + self.lookahead[1] * (self.w[name] - own["slow"])
                self.w[name] = own["slow"].copy()
            if self.decay is not None:
                share = (1 - self.decay) / (1 - self.decay ** (self.steps + 1))
                own["average"] = own["average"] + share * (self.w[name] - own["average"])

    def sgd(self, own: Arrays, slope: np.ndarray) -> np.ndarray:
        if self.numbers["momentum"] == 0:
            own.pop("velocity", None)
            return slope
        own["velocity"] = self.numbers["momentum"] * own.get("velocity", 0.0) + slope
        return own["velocity"]

    def adam(self, own: Arrays, slope: np.ndarray, t: int) -> np.ndarray:
        own["m"] = 0.9 * own.get("m", 0.0) + 0.1 * slope
        own["v"] = 0.999 * own.get("v", 0.0) + 0.001 * slope**2
        return (own["m"] / (1 - 0.9**t)) / (np.sqrt(own["v"] / (1 - 0.999**t)) + 1e-8)

    def averages(self) -> Arrays:
        return {name: own.get("average", self.w[name]) for name, own in self.own.items()}
