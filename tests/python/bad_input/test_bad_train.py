"""Metrics, callbacks, the loop and the Trainer: bad inputs are refused, and nothing changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from refusals import NET, STEP, TEXT, Case, X, Y, check

import ravine as rv
from ravine import data, nn, optim, train
from ravine.train import metrics as M

CASES: list[Case] = [
    (lambda: M.TopKAccuracy(0), ValueError, "TopKAccuracy: k=0, expected at least 1"),
    (lambda: M.F1("mean"), ValueError, "F1: average must be 'binary', 'macro', 'micro', 'weighted' or"),
    (lambda: M.WholeSet(5), TypeError, "WholeSet: a function is expected, got int"),
    (lambda: M.Accuracy().update(X, Y[:3]), ValueError, "Accuracy: output (20, 3) and target int64 (3,),"),
    (lambda: rv.Trainer(5, nn.MSELoss(), optim.SGD(0.1)), TypeError, "Trainer: model must be a Module, got"),
    (lambda: rv.Trainer(NET, 5, optim.SGD(0.1)), TypeError, "TrainStep: loss must be a module"),
    (lambda: rv.Trainer(NET, nn.MSELoss(), 0.1), TypeError, "TrainStep: optimizer must be one"),
    (lambda: rv.Trainer(NET, nn.MSELoss(), optim.SGD(0.1), ["acuracy"]),
     ValueError, "metrics: unknown 'acuracy'; known are loss, accuracy,"),
    (lambda: rv.Trainer(NET, nn.MSELoss(), optim.SGD(0.1), "accuracy"),
     TypeError, "metrics='accuracy': expected a list such as ['accuracy']"),
    (lambda: rv.Trainer(NET, nn.MSELoss(), optim.SGD(0.1), [5]),
     TypeError, "metrics: 'int' is a int, expected a name, a Metric, or a"),
    (lambda: train.EarlyStopping(patience=0), ValueError, "EarlyStopping: patience must be at least 1, got"),
    (lambda: train.EarlyStopping(patience="x"), TypeError, "EarlyStopping: patience must be an integer, got"),
    (lambda: train.EarlyStopping("speed"), ValueError, "EarlyStopping: whether 'speed' is better high or"),
    (lambda: train.EarlyStopping(mode="best"), ValueError, "EarlyStopping: mode must be 'auto', 'min' or"),
    (lambda: train.EarlyStopping(min_delta=-1), ValueError, "EarlyStopping: min_delta must be a finite"),
    (lambda: train.Checkpoint(5), TypeError, "expected str, bytes or os.PathLike object, not int"),
    (lambda: train.Checkpoint("x", every=0), ValueError, "Checkpoint: every must be at least 1, got 0"),
    (lambda: train.Checkpoint("x", unit="hour"), ValueError, "Checkpoint: unit must be 'epoch' or 'step',"),
    (lambda: train.Checkpoint("x", keep=0), ValueError, "Checkpoint: keep must be at least 1, got 0"),
    (lambda: train.Checkpoint("x", monitor="speed"), ValueError, "Checkpoint: whether 'speed' is better"),
    (lambda: train.EMA(1.0), ValueError, "EMA: decay must be a finite number in [0, 1), got 1.0"),
    (lambda: train.EMA("x"), TypeError, "EMA: decay must be a number, got 'x'"),
    (lambda: train.CSVLog(5), TypeError, "expected str, bytes or os.PathLike object, not int"),
    (lambda: train.JSONLines(None), TypeError, "expected str, bytes or os.PathLike object, not NoneType"),
    (lambda: train.GradientNorms(every=0), ValueError, "GradientNorms: every must be at least 1, got 0"),
    (lambda: train.LearningRateMonitor(every=1.5), TypeError, "LearningRateMonitor: every must be an"),
    (lambda: train.Lambda(on_epoch_ends=print), TypeError, "Lambda: there is no event on_epoch_ends, only"),
    (lambda: train.Lambda(on_epoch_end=5), TypeError, "Lambda: on_epoch_end is a int, expected a function"),
    (lambda: train.Loop(5, data.Batches(X, Y)), TypeError, "Loop: step must be a TrainStep, got int"),
    (lambda: train.Loop(STEP, X), TypeError, "Loop: a source of ravine.data is expected, got ndarray"),
    (lambda: train.Loop(STEP, data.Batches(X, Y), steps_per_epoch=0),
     ValueError, "Loop: steps_per_epoch=0, expected at least 1"),
    (lambda: train.Loop(STEP, data.Batches(X, Y)).on("lunch", print),
     ValueError, "Loop.on: unknown event 'lunch'; there are fit_begin,"),
    (lambda: train.Loop(STEP, data.Batches(X, Y)).on("update", print, every=0),
     ValueError, "Loop.on: every=0 and once=None, expected numbers from 1"),
    (lambda: train.model_state(TEXT), ValueError, "'text' is not a valid safetensors file, or is truncated:"),
    (lambda: train.model_state("/nowhere"), FileNotFoundError, "No such file or directory: '/nowhere'"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_bad_input_is_refused(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check(case, str(tmp_path))
