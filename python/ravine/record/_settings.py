"""What holds for all programs of the process: how many are kept, and how convolutions are computed."""

from __future__ import annotations

from collections.abc import Hashable

from .. import _core
from ._signature import Reader
from ._versions import Versioned, new_version


class Settings(Versioned):
    """Of the process; programs depend on the precision of convolutions as on a module."""

    def __init__(self) -> None:
        self.programs = 64
        self.program_bytes = 1 << 30
        self.conv_precision = "fast"
        self.training = False
        self._version = new_version()

    def _static_key(self, reader: Reader) -> dict[str, Hashable]:
        return {"conv_precision": self.conv_precision}


settings = Settings()


def set_program_cache_size(n: int = 64, max_bytes: int = 1 << 30) -> None:
    """Sets how many compiled programs each model, training step and function keeps, newest used first.

    A program belongs to input shapes and dtypes, and to the model's mode, and has memory of its own for what
    it computes. The least recently used are dropped, and compiled again when they are needed; the newest
    always stays. Limits take effect when the next program is compiled.

    Args:
        n: programs, at least 1.
        max_bytes: of their memory together, at least 0.

    Raises:
        ValueError: for other numbers.

    Example:
        >>> import ravine as rv
        >>> rv.set_program_cache_size(8, max_bytes=500_000_000)
        >>> rv.set_program_cache_size()  # 64 programs, 1 GiB
    """
    if not isinstance(n, int) or n < 1:
        raise ValueError(f"set_program_cache_size: a positive integer is expected, got {n!r}")
    if not isinstance(max_bytes, int) or max_bytes < 0:
        raise ValueError(
            f"set_program_cache_size: max_bytes must be an integer of 0 or more, got {max_bytes!r}"
        )
    settings.programs, settings.program_bytes = n, max_bytes


def set_conv_precision(precision: str) -> None:
    """Sets how convolutions may be computed, for the whole process: "fast" (the default) or "exact".

    "fast" allows Winograd's minimal filtering (Lavin and Gray, CVPR 2016) for float32 convolutions 3x3 (with
    stride 1 or 2) and 5x5, where that is faster: it saves up to three multiplications in four, and its
    largest error is up to 3e-6 of the largest output where that of the plain sum is about 3e-7. It adds the
    pixels of a whole tile (4x4 to 8x8 inputs) before it multiplies. So one that is NaN or infinite reaches
    every output of its tile, also those whose window does not hold it, and where an input is far larger than
    the others the outputs of its tile are exact only in proportion to it. "exact" computes every
    convolution as the sum over its window: use it where pixels may be missing or wildly different in size.
    Results do not depend on the number of threads with either.

    Raises:
        ValueError: for another value.

    Example:
        >>> import ravine as rv
        >>> rv.set_conv_precision("exact")
        >>> rv.set_conv_precision("fast")
    """
    if precision not in ("fast", "exact"):
        raise ValueError(f"set_conv_precision: 'fast' or 'exact' is expected, got {precision!r}")
    _core.set_exact_convolutions(precision == "exact")
    settings.conv_precision = precision
    settings._version = new_version()
