"""Arguments of the command `ravine`, and how it ends."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from .. import __version__
from ._info import run_info
from ._train import DATA, DEFAULT_LR, MODELS, run_train

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
EXIT_PIPE = 141  # 128 + SIGPIPE


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong, without repeating the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; the exit code is 0, 2 for wrong arguments or files, 130 after Ctrl-C, 143
    after SIGTERM."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has left; what is still buffered goes nowhere, without a word at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE
    except (ValueError, TypeError, OSError, ModuleNotFoundError, FloatingPointError) as error:
        print(f"ravine {options.command}: {_one_line(error)}", file=sys.stderr)
        return EXIT_USAGE


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="ravine", description="Trains neural networks on multicore CPUs.")
    parser.add_argument("--version", action="version", version=f"ravine {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)

    train = commands.add_parser(
        "train",
        help="train a network; without arguments an MLP on handwritten digits, in seconds",
        description="Trains a network and tests it; saves weights, history and learning curve.",
    )
    data_help = f"{', '.join(DATA)}, or a file .npz with x, y and perhaps x_test, y_test (digits)"
    lr_help = ", ".join(f"{name} {lr:g}" for name, lr in DEFAULT_LR.items())
    train.add_argument("--data", default="digits", help=data_help)
    train.add_argument("--data-folder", help="where the IDX files of fashion-mnist lie (Debian's folder)")
    train.add_argument("--model", default="mlp", choices=MODELS, help="(mlp)")
    train.add_argument("--width", type=_positive_int, default=64, help="channels of resnet18 at first (64)")
    train.add_argument("--optimizer", default="adam", choices=tuple(DEFAULT_LR), help="(adam)")
    train.add_argument("--lr", type=_positive_float, help=f"learning rate at the start ({lr_help})")
    train.add_argument("--epochs", type=_positive_int, help="passes over the data (digits 30, others 5)")
    train.add_argument("--batch-size", type=_positive_int, default=64, help="examples in a mini-batch (64)")
    train.add_argument("--seed", type=_seed, default=0, help="of weights, dropout, splits and shuffling (0)")
    train.add_argument("--threads", type=_positive_int, help="threads (all cores this process may use)")
    train.add_argument("--resume", metavar="CKPT", help="a checkpoint, or the folder of a run, to go on with")
    train.add_argument(
        "--checkpoint-every",
        type=_positive_int,
        default=1,
        metavar="N",
        help="epochs between checkpoints (1)",
    )
    train.add_argument("--out", help="folder for what is saved (runs/DATA-MODEL)")
    train.set_defaults(run=run_train)

    info = commands.add_parser("info", help="show version, CPU, threads and extras")
    info.set_defaults(run=run_info)
    return parser


def _positive_int(text: str) -> int:
    if not text.strip().isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _seed(text: str) -> int:
    if not text.strip().isdigit() or int(text) >= 1 << 63:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 2^63 - 1")
    return int(text)


def _positive_float(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0.0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value
