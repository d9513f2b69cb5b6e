"""Linear algebra: systems, decompositions, determinants, norms of matrices, with torch.linalg's names.

Matrices are the last two dimensions, what stands before is a batch. Decompositions run in float64, whatever
the dtype, by Eigen; gradients are differentiable again.
"""

from ._decompositions import (
    cholesky,
    det,
    eigh,
    eigvalsh,
    logdet,
    lstsq,
    matrix_rank,
    pinv,
    qr,
    slogdet,
    svd,
    svdvals,
)
from ._functions import (
    cond,
    cross,
    diagonal,
    matrix_exp,
    matrix_norm,
    matrix_power,
    multi_dot,
    norm,
    vander,
    vecdot,
    vector_norm,
)
from ._systems import inv, solve, solve_triangular, tensorinv, tensorsolve

__all__ = [
    "cholesky",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "logdet",
    "lstsq",
    "matrix_exp",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensorinv",
    "tensorsolve",
    "vander",
    "vecdot",
    "vector_norm",
]
