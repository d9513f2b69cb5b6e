"""What a training run leaves in its folder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ._files import replaced, write_text
from ._model_file import WEIGHTS, Trained, save

HISTORY, CURVE = "history.json", "learning_curve.png"
CHECKPOINTS = "checkpoints"


def prepare_folder(folder: Path) -> None:
    """Makes the folder now, so that a bad name is told before the training and not after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise NotADirectoryError(f"--out {folder}: there is a file of that name") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"--out {folder}: no permission to write there")


def clear_checkpoints(folder: Path) -> None:
    """Removes those of an earlier run into the folder, whose results are replaced as well."""
    for path in (folder / CHECKPOINTS).glob("*.safetensors"):
        path.unlink()


def save_results(folder: Path, trained: Trained, record: dict[str, Any], watched: str) -> list[str]:
    """Saves model, history and learning curve; returns a line for each about what is where.

    `watched` is the metric that is drawn beside the loss.
    """
    save(folder / WEIGHTS, trained)
    write_text(folder / HISTORY, json.dumps(record, indent=2) + "\n")
    lines = [f"saved {folder / WEIGHTS} (weights)", f"saved {folder / HISTORY} (settings and history)"]
    if not record["history"]:
        return lines
    try:
        _draw(folder / CURVE, record, watched)
    except ModuleNotFoundError:
        # An older curve beside newer weights would mislead.
        (folder / CURVE).unlink(missing_ok=True)
        lines.append("no learning curve: matplotlib is not installed (pip install 'ravine[demo]')")
    else:
        lines.append(f"saved {folder / CURVE} (learning curve)")
    return lines


def _draw(path: Path, record: dict[str, Any], watched: str) -> None:
    # The Figure alone, without pyplot: no display, no global state.
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    history = record["history"]
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = range(1, len(history["loss"]) + 1)
    marker = "o" if len(epochs) <= 40 else ""
    for axes, name in ((left, "loss"), (right, watched)):
        for key, label in ((name, "training"), (f"val_{name}", "validation")):
            if key in history:
                axes.plot(epochs, history[key], marker=marker, markersize=3, label=label)
        axes.set(xlabel="epoch", ylabel=name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        axes.legend()
    test = record.get(f"test_{watched}")
    if test is not None:
        right.axhline(test, color="black", linestyle=":", linewidth=1, label=f"test {test:.4f}")
        right.legend()
    figure.suptitle(f"{record['model']} on {record['data']}, {record['optimizer']}, lr {record['lr']:g}")
    with replaced(path) as partial:
        figure.savefig(partial, dpi=120)
