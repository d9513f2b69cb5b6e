"""The normal distribution and its inverse."""

from __future__ import annotations

import numpy as np

from .. import ops

# Coefficients of rational functions of Wichura's algorithm AS 241, PPND16 (Applied Statistics 37, 1988), the
# highest power first: around the median, and in the tails down to exp(-25).
_MIDDLE = (
    (
        2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
        13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608,
    ),
    (
        5226.495278852854561, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867,
        5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0,
    ),
)  # fmt: skip
_TAIL = (
    (
        7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177, 1.27045825245236838258,
        3.64784832476320460504, 5.7694972214606914055, 4.6303378461565452959, 1.42343711074968357734,
    ),
    (
        1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966, 0.14810397642748007459,
        0.68976733498510000455, 1.6763848301838038494, 2.05319162663775882187, 1.0,
    ),
)  # fmt: skip


def normal_quantile(p: np.ndarray) -> np.ndarray:
    """The x that normal numbers stay below with probability p, for p from 1e-10 to 1 - 1e-10."""
    q = p - 0.5
    with np.errstate(invalid="ignore"):  # each branch is evaluated for all p
        r = 0.180625 - q * q
        middle = q * np.polyval(_MIDDLE[0], r) / np.polyval(_MIDDLE[1], r)
        r = np.sqrt(-np.log(np.minimum(p, 1 - p))) - 1.6
        tail = np.copysign(np.polyval(_TAIL[0], r) / np.polyval(_TAIL[1], r), q)
    return np.where(np.abs(q) <= 0.425, middle, tail)


def normal_cdf(x: np.ndarray) -> np.ndarray:
    """The probability that a normal number is below x."""
    return 0.5 * (1 + ops.erf(np.asarray(x, np.float64) / np.sqrt(2)).numpy())
