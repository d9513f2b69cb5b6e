"""CSV files, .npy files as memory maps, and folders of images; what is wrong is told with its place."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ravine import data, models, nn, optim
from ravine.preprocessing import Columns, OneHotEncoder, StandardScaler
from ravine.train import Trainer


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file, of a text as UTF-8."""

    def write(content: str | bytes, name: str = "table.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def plain(table: data.Table) -> dict[str, list]:
    return {name: column.tolist() for name, column in table.items()}


NAN = pytest.approx(np.nan, nan_ok=True)


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        ("a,b\n1,2\n3,4\n", {}, {"a": [1, 3], "b": [2, 4]}),
        ("a,b\n1,2.5\n3,4\n", {}, {"a": [1, 3], "b": [2.5, 4.0]}),
        ("a,b\n1,x\n,y\n", {}, {"a": [1.0, NAN], "b": ["x", "y"]}),
        ("a,b\nNA,?\n2,y\n", {}, {"a": [NAN, 2.0], "b": [None, "y"]}),
        ("a\n-\n2\n", {"missing": ("-",)}, {"a": [NAN, 2.0]}),
        ("a\n0\n2\n", {"missing": ("0",)}, {"a": [NAN, 2.0]}),
        ("1,2\n3,4\n", {}, {"0": [1, 3], "1": [2, 4]}),
        ("1,2\n3,4\n", {"header": True}, {"1": [3], "2": [4]}),
        ("a,b\nc,d\n", {"header": False}, {"0": ["a", "c"], "1": ["b", "d"]}),
        (",b\nrow,1\n", {}, {"0": ["row"], "b": [1]}),
        (",b\nrow,1\n", {"header": False}, {"0": [None, "row"], "1": ["b", "1"]}),
        ("\n\na;b\n1;2\n", {}, {"a": [1], "b": [2]}),
        ("a;b\n1;2\n", {}, {"a": [1], "b": [2]}),
        ("a\tb\n1\t2\n", {}, {"a": [1], "b": [2]}),
        ("a|b\n1|2\n", {}, {"a": [1], "b": [2]}),
        ("a:b\n1:2\n", {"delimiter": ":"}, {"a": [1], "b": [2]}),
        ("a;b\n1,5;2\n", {"decimal": ","}, {"a": [1.5], "b": [2.0]}),
        ("a;b\n1.5;2\n", {"decimal": ","}, {"a": ["1.5"], "b": [2.0]}),
        ('a,b\n"1, 2","say ""x"""\n', {}, {"a": ["1, 2"], "b": ['say "x"']}),
        ('a,b\n"one\ntwo",3\n', {}, {"a": ["one\ntwo"], "b": [3]}),
        ('a, b\n 1 , "x"\n', {}, {"a": [1], "b": ["x"]}),
        ("a,b\r\n1,2\r\n", {}, {"a": [1], "b": [2]}),
        ("a,b\r1,2\r", {}, {"a": [1], "b": [2]}),
        ("\ufeffa,b\n1,2", {}, {"a": [1], "b": [2]}),
        ("a,b\n\n1,2\n  \n\n", {}, {"a": [1], "b": [2]}),
        ("zip,n\n01234,1\n", {"kinds": {"zip": "text"}}, {"zip": ["01234"], "n": [1]}),
        ("a,b\n1_0,1e3\n", {}, {"a": ["1_0"], "b": [1000.0]}),
        ("a,b\n٣,1\n", {}, {"a": ["٣"], "b": [1]}),
        ("a\n9223372036854775808\n", {}, {"a": [2.0**63]}),
        ("name\nGrün\n".encode("latin-1"), {"encoding": "latin-1"}, {"name": ["Grün"]}),
        ("a,b\n1,2\n".encode("utf-16"), {"encoding": "utf-16"}, {"a": [1], "b": [2]}),
        ("a,b\n" + "1,2\n" * 5000 + "x,2.5\n", {}, {"a": ["1"] * 5000 + ["x"], "b": [2.0] * 5000 + [2.5]}),
    ],
)
def test_csv(written, content: str | bytes, options: dict, expected: dict[str, list]) -> None:
    assert plain(data.read_csv(written(content), **options)) == expected


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("", {}, "table.csv: the file is empty"),
        ("\n\n", {}, "table.csv: the file is empty"),
        ("a,b\n", {}, "table.csv: no row below the header"),
        ("a,b\n1,2\n3\n", {}, "table.csv: line 3: 1 field, expected 2 as in line 1"),
        ("a,b\n1,2,3\n", {}, "table.csv: line 2: 3 fields, expected 2 as in line 1"),
        ("a,b,a\n1,2,3\n", {}, "table.csv: line 1: two columns are called 'a'"),
        ('a,b\n1,"2\n3,4\n', {}, "table.csv: line 2: a quote in the row that begins here is not closed"),
        ('a,b\n"1"2,3\n', {}, "table.csv: line 2: ',' or the line's end is expected behind a closing quote"),
        ('a,b\n1,"' + "x" * 140_000 + "\n", {}, "line 2: a field of over 131,072 characters"),
        ("a,b\n1,\0\n", {}, "table.csv: line 2: a null character, so it is no text file"),
        (b"a,b\n1,2\n1,\xe9\n", {}, "table.csv: line 3 is not in the encoding utf-8; encoding= names"),
        (b"a,b\n1,2\n", {"encoding": "utf-16"}, "table.csv: the text is not in the encoding utf-16"),
        ("," * 70_000, {"header": True}, "table.csv: line 1: 70,001 fields, at most 65,536"),
        ("a,b\n1,2\nx,4\n", {"kinds": {"a": "number"}}, "table.csv: line 3, column 'a': 'x' is no number"),
        ("a\n" + "1\n" * 5000 + "x\n", {"kinds": {"a": "number"}}, "line 5002, column 'a': 'x' is no number"),
        ("a,b\n1,2\n", {"kinds": {"c": "text"}}, "there is no column 'c'; it has a, b"),
        ("a,b\n1,2\n", {"kinds": {"a": "date"}}, "kinds['a'] is 'date', expected 'number' or 'text'"),
        ("a,b\n1,2\n", {"delimiter": "::"}, "delimiter must be one character, got '::'"),
        ("a,b\n1,2\n", {"delimiter": '"'}, "delimiter must be one character"),
        ("a,b\n1,2\n", {"decimal": ";"}, "decimal must be '.' or ','"),
        ("a,b\n1,2\n", {"decimal": ",", "delimiter": ","}, "and not the delimiter, got ','"),
        ("a,b\n1,2\n", {"missing": "NA"}, "missing must be a list of texts, got 'NA'"),
        ("a,b\n1,2\n", {"encoding": "utf-9"}, "there is no encoding 'utf-9'"),
    ],
)
def test_wrong_csv(written, content: str | bytes, options: dict, message: str) -> None:
    with pytest.raises(ValueError) as error:
        data.read_csv(written(content), **options)
    assert message in str(error.value)


def test_csv_where_no_file_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, kind in (("none.csv", FileNotFoundError), (".", IsADirectoryError), ("pipe", ValueError)):
        with pytest.raises(kind):
            data.read_csv(tmp_path / name)


@given(
    st.lists(
        st.lists(
            st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))),
            min_size=2,
            max_size=2,
        ),
        min_size=1,
        max_size=5,
    )
)
def test_csv_reads_what_the_standard_library_writes(tmp_path_factory, rows: list[list[str]]) -> None:
    path = tmp_path_factory.mktemp("csv") / "table.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["a", "b"], *rows])
    table = data.read_csv(path, header=True, delimiter=",", missing=(), kinds={"a": "text", "b": "text"})
    assert plain(table) == {name: [row[i].strip() for row in rows] for i, name in enumerate("ab")}


def test_a_table_tells_places_and_goes_through_preprocessing(written) -> None:
    table = data.read_csv(written('size,colour\n1,"red\nish"\n\n3,blue\n'))
    assert [table.place(i, "size").rpartition("/")[2] for i in range(2)] == [
        "table.csv: line 2, column 'size'",
        "table.csv: line 5, column 'size'",
    ]
    columns = Columns([("scaled", StandardScaler(), ["size"]), ("coded", OneHotEncoder(), ["colour"])])
    np.testing.assert_array_equal(columns.fit_transform(table), [[-1, 0, 1], [1, 1, 0]])
    assert plain(table.without("colour").rows([1])) == {"size": [3]}
    assert [*table.only(["colour", "size"])] == ["colour", "size"]
    assert table.is_text("colour") and not table.is_text("size")
    for call in (lambda: table.without("x"), lambda: table.column("x"), lambda: table.only(["x"])):
        with pytest.raises(ValueError, match=r"there is no column 'x'; it has size, colour"):
            call()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12.0).reshape(3, 4),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.zeros((0, 5)),
        np.ones(()),
    ],
)
def test_npy_is_mapped(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "x.npy", array)
    read = data.open_npy(tmp_path / "x.npy")
    np.testing.assert_array_equal(read, array)
    assert read.dtype == array.dtype and read.shape == array.shape
    assert isinstance(read, np.memmap) == (array.size > 0)
    with pytest.raises(ValueError, match="read-only"):
        read[...] = 1


def npy(header: str, content: bytes = b"") -> bytes:
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode() + content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an .npy file of version 1, 2 or 3"),
        (b"PK\3\4" + bytes(30), "not an .npy file of version 1, 2 or 3"),
        (npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", bytes(8)), "holds Python objects"),
        (
            npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", bytes(4)),
            "holds records",
        ),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", bytes(8)), "expected"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", bytes(8)), "expected"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 9), }"), "expected"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 9223372036854775807, 9), }"), "of shape"),
        (npy("{'descr': 'zz', 'fortran_order': False, 'shape': (1,), }", bytes(8)), "cannot be read"),
        (npy("__import__('os').getpid()"), "holds records, or has a damaged header"),
    ],
)
def test_wrong_npy(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(ValueError) as error:
        data.open_npy(tmp_path / "x.npy")
    assert f"{tmp_path}/x.npy" in str(error.value) and message in str(error.value)


def test_npz_arrays_by_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(3), extra=np.ones(2))
    assert {k: v.tolist() for k, v in data.npz.read_arrays(tmp_path / "a.npz", "x", "y").items()} == {
        "x": [0, 1, 2]
    }


# ---- images


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two classes of 6 pictures each, dark and light, of which some lie deeper."""
    rng = np.random.default_rng(0)
    for name, level in (("dark", 40), ("light", 200)):
        for i in range(6):
            path = (
                tmp_path / "pictures" / name / ("more/" if i > 3 else "") / f"{i}.{'png' if i % 2 else 'BMP'}"
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = (level + rng.integers(-20, 20, size=(4, 6, 3))).astype(np.uint8)
            Image.fromarray(pixels).save(path)
        (tmp_path / "pictures" / name / "notes.txt").write_text("no picture")
        (tmp_path / "pictures" / name / ".hidden.png").write_text("no picture")
    return tmp_path / "pictures"


def test_an_image_folder_is_read_as_pillow_reads_it(pictures: Path) -> None:
    images = data.image_folder(pictures)
    assert images.classes == ["dark", "light"] and images.labels.tolist() == [0] * 6 + [1] * 6
    assert images.shape == (3, 4, 6) and len(images) == 12
    assert [path.name for path in images.files[:6]] == ["0.BMP", "1.png", "2.BMP", "3.png", "4.BMP", "5.png"]
    for row in (0, 7):
        pixels = np.asarray(Image.open(images.files[row]))
        np.testing.assert_array_equal(images.read([row])[0], pixels.transpose(2, 0, 1))
    grey = data.image_folder(pictures, mode="L", size=(2, 3))
    expected = Image.open(grey.files[4]).convert("L").resize((3, 2), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(grey.read([4])[0, 0], np.asarray(expected))


def test_batches_of_an_image_folder_are_those_of_the_arrays(pictures: Path) -> None:
    images = data.image_folder(pictures)
    arrays = data.Batches(images.read(range(12)), images.labels, batch_size=5, shuffle=True, seed=3)
    for prefetch in (0, 2):
        lazy = images.batches(batch_size=5, shuffle=True, seed=3, prefetch=prefetch)
        assert len(lazy) == 3
        for epoch in range(2):
            for (x, y), (x2, y2) in zip(lazy.batches(epoch), arrays.batches(epoch), strict=True):
                np.testing.assert_array_equal(x, x2)
                np.testing.assert_array_equal(y, y2)
    part = list(images.batches(rows=[7, 1], batch_size=2))
    assert len(part) == 1 and part[0][1].tolist() == [1, 0]


def test_an_image_folder_trains(pictures: Path) -> None:
    model = nn.Sequential(models.Standardize(np.full(3, 120), np.full(3, 80)), nn.Flatten(), nn.Linear(72, 2))
    trainer = Trainer(model, nn.CrossEntropyLoss(), optim.Adam(0.05), ["accuracy"])
    images = data.image_folder(pictures)
    trainer.fit(images.batches(batch_size=4, shuffle=True, seed=0), epochs=20, verbose=0)
    assert trainer.evaluate(images.batches(batch_size=4))["accuracy"] == 1.0


def test_images_without_classes_and_with_given_ones(pictures: Path) -> None:
    flat = data.image_folder(pictures, labels=False)
    assert len(flat) == 12 and flat.classes == []
    (pictures / "light").rename(pictures.parent / "elsewhere")
    images = data.image_folder(pictures, classes=["light", "dark"])
    assert images.classes == ["light", "dark"] and images.labels.tolist() == [1] * 6


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda f: (f / "empty").mkdir(), {}, "pictures/empty: there are no images"),
        (lambda f: None, {"mode": "CMYK"}, "mode must be one of L, RGB, got 'CMYK'"),
        (lambda f: None, {"size": (3, 0)}, "size must be (height, width), got (3, 0)"),
        (lambda f: None, {"classes": ["dark"]}, "the folder 'light' is no class; known are dark"),
        (lambda f: (f / "dark" / "0.BMP").write_bytes(b""), {}, "dark/0.BMP: no image that Pillow reads"),
        (
            lambda f: (f / "light" / "3.png").write_bytes(b"GIF89a"),
            {},
            "light/3.png: no image that Pillow reads",
        ),
        (lambda f: os.truncate(f / "light" / "3.png", 80), {}, "light/3.png: "),
        (
            lambda f: Image.new("I;16", (6, 4)).save(f / "light" / "7.png"),
            {},
            "7.png: an image of mode I;16; 8",
        ),
        (lambda f: Image.new("L", (2, 2)).save(f / "dark" / "9.png"), {}, "9.png: an image of 2x2, but"),
        (lambda f: Image.new("1", (9000, 9000)).save(f / "dark" / "9.png"), {}, "at most 67,108,864 pixels"),
    ],
)
def test_wrong_image_folders(pictures: Path, change: Callable, options: dict, message: str) -> None:
    change(pictures)

    def read() -> None:
        images = data.image_folder(pictures, **options)
        images.read(range(len(images)))

    with pytest.raises(ValueError) as error:
        read()
    assert message in str(error.value)


def test_no_image_folders(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        data.image_folder(tmp_path / "nothing")
    with pytest.raises(ValueError, match="there are no folders in it; one for each class is expected"):
        data.image_folder(tmp_path)
    with pytest.raises(ValueError, match="there are no images"):
        data.image_folder(tmp_path, labels=False)


def test_without_pillow_it_says_so(run_python, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "blocked" / "PIL").mkdir(parents=True)
    (tmp_path / "blocked" / "PIL" / "__init__.py").write_text("raise ModuleNotFoundError('no PIL')")
    path = os.pathsep.join([str(tmp_path / "blocked"), os.environ.get("PYTHONPATH", "")])
    done = run_python("-c", f"import ravine; ravine.data.image_folder({str(pictures)!r})", PYTHONPATH=path)
    assert (
        "data.image_folder needs Pillow, which is not installed: pip install 'ravine[images]'" in done.stderr
    )
