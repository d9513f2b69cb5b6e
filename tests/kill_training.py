"""Kills a training by SIGKILL at random instants and resumes it: the same bits as in one piece.

    python tests/kill_training.py [--kills 200] [--seed 0]

The run has dropout, random changes of the examples, accumulation, an average of the weights, a schedule and
early stopping, and writes a checkpoint after every update, so that many kills come while one is written.
`test_resume.py` has the short form.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import ravine as rv
from ravine.train import EMA, Checkpoint, EarlyStopping, latest_checkpoint

sys.path.insert(0, str(Path(__file__).parent / "python"))
import test_resume


def train(folder: Path, epochs: int, *, saving: bool) -> None:
    """One process: goes on from the newest checkpoint; "final.safetensors" says that it is through."""
    callbacks = [EarlyStopping("val_loss", patience=epochs), EMA(0.9, replace=False)]
    if saving:
        callbacks.append(Checkpoint(folder, unit="step", monitor="val_loss"))
    trainer = test_resume.trainer()
    resume = latest_checkpoint(folder) if saving else None
    test_resume.fitted(trainer, epochs=epochs, callbacks=callbacks, resume=resume)
    state = test_resume.state_of(trainer) | {"loss": np.array(trainer.history["loss"])}
    rv.save(folder / "final.safetensors", state)


def started(folder: Path, epochs: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, __file__, "--folder", str(folder), "--epochs", str(epochs)])


def check_files(folder: Path) -> None:
    """Every checkpoint in the folder can be read."""
    for path in [*folder.glob("step-*.safetensors"), *folder.glob("best.safetensors")]:
        rv.train.model_state(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, help="of a process that this one starts")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.folder is not None:
        train(options.folder, options.epochs, saving=True)
        return 0

    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        begun = time.monotonic()
        started(folder / "timed", 2).wait()
        startup = time.monotonic() - begun
        kills, epochs = 0, 4
        while kills < options.kills:
            with started(folder / "killed", epochs) as process:
                try:
                    # From the import to some updates after it.
                    process.wait(timeout=startup * draw.uniform(0.5, 1.2))
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
            if process.returncode == -signal.SIGKILL:
                kills += 1
            elif process.returncode != 0:
                print(f"after {kills} kills a run could not be resumed: exit code {process.returncode}")
                return 1
            else:
                epochs += 4  # it got through: there is more to do
            check_files(folder / "killed")
        if started(folder / "killed", epochs).wait() != 0:
            print("the last run could not be resumed")
            return 1
        (folder / "whole").mkdir()
        train(folder / "whole", epochs, saving=False)
        whole, killed = (rv.load(folder / run / "final.safetensors") for run in ("whole", "killed"))
    different = [key for key in whole.keys() | killed.keys() if not np.array_equal(whole[key], killed[key])]
    print(f"{kills} kills, {epochs} epochs, {len(whole)} arrays, {len(different)} of them differ {different}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
