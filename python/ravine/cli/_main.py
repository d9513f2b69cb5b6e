"""Arguments of the command `ravine`, and how it ends."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from .. import __version__
from ._bench import run_bench
from ._evaluate import run_evaluate
from ._failure import EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_PIPE, EXIT_USAGE, EXPECTED, Failure
from ._info import run_info
from ._library import add_library_folders
from ._options import DEFAULT_LR, MODELS, add_options, positive_float, positive_int
from ._predict import run_predict
from ._train import run_resume, run_train

_DESCRIPTION = """\
Trains neural networks on multicore CPUs.

  ravine train                                         an MLP on handwritten digits, in seconds
  ravine train --data iris.csv --target species        on a table; the run lies in runs/iris-mlp
  ravine evaluate runs/iris-mlp --data more.csv        loss and metrics on other data
  ravine predict runs/iris-mlp --data new.csv --out predictions.csv

ravine COMMAND --help tells more about a command.
"""
_EXIT_CODES = """\
exit codes: 0 done; 1 it failed at work (a full disk, a loss that is not finite, too little memory); 2 what
was given is wrong (arguments, configuration, data, model); 130 or 143 ended by Ctrl-C or SIGTERM, a training
with a checkpoint to go on with. An error is one line on stderr.
"""
_TRAIN = """\
Trains a network on data and tests it. What is left in the folder of the run: model.safetensors (weights,
preprocessing, class names: all that evaluate and predict need), config.toml (these options), history.json,
learning_curve.png, and checkpoints to resume from. Ctrl-C ends it with a checkpoint.
"""
_TRAIN_EXAMPLES = """\
examples:
  ravine train                                         handwritten digits
  ravine train --data churn.csv --target churned       a table; texts become categories, missing values are
                                                       imputed, numbers scaled
  ravine train --data houses.csv --target price --drop id --epochs 100 --patience 10
  ravine train --data photos --model cnn --image-size 64 64
                                                       folders photos/cat, photos/dog, ...
  ravine train --data x.npy --target y.npy             arrays, x as a memory map
  ravine train --config run.toml --lr 0.01             options from a file, except one

A configuration is a TOML file of these options by name: epochs = 20, hidden = [256, 128], data = "churn.csv".
Those of the command line come first.
"""


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong, without repeating the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code: 0 done, 1 failed at work, 2 for wrong arguments, files or
    data, 130 after Ctrl-C, 143 after SIGTERM, 141 where the reader of its output has left."""
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
    except (Failure, *EXPECTED) as error:
        if options.debug:
            traceback.print_exc()
        print(f"ravine {options.command}: {_one_line(error)}", file=sys.stderr)
        return EXIT_FAILURE if isinstance(error, Failure | MemoryError) else EXIT_USAGE


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="ravine",
        description=_DESCRIPTION,
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ravine {__version__}")
    add_library_folders(parser)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command", parser_class=_Parser)

    def command(name: str, run: Callable[[argparse.Namespace], int], help: str, **texts: str) -> Any:
        one = commands.add_parser(
            name,
            help=help,
            usage=texts.get("usage"),
            description=texts.get("description", f"{help[0].upper()}{help[1:]}."),
            epilog=texts.get("epilog", "") + _EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        one.add_argument("--debug", action="store_true", help="show the traceback of an error")
        one.set_defaults(run=run)
        return one

    train = command(
        "train",
        run_train,
        "train a network; without arguments an MLP on handwritten digits, in seconds",
        usage="ravine train [--data DATA] [--target COLUMN] [--config FILE] [--out DIR] [option ...]",
        description=_TRAIN,
        epilog=f"{_TRAIN_EXAMPLES}\n",
    )
    train.add_argument("--config", metavar="FILE", help="a TOML file with options of this command")
    add_options(train)

    resume = command("resume", run_resume, "go on with a run of train that was interrupted")
    resume.add_argument("folder", metavar="DIR", help="the folder of the run")
    _add_threads(resume)

    evaluate = command("evaluate", run_evaluate, "measure a trained model on data with known targets")
    _add_model_and_data(evaluate)
    evaluate.add_argument("--target", metavar="FILE", help="the file of targets that goes with .npy or IDX")
    evaluate.add_argument("--json", action="store_true", help="one line of JSON, with the confusion matrix")

    predict = command("predict", run_predict, "predict the targets of new data with a trained model")
    _add_model_and_data(predict)
    predict.add_argument("--out", metavar="FILE", help="where to write, .csv or .npy (CSV on stdout)")
    predict.add_argument("--probabilities", action="store_true", help="write that of each class, too")

    command("info", run_info, "show version, CPU, threads and extras")

    bench = command("bench", run_bench, "time a training step and a prediction on this machine")
    bench.add_argument("--model", default="mlp", choices=MODELS, help="the network (mlp)")
    bench.add_argument(
        "--shape",
        type=positive_int,
        nargs="+",
        default=[1, 28, 28],
        metavar="N",
        help="of an example (1 28 28)",
    )
    bench.add_argument("--classes", type=positive_int, default=10, metavar="N", help="outputs (10)")
    bench.add_argument(
        "--hidden",
        type=positive_int,
        nargs="+",
        default=[128, 64],
        metavar="N",
        help="widths of the hidden layers of mlp (128 64)",
    )
    bench.add_argument(
        "--width", type=positive_int, default=64, metavar="N", help="channels of resnet18 at first (64)"
    )
    bench.add_argument("--optimizer", default="adam", choices=tuple(DEFAULT_LR), help="(adam)")
    bench.add_argument(
        "--batch-size", type=positive_int, default=64, metavar="N", help="examples in a mini-batch (64)"
    )
    bench.add_argument(
        "--seconds", type=positive_float, default=1.0, metavar="X", help="of each measurement (1)"
    )
    _add_threads(bench)
    return parser


def _add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--threads", type=positive_int, metavar="N", help="threads (all cores this process may use)"
    )


def _add_model_and_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", metavar="MODEL", help="model.safetensors of ravine train, or the run's folder"
    )
    parser.add_argument(
        "--data",
        required=True,
        metavar="DATA",
        help="a file or folder of the kind that the model was trained on; of a CSV file columns are found by "
        "their names, and others do not count",
    )
    parser.add_argument(
        "--batch-size", type=positive_int, default=256, metavar="N", help="examples at a time (256)"
    )
    _add_threads(parser)
