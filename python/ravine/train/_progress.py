"""What `Trainer.fit` writes: one line per epoch, and on a terminal a bar that moves within it."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

from ._metrics import Mean

__all__ = ["Progress"]

_BAR_CELLS = 24
_REDRAW_SECONDS = 0.1


class Progress:
    """verbose=0 writes nothing, 1 a line per epoch on stdout, with a bar where stdout is a terminal."""

    def __init__(self, verbose: int, epochs: int, batches: int) -> None:
        self._lines = verbose > 0
        self._bar = self._lines and sys.stdout.isatty()
        self._epochs = epochs
        self._batches = batches
        self._started = self._drawn = 0.0

    def begin_epoch(self) -> None:
        self._started = self._drawn = time.perf_counter()

    def batch(self, epoch: int, done: int, mean: Mean) -> None:
        """After `done` batches of an epoch, with the means so far."""
        if not self._bar:
            return
        now = time.perf_counter()
        if now - self._drawn < _REDRAW_SECONDS:
            return
        self._drawn = now
        filled = _BAR_CELLS * done // self._batches
        bar = "█" * filled + "░" * (_BAR_CELLS - filled)
        left = (now - self._started) / done * (self._batches - done)
        loss = mean.values()["loss"]
        text = f"{self._head(epoch)}  {bar} {done}/{self._batches}  loss {loss:.4f}  {left:.0f} s left"
        sys.stdout.write(f"\r\x1b[K{text}")
        sys.stdout.flush()

    def end_epoch(self, epoch: int, logs: Mapping[str, float]) -> None:
        if not self._lines:
            return
        self.clear()
        parts = [self._head(epoch)]
        parts += [f"{name} {_number(name, value)}" for name, value in logs.items() if name != "seconds"]
        parts.append(f"{logs['seconds']:.1f} s")
        print("  ".join(parts), flush=True)

    def clear(self) -> None:
        """Removes an unfinished bar, so that whatever is written next starts on a clean line."""
        if self._bar:
            sys.stdout.write("\r\x1b[K")
            sys.stdout.flush()

    def _head(self, epoch: int) -> str:
        width = len(str(self._epochs))
        return f"epoch {epoch + 1:>{width}}/{self._epochs}"


def _number(name: str, value: float) -> str:
    return f"{value:.3g}" if name == "lr" else f"{value:.4f}"
