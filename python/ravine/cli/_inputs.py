"""Where examples come from: tables, arrays and images in files, read alike for training and prediction."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from .. import data
from ._options import AUTO_YES_NO, DATA_SETS
from ._table_input import TableFormat, TableInput, check_texts

_TABLES = (".csv", ".tsv", ".txt", ".data")
_IDX = re.compile(r"(\.idx|[-.]idx\d-ubyte)(\.gz)?$")


class Read(NamedTuple):
    """Examples as they stand in their files.

    Attributes:
        x: a table, an array [n, ...], or a folder of images.
        y: their targets [n, ...], as they stand there; None if they are not needed.
        place: how messages name a row.
    """

    x: Any
    y: Any
    place: Callable[[int], str]


class Examples(Protocol):
    """Examples as a model takes them; `data.ImageFolder` is one."""

    labels: Any

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def batches(self, *, rows: Any = None, **options: Any) -> data.Source: ...


class Arrays:
    """Examples of arrays, perhaps memory maps."""

    def __init__(self, x: np.ndarray, labels: np.ndarray) -> None:
        self.x, self.labels = x, labels

    @property
    def shape(self) -> tuple[int, ...]:
        return self.x.shape[1:]

    def __len__(self) -> int:
        return len(self.x)

    def batches(self, *, rows: Any = None, **options: Any) -> data.Source:
        return data.Batches(self.x, self.labels, rows=rows, **options)


class Input(ABC):
    """A kind of input; `spec` and `state` are saved with the model and make it again."""

    kind: str

    @abstractmethod
    def read(self, path: str, target: str | None, *, labelled: bool = True) -> Read:
        """Examples and targets for evaluation; the examples alone for prediction."""

    @abstractmethod
    def examples(self, read: Read, labels: np.ndarray) -> Examples:
        """As the model takes them; `labels` are the encoded targets."""

    @abstractmethod
    def spec(self) -> dict[str, Any]:
        """What describes it, as JSON has it."""

    def state(self) -> dict[str, np.ndarray]:
        """What was learned."""
        return {}

    def summary(self) -> list[str]:
        """What a user should know about the data before training: a line each."""
        return []

    def notes(self, read: Read) -> list[str]:
        """What a user should know about examples that are predicted: a line each."""
        return []


class FromTable(Input):
    """CSV files."""

    kind = "tables"

    def __init__(self, spec: Mapping[str, Any], state: Mapping[str, np.ndarray] | None = None) -> None:
        self.format = TableFormat(spec["format"])
        self.target: str = spec["target"]
        self._target_kind: str | None = spec.get("target_kind")
        self.columns = None
        if "columns" in spec:
            self.columns = TableInput(**spec["columns"])
            self.columns.set_state(state or {})
            self._names: list[str] = list(spec["names"])

    def learn(self, table: data.Table, rows: np.ndarray, classes: Sequence[str] | None, options: Any) -> None:
        """Decides what each column is, and learns from these rows. `classes` are those of the target."""
        self._names = list(table)
        self._target_kind = "number" if classes is None else None
        if classes is not None and len(classes) > options.max_categories:
            raise ValueError(
                f"{table.path}: the target {self.target!r} has {len(classes)} classes, more than "
                f"--max-categories {options.max_categories}"
            )
        features = table.without(self.target, *[self.name(table, name) for name in options.drop])
        if not len(features):
            raise ValueError(f"{table.path}: there is no column beside the target {self.target!r}")
        texts = [name for name in features if features.is_text(name)]
        numbers = [name for name in features if name not in texts]
        self.columns = TableInput(numbers, texts, options.scaler, options.impute)
        self.columns.fit(table, rows, options.max_categories)

    @staticmethod
    def name(table: data.Table, given: str) -> str:
        """The column that is meant: by its name, or by its number, from the end if that is negative."""
        if given in table or not re.fullmatch(r"-?\d+", given) or not -len(table) <= int(given) < len(table):
            table.column(given)
            return given
        return list(table)[int(given)]

    def read_to_learn(self, path: str, target: str | None, categories: list[str]) -> Read:
        table = self.format.read(path, {})
        if target is None:
            listed = ", ".join(list(table)[:20])
            raise ValueError(f"--data {path}: --target is missing, the column to predict; there are {listed}")
        self.target = self.name(table, target)
        forced = {self.name(table, name): "text" for name in categories}
        for name in table:
            if table.is_text(name) and name not in forced:
                check_texts(table, name)
        if forced:
            table = self.format.read(path, forced)
        self.format.header = table.has_header
        return Read(table, table[self.target], lambda row: table.place(row, self.target))

    def read(self, path: str, target: str | None, *, labelled: bool = True) -> Read:
        assert self.columns is not None
        kinds = self.columns.kinds
        if labelled and self._target_kind is not None:
            kinds[self.target] = self._target_kind
        table = self._read(path, kinds)
        y = table.column(self.target) if labelled else None
        return Read(table, y, lambda row: table.place(row, self.target))

    def _read(self, path: str, kinds: dict[str, str]) -> data.Table:
        if self.format.header:
            return self.format.read(path, kinds)
        # Columns are told apart by their number, and the target may be left out.
        width = len(self.format.read(path, {}))
        names = self._names
        if width == len(names) - 1:
            names = [name for name in names if name != self.target]
        if width != len(names):
            raise ValueError(
                f"{path}: {width} columns, expected {len(self._names)} as in training, or one fewer without "
                "the target"
            )
        given = {str(i): kinds[name] for i, name in enumerate(names) if name in kinds}
        table = self.format.read(path, given)
        renamed = {name: table[str(i)] for i, name in enumerate(names)}
        return data.Table(table.path, renamed, table.lines, table.has_header)

    def examples(self, read: Read, labels: np.ndarray) -> Examples:
        assert self.columns is not None
        return Arrays(self.columns.transform(read.x), labels)

    def summary(self) -> list[str]:
        assert self.columns is not None
        columns = {"numbers": self.columns.numbers, "categories": self.columns.categories}
        return [f"{kind}: {', '.join(names)}" for kind, names in columns.items() if names]

    def notes(self, read: Read) -> list[str]:
        assert self.columns is not None
        return self.columns.unknown(read.x)

    def spec(self) -> dict[str, Any]:
        assert self.columns is not None
        return {
            "format": self.format.spec(),
            "target": self.target,
            "target_kind": self._target_kind,
            "names": self._names,
            "columns": self.columns.spec(),
        }

    def state(self) -> dict[str, np.ndarray]:
        assert self.columns is not None
        return self.columns.state()


class FromArrays(Input):
    """.npz, .npy (as a memory map) and IDX files, and the sets that Ravine knows."""

    kind = "arrays"

    def __init__(self, spec: Mapping[str, Any] | None = None, state: Any = None) -> None:
        pass

    def read(self, path: str, target: str | None, *, labelled: bool = True) -> Read:
        if path in DATA_SETS:
            found = built_in(path, None)
            x, y = found.x_test, found.y_test
        elif path.endswith(".npz"):
            arrays = npz_arrays(path, labelled=labelled)
            x, y = arrays.get("x_test", arrays["x"]), arrays.get("y_test", arrays.get("y"))
        else:
            x, y = self._from_file(path), None
            if labelled:
                if target is None:
                    raise ValueError(f"--data {path}: --target is missing, the file of targets")
                y = self._from_file(target)
        return self.checked(path, x, y)

    @staticmethod
    def checked(path: str, x: np.ndarray, y: np.ndarray | None) -> Read:
        """Raises ValueError for what are no examples, or as many targets."""
        if _IDX.search(path) and x.ndim == 3:
            x = x[:, None]  # grey images have one channel
        if x.ndim < 2 or x.size == 0 or x.dtype.kind not in "fiub":
            raise ValueError(f"{path}: examples are {x.dtype} {x.shape}, expected numbers [n, ...features]")
        if y is not None and (y.ndim < 1 or len(y) != len(x) or y.size == 0):
            raise ValueError(f"{path}: examples have shape {x.shape}, targets {y.shape}: not as many")
        return Read(x, y, lambda row: f"{path}: row {row}")

    @staticmethod
    def _from_file(path: str) -> np.ndarray:
        if path.endswith(".npy"):
            return data.open_npy(path)
        if _IDX.search(path):
            return data.idx.read(path)
        raise ValueError(f"{path}: expected the name of a file .npy or IDX")

    def examples(self, read: Read, labels: np.ndarray) -> Examples:
        return Arrays(read.x, labels)

    def spec(self) -> dict[str, Any]:
        return {}


class FromImages(Input):
    """Folders of images."""

    kind = "images"

    def __init__(self, spec: Mapping[str, Any], state: Any = None) -> None:
        self._size = None if spec["size"] is None else (int(spec["size"][0]), int(spec["size"][1]))
        self._mode: str = spec["mode"]
        self._classes: list[str] | None = spec.get("classes")

    def read(self, path: str, target: str | None, *, labelled: bool = True) -> Read:
        # Those to predict need no folders of classes.
        folder = data.image_folder(
            path, size=self._size, mode=self._mode, classes=self._classes, labels=labelled
        )
        if self._classes is None:
            self._classes = folder.classes
        names = np.array(folder.classes, dtype=object)[folder.labels] if labelled else None
        return Read(folder, names, lambda row: str(folder.files[row]))

    def examples(self, read: Read, labels: np.ndarray) -> Examples:
        return read.x

    def spec(self) -> dict[str, Any]:
        return {"size": self._size, "mode": self._mode, "classes": self._classes}


KINDS: dict[str, Callable[..., Input]] = {
    kind.kind: kind  # type: ignore[type-abstract]
    for kind in (FromTable, FromArrays, FromImages)
}


def kind_of(path: str) -> type[FromTable] | type[FromArrays] | type[FromImages]:
    """The kind of input that a path means. Raises ValueError for one that means none."""
    if path in DATA_SETS or path.endswith((".npz", ".npy")) or _IDX.search(path):
        return FromArrays
    if Path(path).is_dir():
        return FromImages
    if path.lower().endswith(_TABLES):
        return FromTable
    raise ValueError(
        f"--data {path}: expected {', '.join(DATA_SETS)}, or a file .csv, .npz, .npy, IDX, or a folder of "
        "images"
    )


def input_for(path: str, options: Namespace) -> Input:
    """The input that a path and the options mean."""
    kind = kind_of(path)
    if kind is FromImages:
        size = options.image_size
        if size is not None and len(size) != 2:
            raise ValueError(f"--image-size takes height and width, got {len(size)} numbers")
        return FromImages({"size": size, "mode": {"rgb": "RGB", "grey": "L"}[options.image_mode]})
    if kind is FromTable:
        keys = ("delimiter", "decimal", "encoding", "missing")
        form = {"header": AUTO_YES_NO[options.header]} | {key: getattr(options, key) for key in keys}
        return FromTable({"format": form, "target": ""})
    return FromArrays()


def built_in(name: str, folder: str | None) -> data.TrainTest:
    """A data set that Ravine knows."""
    return data.digits() if name == "digits" else data.fashion_mnist(folder)


def npz_arrays(path: str, *, labelled: bool = True) -> dict[str, np.ndarray]:
    """x, y and perhaps x_test, y_test of an .npz file; only x if targets are not needed."""
    keys = ("x", "y", "x_test", "y_test") if labelled else ("x",)
    arrays = data.npz.read_arrays(path, *keys)
    for key in keys[:2]:
        if key not in arrays:
            raise ValueError(f"{path}: no array {key!r}; it has {', '.join(arrays) or 'none of x, y'}")
    if ("x_test" in arrays) != ("y_test" in arrays):
        raise ValueError(f"{path}: has {', '.join(arrays)}; x_test and y_test belong together")
    return arrays
