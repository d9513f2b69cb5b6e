"""Callbacks and the events of the loop; what `fit` takes, and in which forms."""

from __future__ import annotations

import csv
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import data, nn, optim
from ravine.train import Callback, EarlyStopping, Lambda, Loop, Trainer

RNG = np.random.default_rng(2)
X = RNG.normal(size=(40, 4)).astype(np.float32)
Y = RNG.integers(0, 3, 40)


def trainer(optimizer: optim.Optimizer | None = None, metrics: Any = ()) -> Trainer:
    return Trainer(nn.Linear(4, 3), nn.CrossEntropyLoss(), optimizer or optim.SGD(0.1), metrics)


def fitted(callbacks: list[Callback], trained: Trainer | None = None, **options: Any) -> Trainer:
    trained = trained or trainer()
    trained.fit(X, Y, **({"batch_size": 8, "epochs": 2, "verbose": 0, "callbacks": callbacks} | options))
    return trained


# ---- events


class Everything(Callback):
    """Writes down every event."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("on_"):
            return lambda trainer, *arguments: self.events.append(name[3:])
        return super().__getattribute__(name)


for _name in [name for name in vars(Callback) if name.startswith("on_")]:
    setattr(Everything, _name, lambda self, *arguments: None)


def test_the_events_come_in_order() -> None:
    everything = Everything()
    fitted(
        [everything], trainer(optim.SGD(0.1, accumulate=2)), validation_data=(X, Y), epochs=1, batch_size=10
    )
    batch, update = ["batch_begin", "batch_end"], ["batch_begin", "update", "batch_end"]
    validation = ["validation_begin", "validation_end"]
    assert everything.events == [
        "fit_begin", "epoch_begin", *batch, *update, *batch, *update, *validation, "epoch_end", "fit_end"
    ]  # fmt: skip
    everything.events.clear()
    with pytest.raises(FloatingPointError):
        fitted([everything], trainer(optim.SGD(1e38)), epochs=9)
    assert everything.events[-2:] == ["failed", "fit_end"]


def test_listeners_every_and_once() -> None:
    step = rv.TrainStep(nn.Linear(4, 3), nn.CrossEntropyLoss(), optim.SGD(0.1))
    loop, seen = Loop(step, data.Batches(X, Y, batch_size=8)), []
    loop.on("update", lambda steps: seen.append(("update", steps)), every=4)
    loop.on("batch_end", lambda batch, loss: seen.append(("batch", batch)), once=7)
    loop.on("epoch_end", lambda epoch, logs: seen.append(("epoch", epoch)), every=2)
    loop.on("epoch_begin", lambda epoch: seen.append(("begin", epoch)), once=3)
    loop.run(epochs=3)
    assert seen == [("update", 4), ("batch", 1), ("update", 8), ("epoch", 1), ("begin", 2), ("update", 12)]
    for event, options, message in (
        ("epoch", {}, "unknown event 'epoch'; there are fit_begin"),
        ("update", {"every": 0}, "every=0"),
        ("update", {"once": 0}, "once=0"),
    ):
        with pytest.raises(ValueError, match=message):
            loop.on(event, print, **options)


def test_stop_takes_effect_at_the_batch() -> None:
    stopped = fitted([Lambda(on_update=lambda trainer, step: step == 3 and trainer.stop())], epochs=9)
    assert (stopped.loop.batches, stopped.step.steps, len(stopped.history["loss"])) == (3, 3, 1)
    fitted([], stopped, epochs=2)
    assert (stopped.loop.batches, len(stopped.history["loss"])) == (10, 2)


def test_misspelt_methods_are_errors_before_anything_changes() -> None:
    class Wrong(Callback):
        def on_epoch_ends(self, trainer: Trainer) -> None: ...

    trained = trainer()
    before = trained.model.state_dict()["weight"].copy()
    for callbacks, message in (
        ([Wrong()], "callback Wrong: there is no event on_epoch_ends, .*on_epoch_end is meant?"),
        ([print], "must derive from ravine.train.Callback, got builtin_function_or_method"),
        (Wrong(), "must be a list of callbacks"),
    ):
        with pytest.raises(TypeError, match=message):
            fitted(callbacks, trained)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Lambda: there is no event on_step"):
        Lambda(on_step=print)
    with pytest.raises(TypeError, match="on_update is a int"):
        Lambda(on_update=3)  # type: ignore[arg-type]
    np.testing.assert_array_equal(trained.model.state_dict()["weight"], before)


# ---- callbacks


class Scripted(Callback):
    """Lets validations say what the script says."""

    def __init__(self, values: list[float]) -> None:
        self.values = iter(values)
        self.weights: list[np.ndarray] = []

    def on_validation_end(self, trainer: Trainer, logs: Any) -> None:
        logs["val_loss"] = next(self.values)
        self.weights.append(np.array(trainer.model.state_dict()["weight"]))


@pytest.mark.parametrize("restore", [True, False])
def test_early_stopping_restores_the_best(restore: bool) -> None:
    script = Scripted([3.0, 2.0, 2.5, 1.9, 1.95, 2.0, 0.0])
    stopping = EarlyStopping(patience=2, min_delta=0.05, restore_best=restore)
    trained = fitted([script, stopping], epochs=20, validation_data=(X, Y))
    assert trained.history["val_loss"] == [3.0, 2.0, 2.5, 1.9, 1.95, 2.0]
    assert (stopping.best, stopping.wait) == (1.9, 2)
    expected = script.weights[3 if restore else 5]
    np.testing.assert_array_equal(trained.model.state_dict()["weight"], expected)
    assert EarlyStopping("val_accuracy").best == -np.inf
    for options, message in (
        ({"monitor": "val_speed"}, "whether 'val_speed' is better high or low"),
        ({"mode": "up"}, "got 'up'"),
        ({"patience": 0}, "patience must be at least 1, got 0"),
        ({"min_delta": -1}, "min_delta must be a finite number at least 0, got -1"),
    ):
        with pytest.raises(ValueError, match=message):
            EarlyStopping(**options)
    with pytest.raises(ValueError, match="EarlyStopping monitors 'rmse', but this run measures loss, lr"):
        fitted([EarlyStopping("rmse")])


def test_early_stopping_leaves_the_weights_of_a_run_that_failed() -> None:
    def fail(trainer: Trainer, epoch: int, logs: Any) -> None:
        if epoch == 2:
            raise RuntimeError("enough")

    script, trained = Scripted([1.0, 2.0, 3.0]), trainer()
    with pytest.raises(RuntimeError, match="enough"):
        fitted(
            [script, EarlyStopping(), Lambda(on_epoch_end=fail)], trained, epochs=9, validation_data=(X, Y)
        )
    np.testing.assert_array_equal(trained.model.state_dict()["weight"], script.weights[2])


def test_ema_is_evaluated_saved_and_kept(tmp_path: Path) -> None:
    weights: list[np.ndarray] = []
    validated: list[np.ndarray] = []

    def average() -> np.ndarray:
        result = start.astype(np.float32)
        for n, w in enumerate(weights, 1):
            share = np.float32(1 - min(0.5, (1 + n) / (10 + n)))
            result = result + share * (w - result)
        return result

    watch = Lambda(on_update=lambda t, step: weights.append(np.array(t.model.weight.data)))
    look = Lambda(on_validation_begin=lambda t: validated.append(np.array(t.model.weight.data)))
    trained = trainer()
    start = np.array(trained.model.state_dict()["weight"])
    ema = rv.train.EMA(0.5, tmp_path / "average.safetensors")
    fitted([watch, ema, look], trained, validation_data=(X, Y))
    np.testing.assert_allclose(trained.model.state_dict()["weight"], average(), rtol=1e-6)
    np.testing.assert_array_equal(
        rv.load(tmp_path / "average.safetensors")["weight"], trained.model.weight.data
    )
    np.testing.assert_array_equal(validated[1], trained.model.weight.data)
    # Between validations the training goes on with weights of its own.
    plain = trainer()
    plain.model.load_state_dict({"weight": start, "bias": plain.model.bias.data})
    kept = trainer()
    kept.model.load_state_dict(plain.model.state_dict())
    for one, callbacks in ((plain, []), (kept, [rv.train.EMA(0.5, replace=False)])):
        fitted(callbacks, one, validation_data=(X, Y), seed=1)
    np.testing.assert_array_equal(kept.model.weight.data, plain.model.weight.data)


def test_records_of_rates_norms_and_times() -> None:
    rates, norms = rv.train.LearningRateMonitor(every=2), rv.train.GradientNorms()
    timer = rv.train.Timer()
    optimizer = optim.SGD(lambda step: 1 / (step + 1), clip_global_norm=1e9)
    fitted([rates, norms, timer], trainer(optimizer), validation_data=(X, Y))
    assert rates.steps == [2, 4, 6, 8, 10]
    assert rates.values == pytest.approx([1 / step for step in rates.steps])
    assert norms.steps == list(range(1, 11)) and min(norms.values) > 0
    assert len(timer.epochs) == 2 and timer.seconds >= sum(timer.epochs) > timer.validation_seconds > 0
    assert timer.examples_per_second > 80 / timer.seconds
    with pytest.raises(ValueError, match="SGD measures no norm"):
        fitted([rv.train.GradientNorms()])


def test_logs_in_files(tmp_path: Path) -> None:
    table, lines = tmp_path / "logs" / "log.csv", tmp_path / "logs" / "log.jsonl"
    trained = trainer(metrics=["accuracy", "confusion_matrix"])
    callbacks = [rv.train.CSVLog(table), rv.train.JSONLines(lines)]
    history = fitted(callbacks, trained, validation_data=(X, Y), epochs=3).history
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
    assert [float(row["val_loss"]) for row in rows] == history["val_loss"]
    assert "confusion_matrix" not in rows[0] and "val_accuracy" in rows[0]
    events = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [e["event"] for e in events] == ["validation", "epoch"] * 3
    assert (
        events[-1]["step"] == 15 and events[-1]["confusion_matrix"] == history["confusion_matrix"][2].tolist()
    )
    # A new run begins new files.
    fitted(callbacks, trainer(), epochs=1)
    assert len(table.read_text().splitlines()) == 2 and len(lines.read_text().splitlines()) == 1


def test_tensorboard_files(tmp_path: Path) -> None:
    writer = pytest.importorskip("tensorboardX")
    assert writer.SummaryWriter
    fitted([rv.train.TensorBoard(tmp_path)], validation_data=(X, Y))
    (events,) = tmp_path.glob("events.out.tfevents.*")
    content = events.read_bytes()
    for name in (b"loss/training", b"loss/validation", b"lr/training"):
        assert content.count(name) == 2


# ---- what fit takes


class Two(nn.Module):
    """Two inputs, two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.layer = nn.Embedding(3, 3), nn.Linear(4, 3)

    def forward(self, inputs: Any) -> Any:
        return {
            "sum": self.layer(inputs["num"]) + self.table(inputs["cat"]),
            "cat": self.table(inputs["cat"]),
        }


def loss_of_two(output: Any, target: Any) -> Any:
    return rv.ops.cross_entropy(output["sum"], target)


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, a: Any, b: Any) -> Any:
        return self.layer(a) + self.layer(b), a


def test_nested_inputs_and_several_outputs() -> None:
    x = {"num": X, "cat": Y.astype(np.int64)}
    trained = Trainer(Two(), loss_of_two, optim.Adam(0.05))
    history = trained.fit(x, Y, epochs=20, batch_size=8, validation_split=0.25, verbose=0)
    assert history["val_loss"][-1] < 0.7 * history["val_loss"][0]
    outputs = trained.predict(x, batch_size=7)
    assert {key: value.shape for key, value in outputs.items()} == {"sum": (40, 3), "cat": (40, 3)}
    assert trained.evaluate(x, Y)["loss"] < history["loss"][0]
    pair = Trainer(Pair(), lambda output, y: rv.ops.cross_entropy(output[0], y), optim.Adam(0.05))
    pair.fit((X, X), Y, verbose=0)
    first, second = pair.predict((X, X), batch_size=16)
    assert first.shape == (40, 3)
    np.testing.assert_array_equal(second, X)


def test_any_source_gives_what_arrays_give() -> None:
    def trained(*arguments: Any, **options: Any) -> np.ndarray:
        rv.seed(0)
        one = trainer()
        one.fit(*arguments, epochs=2, verbose=0, **options)
        return one.model.weight.data

    batches = [(X[i : i + 8], Y[i : i + 8]) for i in range(0, 40, 8)]
    expected = trained(X, Y, batch_size=8, shuffle=False)
    for source in (
        data.Batches(X, Y, batch_size=8),
        data.Prefetch(data.Batches(X, Y, batch_size=8)),
        batches,
        data.Stream(lambda: iter(batches)),
    ):
        np.testing.assert_array_equal(trained(source), expected)
    endless = (batch for _ in range(9) for batch in batches)
    np.testing.assert_array_equal(trained(endless, steps_per_epoch=5), expected)
    trained(data.Prefetch(data.Stream(lambda: iter(batches * 9))), steps_per_epoch=5)
    assert not [thread for thread in threading.enumerate() if thread.name == "ravine.data.Prefetch"]
    with pytest.raises(ValueError, match=r"no more batches after 5, in epoch 2"):
        trained((batch for batch in batches), steps_per_epoch=5)


def test_a_loader_of_torch_trains() -> None:
    torch = pytest.importorskip("torch")
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y)), batch_size=8
    )
    one, other = trainer(), trainer()
    other.model.load_state_dict(one.model.state_dict())
    one.fit(loader, validation_data=loader, epochs=2, verbose=0)
    other.fit(X, Y, batch_size=8, shuffle=False, validation_data=(X, Y), epochs=2, verbose=0)
    np.testing.assert_array_equal(one.model.weight.data, other.model.weight.data)
    assert one.history["val_loss"] == pytest.approx(other.history["val_loss"], rel=1e-6)


def test_frames_train() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd")).assign(y=Y)
    trained = trainer()
    trained.fit(frame[list("abcd")], frame["y"], verbose=0)
    assert trained.predict(frame[list("abcd")]).shape == (40, 3)
    with pytest.raises(TypeError, match="fit: x: column 'y' holds"):
        trained.fit(frame.assign(y=frame["y"].map(str)), frame["y"], epochs=2, verbose=0)


def test_several_validations_and_validations_every_so_many_updates() -> None:
    sets = {"near": (X, Y), "far": data.Batches(X + 9, Y)}
    trained = trainer(metrics=["accuracy"])
    history = fitted([], trained, validation_data=sets).history
    assert {"val_near_loss", "val_near_accuracy", "val_far_loss", "val_far_accuracy"} < history.keys()
    assert history["val_far_loss"][0] != history["val_near_loss"][0]
    assert history["val_near_loss"][-1] == trained.evaluate(X, Y)["loss"]
    seen: list[int] = []
    watch = Lambda(on_validation_end=lambda t, logs: seen.append(t.step.steps))
    every = fitted([watch], validation_data=(X, Y), validation_every=3, epochs=3)
    assert seen == [3, 6, 9, 12, 15]
    assert len(every.history["val_loss"]) == 3
    late = fitted([], validation_data=(X, Y), validation_every=7, epochs=2).history["val_loss"]
    assert np.isnan(late[0]) and np.isfinite(late[1])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((X,), ValueError, "targets y are missing"),
        ((data.Stream([(X, Y, Y, Y)]),), ValueError, r"a tuple of 4, expected \(x, y\)"),
        ((data.Stream([]),), ValueError, "the source has no batches"),
        (({"a": X, "b": X[:3]}, Y), ValueError, r"fit: x has shape \{'a': \(40, 4\), 'b': \(3, 4\)\}"),
    ],
)
def test_wrong_sources_are_errors(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        trainer().fit(*arguments, verbose=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation_data": X}, "validation_data is a ndarray, expected"),
        (
            {"validation_data": {"a": (X, Y[:2])}},
            r"validation_data\['a'\]: x has shape \(40, 4\) and y \(2,\)",
        ),
        ({"validation_data": iter([(X, Y)])}, "validation_data is a list_iterator"),
        ({"validation_every": 0}, "validation_every=0"),
        ({"steps_per_epoch": 0}, "steps_per_epoch=0"),
        ({"max_steps": -1}, "max_steps=-1"),
        ({"max_seconds": float("nan")}, "max_seconds=nan"),
    ],
)
def test_wrong_options_change_nothing(options: dict[str, Any], message: str) -> None:
    trained = trainer()
    before = trained.model.state_dict()["weight"].copy()
    with pytest.raises(ValueError, match=message):
        fitted([], trained, **options)
    np.testing.assert_array_equal(trained.model.state_dict()["weight"], before)
    with pytest.raises(RuntimeError, match="nothing was trained yet"):
        _ = trained.loop
