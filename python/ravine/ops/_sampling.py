"""Random choices. Their numbers are a function of the seed, the run, the operation and the element."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._dims import is_dim, sizes_of
from .._numbers import number, whole
from ..record import FLOATING, Tensor, apply, as_tensor, dtype_name
from ._order import argsort, cumsum, searchsorted, topk
from ._placing import check_placing
from ._random import rand, randn
from ._shape import broadcast_to, reshape


def bernoulli(input: Any, p: float | None = None) -> Tensor:
    """1 with the probability that each element says, else 0; with `p` all have this probability.

    Example:
        >>> import ravine as rv
        >>> rv.ops.bernoulli([0.0, 1.0])
        tensor([0., 1.], dtype=float32)
    """
    x = as_tensor(input)
    if p is not None:
        chance: Any = number("bernoulli", "p", p, high=1.0)
    elif x.dtype in FLOATING:
        chance = x
    else:
        raise TypeError(f"bernoulli: probabilities must be floating, got {x.dtype}")
    drawn = rand(*x.shape, dtype=x.dtype if x.dtype in FLOATING else "float32")
    return apply("stop_gradient", apply("cast", drawn < chance, dtype=x.dtype))


def multinomial(input: Any, num_samples: int, replacement: bool = False) -> Tensor:
    """Indices drawn with probabilities in proportion to the weights of each row.

    Args:
        input: weights, not negative, [n] or [rows, n].
        num_samples: how many a row.
        replacement: whether an index may be drawn again. Without it, the largest of the weights' logarithms
            plus Gumbel noise are taken (Efraimidis and Spirakis 2006), which draws one after the other.

    Returns: int64, [num_samples] or [rows, num_samples].

    Example:
        >>> import ravine as rv
        >>> rv.ops.multinomial([0.0, 3.0], 2, replacement=True)
        tensor([1, 1], dtype=int64)
    """
    x = as_tensor(input)
    if x.ndim not in (1, 2) or x.dtype not in FLOATING:
        raise ValueError(
            f"multinomial: floating weights [n] or [rows, n] are expected, got {x.dtype} {x.shape}"
        )
    count = whole("multinomial", "num_samples", num_samples)
    weights = apply("stop_gradient", x)
    if not replacement:
        if count > x.shape[-1]:
            raise ValueError(f"multinomial: {count} different indices of {x.shape[-1]}; use replacement=True")
        noise = -apply("log", -apply("log", 1.0 - rand(*x.shape, dtype=x.dtype)))
        return topk(apply("log", weights) + noise, count).indices
    sums = cumsum(weights, -1)
    total = sums[..., -1:]
    places = rand(*x.shape[:-1], count, dtype=x.dtype) * total
    found = searchsorted(sums, places, right=True)
    # Rounding may reach the total: the last index with a weight.
    last = searchsorted(sums, reshape(total, total.shape))
    return apply("minimum", found, broadcast_to(last, found.shape))


def randint(
    low: int,
    high: int | None = None,
    size: Sequence[int] | None = None,
    *,
    dtype: Any = "int64",
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform random integers in [low, high); `randint(high, size=...)` starts at 0.

    Example:
        >>> import ravine as rv
        >>> rv.ops.randint(3, 4, (2,))
        tensor([3, 3], dtype=int64)
    """
    check_placing("randint", device, requires_grad)
    if size is None and high is not None and not is_dim(high):
        high, size = None, high  # type: ignore[assignment]
    first, last = (0, low) if high is None else (low, high)
    first, last = whole("randint", "low", first, -(2**62)), whole("randint", "high", last, -(2**62))
    if last <= first:
        raise ValueError(f"randint: high must be above low, got {first} and {last}")
    shape = sizes_of(() if size is None else size, "randint")
    drawn = apply("floor", rand(*shape, dtype="float64") * float(last - first)) + float(first)
    return apply("cast", drawn, dtype=dtype_name(dtype))


def randint_like(
    input: Any,
    low: int,
    high: int | None = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`randint` in the input's shape and dtype.

    Example:
        >>> import ravine as rv
        >>> rv.ops.randint_like([0.0, 0.0], 3, 4)
        tensor([3., 3.], dtype=float32)
    """
    check_placing("randint_like", device, requires_grad)
    x = as_tensor(input)
    first, last = (0, low) if high is None else (low, high)
    return randint(first, last, x.shape, dtype=dtype or x.dtype)


def randperm(n: int, *, dtype: Any = "int64", device: Any = None, requires_grad: bool = False) -> Tensor:
    """The numbers 0 to n - 1 in random order.

    Example:
        >>> import ravine as rv
        >>> rv.ops.randperm(4).shape
        (4,)
    """
    check_placing("randperm", device, requires_grad)
    count = whole("randperm", "n", n, low=0)
    return apply("cast", argsort(rand(count, dtype="float64")), dtype=dtype_name(dtype))


def normal(
    mean: Any,
    std: Any = 1.0,
    size: Sequence[int] | None = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal random numbers of given means and standard deviations, whose shapes broadcast; or of a size.

    Their dtype is the common one of `mean` and `std`, unless another is named.

    Example:
        >>> import ravine as rv
        >>> rv.ops.normal(0.0, 1.0, (2, 3)).shape
        (2, 3)
    """
    check_placing("normal", device, requires_grad)
    centre, width = as_tensor(mean), as_tensor(std)
    shape = np.broadcast_shapes(centre.shape, width.shape) if size is None else sizes_of(size, "normal")
    common = apply("add", centre, width).dtype
    drawn = randn(*shape, dtype=common if common in FLOATING else "float32") * width + centre
    return drawn if dtype is None else apply("cast", drawn, dtype=dtype_name(dtype))
