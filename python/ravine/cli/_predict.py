"""`ravine predict`."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np

import ravine as rv

from .. import data, ops
from ._evaluate import check_shape, read_like
from ._failure import running
from ._files import check_writable, replaced, write_text
from ._model_file import Trained, load


def run_predict(options: argparse.Namespace) -> int:
    """Writes a prediction for each example, in order."""
    out = None if options.out is None else Path(options.out)
    if out is not None:
        if out.suffix.lower() not in (".csv", ".npy"):
            raise ValueError(f"--out {out}: expected the name of a file .csv or .npy")
        check_writable(out, "--out")
        if out.exists() and Path(options.data).exists() and out.samefile(options.data):
            raise ValueError(f"--out {out}: that is the file of --data, which would be lost")
    if options.threads:
        rv.set_num_threads(options.threads)
    trained = load(options.model)
    if options.probabilities and trained.targets.classes is None:
        raise ValueError("--probabilities: the model predicts numbers, not classes")
    read = read_like(trained.input, options.data, None, labelled=False)
    examples = trained.input.examples(read, np.zeros(_length(read.x), np.int64))
    check_shape(trained, read, examples.shape)
    for line in trained.input.notes(read):
        print(f"ravine predict: note: {line}", file=sys.stderr)
    with running():
        outputs = [trained.model(x) for x, _ in examples.batches(batch_size=options.batch_size)]
        output = np.concatenate(outputs)
        _check_finite(output, read)
        values = _probabilities(output) if options.probabilities else _answers(trained, output)
        files = [str(path) for path in read.x.files] if isinstance(read.x, data.ImageFolder) else None
        _write(out, trained, values, files, options.probabilities)
    if out is not None:
        print(f"saved {out} ({len(output)} predictions)")
    return 0


def _length(x: Any) -> int:
    return len(x.lines) if isinstance(x, data.Table) else len(x)


def _check_finite(output: np.ndarray, read: Any) -> None:
    finite = np.isfinite(output).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise FloatingPointError(f"{read.place(row)}: the prediction is not finite; are the inputs?")


def _probabilities(logits: np.ndarray) -> np.ndarray:
    return ops.softmax(logits, 1).numpy()


def _answers(trained: Trained, output: np.ndarray) -> np.ndarray:
    """The numbers of classes [n], or the predicted numbers [n] or [n, outputs]."""
    if trained.targets.classes is not None:
        return output.argmax(axis=1)
    return output[:, 0] if output.shape[1] == 1 else output


def _write(
    out: Path | None, trained: Trained, values: np.ndarray, files: Sequence[str] | None, shares: bool
) -> None:
    if out is None:
        _write_csv(sys.stdout, trained, values, files, shares)
    elif out.suffix.lower() == ".npy":
        # Not to the file itself: NumPy would not tell that the disk is full.
        content = io.BytesIO()
        np.save(content, values)
        with replaced(out) as partial:
            partial.write_bytes(content.getbuffer())
    else:
        text = io.StringIO(newline="")
        _write_csv(text, trained, values, files, shares)
        write_text(out, text.getvalue())


def _write_csv(
    file: TextIO,
    trained: Trained,
    values: np.ndarray,
    files: Sequence[str] | None,
    shares: bool,
) -> None:
    """A line of names, and one for each example: the file of an image, the prediction, probabilities."""
    classes = trained.targets.classes
    names = ["file"] * (files is not None)
    columns: list[Sequence[Any]] = [] if files is None else [files]
    if classes is not None:
        numbers = values.argmax(axis=1) if shares else values
        names.append("prediction")
        columns.append([classes[i] for i in numbers])
        if shares:
            names += [f"probability of {name}" for name in classes]
            columns += values.T.tolist()
    elif values.ndim == 1:
        names.append("prediction")
        columns.append(values.tolist())
    else:
        names += [f"prediction {i}" for i in range(values.shape[1])]
        columns += values.T.tolist()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(zip(*columns, strict=True))
