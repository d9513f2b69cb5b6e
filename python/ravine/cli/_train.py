"""`ravine train` and `ravine resume`."""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path
from typing import Any

import ravine as rv

from ..train import Callback, Checkpoint, EarlyStopping, RollBack, Trainer, latest_checkpoint
from ._config import CONFIG, settings_of, write_config
from ._failure import EXIT_INTERRUPTED, EXIT_TERMINATED, running
from ._inputs import FromTable
from ._model_file import Trained
from ._options import DEFAULT_LR
from ._prepare import Dataset, check, load, new_model, new_optimizer, training_source
from ._results import CHECKPOINTS, clear_checkpoints, prepare_folder, save_results

_EVALUATED_AT_ONCE = 256
_RECORDED = ("data", "model", "optimizer", "seed", "lr", "epochs", "batch_size")


def run_train(given: argparse.Namespace) -> int:
    """`ravine train`."""
    return _train(settings_of(vars(given), given.config))


def run_resume(given: argparse.Namespace) -> int:
    """`ravine resume`."""
    folder = Path(given.folder)
    config = folder / CONFIG
    if not config.is_file():
        raise FileNotFoundError(f"{folder}: there is no {CONFIG}, which a run of ravine train leaves there")
    here = {"out": str(folder), "resume": str(folder), "threads": given.threads}
    return _train(settings_of(here, str(config)))


def _train(options: argparse.Namespace) -> int:
    folder = Path(options.out or f"runs/{_stem(options.data)}-{options.model}")
    options.lr = options.lr or DEFAULT_LR[options.optimizer]
    if options.threads:
        rv.set_num_threads(options.threads)
    rv.seed(options.seed)
    resume = None if options.resume is None else _checkpoint(Path(options.resume))
    dataset = load(options)
    check(options, dataset)
    small = options.data == "digits" or isinstance(dataset.input, FromTable)
    options.epochs = options.epochs or (30 if small else 5)
    trained, loss = new_model(options, dataset)
    source, updates = training_source(options, dataset)
    validation = dataset.validation.source(_EVALUATED_AT_ONCE) if len(dataset.validation.rows) else None
    watched, *others = ["rmse", "r2"] if dataset.targets.classes is None else ["accuracy"]
    trainer = Trainer(
        trained.model, loss, new_optimizer(options, options.epochs * updates), [watched, *others]
    )
    prepare_folder(folder)
    _tell(options, dataset, trained, updates)
    if resume is None:
        clear_checkpoints(folder)
    saving = Checkpoint(folder / CHECKPOINTS, options.checkpoint_every, keep=1)
    callbacks: list[Callback] = [saving]
    if options.patience:
        callbacks.append(EarlyStopping("val_loss", options.patience))
    record = _record(options)
    with running():
        write_config(folder / CONFIG, options)
        started = time.perf_counter()
        try:
            trainer.fit(
                source,
                epochs=options.epochs,
                validation_data=validation,
                seed=options.seed,
                resume=resume,
                max_seconds=options.max_seconds,
                on_nonfinite=RollBack(saving) if options.on_nonfinite == "back" else options.on_nonfinite,
                callbacks=callbacks,
            )
        except KeyboardInterrupt:
            return _end_early(folder, trained, record | {"history": trainer.history}, EXIT_INTERRUPTED)
        except SystemExit:  # by SIGTERM
            return _end_early(folder, trained, record | {"history": trainer.history}, EXIT_TERMINATED)
        seconds = time.perf_counter() - started
        print(f"trained in {seconds:.1f} s")
        if options.max_seconds and seconds >= options.max_seconds and trainer.loop.epoch < options.epochs:
            print(f"the time is over after {trainer.loop.epoch} epochs; ravine resume {folder} goes on")
        record |= {"seconds": seconds, "history": trainer.history}
        test: dict[str, Any] = {}
        if len(dataset.test.rows):
            test = trainer.evaluate(dataset.test.source(_EVALUATED_AT_ONCE))
            record |= {f"test_{name}": value for name, value in test.items()}
        for line in save_results(folder, trained, record, watched):
            print(line)
        if test:
            print(f"test {watched} {test[watched]:.4f}")
    return 0


def _stem(path: str) -> str:
    return Path(path).resolve().name.split(".")[0] or "data"


def _tell(options: argparse.Namespace, dataset: Dataset, trained: Trained, updates: int) -> None:
    """Says what is going to be trained on what."""
    cpu, threads = rv.cpu_info(), rv.get_num_threads()
    classes = dataset.targets.classes
    what = (
        f"{len(classes)} classes" if classes is not None else f"{dataset.targets.outputs} numbers to predict"
    )
    parameters = sum(math.prod(p.shape) for p in trained.model.parameters())
    print(f"ravine {rv.__version__}  {cpu['model']}, {cpu['isa']}, {threads} thread{'s' * (threads > 1)}")
    shape = list(dataset.train.examples.shape)
    print(
        f"data   {options.data}: {len(dataset.train.rows)} training, {len(dataset.validation.rows)} "
        f"validation and {len(dataset.test.rows)} test examples, {what}, each example {shape}"
    )
    for line in dataset.input.summary():
        print(f"       {line}")
    falling = " falling to 0" if options.schedule == "cosine" else ""
    print(f"model  {options.model}: {parameters:,} parameters")
    print(
        f"train  {options.optimizer}, lr {options.lr:g}{falling}, {options.epochs} epochs of {updates} "
        f"updates, batch size {options.batch_size}, seed {options.seed}",
        flush=True,
    )


def _record(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "ravine": rv.__version__,
        **{key: getattr(options, key) for key in _RECORDED},
        "threads": rv.get_num_threads(),
        "isa": rv.cpu_info()["isa"],
    }


def _checkpoint(path: Path) -> Path:
    """The checkpoint that --resume means: a file, or the newest of a run's folder."""
    if not path.is_dir():
        rv.load_metadata(path)  # so that a wrong name is told at once
        return path
    newest = latest_checkpoint(path / CHECKPOINTS) or latest_checkpoint(path)
    if newest is None:
        raise FileNotFoundError(f"--resume {path}: there is no checkpoint in this folder")
    return newest


def _end_early(folder: Path, trained: Trained, record: dict[str, Any], code: int) -> int:
    finished = len(record["history"].get("loss", ()))
    print(f"interrupted after {finished} finished epochs; --resume {folder} goes on", file=sys.stderr)
    if finished:
        watched = "rmse" if trained.targets.classes is None else "accuracy"
        for line in save_results(folder, trained, record, watched):
            print(line)
    return code
