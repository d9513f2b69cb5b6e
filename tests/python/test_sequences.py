"""Sequences of different lengths: padding, and batches of like length that resume."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import data, nn

RAGGED = [[1, 2, 3], [], [4]]


@pytest.mark.parametrize(
    ("arguments", "expected", "lengths"),
    [
        ({}, [[1, 2, 3], [0, 0, 0], [4, 0, 0]], [3, 0, 1]),
        ({"value": -1, "side": "left"}, [[1, 2, 3], [-1, -1, -1], [-1, -1, 4]], [3, 0, 1]),
        ({"length": 2}, [[1, 2], [0, 0], [4, 0]], [2, 0, 1]),
        ({"length": 2, "truncate": "left"}, [[2, 3], [0, 0], [4, 0]], [2, 0, 1]),
        ({"length": 2, "truncate": "left", "side": "left"}, [[2, 3], [0, 0], [0, 4]], [2, 0, 1]),
        ({"length": 4, "truncate": None}, [[1, 2, 3, 0], [0] * 4, [4, 0, 0, 0]], [3, 0, 1]),
        ({"multiple_of": 4}, [[1, 2, 3, 0], [0] * 4, [4, 0, 0, 0]], [3, 0, 1]),
        ({"multiple_of": 3}, [[1, 2, 3], [0, 0, 0], [4, 0, 0]], [3, 0, 1]),
        ({"length": 0}, [[], [], []], [0, 0, 0]),
    ],
)
def test_pad_sequences(arguments: dict[str, Any], expected: Any, lengths: list[int]) -> None:
    array, n = data.pad_sequences(RAGGED, **arguments)
    np.testing.assert_array_equal(array, np.array(expected, np.int64).reshape(3, -1), strict=True)
    np.testing.assert_array_equal(n, np.array(lengths, np.int64), strict=True)


@pytest.mark.parametrize(
    ("sequences", "shape", "dtype"),
    [
        ([], (0, 0), "float64"),
        ([[], []], (2, 0), "float64"),
        ([[1], [0.5, 2.0]], (2, 2), "float64"),
        ([np.ones(2, "uint8"), []], (2, 2), "uint8"),
        ([np.ones(2, "uint8"), np.ones(1, "int16")], (2, 2), "int16"),
        ([np.ones((2, 3), "float32"), np.zeros((0, 3), "float32")], (2, 2, 3), "float32"),
        ([[[[1, 2]], [[3, 4]]], []], (2, 2, 1, 2), "int64"),
        (np.ones((4, 3, 2), "float32"), (4, 3, 2), "float32"),
        ((row for row in RAGGED), (3, 3), "int64"),
        ([[True], [False, True]], (2, 2), "bool"),
    ],
)
def test_shapes_and_dtypes_of_padded_sequences(sequences: Any, shape: tuple[int, ...], dtype: str) -> None:
    array, n = data.pad_sequences(sequences)
    assert (array.shape, array.dtype, n.shape) == (shape, dtype, (shape[0],))


def test_padded_sequences_hold_their_items() -> None:
    rng = np.random.default_rng(0)
    sequences = [rng.standard_normal((t, 2)) for t in (3, 0, 5)]
    for side in ("right", "left"):
        array, n = data.pad_sequences(sequences, np.nan, side=side, dtype="float32")
        assert array.dtype == "float32"
        for row, sequence, t in zip(array, sequences, n, strict=True):
            own, rest = (row[:t], row[t:]) if side == "right" else (row[5 - t :], row[: 5 - t])
            np.testing.assert_array_equal(own, sequence.astype("float32"))
            assert np.isnan(rest).all()


@pytest.mark.parametrize(
    ("sequences", "arguments", "error", "message"),
    [
        (3, {}, TypeError, "a list of sequences is expected, got int"),
        ("text", {}, TypeError, "a list of sequences is expected, got str"),
        ([1, 2], {}, TypeError, "sequence 0 is 1, expected an array or list"),
        ([["a"]], {}, TypeError, "sequence 0 holds <U1 values"),
        ([[1], [[2, 3]]], {}, ValueError, r"items of sequence 1 have shape \(2,\), those of sequence 0 \(\)"),
        ([[1], [[2, 3], [4]]], {}, ValueError, "sequence 1 is no array: its items differ"),
        (RAGGED, {"side": "pre"}, ValueError, "side must be 'right' or 'left'.* got 'pre'"),
        (RAGGED, {"truncate": "post"}, ValueError, "got 'right' and 'post'"),
        (RAGGED, {"value": 0.5}, ValueError, "value=0.5 cannot be held by int64"),
        (RAGGED, {"value": np.nan}, ValueError, "value=nan cannot be held by int64"),
        (RAGGED, {"value": [1]}, TypeError, r"value must be a number, got \[1\]"),
        ([[300]], {"dtype": "uint8"}, ValueError, "uint8 cannot hold"),
        ([[0.5]], {"dtype": "int64"}, ValueError, "int64 cannot hold"),
        (RAGGED, {"length": -1}, ValueError, "length=-1, expected at least 0"),
        (RAGGED, {"length": 2.5}, TypeError, "length must be a whole number, got 2.5"),
        (RAGGED, {"multiple_of": 0}, ValueError, "multiple_of=0, expected at least 1"),
        (RAGGED, {"length": 4, "multiple_of": 2}, ValueError, "length=4 or multiple_of=2"),
        (RAGGED, {"length": 2, "truncate": None}, ValueError, "sequence 0 has length 3, above length=2"),
    ],
)
def test_what_cannot_be_padded_is_named(
    sequences: Any, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"pad_sequences: .*{message}"):
        data.pad_sequences(sequences, **arguments)


# ---- batches of like length

LENGTHS = np.random.default_rng(0).integers(1, 41, 103)
SEQUENCES = [np.full((t, 2), i, "float32") for i, t in enumerate(LENGTHS)]


def bucketed(**options: Any) -> data.Batches:
    options = {"batch_size": 8, "bucket_by": LENGTHS, "buckets": [10, 20, 40]} | options
    return data.Batches({"x": SEQUENCES, "n": LENGTHS}, np.arange(103), **options)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("drop_last", [False, True])
def test_every_example_comes_once_padded_to_its_bucket(shuffle: bool, drop_last: bool) -> None:
    batches = bucketed(shuffle=shuffle, drop_last=drop_last)
    assert len(batches) == (12 if drop_last else 13)
    for _ in range(2):
        drawn = list(batches)
        assert len(drawn) == len(batches)
        seen = np.concatenate([y for _, y in drawn])
        assert len(set(seen)) == len(seen) == (96 if drop_last else 103)
        assert {len(y) for _, y in drawn} == ({8} if drop_last else {8, 7})
        for x, y in drawn:
            assert x["x"].shape[1] == min(b for b in (10, 20, 40) if b >= LENGTHS[y].max())
            np.testing.assert_array_equal(x["n"], LENGTHS[y])
            for row, i in zip(x["x"], y, strict=True):
                np.testing.assert_array_equal(row, data.pad_sequences([SEQUENCES[i]], length=len(row))[0][0])
        bounds = [x["x"].shape[1] for x, _ in drawn]
        assert (bounds == sorted(bounds)) is not shuffle


def test_what_is_dropped_differs_by_epoch_and_not_by_length() -> None:
    batches = bucketed(shuffle=True, drop_last=True)
    dropped = [set(range(103)) - {i for _, y in batches for i in y.tolist()} for _ in range(30)]
    assert len(set(map(frozenset, dropped))) == 30
    mean = np.mean([LENGTHS[i] for left_out in dropped for i in left_out])
    assert abs(mean - LENGTHS.mean()) < 4 * LENGTHS.std() / np.sqrt(210)


def test_orders_are_a_function_of_seed_and_epoch() -> None:
    first, second, other = (bucketed(shuffle=True, seed=seed) for seed in (1, 1, 2))

    def orders(batches: data.Batches) -> list[list[int]]:
        return [[i for _, y in batches for i in y.tolist()] for _ in range(2)]

    drawn = orders(first)
    assert drawn == orders(second)
    assert drawn[0] != drawn[1]
    assert drawn != orders(other)


@pytest.mark.parametrize("taken", [0, 5, 12])
def test_a_pass_resumes_where_it_stood(taken: int) -> None:
    whole, first, second = (bucketed(shuffle=True) for _ in range(3))
    expected = [y.tolist() for _ in range(2) for _, y in whole]
    passing = iter(first)
    drawn = [next(passing)[1].tolist() for _ in range(taken)]
    second.load_state_dict(first.state_dict())
    drawn += [y.tolist() for _ in range(2) for _, y in second]
    assert drawn == expected


def test_a_state_of_other_buckets_is_refused() -> None:
    state = bucketed().state_dict()
    np.testing.assert_array_equal(state["buckets"], [10, 20, 40])
    batches = bucketed(buckets=[15, 40])
    with pytest.raises(ValueError, match=r"run with buckets \[10 20 40\], this has \[15 40\]"):
        batches.load_state_dict(state)
    with pytest.raises(ValueError, match="unexpected keys \\['buckets'\\]"):
        data.Batches(np.arange(103), batch_size=8).load_state_dict(state)


@pytest.mark.parametrize("count", [1, 2, 5, 200])
def test_a_number_of_buckets_divides_the_examples(count: int) -> None:
    batches = bucketed(buckets=count)
    bounds = batches.state_dict()["buckets"]
    assert bounds[-1] == LENGTHS.max() and len(bounds) <= count
    inside = np.diff([0, *[(bound >= LENGTHS).sum() for bound in bounds]])
    if count <= 5:
        assert len(bounds) == count and np.abs(inside - 103 / count).max() < 12
    else:
        assert set(bounds) == set(LENGTHS)
    assert {x["x"].shape[1] for x, _ in batches} <= set(bounds)


@pytest.mark.parametrize("sampler", ["weighted", "balanced", "stratified"])
def test_samplers_draw_what_they_draw_without_buckets(sampler: str) -> None:
    labels = np.arange(103) % 3
    options: dict[str, Any] = {"batch_size": 8, "sampler": sampler, "seed": 3}
    if sampler == "weighted":
        options["weights"] = np.arange(103.0)
    plain = data.Batches(np.arange(103), labels, **options)
    batches = data.Batches(np.arange(103), labels, SEQUENCES, **options, bucket_by=lambda i, y, x: len(x))
    assert len(batches) == len(plain)
    for _ in range(2):
        drawn, expected = list(batches), list(plain)
        assert sorted(i for x, _, _ in drawn for i in x) == sorted(i for x, _ in expected for i in x)
        lengths = [x.shape[1] for _, _, x in drawn]
        assert lengths != sorted(lengths)


def test_rows_take_part_alone() -> None:
    rows = np.flatnonzero(LENGTHS <= 20)
    batches = bucketed(rows=rows, buckets=[10, 20])
    assert sorted(i for _, y in batches for i in y) == rows.tolist()


def test_each_array_has_a_padding_of_its_own() -> None:
    tags = [np.arange(t) for t in LENGTHS]
    batches = data.Batches(
        {"x": SEQUENCES, "n": LENGTHS},
        tags,
        bucket_by=LENGTHS,
        buckets=1,
        pad_value=({"x": 7.0, "n": 0}, -100),
    )
    for x, y in batches:
        outside = np.arange(40) >= x["n"][:, None]
        assert (x["x"][outside] == 7).all() and (y[outside] == -100).all() and (y[~outside] >= 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bucket_by": LENGTHS[:5]}, r"bucket_by must give a length .* of 103 examples, got int64 \(5,\)"),
        ({"bucket_by": LENGTHS * 0.5}, "got float64"),
        ({"bucket_by": lambda x, y: -1}, "a length of 0 or more"),
        ({"buckets": [10, 20]}, r"has length 40, above the last of the buckets, 20"),
        ({"buckets": [20, 10, 40]}, "buckets must be a number or ascending lengths"),
        ({"buckets": []}, "buckets must be a number or ascending lengths"),
        ({"buckets": 0}, "buckets=0, expected at least 1"),
        (
            {"bucket_by": LENGTHS // 2, "buckets": 2},
            r"sequence of example \d+ has length \d+, but the bucket",
        ),
        ({"pad_value": (0,)}, "is not nested as the arrays are"),
        ({"pad_value": ({"x": 0, "m": 0}, 0)}, "is not nested as the arrays are"),
    ],
)
def test_wrong_buckets_are_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"Batches: .*{message}"):
        bucketed(**options)


def test_few_programs_serve_an_epoch_of_many_lengths() -> None:
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru, self.head = nn.GRU(2, 4, batch_first=True), nn.Linear(4, 1)

        def forward(self, x: dict[str, Any]) -> Any:
            return self.head(self.gru(x["x"], lengths=x["n"])[1][0])

    rv.seed(0)
    step = rv.TrainStep(Last(), nn.MSELoss(), rv.optim.Adam(lr=0.01))
    for _ in range(2):
        for x, y in bucketed(shuffle=True):
            step(x, y[:, None].astype("float32") / 103)
    assert len(step.programs()) == 4  # three buckets, and the short batch
