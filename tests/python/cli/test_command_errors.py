"""What the command says of wrong input: one line with the place, and nothing is changed."""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from small_data import write_images, write_pets

import ravine as rv
from ravine import models, nn

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
        (
            text("kind,id,a\n" + "a,1,x\nb,1,y\na,1,z\n" * 9),
            (*TABLE, "--max-categories", "2"),
            "column 'a' holds 3 different",
        ),
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
        (table(), (*TABLE, "--max-categories", "3", "--target", "id"), "the target 'id' has 30 classes"),
        (
            text("a,price\n" + "1,2.5\n" * 20 + "1,x\n"),
            (*TABLE[:3], "--target", "price"),
            "pets.csv: line 22, column 'price': 'x' is no number, as 20 others",
        ),
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
        (table(), ("predict", ".", "--data", "pets.csv", "--out", "pets.csv"), "--data, which would be lost"),
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


def test_other_kinds_of_data_for_a_trained_model(run, pets: Path) -> None:
    np.savez("a.npz", x=X, y=Y)
    done = run("predict", pets / "run", "--data", "a.npz")
    assert done.code == 2
    assert "--data a.npz: these are arrays, but the model was trained on tables" in done.err
    done = run("predict", pets / "run", "--data", "a.parquet")
    assert done.code == 2 and "--data a.parquet: expected digits, fashion-mnist, or a file .csv" in done.err


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


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("stop", "the loss became nan in epoch 2, batch 1"),
        ("skip", "every update of epoch 2 was skipped"),
        ("back", "the run had gone back 3 times"),
    ],
)
def test_a_loss_that_is_not_finite_is_1(run, choice: str, message: str) -> None:
    np.savez("big.npz", x=np.random.default_rng(0).normal(size=(64, 3)), y=np.arange(64.0))
    options = ("--optimizer", "sgd", "--lr", "1e30", "--epochs", "5", "--on-nonfinite", choice)
    done = run("train", "--data", "big.npz", *options)
    assert (done.code, len(done.err.splitlines())) == (1, 1) and message in done.err, done


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
