"""Sorting, quantiles, searching, running sums and extremes; statistics; all against NumPy and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from helper import Case, apart, bools, case, check, distinct, integers, normal, positive
from scipy import integrate, stats

import ravine as rv
from ravine import ops

NAN = np.array([[1.0, np.nan, 3.0], [4.0, -2.0, np.nan]])


def by(values, indices, axis):
    return [np.take_along_axis(values, indices, axis), indices]


def running(x, best):
    """Indices of the running extremes along axis 1."""
    return np.array([[best(row[: i + 1]) for i in range(len(row))] for row in x])


CASES = [
    case("sort", lambda x: ops.sort(x, 1), lambda x: by(x, np.argsort(x, 1, kind="stable"), 1), distinct(2,
         37)),
    case("sort, descending, first", lambda x: ops.sort(x, 0, True), lambda x: by(x, np.argsort(-x, 0,
         kind="stable"), 0),
         distinct(9, 2)),
    case("argsort of equal ones", lambda x: ops.argsort(x, -1, True), lambda x: np.argsort(-x, -1,
         kind="stable"),
         integers(2, 40, high=5), gradient=False),
    case("msort", ops.msort, lambda x: np.sort(x, 0), distinct(5, 2)),
    case("topk", lambda x: ops.topk(x, 3), lambda x: by(x, np.argsort(-x, -1)[:, :3], -1), distinct(2, 7)),
    case("topk, smallest", lambda x: ops.topk(x, 2, 0, largest=False), lambda x: by(x, np.argsort(x, 0)[:2],
         0),
         distinct(5, 2)),
    case("kthvalue", lambda x: ops.kthvalue(x, 2, 1)[0], lambda x: np.sort(x, 1)[:, 1], distinct(3, 5)),
    case("median", ops.median, lambda x: np.sort(x.reshape(-1))[2], distinct(2, 3)),
    case("median, dim", lambda x: ops.median(x, 1, True)[0], lambda x: np.sort(x, 1)[:, 2:3], distinct(3, 5)),
    case("nanmedian", lambda x: ops.nanmedian(ops.where(np.isnan(NAN), NAN, x), 1).values,
         lambda x: np.array([min(x[0, 0], x[0, 2]), min(x[1, 0], x[1, 1])]), distinct(2, 3)),
    case("mode", lambda x: ops.mode(x, 1), lambda x: [stats.mode(x, 1).mode, np.array([3, 4])],
         np.array([[1.0, 2, 2, 2, 1], [3, 0, 3, 0, 0]]), gradient=False),
    case("quantile", lambda x: ops.quantile(x, np.array([0.1, 0.5]), 1), lambda x: np.quantile(x, [0.1,
         0.5], 1),
         distinct(3, 6)),
    case("quantile, all", lambda x: ops.quantile(x, 0.3, interpolation="lower"),
         lambda x: np.quantile(x, 0.3, method="lower"), distinct(3, 6)),
    case("nanquantile", lambda x: ops.nanquantile(ops.where(np.isnan(NAN), NAN, x), 0.25, 1),
         lambda x: np.nanquantile(np.where(np.isnan(NAN), NAN, x), 0.25, 1), distinct(2, 3)),
    case("searchsorted", lambda v: ops.searchsorted(np.array([1.0, 2, 2, 5], "float32"), ops.cast(v,
         "float32"), right=True),
         lambda v: np.searchsorted([1.0, 2, 2, 5], v, "right"), np.array([[0.0, 2, 7], [1, 5, 3]]),
         gradient=False),
    case("bucketize", lambda v: ops.bucketize(v, np.array([1, 3, 5])), lambda v: np.digitize(v, [1, 3, 5],
         right=True),
         integers(3, 4, high=7), gradient=False),
    case("cumsum", lambda x: ops.cumsum(x, 1) ** 2, lambda x: np.cumsum(x, 1) ** 2, normal(2, 9)),
    case("cumsum, first", lambda x: ops.cumsum(x, 0), lambda x: np.cumsum(x, 0), normal(5, 70)),
    case("cumsum of bools", lambda x: ops.cumsum(x, 0), lambda x: np.cumsum(x, 0), bools(9), gradient=False),
    case("cumprod", lambda x: ops.cumprod(x, 1), lambda x: np.cumprod(x, 1), normal(2, 6)),
    case("cumprod with zeros", lambda x: ops.cumprod(x, 0), lambda x: np.cumprod(x, 0), np.array([2.0, 0, 3,
         0, 1])),
    case("logcumsumexp", lambda x: ops.logcumsumexp(x, 1), lambda x: np.logaddexp.accumulate(x, 1),
         normal(2, 6)),
    case("cummax", lambda x: ops.cummax(x, 1), lambda x: by(x, running(x, np.argmax), 1), distinct(2, 8)),
    case("cummin", lambda x: ops.cummin(x, 1), lambda x: by(x, running(x, np.argmin), 1), distinct(2, 8)),
    case("diff", lambda x, a: ops.diff(x, 2, 1, prepend=a), lambda x, a: np.diff(x, 2, 1, prepend=a),
         normal(2, 5),
         normal(2, 1)),
    case("trapezoid", lambda y, x: ops.trapezoid(y, x), lambda y, x: integrate.trapezoid(y, x), normal(2,
         5), normal(5)),
    case("trapz", lambda y: ops.trapz(y, dx=0.5, dim=0), lambda y: integrate.trapezoid(y, dx=0.5, axis=0),
         normal(4, 2)),
    case("cumulative_trapezoid", ops.cumulative_trapezoid, integrate.cumulative_trapezoid, normal(2, 5)),
    case("aminmax", lambda x: ops.aminmax(x, dim=1), lambda x: [x.min(1), x.max(1)], distinct(2, 5)),
    case("any", lambda x: ops.any(x, 1), lambda x: x.any(1), bools(3, 4), gradient=False),
    case("all", lambda x: ops.all(x, (0, 2), True), lambda x: x.all((0, 2), keepdims=True), bools(2, 3, 2),
         gradient=False),
    case("count_nonzero", lambda x: ops.count_nonzero(x, 0), lambda x: np.count_nonzero(x, 0), integers(3,
         4, high=2),
         gradient=False),
    *[case(f"norm, {p}", lambda x, p=p: ops.norm(x, p, 1), lambda x, p=p: np.linalg.norm(x, p, 1), apart(3,
           4))
      for p in (2, 1, 3, 0.5, -1, np.inf, -np.inf)],
    case("norm, 0", lambda x: ops.norm(x, 0), lambda x: np.linalg.norm(x.reshape(-1), 0), apart(3, 4)),
    case("norm, nuc", lambda x: ops.norm(x, "nuc"), lambda x: np.linalg.norm(x, "nuc"), normal(3, 2)),
    case("dist", lambda a, b: ops.dist(a, b, 3), lambda a, b: np.linalg.norm((a - b).reshape(-1), 3),
         normal(2, 3),
         normal(3)),
    case("renorm", lambda x: ops.renorm(x, 2, 0, 1.0),
         lambda x: x * np.minimum(1, 1 / (np.linalg.norm(x, axis=1, keepdims=True) + 1e-7)), normal(4, 3)),
    case("var_mean", lambda x: ops.var_mean(x, 1), lambda x: [x.var(1, ddof=1), x.mean(1)], normal(2, 5)),
    case("std_mean", lambda x: ops.std_mean(x, 0, correction=0), lambda x: [x.std(0), x.mean(0)], normal(4,
         2)),
    case("nansum", lambda x: ops.nansum(ops.where(np.isnan(NAN), NAN, x), 1),
         lambda x: np.where(np.isnan(NAN), 0, x).sum(1), normal(2, 3)),
    case("nanmean", lambda x: ops.nanmean(ops.where(np.isnan(NAN), NAN, x), 1),
         lambda x: np.where(np.isnan(NAN), 0, x).sum(1) / 2, normal(2, 3)),
    case("cov", ops.cov, np.cov, normal(3, 6)),
    case("cov, weighted", lambda x, w: ops.cov(x, fweights=np.array([1, 2, 1, 3]), aweights=w),
         lambda x, w: np.cov(x, fweights=[1, 2, 1, 3], aweights=w), normal(2, 4), positive(4)),
    case("corrcoef", ops.corrcoef, np.corrcoef, normal(3, 6)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operation(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint8"])
@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 33, 1000])
def test_sorting_is_stable(dtype: str, count: int) -> None:
    x = integers(3, count, high=7, dtype=dtype)
    values, indices = ops.sort(x)
    np.testing.assert_array_equal(indices.numpy(), np.argsort(x, -1, kind="stable"))
    np.testing.assert_array_equal(values.numpy(), np.sort(x, -1))
    assert values.numpy().dtype == dtype
    down = ops.argsort(x, descending=True).numpy()
    np.testing.assert_array_equal(down, np.argsort(-x.astype("int64"), -1, kind="stable"))


def test_nan_is_the_largest() -> None:
    np.testing.assert_array_equal(ops.sort(NAN).values.numpy(), [[1, 3, np.nan], [-2, 4, np.nan]])
    np.testing.assert_array_equal(ops.topk(NAN, 1).indices.numpy(), [[1], [2]])
    np.testing.assert_array_equal(ops.median(NAN, 1).indices.numpy(), [1, 2])
    np.testing.assert_array_equal(ops.quantile(NAN, 0.5, 1).numpy(), [np.nan, np.nan])
    np.testing.assert_array_equal(ops.cummax(NAN, 1).values.numpy(), [[1, np.nan, np.nan], [4, 4, np.nan]])


def test_slopes_of_norms_at_0() -> None:
    for p in (1, 2, 3, np.inf):
        np.testing.assert_array_equal(
            rv.value_and_grad(lambda x, p=p: ops.norm(x, p))(np.zeros(3))[1], np.zeros(3)
        )


BAD = [
    (lambda: ops.topk(np.ones(3), 4), ValueError, "topk: k=4 exceeds dimension -1"),
    (lambda: ops.kthvalue(np.ones(3), 0), ValueError, "kthvalue: k must be at least 1"),
    (lambda: ops.quantile(np.ones(3), 1.5), ValueError, r"quantile: q must lie in \[0, 1\], got 1.5"),
    (lambda: ops.quantile(np.ones(3), 0.5, interpolation="cubic"), ValueError,
     "quantile: interpolation must be"),
    (lambda: ops.searchsorted(np.ones(3), np.ones(2, "float32")), TypeError, "must have one dtype"),
    (lambda: ops.bucketize(np.ones(3), np.ones((2, 2))), ValueError,
     "bucketize: boundaries must be a vector"),
    (lambda: ops.median(np.ones((2, 0)), 1), IndexError, "median: there is no median of no elements"),
    (lambda: ops.norm(np.ones(3, int)), TypeError, "norm: input must be floating"),
    (lambda: ops.norm(np.ones(3), "max"), TypeError, "norm: the order must be a number, got 'max'"),
    (lambda: ops.cov(np.ones((2, 2, 2))), ValueError, "cov: a matrix or a vector is expected"),
    (lambda: ops.cov(np.ones(2), fweights=np.array([1, -2])), ValueError, "fweights must be 0 or more"),
    (lambda: ops.cov(np.ones(2), aweights=np.array([-0.5, 1])), ValueError, "aweights must be 0 or more"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
