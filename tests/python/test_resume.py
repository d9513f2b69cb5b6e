"""Runs that go on: a second fit, checkpoints, kills; to the bits of a run that was never interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import ravine as rv
from ravine import data, nn, optim
from ravine.train import (
    EMA,
    Callback,
    Checkpoint,
    CSVLog,
    EarlyStopping,
    JSONLines,
    Trainer,
    latest_checkpoint,
)

RNG = np.random.default_rng(5)
X = RNG.normal(size=(50, 6)).astype(np.float32)
Y = RNG.integers(0, 3, 50)


def noisy(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x + 0.1 * rng.normal(size=x.shape).astype(np.float32), y


def trainer(accumulate: int = 3, *, ends: bool = False) -> Trainer:
    """Dropout, statistics, a schedule, accumulation, an average, metrics that gather."""
    rv.seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))
    rate = optim.schedules.Cosine(0.05, 400)
    rate = rate if ends else rate.hold()
    optimizer = optim.Adam(rate, accumulate=accumulate, average=optim.EMA(0.9))
    return Trainer(model, nn.CrossEntropyLoss(), optimizer, ["accuracy", "log_loss", "roc_auc"])


def source() -> data.Source:
    return data.Map(data.Batches(X, Y, batch_size=4, shuffle=True, seed=3), noisy, seed=4)


def state_of(trainer: Trainer) -> dict[str, np.ndarray]:
    state = {f"model.{key}": np.array(value) for key, value in trainer.model.state_dict().items()}
    return state | {f"step.{key}": np.array(value) for key, value in trainer.step.state_dict().items()}


class Whole(NamedTuple):
    """What a run was when it ended: a later `rv.seed` resets its random stream."""

    state: dict[str, np.ndarray]
    history: dict[str, list[Any]]
    model: nn.Module
    trainer: Trainer


def ended(trainer: Trainer) -> Whole:
    return Whole(state_of(trainer), trainer.history, trainer.model, trainer)


def check_same(one: Whole, other: Trainer) -> None:
    second = state_of(other)
    assert one.state.keys() == second.keys()
    for key, value in one.state.items():
        np.testing.assert_array_equal(second[key], value, err_msg=key)
    for name in one.history.keys() | other.history.keys():
        if name != "seconds":
            np.testing.assert_array_equal(other.history[name], one.history[name], err_msg=name)


class StopAt(Callback):
    def __init__(self, batches: int) -> None:
        self.batches = batches

    def on_batch_end(self, trainer: Trainer, batch: int, loss: float) -> None:
        if trainer.loop.batches == self.batches:
            trainer.stop()


def fitted(trainer: Trainer, **options: Any) -> Trainer:
    trainer.fit(source(), validation_data=(X, Y), verbose=0, **({"epochs": 3} | options))
    return trainer


@pytest.fixture(scope="module")
def whole() -> Whole:
    return ended(fitted(trainer()))


@pytest.mark.parametrize("batches", [1, 12, 13, 25, 38, 39])
def test_a_run_resumes_after_any_batch(whole: Whole, batches: int, tmp_path: Path) -> None:
    """13 batches an epoch, 3 an update: inside of epochs and of accumulations, and at the ends of both."""
    first = fitted(trainer(), callbacks=[StopAt(batches)])
    assert first.loop.batches == batches
    first.save(tmp_path / "here.safetensors")
    if batches < 39:  # and in the same process, by fitting again
        check_same(whole, fitted(first))
    check_same(whole, fitted(trainer(), resume=tmp_path / "here.safetensors"))


def test_epochs_one_by_one_are_epochs_at_once(whole: Whole) -> None:
    pieces = trainer()
    for epochs in (1, 2, 3):
        fitted(pieces, epochs=epochs)
    check_same(whole, pieces)
    with pytest.warns(UserWarning, match="nothing is trained, as the run has 3 epochs"):
        fitted(pieces, epochs=2)
    check_same(whole, pieces)


def test_limits_of_steps_and_time(whole: Whole) -> None:
    steps = trainer()
    for limit in (2, 5, 9):
        history = fitted(steps, epochs=None, max_steps=limit).history
        assert steps.step.steps == limit
        # The last row is of the epoch under way.
        assert len(history["loss"]) == len(history["val_loss"]) == -(-steps.loop.batches // 13)
    check_same(whole, fitted(steps))
    timed = trainer()
    fitted(timed, epochs=None, max_seconds=0.0)
    assert timed.loop.batches == 0
    fitted(timed, epochs=10**6, max_seconds=0.05)
    assert 0 < timed.loop.batches < 10**6


def test_epochs_of_some_steps_go_on_within_the_pass(tmp_path: Path) -> None:
    whole = ended(fitted(trainer(1), steps_per_epoch=5, epochs=6))
    assert len(whole.history["loss"]) == 6 and whole.trainer.step.steps == 30
    # The updates are those of passes over the source.
    passes = trainer(1)
    fitted(passes, max_steps=30, epochs=None)
    for key, value in whole.model.state_dict().items():
        np.testing.assert_array_equal(passes.model.state_dict()[key], value)
    first = fitted(trainer(1), steps_per_epoch=5, epochs=6, callbacks=[StopAt(17)])
    first.save(tmp_path / "here")
    check_same(whole, fitted(trainer(1), steps_per_epoch=5, epochs=6, resume=tmp_path / "here"))


def test_arrays_with_a_split_resume_with_the_seed_of_the_run(tmp_path: Path) -> None:
    def run(trainer: Trainer, **options: Any) -> Trainer:
        trainer.fit({"x": X}, Y, epochs=3, batch_size=8, validation_split=0.2, verbose=0, **options)
        return trainer

    class Pick(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(6, 3)

        def forward(self, inputs: Any) -> Any:
            return self.layer(inputs["x"])

    def new() -> Trainer:
        rv.seed(1)
        return Trainer(Pick(), nn.CrossEntropyLoss(), optim.Adam(0.01), ["accuracy"])

    whole = ended(run(new()))
    first = run(new(), callbacks=[StopAt(7)])
    first.save(tmp_path / "here")
    resumed = new()
    rv.seed(99)  # the seed of orders comes from the file
    check_same(whole, run(resumed, resume=tmp_path / "here"))


def test_callbacks_and_logs_resume(tmp_path: Path) -> None:
    def callbacks(folder: Path) -> list[Callback]:
        return [
            EarlyStopping("val_log_loss", patience=2),
            EMA(0.8, replace=False),
            rv.train.LearningRateMonitor(),
            CSVLog(folder / "log.csv"),
            JSONLines(folder / "log.jsonl"),
            Checkpoint(folder / "checkpoints", every=2, unit="step", keep=2, monitor="val_accuracy"),
        ]

    def run(folder: Path, *extra: Callback, **options: Any) -> tuple[Trainer, list[Callback]]:
        used = callbacks(folder)
        return fitted(trainer(), epochs=30, callbacks=[*used, *extra], **options), used

    trained, expected = run(tmp_path / "whole")
    whole = ended(trained)
    assert len(whole.history["loss"]) < 30  # it stopped early
    saved = sorted(path.name for path in (tmp_path / "whole" / "checkpoints").iterdir())
    assert len(saved) == 3 and saved[0] == "best.safetensors"
    for batches in (20, 26):
        folder = tmp_path / str(batches)
        run(folder, StopAt(batches))
        resumed, used = run(folder, resume=latest_checkpoint(folder / "checkpoints"))
        check_same(whole, resumed)
        for one, other in zip(expected, used, strict=True):
            for key, value in one.state_dict().items():
                np.testing.assert_array_equal(other.state_dict()[key], value, err_msg=key)
        for name in ("log.csv", "log.jsonl"):
            lines = [(tmp_path / run / name).read_text().splitlines() for run in ("whole", str(batches))]
            assert len(lines[0]) == len(lines[1]) >= len(whole.history["loss"])
        rows = [json.loads(line) for line in lines[1]]
        losses = [row["loss"] for row in rows if row["event"] == "epoch"]
        assert losses == whole.history["loss"]
        assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == saved
    # A run that had stopped stays so.
    again, _ = run(tmp_path / "whole", resume=latest_checkpoint(tmp_path / "whole" / "checkpoints"))
    check_same(whole, again)


# ---- wrong checkpoints


def test_wrong_checkpoints_change_nothing(tmp_path: Path) -> None:
    path, wrong = tmp_path / "here", tmp_path / "wrong"
    fitted(trainer(), callbacks=[StopAt(17)]).save(path)
    arrays, metadata = rv.load(path), rv.load_metadata(path)
    assert metadata["format"] == "ravine.checkpoint" and json.loads(metadata["settings"])["epochs"] == 1

    def changed(**entries: Any) -> None:
        kept = {key: value for key, value in arrays.items() if entries.get(key, 0) is not None}
        rv.save(wrong, kept | {k: v for k, v in entries.items() if v is not None}, metadata)

    cases = [
        (lambda: rv.save(wrong, arrays), "not a checkpoint of a training"),
        (lambda: rv.save(wrong, arrays, metadata | {"version": "2"}), "format '2'.* reads format 1"),
        (lambda: wrong.write_bytes(path.read_bytes()[:-9]), "wrong"),
        (lambda: changed(other=np.zeros(1)), "unknown entry 'other'"),
        (lambda: changed(**{"model.0.weight": None}), "missing keys: 0.weight"),
        (lambda: changed(**{"model.0.weight": np.zeros((8, 7))}), "misshaped: 0.weight"),
        (lambda: changed(**{"step.random.seed": None}), "random.seed"),
        (lambda: changed(**{"step.optimizer.4.bias.exp_avg": np.zeros(9)}), "4.bias.exp_avg: shape"),
        (lambda: changed(**{"loop.batch": np.asarray(-1)}), "batch is -1"),
        (lambda: changed(**{"loop.batch": None}), "missing keys"),
        (lambda: changed(**{"loop.metrics.metric.f1.counts": np.zeros(3)}), "a metric 'f1'"),
        (lambda: changed(**{"source.position": np.asarray(0.5)}), "position is"),
        (lambda: changed(**{"source.source.batch_size": np.asarray(5)}), "batch_size=5, this has 4"),
        (lambda: changed(**{"history.loss": np.zeros(7)}), "different lengths"),
        (lambda: changed(**{"run.seed": None}), r"missing keys \['seed'\]"),
        (lambda: changed(**{"callbacks.EarlyStopping.wrong": np.zeros(1)}), r"unexpected keys \['wrong'\]"),
    ]
    used = fitted(trainer(ends=True), epochs=1)
    before, history = state_of(used), {name: list(values) for name, values in used.history.items()}
    for make, message in cases:
        make()
        with pytest.raises(ValueError, match=message):
            fitted(used, resume=wrong, callbacks=[EarlyStopping()])
        for key, value in state_of(used).items():
            np.testing.assert_array_equal(value, before[key], err_msg=f"{message}: {key}")
        assert used.history == history and used.loop.epoch == 1
    with pytest.raises(FileNotFoundError):
        fitted(used, resume=tmp_path / "nothing")
    # Another schedule than the run needs is noticed before anything changes, too.
    with pytest.raises(ValueError, match="but the schedule of lr ends after 400"):
        fitted(used, resume=path, epochs=1000)
    for key, value in state_of(used).items():
        np.testing.assert_array_equal(value, before[key])


def test_the_weights_of_a_checkpoint_alone(whole: Whole, tmp_path: Path) -> None:
    whole.trainer.save(tmp_path / "here")
    model = trainer().model
    model.load_state_dict(rv.train.model_state(tmp_path / "here"))
    for key, value in whole.model.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[key], value)
    with pytest.raises(RuntimeError, match="nothing was trained yet"):
        trainer().save(tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_weights_are_read_by_safetensors(whole: Whole, tmp_path: Path) -> None:
    reader = pytest.importorskip("safetensors.numpy")
    whole.trainer.save(tmp_path / "here")
    read = reader.load_file(tmp_path / "here")
    for key, value in whole.model.state_dict().items():
        np.testing.assert_array_equal(read[f"model.{key}"], value)


def test_a_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    fitted(trainer(), callbacks=[Checkpoint(tmp_path)])
    with pytest.raises(ValueError, match=r"step-000000015\.safetensors has more updates than this run"):
        fitted(trainer(), callbacks=[Checkpoint(tmp_path)])
    for options, message in (({"unit": "hour"}, "unit"), ({"every": 0}, "every"), ({"keep": 0}, "keep")):
        with pytest.raises(ValueError, match=message):
            Checkpoint(tmp_path, **options)


# ---- signals


PROGRAM = """
import sys, numpy as np, ravine as rv
sys.path.insert(0, {tests!r})
import test_resume as t
from ravine.train import Checkpoint, Lambda, latest_checkpoint
trainer = t.trainer()
def say(trainer, step):
    print("step", step, flush=True)
try:
    t.fitted(
        trainer, epochs={epochs}, resume=latest_checkpoint({folder!r}),
        callbacks=[Lambda(on_update=say), Checkpoint({folder!r}, every={every}, unit="step")],
    )
finally:
    if len(trainer.history.get("loss", ())) < {epochs}:
        print("history", len(trainer.history.get("loss", ())), flush=True)
rv.save({folder!r} + "/final.safetensors", trainer.model)
"""


def started(folder: Path, epochs: int = 20, every: int = 1) -> subprocess.Popen[str]:
    tests = str(Path(__file__).parent)
    program = PROGRAM.format(tests=tests, folder=str(folder), epochs=epochs, every=every)
    return subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def until_step(process: subprocess.Popen[str], step: int) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line == f"step {step}\n":
            return
    raise AssertionError(process.communicate()[1])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_after_the_step_with_a_checkpoint(number: signal.Signals, tmp_path: Path) -> None:
    with started(tmp_path, epochs=4000, every=10**6) as process:
        until_step(process, 30)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == (-signal.SIGINT if number == signal.SIGINT else 143), err
    done = int(out.splitlines()[-1].removeprefix("history "))
    saved = latest_checkpoint(tmp_path)
    assert saved is not None
    whole = ended(fitted(trainer(), epochs=done + 2))
    check_same(whole, fitted(trainer(), epochs=done + 2, resume=saved))


def test_a_killed_run_resumes_to_the_same_bits(tmp_path: Path) -> None:
    """The short form of tests/kill_training.py."""
    kills = 0
    for step in (3, 50):
        with started(tmp_path) as process:
            until_step(process, step)
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
        kills += process.returncode == -signal.SIGKILL
    with started(tmp_path) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert kills == 2
    whole = fitted(trainer(), epochs=20)
    for key, value in rv.load(tmp_path / "final.safetensors").items():
        np.testing.assert_array_equal(value, whole.model.state_dict()[key])
