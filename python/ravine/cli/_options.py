"""The options of `ravine train`: one table for the command line, the configuration file and their help."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from ..preprocessing import MinMaxScaler, QuantileTransformer, RobustScaler, StandardScaler, Transformer

DATA_SETS = ("digits", "fashion-mnist")
MODELS = ("mlp", "cnn", "resnet18")
DEFAULT_LR = {"sgd": 0.05, "adam": 3e-3, "adamw": 3e-3}
SCALERS: dict[str, type[Transformer] | None] = {
    "standard": StandardScaler,
    "minmax": MinMaxScaler,
    "robust": RobustScaler,
    "quantile": QuantileTransformer,
    "none": None,
}
LOSSES = ("auto", "cross-entropy", "mse", "l1", "huber")
AUTO_YES_NO = {"auto": None, "yes": True, "no": False}


def positive_int(text: str) -> int:
    if not text.strip().isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def seed(text: str) -> int:
    if not text.strip().isdigit() or int(text) >= 1 << 63:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 2^63 - 1")
    return int(text)


def positive_float(text: str) -> float:
    value = _float(text)
    if not (math.isfinite(value) and value > 0.0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def not_negative(text: str) -> float:
    value = _float(text)
    if not (math.isfinite(value) and value >= 0.0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 0")
    return value


def share(text: str) -> float:
    value = _float(text)
    if not 0.0 <= value < 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share from 0 to below 1")
    return value


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


class Option(NamedTuple):
    """An option of `ravine train`, "--name" on the command line and `name = ...` in a configuration.

    Attributes:
        name: without dashes in front.
        help: what it does; the default stands in brackets.
        default: the value without it; None where it depends on others.
        parse: a text to the value; raises argparse.ArgumentTypeError.
        choices: the only values, if these are few.
        many: whether it takes several values.
        metavar: what help calls the value.
        is_path: whether it names a file or a folder.
    """

    name: str
    help: str
    default: Any = None
    parse: Callable[[str], Any] = str
    choices: tuple[str, ...] = ()
    many: bool = False
    metavar: str = ""
    is_path: bool = False

    @property
    def key(self) -> str:
        return self.name.replace("-", "_")


_LR_HELP = ", ".join(f"{name} {lr:g}" for name, lr in DEFAULT_LR.items())
_COLUMN, _FILE, _FOLDER, _N, _X = "COLUMN", "FILE", "DIR", "N", "X"

GROUPS: dict[str, tuple[Option, ...]] = {
    "data": (
        Option(
            "data",
            f"a file .csv (or .tsv), .npz with x, y and perhaps x_test, y_test, .npy, IDX, a folder with one "
            f"folder of images for each class, or {', '.join(DATA_SETS)} (digits)",
            "digits",
            is_path=True,
        ),
        Option(
            "data-folder",
            "where the IDX files of fashion-mnist lie (Debian's folder)",
            metavar=_FOLDER,
            is_path=True,
        ),
        Option(
            "target",
            "the column to predict, its name or number from 0, of a CSV file; the file of "
            "targets that goes with .npy or IDX",
            metavar=_COLUMN,
        ),
        Option(
            "task",
            "whether targets are classes or numbers (auto: texts and few whole numbers are classes)",
            "auto",
            choices=("auto", "classification", "regression"),
        ),
        Option(
            "test",
            "test data in a file of their own, like --data; else a share is set aside",
            metavar=_FILE,
            is_path=True,
        ),
        Option(
            "test-target",
            "the targets of --test, if they lie in a file of their own",
            metavar=_FILE,
            is_path=True,
        ),
        Option(
            "test-size",
            "share of the examples that is set aside for the test at the end (0.2)",
            0.2,
            share,
            metavar=_X,
        ),
        Option(
            "validation-size", "share of the others that watches the training (0.1)", 0.1, share, metavar=_X
        ),
    ),
    "CSV files and images": (
        Option(
            "header",
            "whether the first line names the columns (auto: if it holds no number)",
            "auto",
            choices=tuple(AUTO_YES_NO),
        ),
        Option(
            "delimiter",
            "what separates fields (that of , ; tab | which the first line has most of)",
            metavar="CHAR",
        ),
        Option("decimal", "what stands before decimals, . or , (.)", ".", choices=(".", ","), metavar="CHAR"),
        Option("encoding", "of the file (utf-8)", "utf-8", metavar="NAME"),
        Option(
            "missing",
            "the fields that stand for no value ('' NA N/A #N/A NaN nan null NULL ?)",
            many=True,
            metavar="TEXT",
        ),
        Option(
            "categories",
            "columns of numbers that are categories, such as postal codes",
            (),
            many=True,
            metavar=_COLUMN,
        ),
        Option("drop", "columns to leave out, such as names and ids", (), many=True, metavar=_COLUMN),
        Option("max-categories", "the most different texts of a column (100)", 100, positive_int, metavar=_N),
        Option(
            "scaler",
            "how columns of numbers are scaled (standard: mean 0, deviation 1)",
            "standard",
            choices=tuple(SCALERS),
        ),
        Option(
            "impute",
            "what missing numbers become (median)",
            "median",
            choices=("median", "mean", "most_frequent", "constant"),
        ),
        Option(
            "image-size",
            "height and width to which images are brought (that of the first)",
            None,
            positive_int,
            many=True,
            metavar=_N,
        ),
        Option("image-mode", "colour or grey (rgb)", "rgb", choices=("rgb", "grey")),
    ),
    "model": (
        Option("model", "multilayer perceptron, or a network for images (mlp)", "mlp", choices=MODELS),
        Option(
            "hidden",
            "widths of the hidden layers of mlp (128 64)",
            (128, 64),
            positive_int,
            many=True,
            metavar=_N,
        ),
        Option(
            "dropout",
            "probability to drop a hidden unit in training (mlp 0, cnn 0.25)",
            None,
            share,
            metavar=_X,
        ),
        Option("width", "channels of resnet18 at first (64)", 64, positive_int, metavar=_N),
    ),
    "training": (
        Option(
            "loss",
            "what is made small (auto: cross-entropy for classes, mse for numbers)",
            "auto",
            choices=LOSSES,
        ),
        Option("optimizer", "the rule of descent (adam)", "adam", choices=tuple(DEFAULT_LR)),
        Option("lr", f"learning rate at the start ({_LR_HELP})", None, positive_float, metavar=_X),
        Option(
            "schedule",
            "how the learning rate goes on (cosine: falls to 0)",
            "cosine",
            choices=("cosine", "constant"),
        ),
        Option(
            "weight-decay",
            "how strongly weights are pulled to 0 (sgd 0.0005, adam 0, adamw 0.01)",
            None,
            not_negative,
            metavar=_X,
        ),
        Option("clip-norm", "bound of the gradient's norm (none)", None, positive_float, metavar=_X),
        Option(
            "epochs", "passes over the data (digits and CSV 30, others 5)", None, positive_int, metavar=_N
        ),
        Option(
            "patience",
            "end when the validation's loss has not improved for so many epochs, with the "
            "best weights (never)",
            None,
            positive_int,
            metavar=_N,
        ),
        Option(
            "max-seconds",
            "end after so much time, with a checkpoint to go on with (never)",
            None,
            positive_float,
            metavar=_X,
        ),
        Option(
            "on-nonfinite",
            "when the loss is NaN or infinite: stop with exit code 1, skip the mini-batch, or go back to the "
            "last checkpoint with half the rate (stop)",
            "stop",
            choices=("stop", "skip", "back"),
        ),
        Option("batch-size", "examples in a mini-batch (64)", 64, positive_int, metavar=_N),
        Option(
            "sampler",
            "how an epoch's examples are drawn (shuffled; balanced: as many of each class)",
            "shuffled",
            choices=("shuffled", "balanced", "stratified"),
        ),
        Option("seed", "of weights, dropout, splits and shuffling (0)", 0, seed, metavar=_N),
        Option("threads", "threads (all cores this process may use)", None, positive_int, metavar=_N),
    ),
    "files of the run": (
        Option("out", "folder for what is saved (runs/DATA-MODEL)", metavar=_FOLDER, is_path=True),
        Option("checkpoint-every", "epochs between checkpoints (1)", 1, positive_int, metavar=_N),
        Option(
            "resume",
            "a checkpoint, or the folder of a run, to go on with; the other options must be those of the run",
            metavar="CKPT",
            is_path=True,
        ),
    ),
}
OPTIONS = {option.key: option for options in GROUPS.values() for option in options}


def add_options(parser: argparse.ArgumentParser) -> None:
    """All of them, in groups. What is not given is not in the result, so that a configuration may say it."""
    for title, options in GROUPS.items():
        group = parser.add_argument_group(title)
        for option in options:
            more: dict[str, Any] = {"nargs": "+"} if option.many else {}
            if option.choices:
                more["choices"] = option.choices
            if option.metavar:
                more["metavar"] = option.metavar
            group.add_argument(
                f"--{option.name}",
                type=option.parse,
                default=argparse.SUPPRESS,
                help=option.help.replace("%", "%%"),
                **more,
            )
