"""Kills a training at random instants and resumes it: the same bits as in one piece.

    python tests/kill_training.py [--kills 200] [--fills 200] [--seed 0]

A kill is a SIGKILL at a random instant after the first update of a process. A fill is a random limit to the
size of files (RLIMIT_FSIZE) from a random update on: a write fails in its middle, as on a full disk. The run
has dropout, random changes of the examples, accumulation, an average of the weights, a schedule and early
stopping, and writes a checkpoint after every update, so that many kills and all fills come while one is
written. Processes are forked from this one, which imports but trains nothing: their time goes into training.
`test_long_runs.py` has a short form.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

import ravine as rv
from ravine.train import EMA, Callback, Checkpoint, EarlyStopping, Trainer, latest_checkpoint

sys.path.insert(0, str(Path(__file__).parent / "python"))
import test_resume

EPOCHS_MORE = 40
LONGEST = 0.25  # seconds from the first update to a kill
UPDATES_BEFORE_FULL = 12
FULL, FAILED = 28, 1  # exit codes of a process


class Fill(NamedTuple):
    """After so many updates of a process files may have no more than so many bytes."""

    updates: int
    size: int


class Watched(Callback):
    """Tells through a pipe that a process has done its first update, and fills its disk."""

    def __init__(self, pipe: int, fill: Fill | None) -> None:
        self.pipe, self.fill, self.updates = pipe, fill, 0

    def on_update(self, trainer: Trainer, step: int) -> None:
        self.updates += 1
        if self.updates == 1:
            os.write(self.pipe, b"!")
        if self.fill is not None and self.updates == self.fill.updates:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.fill.size, resource.RLIM_INFINITY))

    def state_dict(self) -> dict[str, np.ndarray]:
        return {}


def train(folder: Path, epochs: int, saving: list[Callback]) -> None:
    """Goes on from the newest checkpoint if one is written; "final.safetensors" says that it is through."""
    callbacks = [EarlyStopping("val_loss", patience=10**9), EMA(0.9, replace=False), *saving]
    resume = latest_checkpoint(folder) if saving else None
    trainer = test_resume.fitted(test_resume.trainer(), epochs=epochs, callbacks=callbacks, resume=resume)
    state = test_resume.state_of(trainer) | {"loss": np.array(trainer.history["loss"])}
    rv.save(folder / "final.safetensors", state)


def started(folder: Path, epochs: int, *, saving: bool = True, fill: Fill | None = None) -> tuple[int, int]:
    """A process that trains, and a pipe that tells of its first update, or of its end."""
    told, tell = os.pipe()
    process = os.fork()
    if process != 0:
        os.close(tell)
        return process, told
    code = FAILED
    try:
        os.close(told)
        checkpoint = Checkpoint(folder, unit="step", monitor="val_loss")
        train(folder, epochs, [Watched(tell, fill), checkpoint] if saving else [])
        code = 0
    except OSError as error:
        resource.setrlimit(
            resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        )  # of stderr
        print(f"process {os.getpid()}: {error}", file=sys.stderr)
        code = FULL if fill is not None else FAILED
    except BaseException as error:  # a child does not return into the loop below
        print(f"process {os.getpid()}: {type(error).__name__}: {error}", file=sys.stderr)
    finally:
        os._exit(code)


def ended(process: int, told: int) -> int:
    """Waits; the exit code, or minus the signal."""
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    os.close(told)
    return code


def check_files(folder: Path) -> int:
    """Every checkpoint in the folder can be read; the size of the newest."""
    for path in [*folder.glob("step-*.safetensors"), *folder.glob("best.safetensors")]:
        rv.train.model_state(path)
    newest = latest_checkpoint(folder)
    return 0 if newest is None else Path(newest).stat().st_size


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--fills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    kills = fills = 0
    epochs = EPOCHS_MORE
    with tempfile.TemporaryDirectory() as name:
        folder, whole = Path(name, "killed"), Path(name, "whole")
        folder.mkdir()
        whole.mkdir()
        size = 1 << 12
        while kills < options.kills or fills < options.fills:
            fill = None
            if kills >= options.kills or (fills < options.fills and draw.random() < 0.5):
                fill = Fill(draw.randint(1, UPDATES_BEFORE_FULL), draw.randrange(size))
            process, told = started(folder, epochs, fill=fill)
            if os.read(told, 1) and fill is None:
                time.sleep(draw.uniform(0.0, LONGEST))
                os.kill(process, signal.SIGKILL)
            code = ended(process, told)
            if code == -signal.SIGKILL:
                kills += 1
            elif code == FULL:
                fills += 1
            elif code == 0:
                epochs += EPOCHS_MORE  # it got through: there is more to do
            else:
                print(f"after {kills} kills and {fills} fills a run could not be resumed: exit code {code}")
                return 1
            size = max(check_files(folder), 1 << 12)
        if ended(*started(folder, epochs)) != 0 or ended(*started(whole, epochs, saving=False)) != 0:
            print("the last run failed")
            return 1
        one, other = (rv.load(run / "final.safetensors") for run in (whole, folder))
        updates = int(one["step.optimizer.steps"])
    different = [key for key in one.keys() | other.keys() if not np.array_equal(one.get(key), other.get(key))]
    counts = f"{kills} kills, {fills} fills, {updates} updates, {len(one)} arrays"
    print(f"{counts}, {len(different)} differ {different}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
