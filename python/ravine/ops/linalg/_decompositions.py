"""Decompositions and determinants, and what follows from singular values."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ...record import Operand, Tensor, apply, apply_all
from .._create import constant, tril
from .._elementwise import where
from .._linalg import matmul
from .._shape import narrow, unsqueeze
from ._systems import matrices, turned


class QR(NamedTuple):
    """What `qr` returns."""

    Q: Tensor
    R: Tensor


class SVD(NamedTuple):
    """What `svd` returns."""

    U: Tensor
    S: Tensor
    Vh: Tensor


class Eigen(NamedTuple):
    """What `eigh` returns."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class LogDet(NamedTuple):
    """What `slogdet` returns."""

    sign: Tensor
    logabsdet: Tensor


def cholesky(A: Any, *, upper: bool = False) -> Tensor:
    """The lower triangle L with `L Lᵀ = A` of symmetric positive definite matrices; `upper`: its transpose.

    Raises ValueError for a matrix that is not positive definite, when it runs.

    Example:
        >>> import ravine as rv
        >>> rv.ops.linalg.cholesky([[4.0, 2.0], [2.0, 5.0]])
        tensor([[2., 0.],
                [1., 2.]], dtype=float32)
    """
    a = matrices("cholesky", A, square=True)
    return turned(apply("cholesky", turned(a))) if upper else apply("cholesky", a)


def qr(A: Any, mode: str = "reduced") -> QR:
    """Orthonormal columns Q and an upper triangle R with `Q R = A`.

    Args:
        A: [..., m, n].
        mode: "reduced" (Q is [m, k], k the smaller extent), "complete" (Q is square), "r" (Q is empty).

    There is no gradient of the complete form of a matrix with more rows than columns.

    Example:
        >>> import numpy as np, ravine as rv
        >>> q, r = rv.ops.linalg.qr([[3.0], [4.0]])
        >>> np.abs(r.numpy())
        array([[5.]], dtype=float32)
    """
    if mode not in ("reduced", "complete", "r"):
        raise ValueError(f"linalg.qr: mode must be 'reduced', 'complete' or 'r', got {mode!r}")
    a = matrices("qr", A)
    q, r = apply_all("qr", [a], full=mode == "complete")
    return QR(constant(np.zeros(0), a.dtype) if mode == "r" else q, r)


def eigh(A: Any, UPLO: str = "L") -> Eigen:
    """Eigenvalues, ascending, and eigenvectors in the columns, of symmetric matrices.

    Args:
        A: [..., n, n].
        UPLO: which half counts, "L" or "U".

    The signs of eigenvectors are not determined; gradients are those of eigenvalues that all differ.

    Example:
        >>> import ravine as rv
        >>> rv.ops.linalg.eigh([[2.0, 0.0], [0.0, 1.0]]).eigenvalues
        tensor([1., 2.], dtype=float32)
    """
    if UPLO not in ("L", "U", "l", "u"):
        raise ValueError(f"linalg.eigh: UPLO must be 'L' or 'U', got {UPLO!r}")
    a = matrices("eigh", A, square=True)
    return Eigen(*apply_all("eigh", [a if UPLO in "Ll" else turned(a)]))


def eigvalsh(A: Any, UPLO: str = "L") -> Tensor:
    """The eigenvalues of `eigh`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.linalg.eigvalsh([[2.0, 0.0], [0.0, 1.0]])
        tensor([1., 2.], dtype=float32)
    """
    return eigh(A, UPLO).eigenvalues


def svd(A: Any, full_matrices: bool = True) -> SVD:
    """Singular values S, descending, and orthonormal vectors with `U diag(S) Vh = A`.

    Args:
        A: [..., m, n].
        full_matrices: square U and Vh; else [m, k] and [k, n] with the smaller extent k.

    The signs of pairs of vectors are not determined; gradients are those of values that all differ and are
    not 0.

    Example:
        >>> import ravine as rv
        >>> rv.ops.linalg.svd([[3.0, 0.0], [0.0, 4.0]]).S
        tensor([4., 3.], dtype=float32)
    """
    return SVD(*apply_all("svd", [matrices("svd", A)], full=bool(full_matrices)))


def svdvals(A: Any) -> Tensor:
    """The singular values of `svd`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.linalg.svdvals([[3.0, 0.0], [0.0, 4.0]])
        tensor([4., 3.], dtype=float32)
    """
    return svd(A, False).S


def det(A: Any) -> Tensor:
    """The determinants of square matrices; there is no gradient where they are 0.

    Example:
        >>> import ravine as rv
        >>> rv.ops.linalg.det([[2.0, 1.0], [1.0, 2.0]])
        tensor(3., dtype=float32)
    """
    return apply("det", matrices("det", A, square=True))


def slogdet(A: Any) -> LogDet:
    """Sign, and logarithm of the size, of determinants: 0 and -infinity of singular matrices.

    Example:
        >>> import ravine as rv
        >>> rv.ops.linalg.slogdet([[1.0, 0.0], [0.0, -1.0]])
        LogDet(sign=tensor(-1., dtype=float32), logabsdet=tensor(0., dtype=float32))
    """
    return LogDet(*apply_all("slogdet", [matrices("slogdet", A, square=True)]))


def logdet(A: Any) -> Tensor:
    """Logarithms of determinants; NaN where they are negative.

    Example:
        >>> import ravine as rv
        >>> rv.ops.linalg.logdet([[1.0, 0.0], [0.0, 1.0]])
        tensor(0., dtype=float32)
    """
    sign, size = slogdet(A)
    return where(sign == -1, np.asarray(math.nan, size.dtype), size)


def pinv(A: Any, *, atol: Any = None, rtol: Any = None, hermitian: bool = False) -> Tensor:
    """Moore and Penrose's pseudoinverse, by `svd`: singular values below a tolerance count as 0.

    Args:
        A: [..., m, n].
        atol, rtol: a singular value counts if it exceeds `max(atol, rtol · largest)`; rtol is by default
            the larger extent times the dtype's epsilon where atol is not given, else 0.
        hermitian: A is symmetric, its lower half counts.

    Example:
        >>> import ravine as rv
        >>> rv.ops.linalg.pinv([[2.0, 0.0], [0.0, 0.0]])
        tensor([[0.5, 0. ],
                [0. , 0. ]], dtype=float32)
    """
    a = matrices("pinv", A)
    if not a.numel():
        return constant(np.zeros((*a.shape[:-2], a.shape[-1], a.shape[-2])), a.dtype)
    a = tril(a) + turned(tril(a, -1)) if hermitian else a
    u, s, vh = svd(a, False)
    counts = _above(a, s, atol, rtol)
    inverse = where(counts, 1.0 / where(counts, s, np.ones((), s.dtype)), np.zeros((), s.dtype))
    return matmul(turned(vh) * unsqueeze(inverse, -2), turned(u))


def _above(a: Operand, s: Tensor, atol: Any, rtol: Any) -> Tensor:
    """Which singular values exceed the tolerance."""
    if rtol is None:
        rtol = max(a.shape[-2:]) * float(np.finfo(a.dtype).eps) if atol is None else 0.0
    absolute, relative = (
        x if isinstance(x, float | int) else unsqueeze(apply("cast", x, dtype=s.dtype), -1)
        for x in (0.0 if atol is None else atol, rtol)
    )
    fixed = apply("stop_gradient", s)
    largest = narrow(fixed, -1, 0, 1)
    return fixed > apply("maximum", largest * relative, absolute)


def matrix_rank(
    A: Any, tol: Any = None, *, atol: Any = None, rtol: Any = None, hermitian: bool = False
) -> Tensor:
    """How many singular values exceed a tolerance; arguments as for `pinv`, `tol` is an older name of `atol`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.linalg.matrix_rank([[2.0, 0.0], [0.0, 0.0]])
        tensor(1, dtype=int64)
    """
    a = matrices("matrix_rank", A)
    if 0 in a.shape[-2:]:
        return constant(np.zeros(a.shape[:-2]), "int64")
    absolute = atol if tol is None else tol
    return apply("sum", _above(a, svdvals(a), absolute, rtol), axes=(a.ndim - 2,), keepdims=False)


class LeastSquares(NamedTuple):
    """What `lstsq` returns."""

    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


def lstsq(A: Any, B: Any, rcond: float | None = None, *, driver: str | None = None) -> LeastSquares:
    """X that minimises `|A X - B|`, the shortest of several, by `pinv`.

    Args:
        A: [..., m, n].
        B: [..., m, k].
        rcond: singular values below this times the largest count as 0; by default as in `pinv`.
        driver: taken for torch's sake.

    Returns: (solution, residuals, rank, singular_values); residuals `Σ (A X - B)²` of columns where m > n,
    else empty as the singular values are.

    Example:
        >>> import ravine as rv
        >>> rv.ops.linalg.lstsq([[2.0], [0.0]], [[1.0], [3.0]]).solution
        tensor([[0.5]], dtype=float32)
    """
    a, b = matrices("lstsq", A), matrices("lstsq", B)
    if a.shape[:-1] != b.shape[:-1]:
        raise ValueError(f"linalg.lstsq: right sides of shape {b.shape} do not fit matrices {a.shape}")
    x = matmul(pinv(a, rtol=rcond), b)
    nothing = constant(np.zeros(0), a.dtype)
    errors = apply("square", matmul(a, x) - b)
    tall = a.shape[-2] > a.shape[-1]
    residuals = apply("sum", errors, axes=(errors.ndim - 2,), keepdims=False) if tall else nothing
    return LeastSquares(x, residuals, matrix_rank(a, rtol=rcond), nothing)
