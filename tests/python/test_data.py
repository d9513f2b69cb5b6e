"""Data sets, file readers, splits and mini-batches."""

from __future__ import annotations

import errno
import gzip
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

import ravine as rv
from ravine import data

DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")


# ---- IDX
# -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("name", ["array.idx", "array.idx.gz"])
def test_idx_round_trip(tmp_path: Path, dtype: str, name: str) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    data.idx.write(tmp_path / name, array)
    read = data.idx.read(tmp_path / name)
    assert read.dtype == array.dtype
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, array)


def test_idx_is_the_published_format(tmp_path: Path) -> None:
    file = tmp_path / "labels"
    file.write_bytes(bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6]))
    np.testing.assert_array_equal(data.idx.read(file), [[1, 2, 3], [4, 5, 6]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 bytes"),
        (b"\x00\x00", "2 bytes"),
        (b"PNG\x01abcd", "50 4e 47 01"),
        (b"\x00\x00\x07\x01\x00\x00\x00\x00", "element type"),
        (struct.pack(">HBBI", 0, 8, 2, 3), "truncated"),
        (struct.pack(">HBBI", 0, 8, 1, 5) + b"1234", "12 bytes, expected 13"),
        (struct.pack(">HBBI", 0, 8, 1, 3) + b"1234", "too long"),
    ],
)
def test_a_wrong_idx_file_is_a_clear_error(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "wrong.idx"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        data.idx.read(file)
    assert str(file) in str(caught.value)


def test_a_truncated_or_damaged_gzip_file_is_a_clear_error(tmp_path: Path) -> None:
    file = tmp_path / "images.gz"
    data.idx.write(file, np.arange(1000, dtype=np.int32))
    whole = file.read_bytes()
    for length in (10, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"images\.gz: truncated or damaged gzip"):
            data.idx.read(file)
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 0xFF
    file.write_bytes(bytes(damaged))
    with pytest.raises(ValueError, match=r"images\.gz"):
        data.idx.read(file)


def test_a_missing_file_or_a_folder_is_a_clear_error(tmp_path: Path) -> None:
    for read in (data.idx.read, data.npz.read):
        with pytest.raises(FileNotFoundError) as caught:
            read(tmp_path / "nothing")
        assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, str(tmp_path / "nothing"))
        with pytest.raises(IsADirectoryError) as caught:
            read(tmp_path)
        assert (caught.value.errno, caught.value.filename) == (errno.EISDIR, str(tmp_path))
    with pytest.raises(TypeError, match="int64"):
        data.idx.write(tmp_path / "long.idx", np.arange(3))


# ---- Fashion-MNIST
# ---------------------------------------------------------------------------------------------------


def write_fashion(folder: Path, *, train: int = 5, test: int = 3, suffix: str = "") -> None:
    for name, n in (("train", train), ("t10k", test)):
        images = (np.arange(n * 12) % 256).astype(np.uint8).reshape(n, 3, 4)
        data.idx.write(folder / f"{name}-images-idx3-ubyte{suffix}", images)
        data.idx.write(folder / f"{name}-labels-idx1-ubyte{suffix}", (np.arange(n) % 10).astype(np.uint8))


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_fashion_mnist_reads_any_folder(tmp_path: Path, suffix: str) -> None:
    write_fashion(tmp_path, suffix=suffix)
    x_train, y_train, x_test, y_test = data.fashion_mnist(tmp_path)
    assert x_train.shape == (5, 1, 3, 4)
    assert x_test.shape == (3, 1, 3, 4)
    assert x_train.dtype == np.float32
    assert y_train.dtype == np.int64
    np.testing.assert_allclose(x_train[0, 0, 0], np.arange(4) / 255, rtol=1e-6)
    np.testing.assert_array_equal(y_test, [0, 1, 2])


def test_wrong_fashion_mnist_folders_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no folder"):
        data.fashion_mnist(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="train-images-idx3-ubyte"):
        data.fashion_mnist(tmp_path)
    write_fashion(tmp_path)
    data.idx.write(tmp_path / "t10k-labels-idx1-ubyte", np.zeros(7, np.uint8))
    with pytest.raises(ValueError, match=r"t10k-labels-idx1-ubyte: holds uint8 \(7,\)"):
        data.fashion_mnist(tmp_path)
    data.idx.write(tmp_path / "t10k-images-idx3-ubyte", np.zeros((3, 12), np.uint8))
    with pytest.raises(ValueError, match="t10k-images-idx3-ubyte"):
        data.fashion_mnist(tmp_path)
    with gzip.open(tmp_path / "train-images-idx3-ubyte.gz", "wb") as file:
        file.write(b"not an image")
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte\.gz: not an IDX file"):
        data.fashion_mnist(tmp_path)


@pytest.mark.skipif(not DEBIAN_FASHION.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_fashion_mnist_of_debian() -> None:
    x_train, y_train, x_test, y_test = data.fashion_mnist()
    assert x_train.shape == (60000, 1, 28, 28)
    assert x_test.shape == (10000, 1, 28, 28)
    assert 0.0 == x_train.min() < x_train.max() == 1.0
    np.testing.assert_array_equal(np.bincount(y_train), [6000] * 10)
    np.testing.assert_array_equal(np.bincount(y_test), [1000] * len(data.FASHION_MNIST_CLASSES))


# ---- digits, npz, splits
# ---------------------------------------------------------------------------------------------


def test_digits() -> None:
    pytest.importorskip("sklearn")
    x_train, y_train, x_test, y_test = data.digits()
    assert x_train.shape == (1438, 1, 8, 8)
    assert x_test.shape == (359, 1, 8, 8)
    assert (x_train.dtype, y_train.dtype) == (np.float32, np.int64)
    assert 0.0 == x_train.min() < x_train.max() == 1.0
    assert np.ptp(np.bincount(y_test)) <= 2
    np.testing.assert_array_equal(data.digits().x_test, x_test)
    assert not np.array_equal(data.digits(seed=1).y_test, y_test)
    assert len(y_test) + len(y_train) == 1797


def test_digits_without_scikit_learn_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'ravine\[demo\]'"):
        data.digits()


def test_npz_with_a_test_set_is_read_as_it_is(tmp_path: Path) -> None:
    arrays = {"x": np.ones((4, 3)), "y": np.arange(4), "x_test": np.zeros((2, 3)), "y_test": np.arange(2)}
    np.savez_compressed(tmp_path / "points.npz", **arrays)
    split = data.npz.read(tmp_path / "points.npz")
    for read, written in zip(split, arrays.values(), strict=True):
        np.testing.assert_array_equal(read, written)


def test_npz_without_a_test_set_is_split(tmp_path: Path) -> None:
    x, y = np.arange(20.0).reshape(10, 2), np.repeat([0, 1], 5)
    np.savez(tmp_path / "points.npz", x=x, y=y)
    split = data.npz.read(tmp_path / "points.npz", test_size=4)
    assert sorted(split.y_test) == [0, 0, 1, 1]
    np.testing.assert_array_equal(np.sort(np.concatenate([split.x_train, split.x_test])[:, 0]), x[:, 0])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.ones((3, 2))}, "no array 'y'; it has x"),
        ({"y": np.ones(3)}, "no array 'x'"),
        ({"x": np.ones((3, 2)), "y": np.ones(2)}, "as many examples"),
        ({"x": np.ones((0, 2)), "y": np.ones(0)}, "as many examples, and some"),
        ({"x": np.ones(3), "y": np.ones(3)}, r"\[n, \.\.\.features\]"),
        ({"x": np.ones((3, 2)), "y": np.ones(3), "x_test": np.ones((1, 2))}, "belong together"),
        (
            {"x": np.ones((3, 2)), "y": np.ones(3), "x_test": np.ones((1, 4)), "y_test": np.ones(1)},
            r"x has shape \(2,\), one of x_test \(4,\)",
        ),
        ({"x": np.array([[None], [1]], dtype=object), "y": np.ones(2)}, "Python objects"),
    ],
)
def test_a_wrong_npz_file_is_a_clear_error(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    file = tmp_path / "wrong.npz"
    np.savez(file, **arrays)
    with pytest.raises(ValueError, match=message) as caught:
        data.npz.read(file)
    assert str(file) in str(caught.value)


def test_a_truncated_npz_file_is_a_clear_error(tmp_path: Path) -> None:
    file = tmp_path / "points.npz"
    np.savez_compressed(file, x=np.random.default_rng(0).normal(size=(100, 3)), y=np.zeros(100, int))
    whole = file.read_bytes()
    for length in (0, 100, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"points\.npz: cannot be read as an \.npz file"):
            data.npz.read(file)
    damaged = bytearray(whole)
    damaged[len(whole) // 3] ^= 0xFF
    file.write_bytes(bytes(damaged))
    with pytest.raises(ValueError, match=r"points\.npz: cannot be read as an \.npz file .*(CRC|decompress)"):
        data.npz.read(file)


def test_split_is_seeded_and_keeps_pairs_together() -> None:
    x, y = np.arange(100), np.arange(100) * 10
    first = data.train_test_split(x, y, 0.25, seed=3)
    again = data.train_test_split(x, y, 0.25, seed=3)
    other = data.train_test_split(x, y, 0.25, seed=4)
    assert [len(part) for part in first] == [75, 75, 25, 25]
    np.testing.assert_array_equal(first.x_train * 10, first.y_train)
    np.testing.assert_array_equal(np.sort(np.concatenate([first.x_train, first.x_test])), x)
    np.testing.assert_array_equal(first.x_test, again.x_test)
    assert not np.array_equal(first.x_test, other.x_test)


def test_stratified_split_keeps_the_shares_of_rare_classes() -> None:
    y = np.repeat([0, 1, 2], [80, 15, 5])
    split = data.train_test_split(np.arange(100), y, 0.2, stratify=True)
    np.testing.assert_array_equal(np.bincount(split.y_test), [16, 3, 1])
    np.testing.assert_array_equal(np.bincount(split.y_train), [64, 12, 4])
    np.testing.assert_array_equal(y[split.x_test], split.y_test)
    # Where the shares are no whole numbers, the number of test examples is still the one asked for.
    assert len(data.train_test_split(np.arange(100), y, 7, stratify=True).y_test) == 7


@pytest.mark.parametrize("test_size", [0, 10, 11, -1, 0.0, 1.0, 1.5, -0.1, float("nan")])
def test_a_split_that_leaves_a_side_empty_is_an_error(test_size: float) -> None:
    with pytest.raises(ValueError, match="test_size"):
        data.train_test_split(np.arange(10), np.arange(10), test_size)


def test_wrong_arrays_to_split_are_errors() -> None:
    with pytest.raises(ValueError, match="differ in length"):
        data.train_test_split(np.arange(10), np.arange(9))
    with pytest.raises(ValueError, match="at least 2"):
        data.train_test_split(np.arange(1), np.arange(1))
    with pytest.raises(ValueError, match="integer labels"):
        data.train_test_split(np.arange(10), np.linspace(0, 1, 10), stratify=True)


# ---- mini-batches
# ----------------------------------------------------------------------------------------------------


def epochs(batches: data.Batches, n: int) -> list[list[int]]:
    return [np.concatenate([piece for (piece,) in batches]).tolist() for _ in range(n)]


@pytest.mark.parametrize(
    ("n", "size", "lengths"), [(5, 2, [2, 2, 1]), (4, 2, [2, 2]), (3, 8, [3]), (0, 2, [])]
)
def test_batches_cover_everything_once(n: int, size: int, lengths: list[int]) -> None:
    for shuffle in (False, True):
        batches = data.Batches(np.arange(n), np.arange(n) * 2, batch_size=size, shuffle=shuffle)
        pieces = list(batches)
        assert len(batches) == len(pieces)
        assert [len(x) for x, _ in pieces] == lengths
        assert sorted(int(i) for x, _ in pieces for i in x) == list(range(n))
        assert all(np.array_equal(2 * x, y) for x, y in pieces)


def test_the_last_short_batch_can_be_dropped() -> None:
    batches = data.Batches(np.arange(5), batch_size=2, drop_last=True)
    assert [len(x) for (x,) in batches] == [2, 2]
    assert len(batches) == 2


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    x = np.arange(50)
    first = epochs(data.Batches(x, batch_size=7, shuffle=True, seed=1), 3)
    assert first == epochs(data.Batches(x, batch_size=7, shuffle=True, seed=1), 3)
    assert first[0] != first[1] != first[2]
    assert first[0] != list(range(50))
    # Neighbouring seeds share no epoch, as they would if seed and epoch were added.
    second = epochs(data.Batches(x, batch_size=7, shuffle=True, seed=2), 3)
    assert not any(order in first for order in second)
    # A resumed run sees what the uninterrupted one saw; the batch size does not change the order.
    resumed = data.Batches(x, batch_size=10, shuffle=True, seed=1)
    resumed.epoch = 2
    assert epochs(resumed, 1) == first[2:]


def test_a_seed_of_none_is_drawn_from_the_process_generator() -> None:
    x = np.arange(50)
    rv.seed(5)
    first = [epochs(data.Batches(x, shuffle=True, seed=None), 1) for _ in range(2)]
    rv.seed(5)
    assert first[0] == epochs(data.Batches(x, shuffle=True, seed=None), 1)
    assert first[0] != first[1]


def test_wrong_batches_are_errors() -> None:
    with pytest.raises(ValueError, match=r"shapes \[\(3,\), \(4,\)\]"):
        data.Batches(np.arange(3), np.arange(4))
    with pytest.raises(ValueError, match="expected arrays"):
        data.Batches()
    with pytest.raises(ValueError, match="expected arrays"):
        data.Batches(np.float32(1.0))
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        data.Batches(np.arange(3), batch_size=0)
