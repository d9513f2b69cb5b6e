"""The cache of programs: what it keeps, and what it says when sizes never come again."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn, optim


@pytest.fixture(autouse=True)
def usual_limits() -> Iterator[None]:
    yield
    rv.set_program_cache_size()


def rows(n: int, columns: int = 3) -> np.ndarray:
    return np.ones((n, columns), np.float32)


def function() -> Callable[[np.ndarray], Any]:
    return rv.compile(lambda x: x * 2)


def model() -> Callable[[np.ndarray], Any]:
    return nn.ReLU()


def gradient() -> Callable[[np.ndarray], Any]:
    return rv.value_and_grad(lambda x: (x * x).sum())


def step() -> Callable[[np.ndarray], Any]:
    layer = nn.Linear(1, 1)
    return rv.TrainStep(lambda m, x: m(x.reshape(-1, 1)).mean(), layer, optim.SGD(0.0))


def warned(call: Callable[[np.ndarray], Any], arrays: list[np.ndarray]) -> list[str]:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for array in arrays:
            call(array)
    return [str(warning.message) for warning in seen]


@pytest.mark.parametrize(
    ("made", "owner"),
    [
        pytest.param(function, "function.<locals>.<lambda>", id="compile"),
        pytest.param(model, "ReLU", id="model"),
        pytest.param(gradient, "value_and_grad", id="value_and_grad"),
        pytest.param(step, "TrainStep", id="step"),
    ],
)
def test_a_dimension_of_many_sizes_is_named_once(made: Callable[[], Any], owner: str) -> None:
    texts = warned(made(), [rows(2, n) for n in range(1, 45)])
    assert len(texts) == 1
    assert texts[0].startswith(f"{owner} was compiled for 40 sizes of dimension 1 of array 0 of its ")
    assert "arguments (1, 2, 3, ...)" in texts[0]
    assert "ravine.data.pad_sequences" in texts[0]
    assert "bucket_by" in texts[0]
    assert "at most 64 programs of 1 GiB" in texts[0]


def test_a_batch_dimension_has_another_way_out() -> None:
    (text,) = warned(function(), [rows(n) for n in range(1, 45)])
    assert "dimension 0 of array 0" in text
    assert "drop_last=True" in text
    assert "pad_sequences" not in text


def test_of_dimensions_that_vary_together_the_length_is_named() -> None:
    compiled = rv.compile(lambda x, y: x.sum() + y.sum())
    (text,) = warned(lambda x: compiled(x, x[0]), [rows(n, n) for n in range(1, 45)])
    assert "dimension 1 of array 0" in text


@pytest.mark.parametrize(
    "arrays",
    [
        pytest.param([rows(n) for n in range(1, 40)], id="39 sizes"),
        pytest.param([rows(n % 8 + 1, n % 5 + 1) for n in range(100)], id="few sizes in many pairs"),
        pytest.param([rows(3) for _ in range(100)], id="one size"),
    ],
)
def test_few_sizes_are_nothing_to_speak_of(arrays: list[np.ndarray]) -> None:
    assert warned(function(), arrays) == []


def test_a_program_that_had_to_go_is_told_at_once() -> None:
    rv.set_program_cache_size(4)
    texts = warned(function(), [rows(2, n) for n in range(1, 10)])
    assert len(texts) == 1
    assert "for 5 sizes of dimension 1" in texts[0]
    assert "at most 4 programs" in texts[0]


def test_programs_that_go_for_another_reason_say_nothing_of_sizes() -> None:
    rv.set_program_cache_size(2)
    compiled = rv.compile(lambda x, factor: x * factor)
    assert warned(lambda x: [compiled(x, float(n)) for n in range(5)], [rows(2)]) == []
    assert len(compiled.programs()) == 2


def test_recompilations_are_listed_with_the_dimension(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAVINE_LOG", "recompile")
    compiled = rv.compile(lambda *x: x[0])
    for arrays in ([rows(2)], [rows(2, 5)], [rows(7, 5)], [np.ones(7)], [rows(7, 5), rows(1)]):
        compiled(*arrays)
    causes = [line.partition(" is compiled: ")[2] for line in capsys.readouterr().err.splitlines()]
    other = "other shapes, dtypes, numbers or options"
    assert causes == [
        "a first program",
        "dimension 1 of array 0 was 3 and is 5",
        "dimension 0 of array 0 was 2 and is 7",
        other,
        other,
    ]


def test_a_warning_made_an_error_leaves_the_cache_as_it_was() -> None:
    compiled = function()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for n in range(1, 40):
            compiled(rows(2, n))
        with pytest.raises(UserWarning, match="40 sizes"):
            compiled(rows(2, 40))
        assert len(compiled.programs()) == 39
        assert compiled(rows(2, 40)).shape == (2, 40)
    assert len(compiled.programs()) == 40


@pytest.mark.filterwarnings("ignore:.* was compiled for")
def test_the_least_recently_used_go_first() -> None:
    rv.set_program_cache_size(3)
    compiled = function()
    for n in (1, 2, 3, 1, 4):
        compiled(rows(n))
    before = compiled.programs()
    compiled(rows(1))
    compiled(rows(3))
    assert {id(program) for program in compiled.programs()} == {id(program) for program in before}
    compiled(rows(2))
    assert {id(program) for program in compiled.programs()} - {id(program) for program in before}
    assert len(compiled.programs()) == 3


@pytest.mark.filterwarnings("ignore:.* was compiled for")
def test_memory_bounds_the_programs_too() -> None:
    rv.set_program_cache_size(64, max_bytes=0)
    compiled = rv.compile(lambda x: (x @ x.transpose(0, 1)).softmax(-1).sum())
    for n in (20, 30, 40):
        compiled(rows(n))
    assert len(compiled.programs()) == 1
    rv.set_program_cache_size()
    compiled(rows(20))
    assert len(compiled.programs()) == 2


def test_a_step_whose_programs_went_counts_anew() -> None:
    """Freezing drops all programs of a step, in the middle of a compilation."""
    net = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    updates = rv.TrainStep(net, nn.MSELoss(), optim.SGD(0.1))
    rv.set_program_cache_size(2)
    for frozen in (False, True, False):
        nn.freeze(net[0]) if frozen else nn.unfreeze(net[0])
        for n in (1, 2):
            updates(rows(n), rows(n, 1))
        assert len(updates.programs()) == 2
