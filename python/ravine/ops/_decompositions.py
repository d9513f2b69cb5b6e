"""Matrix functions under the names that torch keeps outside of `linalg`."""

from __future__ import annotations

from typing import Any

from ..record import Tensor, as_tensor
from . import linalg
from ._linalg import matmul
from ._shape import reshape, transpose


def cholesky(input: Any, upper: bool = False) -> Tensor:
    """`linalg.cholesky`: L with `A = L Lᵀ`, or with upper its transpose.

    Example:
        >>> import ravine as rv
        >>> rv.ops.cholesky([[4.0]])
        tensor([[2.]], dtype=float32)
    """
    factor = linalg.cholesky(input)
    return transpose(factor, -2, -1) if upper else factor


def cholesky_inverse(input: Any, upper: bool = False) -> Tensor:
    """The inverse of A from its factor, the input: `A = L Lᵀ` (upper: `Lᵀ L`).

    Example:
        >>> import ravine as rv
        >>> rv.ops.cholesky_inverse([[2.0]])
        tensor([[0.25]], dtype=float32)
    """
    factor = as_tensor(input)
    inverse = linalg.inv(factor)
    other = transpose(inverse, -2, -1)
    return matmul(inverse, other) if upper else matmul(other, inverse)


def logdet(input: Any) -> Tensor:
    """`linalg.logdet`: the logarithm of the determinant; NaN of a negative one.

    Example:
        >>> import ravine as rv
        >>> rv.ops.logdet([[1.0, 0.0], [0.0, 1.0]])
        tensor(0., dtype=float32)
    """
    return linalg.logdet(input)


def matrix_exp(input: Any) -> Tensor:
    """`linalg.matrix_exp`: `Σ Aᵏ / k!`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.matrix_exp([[0.0]])
        tensor([[1.]], dtype=float32)
    """
    return linalg.matrix_exp(input)


def pinverse(input: Any, rcond: float = 1e-15) -> Tensor:
    """`linalg.pinv`: the pseudo-inverse; singular values below rcond times the largest count as 0.

    Example:
        >>> import ravine as rv
        >>> rv.ops.pinverse([[2.0]])
        tensor([[0.5]], dtype=float32)
    """
    return linalg.pinv(input, rtol=rcond)


def qr(input: Any, some: bool = True) -> tuple[Tensor, Tensor]:
    """`linalg.qr`: Q with orthonormal columns and upper triangular R, `A = Q R`; some=False: Q is square.

    Example:
        >>> import ravine as rv
        >>> q, r = rv.ops.qr([[3.0], [4.0]])
        >>> q.shape, r.shape
        ((2, 1), (1, 1))
    """
    return linalg.qr(input, "reduced" if some else "complete")


def triangular_solve(
    input: Any, A: Any, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> tuple[Tensor, Tensor]:
    """The solution X of `A X = B`, B the input and A triangular, and A again; see `linalg.solve_triangular`.

    Args:
        input: B, [..., n, k].
        A: [..., n, n]; what lies on the other side of its diagonal is not read.
        upper: whether A is upper triangular.
        transpose: solve `Aᵀ X = B` instead.
        unitriangular: the diagonal counts as ones.

    Example:
        >>> import ravine as rv
        >>> rv.ops.triangular_solve([[4.0]], [[2.0]])[0]
        tensor([[2.]], dtype=float32)
    """
    a = as_tensor(A)
    matrix = a.mT if transpose else a
    x = linalg.solve_triangular(matrix, input, upper=upper != transpose, unitriangular=unitriangular)
    return x, reshape(a, a.shape)
