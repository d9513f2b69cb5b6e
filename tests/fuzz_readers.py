"""Mutates files and gives them to every reader of Ravine, in children with little memory.

    python tests/fuzz_readers.py [--mutations 2000] [--seed 0] [--readers load npz ...]

Each mutated file is read in a forked child, whose address space may grow by twice the file plus 64 MB.
It must be read, or refused by a ValueError or OSError that names the file, within 20 seconds.
One line a reader tells how many were; the status is 1 if one was not, and the file is kept.
"""

from __future__ import annotations

import argparse
import copy
import gzip
import io
import json
import os
import random
import resource
import signal
import struct
import sys
import tempfile
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import ravine as rv
from ravine import data

SLACK = 64 << 20
SECONDS = 20
Mutation = Callable[[random.Random, bytes], bytes]


class Reader(NamedTuple):
    read: Callable[[Path], object]
    suffix: str
    seeds: list[bytes]
    structured: list[Mutation]  # that know the format


# ---- mutations of any file


def flip_bits(rng: random.Random, content: bytes) -> bytes:
    result = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 8])):
        result[rng.randrange(len(result))] ^= 1 << rng.randrange(8)
    return bytes(result)


def overwrite(rng: random.Random, content: bytes) -> bytes:
    start = rng.randrange(len(content))
    piece = rng.choice([b"\xff" * 8, bytes(8), b"\x7f" + b"\xff" * 7, b"\xed\xa0\x80", rng.randbytes(4)])
    return content[:start] + piece + content[start + len(piece) :]


def truncate(rng: random.Random, content: bytes) -> bytes:
    return content[: rng.randrange(len(content))]


def insert(rng: random.Random, content: bytes) -> bytes:
    start = rng.randrange(len(content) + 1)
    piece = rng.choice([rng.randbytes(rng.randrange(1, 64)), bytes(rng.randrange(1, 5000)), b"[" * 50_000])
    return content[:start] + piece + content[start:]


def delete(rng: random.Random, content: bytes) -> bytes:
    start = rng.randrange(len(content))
    return content[:start] + content[start + rng.randrange(1, 64) :]


def swap(rng: random.Random, content: bytes) -> bytes:
    a, b, c = sorted(rng.randrange(len(content) + 1) for _ in range(3))
    return content[:a] + content[b:c] + content[a:b] + content[c:]


ANY: list[Mutation] = [flip_bits, overwrite, truncate, insert, delete, swap]


# ---- safetensors

NUMBERS = [0, 1, -1, 7, 2**31, 2**53, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**400, 1.5, 1e308]


def safetensors_file(header: bytes, content: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header + content


def split_safetensors(content: bytes) -> tuple[dict, bytes]:
    end = 8 + struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8:end]), content[end:]


def any_json(rng: random.Random, depth: int = 0) -> object:
    kind = rng.randrange(8 if depth < 4 else 5)
    if kind < 5:
        return [None, True, rng.choice(NUMBERS), "F32", "\0ä\U0001f600" * rng.randrange(3)][kind]
    if kind == 5:
        return [any_json(rng, depth + 1) for _ in range(rng.randrange(12))]
    return {str(any_json(rng, 4)): any_json(rng, depth + 1) for _ in range(rng.randrange(4))}


def change_entry(rng: random.Random, content: bytes) -> bytes:
    header, tensors = split_safetensors(content)
    name = rng.choice(list(header))
    entry = header[name]
    field = rng.choice(["dtype", "shape", "data_offsets", "more"])
    entry[field] = rng.choice(
        [
            any_json(rng),
            rng.choice(["F16", "BF16", "F64", "BOOL", "F8_E4M3"]),
            [rng.choice(NUMBERS) for _ in range(rng.randrange(10))],
            rng.choice(list(header.values())).get(field),
        ]
    )
    if rng.random() < 0.2:
        header["__metadata__"] = any_json(rng)
    return safetensors_file(json.dumps(header).encode(), tensors)


def any_header(rng: random.Random, content: bytes) -> bytes:
    return safetensors_file(json.dumps(any_json(rng)).encode(), split_safetensors(content)[1])


def repeated_header(rng: random.Random, content: bytes) -> bytes:
    entry = b'{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
    n = rng.choice([1000, 70_000, 300_000])
    begin, piece, end = rng.choice(
        [
            (b"", b"[", b""),
            (b'{"a":', b"[", b""),
            (b'{"a":{"dtype":', b"[", b"]}}"),
            (b'{"a":{"shape":[', b"0,", b"0]}}"),
            (b'{"a":{"x":', b'{"x":', b""),
            (b'{"', b"n", b'":' + entry + b"}"),
            (b'{"__metadata__":{"a":"', b"\\u0000", b'"}}'),
            (b"{", b" ", b"}"),
            (b'{"a":', b"9", b"}"),
            (b"{", b'"a":' + entry + b",", b'"b":' + entry + b"}"),
            (b'{"__metadata__":{', b'"a":"",', b'"b":""}}'),
            (b"\xff", b"\xfe", b"\xff"),
        ]
    )
    return safetensors_file(begin + piece * n + end, b"")


def numbered_header(rng: random.Random, content: bytes) -> bytes:
    n = rng.choice([100, 65_536, 65_537, 100_000])
    if rng.random() < 0.5:
        entries = (f'"{i}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}' for i in range(n))
        return safetensors_file(("{" + ",".join(entries) + "}").encode(), b"")
    texts = ",".join(f'"{i}":""' for i in range(n))
    return safetensors_file(f'{{"__metadata__":{{{texts}}}}}'.encode(), b"")


def change_number(rng: random.Random, content: bytes) -> bytes:
    """Another value of one array, of the few that are short: the counts and settings of a checkpoint."""
    header, tensors = split_safetensors(content)
    entries = [entry for name, entry in header.items() if name != "__metadata__"]
    sizes = [end - begin for begin, end in (entry["data_offsets"] for entry in entries)]
    begin, end = rng.choice(
        [entry["data_offsets"] for entry, n in zip(entries, sizes, strict=True) if 0 < n <= 16]
    )
    numbers = [-1, 0, 1, 2**31, 2**62, 2**63 - 1, -(2**63), 7]
    values = [
        struct.pack("<q", rng.choice(numbers)),
        struct.pack("<d", rng.choice([np.nan, np.inf, -1.0, 1e300])),
    ]
    piece = (rng.choice(values) * 2)[: end - begin]
    header_bytes = content[: len(content) - len(tensors)]
    return header_bytes + tensors[:begin] + piece + tensors[end:]


def safetensors_seeds() -> list[bytes]:
    rng = np.random.default_rng(0)
    arrays = {
        "weight": rng.normal(size=(16, 8)).astype(np.float32),
        "wide": rng.normal(size=5),
        "labels": np.arange(7),
        "mask": np.array([True, False]),
        "scalar": np.float32(3),
        "empty": np.zeros((0, 3), np.uint8),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "seed")
        rv.save(path, arrays)
        plain = path.read_bytes()
        rv.save(path, arrays, metadata={"epoch": "3", "näme": "\n"})
        with_metadata = path.read_bytes()
    half = (
        b'{"h":{"dtype":"F16","shape":[3],"data_offsets":[0,6]},'
        b'"b":{"dtype":"BF16","shape":[],"data_offsets":[6,8]}}'
    )
    return [plain, with_metadata, safetensors_file(half, bytes(range(8)))]


# ---- exported models and steps


def exported_seeds() -> list[bytes]:
    rv.seed(0)
    nn, optim = rv.nn, rv.optim
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)
    )
    tokens = nn.Sequential(nn.Embedding(5, 8), nn.LSTM(8, 4, batch_first=True))
    attention = nn.Sequential(nn.Linear(6, 8), nn.TransformerEncoderLayer(8, 2, 16, batch_first=True))
    schedules = optim.schedules
    rate = schedules.Warmup(0.1, 2) + schedules.CosineRestarts(0.1, 4)
    step = rv.TrainStep(model, nn.CrossEntropyLoss(), optim.Adam(lr=rate, clip_norm=1.0, accumulate=2))
    images, labels = np.zeros((3, 1, 8, 8)), np.array([0, 2, 1])
    step(images, labels)
    seeds = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "seed")
        for what, *examples in (
            (model, images),
            (tokens, np.array([[1, 2], [3, 4]])),
            (attention, np.zeros((2, 3, 6))),
            (step, images, labels),
        ):
            rv.export(path, what, *examples)
            seeds.append(path.read_bytes())
    return seeds


def places(x: Any) -> list[tuple[Any, Any]]:
    """All places of values in nested JSON: what holds each, and the key or index."""
    pairs = list(x.items()) if isinstance(x, dict) else list(enumerate(x)) if isinstance(x, list) else []
    return [(x, key) for key, _ in pairs] + [place for _, value in pairs for place in places(value)]


def change_document(rng: random.Random, content: bytes) -> bytes:
    """Other values at a few places of the document."""
    header, tensors = split_safetensors(content)
    document = json.loads(header["__metadata__"]["ravine.export"])
    for _ in range(rng.choice([1, 1, 2, 4])):
        every = places(document)
        holder, key = rng.choice(every)
        other_holder, other_key = rng.choice(every)
        holder[key] = rng.choice(
            [
                copy.deepcopy(other_holder[other_key]),
                rng.choice(NUMBERS),
                rng.choice([-1, 0, 1, 2, 3, 5, 8, 2**20, 2**40]),
                [0, rng.choice([1, 2, -1, 2**62])],
                any_json(rng),
                rng.choice(["float64", "int64", "input", "state", "nan"]),
            ]
        )
        if rng.random() < 0.2 and isinstance(holder, list):
            del holder[key]
    header["__metadata__"]["ravine.export"] = json.dumps(document)
    return safetensors_file(json.dumps(header).encode(), tensors)


def read_export(path: Path) -> object:
    """A model, and a step if it is one."""
    model = rv.load_model(path)
    return rv.load_step(path) if b'\\"step\\":{' in path.read_bytes() else model


# ---- IDX


def idx_file(code: int, shape: list[int], content: bytes, rank: int | None = None) -> bytes:
    return struct.pack(f">HBB{len(shape)}I", 0, code, len(shape) if rank is None else rank, *shape) + content


def any_idx(rng: random.Random, content: bytes) -> bytes:
    shape = [rng.choice([0, 1, 2, 3, 255, 2**16, 2**31, 2**32 - 1]) for _ in range(rng.randrange(6))]
    rank = rng.choice([None, None, 0, 255])
    return idx_file(rng.choice([8, 9, 11, 12, 13, 14, 255]), shape, rng.randbytes(rng.randrange(40)), rank)


def idx_seeds() -> list[bytes]:
    return [
        idx_file(8, [5, 4, 3], bytes(range(60))),
        idx_file(8, [9], bytes(range(9))),
        idx_file(13, [2, 3], np.arange(6, dtype=">f4").tobytes()),
        idx_file(14, [], np.float64(2).tobytes()),
        idx_file(12, [0, 4], b""),
    ]


def compressed(mutation: Mutation) -> Mutation:
    return lambda rng, content: gzip.compress(mutation(rng, gzip.decompress(content)), mtime=0)


def gzip_bomb(rng: random.Random, content: bytes) -> bytes:
    size = rng.choice([1 << 20, 40 << 20, 200 << 20])
    declared = rng.choice([size, size, 10, 2**31, 2**32 - 1])
    packer = zlib.compressobj(9, wbits=31)
    pieces = [packer.compress(idx_file(8, [declared], b""))]
    pieces += [packer.compress(bytes(1 << 20)) for _ in range(size >> 20)]
    return b"".join([*pieces, packer.flush()])


def many_members(rng: random.Random, content: bytes) -> bytes:
    member = rng.choice([gzip.compress(b"", mtime=0), gzip.compress(b"\0", mtime=0), content, bytes(20)])
    return rng.choice([content, b""]) + member * rng.choice([2, 100, 20_000])


# ---- npz


def npz_seeds() -> list[bytes]:
    rng = np.random.default_rng(0)
    seeds = []
    arrays = {"x": rng.normal(size=(12, 3)).astype(np.float32), "y": np.repeat([0, 1, 2], 4)}
    test = {"x_test": np.asfortranarray(arrays["x"][:4]), "y_test": arrays["y"][:4]}
    for save, content in ((np.savez, arrays), (np.savez_compressed, arrays), (np.savez, arrays | test)):
        file = io.BytesIO()
        save(file, **content)
        seeds.append(file.getvalue())
    return seeds


def npy_file(header: str, content: bytes, version: bytes = b"\1\0") -> bytes:
    text = header.encode("latin1", "replace")
    length = struct.pack("<H" if version == b"\1\0" else "<I", len(text))
    return b"\x93NUMPY" + version + length + text + content


def any_npz(rng: random.Random, content: bytes) -> bytes:
    file = io.BytesIO()
    method = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    with zipfile.ZipFile(file, "w", method) as archive:
        for key in rng.choice([("x", "y"), ("x", "y", "x_test", "y_test"), ("x", "x", "y")]):
            descr = rng.choice(["<f4", "<f8", "|O", "<U0", "<U1000000000", "V0", "<M8[ns]", "|u1", "?!"])
            shape = [rng.choice([0, 1, 3, 2**31, 2**62, 10**18]) for _ in range(rng.randrange(4))]
            header = rng.choice(
                [
                    f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {tuple(shape)}, }}",
                    f"{{'descr': '{descr}', 'fortran_order': True, 'shape': ({'9' * 500},), }}",
                    "(" * rng.randrange(1, 9000),
                    "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,), }",
                    "{'descr': __import__('os').getpid(), 'fortran_order': False, 'shape': (3,), }",
                    "-" * rng.randrange(1, 9000) + "1",
                ]
            )
            version = rng.choice([b"\1\0", b"\2\0", b"\3\0", b"\4\0"])
            size = rng.choice([0, 12, 12, 100, 100, 1 << 20])
            archive.writestr(f"{key}.npy", npy_file(header, bytes(size), version))
    return file.getvalue()


def long_directory(rng: random.Random, content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for i in range(rng.choice([100, 2000])):
            archive.writestr(str(i) * rng.choice([1, 200]), b"")
    end = file.getvalue().rfind(b"PK\5\6")
    return file.getvalue()[:end] + flip_bits(rng, file.getvalue()[end:])


def npy_seeds() -> list[bytes]:
    seeds = []
    for array in (
        np.arange(12.0).reshape(3, 4),
        np.asfortranarray(np.ones((2, 3), np.uint8)),
        np.zeros((0, 2)),
    ):
        file = io.BytesIO()
        np.save(file, array)
        seeds.append(file.getvalue())
    return seeds


def any_npy(rng: random.Random, content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(any_npz(rng, content))) as archive:
        return archive.read("x.npy")


# ---- CSV


def csv_seeds() -> list[bytes]:
    rows = "".join(f'{i},{i / 7:.3f},{"red" if i % 3 else ""},"a, ""b"" {i}"\n' for i in range(40))
    return [
        f"n,x,colour,text\n{rows}".encode(),
        rows.replace(",", ";").replace(".", ",").encode("utf-8-sig"),
        "größe\tname\r\n1\t\U0001f600\r\nNA\tß\r\n".encode(),
        b"1\n2\n3\n",
    ]


def change_fields(rng: random.Random, content: bytes) -> bytes:
    """Other fields, delimiters and quotes somewhere."""
    lines = content.split(b"\n")
    for _ in range(rng.randrange(1, 4)):
        i = rng.randrange(len(lines))
        piece = rng.choice(
            [
                b"",
                b'"',
                b'""',
                b'"a\n',
                b",",
                b",,",
                b"1e400",
                b"-0x1",
                b"1_0",
                b"inf",
                b"\xff\xfe",
                b"\0",
                b"\r",
            ]
        )
        at = rng.randrange(len(lines[i]) + 1)
        lines[i] = lines[i][:at] + piece + lines[i][at:]
    return b"\n".join(lines)


def large_csv(rng: random.Random, content: bytes) -> bytes:
    """Many columns or rows, long fields, an open quote far from the end."""
    piece, n = rng.choice(
        [(b",", 70_000), (b",", 20_000), (b"1\n", 300_000), (b"a", 200_000), (b"\n", 500_000)]
    )
    return rng.choice([b"", content, b'x,y\n"']) + piece * n + rng.choice([b"", content])


# ---- checkpoints


def new_trainer() -> rv.Trainer:
    rv.seed(0)
    layers = rv.nn.Linear(3, 4), rv.nn.BatchNorm1d(4), rv.nn.Dropout(0.5), rv.nn.Linear(4, 2)
    optimizer = rv.optim.Adam(lr=rv.optim.schedules.ReduceOnPlateau(0.1, monitor="loss"), accumulate=2)
    return rv.Trainer(rv.nn.Sequential(*layers), rv.nn.CrossEntropyLoss(), optimizer, ["accuracy", "roc_auc"])


def train(trainer: rv.Trainer, **options: object) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)), rng.integers(0, 2, 20)
    first = rv.train.Lambda(
        on_fit_begin=lambda trainer: trainer.accepted.append(True),
        on_batch_end=lambda trainer, batch, loss: trainer.stop(),
    )
    callbacks = [rv.train.EarlyStopping("loss"), rv.train.EMA(0.9, replace=False), rv.train.Timer()]
    callbacks += [first] if "resume" in options else []
    trainer.fit(x, y, batch_size=4, epochs=9, verbose=0, callbacks=callbacks, **options)  # type: ignore[arg-type]


def checkpoint_seeds() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        seeds = []
        for steps in (4, 6):  # inside of an epoch, between two updates; at the end of one
            trainer, path = new_trainer(), Path(folder, str(steps))
            train(trainer, max_steps=steps)
            trainer.save(path)
            seeds.append(path.read_bytes())
        return seeds


class Resuming:
    """Resumes from a file, and trains on for a step; a refusal has changed nothing."""

    def __init__(self) -> None:
        self._trainer: Any = new_trainer()  # every child has its own
        self._trainer.accepted = []
        self._before = self._state()

    def _state(self) -> dict[str, bytes]:
        trainer = self._trainer
        states = trainer.model.state_dict() | trainer.step.state_dict()
        return {name: array.tobytes() for name, array in states.items()}

    def __call__(self, path: Path) -> None:
        try:
            train(self._trainer, resume=path)
        except (FloatingPointError, ValueError, OSError):
            if self._trainer.accepted:  # numbers that fit, and that no run can go on with
                return
            if self._state() != self._before or self._trainer.history:
                raise RuntimeError("a refused checkpoint changed the trainer") from None
            raise


# ---- running


def readers() -> dict[str, Reader]:
    headers = [change_entry, change_entry, any_header, repeated_header, numbered_header]
    idx = idx_seeds()
    packed = [gzip.compress(seed, mtime=0) for seed in idx]
    checkpoints = checkpoint_seeds()
    inner = [compressed(mutation) for mutation in (flip_bits, truncate, insert, any_idx)]
    return {
        "load": Reader(rv.load, ".safetensors", safetensors_seeds(), headers),
        "checkpoint": Reader(rv.load, ".safetensors", checkpoints, headers),
        "resume": Reader(Resuming(), ".safetensors", checkpoints, [*headers, change_number, change_number]),
        "load_metadata": Reader(rv.load_metadata, ".safetensors", safetensors_seeds(), headers),
        "export": Reader(read_export, ".ravine", exported_seeds(), [change_document] * 3 + headers),
        "npz": Reader(data.npz.read, ".npz", npz_seeds(), [any_npz, long_directory]),
        "npy": Reader(lambda path: np.array(data.open_npy(path)), ".npy", npy_seeds(), [any_npy]),
        "csv": Reader(data.read_csv, ".csv", csv_seeds(), [change_fields, change_fields, large_csv]),
        "idx": Reader(data.idx.read, ".idx", idx, [any_idx]),
        "idx.gz": Reader(data.idx.read, ".idx.gz", packed, [*inner, gzip_bomb, many_members]),
    }


def memory_kib(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise RuntimeError(f"no {field} in /proc/self/status")


def outcome(read: Callable[[Path], object], path: Path) -> str:
    try:
        read(path)
    except (ValueError, OSError) as error:
        if type(error) is not ValueError and not isinstance(error, OSError):
            return f"{type(error).__name__}: {error}"
        return "refused" if str(path) in str(error) else f"the file is not named in: {error}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return "read"


def in_child(read: Callable[[Path], object], path: Path) -> tuple[str, int]:
    """What came of reading the file, and the KiB that the child's memory grew by."""
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(SECONDS)
            before = memory_kib("VmRSS")
            limit = memory_kib("VmSize") * 1024 + 2 * path.stat().st_size + SLACK
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            told = outcome(read, path)
            os.write(sending, f"{memory_kib('VmHWM') - before} {told}"[:2000].encode(errors="replace"))
        finally:
            os._exit(0)
    os.close(sending)
    with open(receiving, errors="replace") as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        hung = number == signal.SIGALRM
        return (f"no end within {SECONDS} seconds" if hung else f"ended by {signal.Signals(number).name}"), 0
    grown, _, what = told.partition(" ")
    return (what, int(grown)) if what else ("the child told nothing", 0)


def fuzz(name: str, reader: Reader, mutations: int, seed: int, folder: Path) -> int:
    rng = random.Random(f"{seed} {name}")
    counts = {"read": 0, "refused": 0}
    peak, failures, started = 0, 0, time.monotonic()
    for i in range(mutations):
        content = rng.choice(reader.seeds)
        own = rng.random() < 0.5
        content = rng.choice(reader.structured if own else ANY)(rng, content)
        path = folder / f"{name}-{i}{reader.suffix}"
        path.write_bytes(content)
        told, grown = in_child(reader.read, path)
        peak = max(peak, grown)
        if told in counts:
            counts[told] += 1
            path.unlink()
        else:
            failures += 1
            print(f"{name}: {path}: {told}", file=sys.stderr)
    print(
        f"{name:14} {mutations} mutations: {counts['refused']} refused, {counts['read']} read, {failures} "
        f"failed; memory grew by at most {peak / 1024:.0f} MB; {time.monotonic() - started:.0f} s",
        flush=True,
    )
    return failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutations", type=int, default=2000, help="of each reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--readers", nargs="+", choices=list(readers()), default=list(readers()))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # zipfile warns of the repeated names that are written on purpose
    folder = Path(tempfile.mkdtemp(prefix="ravine-fuzz-"))
    failures = 0
    for name in arguments.readers:
        failures += fuzz(name, readers()[name], arguments.mutations, arguments.seed, folder)
    if failures == 0:
        folder.rmdir()
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
