"""What `Trainer.fit` writes: a line an epoch, and with tqdm a bar that moves within it."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from ._loop import Loop

__all__ = ["Progress"]

_REDRAW_SECONDS = 0.1


class Progress:
    """Listens to a loop; verbose=0 writes nothing, 1 a line per epoch on stdout.

    On a terminal and in a notebook, and if tqdm is installed, a bar shows the epoch under way.
    """

    def __init__(self, verbose: int, loop: Loop, epochs: int | None) -> None:
        self._loop = loop
        self._epochs = epochs
        self._bar: Any = None
        self._drawn = self._examples_at = 0.0
        self._examples = 0
        if verbose <= 0:
            return
        self._make_bar = _bar_of_tqdm()
        if self._make_bar is not None:
            loop.on("batch_end", self._batch)
            loop.on("fit_end", self._clear)
        loop.on("epoch_end", self._epoch)

    def _batch(self, batch: int, loss: float) -> None:
        now = time.perf_counter()
        if now - self._drawn < _REDRAW_SECONDS:
            return
        if self._bar is None:
            self._bar = self._make_bar(total=self._loop.batches_in_epoch(), desc=self._head(self._loop.epoch))
        else:
            rate = (self._loop.examples - self._examples) / (now - self._examples_at)
            values = self._loop.metrics.running() | {"lr": self._loop.step.optimizer.current_lr}
            shown = {name: _number(name, value) for name, value in values.items()}
            self._bar.set_postfix(shown | {"examples/s": f"{rate:.3g}"}, refresh=False)
        self._bar.update(batch + 1 - self._bar.n)
        self._drawn = self._examples_at = now
        self._examples = self._loop.examples

    def _epoch(self, epoch: int, logs: Mapping[str, Any]) -> None:
        self._clear()
        parts = [self._head(epoch)]
        numbers = {name: value for name, value in logs.items() if np.ndim(value) == 0}
        parts += [f"{name} {_number(name, value)}" for name, value in numbers.items() if name != "seconds"]
        parts.append(f"{logs['seconds']:.1f} s")
        print("  ".join(parts), flush=True)

    def _clear(self) -> None:
        """Removes an unfinished bar, so that whatever is written next starts on a clean line."""
        if self._bar is not None:
            self._bar.close()
        self._bar, self._drawn = None, 0.0

    def _head(self, epoch: int) -> str:
        if self._epochs is None:
            return f"epoch {epoch + 1}"
        width = len(str(self._epochs))
        return f"epoch {epoch + 1:>{width}}/{self._epochs}"


def _bar_of_tqdm() -> Any:
    """What makes a bar; None where nobody would see it move, and without tqdm."""
    notebook = "ipykernel" in sys.modules and importlib.util.find_spec("ipywidgets") is not None
    if not notebook and not sys.stdout.isatty():
        return None
    try:
        tqdm = importlib.import_module("tqdm.notebook" if notebook else "tqdm").tqdm
    except ModuleNotFoundError:
        return None
    # Without the thread that watches over bars: this one is redrawn often enough.
    kind = type("Bar", (tqdm,), {"monitor_interval": 0})
    return lambda **options: kind(**options, leave=False, file=sys.stdout, mininterval=0.0, unit="batch")


def _number(name: str, value: float) -> str:
    return f"{value:.3g}" if name == "lr" else f"{value:.4f}"
