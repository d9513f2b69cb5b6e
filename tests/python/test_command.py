"""The command on every kind of data, in this process, and what it says of wrong input."""

from __future__ import annotations

import csv
import doctest
import json
import os
import re
import resource
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

import ravine as rv
from ravine import data, models, nn
from ravine.cli import _results, main

DRAW = _results._draw


@pytest.fixture(autouse=True, scope="module")
def without_curves() -> Iterator[None]:
    """Drawing takes longer than these trainings."""
    _results._draw = lambda *_: None
    yield
    _results._draw = DRAW


class Done(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(tmp_path: Path, capsys, monkeypatch) -> Callable[..., Done]:
    """Runs the command in an empty folder, in this process."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Done:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as ended:
            code = int(ended.code or 0)
        return Done(code, *capsys.readouterr())

    return run


def write_pets(path: Path, n: int = 120, **changes: str) -> Path:
    """A table of three kinds with numbers, texts, missing values and quoted fields."""
    rng = np.random.default_rng(0)
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "kind", "weight", "age", "colour"])
        for i in range(n):
            kind = ["cat", "dog", "fish, gold"][i % 3]
            weight = "" if i % 17 == 1 else f"{[4, 20, 0.1][i % 3] + rng.normal() * 0.01:.3f}"
            writer.writerow([f"id{i}", kind, weight, rng.integers(1, 15), ["red", "black", ""][i // 3 % 3]])
    text = path.read_text()
    for old, new in changes.items():
        text = text.replace(old, new)
    path.write_text(text)
    return path


def write_images(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    for name, level in (("dark", 40), ("light", 200)):
        (folder / name).mkdir(parents=True)
        for i in range(10):
            pixels = (level + rng.integers(-20, 20, size=(8, 9, 3))).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


def number_of(line: str, text: str) -> float:
    found = re.search(rf"^{line} (-?\d+\.\d+)$", text, re.MULTILINE)
    assert found, text
    return float(found.group(1))


@pytest.fixture(scope="module")
def pets(tmp_path_factory) -> Path:
    """The folder of a run on a table."""
    folder = tmp_path_factory.mktemp("pets")
    table = write_pets(folder / "pets.csv")
    arguments = ["--data", str(table), "--target", "kind", "--drop", "id", "--epochs", "20", "--lr", "0.02"]
    assert main(["train", *arguments, "--out", str(folder / "run")]) == 0
    return folder


def test_a_table_is_trained_evaluated_and_predicted(run, pets: Path) -> None:
    measured = run("evaluate", pets / "run", "--data", pets / "pets.csv")
    assert measured.code == 0 and measured.err == ""
    assert number_of("accuracy", measured.out) > 0.95 and "examples 120\n" in measured.out
    as_json = json.loads(run("evaluate", pets / "run", "--data", pets / "pets.csv", "--json").out)
    assert as_json["classes"] == ["cat", "dog", "fish, gold"]
    assert np.trace(as_json["confusion_matrix"]) == pytest.approx(120 * as_json["accuracy"])
    predicted = run(
        "predict", pets / "run" / "model.safetensors", "--data", pets / "pets.csv", "--out", "p.csv"
    )
    assert predicted == (0, "saved p.csv (120 predictions)\n", "")
    rows = [*csv.reader(Path("p.csv").read_text().splitlines())]
    kinds = [["cat", "dog", "fish, gold"][i % 3] for i in range(120)]
    assert rows[0] == ["prediction"]
    assert np.mean([row[0] == kind for row, kind in zip(rows[1:], kinds, strict=True)]) == as_json["accuracy"]


def test_columns_are_found_by_name_in_any_order_and_without_the_target(
    run, pets: Path, tmp_path: Path
) -> None:
    rows = [*csv.reader((pets / "pets.csv").read_text().splitlines())]
    with open(tmp_path / "new.csv", "w", newline="") as file:
        csv.writer(file, delimiter=";").writerows([[row[4], "extra", row[3], row[2]] for row in rows])
    new, old = (run("predict", pets / "run", "--data", path) for path in ("new.csv", pets / "pets.csv"))
    assert new.code == 0 and new.out == old.out and len(new.out.splitlines()) == 121


def test_what_was_not_seen_in_training_is_told(run, pets: Path) -> None:
    Path("new.csv").write_text("weight,age,colour\n,3,red\n4,,\n4,3,green\n4,3,blue\n")
    done = run("predict", pets / "run", "--data", "new.csv", "--probabilities")
    assert done.code == 0
    assert done.err == (
        "ravine predict: note: new.csv: line 4, column 'colour': 'green' did not occur in training (2 such "
        "rows); it counts as none of the categories\n"
    )
    rows = [*csv.DictReader(done.out.splitlines())]
    shares = [
        sum(float(row[f"probability of {kind}"]) for kind in ("cat", "dog", "fish, gold")) for row in rows
    ]
    assert shares == pytest.approx([1] * 4)
    assert rows[2] == rows[3]


def test_the_model_is_one_file_with_preprocessing_and_classes(run, pets: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere.safetensors"
    moved.write_bytes((pets / "run" / "model.safetensors").read_bytes())
    done = run("evaluate", moved, "--data", pets / "pets.csv")
    assert done.out == run("evaluate", pets / "run", "--data", pets / "pets.csv").out
    settings = json.loads(rv.load_metadata(moved)["settings"])
    assert settings["classes"] == ["cat", "dog", "fish, gold"]
    assert settings["input"]["columns"]["numbers"] == ["weight", "age"]


def test_numbers_are_predicted_in_their_own_unit(run, monkeypatch) -> None:
    monkeypatch.setattr(_results, "_draw", DRAW)
    rng = np.random.default_rng(0)
    size, rooms = rng.uniform(30, 200, 300), rng.integers(1, 8, 300)
    price = 1000 * size + 5000 * rooms
    lines = [f"{s:.2f};{r};{p:.1f}".replace(".", ",") for s, r, p in zip(size, rooms, price, strict=True)]
    Path("houses.csv").write_text("size;rooms;price\n" + "\n".join(lines) + "\n")
    options = ("--decimal", ",", "--epochs", "40", "--lr", "0.02", "--hidden", "32")
    done = run("train", "--data", "houses.csv", "--target", "price", *options)
    assert done.code == 0, done.err
    assert "1 numbers to predict" in done.out
    error = number_of("test rmse", done.out)
    assert error < 0.1 * price.std()
    assert run("predict", "runs/houses-mlp", "--data", "houses.csv", "--out", "p.npy").code == 0
    predicted = np.load("p.npy")
    assert predicted.shape == (300,) and np.abs(predicted - price).mean() < 0.1 * price.std()
    measured = run("evaluate", "runs/houses-mlp", "--data", "houses.csv")
    rmse = np.sqrt(np.mean((predicted - price) ** 2))
    assert number_of("rmse", measured.out) == pytest.approx(rmse, rel=1e-3)
    assert number_of("r2", measured.out) > 0.98


def test_several_numbers_at_once(run) -> None:
    x = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    np.save("x.npy", x)
    np.save("y.npy", x @ np.array([[1.0, 50], [0, 0], [2, 0]]))
    done = run("train", "--data", "x.npy", "--target", "y.npy", "--epochs", "3", "--loss", "huber")
    assert done.code == 0 and "2 numbers to predict" in done.out, done.err
    predicted = run("predict", "runs/x-mlp", "--data", "x.npy")
    assert predicted.out.startswith("prediction 0,prediction 1\n") and len(predicted.out.splitlines()) == 101


def test_columns_without_names(run) -> None:
    rng = np.random.default_rng(0)
    rows = [f"{'yes' if i % 2 else 'no'},{i % 2 + rng.normal() * 0.1:.2f},{'ab'[i % 2]}" for i in range(60)]
    Path("plain.csv").write_text("\n".join(rows))
    Path("new.csv").write_text("\n".join(row.partition(",")[2] for row in rows))
    assert run("train", "--data", "plain.csv", "--target", "0", "--header", "no", "--epochs", "10").code == 0
    with_target, without = (
        run("predict", "runs/plain-mlp", "--data", path) for path in ("plain.csv", "new.csv")
    )
    assert with_target.code == without.code == 0 and with_target.out == without.out
    assert number_of("accuracy", run("evaluate", "runs/plain-mlp", "--data", "plain.csv").out) == 1.0


def test_a_column_by_its_number_and_test_data_of_their_own(run) -> None:
    table = write_pets(Path("pets.csv"))
    test = write_pets(Path("test.csv"), 30)
    options = ("--drop", "0", "--categories", "age", "--epochs", "2", "--test", test)
    done = run("train", "--data", table, "--target", "-4", *options)
    assert done.code == 0, done.err
    assert "108 training, 12 validation and 30 test examples, 3 classes" in done.out
    assert "categories: age, colour" in done.out


@pytest.mark.parametrize("suffix", ["npy", "idx3-ubyte", "idx3-ubyte.gz"])
def test_arrays_in_files_of_their_own(run, suffix: str) -> None:
    y = np.arange(80) % 4
    x = (np.random.default_rng(0).integers(0, 30, size=(80, 5, 6)) + 50 * y[:, None, None]).astype(np.uint8)
    names = f"images.{suffix}", f"labels.{suffix.replace('3', '1')}"
    if suffix == "npy":
        np.save(names[0], x[:, None])
        np.save(names[1], y)
    else:
        data.idx.write(names[0], x)
        data.idx.write(names[1], y.astype(np.uint8))
    options = ("--target", names[1], "--model", "cnn", "--epochs", "8", "--lr", "0.01", "--batch-size", "16")
    done = run("train", "--data", names[0], *options)
    assert done.code == 0, done.err
    folder = "runs/images-cnn"
    measured = run("evaluate", folder, "--data", names[0], "--target", names[1])
    assert number_of("accuracy", measured.out) > 0.9
    predicted = run("predict", folder, "--data", names[0], "--out", "p.npy", "--probabilities")
    assert predicted.code == 0
    assert np.load("p.npy").shape == (80, 4)


def test_an_npz_file_is_evaluated_on_its_test_and_predicted_on_x(run) -> None:
    y = np.arange(90) % 3
    x = np.eye(3)[y] + np.random.default_rng(0).normal(size=(90, 3)) * 0.1
    np.savez("points.npz", x=x, y=y, x_test=x[:30], y_test=y[:30])
    assert run("train", "--data", "points.npz", "--epochs", "15").code == 0
    assert "examples 30\n" in run("evaluate", "runs/points-mlp", "--data", "points.npz").out
    assert run("predict", "runs/points-mlp", "--data", "points.npz", "--out", "p.npy").code == 0
    assert np.mean(np.load("p.npy") == y) > 0.9


def test_folders_of_images(run) -> None:
    write_images(Path("photos"))
    options = (
        "--model",
        "cnn",
        "--image-size",
        "4",
        "5",
        "--epochs",
        "8",
        "--lr",
        "0.01",
        "--batch-size",
        "8",
    )
    done = run("train", "--data", "photos", *options)
    assert done.code == 0, done.err
    assert "each example [3, 4, 5]" in done.out
    assert number_of("accuracy", run("evaluate", "runs/photos-cnn", "--data", "photos").out) == 1.0
    flat = Path("flat")
    flat.mkdir()
    for name in ("light", "dark"):
        os.rename(f"photos/{name}/0.png", flat / f"{name}.png")
    predicted = run("predict", "runs/photos-cnn", "--data", "flat")
    assert predicted.out == "file,prediction\nflat/dark.png,dark\nflat/light.png,light\n"


# ---- configuration and resuming


def test_a_configuration_says_what_the_command_line_does_not(run) -> None:
    write_pets(Path("pets.csv"))
    Path("run.toml").write_text(
        'data = "pets.csv"\ntarget = "kind"\ndrop = ["id"]\nepochs = 2\n'
        "batch-size = 32\nlr = 0.01\nhidden = [8]\n"
    )
    done = run("train", "--config", "run.toml", "--batch-size", "16", "--out", "a")
    assert done.code == 0, done.err
    assert "2 epochs of 6 updates, batch size 16, seed 0" in done.out and "lr 0.01 " in done.out
    # The run's own configuration repeats it to the same bits, from anywhere.
    Path("elsewhere").mkdir()
    os.chdir("elsewhere")
    assert run("train", "--config", "../a/config.toml", "--out", "b").code == 0
    assert Path("b/model.safetensors").read_bytes() == Path("../a/model.safetensors").read_bytes()
    assert Path("b/config.toml").read_text() == Path("../a/config.toml").read_text()


def test_every_option_survives_the_configuration(run) -> None:
    write_pets(Path("pets.csv"))
    options = (
        *(
            "--target",
            "kind",
            "--drop",
            "id",
            "colour",
            "--categories",
            "age",
            "--missing",
            "",
            "x'\"\\\n\x7f",
        ),
        *(
            "--header",
            "yes",
            "--delimiter",
            ",",
            "--scaler",
            "robust",
            "--impute",
            "mean",
            "--dropout",
            "0.1",
        ),
        *("--optimizer", "adamw", "--weight-decay", "0.1", "--clip-norm", "1", "--schedule", "constant"),
        *("--epochs", "1", "--patience", "3", "--sampler", "balanced", "--seed", "3", "--hidden", "8", "4"),
        *(
            "--test-size",
            "0.25",
            "--validation-size",
            "0.2",
            "--loss",
            "cross-entropy",
            "--max-categories",
            "20",
        ),
    )
    assert run("train", "--data", "pets.csv", *options, "--out", "a").code == 0
    assert run("train", "--config", "a/config.toml", "--out", "b").code == 0
    for name in ("config.toml", "model.safetensors"):
        assert Path("a", name).read_bytes() == Path("b", name).read_bytes()


def test_a_run_goes_on_from_its_folder_alone(run, monkeypatch) -> None:
    write_pets(Path("pets.csv"))
    options = ("--data", "pets.csv", "--target", "kind", "--drop", "id", "--epochs", "6", "--dropout", "0.3")
    assert run("train", *options, "--out", "whole").code == 0

    class Interrupting(rv.train.Checkpoint):
        def on_epoch_end(self, trainer, epoch, logs) -> None:
            super().on_epoch_end(trainer, epoch, logs)
            if epoch == 3:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ravine.cli._train.Checkpoint", Interrupting)
        cut = run("train", *options, "--out", "cut")
    assert cut.code == 130 and cut.err == "interrupted after 4 finished epochs; --resume cut goes on\n"
    resumed = run("resume", "cut")
    assert resumed.code == 0, resumed.err
    assert "epoch 5/6" in resumed.out and "epoch 4/6" not in resumed.out
    assert Path("cut/model.safetensors").read_bytes() == Path("whole/model.safetensors").read_bytes()


def test_patience_ends_a_run_with_the_best_weights(run) -> None:
    rng = np.random.default_rng(0)
    np.savez("noise.npz", x=rng.normal(size=(200, 20)), y=rng.integers(0, 2, 200))
    done = run("train", "--data", "noise.npz", "--epochs", "100", "--patience", "3", "--test-size", "0")
    assert done.code == 0 and "and 0 test examples" in done.out
    assert "test accuracy" not in done.out
    history = json.loads(Path("runs/noise-mlp/history.json").read_text())["history"]
    assert len(history["loss"]) < 100
    assert history["val_loss"].index(min(history["val_loss"])) == len(history["loss"]) - 4


def test_the_page_of_the_command(run, repository: Path) -> None:
    """Its program runs, its configuration is one, and its commands print what stands below them."""
    page = (repository / "docs" / "command.md").read_text()
    exec(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0], {})
    Path("run.toml").write_text(re.findall(r"```toml\n(.*?)```", page, re.DOTALL)[0])
    commands = re.findall(r"^\$ ravine (.*)\n((?:(?!\$ |```).*\n)*)", page, re.MULTILINE)
    assert len(commands) == 6
    for command, expected in commands:
        done = run(*shlex.split(command))
        check = doctest.OutputChecker().check_output(expected, done.out + done.err, doctest.ELLIPSIS)
        assert check, f"$ ravine {command}\n{done.out}{done.err}"


def test_bench_and_help(run) -> None:
    done = run("bench", "--seconds", "0.01", "--shape", "5", "--hidden", "4", "--classes", "2")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[2].startswith("training step") and lines[3].startswith("prediction")
    pattern = r".* [\d.e-]+ ms \([\d.e-]+ to [\d.e-]+\) +[\d,]+ examples/s"
    assert all(re.fullmatch(pattern, line) for line in lines[2:])
    for command in ((), ("train",), ("evaluate",), ("predict",), ("resume",), ("info",), ("bench",)):
        told = run(*command, "--help")
        assert told.code == 0 and "exit codes: 0 done; 1 it failed at work" in told.out
        assert max(map(len, told.out.splitlines())) <= 112


# ---- what is wrong is one line


TABLE = ("train", "--data", "pets.csv", "--target", "kind", "--drop", "id", "--epochs", "1")


def table(**changes: str) -> Callable[[], object]:
    return lambda: write_pets(Path("pets.csv"), 30, **changes)


def text(content: str) -> Callable[[], object]:
    return lambda: Path("pets.csv").write_text(content)


def cows() -> None:
    write_pets(Path("pets.csv"), 30)
    write_pets(Path("t.csv"), 30, cat="cow")


def toml(text: str) -> Callable[[], object]:
    return lambda: Path("run.toml").write_text(text)


def npz(**arrays: object) -> Callable[[], object]:
    return lambda: np.savez("a.npz", **arrays)


def npy(x: object, y: object) -> Callable[[], object]:
    return lambda: (np.save("x.npy", x), np.save("y.npy", y))


NPZ, NPY = ("train", "--data", "a.npz"), ("train", "--data", "x.npy", "--target", "y.npy")
CONFIG = ("train", "--config", "run.toml")
X, Y = np.ones((9, 2)), np.arange(9) % 3


@pytest.mark.parametrize(
    ("prepare", "arguments", "message"),
    [
        # tables
        (
            table(),
            TABLE[:3],
            "--data pets.csv: --target is missing, the column to predict; there are id, kind,",
        ),
        (table(), (*TABLE[:3], "--target", "size"), "pets.csv: there is no column 'size'; it has id, kind"),
        (table(), (*TABLE[:3], "--target", "5"), "pets.csv: there is no column '5'"),
        (table(), (*TABLE, "--drop", "x"), "pets.csv: there is no column 'x'"),
        (table(), (*TABLE, "--categories", "x"), "pets.csv: there is no column 'x'"),
        (table(), (*TABLE[:5], "--max-categories", "20"), "column 'id' holds 22 different texts, more than"),
        (
            table(id7="8"),
            (*TABLE, "--drop", "id", "weight", "age", "colour"),
            "no column beside the target 'kind'",
        ),
        (table(), (*TABLE, "--max-categories", "2"), "column 'colour' holds 3 different texts, more than"),
        (table(dog=""), TABLE, "pets.csv: line 3, column 'kind': the target is missing"),
        (cows, (*TABLE, "--test", "t.csv"), "t.csv: line 2, column 'kind': the class 'cow' is unknown"),
        (table(**{"id3,cat,": "id3,cat,x"}), TABLE, "pets.csv: line 5, column 'weight': 'x"),
        (table(**{"id3,cat,": "id3,cat,inf,"}), TABLE, "pets.csv: line 5: 6 fields, expected 5 as in line 1"),
        (
            text("kind,id,a\na,1,1\nb,1,1e999\nb,1,2\n"),
            TABLE,
            "pets.csv: line 3, column 'a': inf is not finite",
        ),
        (table(), (*TABLE, "--loss", "mse"), "--loss mse does not go with targets that are classes"),
        (table(), (*TABLE, "--model", "cnn"), "--model cnn needs images [n, channels, height, width]"),
        (table(), (*TABLE, "--task", "regression"), "the target 'cat' is no number, as regression needs"),
        (table(), (*TABLE, "--delimiter", ",,"), "delimiter must be one character"),
        (table(), (*TABLE, "--decimal", ",", "--delimiter", ","), "and not the delimiter"),
        (table(), (*TABLE, "--encoding", "utf-9"), "there is no encoding 'utf-9'"),
        (table(), (*TABLE, "--encoding", "utf-16"), "pets.csv: the text is not in the encoding utf-16"),
        (table(), (*TABLE, "--patience", "2", "--validation-size", "0"), "--patience watches the validation"),
        (table(), (*TABLE, "--test", "nothing.csv"), "No such file or directory: 'nothing.csv'"),
        (table(), (*TABLE, "--test-target", "y.npy"), "--test-target goes with --test"),
        (table(), (*TABLE, "--test-size", "1"), "'1' is not a share from 0 to below 1"),
        (table(), (*TABLE, "--scaler", "best"), "invalid choice: 'best'"),
        (table(), (*TABLE, "--weight-decay", "-1"), "'-1' is not a number of at least 0"),
        (text(""), TABLE, "pets.csv: the file is empty"),
        (text("kind,a\n"), TABLE, "pets.csv: no row below the header"),
        (text("kind,id\na,1\nb,1\na,1\n"), TABLE, "no column beside the target"),
        (text("kind,id,a\na,1,2\n"), TABLE, "expected at least two classes"),
        (text("kind,id,a\na,1,NA\nb,1,NA\nc,1,\n"), TABLE, "--drop a"),
        (lambda: Path("pets.csv").mkdir(), TABLE, "pets.csv: there are no folders in it"),
        # arrays
        (npz(x=X, y=Y), (*NPZ, "--target", "y"), "--target does not go with --data a.npz"),
        (npz(x=X, y=Y[:8]), NPZ, "a.npz: examples have shape (9, 2), targets (8,): not as many"),
        (npz(x=X[:, 0], y=Y), NPZ, "a.npz: examples are float64 (9,), expected numbers [n, ...features]"),
        (npz(x=X.astype(str), y=Y), NPZ, "expected numbers [n, ...features]"),
        (npz(x=X * np.nan, y=Y), NPZ, "--data a.npz: ChannelScaler: channel 0 holds nan in row"),
        (npz(x=X, y=Y * np.nan), NPZ, "a.npz: row 0: the target is missing"),
        (npz(x=X, y=Y + 0.5, x_test=X, y_test=X), NPZ, "a.npz: row 0: 2 targets, expected 1"),
        (npz(x=X, y=Y, x_test=X), NPZ, "a.npz: has x, y, x_test; x_test and y_test belong together"),
        (npz(x=X, y=Y, x_test=X[:, :1], y_test=Y), NPZ, "one example of the test has shape [1]"),
        (npz(x=X, y=Y, x_test=X, y_test=Y), (*NPZ, "--test", "a.npz"), "--test does not go with"),
        (npz(x=X, y=Y + 0.5), (*NPZ, "--sampler", "balanced"), "--sampler balanced needs classes"),
        (npz(x=X, y=Y + 0.5), (*NPZ, "--loss", "cross-entropy"), "does not go with targets that are numbers"),
        (npz(x=X, y=np.array([b"a"] * 9)), NPZ, "all targets are a, expected at least two classes"),
        (lambda: Path("a.npz").write_bytes(b"PK"), NPZ, "a.npz: cannot be read as an .npz file"),
        (npy(X, Y), NPY[:3], "--data x.npy: --target is missing, the file of targets"),
        (npy(X, Y[:5]), NPY, "x.npy: examples have shape (9, 2), targets (5,)"),
        (npy(X, Y), (*NPY[:3], "--target", "y.txt"), "y.txt: expected the name of a file .npy or IDX"),
        (npy(X, Y), (*NPY, "--data-folder", "x"), "--data-folder goes with"),
        (lambda: Path("x.npy").write_bytes(b"x"), NPY, "x.npy: cannot be read as an .npy file"),
        (lambda: os.mkfifo("x.npy"), NPY, "x.npy: not a regular file but a pipe"),
        # images
        (
            lambda: write_images(Path("p")),
            ("train", "--data", "p", "--image-size", "4"),
            "takes height and width",
        ),
        (
            lambda: write_images(Path("p/q")),
            ("train", "--data", "p"),
            "all targets are q, expected at least two",
        ),
        (
            lambda: os.truncate(write_images(Path("p")) / "dark" / "3.png", 60),
            ("train", "--data", "p"),
            "3.png: ",
        ),
        # configurations
        (toml("epochs = "), CONFIG, "run.toml: not a TOML file: Invalid value"),
        (lambda: Path("run.toml").write_bytes(b"a = '\xff'"), CONFIG, "run.toml: not a TOML file"),
        (toml("epoch = 3"), CONFIG, "run.toml: there is no option 'epoch'; did you mean 'epochs'?"),
        (toml("zzz = 3"), CONFIG, "run.toml: there is no option 'zzz'; ravine train --help lists them"),
        (toml("epochs = 0"), CONFIG, "run.toml: epochs: '0' is not a whole number above 0"),
        (toml("epochs = 2.5"), CONFIG, "run.toml: epochs: '2.5' is not a whole number above 0"),
        (toml('epochs = "3"'), CONFIG, "run.toml: epochs is '3', expected a number"),
        (toml("epochs = true"), CONFIG, "run.toml: epochs is True, expected a number"),
        (toml("epochs = [3]"), CONFIG, "run.toml: epochs is [3], expected a number"),
        (toml("hidden = 3"), CONFIG, "run.toml: hidden is 3, expected a list, such as hidden = [3]"),
        (toml('model = "gpt"'), CONFIG, "run.toml: model is 'gpt', expected one of mlp, cnn, resnet18"),
        (toml("lr = nan"), CONFIG, "run.toml: lr: 'nan' is not a number above 0"),
        (toml("[data]\nx = 1"), CONFIG, "run.toml: data is {'x': 1}, expected a text"),
        (toml("batch-size = 3\nbatch_size = 4"), CONFIG, "'batch_size' is given twice, with - and with _"),
        (toml(""), ("train", "--config", "other.toml"), "No such file or directory: 'other.toml'"),
        # runs and models
        (toml(""), ("resume", "."), ".: there is no config.toml, which a run of ravine train leaves there"),
        (
            lambda: Path("config.toml").write_text(""),
            ("resume", "."),
            "there is no checkpoint in this folder",
        ),
        (table(), (*TABLE, "--resume", "pets.csv"), "pets.csv"),
        (table(), (*TABLE, "--out", "pets.csv"), "--out pets.csv: there is a file of that name"),
        (table(), ("evaluate", "nothing", "--data", "pets.csv"), "nothing"),
        (table(), ("evaluate", ".", "--data", "pets.csv"), "model.safetensors"),
        (table(), ("predict", "pets.csv", "--data", "pets.csv"), "pets.csv"),
        (
            lambda: rv.save("m", nn.Linear(2, 1)),
            ("predict", "m", "--data", "x.csv"),
            "m: not a model of `ravine train`",
        ),
        (
            table(),
            ("predict", ".", "--data", "pets.csv", "--out", "p.txt"),
            "--out p.txt: expected the name of a",
        ),
        (
            table(),
            ("predict", ".", "--data", "pets.csv", "--out", "no/p.csv"),
            "no/p.csv: there is no folder no",
        ),
        (
            lambda: Path("p.csv").mkdir(),
            ("predict", ".", "--data", "x", "--out", "p.csv"),
            "a folder of that name",
        ),
        (table(), ("predict", "."), "the following arguments are required: --data"),
        (table(), ("bench", "--shape", "3", "--model", "cnn"), "needs images [n, channels, height, width]"),
        (table(), ("bench", "--batch-size", "1"), "bench: in 0.2 (BatchNorm1d): batch_norm"),
        (table(), ("bench", "--seconds", "0"), "'0' is not a number above 0"),
    ],
)
def test_wrong_input(run, prepare: Callable[[], object], arguments: tuple[str, ...], message: str) -> None:
    prepare()
    before = sorted(Path().rglob("*"))
    done = run(*arguments)
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1), done
    assert done.err.startswith(f"ravine {arguments[0]}: ")
    assert message in done.err
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("weight,age\n1,2\n", "new.csv: there is no column 'colour'; it has weight, age"),
        ("weight,age,colour\n1,x,red\n", "new.csv: line 2, column 'age': 'x' is no number"),
        ("weight,age,colour\n1,inf,red\n", "new.csv: line 2, column 'age': inf is not finite"),
        ("weight,age,colour\n1,2\n", "new.csv: line 2: 2 fields, expected 3 as in line 1"),
        ("", "new.csv: the file is empty"),
    ],
)
def test_wrong_tables_for_a_trained_model(run, pets: Path, content: str, message: str) -> None:
    Path("new.csv").write_text(content)
    done = run("predict", pets / "run", "--data", "new.csv", "--out", "p.csv")
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1) and message in done.err, done
    assert not Path("p.csv").exists()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "4,3,red,bird",
            "new.csv: line 3, column 'kind': the class 'bird' is unknown; known are cat, dog",
        ),
        ("4,3,red,", "new.csv: line 3, column 'kind': the target is missing"),
    ],
)
def test_wrong_targets_for_a_trained_model(run, pets: Path, row: str, message: str) -> None:
    Path("new.csv").write_text(f"weight,age,colour,kind\n4,3,red,cat\n{row}\n")
    done = run("evaluate", pets / "run", "--data", "new.csv")
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1) and message in done.err, done


@pytest.mark.parametrize(
    "damage",
    [
        lambda settings: settings.pop("model"),
        lambda settings: settings["model"].update(hidden=[10**9, 10**9]),
        lambda settings: settings["model"].update(hidden=["a"]),
        lambda settings: settings["model"].update(shape=[0]),
        lambda settings: settings["model"].update(name="gpt"),
        lambda settings: settings["input"].update(kind="stars"),
        lambda settings: settings["input"]["columns"].update(scaler="minmax"),
        lambda settings: settings["input"]["columns"].update(more=1),
        lambda settings: settings["input"].pop("format"),
        lambda settings: settings.update(classes=3),
    ],
)
def test_a_damaged_model_is_told(run, pets: Path, damage: Callable[[dict], object]) -> None:
    saved = pets / "run" / "model.safetensors"
    metadata = rv.load_metadata(saved)
    settings = json.loads(metadata["settings"])
    damage(settings)
    rv.save("damaged.safetensors", rv.load(saved), metadata | {"settings": json.dumps(settings)})
    done = run("predict", "damaged.safetensors", "--data", pets / "pets.csv")
    assert done.code == 2 and "damaged.safetensors: a damaged model: " in done.err, done
    rv.save("newer.safetensors", rv.load(saved), metadata | {"version": "9"})
    done = run("predict", "newer.safetensors", "--data", pets / "pets.csv")
    assert done.code == 2 and "newer.safetensors: a model of format '9'" in done.err


def test_a_failure_at_work_is_1_and_debug_shows_the_traceback(run) -> None:
    np.savez("big.npz", x=np.random.default_rng(0).normal(size=(64, 3)), y=np.arange(64.0))
    arguments = ("train", "--data", "big.npz", "--optimizer", "sgd", "--lr", "1e30", "--epochs", "5")
    done = run(*arguments)
    assert done.code == 1 and len(done.err.splitlines()) == 1, done
    assert done.err.startswith("ravine train: ") and "loss" in done.err
    debug = run(*arguments, "--debug")
    assert debug.code == 1 and "Traceback (most recent call last):" in debug.err
    assert debug.err.splitlines()[-1] == done.err.splitlines()[-1]
    wrong = run("predict", "nothing", "--data", "x", "--debug")
    assert wrong.code == 2 and "Traceback" in wrong.err


@contextmanager
def small_files() -> Iterator[None]:
    """Files may take 1000 bytes, as on a disk that is nearly full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_1_and_leaves_no_half_files(run, pets: Path) -> None:
    write_pets(Path("pets.csv"))
    Path("p.npy").write_text("before")
    with small_files():
        predicted = run("predict", pets / "run", "--data", "pets.csv", "--out", "p.npy")
        trained = run(*TABLE)
    for done, name in ((predicted, "predict"), (trained, "train")):
        assert (done.code, len(done.err.splitlines())) == (1, 1), done
        assert done.err.startswith(f"ravine {name}: ") and "File too large" in done.err
    assert Path("p.npy").read_text() == "before"
    assert sorted(path.name for path in Path().rglob("*") if path.is_file()) == [
        "config.toml",
        "p.npy",
        "pets.csv",
    ]


def test_a_model_that_was_trained_without_the_command_is_no_model(run, tmp_path: Path) -> None:
    rv.save("weights.safetensors", models.mlp(2, 2))
    done = run("evaluate", "weights.safetensors", "--data", "x.csv")
    assert done.code == 2 and "which keeps what describes the network" in done.err


def test_a_configuration_without_tomllib_says_what_to_install(run, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "tomllib", None)
    monkeypatch.setitem(sys.modules, "tomli", None)
    Path("run.toml").write_text("epochs = 1\n")
    done = run("train", "--config", "run.toml")
    assert done.code == 2
    assert "needs Python 3.11 or tomli, which is not installed: pip install 'ravine[config]'" in done.err
