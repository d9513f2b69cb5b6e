"""The examples run, and find what they say they find."""

from __future__ import annotations

import re
from pathlib import Path

EXAMPLES = {
    "character_gpt.py",
    "character_model.py",
    "dcgan.py",
    "deep_ensemble.py",
    "dqn.py",
    "gan.py",
    "newton_regression.py",
    "physics_informed.py",
    "ratings_dlrm.py",
    "series_tcn.py",
    "sparse_coding.py",
    "vae.py",
}


def output(repository: Path, run_python, name: str, *arguments: str) -> str:
    done = run_python("-W", "error", str(repository / "examples" / name), *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_tested(repository: Path) -> None:
    assert {file.name for file in (repository / "examples").glob("*.py")} == EXAMPLES


def test_newton_regression(repository: Path, run_python) -> None:
    lines = output(repository, run_python, "newton_regression.py").splitlines()
    error = re.fullmatch(r"linear: 1 step, (\S+) from least squares", lines[0])
    assert error and float(error.group(1)) < 1e-12
    losses = [float(line.split()[-1]) for line in lines if "loss" in line]
    assert losses == sorted(losses, reverse=True) and 4 <= len(losses) <= 10
    last = re.fullmatch(r"logistic: (\d+) steps, accuracy (\S+); converged.*", lines[-1])
    assert last and int(last.group(1)) == len(losses) and float(last.group(2)) > 0.9


def test_sparse_coding(repository: Path, run_python) -> None:
    lines = output(repository, run_python, "sparse_coding.py").splitlines()
    objectives = [float(line.split()[-1]) for line in lines if line.startswith("sweep")]
    assert len(objectives) >= 3 and objectives == sorted(objectives, reverse=True)
    last = re.fullmatch(r"12 of 12 atoms found, (\d+)% of the codes in use", lines[-1])
    assert last and int(last.group(1)) < 30  # 17 % made the signals


def test_deep_ensemble(repository: Path, run_python) -> None:
    text = output(repository, run_python, "deep_ensemble.py")
    places = re.findall(r"(\w+) +x=\s*\S+: +\S+, noise (\S+), doubt (\S+)", text)
    noise, doubt = ({place: float(row[i]) for place, *row in places} for i in (0, 1))
    assert noise["left"] < 0.08 < noise["right"] < 0.3  # 0.03 and 0.18 made the points
    assert doubt["gap"] > 2 * max(doubt["left"], doubt["right"])
    assert doubt["outside"] > doubt["gap"]


def test_character_model(repository: Path, run_python) -> None:
    *epochs, written = output(repository, run_python, "character_model.py").splitlines()
    losses = [float(line.split()[-1]) for line in epochs]
    assert losses[-1] < 0.2 < 0.6 < losses[0]  # nats a character
    assert "forty seven, forty eight, forty nine, fifty, fifty one, " in written


def test_character_gpt(repository: Path, run_python) -> None:
    text = output(repository, run_python, "character_gpt.py", "--steps", "300")
    found = re.search(r"unseen text: (\S+) nats a character, by pairs (\S+), evenly (\S+)", text)
    unseen, pairs, evenly = (float(value) for value in found.groups()) if found else (0.0, 0.0, 0.0)
    assert 1.0 < unseen < pairs - 0.1 < pairs < evenly - 1.0
    written = [line for line in text.splitlines() if line.startswith("| Soft")]
    assert len(written) == 3


def test_series_tcn(repository: Path, run_python) -> None:
    text = output(repository, run_python, "series_tcn.py", "--steps", "160")
    errors = dict(re.findall(r"  (network|as .*): (\S+)", text))
    network, *naive = (float(errors[name]) for name in ("network", "as yesterday", "as a week ago"))
    assert 0.08 < network < 0.85 * min(naive)  # the noise alone has 0.08


def test_ratings_dlrm(repository: Path, run_python) -> None:
    text = output(repository, run_python, "ratings_dlrm.py")
    found = re.search(r"DLRM (\S+), means (\S+), all alike (\S+), noise alone (\S+)", text)
    dlrm, means, alike, noise = (float(value) for value in found.groups()) if found else (0.0,) * 4
    assert noise < dlrm < 0.6 * means < means < alike


def test_dcgan(repository: Path, run_python) -> None:
    text = output(repository, run_python, "dcgan.py", "--steps", "200")
    found = [(int(share), int(n)) for share, n in re.findall(r"(\d+)% discs, in (\d) of 4", text)]
    assert len(found) == 5
    assert found[0] == (0, 0)
    assert found[-1][0] > 40
    assert found[-1][1] >= 3


def test_physics_informed(repository: Path, run_python) -> None:
    text = output(repository, run_python, "physics_informed.py")
    adam, lbfgs = (float(error) for error in re.findall(r"largest error (\S+)", text))
    assert lbfgs < 1e-3 < adam < 0.1


def test_gan(repository: Path, run_python) -> None:
    text = output(repository, run_python, "gan.py", "--steps", "2000")
    found = [(int(n), int(share)) for n, share in re.findall(r"(\d) of 8 clusters, (\d+)%", text)]
    assert len(found) == 5
    assert found[0][1] < 5 and found[-1][0] == 8 and found[-1][1] > 60
    losses = re.search(r"discriminator (\S+), generator (\S+);", text)
    assert losses and 1.0 < float(losses.group(1)) < 1.5 and 0.5 < float(losses.group(2)) < 1.5


def test_dqn(repository: Path, run_python) -> None:
    text = output(repository, run_python, "dqn.py", "--episodes", "100")
    ends = re.search(r"mean return of 20 episodes: (\d+), at random (\d+), at most 200", text)
    assert ends and int(ends.group(1)) > 3 * int(ends.group(2)) > 30
    assert text.endswith(" updates, 1 program\n")  # however often the target follows


def test_vae(repository: Path, run_python) -> None:
    text = output(repository, run_python, "vae.py", "--epochs", "20")
    pixels, *bounds = (float(value) for value in re.findall(r"(-\d+\.\d+)", text))
    assert len(bounds) == 5 and bounds == sorted(bounds)
    assert bounds[0] < pixels < bounds[-1] - 1
    assert re.findall(r"beta (\S+),", text) == ["0.50", "1.00", "1.00", "1.00"]
    assert float(re.findall(r"divergence (\S+),", text)[-1]) > 1  # codes that say something
    assert "2 programs" in text  # however often beta changes
