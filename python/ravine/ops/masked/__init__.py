"""Reductions and normalisations of the elements that a mask lets through, with torch.masked's names.

`mask` is boolean and broadcasts with the input; None lets everything through. What it keeps out has no
gradient, whatever it is. Where nothing is let through, a sum is 0, a product 1, a maximum minus infinity and
a mean NaN.
"""

from ._normalise import cumprod, cumsum, log_softmax, logaddexp, normalize, softmax, softmin
from ._reduce import (
    amax,
    amin,
    argmax,
    argmin,
    logsumexp,
    mean,
    median,
    norm,
    prod,
    std,
    sum,
    var,
)

__all__ = [
    "amax",
    "amin",
    "argmax",
    "argmin",
    "cumprod",
    "cumsum",
    "log_softmax",
    "logaddexp",
    "logsumexp",
    "mean",
    "median",
    "norm",
    "normalize",
    "prod",
    "softmax",
    "softmin",
    "std",
    "sum",
    "var",
]
