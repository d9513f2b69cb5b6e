"""The networks and losses that the command offers, by what describes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .. import models, nn

_LOSSES: dict[str, Callable[[], nn.Module]] = {
    "cross-entropy": nn.CrossEntropyLoss,
    "mse": nn.MSELoss,
    "l1": nn.L1Loss,
    "huber": nn.HuberLoss,
}


def build(spec: Mapping[str, Any]) -> nn.Sequential:
    """The network: inputs standardised, the net, and for regression outputs brought to the targets' scale.

    Args:
        spec: "name", and "hidden", "dropout", "width" for those that have them; "shape" of an example,
            "outputs", and whether "standardize" and "rescale" stand before and behind.

    The two layers begin as the identity; `standardize` and `rescale` give them what was measured.
    """
    shape, outputs = tuple(int(n) for n in spec["shape"]), int(spec["outputs"])
    name, dropout = spec["name"], spec["dropout"]
    layers: list[nn.Module] = []
    if spec["standardize"]:
        layers.append(models.Standardize(np.zeros(shape[0]), np.ones(shape[0])))
    if name == "mlp":
        hidden = [int(n) for n in spec["hidden"]]
        layers.append(models.mlp(math.prod(shape), outputs, hidden, dropout=dropout or 0.0))
    elif len(shape) != 3:
        raise ValueError(
            f"--model {name} needs images [n, channels, height, width], but an example has shape "
            f"{list(shape)}; --model mlp takes it"
        )
    elif name == "cnn":
        layers.append(models.cnn(shape, outputs, dropout=0.25 if dropout is None else dropout))
    elif name == "resnet18":
        layers.append(models.resnet18(shape[0], outputs, width=int(spec["width"])))
    else:
        raise ValueError(f"there is no model {name!r}")
    if spec["rescale"]:
        layers.append(nn.Normalize(np.zeros(outputs), np.ones(outputs), offset=np.zeros(outputs)))
    return nn.Sequential(*layers)


def standardize(model: nn.Sequential, mean: np.ndarray, std: np.ndarray) -> None:
    """Lets the first layer bring inputs of this mean and deviation, [channels], to 0 and 1."""
    measured = models.Standardize(mean, std)
    model[0].load_state_dict(measured.state_dict())


def rescale(model: nn.Sequential, mean: np.ndarray, std: np.ndarray) -> None:
    """Lets the last layer bring outputs of mean 0 and deviation 1 to these, [outputs]."""
    model[-1].load_state_dict(nn.Normalize(np.zeros_like(mean), std, offset=mean).state_dict())


class _ScaledLoss:
    """A loss of differences, of outputs and targets in units of the targets' deviation."""

    def __init__(self, loss: nn.Module, std: np.ndarray) -> None:
        self._loss, self._scale = loss, (1.0 / std).astype(np.float32)

    def __call__(self, output: Any, target: Any) -> Any:
        return self._loss(output * self._scale, target * self._scale)


def loss_for(name: str, std: np.ndarray | None) -> Callable[[Any, Any], Any]:
    """The loss: for classes (`std` None), or for numbers of this deviation.

    Raises ValueError for a loss that does not go with the targets.
    """
    if name == "auto":
        name = "cross-entropy" if std is None else "mse"
    if (name == "cross-entropy") != (std is None):
        raise ValueError(
            f"--loss {name} does not go with targets that are {'classes' if std is None else 'numbers'}"
        )
    loss = _LOSSES[name]()
    return loss if std is None else _ScaledLoss(loss, std)
