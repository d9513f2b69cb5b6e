"""`ravine train`."""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import ravine as rv

from .. import data, models, nn, optim
from ..optim.schedules import Cosine, Schedule
from ..train import Checkpoint, Trainer, latest_checkpoint
from ._results import CHECKPOINTS, clear_checkpoints, prepare_folder, save_results

DATA = ("digits", "fashion-mnist")
MODELS = ("mlp", "cnn", "resnet18")
DEFAULT_LR = {"sgd": 0.05, "adam": 3e-3, "adamw": 3e-3}
DEFAULT_EPOCHS = {"digits": 30}
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
EXIT_TERMINATED = 143  # 128 + SIGTERM


def run_train(options: argparse.Namespace) -> int:
    folder = Path(options.out or f"runs/{Path(options.data).stem}-{options.model}")
    epochs = options.epochs or DEFAULT_EPOCHS.get(options.data, 5)
    lr = options.lr or DEFAULT_LR[options.optimizer]
    if options.data_folder and options.data != "fashion-mnist":
        raise ValueError("--data-folder goes with --data fashion-mnist")
    if options.threads:
        rv.set_num_threads(options.threads)
    rv.seed(options.seed)
    dataset = _load(options)
    classes = _check_labels(options.data, dataset)
    # A tenth of the training data watches the training; the test data is used once, at the end.
    split = data.train_test_split(dataset.x_train, dataset.y_train, 0.1, seed=options.seed, stratify=True)
    x, y = split.x_train, split.y_train
    model = _build(options, x, classes)
    prepare_folder(folder)

    batch_size = min(options.batch_size, len(x))
    # BatchNorm has no statistics for a last mini-batch of one example.
    drop_last = len(x) % batch_size == 1
    updates = len(x) // batch_size if drop_last else -(-len(x) // batch_size)
    optimizer = _optimizer(options.optimizer, Cosine(lr, epochs * updates))
    cpu = rv.cpu_info()
    threads = rv.get_num_threads()
    print(f"ravine {rv.__version__}  {cpu['model']}, {cpu['isa']}, {threads} thread{'s' * (threads > 1)}")
    print(
        f"data   {options.data}: {len(x)} training, {len(split.x_test)} validation and "
        f"{len(dataset.x_test)} test examples, {classes} classes, each example {list(x.shape[1:])} {x.dtype}"
    )
    print(f"model  {options.model}: {sum(math.prod(p.shape) for p in model.parameters()):,} parameters")
    print(
        f"train  {options.optimizer}, lr {lr:g} falling to 0, "
        f"{epochs} epochs of {updates} updates, batch size {batch_size}, seed {options.seed}",
        flush=True,
    )

    trainer = Trainer(model, nn.CrossEntropyLoss(), optimizer, ["accuracy"])
    record: dict[str, Any] = {
        "ravine": rv.__version__,
        **{key: getattr(options, key) for key in ("data", "model", "optimizer", "seed")},
        "lr": lr,
        "epochs": epochs,
        "batch_size": batch_size,
        "threads": threads,
        "isa": cpu["isa"],
    }
    resume = None if options.resume is None else _checkpoint(Path(options.resume))
    if resume is None:
        clear_checkpoints(folder)
    started = time.perf_counter()
    try:
        trainer.fit(
            x,
            y,
            epochs=epochs,
            batch_size=batch_size,
            drop_last=drop_last,
            validation_data=(split.x_test, split.y_test),
            seed=options.seed,
            resume=resume,
            callbacks=[Checkpoint(folder / CHECKPOINTS, options.checkpoint_every, keep=1)],
        )
    except KeyboardInterrupt:
        return _end_early(folder, model, record | {"history": trainer.history}, EXIT_INTERRUPTED)
    except SystemExit:  # by SIGTERM
        return _end_early(folder, model, record | {"history": trainer.history}, EXIT_TERMINATED)
    seconds = time.perf_counter() - started
    test = trainer.evaluate(dataset.x_test, dataset.y_test)
    record |= {"test_loss": test["loss"], "test_accuracy": test["accuracy"], "seconds": seconds}
    print(f"trained in {seconds:.1f} s")
    for line in save_results(folder, model, record | {"history": trainer.history}):
        print(line)
    print(f"test accuracy {test['accuracy']:.4f}")
    return 0


def _checkpoint(path: Path) -> Path:
    """The checkpoint that --resume means: a file, or the newest of a run's folder."""
    if not path.is_dir():
        return path
    newest = latest_checkpoint(path / CHECKPOINTS) or latest_checkpoint(path)
    if newest is None:
        raise FileNotFoundError(f"--resume {path}: there is no checkpoint in this folder")
    return newest


def _end_early(folder: Path, model: nn.Module, record: dict[str, Any], code: int) -> int:
    finished = len(record["history"].get("loss", ()))
    print(f"interrupted after {finished} finished epochs; --resume {folder} goes on", file=sys.stderr)
    if finished:
        for line in save_results(folder, model, record):
            print(line)
    return code


def _load(options: argparse.Namespace) -> data.TrainTest:
    if options.data == "digits":
        return data.digits()
    if options.data == "fashion-mnist":
        return data.fashion_mnist(options.data_folder)
    if options.data.endswith(".npz"):
        return data.npz.read(options.data)
    raise ValueError(
        f"--data {options.data}: expected {', '.join(DATA)}, or the name of a file that ends in .npz"
    )


def _check_labels(name: str, dataset: data.TrainTest) -> int:
    """The number of classes."""
    for key, y in (("y", dataset.y_train), ("y_test", dataset.y_test)):
        if y.ndim != 1 or y.dtype.kind not in "iu":
            raise ValueError(
                f"--data {name}: {key} is {y.dtype} {y.shape}, expected integer class labels [n]; "
                "for regression use rv.Trainer"
            )
        if y.min() < 0:
            raise ValueError(f"--data {name}: {key} has the label {y.min()}, expected labels from 0")
    classes = int(max(dataset.y_train.max(), dataset.y_test.max())) + 1
    if classes < 2:
        raise ValueError(f"--data {name}: all labels are 0, expected at least two classes")
    return classes


def _build(options: argparse.Namespace, x: np.ndarray, classes: int) -> nn.Sequential:
    """The network behind a layer that standardises its input with the statistics of the training data."""
    shape = x.shape[1:]
    if options.model == "mlp":
        net: nn.Module = models.mlp(math.prod(shape), classes)
    elif len(shape) != 3:
        raise ValueError(
            f"--model {options.model} needs images [n, channels, height, width], but --data "
            f"{options.data} has {list(x.shape)}; --model mlp takes it"
        )
    elif options.model == "cnn":
        net = models.cnn(shape, classes)
    else:
        net = models.resnet18(shape[0], classes, width=options.width)
    return nn.Sequential(models.Standardize.fit(x), net)


def _optimizer(name: str, lr: Schedule) -> optim.Optimizer:
    if name == "sgd":
        return optim.SGD(lr=lr, momentum=0.9, nesterov=True, weight_decay=5e-4)
    return optim.Adam(lr=lr) if name == "adam" else optim.AdamW(lr=lr)
