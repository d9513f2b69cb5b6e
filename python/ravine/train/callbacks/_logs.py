"""Logs of a run in files."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from ._callback import Callback

if TYPE_CHECKING:
    from .._trainer import Trainer

__all__ = ["CSVLog", "JSONLines", "TensorBoard"]


def _numbers(logs: Mapping[str, Any]) -> dict[str, float]:
    """Without what is no number, as a confusion matrix."""
    return {name: value for name, value in logs.items() if np.ndim(value) == 0}


def _replace(path: Path, write: Any) -> None:
    """Writes a file beside the path and puts it in its place, so that either is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.part")
    with open(partial, "w", newline="") as file:
        write(file)
    partial.replace(path)


class CSVLog(Callback):
    """A table with a line an epoch: "epoch", and the numbers of the history.

    The file has what the history has: when a run begins it is written again without lines of epochs that were
    lost with an interruption, then a line is added an epoch.

    Args:
        path: of the file; its folder is made if it is missing.

    Example:
        >>> import pathlib, tempfile, numpy as np, ravine as rv
        >>> from ravine import nn, optim
        >>> path = pathlib.Path(tempfile.mkdtemp(), "log.csv")
        >>> trainer = rv.Trainer(nn.Linear(2, 1), nn.MSELoss(), optim.Adam())
        >>> x, y = np.ones((8, 2)), np.ones((8, 1))
        >>> _ = trainer.fit(x, y, epochs=2, callbacks=[rv.train.CSVLog(path)], verbose=0)
        >>> path.read_text().splitlines()[0]
        'epoch,loss,lr,seconds'
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._columns: list[str] = []

    def on_fit_begin(self, trainer: Trainer) -> None:
        self._columns = []
        self._write(trainer)

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: Mapping[str, Any]) -> None:
        row = {"epoch": epoch + 1} | _numbers(logs)
        if [*row] != self._columns:  # the first epoch, or one that measures something else
            self._write(trainer)
            return
        with open(self.path, "a", newline="") as file:
            csv.writer(file).writerow(row.values())

    def _write(self, trainer: Trainer) -> None:
        history = {name: values for name, values in trainer.history.items() if np.ndim(values[0]) == 0}
        self._columns = ["epoch", *history] if history else []

        def write(file: TextIO) -> None:
            writer = csv.writer(file)
            writer.writerow(["epoch", *history])
            writer.writerows((i + 1, *row) for i, row in enumerate(zip(*history.values(), strict=True)))

        _replace(self.path, write)


class JSONLines(Callback):
    """A file with a JSON object a line: of each epoch, and of each validation inside of one.

    Each has "event" ("epoch" or "validation"), "epoch", "step" (updates) and the values; NaN and infinities
    are null. When a run begins, lines of later steps than its own are removed.

    Args:
        path: of the file; its folder is made if it is missing.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def on_fit_begin(self, trainer: Trainer) -> None:
        lines = self.path.read_text().splitlines(keepends=True) if self.path.exists() else []
        kept = [line for line in lines if _step_of(line) <= trainer.step.steps]
        kept = kept if trainer.step.steps else []
        _replace(self.path, lambda file: file.writelines(kept))

    def on_validation_end(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:
        self._add(trainer, "validation", trainer.loop.epoch + 1, logs)

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: Mapping[str, Any]) -> None:
        self._add(trainer, "epoch", epoch + 1, logs)

    def _add(self, trainer: Trainer, event: str, epoch: int, logs: Mapping[str, Any]) -> None:
        head = {"event": event, "epoch": epoch, "step": trainer.step.steps}
        with open(self.path, "a") as file:
            file.write(json.dumps(head | {name: _plain(value) for name, value in logs.items()}) + "\n")


def _plain(value: Any) -> Any:
    """What JSON has for a number or an array."""
    if np.ndim(value):
        return [_plain(item) for item in value]
    number = np.asarray(value).item()
    return number if np.isfinite(number) else None


def _step_of(line: str) -> float:
    """The step of a line; of one that a crash cut off infinite."""
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):
        return float("inf")


class TensorBoard(Callback):
    """Event files for TensorBoard, by the package tensorboardX (`pip install 'ravine[tensorboard]'`).

    The values of the history are drawn over the number of updates, those of the validation ("val_loss")
    beside those of the training ("loss").

    Args:
        folder: for the event files.

    Raises ModuleNotFoundError without tensorboardX.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        try:
            from tensorboardX import SummaryWriter
        except ModuleNotFoundError:
            raise ModuleNotFoundError(
                "TensorBoard needs tensorboardX: pip install 'ravine[tensorboard]'"
            ) from None
        self._open = SummaryWriter
        self._writer: Any = None

    def on_fit_begin(self, trainer: Trainer) -> None:
        # What an interrupted run wrote of later steps is not shown.
        self._writer = self._open(str(self.folder), purge_step=trainer.step.steps + 1)

    def on_validation_end(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:
        self._add(trainer, _numbers(logs).items(), "validation")

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: Mapping[str, Any]) -> None:
        own = [(name, value) for name, value in _numbers(logs).items() if not name.startswith("val_")]
        self._add(trainer, own, "training")

    def _add(self, trainer: Trainer, values: Iterable[tuple[str, float]], group: str) -> None:
        for name, value in values:
            self._writer.add_scalar(f"{name.removeprefix('val_')}/{group}", value, trainer.step.steps)

    def on_fit_end(self, trainer: Trainer) -> None:
        self._writer.close()
