"""Mini-batches: noise, what it is good for, and how to average it away.

The gradient of a batch is that of the whole set plus noise, whose variance falls as one over the size: a
hundred times the work for a tenth of the error. The noise is not only a nuisance. In a landscape with a
narrow and a wide valley of the same depth, a hundred weights are started in the narrow one; steps by large
batches stay in it, those by single examples are thrown out and gather in the wide one. And noise can be
averaged away: on a valley with noisy gradients the weights jump around the minimum for ever, at a distance
that the rate sets, while the mean of the path (Polyak and Ruppert) comes close to it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import ravine as rv
from ravine import diagnostics, nn, ops, optim

from .tools import Claim, Point, digits, mlp

SIZES = (1, 4, 16, 64, 256)
CURVATURES = np.array([1.0, 0.1])


def landscape(at):
    """A narrow valley at -1 and a wide one at 1, both one deep, in a wide bowl."""
    wells = ops.exp(-0.5 * ((at + 1) / 0.15) ** 2) + ops.exp(-0.5 * ((at - 1) / 0.8) ** 2)
    return 0.1 * at * at - wells


def in_the_narrow_valley(batch_size: int, steps: int, rng: np.random.Generator) -> np.ndarray:
    """Where 100 weights that start in the narrow valley end; each sees batches of its own."""
    weights = Point(np.full(100, -1.0))
    step = rv.TrainStep(lambda m, noise: (landscape(m.at) + m.at * noise).sum(), weights, optim.SGD(lr=0.02))
    for _ in range(steps):
        step(6.0 * rng.standard_normal(100) / np.sqrt(batch_size))
    return weights.at.data.copy()


def noisy_valley(average: Any, steps: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The last point and the average of a descent with noisy gradients, of 50 runs side by side."""
    start = np.tile([[3.0, 3.0]], (50, 1))
    point = Point(start)
    optimizer = optim.SGD(lr=0.3, average=average)
    step = rv.TrainStep(
        lambda m, noise: (0.5 * m.at * m.at * CURVATURES + m.at * noise).sum(), point, optimizer
    )
    path = []
    for _ in range(steps):
        step(rng.standard_normal(start.shape))
        path.append(point.at.data[0].copy())
    with optim.averaged(point):
        mean = point.at.data.copy()
    return np.array(path), np.stack([point.at.data, mean])


def experiment(fast: bool, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    rv.seed(seed)
    x, y, *_ = digits()
    noise = diagnostics.gradient_variance(
        mlp((64, 32, 10)), nn.CrossEntropyLoss(), x, y, SIZES, samples=64 if fast else 512, seed=seed
    )
    steps = 1500 if fast else 5000
    ends = {size: in_the_narrow_valley(size, steps, rng) for size in SIZES}
    path, ends_of_valley = noisy_valley(optim.Polyak(start=steps // 2), steps, rng)
    return {
        "variance": noise.variance,
        "ends": ends,
        "narrow": {size: float((np.abs(at + 1) < 0.4).mean()) for size, at in ends.items()},
        "wide": {size: float((np.abs(at - 1) < 1.5).mean()) for size, at in ends.items()},
        "path": path,
        "last": float(np.sqrt((ends_of_valley[0] ** 2).mean())),
        "mean": float(np.sqrt((ends_of_valley[1] ** 2).mean())),
        "steps": steps,
    }


def claims(found: dict[str, Any]) -> list[Claim]:
    slope = np.polyfit(np.log(SIZES), np.log(found["variance"]), 1)[0]
    narrow = found["narrow"]
    return [
        Claim(
            "Goodfellow et al. 2016, section 8.1.3",
            "the variance of the gradient falls as one over the batch size",
            f"as the size to the power {slope:.3f}, from 1 to 256 examples",
            -1.15 < slope < -0.85,
        ),
        Claim(
            "Keskar et al. 2017, section 2",
            "large batches stay in a narrow valley, by the noise of small ones most leave it",
            "still there: "
            + ", ".join(f"{share:.0%} by batches of {size}" for size, share in narrow.items()),
            narrow[256] > 0.9 and narrow[1] < 0.5,
        ),
        Claim(
            "Keskar et al. 2017",
            "what left it gathers in the wide one",
            f"{found['wide'][1]:.0%} of the weights by single examples, {found['wide'][256]:.0%} by 256",
            found["wide"][1] > 0.6,
        ),
        Claim(
            "Polyak and Juditsky 1992; Ruppert 1988",
            "the mean of the path is much nearer to the minimum than its end",
            f"distance (root of mean square): last point {found['last']:.3f}, mean of the second half of "
            f"{found['steps']} steps {found['mean']:.3f}",
            found["mean"] < 0.7 * found["last"],
        ),
    ]


def draw(figure: Any, found: dict[str, Any]) -> None:
    left, middle, right = figure.subplots(1, 3)
    left.loglog(SIZES, found["variance"], "o-", label="measured")
    left.loglog(SIZES, found["variance"][0] / np.array(SIZES), "--", color="0.5", label="one over the size")
    left.set(title="variance of the gradient", xlabel="batch size")
    left.legend(fontsize="small")
    grid = np.linspace(-2, 4, 400)
    middle.plot(grid, np.asarray(landscape(grid)), color="0.4")
    for number, (size, ends) in enumerate(found["ends"].items()):
        middle.plot(ends, np.full(len(ends), 0.1 + 0.12 * number), "|", label=f"batches of {size}")
    middle.set(title="where weights from the narrow valley end", xlim=(-2, 4))
    middle.legend(fontsize="x-small", loc="lower right")
    right.plot(*found["path"][:500].T, ".-", markersize=2, linewidth=0.5, label="weights")
    right.plot(
        *found["path"][len(found["path"]) // 2 :].mean(0), "o", color="C3", label="mean of the second half"
    )
    right.set(title="a valley with noisy gradients")
    right.legend(fontsize="small")
