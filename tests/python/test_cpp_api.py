"""C and C++ programs that train through the public headers alone have the bits that the package has."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import init, nn, optim
from ravine.optim import schedules

STEPS, ROWS = 6, 12


def program(repository: Path, name: str) -> Path:
    found = sorted((repository / "build").glob(f"*/tests/cpp/{name}"), key=lambda path: path.stat().st_mtime)
    if not found:
        pytest.skip("the C++ tests are not built: tests/run builds them")
    return found[-1]


def numbers(shape: tuple[int, ...], turn: int, dtype: str) -> np.ndarray:
    i = np.arange(int(np.prod(shape)), dtype=np.int64) * 37 + turn * 101
    return ((np.fmod(i, 64) - 31) / 16.0).reshape(shape).astype(dtype)


def trained(
    step: rv.TrainStep, shape: tuple[int, ...], dtype: str, target: Callable[[int], np.ndarray]
) -> list[str]:
    """What the program prints of such a step."""
    lines = [f"loss {step(numbers(shape, turn, dtype), target(turn)).hex()}" for turn in range(STEPS)]
    state: dict[str, Any] = step.model.state_dict()
    lines += [f"{key} {np.asarray(state[key]).tobytes().hex()}" for key in sorted(state)]
    output = step.model.eval()(numbers(shape, 99, dtype))
    return [*lines, f"output {output.tobytes().hex()}"]


def convolutional() -> list[str]:
    rv.seed(11)
    model = nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3),
        nn.SiLU(),
        nn.GroupNorm(4, 8),
        nn.Dropout2d(0.2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(8 * 4 * 4, 10),
    )
    optimizer = optim.Adam(lr=schedules.Cosine(0.01, 100), clip_global_norm=1.0)
    step = rv.TrainStep(model, nn.CrossEntropyLoss(label_smoothing=0.1), optimizer)
    return trained(step, (ROWS, 2, 12, 12), "float32", lambda turn: (np.arange(ROWS) * 7 + turn * 3) % 10)


def perceptron() -> list[str]:
    rv.seed(12)
    model = nn.Sequential(
        nn.Linear(5, 24, dtype="float64"),
        nn.LayerNorm(24, dtype="float64"),
        nn.GELU(),
        nn.Linear(24, 16, bias=False, dtype="float64"),
        nn.RMSNorm(16, eps=1e-6, dtype="float64"),
        nn.Tanh(),
        nn.Linear(16, 2, dtype="float64", weight_init=lambda weight: init.orthogonal_(weight, 0.5)),
    )
    optimizer = optim.SGD(lr=0.1, momentum=0.9, nesterov=True, accumulate=2)
    step = rv.TrainStep(model, nn.HuberLoss(delta=0.5), optimizer)
    return trained(step, (ROWS, 5), "float64", lambda turn: numbers((ROWS, 2), 5, "float64"))


def test_training_in_cpp_has_the_bits_of_training_here(repository: Path) -> None:
    printed = subprocess.run(
        [program(repository, "api_same_bits")], capture_output=True, text=True, check=True
    ).stdout
    found = {case.split("\n")[0]: case.split("\n")[1:] for case in printed.strip().split("\n\n")}
    expected = {"convolutional": convolutional(), "perceptron": perceptron()}
    assert found.keys() == expected.keys()
    for name, lines in expected.items():
        # %a of C and hex() of Python write a number differently; both are exact.
        losses = [float.fromhex(line.split()[1]) for line in found[name][:STEPS]]
        assert losses == [float.fromhex(line.split()[1]) for line in lines[:STEPS]], name
        for ours, theirs in zip(found[name][STEPS:], lines[STEPS:], strict=True):
            assert ours == theirs, (name, ours.split()[0])


# --- exported steps go on in other languages, and come back


def constant_batch() -> tuple[np.ndarray, np.ndarray]:
    return np.full((50, 64), 0.5, np.float32), np.full(50, 3)


def exported_step(path: Path) -> rv.TrainStep:
    """A step that has begun, and was exported."""
    rv.seed(4)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 10))
    step = rv.TrainStep(model, nn.CrossEntropyLoss(), optim.AdamW(lr=schedules.Cosine(0.01, 100)))
    step(*constant_batch())
    rv.export(path, step, *constant_batch())
    return step


def steps_of(step: Any, count: int) -> list[np.float32]:
    return [np.float32(step(*constant_batch())) for _ in range(count)]


@pytest.mark.parametrize("name", ["api_resume", "api_c_program"])
def test_a_program_goes_on_from_a_file_and_python_from_its(
    repository: Path, tmp_path: Path, name: str
) -> None:
    step = exported_step(tmp_path / "step.ravine")
    command = [program(repository, name), tmp_path / "step.ravine", tmp_path / "out.ravine"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    expected = steps_of(step, 5)
    assert [np.float32(text) for text in printed[:5]] == expected
    output = step.model.eval()(constant_batch()[0])
    assert np.float32(printed[5]) == output[0, 0]
    step.model.train()
    assert steps_of(rv.load_step(tmp_path / "out.ravine"), 3) == steps_of(step, 3)


class Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("rank", ctypes.c_int32),
        ("dtype", ctypes.c_int32),
    )


def test_ctypes_predicts_and_trains(repository: Path, tmp_path: Path) -> None:
    step = exported_step(tmp_path / "step.ravine")
    library = ctypes.CDLL(str(program(repository, "libravine_c.so")))
    for function in ("step_load", "step_model", "model_predict"):
        getattr(library, f"ravine_{function}").restype = ctypes.c_void_p
    library.ravine_last_error.restype = ctypes.c_char_p
    library.ravine_arrays_get.restype = Tensor
    arrays = constant_batch()
    kept = [np.array(array.shape, np.int64) for array in arrays]
    pointers = [shape.ctypes.data_as(ctypes.POINTER(ctypes.c_int64)) for shape in kept]
    batch = (Tensor * 2)(
        Tensor(arrays[0].ctypes.data, pointers[0], 2, 0), Tensor(arrays[1].ctypes.data, pointers[1], 1, 3)
    )
    assert library.ravine_step_load(str(tmp_path / "none").encode()) is None
    assert b"No such file" in library.ravine_last_error()

    loaded = ctypes.c_void_p(library.ravine_step_load(str(tmp_path / "step.ravine").encode()))
    loss = ctypes.c_double()
    assert library.ravine_step_train(loaded, batch, ctypes.c_size_t(2), ctypes.byref(loss)) == 0
    assert loss.value == step(*arrays)
    model = ctypes.c_void_p(library.ravine_step_model(loaded))
    results = ctypes.c_void_p(library.ravine_model_predict(model, batch, ctypes.c_size_t(1)))
    output = library.ravine_arrays_get(results, ctypes.c_size_t(0))
    assert [output.shape[i] for i in range(output.rank)] == [50, 10]
    found = np.ctypeslib.as_array(ctypes.cast(output.data, ctypes.POINTER(ctypes.c_float)), (50, 10)).copy()
    assert (found == step.model.eval()(arrays[0])).all()
    assert library.ravine_step_train(loaded, batch, ctypes.c_size_t(1), None) != 0
    assert library.ravine_last_error() != b""
    for free, pointer in (("arrays", results), ("model", model), ("step", loaded)):
        getattr(library, f"ravine_{free}_free")(pointer)
