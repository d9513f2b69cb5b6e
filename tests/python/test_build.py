"""What the build promises: ISAs that share no symbol, a choice of ISA at run time, a lean package."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ravine as rv

TRAIN = """
import numpy as np, ravine as rv
from ravine import nn, optim
rv.seed(0)
y = np.arange(64) % 10
rng = np.random.default_rng(0)
x = rng.normal(size=(64, 1, 8, 8)) + rng.normal(size=(10, 1, 8, 8))[y]
model = nn.Sequential(
    nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 10))
step = rv.TrainStep(model, nn.CrossEntropyLoss(), optim.SGD(lr=0.1))
losses = [step(x, y) for _ in range(30)]
print(rv.cpu_info()["isa"], losses[0], losses[-1])
"""


def test_every_isa_of_this_cpu_trains(run_python) -> None:
    losses = {}
    for isa in rv.cpu_info()["isas"]:
        done = run_python("-c", TRAIN, RAVINE_ISA=isa)
        assert done.returncode == 0, done.stderr
        used, first, last = done.stdout.split()
        assert used == isa
        assert float(last) < 0.5 * float(first)
        losses[isa] = float(last)
    # Vectors of other widths round otherwise, and no more than that.
    assert all(abs(loss - losses["generic"]) < 1e-3 for loss in losses.values()), losses


def test_an_unknown_isa_is_a_clear_error(run_python) -> None:
    done = run_python("-c", TRAIN, RAVINE_ISA="pentium")
    assert done.returncode != 0
    last_line = done.stderr.strip().splitlines()[-1]
    assert "RAVINE_ISA" in last_line
    assert "'pentium'" in last_line
    assert "generic" in last_line


def test_an_isa_this_cpu_lacks_is_a_clear_error(run_python) -> None:
    info = rv.cpu_info()
    missing = [isa for isa in info["compiled_isas"] if isa not in info["isas"]]
    if not missing:
        pytest.skip("this CPU runs every ISA of the build")
    done = run_python("-c", TRAIN, RAVINE_ISA=missing[0])
    assert done.returncode != 0
    assert "does not support" in done.stderr.strip().splitlines()[-1]


def test_info_tells_the_isas() -> None:
    info = rv.cpu_info()
    assert set(info["isas"]) <= set(info["compiled_isas"])
    assert info["isas"][0] == "generic"
    assert info["isa"] in info["isas"]
    assert info["threads"] >= 1


def test_the_symbol_check_finds_a_shared_inline_function(repository: Path, tmp_path: Path) -> None:
    """The check itself (ctest's isa_symbols runs it on the real objects) must be able to fail."""
    compiler, nm = shutil.which("g++") or shutil.which("clang++"), shutil.which("nm")
    if compiler is None or nm is None:
        pytest.skip("no C++ compiler or no nm on this machine")
    sound = "namespace ravine::kernels::fast { int twice(int x) { return 2 * x; } }\n"
    sources = {
        "sound": sound,
        "inline": sound + "inline int shared(int x) { return x; }\nint (*keep)(int) = shared;\n",
        "template": sound
        + "template <class T> T shared(T x) { return x; }\ntemplate int shared<int>(int);\n",
        "other_isa": "namespace ravine::kernels::slow { int twice(int x) { return 2 * x; } }\n",
    }
    found = {}
    for name, source in sources.items():
        (tmp_path / f"{name}.cpp").write_text(source)
        object_file = tmp_path / f"{name}.o"
        subprocess.run(
            [compiler, "-std=c++20", "-O0", "-c", str(tmp_path / f"{name}.cpp"), "-o", str(object_file)],
            check=True,
        )
        check = [sys.executable, str(repository / "tests/cpp/isa_symbols.py"), f"fast={object_file}"]
        found[name] = subprocess.run(check, capture_output=True, text=True)
    assert found["sound"].returncode == 0, found["sound"].stdout
    for name in ("inline", "template", "other_isa"):
        assert found[name].returncode == 1, name
    assert "shared" in found["inline"].stdout


def test_numpy_is_the_only_runtime_dependency() -> None:
    needed = importlib.metadata.requires("ravine") or []
    assert [line.split(";")[0] for line in needed if "extra ==" not in line] == ["numpy>=1.23"]


def test_the_installed_package_is_small() -> None:
    folder = Path(rv.__file__).parent
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and file.suffix != ".pyc")
    assert size < 20e6, f"{size / 1e6:.1f} MB unpacked; the wheel, packed, must stay below 5 MB"
