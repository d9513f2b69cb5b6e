"""The norm that is of vectors or of matrices."""

from __future__ import annotations

from typing import Any

from .._dims import Axes, axes_of, numpy_names
from ..record import Tensor, apply, as_tensor, dtype_name
from ._shape import reshape
from ._statistics import order_of, vector_norm
from .linalg import matrix_norm


@numpy_names
def norm(input: Any, p: Any = "fro", dim: Axes = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The p-norm `(Σ |x|ᵖ)^(1/p)` of vectors, over dimensions or of all elements; its gradient at 0 is 0.

    Args:
        input: floating, any shape.
        p: a number, infinity for the largest size, 0 for the number of elements that are not 0; "fro" means
            2; "nuc" is the sum of singular values of matrices in the two dimensions.
        dim: dimension or dimensions; None takes all.
        keepdim: keep the reduced dimensions, with size 1.
        dtype: cast the input to it first.

    Example:
        >>> import ravine as rv
        >>> rv.ops.norm([3.0, 4.0])
        tensor(5., dtype=float32)
    """
    x = as_tensor(input)
    if dtype is not None:
        x = apply("cast", x, dtype=dtype_name(dtype))
    axes = axes_of(dim, x.ndim, "norm")
    if p == "nuc":
        return matrix_norm(x, "nuc", axes, keepdim)
    order = 2.0 if p in ("fro", None) else order_of("norm", p)
    y = vector_norm("norm", x, order, axes, keepdim)
    return reshape(y, (1,) * x.ndim) if keepdim and dim is None else y
