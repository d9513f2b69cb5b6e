"""The Trainer: what it trains, reports, refuses, and how it ends."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import ravine as rv
from ravine import data, nn, optim
from ravine.train import Callback, Trainer, accuracy


def blobs(n: int = 96, features: int = 6, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Well separated clusters."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    centers = 3.0 * np.random.default_rng(99).normal(size=(classes, features))
    return (centers[y] + rng.normal(size=(n, features))).astype(np.float32), y


def classifier(metrics=("accuracy",), lr=0.05, hidden: int = 16) -> Trainer:
    model = nn.Sequential(nn.Linear(6, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, 3))
    return Trainer(model, nn.CrossEntropyLoss(), optim.SGD(lr=lr, momentum=0.9), metrics)


def weights(trainer: Trainer) -> dict[str, np.ndarray]:
    return {name: np.array(value) for name, value in trainer.model.state_dict().items()}


# ---- what it does
# ----------------------------------------------------------------------------------------------------


def test_a_classifier_learns_and_its_history_is_complete() -> None:
    x, y = blobs()
    trainer = classifier()
    history = trainer.fit(x, y, epochs=8, batch_size=20, validation_data=blobs(seed=1), verbose=0)
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy", "lr", "seconds"}
    assert all(len(values) == 8 for values in history.values())
    assert all(isinstance(value, float) for values in history.values() for value in values)
    assert history["loss"][-1] < 0.2 * history["loss"][0]
    assert history["val_accuracy"][-1] > 0.95
    assert history["lr"] == [0.05] * 8
    assert trainer.history is history


def test_a_regression_learns() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4)).astype(np.float32)
    y = (x @ np.array([[1.0], [-2.0], [0.5], [3.0]]) + 1.0).astype(np.float32)

    def largest_error(output: np.ndarray, target: np.ndarray) -> float:
        return float(np.abs(output - target).max())

    trainer = Trainer(nn.Linear(4, 1), nn.MSELoss(), optim.Adam(lr=0.05), [largest_error])
    history = trainer.fit(x, y, epochs=40, validation_split=0.2, verbose=0)
    assert history["val_loss"][-1] < 1e-3
    assert history["largest_error"][-1] < 0.2
    np.testing.assert_allclose(trainer.predict(x), y, atol=0.2)


def test_evaluate_weighs_batches_by_their_examples() -> None:
    x, y = blobs(50)
    trainer = classifier()
    trainer.fit(x, y, epochs=1, verbose=0)
    whole = trainer.evaluate(x, y, batch_size=50)
    for batch_size in (1, 7, 32, 1000):
        pieces = trainer.evaluate(x, y, batch_size=batch_size)
        assert pieces == pytest.approx(whole, rel=1e-5)
    logits = trainer.predict(x).astype(np.float64)
    log_sum = np.log(np.exp(logits).sum(axis=1))
    assert whole["loss"] == pytest.approx(np.mean(log_sum - logits[np.arange(50), y]), rel=1e-5)
    assert whole["accuracy"] == np.mean(logits.argmax(axis=1) == y)


def test_predict_concatenates_batches() -> None:
    x, y = blobs(50)
    trainer = classifier()
    trainer.fit(x, y, epochs=1, verbose=0)
    outputs = trainer.predict(x, batch_size=16)
    assert outputs.shape == (50, 3)
    np.testing.assert_allclose(outputs, trainer.model.eval()(x), rtol=1e-5, atol=1e-6)


def test_every_example_is_used_once_an_epoch_and_short_batches_count() -> None:
    seen: list[float] = []

    class Count(Callback):
        def on_batch_end(self, trainer: Trainer, batch: int, loss: float) -> None:
            seen.append(loss)

    x, y = blobs(50)
    trainer = classifier()
    trainer.fit(x, y, epochs=2, batch_size=16, callbacks=[Count()], verbose=0)
    assert len(seen) == 2 * 4
    # The epoch's loss is the mean over examples: 16, 16, 16 and 2.
    assert trainer.history["loss"][1] == pytest.approx(
        np.average(seen[4:], weights=[16, 16, 16, 2]), rel=1e-6
    )
    seen.clear()
    trainer.fit(x, y, epochs=3, batch_size=16, drop_last=True, callbacks=[Count()], verbose=0)
    assert len(seen) == 3


def test_the_loop_is_trainstep_over_batches() -> None:
    """The Trainer adds nothing of its own to the arithmetic."""
    x, y = blobs()
    by_trainer = classifier()
    by_hand = classifier()
    by_hand.model.load_state_dict(weights(by_trainer))
    by_trainer.fit(x, y, epochs=2, batch_size=20, seed=7, verbose=0)
    step = rv.TrainStep(by_hand.model.train(), nn.CrossEntropyLoss(), optim.SGD(lr=0.05, momentum=0.9))
    batches = data.Batches(x, y, batch_size=20, shuffle=True, seed=7)
    for _ in range(2):
        for x_batch, y_batch in batches:
            step(x_batch, y_batch)
    for name, value in weights(by_trainer).items():
        np.testing.assert_array_equal(value, weights(by_hand)[name], err_msg=name)


def test_the_same_seed_gives_the_same_bits_on_any_number_of_threads() -> None:
    x, y = blobs()
    results = []
    for threads in (1, 2, 3, 5):
        rv.set_num_threads(threads)
        rv.seed(11)
        trainer = classifier(hidden=64)
        trainer.fit(x, y, epochs=3, batch_size=20, verbose=0)
        results.append((trainer.history["loss"], weights(trainer)))
    for losses, values in results[1:]:
        assert losses == results[0][0]
        for name, value in values.items():
            np.testing.assert_array_equal(value, results[0][1][name], err_msg=name)


def test_a_second_fit_continues_the_first() -> None:
    x, y = blobs()
    once, twice = classifier(), classifier()
    twice.model.load_state_dict(weights(once))
    once.fit(x, y, epochs=2, seed=3, verbose=0)
    twice.fit(x, y, epochs=1, seed=3, verbose=0)
    history = twice.fit(x, y, epochs=2, verbose=0)
    assert history["loss"] == once.history["loss"]
    for name, value in weights(once).items():
        np.testing.assert_array_equal(value, weights(twice)[name], err_msg=name)


def test_a_schedule_is_followed_and_reported() -> None:
    x, y = blobs(40)
    trainer = classifier(lr=lambda step: 0.1 / (1 + step))
    history = trainer.fit(x, y, epochs=3, batch_size=20, verbose=0)
    # Two updates an epoch; lr is that of the last one: steps 1, 3 and 5.
    assert history["lr"] == pytest.approx([0.1 / 2, 0.1 / 4, 0.1 / 6])


def test_modes_of_the_model() -> None:
    x, y = blobs(40)
    trainer = classifier()
    modes: list[bool] = []

    class Watch(Callback):
        def on_batch_end(self, trainer: Trainer, batch: int, loss: float) -> None:
            modes.append(trainer.model.training)

    trainer.fit(x, y, epochs=2, validation_data=(x, y), callbacks=[Watch()], verbose=0)
    assert all(modes)
    assert len(modes) == 4
    assert not trainer.model.training
    # evaluate and predict restore each module's own mode.
    trainer.model.train()
    trainer.model[1].eval()
    before = weights(trainer)
    trainer.evaluate(x, y)
    trainer.predict(x)
    assert [module.training for module in trainer.model] == [True, False, True, True]
    for name, value in weights(trainer).items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


# ---- callbacks, metrics, output
# --------------------------------------------------------------------------------------


def test_callbacks_are_called_in_order_and_may_stop() -> None:
    calls: list[str] = []

    class Record(Callback):
        def on_fit_begin(self, trainer):
            calls.append("fit begins")

        def on_epoch_begin(self, trainer, epoch):
            calls.append(f"epoch {epoch} begins")

        def on_batch_end(self, trainer, batch, loss):
            calls.append(f"batch {batch}")

        def on_epoch_end(self, trainer, epoch, logs):
            calls.append(f"epoch {epoch} ends with {len(trainer.history['loss'])} in history")
            assert logs["loss"] == trainer.history["loss"][-1]
            if epoch == 1:
                trainer.stop()

        def on_fit_end(self, trainer):
            calls.append("fit ends")

    x, y = blobs(40)
    history = classifier().fit(x, y, epochs=9, batch_size=20, callbacks=[Record()], verbose=0)
    assert len(history["loss"]) == 2
    assert calls == [
        "fit begins",
        *("epoch 0 begins", "batch 0", "batch 1", "epoch 0 ends with 1 in history"),
        *("epoch 1 begins", "batch 0", "batch 1", "epoch 1 ends with 2 in history"),
        "fit ends",
    ]


@pytest.mark.parametrize(
    ("output", "target", "expected"),
    [
        (np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([0, 0]), 0.5),
        (np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([[0.9, 0.1], [0.2, 0.8]]), 1.0),
        (np.array([[2.0], [-1.0], [3.0], [-1.0]]), np.array([1, 1, 1, 0]), 0.75),
        (np.array([0.5, -0.5]), np.array([1.0, 0.0]), 1.0),
        (np.zeros((2, 3, 4)) + np.arange(3)[:, None], np.full((2, 4), 2), 1.0),
    ],
)
def test_accuracy(output: np.ndarray, target: np.ndarray, expected: float) -> None:
    assert accuracy(output, target) == expected


def test_accuracy_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"output \(4, 3\)"):
        accuracy(np.zeros((4, 3)), np.zeros(5, int))
    with pytest.raises(ValueError, match=r"output \(4, 3\)"):
        accuracy(np.zeros((4, 3)), np.zeros((4, 2)))


def test_wrong_metrics_are_errors() -> None:
    for metrics, error, message in (
        (["f2"], ValueError, "unknown 'f2'; known are loss, accuracy, top_k_accuracy, precision"),
        ("accuracy", TypeError, r"expected a list such as \['accuracy'\]"),
        ({"x": 3}, TypeError, "'x' is a int"),
        ({"lr": accuracy}, ValueError, "'lr' is taken"),
        ({"val_loss": accuracy}, ValueError, "'val_loss' is taken"),
    ):
        with pytest.raises(error, match=message):
            classifier(metrics)
    assert set(classifier(["loss", accuracy]).fit(*blobs(20), verbose=0)) == {
        "loss",
        "accuracy",
        "lr",
        "seconds",
    }


def test_output_is_one_line_an_epoch_or_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    x, y = blobs(40)
    trainer = classifier()
    trainer.fit(x, y, epochs=2, verbose=0)
    assert capsys.readouterr() == ("", "")
    trainer.fit(x, y, epochs=12, validation_data=(x, y))
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert err == ""
    assert len(lines) == 10
    assert "\r" not in out  # the bar is for terminals
    assert lines[0].startswith("epoch  3/12  loss ")
    for name in ("accuracy", "val_loss", "val_accuracy", "lr 0.05"):
        assert name in lines[9]


class Terminal:
    """A stdout that says it is a terminal."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_that_is_gone_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tqdm")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr("ravine.train._progress._REDRAW_SECONDS", 0.0)
    x, y = blobs(40)
    classifier().fit(x, y, epochs=2, batch_size=8)
    bar = re.search(r"epoch 1/2: .* 3/5 .*accuracy=0\.\d+, .*examples/s=\d", terminal.text)
    assert bar, terminal.text
    assert "lr=0.05" in bar.group()
    shown = [line.split("\r")[-1] for line in terminal.text.split("\n")]
    assert [line.split("  ")[0] for line in shown if line] == ["epoch 1/2", "epoch 2/2"]


# ---- how it ends
# -----------------------------------------------------------------------------------------------------


def test_a_loss_that_becomes_nan_is_a_clear_error() -> None:
    x, y = blobs(40)
    x[30, 2] = np.nan
    with pytest.raises(FloatingPointError, match=r"the loss became nan in epoch 1, batch 4, after 3 "):
        classifier().fit(x, y, epochs=2, batch_size=8, shuffle=False, verbose=0)


def test_an_interruption_leaves_everything_usable() -> None:
    class Interrupt(Callback):
        ended = False

        def on_batch_end(self, trainer: Trainer, batch: int, loss: float) -> None:
            if len(trainer.history.get("loss", ())) == 2 and batch == 1:
                raise KeyboardInterrupt

        def on_fit_end(self, trainer: Trainer) -> None:
            self.ended = True

    x, y = blobs()
    trainer, interrupt = classifier(), Interrupt()
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(x, y, epochs=5, callbacks=[interrupt], verbose=0)
    assert interrupt.ended
    assert len(trainer.history["loss"]) == 2
    assert not trainer.model.training
    assert np.isfinite(trainer.predict(x)).all()
    assert trainer.fit(x, y, epochs=3, verbose=0)["loss"][-1] < 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": np.zeros((0, 6), np.float32), "y": np.zeros(0, int)}, r"fit: x has shape \(0, 6\)"),
        ({"x": np.zeros((4, 6), np.float32)}, "as many targets as examples"),
        ({"epochs": -1}, "epochs=-1"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"batch_size": 41, "drop_last": True}, "no full mini-batch"),
        ({"validation_split": 0.2, "validation_data": blobs(20)}, "not both"),
        ({"validation_split": 1.5}, "test_size=1.5"),
        ({"validation_data": (np.zeros((3, 6)), np.zeros(2))}, "fit: validation_data"),
        ({"x": np.zeros((40, 7), np.float32)}, "7"),
        ({"y": np.full(40, 3)}, "3"),
    ],
)
def test_wrong_arguments_are_errors_and_change_nothing(arguments: dict, message: str) -> None:
    x, y = blobs(40)
    trainer = classifier()
    before = weights(trainer)
    with pytest.raises(ValueError, match=message):
        trainer.fit(**({"x": x, "y": y, "verbose": 0} | arguments))
    for name, value in weights(trainer).items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


def test_wrong_arguments_to_evaluate_and_predict_are_errors() -> None:
    trainer = classifier()
    with pytest.raises(ValueError, match="evaluate"):
        trainer.evaluate(np.zeros((3, 6)), np.zeros(2))
    with pytest.raises(ValueError, match="predict"):
        trainer.predict(np.zeros((0, 6)))
    with pytest.raises(ValueError, match="predict"):
        trainer.predict(np.float32(1.0))


# ---- a good guest
# ----------------------------------------------------------------------------------------------------


def exit_code_of_child(pid: int, seconds: float) -> int | None:
    """Waits for a forked child, and ends it if it hangs."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_trains_and_exits() -> None:
    rv.set_num_threads(2)
    x, y = blobs(512)
    trainer = classifier(hidden=256)
    trainer.fit(x, y, epochs=1, batch_size=256, shuffle=False, verbose=0)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            trainer.fit(x, y, epochs=2, batch_size=256, shuffle=False, verbose=0)
            other = classifier(hidden=256)
            other.fit(x, y, epochs=1, batch_size=256, verbose=0)
            code = 0 if np.isfinite(trainer.predict(x)).all() else 3
        finally:
            os._exit(code)
    assert exit_code_of_child(pid, 60.0) == 0
    # The parent goes on as well.
    trainer.fit(x, y, epochs=2, batch_size=256, shuffle=False, verbose=0)
    assert np.isfinite(trainer.predict(x)).all()


def _loss_in_child(trainer: Trainer, x: np.ndarray, y: np.ndarray, queue) -> None:
    queue.put(trainer.fit(x, y, epochs=2, shuffle=False, verbose=0)["loss"][1])


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_multiprocessing_children_compute_what_the_parent_does() -> None:
    rv.set_num_threads(2)
    x, y = blobs(256)
    trainer = classifier(hidden=256)
    trainer.fit(x, y, epochs=1, shuffle=False, verbose=0)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    children = [context.Process(target=_loss_in_child, args=(trainer, x, y, queue)) for _ in range(2)]
    for child in children:
        child.start()
    losses = [queue.get(timeout=60) for _ in children]
    for child in children:
        child.join(timeout=60)
        assert child.exitcode == 0
    expected = trainer.fit(x, y, epochs=2, shuffle=False, verbose=0)["loss"][1]
    assert losses == [expected] * 2


def test_two_trainers_in_two_threads_give_what_each_gives_alone() -> None:
    def trainers() -> list[Trainer]:
        rv.seed(3)
        return [classifier(hidden=64) for _ in range(2)]

    def train(trainer: Trainer, seed: int) -> None:
        trainer.fit(*blobs(seed=seed), epochs=5, batch_size=20, seed=seed, verbose=0)

    alone, together = trainers(), trainers()
    for seed, trainer in enumerate(alone):
        train(trainer, seed)
    threads = [threading.Thread(target=train, args=(trainer, seed)) for seed, trainer in enumerate(together)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    for one, other in zip(alone, together, strict=True):
        assert one.history["loss"] == other.history["loss"]
        for name, value in weights(one).items():
            np.testing.assert_array_equal(value, weights(other)[name], err_msg=name)


def test_ctrl_c_ends_a_running_fit_at_once(tmp_path: Path) -> None:
    program = """
import numpy as np, ravine as rv
from ravine import nn, optim
x, y = np.random.default_rng(0).normal(size=(512, 64)).astype(np.float32), np.arange(512) % 10
trainer = rv.Trainer(rv.models.mlp(64, 10), nn.CrossEntropyLoss(), optim.SGD(lr=0.01))
print("ready", flush=True)
try:
    trainer.fit(x, y, epochs=10**9, verbose=0)
except KeyboardInterrupt:
    print("interrupted", len(trainer.history["loss"]) > 0, np.isfinite(trainer.predict(x)).all())
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert out == "interrupted True True\n", err
    assert process.returncode == 0
