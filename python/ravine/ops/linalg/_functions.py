"""Functions of matrices: powers, exponentials, chains of products, norms."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from ..._dims import Axes, axes_of, is_dim, normalise_dim
from ..._numbers import whole
from ...record import Tensor, apply, as_tensor, dtype_name
from .._arrange import movedim
from .._diagonal import diagonal as _diagonal
from .._elementwise import where
from .._linalg import matmul
from .._order import cumprod
from .._products import cross as _cross
from .._shape import broadcast_to, narrow, reshape, unsqueeze
from .._statistics import order_of
from .._statistics import vector_norm as _vector_norm
from ._decompositions import svdvals
from ._systems import inv, matrices


def matrix_power(A: Any, n: int) -> Tensor:
    """Square matrices to a whole power, by repeated squaring; of a negative one their inverses.

    Example:
        >>> import ravine as rv
        >>> rv.ops.linalg.matrix_power([[1.0, 1.0], [0.0, 1.0]], 3)
        tensor([[1., 3.],
                [0., 1.]], dtype=float32)
    """
    a = matrices("matrix_power", A, square=True)
    power = whole("linalg.matrix_power", "n", n, low=-(2**31))
    if power < 0:
        a, power = inv(a), -power
    if power == 0:
        return broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape) + a * 0.0
    result: Any = None
    while True:
        if power % 2:
            result = a if result is None else matmul(result, a)
        power //= 2
        if not power:
            return reshape(result, result.shape)
        a = matmul(a, a)


def matrix_exp(A: Any) -> Tensor:
    """The exponential of square matrices: Taylor's series of degree 18, scaled and squared.

    Source: Higham 2005, https://doi.org/10.1137/04061101X, for scaling and squaring.

    Example:
        >>> import ravine as rv
        >>> rv.ops.linalg.matrix_exp([[0.0, 1.0], [0.0, 0.0]])
        tensor([[1., 1.],
                [0., 1.]], dtype=float32)
    """
    a = matrices("matrix_exp", A, square=True)
    if not a.numel():
        return reshape(a, a.shape)
    one = np.eye(a.shape[-1], dtype=a.dtype)
    # Every matrix has its own scale 2^-s, which brings its norm below 1; those that need fewer squarings keep
    # their result.
    squarings = 12
    sums = apply("sum", apply("abs", apply("stop_gradient", a)), axes=(a.ndim - 2,), keepdims=True)
    size = apply("max", sums, axes=(a.ndim - 1,), keepdims=True)
    exponent = apply("ceil", apply("log2", apply("maximum", size, np.ones((), a.dtype))))
    x = a / apply("exp2", exponent)
    result: Any = one + x / 18.0
    for k in range(17, 0, -1):
        result = one + matmul(x, result) / float(k)
    for step in range(squarings):
        result = where(exponent > float(step), matmul(result, result), result)
    return result


def multi_dot(tensors: Any) -> Tensor:
    """The product of several matrices (the first and the last may be vectors), in the cheapest order.

    Example:
        >>> import ravine as rv
        >>> rv.ops.linalg.multi_dot([[1.0, 2.0], [[1.0], [1.0]], [[2.0]]])
        tensor([6.], dtype=float32)
    """
    parts = [as_tensor(x) for x in tensors]
    if len(parts) < 2:
        raise ValueError(f"linalg.multi_dot: at least two tensors are expected, got {len(parts)}")
    first, last = parts[0].ndim == 1, parts[-1].ndim == 1
    parts[0] = unsqueeze(parts[0], 0) if first else parts[0]
    parts[-1] = unsqueeze(parts[-1], 1) if last else parts[-1]
    if any(p.ndim != 2 for p in parts) or any(a.shape[1] != b.shape[0] for a, b in itertools.pairwise(parts)):
        raise ValueError(
            f"linalg.multi_dot: shapes {[as_tensor(x).shape for x in tensors]} do not fit together"
        )
    sizes = [parts[0].shape[0], *(p.shape[1] for p in parts)]
    cost: dict[tuple[int, int], tuple[int, int]] = {(i, i): (0, i) for i in range(len(parts))}
    for length in range(1, len(parts)):
        for i in range(len(parts) - length):
            j = i + length
            cost[i, j] = min(
                (cost[i, k][0] + cost[k + 1, j][0] + sizes[i] * sizes[k + 1] * sizes[j + 1], k)
                for k in range(i, j)
            )

    def product(i: int, j: int) -> Any:
        return parts[i] if i == j else matmul(product(i, cost[i, j][1]), product(cost[i, j][1] + 1, j))

    y = product(0, len(parts) - 1)
    return reshape(y, tuple(n for n, gone in zip(y.shape, (first, last), strict=True) if not gone))


def vector_norm(
    x: Any, ord: Any = 2, dim: Axes = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """The norm of vectors of any order over dimensions; see `ops.norm`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.linalg.vector_norm([3.0, 4.0])
        tensor(5., dtype=float32)
    """
    v = as_tensor(x)
    v = v if dtype is None else apply("cast", v, dtype=dtype_name(dtype))
    axes = axes_of(dim, v.ndim, "linalg.vector_norm")
    y = _vector_norm("linalg.vector_norm", v, order_of("linalg.vector_norm", ord), axes, keepdim)
    return reshape(y, (1,) * v.ndim) if keepdim and dim is None else y


def matrix_norm(
    A: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """The norm of matrices: "fro", "nuc" (sum of singular values), ±2 (largest, smallest), ±1, ±inf.

    Example:
        >>> import ravine as rv
        >>> rv.ops.linalg.matrix_norm([[3.0, 0.0], [0.0, -4.0]], 2)
        tensor(4., dtype=float32)
    """
    a = as_tensor(A)
    a = a if dtype is None else apply("cast", a, dtype=dtype_name(dtype))
    if a.ndim < 2 or is_dim(dim) or len(dim) != 2:
        raise ValueError(
            f"linalg.matrix_norm: matrices and two dimensions are expected, got {a.shape} and {dim}"
        )
    rows, columns = (normalise_dim(d, a.ndim, "linalg.matrix_norm") for d in dim)
    if rows == columns:
        raise ValueError(f"linalg.matrix_norm: dimensions must differ, got {dim}")
    if ord == "fro":
        return _vector_norm("linalg.matrix_norm", a, 2.0, (rows, columns), keepdim)
    last = movedim(a, (rows, columns), (-2, -1))
    if ord == "nuc" or ord in (2, -2):
        s = svdvals(last)
        y = (
            s.sum(-1)
            if ord == "nuc"
            else apply("max" if ord == 2 else "min", s, axes=(s.ndim - 1,), keepdims=False)
        )
    elif ord in (1, -1, math.inf, -math.inf):
        along = last.ndim - (2 if abs(ord) == 1 else 1)
        sums = apply("sum", apply("abs", last), axes=(along,), keepdims=False)
        y = apply("max" if ord > 0 else "min", sums, axes=(sums.ndim - 1,), keepdims=False)
    else:
        raise ValueError(f"linalg.matrix_norm: ord must be 'fro', 'nuc', ±1, ±2 or ±inf, got {ord!r}")
    return (
        reshape(y, tuple(1 if i in (rows, columns) else n for i, n in enumerate(a.shape))) if keepdim else y
    )


def norm(A: Any, ord: Any = None, dim: Axes = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """`vector_norm` of one dimension, `matrix_norm` of two; without `ord` the root of the sum of squares.

    Args:
        A: any shape; with `ord` and without `dim` a vector or a matrix.
        ord, dim, keepdim, dtype: as there.

    Example:
        >>> import ravine as rv
        >>> rv.ops.linalg.norm([[3.0, 4.0]])
        tensor(5., dtype=float32)
    """
    x = as_tensor(A)
    if ord is not None and dim is None and x.ndim not in (1, 2):
        raise ValueError(f"linalg.norm: with ord a vector or a matrix is expected, got shape {x.shape}")
    matrix = (x.ndim == 2 if dim is None else not is_dim(dim) and len(dim) == 2) and ord is not None  # type: ignore[arg-type]
    if matrix:
        return matrix_norm(x, ord, (-2, -1) if dim is None else dim, keepdim, dtype=dtype)
    return vector_norm(x, 2 if ord is None else ord, dim, keepdim, dtype=dtype)


def cond(A: Any, p: Any = None) -> Tensor:
    """Condition numbers: the largest singular value by the smallest, or `|A| |A⁻¹|` in another matrix norm.

    Example:
        >>> import ravine as rv
        >>> rv.ops.linalg.cond([[4.0, 0.0], [0.0, 1.0]])
        tensor(4., dtype=float32)
    """
    a = matrices("cond", A, square=p not in (None, 2, -2))
    if p not in (None, 2, -2):
        return matrix_norm(a, p) * matrix_norm(inv(a), p)
    s = svdvals(a)
    first, last = narrow(s, -1, 0, 1), narrow(s, -1, s.shape[-1] - 1, 1)
    y = last / first if p == -2 else first / last
    return reshape(y, y.shape[:-1])


def vecdot(x: Any, y: Any, *, dim: int = -1) -> Tensor:
    """Inner products along a dimension; shapes broadcast.

    Example:
        >>> import ravine as rv
        >>> rv.ops.linalg.vecdot([1.0, 2.0], [3.0, 4.0])
        tensor(11., dtype=float32)
    """
    return apply("mul", x, y).sum(dim)


def cross(input: Any, other: Any, *, dim: int = -1) -> Tensor:
    """`ops.cross` along the last dimension, or another.

    Example:
        >>> import ravine as rv
        >>> rv.ops.linalg.cross([1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
        tensor([0., 0., 1.], dtype=float32)
    """
    return _cross(input, other, dim)


def diagonal(A: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """`ops.diagonal` of the last two dimensions, or of others.

    Example:
        >>> import ravine as rv
        >>> rv.ops.linalg.diagonal([[1.0, 2.0], [3.0, 4.0]])
        tensor([1., 4.], dtype=float32)
    """
    return _diagonal(A, offset, dim1, dim2)


def vander(x: Any, N: int | None = None) -> Tensor:
    """Powers 0 to N - 1 of numbers, as rows [..., n, N].

    Example:
        >>> import ravine as rv
        >>> rv.ops.linalg.vander([2.0, 3.0], 3)
        tensor([[1., 2., 4.],
                [1., 3., 9.]], dtype=float32)
    """
    v = as_tensor(x)
    if v.ndim < 1 and N is None:
        raise ValueError("linalg.vander: at least one dimension is expected, got a scalar")
    count = v.shape[-1] if N is None else whole("linalg.vander", "N", N)
    v = v if v.ndim else reshape(v, (1,))
    v = v if v.dtype != "bool" else apply("cast", v, dtype="int64")
    if count == 1:
        return broadcast_to(np.ones((), v.dtype), (*v.shape, 1))
    powers = cumprod(broadcast_to(unsqueeze(v, -1), (*v.shape, count - 1)), -1)
    ahead = [0] * powers.ndim
    return apply("pad", powers, before=(*ahead[:-1], 1), after=tuple(ahead), value=1.0)
