"""The command `ravine`, run as a user runs it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import ravine as rv
from ravine import data, models, nn


@pytest.fixture
def ravine(run_python, tmp_path: Path):
    """Runs `ravine` in an empty folder."""

    def run(*arguments: str, **options):
        return run_python("-m", "ravine", *arguments, cwd=tmp_path, **options)

    return run


@pytest.fixture
def points(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    y = np.arange(120) % 3
    x = rng.normal(size=(120, 5)) * 0.3 + 100.0 * np.eye(3, 5)[y]
    np.savez(tmp_path / "points.npz", x=x, y=y)
    return tmp_path / "points.npz"


def accuracy_of(stdout: str) -> float:
    match = re.fullmatch(r"test accuracy (\d\.\d{4})", stdout.splitlines()[-1])
    assert match, stdout
    return float(match.group(1))


def test_without_arguments_it_learns_the_digits(ravine, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    done = ravine("train")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert accuracy_of(done.stdout) >= 0.97
    folder = tmp_path / "runs" / "digits-mlp"
    lines = done.stdout.splitlines()
    assert "saved runs/digits-mlp/model.safetensors (weights)" in lines[-4:]
    assert sum(line.startswith("epoch ") for line in lines) == 30
    record = json.loads((folder / "history.json").read_text())
    assert {len(values) for values in record["history"].values()} == {30}
    assert f"{record['test_accuracy']:.4f}" == lines[-1].split()[-1]
    # The saved weights are the trained ones.
    model = nn.Sequential(models.Standardize(np.zeros(1), np.ones(1)), models.mlp(64, 10))
    model.load_state_dict(rv.load(folder / "model.safetensors"))
    _, _, x, y = data.digits()
    assert np.mean(model.eval()(x).argmax(axis=1) == y) == pytest.approx(record["test_accuracy"])


def test_the_learning_curve_is_a_picture(ravine, points: Path, tmp_path: Path) -> None:
    image = pytest.importorskip("matplotlib.image")
    done = ravine("train", "--data", str(points), "--epochs", "3", "--out", "here")
    assert done.returncode == 0, done.stderr
    picture = image.imread(tmp_path / "here" / "learning_curve.png")
    assert picture.shape[0] > 300
    assert picture.shape[1] > 800
    assert len(np.unique(picture.reshape(-1, picture.shape[-1]), axis=0)) > 10
    assert sorted(file.name for file in (tmp_path / "here").iterdir()) == [
        "checkpoints",
        "config.toml",
        "history.json",
        "learning_curve.png",
        "model.safetensors",
    ]


def test_without_matplotlib_it_says_so(ravine, points: Path, tmp_path: Path) -> None:
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "matplotlib.py").write_text("raise ModuleNotFoundError('no matplotlib')")
    path = os.pathsep.join([str(tmp_path / "blocked"), os.environ.get("PYTHONPATH", "")])
    done = ravine("train", "--data", str(points), "--epochs", "2", PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    assert "matplotlib is not installed (pip install 'ravine[demo]')" in done.stdout
    assert accuracy_of(done.stdout) > 0.9


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_an_npz_file_with_each_optimizer(ravine, points: Path, optimizer: str) -> None:
    done = ravine(
        "train", "--data", str(points), "--optimizer", optimizer, "--threads", "1", "--epochs", "15"
    )
    assert done.returncode == 0, done.stderr
    assert accuracy_of(done.stdout) > 0.9
    assert ", 1 thread\n" in done.stdout
    assert "saved runs/points-mlp/model.safetensors" in done.stdout


@pytest.mark.parametrize("model", ["cnn", "resnet18"])
def test_the_networks_for_images(ravine, model: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(81) % 2
    x = rng.integers(0, 100, size=(81, 2, 8, 8)).astype(np.uint8) + (100 * y[:, None, None, None]).astype(
        np.uint8
    )
    np.savez(tmp_path / "images.npz", x=x, y=y, x_test=x, y_test=y)
    options = ("--model", model, "--width", "4", "--epochs", "6", "--batch-size", "9", "--lr", "0.01")
    done = ravine("train", "--data", "images.npz", *options)
    assert done.returncode == 0, done.stderr
    assert accuracy_of(done.stdout) > 0.9
    keys = rv.load(tmp_path / "runs" / f"images-{model}" / "model.safetensors").keys()
    expected = {"cnn": "1.0.weight", "resnet18": "1.layer2.0.downsample.0.weight"}[model]
    assert {expected, "0.mean", "0.scale"} <= set(keys)


def test_the_same_seed_gives_the_same_weights_on_any_number_of_threads(
    ravine, points: Path, tmp_path: Path
) -> None:
    def train(out: str, *more: str) -> bytes:
        done = ravine("train", "--data", str(points), "--epochs", "2", "--out", out, *more)
        assert done.returncode == 0, done.stderr
        return (tmp_path / out / "model.safetensors").read_bytes()

    first = train("a", "--threads", "1")
    assert train("b", "--threads", "3") == first
    assert train("c", "--seed", "1") != first


def test_info(ravine) -> None:
    done = ravine("info")
    assert done.returncode == 0, done.stderr
    assert rv.__version__ in done.stdout
    assert rv.cpu_info()["isa"] in done.stdout
    assert "threads" in done.stdout
    version = ravine("--version")
    assert version.stdout == f"ravine {rv.__version__}\n"


def test_a_reader_that_leaves_is_no_error() -> None:
    command = [sys.executable, "-u", "-m", "ravine", "info"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "command"),
        (("fly",), "invalid choice: 'fly'"),
        (("train", "--data", "mnist"), "--data mnist: expected digits, fashion-mnist, or"),
        (("train", "--data", "nothing.npz"), "No such file or directory: 'nothing.npz'"),
        (("train", "--model", "gpt"), "invalid choice: 'gpt'"),
        (("train", "--optimizer", "lion"), "invalid choice: 'lion'"),
        (("train", "--lr", "nan"), "'nan' is not a number above 0"),
        (("train", "--lr", "-1"), "'-1' is not a number above 0"),
        (("train", "--lr", "fast"), "'fast' is not a number above 0"),
        (("train", "--epochs", "0"), "'0' is not a whole number above 0"),
        (("train", "--epochs", "2.5"), "'2.5' is not a whole number"),
        (("train", "--batch-size", "-3"), "'-3' is not a whole number"),
        (("train", "--threads", "none"), "'none' is not a whole number"),
        (("train", "--seed", "-1"), "'-1' is not a whole number"),
        (("train", "--data", "fashion-mnist", "--data-folder", "nowhere"), "no folder nowhere"),
        (("train", "--data-folder", "x"), "--data-folder goes with"),
        (("train", "--bogus"), "unrecognized arguments: --bogus"),
    ],
)
def test_wrong_arguments_are_one_clear_line(ravine, arguments: tuple[str, ...], message: str) -> None:
    done = ravine(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("ravine")
    assert message in lines[0]


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        (
            {"x": np.ones((9, 2)), "y": np.linspace(0, 1, 9)},
            ("--task", "classification"),
            "expected class labels [n]; --task regression predicts numbers",
        ),
        ({"x": np.ones((9, 2)), "y": np.arange(9) - 1}, (), "label -1"),
        ({"x": np.ones((9, 2)), "y": np.zeros(9, int)}, (), "at least two classes"),
        ({"x": np.ones((9, 2)), "y": np.arange(9) % 2}, ("--model", "cnn"), "[n, channels, height, width]"),
        ({"x": np.ones((9, 1, 2, 2)), "y": np.arange(9) % 2}, ("--model", "cnn"), "too small"),
        ({"x": np.ones((9, 2))}, (), "no array 'y'"),
    ],
)
def test_wrong_data_is_one_clear_line(
    ravine, tmp_path: Path, arrays: dict[str, np.ndarray], options: tuple[str, ...], message: str
) -> None:
    np.savez(tmp_path / "wrong.npz", **arrays)
    done = ravine("train", "--data", "wrong.npz", *options)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert message in done.stderr
    assert not (tmp_path / "runs").exists()


def test_an_out_folder_that_is_a_file_is_told_before_training(ravine, points: Path, tmp_path: Path) -> None:
    done = ravine("train", "--data", str(points), "--out", str(points))
    assert done.returncode == 2
    assert "there is a file of that name" in done.stderr
    assert "epoch" not in done.stdout


def test_ctrl_c_saves_the_finished_epochs(points: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ravine", "train", "--data", str(points), "--epochs", "1000000"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("epoch"):
            assert process.poll() is None
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert process.returncode == 130
    ended = re.fullmatch(r"interrupted after (\d+) finished epochs; --resume runs/points-mlp goes on\n", err)
    assert ended, err
    assert "saved runs/points-mlp/model.safetensors" in out
    assert rv.load(tmp_path / "runs" / "points-mlp" / "model.safetensors")


def test_an_interrupted_run_resumes_to_the_same_weights(ravine, points: Path, tmp_path: Path) -> None:
    options = ("train", "--data", str(points), "--epochs", "300", "--batch-size", "20", "--model", "mlp")
    with subprocess.Popen(
        [sys.executable, "-m", "ravine", *options, "--out", "cut"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("epoch  20"):
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 143
    resumed = ravine(*options, "--out", "cut", "--resume", "cut")
    assert resumed.returncode == 0, resumed.stderr
    assert "epoch   1/300" not in resumed.stdout
    whole = ravine(*options, "--out", "whole")
    assert whole.stdout.splitlines()[-1] == resumed.stdout.splitlines()[-1]
    for name, value in rv.load(tmp_path / "whole" / "model.safetensors").items():
        np.testing.assert_array_equal(rv.load(tmp_path / "cut" / "model.safetensors")[name], value)
    # A run that is over has nothing left to do, and one in the same folder begins afresh.
    again = ravine(*options, "--out", "cut", "--resume", "cut")
    assert again.returncode == 0 and again.stdout.splitlines()[-1] == whole.stdout.splitlines()[-1]
    assert ravine(*options[:4], "2", "--out", "cut").returncode == 0
    for wrong, message in (("nothing", "nothing"), (str(tmp_path), "no checkpoint in this folder")):
        failed = ravine(*options, "--resume", wrong)
        assert failed.returncode == 2 and message in failed.stderr and len(failed.stderr.splitlines()) == 1


def test_the_console_script_is_the_module() -> None:
    script = Path(sys.executable).with_name("ravine")
    if not script.exists():
        pytest.skip("ravine is not installed beside this interpreter")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, timeout=60)
    assert done.stdout == f"ravine {rv.__version__}\n"
