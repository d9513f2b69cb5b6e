"""Products by name, by axes, by an equation; linear algebra. Against NumPy and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from helper import Case, case, check, distinct, integers, normal, positive
from scipy.spatial import distance

import ravine as rv
from ravine import ops

EQUATIONS = [
    ("ij,jk->ik", [(2, 3), (3, 4)]),
    ("ij,jk", [(2, 3), (3, 4)]),
    ("bij,bjk->bik", [(2, 2, 3), (2, 3, 4)]),
    ("ij->ji", [(2, 3)]),
    ("ii->i", [(3, 3)]),
    ("ii", [(3, 3)]),
    ("ij->", [(2, 3)]),
    ("i,j->ij", [(2,), (3,)]),
    ("i,i", [(3,), (3,)]),
    ("...ij,...jk->...ik", [(2, 2, 3), (3, 4)]),
    ("bi,bij,bj->b", [(2, 3), (2, 3, 4), (2, 4)]),
    ("abc,cd,be->ade", [(2, 3, 4), (4, 2), (3, 2)]),
    ("ij,ij->ij", [(2, 3), (2, 3)]),
    ("ijk,jk->i", [(2, 3, 4), (3, 4)]),
    ("iij,jk->ik", [(3, 3, 2), (2, 2)]),
    ("...,...->...", [(2, 3), (3,)]),
    ("ij,k->i", [(2, 3), (4,)]),
]


def spread(*shape: int, seed: int = 0) -> np.ndarray:
    """Well-conditioned square matrices with different singular values."""
    n = shape[-1]
    return normal(*shape, seed=seed) * 0.3 + np.diag(np.arange(n) + 1.5)


def symmetric(a):
    return a + np.swapaxes(a, -1, -2)


def definite(x):
    return x @ np.swapaxes(x, -1, -2) + np.eye(x.shape[-1])


L = ops.linalg
CASES = [
    *[case(f"einsum, {equation}", lambda *x, e=equation: ops.einsum(e, *x), lambda *x,
           e=equation: np.einsum(e, *x),
           *[normal(*s, seed=i) for i, s in enumerate(shapes)]) for equation, shapes in EQUATIONS],
    case("mm", ops.mm, np.matmul, normal(2, 3), normal(3, 4)),
    case("bmm", ops.bmm, np.matmul, normal(2, 2, 3), normal(2, 3, 4)),
    case("mv", ops.mv, np.matmul, normal(2, 3), normal(3)),
    case("dot", ops.dot, np.dot, normal(3), normal(3, seed=1)),
    case("vdot", ops.vdot, np.dot, normal(3), normal(3, seed=1)),
    case("inner", ops.inner, np.inner, normal(2, 3), normal(4, 3)),
    case("outer", ops.outer, np.outer, normal(2), normal(3)),
    case("ger", ops.ger, np.outer, normal(2), normal(3)),
    case("addmm", lambda x, a, b: ops.addmm(x, a, b, beta=2, alpha=0.5), lambda x, a, b: 2 * x + a @ b / 2,
         normal(4), normal(2, 3), normal(3, 4)),
    case("addmv", lambda x, a, b: ops.addmv(x, a, b), lambda x, a, b: x + a @ b, normal(2), normal(2, 3),
         normal(3)),
    case("addr", lambda x, a, b: ops.addr(x, a, b), lambda x, a, b: x + np.outer(a, b), normal(2, 3),
         normal(2),
         normal(3)),
    case("baddbmm", lambda x, a, b: ops.baddbmm(x, a, b), lambda x, a, b: x + a @ b, normal(2, 2, 4),
         normal(2, 2, 3), normal(2, 3, 4)),
    case("addbmm", lambda x, a, b: ops.addbmm(x, a, b), lambda x, a, b: x + (a @ b).sum(0), normal(2, 4),
         normal(2, 2, 3), normal(2, 3, 4)),
    case("tensordot", lambda a, b: ops.tensordot(a, b, ([1, 2], [1, 0])),
         lambda a, b: np.tensordot(a, b, ([1, 2], [1, 0])), normal(2, 3, 4), normal(4, 3, 2)),
    case("tensordot, 1", lambda a, b: ops.tensordot(a, b, 1), lambda a, b: np.tensordot(a, b, 1), normal(2,
         3),
         normal(3, 2)),
    case("kron", ops.kron, np.kron, normal(2, 3), normal(3, 2)),
    case("cross", ops.cross, np.cross, normal(2, 3), normal(2, 3, seed=1)),
    case("cdist", lambda a, b: ops.cdist(a, b), distance.cdist, normal(2, 3), normal(4, 3)),
    case("cdist, 3", lambda a, b: ops.cdist(a, b, 3), lambda a, b: distance.cdist(a, b, "minkowski", p=3),
         distinct(2, 3), distinct(4, 3) + 0.01),
    case("pdist", lambda a: ops.pdist(a), distance.pdist, normal(4, 3)),
    case("solve", L.solve, np.linalg.solve, spread(2, 3, 3), normal(2, 3, 2)),
    case("solve, vector", lambda a, b: L.solve(a, b), np.linalg.solve, spread(3, 3), normal(3)),
    case("solve, right", lambda a, b: L.solve(a, b, left=False), lambda a, b: b @ np.linalg.inv(a),
         spread(3, 3),
         normal(2, 3)),
    case("solve_triangular", lambda a, b: L.solve_triangular(a, b, upper=True),
         lambda a, b: np.linalg.solve(np.triu(a), b), spread(3, 3), normal(3, 2)),
    case("solve_triangular, unit", lambda a, b: L.solve_triangular(a, b, upper=False, unitriangular=True),
         lambda a, b: np.linalg.solve(np.tril(a, -1) + np.eye(3), b), spread(3, 3), normal(3, 2)),
    case("inv", L.inv, np.linalg.inv, spread(2, 3, 3)),
    case("cholesky", lambda x: L.cholesky(x @ x.mT + np.eye(3)), lambda x: np.linalg.cholesky(definite(x)),
         normal(3, 3)),
    case("cholesky, upper", lambda x: L.cholesky(x @ x.mT + np.eye(2), upper=True),
         lambda x: np.linalg.cholesky(definite(x)).T, normal(2, 2)),
    *[case(f"qr of {m} x {n}", lambda a: L.qr(a), lambda a: list(np.linalg.qr(a)), normal(m, n))
      for m, n in ((3, 3), (4, 2), (2, 4))],
    case("eigvalsh", lambda x: L.eigvalsh(x + x.mT), lambda x: np.linalg.eigvalsh(symmetric(x)), spread(3,
         3)),
    case("eigh", lambda x: L.eigh(x + x.mT)[1] ** 2, lambda x: np.linalg.eigh(symmetric(x))[1] ** 2,
         spread(2, 3, 3)),
    *[case(f"svd of {m} x {n}", lambda a: [L.svd(a, False).S, L.svd(a, False).U ** 2, L.svd(a,
           False).Vh ** 2],
           lambda a: [np.linalg.svd(a, False)[1], np.linalg.svd(a, False)[0] ** 2, np.linalg.svd(a,
           False)[2] ** 2],
           normal(m, n)) for m, n in ((3, 3), (4, 2), (2, 4))],
    case("svdvals", L.svdvals, lambda a: np.linalg.svd(a, compute_uv=False), normal(2, 3, 2)),
    case("det", L.det, np.linalg.det, spread(2, 3, 3)),
    case("slogdet", L.slogdet, lambda a: list(np.linalg.slogdet(a)), -spread(2, 3, 3)),
    case("logdet", L.logdet, lambda a: np.linalg.slogdet(a)[1], spread(2, 3, 3)),
    *[case(f"matrix_power, {n}", lambda a, n=n: L.matrix_power(a, n), lambda a,
           n=n: np.linalg.matrix_power(a, n),
           spread(3, 3)) for n in (0, 1, 3, -2)],
    case("matrix_exp", L.matrix_exp, scipy.linalg.expm, normal(2, 3, 3)),
    case("multi_dot", lambda a, b, c: L.multi_dot([a, b, c]), lambda a, b, c: a @ b @ c, normal(3),
         normal(3, 4),
         normal(4, 2)),
    case("pinv", L.pinv, np.linalg.pinv, normal(3, 2)),
    case("matrix_rank", L.matrix_rank, np.linalg.matrix_rank, np.outer([1.0, 2, 3], [1.0, 1]),
         gradient=False),
    case("lstsq", lambda a, b: L.lstsq(a, b)[:2], lambda a, b: list(np.linalg.lstsq(a, b, rcond=None)[:2]),
         normal(4, 2), normal(4, 3)),
    case("vector_norm", lambda x: L.vector_norm(x, 3, 0), lambda x: np.linalg.norm(x, 3, 0), positive(3, 2)),
    *[case(f"matrix_norm, {o}", lambda a, o=o: L.matrix_norm(a, o), lambda a, o=o: np.linalg.norm(a, o),
           spread(3, 3))
      for o in ("fro", "nuc", 2, -2, 1, np.inf)],
    case("linalg.norm", lambda a: L.norm(a, 1), lambda a: np.linalg.norm(a, 1), normal(3, 2)),
    case("cond", L.cond, np.linalg.cond, spread(3, 3)),
    case("vecdot", L.vecdot, lambda a, b: (a * b).sum(-1), normal(2, 3), normal(3)),
    case("linalg.cross", L.cross, np.cross, normal(2, 3), normal(2, 3, seed=1)),
    case("linalg.diagonal", L.diagonal, lambda a: np.diagonal(a, 0, -2, -1), normal(2, 3, 3)),
    case("vander", lambda x: L.vander(x, 3), lambda x: np.vander(x, 3, increasing=True), normal(4)),
    case("tensorinv", lambda a: L.tensorinv(ops.reshape(a, (2, 2, 4))),
         lambda a: np.linalg.tensorinv(a.reshape(2, 2, 4)),
         spread(4, 4)),
    case("tensorsolve", lambda a, b: L.tensorsolve(ops.reshape(a, (2, 2, 4)), b),
         lambda a, b: np.linalg.tensorsolve(a.reshape(2, 2, 4), b), spread(4, 4), normal(2, 2)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operation(case: Case) -> None:
    check(case)


def test_products_of_integers_are_exact() -> None:
    a, b = integers(2, 3, high=99), integers(3, 4, high=99)
    np.testing.assert_array_equal(ops.tensordot(a, b, 1).numpy(), a @ b)
    np.testing.assert_array_equal(ops.einsum("ij,jk->ik", a, b).numpy(), a @ b)


def test_forms_of_decompositions() -> None:
    a = normal(4, 2)
    q, r = L.qr(a, "complete")
    np.testing.assert_allclose(q.numpy() @ r.numpy(), a, atol=1e-14)
    assert q.shape == (4, 4) and L.qr(a, "r").Q.shape == (0,)
    u, s, vh = L.svd(a)
    np.testing.assert_allclose(u.numpy()[:, :2] * s.numpy() @ vh.numpy(), a, atol=1e-14)
    np.testing.assert_allclose(
        L.eigvalsh(np.triu(symmetric(a[:2])), "U").numpy(), np.linalg.eigvalsh(symmetric(a[:2]))
    )
    for shape in ((0, 0), (3, 0), (0, 2)):
        assert L.svdvals(np.zeros(shape)).shape == (0,)
    assert float(L.det(np.zeros((0, 0)))) == 1.0


def test_a_matrix_without_a_solution_is_an_error_that_changes_nothing() -> None:
    class Step(rv.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.count = rv.nn.Buffer(0.0)

        def forward(self, a):
            self.count.assign(self.count + 1.0)
            return L.inv(a)

    step = Step().double()
    batch = np.stack([np.eye(2), np.ones((2, 2))])
    with pytest.raises(ValueError, match="solve: matrix 1 of the batch is singular"):
        step(batch)
    assert float(step.count) == 0.0
    with pytest.raises(
        (ValueError, IndexError), match="cholesky: matrix 0 of the batch is not positive definite"
    ):
        L.cholesky(-np.eye(2))


BAD = [
    (lambda: ops.mm(np.ones(3), np.ones((3, 2))), ValueError,
     r"mm: matrices are expected, got shapes \(3,\)"),
    (lambda: ops.bmm(np.ones((2, 1, 3)), np.ones((3, 3, 1))), ValueError,
     "bmm: batches must be equally large"),
    (lambda: ops.einsum("ij,jk->il", np.ones((2, 3)), np.ones((3, 4))), ValueError, "einsum: the result of"),
    (lambda: ops.einsum("ij,jk", np.ones((2, 3)), np.ones((4, 4))), ValueError, "'j' .* has sizes 3 and 4"),
    (lambda: ops.einsum("ij", np.ones(3)), ValueError, "einsum: 'ij' .* does not fit shape"),
    (lambda: ops.einsum("i,j", np.ones(3)), ValueError, "einsum: 'i,j' names 2 operands, got 1"),
    (lambda: ops.tensordot(np.ones((2, 3)), np.ones((2, 3)), 1), ValueError, "tensordot: dims 1 of shapes"),
    (lambda: ops.cross(np.ones((2, 2)), np.ones((2, 2))), ValueError,
     "cross: shape .* has no dimension of size 3"),
    (lambda: L.solve(np.ones((2, 3)), np.ones(2)), ValueError, "linalg.solve: square matrices are expected"),
    (lambda: L.inv(np.ones((2, 2), int)), TypeError, "linalg.inv: matrices must be floating"),
    (lambda: L.qr(np.ones((2, 2)), "full"), ValueError, "linalg.qr: mode must be"),
    (lambda: L.matrix_norm(np.ones((2, 2)), 3), ValueError, "linalg.matrix_norm: ord must be"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
