"""Products of vectors, matrices and tensors: by name, by axes, by an equation."""

from __future__ import annotations

import itertools
import math
import string
from typing import Any

import numpy as np

from .._dims import is_dim, normalise_dim, sizes_of
from ..record import FLOATING, Operand, Tensor, apply, as_tensor
from ._diagonal import diagonal as diagonal_of
from ._linalg import matmul
from ._shape import permute, reshape, unsqueeze
from ._statistics import order_of, vector_norm


def _ranked(op: str, rank: int, *tensors: Any) -> list[Operand]:
    """The operands, each of the given rank."""
    parts = [as_tensor(t) for t in tensors]
    if any(p.ndim != rank for p in parts):
        kind = ("scalars", "vectors", "matrices", "batches of matrices")[rank]
        raise ValueError(f"{op}: {kind} are expected, got shapes {' and '.join(str(p.shape) for p in parts)}")
    return parts


def _product(a: Operand, b: Operand) -> Tensor:
    """`matmul` of numbers of any dtype: integers by way of float64, exact to 2^53."""
    dtype = apply("add", np.zeros((), a.dtype), np.zeros((), b.dtype)).dtype
    if dtype in FLOATING:
        return matmul(a, b)
    wide = matmul(apply("cast", a, dtype="float64"), apply("cast", b, dtype="float64"))
    return apply("cast", wide, dtype=dtype)


def mm(input: Any, mat2: Any) -> Tensor:
    """The product of two matrices; `matmul` also takes vectors and batches.

    Example:
        >>> import ravine as rv
        >>> rv.ops.mm([[1.0, 2.0]], [[3.0], [4.0]])
        tensor([[11.]], dtype=float32)
    """
    return matmul(*_ranked("mm", 2, input, mat2))


def bmm(input: Any, mat2: Any) -> Tensor:
    """The products of two batches of matrices, [b, n, k] times [b, k, m].

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.bmm(np.ones((2, 1, 3)), np.ones((2, 3, 4))).shape
        (2, 1, 4)
    """
    a, b = _ranked("bmm", 3, input, mat2)
    if a.shape[0] != b.shape[0]:
        raise ValueError(f"bmm: batches must be equally large, got shapes {a.shape} and {b.shape}")
    return matmul(a, b)


def mv(input: Any, vec: Any) -> Tensor:
    """The product of a matrix and a vector.

    Example:
        >>> import ravine as rv
        >>> rv.ops.mv([[1.0, 2.0]], [3.0, 4.0])
        tensor([11.], dtype=float32)
    """
    (a,), (b,) = _ranked("mv", 2, input), _ranked("mv", 1, vec)
    return matmul(a, b)


def dot(input: Any, other: Any) -> Tensor:
    """The inner product of two vectors.

    Example:
        >>> import ravine as rv
        >>> rv.ops.dot([1.0, 2.0], [3.0, 4.0])
        tensor(11., dtype=float32)
    """
    a, b = _ranked("dot", 1, input, other)
    if a.shape != b.shape:
        raise ValueError(f"dot: vectors must be equally long, got shapes {a.shape} and {b.shape}")
    return matmul(a, b)


vdot = dot


def inner(input: Any, other: Any) -> Tensor:
    """Sums of products over the last dimensions of both; a scalar multiplies.

    Example:
        >>> import ravine as rv
        >>> rv.ops.inner([[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]])
        tensor([[11., 17.]], dtype=float32)
    """
    a, b = as_tensor(input), as_tensor(other)
    if not a.ndim or not b.ndim:
        return apply("mul", a, b)
    if a.shape[-1] != b.shape[-1]:
        raise ValueError(f"inner: last dimensions must be equally long, got shapes {a.shape} and {b.shape}")
    return tensordot(a, b, ([-1], [-1]))


def outer(input: Any, vec2: Any) -> Tensor:
    """The outer product of two vectors, [n, m].

    Example:
        >>> import ravine as rv
        >>> rv.ops.outer([1.0, 2.0], [3.0, 4.0])
        tensor([[3., 4.],
                [6., 8.]], dtype=float32)
    """
    a, b = _ranked("outer", 1, input, vec2)
    return apply("mul", unsqueeze(a, 1), b)


ger = outer


def _plus(op: str, input: Any, product: Tensor, beta: float, alpha: float) -> Tensor:
    """`beta · input + alpha · product`; with a beta of 0 the input counts nothing, not even as NaN."""
    product = product if alpha == 1 else product * alpha
    x = as_tensor(input)
    try:
        fits = np.broadcast_shapes(x.shape, product.shape) == product.shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"{op}: input of shape {x.shape} does not broadcast to the product's {product.shape}"
        )
    if beta == 0:
        return product
    return apply("add", x if beta == 1 else x * beta, product)


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """`beta · input + alpha · mat1 mat2`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.addmm([[1.0]], [[1.0, 2.0]], [[3.0], [4.0]])
        tensor([[12.]], dtype=float32)
    """
    return _plus("addmm", input, mm(mat1, mat2), beta, alpha)


def addmv(input: Any, mat: Any, vec: Any, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """`beta · input + alpha · mat vec`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.addmv([1.0], [[1.0, 2.0]], [3.0, 4.0])
        tensor([12.], dtype=float32)
    """
    return _plus("addmv", input, mv(mat, vec), beta, alpha)


def addr(input: Any, vec1: Any, vec2: Any, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """`beta · input + alpha · vec1 vec2ᵀ`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.addr([[1.0]], [2.0], [3.0])
        tensor([[7.]], dtype=float32)
    """
    return _plus("addr", input, outer(vec1, vec2), beta, alpha)


def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """`beta · input + alpha · batch1 batch2`, matrix by matrix.

    Example:
        >>> import numpy as np, ravine as rv
        >>> float(rv.ops.baddbmm([[[1.0]]], [[[2.0]]], [[[3.0]]]))
        7.0
    """
    return _plus("baddbmm", input, bmm(batch1, batch2), beta, alpha)


def addbmm(input: Any, batch1: Any, batch2: Any, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """`beta · input + alpha · Σ batch1 batch2`, summed over the batch.

    Example:
        >>> import ravine as rv
        >>> float(rv.ops.addbmm([[1.0]], [[[2.0]]], [[[3.0]]]))
        7.0
    """
    return _plus("addbmm", input, bmm(batch1, batch2).sum(0), beta, alpha)


def tensordot(a: Any, b: Any, dims: Any = 2) -> Tensor:
    """Sums of products over dimensions of both.

    Args:
        a, b: tensors.
        dims: how many: the last of `a` and the first of `b`; or a pair of lists of dimensions.

    Returns: the other dimensions of `a`, then those of `b`.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.ops.tensordot(np.ones((2, 3, 4)), np.ones((4, 3, 5)), ([1, 2], [1, 0])).shape
        (2, 5)
    """
    x, y = as_tensor(a), as_tensor(b)
    if is_dim(dims):
        if not 0 <= dims <= min(x.ndim, y.ndim):
            raise ValueError(f"tensordot: dims={dims} for shapes {x.shape} and {y.shape}")
        of_x, of_y = tuple(range(x.ndim - dims, x.ndim)), tuple(range(dims))
    else:
        first, second = dims
        of_x = tuple(normalise_dim(d, x.ndim, "tensordot") for d in sizes_of(first, "tensordot"))
        of_y = tuple(normalise_dim(d, y.ndim, "tensordot") for d in sizes_of(second, "tensordot"))
    pairs = list(zip(of_x, of_y, strict=False))
    if len(of_x) != len(of_y) or any(
        x.shape[i] != y.shape[j] and 1 not in (x.shape[i], y.shape[j]) for i, j in pairs
    ):
        raise ValueError(f"tensordot: dims {dims} of shapes {x.shape} and {y.shape} do not fit")
    # A size of 1 counts for every place of the other's dimension, which is summed first.
    wide_x = tuple(i for i, j in pairs if y.shape[j] == 1 != x.shape[i])
    wide_y = tuple(j for i, j in pairs if x.shape[i] == 1 != y.shape[j])
    x = apply("sum", x, axes=wide_x, keepdims=True) if wide_x else x
    y = apply("sum", y, axes=wide_y, keepdims=True) if wide_y else y
    sizes = [x.shape[i] for i in of_x]
    rest_x = [i for i in range(x.ndim) if i not in of_x]
    rest_y = [i for i in range(y.ndim) if i not in of_y]
    rows, columns = [x.shape[i] for i in rest_x], [y.shape[i] for i in rest_y]
    count = math.prod(sizes)
    left = reshape(permute(x, [*rest_x, *of_x]), (math.prod(rows), count))
    right = reshape(permute(y, [*of_y, *rest_y]), (count, math.prod(columns)))
    return reshape(_product(left, right), (*rows, *columns))


def kron(input: Any, other: Any) -> Tensor:
    """The Kronecker product: each element of the first times the whole second.

    Example:
        >>> import ravine as rv
        >>> rv.ops.kron([[1.0, 2.0]], [[1.0, 1.0]])
        tensor([[1., 1., 2., 2.]], dtype=float32)
    """
    a, b = as_tensor(input), as_tensor(other)
    rank = max(a.ndim, b.ndim)
    a = reshape(a, (1,) * (rank - a.ndim) + a.shape)
    b = reshape(b, (1,) * (rank - b.ndim) + b.shape)
    shape = tuple(n * m for n, m in zip(a.shape, b.shape, strict=True))
    if rank > 4:  # twice as many dimensions would be too many: one dimension after the other
        rows = [np.arange(n * m) // m for n, m in zip(a.shape, b.shape, strict=True)]
        columns = [np.arange(n * m) % m for n, m in zip(a.shape, b.shape, strict=True)]
        for axis in range(rank):
            a = apply("gather_rows", a, rows[axis], axis=axis)
            b = apply("gather_rows", b, columns[axis], axis=axis)
        return apply("mul", a, b)
    left = reshape(a, [n for size in a.shape for n in (size, 1)])
    right = reshape(b, [n for size in b.shape for n in (1, size)])
    return reshape(apply("mul", left, right), shape)


def cross(input: Any, other: Any, dim: int | None = None) -> Tensor:
    """Vector products along a dimension of size 3; None takes the first such dimension. Shapes broadcast.

    Example:
        >>> import ravine as rv
        >>> rv.ops.cross([1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
        tensor([0., 0., 1.], dtype=float32)
    """
    a, b = as_tensor(input), as_tensor(other)
    if dim is None:
        dim = next((i for i, n in enumerate(a.shape) if n == 3), None)
        if dim is None:
            raise ValueError(f"cross: shape {a.shape} has no dimension of size 3")
    if a.ndim != b.ndim:
        raise ValueError(f"cross: operands must have one rank, got shapes {a.shape} and {b.shape}")
    axis = normalise_dim(dim, a.ndim, "cross")
    if a.shape[axis] != 3 or b.shape[axis] != 3:
        raise ValueError(f"cross: dimension {dim} must have size 3, got shapes {a.shape} and {b.shape}")

    def turned(x: Operand, by: int) -> Tensor:
        return apply("gather_rows", x, (np.arange(3) + by) % 3, axis=axis)

    return turned(a, 1) * turned(b, 2) - turned(a, 2) * turned(b, 1)


def cdist(
    x1: Any, x2: Any, p: float = 2.0, compute_mode: str = "use_mm_for_euclid_dist_if_necessary"
) -> Tensor:
    """Distances of all pairs of rows: [..., n, m] and [..., k, m] give [..., n, k].

    Args:
        x1, x2: rows of equally many numbers; leading dimensions broadcast.
        p: order of the norm.
        compute_mode: taken for torch's sake; differences are always formed.

    Example:
        >>> import ravine as rv
        >>> rv.ops.cdist([[0.0, 0.0]], [[3.0, 4.0], [0.0, 1.0]])
        tensor([[5., 1.]], dtype=float32)
    """
    a, b = as_tensor(x1), as_tensor(x2)
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-1]:
        raise ValueError(
            f"cdist: [..., n, m] and [..., k, m] are expected, got shapes {a.shape} and {b.shape}"
        )
    order = order_of("cdist", p)
    if order < 0:
        raise ValueError(f"cdist: p must not be negative, got {p}")
    gap = unsqueeze(a, -2) - unsqueeze(b, -3)
    if gap.shape[-1] == 0:
        return apply("sum", gap, axes=(gap.ndim - 1,), keepdims=False)
    return vector_norm("cdist", gap, order, (gap.ndim - 1,), False)


def pdist(input: Any, p: float = 2.0) -> Tensor:
    """Distances of all pairs of different rows of a matrix, as a vector.

    Example:
        >>> import ravine as rv
        >>> rv.ops.pdist([[0.0, 0.0], [3.0, 4.0]])
        tensor([5.], dtype=float32)
    """
    (x,) = _ranked("pdist", 2, input)
    first, second = np.triu_indices(x.shape[0], 1)
    gap = apply("gather_rows", x, first, axis=0) - apply("gather_rows", x, second, axis=0)
    if gap.numel() == 0:
        return apply("sum", gap, axes=(1,), keepdims=False)
    return vector_norm("pdist", gap, order_of("pdist", p), (1,), False)


# ---- einsum


def _einsum_terms(equation: str, count: int) -> tuple[list[str], str | None]:
    text = equation.replace(" ", "").replace("...", "@")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != count:
        raise ValueError(f"einsum: {equation!r} names {len(terms)} operands, got {count}")
    for term in [*terms, right]:
        if term.count("@") > 1 or not set(term) <= set(string.ascii_letters + "@"):
            raise ValueError(f"einsum: a term holds letters and at most one '...', got {equation!r}")
    return terms, right if arrow else None


def _with_letters(term: str, x: Operand, equation: str, places: int) -> list[Any]:
    """A letter or, for what '...' stands for, a number from the end, for each dimension."""
    if "@" not in term:
        if len(term) != x.ndim:
            raise ValueError(f"einsum: {term!r} of {equation!r} does not fit shape {x.shape}")
        return list(term)
    hidden = x.ndim - (len(term) - 1)
    if hidden < 0:
        raise ValueError(f"einsum: a term of {equation!r} names more dimensions than shape {x.shape} has")
    front, back = term.split("@")
    return [*front, *range(places - hidden, places), *back]


def _without_repeats(x: Operand, names: list[Any]) -> tuple[Operand, list[Any]]:
    """Diagonals where a letter names two dimensions."""
    for name in set(names):
        while names.count(name) > 1:
            i = names.index(name)
            j = names.index(name, i + 1)
            if x.shape[i] != x.shape[j]:
                raise ValueError(f"einsum: {name!r} names dimensions of different sizes in shape {x.shape}")
            x = diagonal_of(x, 0, i, j)
            names = [n for k, n in enumerate(names) if k not in (i, j)] + [name]
    return x, names


def _pairwise(
    x: Operand, of_x: list[Any], y: Operand, of_y: list[Any], kept: set[Any]
) -> tuple[Tensor, list[Any]]:
    """One product of two operands: batch, free and summed dimensions; what nobody needs is summed first."""

    def summed(z: Operand, names: list[Any], others: list[Any]) -> tuple[Operand, list[Any]]:
        lonely = [i for i, n in enumerate(names) if n not in kept and n not in others]
        if lonely:
            z = apply("sum", z, axes=tuple(lonely), keepdims=False)
        return z, [n for i, n in enumerate(names) if i not in lonely]

    x, of_x = summed(x, of_x, of_y)
    y, of_y = summed(y, of_y, of_x)
    size_x, size_y = dict(zip(of_x, x.shape, strict=True)), dict(zip(of_y, y.shape, strict=True))
    both = [n for n in of_x if n in size_y]
    # A size of 1 that meets another one broadcasts: it is no dimension of its operand.
    for z_names, mine, theirs in ((of_x, size_x, size_y), (of_y, size_y, size_x)):
        drop = [n for n in both if mine[n] == 1 and theirs[n] != 1]
        if drop:
            if z_names is of_x:
                x = reshape(x, [m for n, m in size_x.items() if n not in drop])
            else:
                y = reshape(y, [m for n, m in size_y.items() if n not in drop])
            for n in drop:
                del mine[n]
    of_x, of_y = list(size_x), list(size_y)
    if any(n not in of_x or n not in of_y for n in both):
        return _pairwise(x, of_x, y, of_y, kept)
    batch = [n for n in both if n in kept]
    over = [n for n in both if n not in kept]
    free_x, free_y = [n for n in of_x if n not in both], [n for n in of_y if n not in both]
    left = permute(x, [of_x.index(n) for n in (*batch, *free_x, *over)])
    right = permute(y, [of_y.index(n) for n in (*batch, *over, *free_y)])
    shape = [size_x[n] for n in batch]
    rows, columns = [size_x[n] for n in free_x], [size_y[n] for n in free_y]
    count = math.prod(size_x[n] for n in over)
    left = reshape(left, (*shape[:0], math.prod(shape), math.prod(rows), count))
    right = reshape(right, (math.prod(shape), count, math.prod(columns)))
    product = _product(left, right) if over else apply("mul", left, right)
    return reshape(product, (*shape, *rows, *columns)), [*batch, *free_x, *free_y]


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Tensor:
    """Bilinear map of two inputs, `y_k = x1ᵀ A_k x2 + b_k`.

    Args:
        input1: [..., in1].
        input2: [..., in2], the leading dimensions those of input1.
        weight: A, [out, in1, in2].
        bias: [out], or None.

    Returns: [..., out].

    Raises ValueError naming the shapes where they do not fit.

    Example:
        >>> import ravine as rv
        >>> rv.ops.bilinear([1.0, 2.0], [3.0, 4.0], [[[1.0, 0.0], [0.0, 1.0]]])
        tensor([11.], dtype=float32)
    """
    x1, x2, w = as_tensor(input1), as_tensor(input2), as_tensor(weight)
    sizes = (*x1.shape[-1:], *x2.shape[-1:])
    if w.ndim != 3 or sizes != w.shape[1:] or x1.shape[:-1] != x2.shape[:-1]:
        raise ValueError(
            f"bilinear: [..., in1], [..., in2] and a weight [out, in1, in2] are expected, got {x1.shape}, "
            f"{x2.shape} and {w.shape}"
        )
    out, first, second = w.shape
    rows = math.prod(x1.shape[:-1])
    # [rows, out, in2]: x1 times all of the matrices at once
    left = matmul(reshape(x1, (rows, first)), reshape(permute(w, (1, 0, 2)), (first, out * second)))
    y = matmul(reshape(left, (rows, out, second)), reshape(x2, (rows, second, 1)))
    y = reshape(y, (*x1.shape[:-1], out))
    return y if bias is None else y + bias


def einsum(equation: str, *operands: Any) -> Tensor:
    """Sums of products by an equation: "ij,jk->ik" names each dimension, those behind the arrow stay.

    Args:
        equation: terms separated by commas; "..." stands for dimensions that broadcast; without an arrow the
            letters that occur once stay, in alphabetical order.
        operands: one tensor for each term, one by one or as a sequence.

    Products are formed from left to right, as matrix products where dimensions are summed.

    Raises ValueError where the equation does not fit the shapes.

    Example:
        >>> import ravine as rv
        >>> rv.ops.einsum("ij,j->i", [[1.0, 2.0], [3.0, 4.0]], [1.0, 1.0])
        tensor([3., 7.], dtype=float32)
    """
    given = operands[0] if len(operands) == 1 and isinstance(operands[0], list | tuple) else operands
    parts = [as_tensor(x) for x in given]
    if not parts:
        raise ValueError("einsum: at least one operand is needed")
    terms, right = _einsum_terms(equation, len(parts))
    hidden = [p.ndim - len(t) + 1 for t, p in zip(terms, parts, strict=True) if "@" in t]
    places = max([0, *hidden])
    named = [_with_letters(t, p, equation, places) for t, p in zip(terms, parts, strict=True)]
    sizes: dict[Any, int] = {}
    for p, names in zip(parts, named, strict=True):
        for n, name in zip(p.shape, names, strict=True):
            if sizes.get(name, 1) != 1 and n not in (1, sizes[name]):
                raise ValueError(f"einsum: {name!r} of {equation!r} has sizes {sizes[name]} and {n}")
            sizes[name] = max(n, sizes.get(name, n)) if n else 0
    if right is None:
        letters = "".join(terms).replace("@", "")
        wanted: list[Any] = [*range(places), *sorted(c for c in set(letters) if letters.count(c) == 1)]
    else:
        wanted = [n for c in right for n in (range(places) if c == "@" else (c,))]
        unknown = [n for n in wanted if n not in sizes]
        if unknown or len(set(wanted)) != len(wanted):
            raise ValueError(
                f"einsum: the result of {equation!r} must name dimensions of operands, each once"
            )
    x, names = _without_repeats(parts[0], named[0])
    for i in range(1, len(parts)):
        y, of_y = _without_repeats(parts[i], named[i])
        kept = {*wanted, *itertools.chain(*named[i + 1 :])}
        x, names = _pairwise(x, names, y, of_y, kept)
    over = tuple(i for i, n in enumerate(names) if n not in wanted)
    if over:
        x = apply("sum", x, axes=over, keepdims=False)
        names = [n for n in names if n in wanted]
    return permute(x, [names.index(n) for n in wanted])
