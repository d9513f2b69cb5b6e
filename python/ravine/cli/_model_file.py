"""A trained model in one safetensors file: weights, what describes the network, preprocessing, classes."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import ravine as rv

from .. import nn
from ._inputs import KINDS, Input
from ._network import build
from ._targets import Targets

WEIGHTS = "model.safetensors"
_FORMAT, _VERSION = "ravine.command", "1"
_INPUT = "input."  # before the names of what the preprocessing has learned


class Trained(NamedTuple):
    """What predicts.

    Attributes:
        model: from what `input` makes of examples to logits or numbers.
        spec: what describes the network, for `build`.
        input: how examples are read and prepared.
        targets: what the outputs mean.
        std: the deviation of targets that are numbers, None for classes.
        loss: its name.
    """

    model: nn.Sequential
    spec: dict[str, Any]
    input: Input
    targets: Targets
    std: np.ndarray | None
    loss: str


def save(path: Path, trained: Trained) -> None:
    """Writes the file, whole or not at all. The weights stand under the names that the model has for them."""
    settings = {
        "model": trained.spec,
        "input": {"kind": trained.input.kind, **trained.input.spec()},
        "classes": trained.targets.classes,
        "std": None if trained.std is None else trained.std.tolist(),
        "loss": trained.loss,
    }
    state = {f"{_INPUT}{name}": array for name, array in trained.input.state().items()}
    metadata = {
        "format": _FORMAT,
        "version": _VERSION,
        "ravine": rv.__version__,
        "settings": json.dumps(settings),
    }
    rv.save(path, {**trained.model.state_dict(), **state}, metadata)


def load(given: str) -> Trained:
    """The model of a file, or of the folder of a run.

    Raises ValueError, naming the file, for one that is damaged or was not written by `ravine train`; OSError
    where the system refuses. Nothing in it is executed.
    """
    path = Path(given)
    if path.is_dir():
        path = path / WEIGHTS
    metadata = rv.load_metadata(path)
    if metadata.get("format") != _FORMAT:
        raise ValueError(f"{path}: not a model of `ravine train`, which keeps what describes the network")
    if metadata.get("version") != _VERSION:
        raise ValueError(
            f"{path}: a model of format {metadata.get('version')!r}, by ravine {metadata.get('ravine')}; "
            f"this is ravine {rv.__version__}, which reads format {_VERSION}"
        )
    arrays = rv.load(path)
    state = {name.removeprefix(_INPUT): a for name, a in arrays.items() if name.startswith(_INPUT)}
    weights = {name: a for name, a in arrays.items() if not name.startswith(_INPUT)}
    try:
        settings = json.loads(metadata["settings"])
        spec = settings["model"]
        _check_size(spec, sum(a.size for a in weights.values()))
        model = build(spec)
        model.load_state_dict(weights)
        input = KINDS[settings["input"]["kind"]](settings["input"], state)
        targets = Targets(settings["classes"], int(spec["outputs"]))
        std = None if settings["std"] is None else np.array(settings["std"], np.float64)
        return Trained(model.eval(), spec, input, targets, std, settings["loss"])
    except (
        KeyError,
        TypeError,
        ValueError,
        IndexError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise ValueError(f"{path}: a damaged model: {type(error).__name__}: {error}") from error


def _check_size(spec: dict[str, Any], elements: int) -> None:
    """Raises ValueError where the network would be larger than the file, before memory is taken for it."""
    shape, outputs = [int(n) for n in spec["shape"]], int(spec["outputs"])
    if spec["name"] == "mlp":
        widths = [math.prod(shape), *(int(n) for n in spec["hidden"]), outputs]
        least = sum(a * b for a, b in pairwise(widths))
    elif spec["name"] == "cnn":
        least = shape[0] + math.prod(shape[1:]) + outputs
    else:
        least = shape[0] + 9 * int(spec["width"]) ** 2 + outputs
    if not 0 < least <= elements or min([outputs, *shape]) < 1:
        raise ValueError(f"a network of at least {least} weights, but {elements} are there")
