"""Systems of linear equations and inverses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..._dims import is_dim
from ..._numbers import whole
from ...record import FLOATING, Operand, Tensor, apply, as_tensor
from .._arrange import movedim
from .._shape import broadcast_to, reshape, transpose, unsqueeze


def matrices(op: str, A: Any, square: bool = False) -> Operand:
    """A as floating matrices, square where that is asked for."""
    x = as_tensor(A)
    if x.ndim < 2:
        raise ValueError(f"linalg.{op}: matrices [..., rows, columns] are expected, got shape {x.shape}")
    if square and x.shape[-1] != x.shape[-2]:
        raise ValueError(f"linalg.{op}: square matrices are expected, got shape {x.shape}")
    if x.dtype not in FLOATING:
        raise TypeError(f"linalg.{op}: matrices must be floating, got {x.dtype}")
    return x


def turned(x: Any) -> Tensor:
    """Matrices with rows as columns."""
    return transpose(x, -2, -1)


def _in_one_batch(op: str, a: Operand, b: Operand) -> tuple[Operand, Operand]:
    try:
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise ValueError(f"linalg.{op}: batches of shapes {a.shape} and {b.shape} do not broadcast") from None
    return broadcast_to(a, (*batch, *a.shape[-2:])), broadcast_to(b, (*batch, *b.shape[-2:]))


def solve(A: Any, B: Any, *, left: bool = True) -> Tensor:
    """X with `A X = B`; with `left=False` with `X A = B`.

    Args:
        A: square matrices [..., n, n].
        B: right sides [..., n, k], or [n] or [..., n] with the batch of A.
        left: the side on which A stands.

    Raises ValueError for a singular matrix, when it runs.

    Example:
        >>> import ravine as rv
        >>> rv.ops.linalg.solve([[2.0, 0.0], [0.0, 4.0]], [2.0, 2.0])
        tensor([1. , 0.5], dtype=float32)
    """
    a, b = matrices("solve", A, square=True), as_tensor(B)
    vector = b.ndim == 1 or (b.ndim == a.ndim - 1 and b.shape == a.shape[:-1])
    if vector and not left:
        raise ValueError(f"linalg.solve: left=False needs matrices on the right side, got shape {b.shape}")
    b = unsqueeze(b, -1) if vector else b
    if b.ndim < 2 or b.shape[-2 if left else -1] != a.shape[-1]:
        raise ValueError(
            f"linalg.solve: right sides of shape {as_tensor(B).shape} do not fit matrices {a.shape}"
        )
    if not left:
        return turned(solve(turned(a), turned(b)))
    x = apply("solve", *_in_one_batch("solve", a, b))
    return reshape(x, x.shape[:-1]) if vector else x


def solve_triangular(
    A: Any, B: Any, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    """`solve` for triangular matrices, of which the other half is not read.

    Args:
        A: square matrices [..., n, n].
        B: right sides [..., n, k].
        upper: which half counts.
        left: the side on which A stands.
        unitriangular: count the diagonal as ones.

    Example:
        >>> import ravine as rv
        >>> rv.ops.linalg.solve_triangular([[2.0, 1.0], [0.0, 4.0]], [[4.0], [4.0]], upper=True)
        tensor([[1.5],
                [1. ]], dtype=float32)
    """
    a, b = matrices("solve_triangular", A, square=True), matrices("solve_triangular", B)
    if not left:
        kind = {"upper": not upper, "unitriangular": unitriangular}
        return turned(solve_triangular(turned(a), turned(b), **kind))
    if b.shape[-2] != a.shape[-1]:
        raise ValueError(f"linalg.solve_triangular: right sides {b.shape} do not fit matrices {a.shape}")
    a, b = _in_one_batch("solve_triangular", a, b)
    return apply("solve_triangular", a, b, upper=bool(upper), unitriangular=bool(unitriangular))


def inv(A: Any) -> Tensor:
    """The inverse of square matrices; prefer `solve` where it is to be multiplied by something.

    Raises ValueError for a singular matrix, when it runs.

    Example:
        >>> import ravine as rv
        >>> rv.ops.linalg.inv([[2.0, 0.0], [0.0, 4.0]])
        tensor([[0.5 , 0.  ],
                [0.  , 0.25]], dtype=float32)
    """
    a = matrices("inv", A, square=True)
    return apply("solve", a, broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape))


def tensorinv(A: Any, ind: int = 2) -> Tensor:
    """The inverse of a tensor as a matrix from its dimensions behind `ind` to those before it.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.linalg.tensorinv(np.eye(6).reshape(2, 3, 6)).shape
        (6, 2, 3)
    """
    a = as_tensor(A)
    cut = whole("linalg.tensorinv", "ind", ind)
    rows, columns = a.shape[:cut], a.shape[cut:]
    if math.prod(rows) != math.prod(columns):
        raise ValueError(f"linalg.tensorinv: shape {a.shape} cut at {cut} is no square matrix")
    return reshape(inv(reshape(a, (math.prod(rows), -1))), (*columns, *rows))


def tensorsolve(A: Any, B: Any, dims: Any = None) -> Tensor:
    """X with `tensordot(A, X, X.ndim) = B`; `dims` are moved to the end of A first.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.linalg.tensorsolve(np.eye(6).reshape(2, 3, 6), np.ones((2, 3))).shape
        (6,)
    """
    a, b = as_tensor(A), as_tensor(B)
    if dims is not None:
        moved = (dims,) if is_dim(dims) else tuple(dims)
        a = movedim(a, moved, tuple(range(a.ndim - len(moved), a.ndim)))
    shape = a.shape[b.ndim :]
    if math.prod(shape) != b.numel():
        raise ValueError(f"linalg.tensorsolve: shapes {a.shape} and {b.shape} do not fit together")
    return reshape(solve(reshape(a, (-1, math.prod(shape))), reshape(b, (-1,))), shape)
