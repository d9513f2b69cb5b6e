"""How a command ends: its exit codes, and the errors behind them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
EXIT_PIPE = 141  # 128 + SIGPIPE
EXIT_TERMINATED = 143  # 128 + SIGTERM

# What wrong arguments, files and data raise, in the library as in the command.
EXPECTED = (ValueError, TypeError, OSError, ModuleNotFoundError, FloatingPointError, MemoryError)


class Failure(Exception):
    """What was given is right, but the work failed: a full disk, a loss that is NaN, too little memory."""


@contextmanager
def running() -> Iterator[None]:
    """Context of the work itself, in which what the system refuses and numbers that are not finite are a
    `Failure`; other errors are still those of what was given, such as a damaged image."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (OSError, FloatingPointError, MemoryError) as error:
        raise Failure(str(error) or type(error).__name__) from error
