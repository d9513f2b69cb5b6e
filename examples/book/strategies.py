"""Strategies: help for the gradient, and easier problems first.

Deep nets of sigmoids are slow to start from random weights: the gradient has faded before it comes to the
lower layers. Two ways round that are tried with six hidden layers on digits of 8 × 8 pixels: greedy
pre-training layer by layer, with targets or as autoencoders, and auxiliary heads, whose losses enter in the
middle. A third are hints, by which a student of 24 layers of 16 rectifiers learns what the middle layer of a
wide teacher says; distillation alone, without hints, is measured beside them. Whatever is compared was
trained for as many epochs in all, so that pre-training has to pay for itself. Shortcuts are the way that
stayed: plain towers are held against residual ones, with batch normalisation in both, and so are the norms
of their gradients by layer.

The last two shape the problem. Graduated non-convexity goes to a loss that ignores outliers, and is flat
where everything looks like one, by way of losses that ignore less. Curricula show easy examples first: here
four labels in ten of the training set are wrong, difficulty is the loss under a model that was trained on
other examples, and the same number of steps goes to an order without regard to it, from easy to hard, and
from hard to easy.

Everything is done with five seeds (three in the fast form), which draw the weights and the order of the
examples; what is compared is the mean, and a row says for how many seeds it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import numpy as np

import ravine as rv
from ravine import diagnostics, nn, ops, optim
from ravine.data import Batches
from ravine.train import strategies

from .tools import Claim, accuracy, digits, mean_loss, mlp, train

LOSS = nn.CrossEntropyLoss()
HIDDEN = 6


class Residual(nn.Module):
    """x plus what a layer makes of it."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return x + self.layer(x)


def tower(depth: int, width: int, shortcuts: bool) -> nn.Sequential:
    """`depth` equal layers with batch normalisation, between a first and a last one."""
    layers = [
        nn.Sequential(nn.Linear(width, width, weight_init="he_normal"), nn.BatchNorm1d(width), nn.ReLU())
        for _ in range(depth)
    ]
    return nn.Sequential(
        nn.Linear(64, width), *[Residual(one) if shortcuts else one for one in layers], nn.Linear(width, 10)
    )


def by_seed(run: Callable[[int], Any], fast: bool, seed: int) -> list[Any]:
    """What `run` returns for five seeds (three in the fast form), each of which also draws its weights."""
    results = []
    for own in range(3 if fast else 5):
        rv.seed(seed + own)
        results.append(run(seed + own))
    return results


def deep(width: int, hidden: int, activation: Any) -> nn.Sequential:
    sizes = (64, *[width] * hidden, 10)
    return mlp(sizes, activation, weight_init="xavier_uniform", bias_init="zeros")


def deep_sigmoids() -> nn.Sequential:
    return deep(32, HIDDEN, nn.Sigmoid)


def helped_gradients(fast: bool, seed: int) -> dict[str, list[float]]:
    """Accuracies on test digits of deep sigmoid nets, by how they were trained."""
    x, y, x_test, y_test = digits()
    stage = 3 if fast else 6
    epochs = stage * (HIDDEN + 4)
    adam = optim.Adam(lr=0.002)

    def alone(seed: int) -> float:
        model = deep_sigmoids()
        train(model, adam, x, y, epochs=epochs, seed=seed)
        return accuracy(model, x_test, y_test)

    def greedy(autoencoder: bool, seed: int) -> float:
        model = deep_sigmoids()
        strategies.greedy_pretrain(
            *(model, x, y, LOSS, adam), epochs=stage, fine_tune_epochs=epochs - stage * HIDDEN,
            autoencoder=autoencoder, seed=seed,
        )  # fmt: skip
        return accuracy(model, x_test, y_test)

    def heads(seed: int) -> float:
        model = deep_sigmoids()
        inner = {f"{2 * i + 1}": nn.Linear(32, 10) for i in range(HIDDEN - 1)}
        strategies.AuxiliaryHeads(model, inner).fit(x, y, LOSS, adam, epochs=epochs, seed=seed)
        return accuracy(model, x_test, y_test)

    return {
        "random start": by_seed(alone, fast, seed),
        "greedy, targets": by_seed(lambda own: greedy(False, own), fast, seed),
        "greedy, autoencoders": by_seed(lambda own: greedy(True, own), fast, seed),
        "auxiliary heads": by_seed(heads, fast, seed),
    }


def students(fast: bool, seed: int) -> dict[str, list[float]]:
    """Accuracies of thin deep students, by what they learned from; "teacher" is the wide shallow teacher."""
    x, y, x_test, y_test = digits()
    epochs = 12 if fast else 30
    adam = optim.Adam(lr=0.003)
    rv.seed(seed)
    teacher = mlp((64, 128, 128, 10))
    train(teacher, adam, x, y, epochs=epochs, seed=seed)

    def student() -> nn.Sequential:
        return deep(16, 24, nn.ReLU)

    def alone(seed: int) -> float:
        model = student()
        train(model, adam, x, y, epochs=epochs, seed=seed)
        return accuracy(model, x_test, y_test)

    def distilled(seed: int) -> float:
        model = student()
        strategies.distill(model, teacher, x, y, LOSS, adam, epochs=epochs, seed=seed)
        return accuracy(model, x_test, y_test)

    def hinted(seed: int) -> float:
        model, hints = student(), epochs // 4
        strategies.fitnet(
            *(model, teacher, x, y, LOSS, adam), hint="1", guided="23", hint_epochs=hints,
            epochs=epochs - hints, seed=seed,
        )  # fmt: skip
        return accuracy(model, x_test, y_test)

    return {
        "teacher": [accuracy(teacher, x_test, y_test)],
        "targets": by_seed(alone, fast, seed),
        "distilled": by_seed(distilled, fast, seed),
        "hints": by_seed(hinted, fast, seed),
    }


def depths(fast: bool, seed: int) -> dict[tuple[str, int], list[tuple[float, list[float]]]]:
    """By shortcuts and depth: training losses, and the norms of the gradient by layer at the start."""
    x, y, *_ = digits()
    x = ((x - x.mean(0)) / x.std()).astype("float32")
    epochs = 2 if fast else 10

    def run(depth: int, shortcuts: bool, seed: int) -> tuple[float, list[float]]:
        model = tower(depth, 32, shortcuts)
        found = diagnostics.inspect(model, x[:128], y[:128], LOSS)
        norms = [
            record.gradient_norm
            for path, record in found.items()
            if record.kind == "Linear" and path.count(".")
        ]
        train(model, optim.SGD(lr=0.02, momentum=0.9), x, y, epochs=epochs, batch_size=64, seed=seed)
        return mean_loss(model, x, y), norms

    return {
        (name, depth): by_seed(
            lambda own, depth=depth, name=name: run(depth, name == "residual", own), fast, seed
        )
        for name in ("plain", "residual")
        for depth in (4, 16 if fast else 48)
    }


def welsch(output: Any, y: Any, scale: float) -> Any:
    """Near the square of small errors, and one for errors far above the scale: these have no gradient."""
    return ops.mean(1 - ops.exp(-(((output - y) / scale) ** 2) / 2))


def outliers(fast: bool, seed: int) -> dict[str, list[float]]:
    """Distances from the true weights of regressions in which a third of the targets are wrong."""
    scales = [100.0, 30.0, 10.0, 3.0, 1.0, 0.3]
    epochs = 15 if fast else 40

    def run(levels: Sequence[float], seed: int) -> float:
        rng = np.random.default_rng(seed)
        x, weights = rng.standard_normal((300, 4)), rng.uniform(5, 10, (4, 1))
        y = x @ weights + 0.1 * rng.standard_normal((300, 1))
        y[:100] = 30 + 0.1 * rng.standard_normal((100, 1))
        model = nn.Linear(4, 1, bias=False).to("float64")
        strategies.continuation(
            *(model, x, y, levels, optim.Adam(lr=0.1)), loss=welsch, seed=seed,
            epochs=epochs * len(scales) // len(levels),
        )  # fmt: skip
        return float(np.linalg.norm(model.weight.data.reshape(-1) - weights.reshape(-1)))

    return {
        "squares": by_seed(lambda own: run([1000.0], own), fast, seed),
        "last loss alone": by_seed(lambda own: run(scales[-1:], own), fast, seed),
        "continuation": by_seed(lambda own: run(scales, own), fast, seed),
    }


def curricula(fast: bool, seed: int) -> dict[str, list[float]]:
    """Accuracies on test digits after the same number of steps on wrong and right labels, by their order."""
    x, y, x_test, y_test = digits()
    rng = np.random.default_rng(seed)
    half = len(x) // 2
    rv.seed(seed)
    judge = mlp((64, 32, 10))
    train(judge, optim.Adam(lr=0.003), x[half:], y[half:], epochs=10, seed=seed)
    x, y = x[:half], y[:half].copy()
    wrong = rng.permutation(half)[: 4 * half // 10]
    y[wrong] = (y[wrong] + rng.integers(1, 10, len(wrong))) % 10
    difficulty = nn.CrossEntropyLoss(reduction="none")(judge(x), y)
    epochs = 60
    steps = epochs * (half // 32)

    def run(source: Callable[[int], Any], seed: int) -> float:
        model, batches = mlp((64, 64, 10)), source(seed)
        step = rv.TrainStep(model, LOSS, optim.Adam(lr=0.003))
        for batch in islice((batch for _ in range(20 * epochs) for batch in batches), steps):
            step(*batch)
        return accuracy(model, x_test, y_test)

    def graded(reverse: bool) -> Callable[[int], Any]:
        return lambda seed: strategies.Curriculum(
            x, y, difficulty=difficulty, reverse=reverse, epochs=epochs, batch_size=32, seed=seed
        )

    sources = {
        "any order": lambda seed: Batches(x, y, batch_size=32, shuffle=True, seed=seed),
        "easy first": graded(False),
        "hard first": graded(True),
    }
    return {
        name: by_seed(lambda own, make=make: run(make, own), fast, seed) for name, make in sources.items()
    }


def experiment(fast: bool, seed: int = 0) -> dict[str, Any]:
    return {
        "sigmoids": helped_gradients(fast, seed),
        "students": students(fast, seed),
        "depths": depths(fast, seed),
        "outliers": outliers(fast, seed),
        "curricula": curricula(fast, seed),
    }


def means(found: dict[str, list[float]]) -> dict[str, float]:
    return {name: float(np.mean(values)) for name, values in found.items()}


def compared(found: dict[str, list[float]], name: str, baseline: str) -> str:
    """Both means, and for how many seeds the first is above."""
    above = sum(ours > other for ours, other in zip(found[name], found[baseline], strict=True))
    mean = means(found)
    return f"{mean[name]:.3f} against {mean[baseline]:.3f}, higher for {above} of {len(found[name])} seeds"


def claims(found: dict[str, Any]) -> list[Claim]:
    sigmoids, students, orders = (found[name] for name in ("sigmoids", "students", "curricula"))
    accuracies, taught, ordered = means(sigmoids), means(students), means(orders)
    distances = means(found["outliers"])
    shallow, deep = sorted({depth for _, depth in found["depths"]})
    loss = {key: float(np.mean([value for value, _ in runs])) for key, runs in found["depths"].items()}
    # How many times the gradient of the lowest layer is that of the highest, the geometric mean over seeds.
    ratios = {
        key: float(np.exp(np.mean([np.log(norms[0] / norms[-1]) for _, norms in runs])))
        for key, runs in found["depths"].items()
    }
    return [
        Claim(
            "Bengio et al. 2007, Greedy layer-wise training",
            "a deep sigmoid net ends better after greedy pre-training with targets than from a random start",
            f"accuracy {compared(sigmoids, 'greedy, targets', 'random start')}",
            accuracies["greedy, targets"] > accuracies["random start"] + 0.02,
        ),
        Claim(
            "Bengio et al. 2007, Greedy layer-wise training, autoencoders",
            "and after pre-training as autoencoders",
            f"accuracy {compared(sigmoids, 'greedy, autoencoders', 'random start')}",
            accuracies["greedy, autoencoders"] > accuracies["random start"] + 0.02,
        ),
        Claim(
            "Lee et al. 2015, Deeply-supervised nets",
            "losses of inner layers train a deep net whose gradient fades",
            f"accuracy {compared(sigmoids, 'auxiliary heads', 'random start')}",
            accuracies["auxiliary heads"] > accuracies["random start"] + 0.1,
        ),
        Claim(
            "Romero et al. 2015, FitNets",
            "a thin deep student learns with hints what it does not from targets",
            f"accuracy {compared(students, 'hints', 'targets')}; distilled {taught['distilled']:.3f}, "
            f"teacher {taught['teacher']:.3f}",
            taught["hints"] > taught["targets"] + 0.05,
        ),
        Claim(
            "He et al. 2016, Deep residual learning, figure 1",
            "a deeper plain net ends at a higher training loss",
            f"{loss['plain', deep]:.3f} with {deep} layers, {loss['plain', shallow]:.3f} with {shallow}",
            loss["plain", deep] > 2 * loss["plain", shallow],
        ),
        Claim(
            "He et al. 2016, Deep residual learning, figure 4",
            "with shortcuts the same depth trains",
            f"training loss {loss['residual', deep]:.3f} with {deep} residual layers",
            loss["residual", deep] < loss["plain", deep] / 2,
        ),
        Claim(
            "He et al. 2016, Deep residual learning, figure 4, right",
            "and ends lower than the shallow net",
            f"{loss['residual', deep]:.3f} with {deep} residual layers, "
            f"{loss['residual', shallow]:.3f} with {shallow}",
            loss["residual", deep] < loss["residual", shallow],
        ),
        Claim(
            "He et al. 2016, Deep residual learning, section 4.1",
            "gradients of plain nets with batch normalisation are healthy at any depth",
            f"the lowest layer's is {ratios['plain', deep]:.3g} times the highest's in {deep} plain layers, "
            f"{ratios['residual', deep]:.3g} times in residual ones",
            1 / 3 < ratios["plain", deep] < 3,
        ),
        Claim(
            "Blake and Zisserman 1987, graduated non-convexity",
            "a robust loss that is reached by way of smoother ones finds what alone it does not",
            f"distance from the true weights {distances['continuation']:.3f}, the last loss alone "
            f"{distances['last loss alone']:.3f}, squares {distances['squares']:.3f}",
            10 * distances["continuation"] < min(distances["last loss alone"], distances["squares"]),
        ),
        Claim(
            "Bengio et al. 2009, Curriculum learning",
            "among wrong labels easy examples first generalise better than any order",
            f"accuracy {compared(orders, 'easy first', 'any order')}",
            ordered["easy first"] > ordered["any order"] + 0.01,
        ),
        Claim(
            "Hacohen and Weinshall 2019, On the power of curriculum learning",
            "and hard examples first worse",
            f"accuracy {compared(orders, 'hard first', 'any order')}",
            ordered["hard first"] < ordered["any order"] - 0.005,
        ),
    ]


def draw(figure: Any, found: dict[str, Any]) -> None:
    left, right = figure.subplots(1, 2, width_ratios=[3, 2])
    parts = ("sigmoids", "students", "curricula")
    rows = [row for part in parts for row in found[part].items()]
    for height, (_, values) in enumerate(rows):
        left.plot(values, [height] * len(values), "o", color="C0", markersize=4, alpha=0.6)
        left.plot([np.mean(values)], [height], "|", color="C3", markersize=14, markeredgewidth=2)
    left.set(yticks=range(len(rows)), yticklabels=[name for name, _ in rows], xlim=(0, 1))
    left.invert_yaxis()
    for border in np.cumsum([len(found[part]) for part in parts[:-1]]):
        left.axhline(border - 0.5, color="0.3", linewidth=0.8)
    left.set(
        title="sigmoids, students, orders of noisy examples", xlabel="accuracy on test digits and its mean"
    )
    for (name, depth), runs in found["depths"].items():
        norms = np.exp(np.mean(np.log([by_layer for _, by_layer in runs]), axis=0))
        style = "-" if name == "residual" else "--"
        right.semilogy(np.linspace(0, 1, depth), norms, style, label=f"{name}, {depth} layers")
    right.set(title="gradient norm at the start", xlabel="depth, from the first layer to the last")
    right.legend(fontsize="small")
