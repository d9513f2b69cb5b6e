"""Sources of batches: nestings, samplers, frames, streams, prefetching, and resuming inside of a pass."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import data

LABELS = np.repeat([0, 1, 2], [60, 30, 10])


def drawn(source: data.Source) -> list[list[int]]:
    """The first array of each batch of a pass."""
    return [batch[0].reshape(-1).tolist() for batch in source]


# ---- nestings


def test_nested_arrays_stay_together() -> None:
    x = {"num": np.arange(10.0)[:, None], "pair": (np.arange(10), np.arange(10) * 2)}
    batches = data.Batches(x, np.arange(10) * 3, batch_size=4, shuffle=True)
    seen = []
    for piece, y in batches:
        np.testing.assert_array_equal(piece["num"][:, 0] * 3, y)
        np.testing.assert_array_equal(piece["pair"][0] * 2, piece["pair"][1])
        np.testing.assert_array_equal(piece["pair"][0] * 3, y)
        seen += y.tolist()
    assert sorted(seen) == [3 * i for i in range(10)]
    split = data.train_test_split(x, np.arange(10) * 3, 0.3)
    np.testing.assert_array_equal(split.x_test["pair"][0] * 3, split.y_test)
    assert len(split.x_train["num"]) == 7


def test_a_memory_map_is_read_by_rows(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(1000).reshape(100, 10))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    batches = data.Batches(mapped, LABELS, rows=np.array([5, 90, 17]), batch_size=2)
    assert np.shares_memory(batches.arrays[0], mapped)
    assert [x[:, 0].tolist() for x, _ in batches] == [[50, 900], [170]]
    train, test = data.split_indices(100, 0.2, seed=3, stratify=LABELS)
    assert np.bincount(LABELS[test]).tolist() == [12, 6, 2]
    split = data.train_test_split(mapped, LABELS, 0.2, seed=3, stratify=True)
    np.testing.assert_array_equal(split.x_train, mapped[train])


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ({"a": np.zeros(3), "b": np.zeros(4)}, ValueError, r"\{'a': \(3,\), 'b': \(4,\)\}"),
        ((np.zeros(3), np.float32(1.0)), ValueError, r"\(\(3,\), \(\)\)"),
        ({}, ValueError, "expected arrays"),
        ({"a": [[1, 2], [3]]}, ValueError, r"\['a'\]: cannot make an array"),
        ({"a": np.ma.masked_equal([1, 2, 3], 2)}, TypeError, r"\['a'\]: a masked array"),
    ],
)
def test_wrong_nestings_name_the_place(x: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        data.Batches(x)


def test_pandas_frames() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"age": [3, 4, 5], "size": [0.5, 1.5, 2.5], "old": [True, False, True]})
    ((x, y),) = data.Batches(frame, frame["age"])
    np.testing.assert_array_equal(x, [[3, 0.5, 1], [4, 1.5, 0], [5, 2.5, 1]])
    np.testing.assert_array_equal(y, [3, 4, 5])
    assert x.dtype == np.float64 and y.dtype == np.int64
    whole = frame.assign(age=frame["age"].astype("Int32"), old=frame["old"].astype("boolean"))
    np.testing.assert_array_equal(next(iter(data.Batches(whole)))[0], x)
    ((x, codes),) = [pair["x"] for (pair,) in data.Batches({"x": (frame[["size"]], frame["age"])})]
    assert x.shape == (3, 1) and codes.shape == (3,)
    ages, days = pandas.array([1, None, 2], dtype="Int64"), pandas.to_datetime(["2020-01-01"] * 3)
    for wrong, error, message in (
        (frame.assign(city=["a", "b", "c"]), TypeError, r"'city' holds .* \(such as 'a'\).*cat\.codes"),
        (frame.assign(size=[1.0, None, 2.0]), ValueError, "column 'size' has 1 missing values of 3"),
        (frame.assign(age=ages), ValueError, "column 'age' has 1 missing"),
        (frame.assign(day=days), TypeError, "column 'day' holds datetime64"),
        (pandas.Series(["u", "v"], name="kind"), TypeError, "the series 'kind' holds"),
        (pandas.DataFrame(index=[0, 1]), ValueError, "no columns"),
    ):
        with pytest.raises(error, match=message):
            data.Batches(wrong)


# ---- samplers


def test_balanced_batches_have_as_many_of_each_class() -> None:
    batches = data.Batches(np.arange(100), LABELS, batch_size=12, sampler="balanced", seed=1)
    passes = [list(batches) for _ in range(2)]
    for batch in passes[0][:-1]:
        assert np.abs(np.bincount(batch[1], minlength=3) - 4).max() <= 1
    drawn = np.concatenate([x for x, _ in passes[0]])
    assert sorted(np.bincount(LABELS[drawn])) == [33, 33, 34]
    # Of a rare class all return equally often; of a frequent one none twice.
    assert set(np.bincount(drawn)[90:]) <= {3, 4}
    assert np.bincount(drawn)[:60].max() == 1
    assert not np.array_equal(drawn, np.concatenate([x for x, _ in passes[1]]))


def test_stratified_batches_have_the_shares_of_the_whole() -> None:
    batches = data.Batches(np.arange(100), LABELS, batch_size=10, sampler="stratified")
    pieces = list(batches)
    assert sorted(i for x, _ in pieces for i in x.tolist()) == list(range(100))
    for _, y in pieces:
        assert np.abs(np.bincount(y, minlength=3) - [6, 3, 1]).max() <= 1


def test_weighted_draws_follow_the_weights() -> None:
    weights = np.array([0.0, 1.0, 3.0, 0.0] * 500)
    batches = data.Batches(np.arange(2000), batch_size=2000, sampler="weighted", weights=weights)
    ((x,),) = list(batches)
    counts = np.bincount(x % 4, minlength=4)
    assert len(x) == 2000 and counts[0] == counts[3] == 0
    assert counts[2] / 2000 == pytest.approx(0.75, abs=0.05)
    # Of some rows: their own weights.
    part = data.Batches(
        np.arange(2000), batch_size=50, sampler="weighted", weights=weights, rows=np.arange(1, 2000, 4)
    )
    assert {i % 4 for (x,) in part for i in x.tolist()} == {1}


def test_samplers_are_functions_of_the_seed_alone() -> None:
    """The numbers stand here because another order would change what resumed runs see."""
    expected = {
        "weighted": [4, 4, 5, 5, 5, 5],
        "balanced": [2, 4, 1, 5, 3, 4],
        "stratified": [3, 0, 4, 1, 2, 5],
    }
    for kind, order in expected.items():
        weights = np.arange(6) if kind == "weighted" else None
        batches = data.Batches(
            np.arange(6), np.array([0, 0, 0, 0, 1, 1]), batch_size=6, sampler=kind, weights=weights, seed=4
        )
        assert drawn(batches) == [order]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": "random"}, "got 'random'"),
        ({"sampler": "weighted"}, "needs weights"),
        ({"sampler": "weighted", "weights": np.ones(3)}, r"shape \(3,\) .*shape \(100,\)"),
        ({"sampler": "weighted", "weights": np.zeros(100)}, "not all 0"),
        ({"sampler": "weighted", "weights": np.full(100, -1.0)}, "0 or more"),
        ({"sampler": "weighted", "weights": np.full(100, np.nan)}, "finite"),
        ({"sampler": "balanced", "weights": np.ones(100)}, "weights go with"),
        ({"weights": np.ones(100)}, "weights go with"),
        ({"rows": np.ones(100, bool)}, "got a mask"),
        ({"rows": [0, 100]}, "below 100, got int64"),
        ({"rows": [0.5]}, "indices"),
        ({"rows": np.zeros(0, int), "sampler": "balanced"}, "no examples"),
    ],
)
def test_wrong_samplers_are_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data.Batches(np.arange(100), LABELS, **options)
    with pytest.raises(ValueError, match=r"integer labels \[n\]"):
        data.Batches(np.arange(100), np.linspace(0, 1, 100), sampler="balanced")


# ---- streams, changes, threads


def numbers(epoch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for i in range(5):
        yield np.array([10 * epoch + i]), np.array([i])


def jitter(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x + rng.integers(0, 1000, x.shape), y


def jittered() -> data.Map:
    batches = data.Batches(np.arange(23), np.arange(23), batch_size=4, shuffle=True)
    return data.Map(batches, jitter, seed=5)


SOURCES: dict[str, Callable[[], data.Source]] = {
    "batches": lambda: data.Batches(np.arange(23), LABELS[:23], batch_size=4, shuffle=True, seed=8),
    "in order": lambda: data.Batches(np.arange(23), LABELS[:23], batch_size=4, drop_last=True),
    "balanced": lambda: data.Batches(np.arange(100), LABELS, batch_size=9, sampler="balanced"),
    "stream": lambda: data.Stream(numbers),
    "list": lambda: data.Stream([*numbers(0)]),
    "iterator": lambda: data.Stream((b for e in range(9) for b in numbers(e)), steps=7),
    "map": lambda: jittered(),
    "prefetch": lambda: data.Prefetch(jittered()),
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_resumes_inside_of_a_pass(name: str) -> None:
    whole = SOURCES[name]()
    expected = [drawn(whole) for _ in range(3)]
    assert len({len(p) for p in expected}) == 1
    n = len(expected[0])
    for done in (0, 1, n - 1, n):
        first, second = SOURCES[name](), SOURCES[name]()
        assert drawn(first) == expected[0]
        running = iter(first)
        for _ in range(done):
            next(running)
        state = first.state_dict()
        second.load_state_dict(state)
        for key, value in state.items():
            np.testing.assert_array_equal(second.state_dict()[key], value)
        assert drawn(second) == expected[1][done:]
        assert drawn(second) == expected[2]


@pytest.mark.parametrize("name", SOURCES)
def test_wrong_states_of_sources_change_nothing(name: str) -> None:
    source = SOURCES[name]()
    drawn(source)
    state = source.state_dict()
    for wrong in (
        {},
        state | {"other": 1},
        state | {"epoch": np.asarray(-1)},
        state | {"position": np.asarray(0.5)},
        state | {"seed": np.zeros(2, int)},
    ):
        with pytest.raises(ValueError, match="load_state_dict of"):
            source.load_state_dict(wrong)
        for key, value in state.items():
            np.testing.assert_array_equal(source.state_dict()[key], value)


def test_a_state_of_other_batches_is_refused() -> None:
    state = data.Batches(np.arange(9), batch_size=2).state_dict()
    with pytest.raises(ValueError, match="n=9, this has 8"):
        data.Batches(np.arange(8), batch_size=2).load_state_dict(state)
    with pytest.raises(ValueError, match="batch_size=2, this has 3"):
        data.Batches(np.arange(9), batch_size=3).load_state_dict(state)


def test_streams_of_torch() -> None:
    torch = pytest.importorskip("torch")
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.arange(5.0)[:, None], torch.arange(5)), batch_size=2
    )
    assert [x.shape for x, _ in data.Stream(loader)] == [(2, 1), (2, 1), (1, 1)]


def test_streams_know_their_length_if_told() -> None:
    assert len(data.Stream(numbers, steps=3)) == 3
    assert [len(drawn(data.Stream(numbers, steps=3))), len(drawn(data.Stream(lambda: numbers(0))))] == [3, 5]
    with pytest.raises(TypeError, match="give it steps"):
        len(data.Stream(numbers))
    with pytest.raises(TypeError, match="got int"):
        data.Stream(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="steps=0"):
        data.Stream(numbers, steps=0)
    for wrap in (data.Prefetch, lambda source: data.Map(source, jitter)):
        with pytest.raises(TypeError, match="a source of"):
            wrap([1, 2])
    with pytest.raises(ValueError, match="size=0"):
        data.Prefetch(data.Stream(numbers), size=0)


def prefetching() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "ravine.data.Prefetch"]


def test_prefetch_passes_errors_on_and_ends_its_thread() -> None:
    def broken() -> Iterator[Any]:
        yield (np.array([1]),)
        raise OSError("the disk is gone")

    running = iter(data.Prefetch(data.Stream(broken)))
    assert next(running)[0].item() == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(running)
    assert not prefetching()

    closed = threading.Event()

    def endless() -> Iterator[Any]:
        try:
            while True:
                yield (np.zeros(1),)
        finally:
            closed.set()

    running = iter(data.Prefetch(data.Stream(endless), size=3))
    next(running)
    assert len(prefetching()) == 1
    running.close()  # as a loop that is left does
    assert not prefetching() and closed.is_set()


def test_prefetch_draws_ahead() -> None:
    ahead = threading.Event()

    def watched() -> Iterator[Any]:
        for i in range(4):
            if i == 2:
                ahead.set()
            yield (np.array([i]),)

    running = iter(data.Prefetch(data.Stream(watched), size=2))
    next(running)
    assert ahead.wait(30.0)
    assert [x.item() for (x,) in running] == [1, 2, 3]


def test_the_seed_of_a_map_can_be_drawn() -> None:
    base = data.Batches(np.zeros(4), np.zeros(4))
    rv.seed(1)
    first = drawn(data.Map(base, jitter, seed=None))
    rv.seed(1)
    assert drawn(data.Map(data.Batches(np.zeros(4), np.zeros(4)), jitter, seed=None)) == first
