"""Further reductions: truth, norms, moments in pairs, what is not NaN. Arguments are those of `sum`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._dims import Axes, axes_of, numpy_names
from .._numbers import number
from ..record import FLOATING, Operand, Tensor, apply, as_tensor, known_numbers
from ._diagonal import diagonal
from ._elementwise import pow, where
from ._reduce import mean, std, sum, var
from ._shape import reshape


def _counted(hits: Operand, axes: tuple[int, ...], keepdim: bool = False) -> Tensor:
    """How many are true."""
    if hits.ndim == 0:
        return apply("cast", hits, dtype="int64")
    return apply("sum", hits, axes=axes, keepdims=bool(keepdim))


def _truth(op: str, input: Any, dim: Axes, keepdim: bool, every: bool) -> Tensor:
    x = as_tensor(input)
    axes = axes_of(dim, x.ndim, op) if dim != () else tuple(range(x.ndim))
    hits = apply("logical_not", x) if every else x != 0 if x.dtype != "bool" else x
    found = _counted(hits, axes, keepdim)
    found = reshape(found, (1,) * x.ndim) if keepdim and dim is None else found
    result = apply("equal" if every else "greater", found, 0)
    return apply("cast", result, dtype="uint8") if x.dtype == "uint8" else result


@numpy_names
def any(input: Any, dim: Axes = None, keepdim: bool = False) -> Tensor:
    """Whether any element is not 0, over dimensions; NaN is not 0. Of uint8 the result is uint8, as in torch.

    Example:
        >>> import ravine as rv
        >>> rv.ops.any([[0.0, 1.0], [0.0, 0.0]], dim=1)
        tensor([ True, False], dtype=bool)
    """
    return _truth("any", input, dim, keepdim, every=False)


@numpy_names
def all(input: Any, dim: Axes = None, keepdim: bool = False) -> Tensor:
    """Whether no element is 0, over dimensions; True of none. Of uint8 the result is uint8, as in torch.

    Example:
        >>> import ravine as rv
        >>> rv.ops.all([[1.0, 1.0], [0.0, 1.0]], dim=1)
        tensor([ True, False], dtype=bool)
    """
    return _truth("all", input, dim, keepdim, every=True)


@numpy_names
def count_nonzero(input: Any, dim: Axes = None) -> Tensor:
    """How many elements are not 0, over dimensions.

    Example:
        >>> import ravine as rv
        >>> rv.ops.count_nonzero([0.0, 1.0, 2.0])
        tensor(2, dtype=int64)
    """
    x = as_tensor(input)
    return _counted(x if x.dtype == "bool" else x != 0, axes_of(dim, x.ndim, "count_nonzero"))


def vector_norm(op: str, x: Operand, p: float, axes: tuple[int, ...], keepdim: bool) -> Tensor:
    """The p-norm over axes. At 0 its gradient is 0, and of equal largest sizes each has its share."""
    if x.dtype not in FLOATING:
        raise TypeError(f"{op}: input must be floating, got {x.dtype}")
    if not x.ndim:  # the size of a number, for every p but 0
        return apply("cast", x != 0, dtype=x.dtype) if p == 0 else apply("abs", x)
    if not axes:
        axes = tuple(range(x.ndim))
    keep = {"axes": axes, "keepdims": bool(keepdim)}
    count = math.prod(x.shape[i] for i in axes)
    if count == 0 and (p < 0 or p == math.inf):
        raise ValueError(f"{op}: there is no norm of order {p} of no elements (shape {x.shape})")
    if p in (math.inf, -math.inf):
        return apply("max" if p > 0 else "min", apply("abs", x), **keep)
    if p == 0:
        hits = apply("cast", x != 0, dtype=x.dtype)
        return apply("sum", hits, **keep)
    if p == 1:
        return apply("sum", apply("abs", x), **keep)
    one, zero = np.ones((), x.dtype), np.zeros((), x.dtype)
    if p == 2:
        total = apply("sum", apply("square", x), **keep)
        nothing = total == 0
        return where(nothing, zero, apply("sqrt", where(nothing, one, total)))
    sizes = apply("abs", x)
    if p < 0:
        return pow(apply("sum", pow(sizes, p), **keep), 1 / p)
    flat = sizes == 0
    powers = where(flat, zero, pow(where(flat, one, sizes), p))
    total = apply("sum", powers, **keep)
    nothing = total == 0
    return where(nothing, zero, pow(where(nothing, one, total), 1 / p))


def order_of(op: str, p: Any) -> float:
    """The order of a norm as a number."""
    if isinstance(p, str) and p in ("inf", "-inf"):
        return float(p)
    if isinstance(p, bool) or not isinstance(p, int | float | np.generic) or p != p:
        raise TypeError(f"{op}: the order must be a number, got {p!r}")
    return float(p)


def dist(input: Any, other: Any, p: float = 2.0) -> Tensor:
    """The p-norm of the difference; shapes broadcast.

    Example:
        >>> import ravine as rv
        >>> rv.ops.dist([0.0, 0.0], [3.0, 4.0])
        tensor(5., dtype=float32)
    """
    gap = apply("sub", input, other)
    if gap.numel() == 0:
        return as_tensor(np.zeros((), gap.dtype)) + gap.sum()
    return vector_norm("dist", gap, order_of("dist", p), tuple(range(gap.ndim)), False)


def renorm(input: Any, p: float, dim: int, maxnorm: float) -> Tensor:
    """The input with those slices along `dim` made shorter whose p-norm exceeds `maxnorm`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.renorm([[3.0, 4.0], [0.3, 0.4]], 2, 0, 1.0)
        tensor([[0.6, 0.8],
                [0.3, 0.4]], dtype=float32)
    """
    x = as_tensor(input)
    (axis,) = axes_of(dim, x.ndim, "renorm")
    if x.ndim < 2:
        raise ValueError(f"renorm: at least 2 dimensions are expected, got shape {x.shape}")
    limit, order = number("renorm", "maxnorm", maxnorm), order_of("renorm", p)
    if order <= 0:
        raise ValueError(f"renorm: p must be above 0, got {p}")
    lengths = vector_norm("renorm", x, order, tuple(i for i in range(x.ndim) if i != axis), True)
    scale = where(lengths > limit, limit / (lengths + 1e-7), np.ones((), x.dtype))
    return x * scale


def _pair(
    function: Any, input: Any, dim: Any, correction: Any, keepdim: bool, unbiased: Any
) -> tuple[Tensor, Tensor]:
    if isinstance(dim, bool | np.bool_):
        dim, unbiased = None, bool(dim)
    return function(input, dim, correction, keepdim, unbiased=unbiased), mean(input, dim, keepdim)


@numpy_names
def var_mean(
    input: Any,
    dim: Any = None,
    correction: float | None = None,
    keepdim: bool = False,
    *,
    unbiased: bool | None = None,
) -> tuple[Tensor, Tensor]:
    """The pair (variance, mean); arguments as for `var`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.var_mean([1.0, 3.0])[1]
        tensor(2., dtype=float32)
    """
    return _pair(var, input, dim, correction, keepdim, unbiased)


@numpy_names
def std_mean(
    input: Any,
    dim: Any = None,
    correction: float | None = None,
    keepdim: bool = False,
    *,
    unbiased: bool | None = None,
) -> tuple[Tensor, Tensor]:
    """The pair (standard deviation, mean); arguments as for `var`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.std_mean([1.0, 3.0], correction=0)[0]
        tensor(1., dtype=float32)
    """
    return _pair(std, input, dim, correction, keepdim, unbiased)


@numpy_names
def nansum(input: Any, dim: Axes = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """`sum` in which NaN counts as 0, with a gradient of 0.

    Example:
        >>> import ravine as rv
        >>> rv.ops.nansum([1.0, float("nan")])
        tensor(1., dtype=float32)
    """
    x = as_tensor(input)
    if x.dtype not in FLOATING:
        return sum(x, dim, keepdim, dtype=dtype)
    return sum(where(x != x, np.zeros((), x.dtype), x), dim, keepdim, dtype=dtype)


@numpy_names
def nanmean(input: Any, dim: Axes = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """`mean` of what is not NaN; NaN of nothing.

    Example:
        >>> import ravine as rv
        >>> rv.ops.nanmean([1.0, float("nan"), 3.0])
        tensor(2., dtype=float32)
    """
    x = as_tensor(input)
    if x.dtype not in FLOATING:
        raise TypeError(f"nanmean: input must be floating, got {x.dtype}")
    count = sum(x == x, dim, keepdim)
    total = nansum(x, dim, keepdim, dtype=dtype)
    return total / apply("cast", count, dtype=total.dtype)


def cov(input: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Tensor:
    """Covariances of the rows of a matrix, [rows, rows]; of a vector its variance.

    Args:
        input: variables in rows, observations in columns.
        correction: what is taken off the number of observations.
        fweights: how often each observation counts, integers.
        aweights: how much each observation counts.

    Example:
        >>> import ravine as rv
        >>> rv.ops.cov([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
        tensor([[ 1., -1.],
                [-1.,  1.]], dtype=float32)
    """
    x = as_tensor(input)
    if x.ndim > 2:
        raise ValueError(f"cov: a matrix or a vector is expected, got shape {x.shape}")
    rows = reshape(x, (1,) * (2 - x.ndim) + x.shape)
    rows = rows if rows.dtype in FLOATING else apply("cast", rows, dtype="float32")
    weights: Any = None
    for name, given in (("fweights", fweights), ("aweights", aweights)):
        if given is None:
            continue
        w = as_tensor(given)
        if w.shape != rows.shape[1:]:
            raise ValueError(f"cov: {name} must have shape {rows.shape[1:]}, got {w.shape}")
        numbers = known_numbers(w)
        if numbers is not None and (numbers < 0).any():
            raise ValueError(f"cov: {name} must be 0 or more, got {numbers.min()}")
        w = apply("cast", w, dtype=rows.dtype)
        weights = w if weights is None else weights * w
    if weights is None:
        total: Any = float(rows.shape[1])
        centre, norm_by = mean(rows, 1, True), total - correction
        return _covariances(rows - centre, None, apply("maximum", np.asarray(norm_by, rows.dtype), 0), x.ndim)
    total = weights.sum()
    centre = sum(rows * weights, 1, True) / total
    if aweights is None or correction == 0:
        norm_by = total - float(correction)
    else:
        a = apply("cast", as_tensor(aweights), dtype=rows.dtype)
        norm_by = total - (weights * a).sum() / total * float(correction)
    return _covariances(rows - centre, weights, apply("maximum", norm_by, 0), x.ndim)


def _covariances(deviations: Tensor, weights: Any, norm_by: Tensor, rank: int) -> Tensor:
    weighted = deviations if weights is None else deviations * weights
    result = (deviations @ weighted.transpose(0, 1)) / norm_by
    return result if rank == 2 and result.shape[0] != 1 else reshape(result, ())


def corrcoef(input: Any) -> Tensor:
    """Correlations of the rows of a matrix, within [-1, 1].

    Example:
        >>> import ravine as rv
        >>> rv.ops.corrcoef([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
        tensor([[ 1., -1.],
                [-1.,  1.]], dtype=float32)
    """
    covariances = cov(input)
    if covariances.ndim == 0:
        return covariances / covariances
    sizes = apply("sqrt", diagonal(covariances))
    scaled = covariances / reshape(sizes, (-1, 1)) / sizes
    return apply("clip", scaled, low=-1.0, high=1.0)
