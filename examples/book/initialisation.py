"""Initialisation: what survives depth.

Six layers of 2048 units (512 in the fast form) are fed noise of variance one. With normal weights of
deviation 0.01 tanh units end near zero, with 0.1 they end at -1 and 1 where their slope is nothing;
Xavier's variance, one over the mean of the numbers of inputs and outputs, keeps them in between. A
rectifier halves the square of what passes, which Xavier's rule does not know and He's does: after six
layers an eighth of the size is left. Over thirty layers that decides whether a net trains at all. LSUV gets
there by measuring, without a formula. A sparse start, in which each unit sees a few inputs, gives large
outputs however many inputs there are. Units that start with the same weights stay the same, and weights of
zero never start: both are seen in the number of different units after training.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import ravine as rv
from ravine import diagnostics, init, nn, optim

from .tools import Claim, accuracy, digits, mean_loss, mlp, train


def starts(width: int) -> dict[str, Any]:
    """Initialisers by name; fixed deviations give sums the variance that they have with 2048 inputs."""
    scale = np.sqrt(2048 / width)
    return {
        "N(0, 0.01)": partial(init.normal_, std=0.01 * scale),
        "N(0, 0.1)": partial(init.normal_, std=0.1 * scale),
        "Xavier": "xavier_normal",
        "He": "he_normal",
        "LSUV": "lsuv",
        "sparse": partial(init.sparse_, sparsity=1 - 15 / width, std=1.0),
    }


def six_layers(width: int, activation: Any, start: Any, x: np.ndarray) -> nn.Sequential:
    model = nn.Sequential(*[part for _ in range(6) for part in (nn.Linear(width, width), activation())])
    return init.apply(model, start, x if start == "lsuv" else None)


def after_activations(model: nn.Module, x: np.ndarray) -> list[diagnostics.Record]:
    """What `inspect` measures behind each activation."""
    found = diagnostics.inspect(model, x, np.zeros_like(x), nn.MSELoss())
    return [record for record in found.values() if record.kind in ("Tanh", "ReLU")]


def different_units(weight: np.ndarray) -> int:
    """The number of rows that differ from each other."""
    return len(np.unique(weight.round(6), axis=0))


def experiment(fast: bool, seed: int = 0) -> dict[str, Any]:
    rv.seed(seed)
    width, depth, hidden = (512, 30, 48) if fast else (2048, 30, 128)
    noise = np.random.default_rng(seed).standard_normal((128 if fast else 256, width)).astype("float32")
    found: dict[str, Any] = {"width": width, "layers": {}, "deep": {}, "units": {}}
    for activation in (nn.Tanh, nn.ReLU):
        for name, start in starts(width).items():
            model = six_layers(width, activation, start, noise)
            found["layers"][activation.__name__, name] = after_activations(model, noise)

    x, y, *_ = digits()
    x = ((x - x.mean(0)) / x.std()).astype("float32")
    for name, start in (("He", "he_normal"), ("Xavier", "xavier_normal"), ("LSUV", "lsuv")):
        rv.seed(seed)
        model = mlp((64, *[hidden] * depth, 10))
        init.apply(model, start, x[:256] if start == "lsuv" else None)
        losses = train(model, optim.SGD(lr=0.003, momentum=0.9), x, y, epochs=7 if fast else 30, seed=seed)
        found["deep"][name] = losses, accuracy(model, x, y)
    for name, start in (("zero", "zeros"), ("constant", 0.1), ("He", "he_normal")):
        rv.seed(seed)
        model = mlp((64, 32, 10), weight_init=start, bias_init="zeros")
        train(model, optim.SGD(lr=0.1), x, y, epochs=3 if fast else 20, seed=seed)
        found["units"][name] = different_units(model[0].weight.data), mean_loss(model, x, y)
    return found


def claims(found: dict[str, Any]) -> list[Claim]:
    layers = found["layers"]
    std = {key: records[-1].std for key, records in layers.items()}
    square = {key: np.sqrt(records[-1].std ** 2 + records[-1].mean ** 2) for key, records in layers.items()}
    saturated = layers["Tanh", "N(0, 0.1)"][-1].saturated
    lost = square["ReLU", "Xavier"] / square["ReLU", "He"]
    deep, units = found["deep"], found["units"]
    return [
        Claim(
            "CS231n 2016, lecture 5, weights of N(0, 0.01)",
            "tanh units fade to zero over six layers",
            f"deviation {std['Tanh', 'N(0, 0.01)']:.1e} behind the sixth; "
            f"under Xavier {std['Tanh', 'Xavier']:.2f}",
            std["Tanh", "N(0, 0.01)"] < 0.1 * std["Tanh", "Xavier"],
        ),
        Claim(
            "CS231n 2016, lecture 5, larger weights",
            "with ten times the weights most tanh units saturate",
            f"{saturated:.0%} saturated; under Xavier {layers['Tanh', 'Xavier'][-1].saturated:.1%}",
            saturated > 0.5 and layers["Tanh", "Xavier"][-1].saturated < 0.05,
        ),
        Claim(
            "He et al. 2015, section 2.2",
            "rectifiers under Xavier lose a factor of sqrt(2) a layer, 1/8 over six; under He nothing",
            f"{lost:.3f} of the size left against He's; He {square['ReLU', 'He']:.2f} of 1",
            0.09 < lost < 0.16,
        ),
        Claim(
            "He et al. 2015, figure 3",
            "30 rectifier layers train under He and stall under Xavier",
            f"accuracy {deep['He'][1]:.3f} under He, {deep['Xavier'][1]:.3f} under Xavier",
            deep["He"][1] > deep["Xavier"][1] + 0.2,
        ),
        Claim(
            "Mishkin and Matas 2016, section 4",
            "LSUV trains as deep nets as He's rule",
            f"accuracy {deep['LSUV'][1]:.3f} from LSUV",
            deep["LSUV"][1] > deep["Xavier"][1] + 0.2,
        ),
        Claim(
            "Goodfellow et al. 2016, section 8.4",
            "units of the same weights stay the same, and zero weights do not start",
            f"different hidden units of 32: constant {units['constant'][0]}, zero {units['zero'][0]}, "
            f"He {units['He'][0]}; loss from zero weights {units['zero'][1]:.2f}, He {units['He'][1]:.2f}",
            units["constant"][0] == units["zero"][0] == 1 and units["He"][0] == 32 and units["zero"][1] > 2.2,
        ),
        Claim(
            "Martens 2010, sparse initialization",
            "15 weights of N(0, 1) a unit: outputs are large however many inputs there are",
            f"deviation {std['Tanh', 'sparse']:.2f} behind six tanh layers of {found['width']}",
            std["Tanh", "sparse"] > 0.5,
        ),
    ]


def draw(figure: Any, found: dict[str, Any]) -> None:
    axes = figure.subplots(2, 4)
    for row, activation in zip(axes, ("Tanh", "ReLU"), strict=True):
        for place, name in zip(row, ("N(0, 0.01)", "N(0, 0.1)", "Xavier", "He"), strict=True):
            for depth, record in enumerate(found["layers"][activation, name]):
                counts, edges = record.histogram
                centres = (edges[1:] + edges[:-1]) / 2
                place.plot(centres, counts / counts.max() - 0.9 * depth, color=f"C{depth}", linewidth=1)
            place.set(title=f"{activation}, {name}", yticks=[])
            if activation == "Tanh":
                place.set(xlim=(-1.05, 1.05))
