"""From the options of `ravine train` to data, network, loss and optimizer."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import data, optim
from ..optim.schedules import Cosine
from ..preprocessing import ChannelScaler
from ._inputs import Examples, FromArrays, FromTable, Input, Read, built_in, input_for, npz_arrays
from ._model_file import Trained
from ._network import build, loss_for, rescale, standardize
from ._options import DATA_SETS, DEFAULT_LR
from ._targets import Targets, targets_of

_MEASURED_AT_ONCE = 1024  # examples


class Part(NamedTuple):
    """Some rows of examples."""

    examples: Examples
    rows: np.ndarray

    def source(self, batch_size: int, **options: Any) -> data.Source:
        return self.examples.batches(rows=self.rows, batch_size=batch_size, **options)


class Dataset(NamedTuple):
    """Data for a run; without rows there is no validation or test."""

    train: Part
    validation: Part
    test: Part
    input: Input
    targets: Targets


def load(options: Namespace) -> Dataset:
    """Reads the data, splits them, and learns the preprocessing from the rows to train on.

    Raises ValueError, naming the file (line, column), for what is wrong with them.
    """
    source, read, own_test = _read(options)
    is_table = isinstance(source, FromTable)
    y = read.y
    if own_test is not None and own_test.y.dtype.kind == y.dtype.kind and y.ndim == own_test.y.ndim == 1:
        y = np.concatenate([y, own_test.y])  # which may have more classes
    targets = targets_of(y, options.task, read.place, labels=not is_table)
    labels = targets.encode(read.y, read.place)
    stratify = None if targets.classes is None else labels
    rows = np.arange(len(labels))
    test_rows = rows[:0]
    if own_test is None and options.test is None:
        rows, test_rows = _split(rows, options.test_size, options.seed, stratify)
    rows, validation_rows = _split(rows, options.validation_size, options.seed, stratify)
    if isinstance(source, FromTable):
        source.learn(read.x, rows, targets.classes, options)
    examples = source.examples(read, labels)
    test = Part(examples, test_rows)
    if options.test is not None:
        own_test = source.read(options.test, options.test_target)
    if own_test is not None:
        of_test = source.examples(own_test, targets.encode(own_test.y, own_test.place))
        if of_test.shape != examples.shape:
            raise ValueError(
                f"{own_test.place(0)}: one example of the test has shape {list(of_test.shape)}, one of the "
                f"training {list(examples.shape)}"
            )
        test = Part(of_test, np.arange(len(of_test)))
    return Dataset(Part(examples, rows), Part(examples, validation_rows), test, source, targets)


def _read(options: Namespace) -> tuple[Input, Read, Read | None]:
    """The kind of input, the examples, and those of a test if they come with them."""
    path, target = options.data, options.target
    source = input_for(path, options)
    if options.data_folder and path != "fashion-mnist":
        raise ValueError("--data-folder goes with --data fashion-mnist")
    if options.test_target and not options.test:
        raise ValueError("--test-target goes with --test")
    if isinstance(source, FromTable):
        return source, source.read_to_learn(path, target, options.categories), None
    if not isinstance(source, FromArrays) or not (path in DATA_SETS or path.endswith(".npz")):
        return source, source.read(path, target), None
    if target is not None:
        raise ValueError(f"--target does not go with --data {path}, which has its own targets")
    arrays = _arrays(path, options)
    read = source.checked(path, arrays["x"], arrays["y"])
    if "x_test" not in arrays:
        return source, read, None
    if options.test is not None:
        raise ValueError(f"--test does not go with --data {path}, which has test data of its own")
    return source, read, source.checked(path, arrays["x_test"], arrays["y_test"])


def _arrays(path: str, options: Namespace) -> dict[str, np.ndarray]:
    """x, y and perhaps x_test, y_test."""
    if path in DATA_SETS:
        return dict(zip(("x", "y", "x_test", "y_test"), built_in(path, options.data_folder), strict=True))
    return npz_arrays(path)


def _split(
    rows: np.ndarray, size: float, seed: int, stratify: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    if size == 0.0:
        return rows, rows[:0]
    labels = None if stratify is None else stratify[rows]
    kept, held_out = data.split_indices(len(rows), size, seed=seed, stratify=labels)
    return rows[kept], rows[held_out]


def check(options: Namespace, dataset: Dataset) -> None:
    """Raises ValueError for options that do not go with the data."""
    if len(dataset.train.rows) == 0:
        raise ValueError(f"--data {options.data}: no examples are left to train on")
    if options.patience and not len(dataset.validation.rows):
        raise ValueError("--patience watches the validation, but --validation-size is 0")
    if options.sampler != "shuffled" and dataset.targets.classes is None:
        raise ValueError(f"--sampler {options.sampler} needs classes, and the targets are numbers")


def training_source(options: Namespace, dataset: Dataset) -> tuple[data.Source, int]:
    """The batches to train on, and how many updates an epoch has; a batch has at most all examples."""
    n = len(dataset.train.rows)
    options.batch_size = min(options.batch_size, n)
    # BatchNorm has no statistics for a last mini-batch of one example.
    drop_last = n % options.batch_size == 1
    source = dataset.train.source(
        options.batch_size,
        shuffle=True,
        seed=options.seed,
        drop_last=drop_last,
        sampler=None if options.sampler == "shuffled" else options.sampler,
    )
    return source, n // options.batch_size if drop_last else -(-n // options.batch_size)


def new_model(options: Namespace, dataset: Dataset) -> tuple[Trained, Callable[[Any, Any], Any]]:
    """The network, untrained, with what was measured of the data in it; and the loss."""
    shape, targets = dataset.train.examples.shape, dataset.targets
    if options.model != "mlp" and len(shape) != 3:
        raise ValueError(
            f"--model {options.model} needs images [n, channels, height, width], but --data {options.data} "
            f"has {[len(dataset.train.examples), *shape]}; --model mlp takes it"
        )
    spec = {
        "name": options.model,
        "shape": list(shape),
        "outputs": targets.outputs,
        "hidden": list(options.hidden),
        "dropout": options.dropout,
        "width": options.width,
        "standardize": not isinstance(dataset.input, FromTable),  # whose numbers are scaled already
        "rescale": targets.classes is None,
    }
    std = None
    moments = None
    if targets.classes is None:
        y = dataset.train.examples.labels[dataset.train.rows].astype(np.float64)
        mean, std = y.mean(axis=0), y.std(axis=0)
        std = np.where(std > 0, std, 1.0)
        moments = mean, std
    loss = loss_for(options.loss, std)
    model = build(spec)
    if spec["standardize"]:
        standardize(model, *_moments(options.data, dataset.train))
    if moments is not None:
        rescale(model, *moments)
    return Trained(model, spec, dataset.input, targets, std, options.loss), loss


def _moments(name: str, part: Part) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each channel, in a pass over the examples."""
    scaler = ChannelScaler()
    try:
        for x, _ in part.source(_MEASURED_AT_ONCE):
            scaler.partial_fit(x)
    except ValueError as error:
        raise ValueError(f"--data {name}: {error}") from None
    return scaler.mean_.reshape(-1), np.sqrt(scaler.var_).reshape(-1)


def new_optimizer(options: Namespace, updates: int) -> optim.Optimizer:
    lr: Any = options.lr or DEFAULT_LR[options.optimizer]
    if options.schedule == "cosine":
        lr = Cosine(lr, updates)
    more: dict[str, Any] = {} if options.clip_norm is None else {"clip_norm": options.clip_norm}
    if options.weight_decay is not None:
        more["weight_decay"] = options.weight_decay
    if options.optimizer == "sgd":
        return optim.SGD(lr=lr, momentum=0.9, nesterov=True, **{"weight_decay": 5e-4, **more})
    return (optim.Adam if options.optimizer == "adam" else optim.AdamW)(lr=lr, **more)
