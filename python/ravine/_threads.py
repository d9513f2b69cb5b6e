"""How many threads a program uses, and what the machine offers."""

from __future__ import annotations

from typing import Any

from . import _core


def set_num_threads(n: int) -> None:
    """Sets how many threads programs run on, for the whole process. Results do not depend on it.

    The default is RAVINE_NUM_THREADS, else OMP_NUM_THREADS, else the smallest of affinity, the quotas of the
    process's control group and of those around it (rounded up), and physical cores. An OMP_NUM_THREADS that
    is no number of threads is left out with a RuntimeWarning, such a RAVINE_NUM_THREADS is a ValueError.
    While other processes take the cores, so that threads mostly wait for each other, runs use fewer.

    Example:
        >>> import ravine as rv
        >>> n = rv.get_num_threads()
        >>> rv.set_num_threads(n)
    """
    _core.set_num_threads(_checked(n))


def get_num_threads() -> int:
    """The number of threads programs started by this thread run on.

    Example:
        >>> import ravine as rv
        >>> rv.get_num_threads() >= 1
        True
    """
    return _core.get_num_threads()


class threads:
    """Context in which programs started by this thread run on `n` threads.

    Example:
        >>> import ravine as rv
        >>> with rv.threads(1):
        ...     rv.get_num_threads()
        1
    """

    __slots__ = ("_n",)

    def __init__(self, n: int) -> None:
        self._n = _checked(n)

    def __enter__(self) -> None:
        _core.push_threads(self._n)

    def __exit__(self, *_: object) -> None:
        _core.pop_threads()


def _checked(n: int) -> int:
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise TypeError(f"the number of threads must be an integer, got {n!r}")
    if n < 1:
        raise ValueError(f"the number of threads must be at least 1, got {n}")
    return int(n)


def cpu_info() -> dict[str, Any]:
    """The processor, its caches in bytes, the instruction set in use ("isa") and those it has ("isas").

    Example:
        >>> import ravine as rv
        >>> rv.cpu_info()["isa"] in rv.cpu_info()["isas"]
        True
    """
    return _core.cpu_info()
