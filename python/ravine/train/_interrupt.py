"""Ctrl-C and SIGTERM during a training: noted when they come, obeyed when a step is complete."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, ClassVar

__all__ = ["Interruption"]


class Interruption:
    """Context that notes the first SIGINT or SIGTERM; `obey` raises it, and a second one is raised at once.

    Handlers are set in the main thread alone, and only in the place of Python's own: a program that handles
    these signals itself goes on to do so.
    """

    _OWN: ClassVar[dict[int, Any]] = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
    }

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            for number, own in self._OWN.items():
                if signal.getsignal(number) is own:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            self._raise(number)
        self.received = number

    def obey(self) -> None:
        """Raises KeyboardInterrupt after SIGINT, SystemExit(143) after SIGTERM, nothing without either."""
        if self.received is not None:
            self._raise(self.received)

    @staticmethod
    def _raise(number: int) -> None:
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)
