"""`ravine evaluate`."""

from __future__ import annotations

import argparse
import json

import numpy as np

import ravine as rv

from .. import optim
from ..train import Trainer
from ._failure import running
from ._inputs import Input, Read, kind_of
from ._model_file import Trained, load
from ._network import loss_for

_METRICS = {
    "classification": ["accuracy", "precision", "recall", "f1", "confusion_matrix"],
    "regression": ["rmse", "mae", "r2"],
}


def run_evaluate(options: argparse.Namespace) -> int:
    """Prints loss and metrics, a line each or as JSON."""
    if options.threads:
        rv.set_num_threads(options.threads)
    trained = load(options.model)
    read = read_like(trained.input, options.data, options.target)
    labels = trained.targets.encode(read.y, read.place)
    examples = trained.input.examples(read, labels)
    check_shape(trained, read, examples.shape)
    task = "regression" if trained.targets.classes is None else "classification"
    trainer = Trainer(trained.model, loss_for(trained.loss, trained.std), optim.SGD(lr=0.0), _METRICS[task])
    with running():
        values = trainer.evaluate(examples.batches(batch_size=options.batch_size))
    if options.json:
        # JSON has no NaN, such as R2 of a single example.
        plain = {name: np.asarray(v).tolist() if np.isfinite(v).all() else None for name, v in values.items()}
        classes = {} if trained.targets.classes is None else {"classes": trained.targets.classes}
        print(json.dumps({"examples": len(examples), **classes, **plain}))
        return 0
    print(f"examples {len(examples)}")
    for name, value in values.items():
        if np.ndim(value) == 0:
            print(f"{name} {value:.4f}")
    return 0


def read_like(source: Input, path: str, target: str | None, *, labelled: bool = True) -> Read:
    """Examples, which must be of the kind that the model was trained on: of tables, arrays or images."""
    kind = kind_of(path).kind
    if kind != source.kind:
        raise ValueError(f"--data {path}: these are {kind}, but the model was trained on {source.kind}")
    return source.read(path, target, labelled=labelled)


def check_shape(trained: Trained, read: Read, shape: tuple[int, ...]) -> None:
    expected = tuple(trained.spec["shape"])
    if shape != expected:
        raise ValueError(
            f"{read.place(0)}: one example has shape {list(shape)}, the model was trained on {list(expected)}"
        )
