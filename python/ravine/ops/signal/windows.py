"""Window functions of length M: symmetric, or periodic (`sym=False`) for spectral analysis.

A periodic window is the symmetric one of M + 1 without its last number.

Source: Harris 1978, "On the use of windows for harmonic analysis with the discrete Fourier transform".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..._numbers import number, whole
from ...record import Tensor
from .._create import constant

__all__ = [
    "bartlett",
    "blackman",
    "cosine",
    "exponential",
    "gaussian",
    "general_cosine",
    "general_hamming",
    "hamming",
    "hann",
    "kaiser",
    "nuttall",
]


def _window(
    op: str, M: int, sym: bool, dtype: Any, formula: Callable[[np.ndarray, int], np.ndarray]
) -> Tensor:
    """`formula` of the places 0, 1, ... and the last of them, for M numbers."""
    length = whole(f"signal.windows.{op}", "M", M, low=0)
    last = length - 1 if sym else length
    places = np.arange(length, dtype="float64")
    return constant(np.ones(length) if length <= 1 else formula(places, last), dtype or "float32")


def _cosines(op: str, M: int, a: Iterable[float], sym: bool, dtype: Any) -> Tensor:
    weights = [float(weight) for weight in a]
    if not weights:
        raise ValueError(f"signal.windows.{op}: a must hold at least one weight")

    def formula(n: np.ndarray, last: int) -> np.ndarray:
        terms = [(-1) ** i * w * np.cos(2 * np.pi * i * n / last) for i, w in enumerate(weights)]
        return np.sum(terms, axis=0)

    return _window(op, M, sym, dtype, formula)


def bartlett(M: int, *, sym: bool = True, dtype: Any = None) -> Tensor:
    """A triangle, 0 at both ends.

    Example:
        >>> import ravine as rv
        >>> rv.ops.signal.windows.bartlett(5)
        tensor([0. , 0.5, 1. , 0.5, 0. ], dtype=float32)
    """
    return _window("bartlett", M, sym, dtype, lambda n, last: 1 - np.abs(2 * n / last - 1))


def blackman(M: int, *, sym: bool = True, dtype: Any = None) -> Tensor:
    """`0.42 - 0.5 cos(2πn / N) + 0.08 cos(4πn / N)`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.signal.windows.blackman(3, dtype="float64").numpy().round(6)[1]
        np.float64(1.0)
    """
    return _cosines("blackman", M, (0.42, 0.5, 0.08), sym, dtype)


def cosine(M: int, *, sym: bool = True, dtype: Any = None) -> Tensor:
    """Half a wave of the sine, `sin(π (n + 1/2) / M)`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.signal.windows.cosine(1)
        tensor([1.], dtype=float32)
    """
    return _window("cosine", M, sym, dtype, lambda n, last: np.sin(np.pi * (n + 0.5) / (last + 1)))


def exponential(
    M: int, *, center: float | None = None, tau: float = 1.0, sym: bool = True, dtype: Any = None
) -> Tensor:
    """`exp(-|n - center| / tau)`.

    Args:
        M: length.
        center: where it is 1; the middle by default, which a symmetric window wants.
        tau: decay, above 0.
        sym, dtype: as of the other windows.

    Example:
        >>> import ravine as rv
        >>> rv.ops.signal.windows.exponential(3, tau=0.5).numpy()[1]
        np.float32(1.0)
    """
    decay = number("signal.windows.exponential", "tau", tau)
    if decay == 0:
        raise ValueError("signal.windows.exponential: tau must be above 0, got 0")
    if sym and center is not None:
        raise ValueError(
            "signal.windows.exponential: center is for sym=False, a symmetric one has the middle"
        )

    def formula(n: np.ndarray, last: int) -> np.ndarray:
        return np.exp(-np.abs(n - (last / 2 if center is None else center)) / decay)

    return _window("exponential", M, sym, dtype, formula)


def gaussian(M: int, *, std: float = 1.0, sym: bool = True, dtype: Any = None) -> Tensor:
    """`exp(-((n - middle) / std)² / 2)`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.signal.windows.gaussian(3).numpy()[1]
        np.float32(1.0)
    """
    width = number("signal.windows.gaussian", "std", std)
    if width == 0:
        raise ValueError("signal.windows.gaussian: std must be above 0, got 0")
    return _window("gaussian", M, sym, dtype, lambda n, last: np.exp(-0.5 * ((n - last / 2) / width) ** 2))


def general_cosine(M: int, *, a: Iterable[float], sym: bool = True, dtype: Any = None) -> Tensor:
    """`Σ_i (-1)^i a_i cos(2πin / N)` with weights a.

    Example:
        >>> import ravine as rv
        >>> rv.ops.signal.windows.general_cosine(3, a=[0.5, 0.5])
        tensor([0., 1., 0.], dtype=float32)
    """
    return _cosines("general_cosine", M, a, sym, dtype)


def general_hamming(M: int, *, alpha: float = 0.54, sym: bool = True, dtype: Any = None) -> Tensor:
    """`alpha - (1 - alpha) cos(2πn / N)`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.signal.windows.general_hamming(3, alpha=0.5)
        tensor([0., 1., 0.], dtype=float32)
    """
    return _cosines("general_hamming", M, (alpha, 1 - alpha), sym, dtype)


def hamming(M: int, *, sym: bool = True, dtype: Any = None) -> Tensor:
    """`0.54 - 0.46 cos(2πn / N)`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.signal.windows.hamming(3)
        tensor([0.08, 1.  , 0.08], dtype=float32)
    """
    return _cosines("hamming", M, (0.54, 0.46), sym, dtype)


def hann(M: int, *, sym: bool = True, dtype: Any = None) -> Tensor:
    """`(1 - cos(2πn / N)) / 2`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.signal.windows.hann(3)
        tensor([0., 1., 0.], dtype=float32)
    """
    return _cosines("hann", M, (0.5, 0.5), sym, dtype)


def kaiser(M: int, *, beta: float = 12.0, sym: bool = True, dtype: Any = None) -> Tensor:
    """`I₀(beta √(1 - (2n / N - 1)²)) / I₀(beta)`; a larger beta is narrower.

    Example:
        >>> import ravine as rv
        >>> rv.ops.signal.windows.kaiser(3, beta=0.0)
        tensor([1., 1., 1.], dtype=float32)
    """
    shape = number("signal.windows.kaiser", "beta", beta)

    def formula(n: np.ndarray, last: int) -> np.ndarray:
        inside = np.maximum(1 - (2 * n / last - 1) ** 2, 0)
        return np.i0(shape * np.sqrt(inside)) / np.i0(shape)

    return _window("kaiser", M, sym, dtype, formula)


def nuttall(M: int, *, sym: bool = True, dtype: Any = None) -> Tensor:
    """Nuttall's four cosines, with low side lobes.

    Source: Nuttall 1981, "Some windows with very good sidelobe behavior".

    Example:
        >>> import ravine as rv
        >>> rv.ops.signal.windows.nuttall(3).numpy()[1]
        np.float32(1.0)
    """
    return _cosines("nuttall", M, (0.3635819, 0.4891775, 0.1365995, 0.0106411), sym, dtype)
