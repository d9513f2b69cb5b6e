"""Reductions over any dimensions of tensors that lie in memory in any order."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from helper import Case, case, check, distinct, normal, positive
from scipy import special

import ravine as rv
from ravine import _core, ops

AXES_OF_3 = [None, 0, 1, 2, -1, (0, 1), (1, 2), (0, 2), (0, 1, 2)]
FAMILIES = {
    "sum": (ops.sum, np.sum, normal),
    "mean": (ops.mean, np.mean, normal),
    "prod": (ops.prod, np.prod, positive),
    "amax": (ops.amax, np.max, distinct),
    "amin": (ops.amin, np.min, distinct),
    "var": (ops.var, lambda x, axis, keepdims: np.var(x, axis=axis, keepdims=keepdims, ddof=1), normal),
    "std": (ops.std, lambda x, axis, keepdims: np.std(x, axis=axis, keepdims=keepdims, ddof=1), normal),
    "logsumexp": (ops.logsumexp, lambda x, axis, keepdims: special.logsumexp(x, axis=axis, keepdims=keepdims),
                  normal),
}  # fmt: skip


def reduction(name: str, shape: tuple[int, ...], dim, keepdim: bool = False, **how) -> Case:
    f, want, make = FAMILIES[name]
    text = f"{name} over {dim}" + (" kept" if keepdim else "")
    return case(text, lambda x: f(x, dim, keepdim=keepdim),
                lambda x: want(x, axis=dim, keepdims=keepdim), make(*shape), **how)  # fmt: skip


CASES = [
    *[reduction(name, (3, 4, 5), dim, keepdim=i % 2 == 1)
      for name in FAMILIES for i, dim in enumerate(AXES_OF_3)],
    *[reduction(name, (2, 3, 2, 3), dim)
      for name in ("sum", "amax", "prod") for dim in ((0, 2), (1, 3), (0, 3))],
    *[reduction(name, (7,), 0) for name in FAMILIES],
    *[reduction(name, (1, 1), 0) for name in FAMILIES if name not in ("var", "std")],
    *[reduction(name, (), None) for name in ("sum", "mean", "amax", "prod", "logsumexp")],
    *[reduction(name, (0, 4), 0) for name in ("sum", "prod")],
    *[reduction(name, (0, 4), 1) for name in ("sum", "mean", "amax", "amin", "prod")],
    reduction("mean", (3, 331), 1),
    reduction("sum", (331, 3), 0),
    reduction("sum", (9, 7, 5, 3), (0, 2, 3)),
    case("var, biased", lambda x: ops.var(x, 1, correction=0), lambda x: np.var(x, axis=1), normal(3, 9)),
    case("prod with zeros", lambda x: ops.prod(x, 1), lambda x: np.prod(x, 1),
         np.array([[1.0, 2, 3, 4, 5], [0, 2, 3, 4, 5], [0, 2, 0, 4, 5]])),
    case("transposed", lambda x: ops.sum(ops.permute(x, (2, 0, 1)), 0), lambda x: x.sum(2), normal(3, 4, 5)),
    case("transposed, max", lambda x: ops.amax(x.transpose(0, 1), 1), lambda x: x.max(0), distinct(9, 6)),
    case("sliced", lambda x: ops.sum(x[1:, ::2, 1:4], (0, 2)), lambda x: x[1:, ::2, 1:4].sum((0, 2)),
         normal(3, 7, 5)),
    case("broadcast", lambda x: ops.sum(ops.broadcast_to(x, (4, 3, 5)), (0, 2)),
         lambda x: np.broadcast_to(x, (4, 3, 5)).sum((0, 2)), normal(3, 1)),
    case("broadcast, mean", lambda x: ops.mean(ops.broadcast_to(x, (4, 3, 5))),
         lambda x: np.mean(np.broadcast_to(x, (4, 3, 5))), normal(3, 1)),
    case("argmax", lambda x: ops.argmax(x, 1), lambda x: x.argmax(1), distinct(5, 17), gradient=False),
    case("argmax, first dimension", lambda x: ops.argmax(x, 0), lambda x: x.argmax(0), distinct(17, 5),
         gradient=False),
    case("argmax, middle", lambda x: ops.argmax(x, 1, keepdim=True), lambda x: x.argmax(1)[:, None],
         distinct(3, 7, 4), gradient=False),
    case("argmin", lambda x: ops.argmin(x, -1), lambda x: x.argmin(-1), distinct(5, 17), gradient=False),
    case("argmin, flattened", ops.argmin, np.argmin, distinct(5, 7), gradient=False),
    case("argmax, empty", lambda x: ops.argmax(x, 1), lambda x: x.argmax(1), normal(0, 3), gradient=False),
    case("max with indices", lambda x: ops.max(x, 1), lambda x: (x.max(1), x.argmax(1)), distinct(5, 7)),
    case("min with indices", lambda x: ops.min(x, 0, keepdim=True),
         lambda x: (x.min(0, keepdims=True), x.argmin(0)[None]), distinct(5, 7)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_reduction(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::5])
def test_every_set_of_axes_in_every_memory_order(order: tuple[int, ...]) -> None:
    x = distinct(2, 3, 4, 5)
    for count in range(1, 5):
        for axes in itertools.combinations(range(4), count):
            for name in ("sum", "amin", "prod"):
                f, want, _ = FAMILIES[name]
                check(case(f"{name} {axes}", lambda x, f=f, axes=axes: f(ops.permute(x, order), axes),
                           lambda x, want=want, axes=axes: want(x.transpose(order), axis=axes), x,
                           gradient=False, tolerance32=1e-4))  # fmt: skip
    for axis in range(4):
        check(case(f"argmax {axis}", lambda x, axis=axis: ops.argmax(ops.permute(x, order), axis),
                   lambda x, axis=axis: x.transpose(order).argmax(axis), x, gradient=False))  # fmt: skip


def test_images_are_summed_per_channel_in_one_pass() -> None:
    graph = _core.Graph()
    x = graph.input((4, 8, 6, 6), "float32")
    w = graph.input((8, 8, 1, 1), "float32")
    one = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
    y = graph.apply("conv2d", [x, w], one)[0]  # its result lies channels last
    program = _core.Program(graph, graph.apply("sum", [y], {"axes": (0, 2, 3)}))
    assert [name for name in program.kernels if name == "sum"] == ["sum"]
    assert "[1, 144, 8]" in program.describe()


def test_equal_largest_values_share_the_gradient() -> None:
    x = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]], "float32")
    gradient = rv.value_and_grad(lambda x: ops.sum(ops.amax(x, 1)))(x)[1]
    np.testing.assert_allclose(gradient, [[0, 0.5, 0.5], [1 / 3, 1 / 3, 1 / 3]], rtol=1e-6)


def test_max_with_indices_sends_the_gradient_to_the_first() -> None:
    x = np.array([[1.0, 3.0, 3.0]], "float32")
    gradient = rv.value_and_grad(lambda x: ops.sum(ops.max(x, 1).values))(x)[1]
    np.testing.assert_array_equal(gradient, [[0, 1, 0]])


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64"])
def test_integers_are_counted_in_int64(dtype: str) -> None:
    x = (normal(300, 3) > 0).astype(dtype) * (1 if dtype == "bool" else 200)
    x = x.astype(dtype)
    assert ops.sum(x, 0).dtype == "int64"
    np.testing.assert_array_equal(ops.sum(x, 0).numpy(), x.sum(0, dtype="int64"))
    np.testing.assert_array_equal(ops.prod(x[:3], 0).numpy(), x[:3].prod(0, dtype="int64"))
    np.testing.assert_array_equal(ops.amax(x, 0).numpy(), x.max(0))
    np.testing.assert_array_equal(ops.argmax(x, 0).numpy(), x.argmax(0))
    np.testing.assert_allclose(ops.mean(x, 0).numpy(), x.mean(0), rtol=1e-6)


def test_long_float32_sums_stay_accurate() -> None:
    x = positive(1_000_003).astype("float32")
    assert float(ops.sum(x)) == pytest.approx(x.sum(dtype="float64"), rel=2e-7)
    column = np.ascontiguousarray(np.broadcast_to(x[:, None], (x.size, 3)))
    np.testing.assert_allclose(ops.sum(column, 0).numpy(), [x.sum(dtype="float64")] * 3, rtol=2e-7)


def test_std_of_equal_numbers_has_gradient_zero() -> None:
    value, gradient = rv.value_and_grad(lambda x: ops.sum(ops.std(x, 1)))(np.full((2, 3), 7, "float32"))
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros((2, 3)))


def test_nan_wins() -> None:
    x = np.array([[1.0, np.nan, 3.0], [np.nan, 0.0, -1.0]])
    np.testing.assert_array_equal(ops.amax(x, 1).numpy(), [np.nan, np.nan])
    np.testing.assert_array_equal(ops.amin(x, 0).numpy(), [np.nan, np.nan, -1])
    np.testing.assert_array_equal(ops.argmax(x, 1).numpy(), [1, 0])


def test_mean_of_nothing_is_nan_and_sum_is_zero() -> None:
    np.testing.assert_array_equal(ops.mean(np.zeros((0, 2)), 0).numpy(), [np.nan, np.nan])
    assert float(ops.sum(np.zeros((0, 2)))) == 0


def test_logsumexp_does_not_overflow() -> None:
    x = np.array([[1000.0, 1000.0], [-np.inf, -np.inf], [np.inf, 0.0]])
    np.testing.assert_allclose(ops.logsumexp(x, 1).numpy(), [1000 + np.log(2), -np.inf, np.inf])


BAD = [
    (
        lambda: ops.sum(np.ones((2, 3)), 2),
        IndexError,
        "sum: dim 2 is out of range for a tensor of 2 dimensions",
    ),
    (lambda: ops.sum(np.ones((2, 3)), (0, 0)), ValueError, "sum: dim .* names a dimension twice"),
    (lambda: ops.amax(np.ones((0, 3)), 0), ValueError, r"max: no elements to choose from: shape \(0, 3\)"),
    (
        lambda: ops.argmin(np.ones((3, 0)), 1),
        ValueError,
        r"argmin: no elements to choose from: shape \(3, 0\)",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


# ---- integers and bools -----------------------------------------------------------------------------------

INTEGER_SHAPES = [
    (7,),
    (3, 5),
    (64, 17),
    (2, 3, 4, 5),
    (3000,),
    (9, 2100),
    (2000, 3),
    (1, 5000, 2),
    (0, 4),
    (),
]


def axes_over(shape: tuple[int, ...]) -> list[tuple[int, ...] | None]:
    ranks = range(len(shape))
    return [None, *(axes for count in ranks for axes in itertools.combinations(ranks, count + 1))]


@pytest.mark.parametrize("dtype", ["uint8", "bool", "int32", "int64"])
@pytest.mark.parametrize("shape", INTEGER_SHAPES, ids=str)
def test_sums_of_integers_are_exact(shape: tuple[int, ...], dtype: str) -> None:
    """In int64, as in torch, over any axes of arrays that lie in memory in any order."""
    high = {"uint8": 256, "bool": 2, "int32": 2**31, "int64": 2**40}[dtype]
    x = np.random.default_rng(1).integers(0, high, shape).astype(dtype)
    with rv.eager():
        for axes in axes_over(shape):
            for values in (x, x.T, x[::-1] if x.ndim else x):
                for keepdim in (False, True):
                    got = ops.sum(values, axes, keepdim=keepdim).numpy()
                    want = np.sum(values, axis=axes, keepdims=keepdim, dtype=np.int64)
                    assert got.dtype == np.int64
                    np.testing.assert_array_equal(got, want, err_msg=f"{axes}")
                product = ops.prod(values, axes).numpy()
                assert product.dtype == np.int64
                with np.errstate(over="ignore"):
                    np.testing.assert_array_equal(product, np.prod(values, axis=axes, dtype=np.int64))


@pytest.mark.parametrize("dtype", ["uint8", "bool", "int32"])
@pytest.mark.parametrize("wanted", [None, "float32", "float64"])
def test_means_of_narrow_integers_are_exact_to_rounding(dtype: str, wanted: str | None) -> None:
    x = np.random.default_rng(2).integers(0, 2 if dtype == "bool" else 251, (5, 3001, 2)).astype(dtype)
    with rv.eager():
        for axes in axes_over(x.shape):
            got = ops.mean(x, axes, dtype=wanted).numpy()
            assert got.dtype == np.dtype(wanted or "float32")
            want = np.mean(x, axis=axes, dtype=np.float64)
            np.testing.assert_allclose(got, want, rtol=2e-16 if wanted == "float64" else 6e-8)
        assert np.isnan(ops.mean(x[:0]).numpy())


def test_sums_of_integers_in_a_floating_dtype() -> None:
    x = np.full((3, 40_000), 255, np.uint8)
    with rv.eager():
        assert ops.sum(x, 1, dtype="float32").numpy().tolist() == [10_200_000.0] * 3
        assert ops.sum(x, dtype="int64").numpy() == 30_600_000
        assert ops.sum(x > 0, 1, dtype="float64").numpy().tolist() == [40_000.0] * 3


def test_sums_of_integers_are_the_same_inside_a_program() -> None:
    """Counts of what a program compares, on any number of threads."""
    x = np.random.default_rng(3).normal(size=(333, 257)).astype(np.float32)

    class Count(rv.nn.Module):
        def forward(self, x):
            return ops.sum(x > 0.5, 0), ops.mean(x > 0.5), ops.sum(ops.argmax(x, 1))

    for threads in (1, 2, 3, 5):
        rv.set_num_threads(threads)
        columns, share, places = Count()(x)
        np.testing.assert_array_equal(columns, (x > 0.5).sum(0))
        assert share == np.float32((x > 0.5).mean())
        assert places == x.argmax(1).sum()
