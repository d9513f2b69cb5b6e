"""Weights in files: what is written, what is refused, what a hostile or damaged file may cost."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import stat
import struct
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import ravine as rv
from ravine import nn, optim

ENTRY = '{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'


def put(path: Path, header: bytes | str, content: bytes = bytes(8)) -> Path:
    header = header.encode() if isinstance(header, str) else header
    path.write_bytes(struct.pack("<Q", len(header)) + header + content)
    return path


def temporaries(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.endswith(".tmp")]


# ---- what goes in and out


@st.composite
def named_arrays(draw: st.DrawFn) -> dict[str, np.ndarray]:
    """Arrays of every kind that is saved as it is, in any memory order and byte order."""
    kinds = [f"{order}{kind}" for order in "<>" for kind in ("f4", "f8", "i4", "i8")] + ["u1", "?"]
    result = {}
    for name in draw(
        st.sets(st.text(st.characters(exclude_categories=["Cs"], min_codepoint=1), min_size=1), max_size=4)
    ):
        shape = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
        array = draw(arrays.arrays(draw(st.sampled_from(kinds)), shape))
        result[name] = draw(st.sampled_from([array, array.T, array[..., ::-1] if array.ndim else array]))
    return result


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(named=named_arrays())
def test_what_is_saved_is_what_is_loaded(tmp_path: Path, named: dict[str, np.ndarray]) -> None:
    path = tmp_path / "any.safetensors"
    rv.save(path, named)
    loaded = rv.load(path)
    assert loaded.keys() == named.keys()
    for name, array in named.items():
        assert loaded[name].dtype == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(loaded[name], array)


def test_paths_of_every_kind_and_the_order_of_torch(tmp_path: Path) -> None:
    for path in (
        tmp_path / "a",
        str(tmp_path / "b"),
        os.fsencode(tmp_path / "c"),
        os.fsencode(tmp_path) + b"/\xff",
    ):
        rv.save(path, {"w": [1.0, 2.0]}, metadata={"note": "größer", "": "\n"})
        np.testing.assert_array_equal(rv.load(path)["w"], np.array([1, 2], np.float32))
        assert rv.load_metadata(path) == {"note": "größer", "": "\n"}
    model = nn.Linear(2, 1)
    step = rv.TrainStep(model, nn.MSELoss(), optim.SGD(lr=0.1))
    for state in (model, model.state_dict(), step):
        rv.save(state, tmp_path / "swapped")
        expected = state if isinstance(state, dict) else state.state_dict()
        assert rv.load(tmp_path / "swapped").keys() == expected.keys()
    assert rv.load_metadata(tmp_path / "swapped") == {}
    for wrong in ((model, model), ("a", "b"), ("a", [1.0]), (open, model)):
        with pytest.raises(TypeError, match=r"save: expected a path and a model.*rv\.save\('model"):
            rv.save(*wrong)


@pytest.mark.parametrize(
    ("arrays", "metadata", "kind", "message"),
    [
        ({1: [1.0]}, None, TypeError, "a name must be a text, got 1"),
        ({"a\0b": [1.0]}, None, ValueError, "null character"),
        ({"\ud800": [1.0]}, None, ValueError, "UTF-8"),
        ({"": [1.0]}, None, ValueError, "empty"),
        ({"__metadata__": [1.0]}, None, ValueError, "reserved"),
        ({"n" * 70_000: [1.0]}, None, ValueError, "longer than"),
        ({"w": np.array([None])}, None, TypeError, "save: w"),
        ({"w": np.ma.masked_array([1.0], [True])}, None, TypeError, "save: w: a masked array"),
        ({"w": [1.0]}, {"a": 1}, TypeError, r"metadata\['a'\] must be a text, got 1"),
        ({"w": [1.0]}, {1: "a"}, TypeError, "a name in metadata"),
        ({"w": [1.0]}, {"a": "\udfff"}, ValueError, "UTF-8"),
    ],
)
def test_what_cannot_be_saved_changes_nothing(tmp_path: Path, arrays, metadata, kind, message: str) -> None:
    path = tmp_path / "w"
    rv.save(path, {"w": [7.0]})
    with pytest.raises(kind, match=message):
        rv.save(path, arrays, metadata)
    assert rv.load(path)["w"] == 7
    assert os.listdir(tmp_path) == ["w"]


def test_half_precision_becomes_float32(tmp_path: Path) -> None:
    half = np.array([1.5, -0.0, 6e-8, 65504, np.inf], np.float16)
    bits = np.array([0x3FC0, 0x8000, 0x0001, 0x7F7F, 0xFF80], np.uint16)  # of bfloat16
    header = {
        "h": {"dtype": "F16", "shape": [5], "data_offsets": [0, 10]},
        "b": {"dtype": "BF16", "shape": [5, 1], "data_offsets": [10, 20]},
    }
    loaded = rv.load(put(tmp_path / "half", json.dumps(header), half.tobytes() + bits.tobytes()))
    assert loaded["h"].dtype == loaded["b"].dtype == np.float32
    assert loaded["h"].tobytes() == half.astype(np.float32).tobytes()
    assert loaded["b"].tobytes() == (bits.astype(np.uint32) << 16).tobytes()
    assert loaded["b"].shape == (5, 1)


# ---- reading what others wrote


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b'{"\xff":' + ENTRY.encode() + b"}", r"not JSON .*\\xff"),
        (b'{"w":{"dtype":"\xc3","shape":[2],"data_offsets":[0,8]}}', r"not JSON .*\\xc3"),
        (b'{"\xed\xa0\x80":1}', "not JSON"),
        ('{"a\\u0001b":1}', r"'a\?b' is not described"),
        ('{"w":' + ENTRY + ',"w":' + ENTRY + "}", "two tensors are named 'w'"),
        ('{"w":{"dtype":"F32","dtype":"F32"}}', "dtype twice"),
        ('{"w":{"dtype":"I16","shape":[4],"data_offsets":[0,8]}}', "F64, F16, BF16"),
        ('{"w":{"dtype":' + "[" * 100_000 + "]" * 100_000 + "}}", "nested more than 8 deep"),
        ('{"w":' + "9" * 400 + "}", "w"),
        ("{" + " " * 2000 + "}", "bytes of space"),
    ],
)
def test_a_damaged_header_is_a_plain_value_error_naming_the_file(
    tmp_path: Path, header, message: str
) -> None:
    path = put(tmp_path / "damaged", header)
    for read in (rv.load, rv.load_metadata):
        with pytest.raises(ValueError, match=message) as caught:
            read(path)
        assert type(caught.value) is ValueError
        assert str(path) in str(caught.value)


def test_foreign_bytes_in_a_path_are_shown_in_errors(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xfe"
    with open(path, "wb") as file:
        file.write(b"no")
    with pytest.raises(ValueError, match=r"\\xfe' is not a valid safetensors file") as caught:
        rv.load(path)
    assert type(caught.value) is ValueError
    os.unlink(path)
    with pytest.raises(FileNotFoundError) as missing:
        rv.load(path)
    assert missing.value.filename == os.fsdecode(path)


def test_what_the_system_refuses_keeps_class_number_and_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "circle").symlink_to("circle")
    cases = [
        (tmp_path / "missing", FileNotFoundError, errno.ENOENT),
        (tmp_path, IsADirectoryError, errno.EISDIR),
        (tmp_path / "file" / "below", NotADirectoryError, errno.ENOTDIR),
        (tmp_path / "circle", OSError, errno.ELOOP),
        (tmp_path / ("n" * 300), OSError, errno.ENAMETOOLONG),
    ]
    for path, kind, number in cases:
        actions = [rv.load, rv.load_metadata, lambda path: rv.save(path, {"w": [1.0]})]
        for action in actions[: 2 if path.name == "missing" else 3]:
            with pytest.raises(kind) as caught:
                action(path)
            assert (caught.value.errno, caught.value.filename) == (number, str(path))
    with pytest.raises(FileNotFoundError):
        rv.save(tmp_path / "no folder" / "w", {"w": [1.0]})
    for action in (rv.load, rv.load_metadata, lambda path: rv.save(path, {"w": [1.0]})):
        with pytest.raises(ValueError, match="null character"):
            action("a\0b")
    assert sorted(os.listdir(tmp_path)) == ["circle", "file"]


def test_no_permission_is_a_permission_error(tmp_path: Path) -> None:
    path = tmp_path / "w"
    rv.save(path, {"w": [1.0]})
    path.chmod(0)
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setuid(65534)  # nobody: root may do everything
            rv.load(path)
        except PermissionError as error:
            os._exit(0 if (error.errno, error.filename) == (errno.EACCES, str(path)) else 2)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_special_files_are_not_waited_for_and_not_replaced(tmp_path: Path) -> None:
    import socket

    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        readers = [rv.load, rv.load_metadata, rv.data.idx.read, rv.data.npz.read]
        for path in (tmp_path / "pipe", Path("/dev/zero"), Path("/dev/null")):
            for read in readers:
                with pytest.raises(ValueError, match="regular file") as caught:
                    read(path)
                assert str(path) in str(caught.value)
        for name, kind in (("pipe", stat.S_ISFIFO), ("socket", stat.S_ISSOCK)):
            with pytest.raises(ValueError, match="expected a regular file"):
                rv.save(tmp_path / name, {"w": [1.0]})
            assert kind(os.stat(tmp_path / name).st_mode)
    assert sorted(os.listdir(tmp_path)) == ["pipe", "socket"]


# ---- writing


def test_mode_and_links_are_kept(tmp_path: Path) -> None:
    path, link = tmp_path / "w", tmp_path / "link"
    rv.save(path, {"w": [1.0]})
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
    link.symlink_to("w")
    for mode in (0o600, 0o640, 0o444):
        path.chmod(mode)
        rv.save(link, {"w": [float(mode)]})
        assert stat.S_IMODE(path.stat().st_mode) == mode
        assert link.is_symlink()
        assert rv.load(path)["w"] == mode


def test_concurrent_savers_of_one_path_all_succeed(tmp_path: Path) -> None:
    path = tmp_path / "w"
    errors: list[Exception] = []

    def save(value: int) -> None:
        try:
            for _ in range(25):
                rv.save(path, {"w": np.full(3000, value, np.float32)})
                loaded = rv.load(path)["w"]
                assert loaded.shape == (3000,) and (loaded == loaded[0]).all()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=save, args=(value,)) for value in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert os.listdir(tmp_path) == ["w"]


def test_temporaries_of_killed_savers_are_removed(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np, ravine as rv\nw = {'w': np.ones(4_000_000, np.float32)}\n"
        "print(1, flush=True)\nwhile True: rv.save(sys.argv[1], w)"
    )
    path = tmp_path / "w"
    for _ in range(20):  # until one was killed in the middle
        with subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            for _ in range(100_000):
                if temporaries(tmp_path):
                    break
            process.kill()
        if temporaries(tmp_path):
            break
    assert len(temporaries(tmp_path)) == 1
    rv.save(path, {"w": [1.0]})
    assert os.listdir(tmp_path) == ["w"]


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    """A limit of the file's size stands for a full disk: the same call fails."""
    path = tmp_path / "w"
    rv.save(path, {"w": [7.0]})
    code = (
        "import resource, sys, numpy as np, ravine as rv\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try: rv.save(sys.argv[1], {'w': np.ones(1_000_000, np.float32)})\n"
        "except OSError as error: print(error.errno, error.filename)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stdout == f"{errno.EFBIG} {path}\n"
    assert os.listdir(tmp_path) == ["w"]
    assert rv.load(path)["w"] == 7


# ---- limits


@pytest.mark.parametrize(
    "pieces",
    [
        (b'{"a":', b"[", b""),
        (b'{"a":{"shape":[', b"0,", b"0]}}"),
        (b'{"a":{"other":[', b"0,", b"0]}}"),
        (b'{"', b"n", b'":{}}'),
        (b"{", b'"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},', b"}"),
        (b'{"__metadata__":{', b'"a":"",', b"}}"),
    ],
)
def test_a_hostile_header_takes_little_memory(tmp_path: Path, pieces: tuple[bytes, bytes, bytes]) -> None:
    begin, piece, end = pieces
    path = put(tmp_path / "large", begin + piece * (20_000_000 // len(piece)) + end, b"")
    size = path.stat().st_size
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(60)
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            limit = pages * resource.getpagesize() + 2 * size + (64 << 20)
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            try:
                rv.load(path)
            except ValueError as error:
                os._exit(0 if str(path) in str(error) else 2)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_mutated_files_are_read_or_refused(repository: Path) -> None:
    command = [sys.executable, repository / "tests" / "fuzz_readers.py", "--mutations", "80"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        "load",
        "checkpoint",
        "resume",
        "load_metadata",
        "export",
        "npz",
        "npy",
        "csv",
        "idx",
        "idx.gz",
    ]
