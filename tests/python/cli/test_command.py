"""The command on every kind of data, in this process, and what it says of wrong input."""

from __future__ import annotations

import csv
import doctest
import json
import os
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from small_data import write_images, write_pets

import ravine as rv
from ravine import data


def number_of(line: str, text: str) -> float:
    found = re.search(rf"^{line} (-?\d+\.\d+)$", text, re.MULTILINE)
    assert found, text
    return float(found.group(1))


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


def test_numbers_are_predicted_in_their_own_unit(run, curves) -> None:
    rng = np.random.default_rng(0)
    size, rooms = rng.uniform(30, 200, 300), rng.integers(1, 8, 300)
    price = 1000 * size + 5000 * rooms
    lines = [f"{s:.2f};{r};{p:.1f}".replace(".", ",") for s, r, p in zip(size, rooms, price, strict=True)]
    Path("houses.csv").write_text("size;rooms;price\n" + "\n".join(lines) + "\n")
    options = ("--decimal", ",", "--epochs", "40", "--lr", "0.02", "--hidden", "32")
    done = run("train", "--data", "houses.csv", "--target", "price", *options)
    assert done.code == 0, done.err
    assert "1 numbers to predict" in done.out and Path("runs/houses-mlp/learning_curve.png").exists()
    error = number_of("test rmse", done.out)
    assert error < 0.1 * price.std()
    assert run("predict", "runs/houses-mlp", "--data", "houses.csv", "--out", "p.npy").code == 0
    predicted = np.load("p.npy")
    assert predicted.shape == (300,) and np.abs(predicted - price).mean() < 0.1 * price.std()
    measured = run("evaluate", "runs/houses-mlp", "--data", "houses.csv")
    rmse = np.sqrt(np.mean((predicted - price) ** 2))
    assert number_of("rmse", measured.out) == pytest.approx(rmse, rel=1e-3)
    assert number_of("r2", measured.out) > 0.98
    Path("one.csv").write_text("size;rooms;price\n100;2;110000\n")
    one = json.loads(run("evaluate", "runs/houses-mlp", "--data", "one.csv", "--json").out)
    assert one["examples"] == 1 and one["r2"] is None and one["rmse"] == pytest.approx(one["mae"])
    Path("wrong.csv").write_text("size;rooms;price\n1;2;3\n1;2;x\n")
    wrong = run("evaluate", "runs/houses-mlp", "--data", "wrong.csv")
    assert wrong.code == 2 and "wrong.csv: line 3, column 'price': 'x' is no number" in wrong.err


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
        "batch-size = 32\nlr = 0.01\nhidden = [8]\nheader = true\n"
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


def test_a_run_in_slices_of_time_ends_with_the_same_bits(run) -> None:
    write_pets(Path("pets.csv"))
    options = ("--data", "pets.csv", "--target", "kind", "--drop", "id", "--epochs", "2", "--dropout", "0.3")
    assert run("train", *options, "--out", "whole").code == 0
    done = run("train", *options, "--out", "slices", "--max-seconds", "1e-9")
    assert done.code == 0 and "the time is over after 0 epochs; ravine resume slices goes on" in done.out
    config = Path("slices/config.toml")
    config.write_text(config.read_text().replace("max_seconds = 1e-09", "max_seconds = 0.01"))
    for _ in range(50):  # of some updates each
        done = run("resume", "slices")
        assert done.code == 0
        if "the time is over" not in done.out:
            break
    assert Path("slices/model.safetensors").read_bytes() == Path("whole/model.safetensors").read_bytes()


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
