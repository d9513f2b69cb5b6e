"""Arguments that vary what an operation means: rounding, alpha, dtype, indices, images without a batch."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helper import Case, apart, case, check, distinct, integers, normal, positive, run

import ravine as rv
from ravine import nn, ops

IMAGE = normal(2, 7, 6)
MASK = np.array([True, False, True, True, False])
PLANE = normal(5, 4) > 0


def one(f):
    """A function of images as one of a single image."""
    return lambda x, *rest: f(x[None], *rest)[0]


def window_sums(x, k, stride, padding):
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    views = np.lib.stride_tricks.sliding_window_view(padded, (k, k), (1, 2))[:, ::stride, ::stride]
    return views.sum((-1, -2))


def normalized(p):
    def want(x):
        size = np.linalg.norm(x, p, 1, keepdims=True)
        return x / np.maximum(size, 1e-12)

    return want


CASES = [
    case("add, alpha", lambda a, b: ops.add(a, b, alpha=-2.5), lambda a, b: a - 2.5 * b, normal(3, 4),
         normal(4)),
    case("sub, alpha", lambda a, b: a.sub(b, alpha=3), lambda a, b: a - 3 * b, normal(3, 4), normal(3, 1)),
    case("div, floor", lambda a, b: ops.div(a, b, rounding_mode="floor"), lambda a, b: a // b, 5 * apart(40),
         apart(40, seed=1), second=False),
    case("div, trunc", lambda a, b: ops.div(a, b, rounding_mode="trunc"), lambda a, b: np.trunc(a / b),
         5 * apart(40), apart(40, seed=1), second=False),
    case("round, decimals", lambda x: ops.round(x, decimals=2), lambda x: np.round(x, 2),
         np.arange(-20, 20) * 0.0371 + 0.001, second=False),
    case("round, tens", lambda x: ops.round(x, decimals=-1), lambda x: np.round(x, -1),
         np.arange(-20, 20) * 3.71 + 0.01, second=False),
    case("max of two", lambda a, b: ops.max(a, b), np.maximum, distinct(3, 4), distinct(4, seed=3) + 0.013),
    case("min of two", lambda a, b: a.min(other=b), np.minimum, distinct(3, 4), distinct(4, seed=3) + 0.013),
    case("sum, dtype", lambda x: ops.sum(x, 1, dtype="float64"), lambda x: x.sum(1), integers(3, 4, high=9),
         gradient=False),
    case("prod, dtype", lambda x: ops.prod(x, 0, dtype="float64"), lambda x: x.prod(0),
         integers(3, 4, high=9, dtype="int32"), gradient=False),
    case("softmax of a scalar", lambda x: ops.softmax(x, 0), lambda x: x * 0 + 1, normal()),
    case("logsumexp of a scalar", lambda x: ops.logsumexp(x, -1, True), lambda x: x, normal()),
    case("sum of a scalar", lambda x: ops.sum(x, 0, True), lambda x: x, normal()),
    case("max of a scalar", lambda x: list(ops.max(x, -1)), lambda x: [x, 0], normal()),
    case("var, unbiased", lambda x: ops.var(x, 1, unbiased=False), lambda x: x.var(1), normal(3, 5)),
    case("std, unbiased first", lambda x: x.std(False), lambda x: x.std(), normal(3, 5)),
    case("var, torch's old order", lambda x: ops.var(x, 0, False, True), lambda x: x.var(0, keepdims=True),
         normal(4, 5)),
    case("var, half a correction", lambda x: ops.var(x, 0, correction=0.5), lambda x: x.var(0) * 4 / 3.5,
         normal(4, 5)),
    case("normalize, p 3", lambda x: ops.normalize(x, 3.0), normalized(3), normal(4, 5)),
    case("normalize, p 0.5", lambda x: ops.normalize(x, 0.5), normalized(0.5), apart(4, 5, gap=0.2)),
    case("normalize, p -1", lambda x: ops.normalize(x, -1.0), normalized(-1), apart(4, 5, gap=0.2)),
    case("normalize, p 0", lambda x: ops.normalize(x, 0),
         lambda x: x / np.maximum((x != 0).sum(1, keepdims=True), 1e-12), normal(4, 5)),
    case("normalize, smallest", lambda x: ops.normalize(x, -math.inf),
         lambda x: x / np.abs(x).min(1, keepdims=True), apart(4, 5, gap=0.2)),
    # indices
    case("two index arrays", lambda x: x[[0, -1, 2], [1, 3, -4]], lambda x: x[[0, -1, 2], [1, 3, -4]],
         normal(3, 4, 2)),
    case("index arrays that broadcast", lambda x: x[:, [[0], [2]], [1, 3]],
         lambda x: x[:, [[0], [2]], [1, 3]], normal(2, 3, 4)),
    case("index arrays apart", lambda x: x[[0, 1], 1:, [2, 0]], lambda x: x[[0, 1], 1:, [2, 0]],
         normal(2, 3, 4)),
    case("index arrays and None", lambda x: x[[1, 0], None, [2, 2]], lambda x: x[[1, 0], None, [2, 2]],
         normal(2, 3, 4)),
    case("three index arrays", lambda x: x[[0, 1], [2, 0], [3, 3]] ** 2,
         lambda x: x[[0, 1], [2, 0], [3, 3]] ** 2, normal(2, 3, 4)),
    case("recorded index arrays", lambda x, i, j: x[i, j], lambda x, i, j: x[i, j], normal(3, 4),
         np.array([0, -1, 2]), np.array([[1], [-4]])),
    case("index from the end", lambda x, i: x[i], lambda x, i: x[i], normal(3, 4), np.array([-1, 0, -3])),
    case("no indices", lambda x: x[[]], lambda x: x[np.empty(0, int)], normal(3, 4)),
    case("mask", lambda x: x[MASK], lambda x: x[MASK], normal(5, 3)),
    case("mask of two dimensions", lambda x: x[..., PLANE], lambda x: x[..., PLANE], normal(2, 5, 4)),
    case("mask and slice", lambda x: x[1:, MASK, None], lambda x: x[1:, MASK, None], normal(3, 5, 2)),
    case("mask and index array", lambda x: x[MASK, [2, 0, 1]], lambda x: x[MASK, [2, 0, 1]], normal(5, 3)),
    case("mask of lists", lambda x: x[[True, False]], lambda x: x[[True, False]], normal(2, 3)),
    case("gather of a scalar", lambda x, i: ops.gather(x, 0, i), lambda x, i: np.repeat(x, 2), normal(),
         np.zeros(2, int)),
    case("index_select of a scalar", lambda x, i: ops.index_select(x, -1, i), lambda x, i: x, normal(),
         np.zeros(1, int)),
    # images
    case("conv2d of one image", lambda x, w, b: ops.conv2d(x, w, b, padding=1),
         lambda x, w, b: ops.conv2d(x[None], w, b, padding=1).numpy()[0], IMAGE, normal(3, 2, 3, 3),
         normal(3)),
    case("max_pool2d of one image", lambda x: ops.max_pool2d(x, 2),
         lambda x: x.reshape(2, 3, 2, 3, 2).max((2, 4)), distinct(2, 6, 6)),
    case("avg_pool2d of one image", lambda x: ops.avg_pool2d(x, 2),
         lambda x: x.reshape(2, 3, 2, 3, 2).mean((2, 4)), normal(2, 6, 6)),
    case("adaptive_avg_pool2d of one image", lambda x: ops.adaptive_avg_pool2d(x, (1, None)),
         lambda x: x.mean(1, keepdims=True), IMAGE),
    case("avg_pool2d, divisor", lambda x: ops.avg_pool2d(x, 3, 2, 1, divisor_override=-5),
         lambda x: window_sums(x, 3, 2, 1) / -5, IMAGE),
    case("avg_pool2d, divisor and ceil_mode", lambda x: ops.avg_pool2d(x, 2, 2, 0, True, divisor_override=3),
         lambda x: window_sums(np.pad(x, ((0, 0), (0, 1), (0, 0))), 2, 2, 0) / 3, IMAGE),
    # embedding
    case("embedding, max_norm far away", lambda i, t: ops.embedding(i, t, max_norm=99.0), lambda i, t: t[i],
         integers(4, high=5), normal(5, 3)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operation(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floor_of_quotients_is_pythons(dtype: str) -> None:
    """Also where the rounded quotient is a whole number that the exact one does not reach."""
    with np.errstate(all="ignore"):
        a = np.array([1, 6, -1, -1, 7, 0.3, 1e30, -3, 0, 1, -1, np.inf, 2], dtype)
        b = np.array([0.1, 0.1, 0.1, np.inf, -np.inf, -0.1, 1e-3, 3, 5, 0, 0, 2, np.nan], dtype)
        want = np.floor_divide(a, b)
        np.testing.assert_array_equal(ops.div(a, b, rounding_mode="floor").numpy(), want)
        grid = np.linspace(-3, 3, 61).astype(dtype)
        got = ops.div(grid[:, None], positive(7).astype(dtype), rounding_mode="floor").numpy()
        np.testing.assert_array_equal(got, np.floor_divide(grid[:, None], positive(7).astype(dtype)))


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
@pytest.mark.parametrize("mode", ["floor", "trunc"])
def test_rounded_quotients_of_integers_are_exact(dtype: str, mode: str) -> None:
    low, high = (
        (0, 255) if dtype == "uint8" else (-(2**31), 2**31 - 1) if dtype == "int32" else (-(2**60), 2**60)
    )
    rng = np.random.default_rng(3)
    a = rng.integers(low, high, 200, dtype=dtype)
    b = np.concatenate([rng.integers(low, high, 100, dtype=dtype), rng.integers(1, 100, 100, dtype=dtype)])
    b[b == 0] = 1
    wants = [
        x // y if mode == "floor" else int(math.copysign(1, x * y)) * (abs(x) // abs(y))
        for x, y in zip(a.tolist(), b.tolist(), strict=True)
    ]
    got = run(lambda a, b: ops.div(a, b, rounding_mode=mode), a, b)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, wants)
    np.testing.assert_array_equal(ops.div(a, np.zeros_like(a), rounding_mode=mode).numpy(), 0)


def test_normalize_of_zeros_has_a_gradient() -> None:
    for p in (0.5, 1, 2, 3, math.inf):
        value, slope = rv.value_and_grad(lambda x, p=p: ops.normalize(x, p, 0).sum())(np.array([0.0, 3.0]))
        assert np.isfinite(slope).all(), p
        np.testing.assert_allclose(value, 1.0)
    for p in (-0.5, -1, -3):  # a norm of 0, where the least divisor stands in
        function = rv.value_and_grad(lambda x, p=p: ops.normalize(x, p, 0, eps=0.25).sum())
        value, slope = function(np.array([0.0, 3.0]))
        np.testing.assert_array_equal([value, *slope], [12.0, 4.0, 4.0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("p", [0.5, 1, 2, 3, math.inf, -1, -math.inf])
def test_normalize_of_single_numbers_gives_their_signs(p: float, dtype: str) -> None:
    """The sign is constant: the slope is 0 to the last bit, and 1 / eps below eps."""
    x = np.array([3, -0.1, 1e-11, -7e10, 1e30, -1e-30, 1e-13, 0.0, -1e-13], dtype)
    eps, weights = np.asarray(1e-12, dtype), normal(9).astype(dtype)
    want, slopes = np.append(np.sign(x[:5]), x[5:] / eps), np.append(np.zeros(5), weights[5:] / eps)
    for dim, shape in ((0, (1, 9)), (-1, (9, 1)), ((1, 2), (9, 1, 1))):

        def weighted(x, dim=dim, shape=shape):
            return (ops.normalize(x, p, dim) * weights.reshape(shape)).sum()

        np.testing.assert_array_equal(ops.normalize(x.reshape(shape), p, dim).numpy().ravel(), want)
        np.testing.assert_array_equal(rv.value_and_grad(weighted)(x.reshape(shape))[1].ravel(), slopes)
    value, slope = rv.value_and_grad(lambda x: ops.normalize(x, p, 0))(np.array(-0.3, dtype))
    assert (value, slope) == (-1, 0)


def test_an_instance_norm_of_one_image() -> None:
    layer = nn.InstanceNorm2d(2, affine=True)
    x = IMAGE.astype("float32")
    np.testing.assert_array_equal(layer(x), layer(x[None])[0])


def test_one_hot_finds_the_number_of_classes_in_arrays() -> None:
    np.testing.assert_array_equal(ops.one_hot([2, 0]).numpy(), [[0, 0, 1], [1, 0, 0]])
    with rv.eager():
        np.testing.assert_array_equal(ops.one_hot(ops.cast([3], "int64"), -1).numpy(), [[0, 0, 0, 1]])
    with pytest.raises(
        ValueError, match="num_classes must be at least 1, got -1: the largest index is not known"
    ):
        run(lambda i: ops.one_hot(i), np.array([1]))


def test_embedding_shortens_what_it_gives_and_leaves_the_table() -> None:
    table = np.array([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]], "float32")
    before = table.copy()
    np.testing.assert_allclose(
        ops.embedding([0, 1, 2], table, max_norm=1.0).numpy(), [[0.6, 0.8], [0.3, 0.4], [0, 0]], rtol=1e-6
    )
    np.testing.assert_allclose(
        ops.embedding([0], table, max_norm=2.0, norm_type=1.0).numpy(), [[6 / 7, 8 / 7]], rtol=1e-6
    )
    np.testing.assert_allclose(
        ops.embedding([0], table, max_norm=2.0, norm_type=math.inf).numpy(), [[1.5, 2.0]], rtol=1e-6
    )
    np.testing.assert_array_equal(table, before)
    slope = rv.value_and_grad(lambda t: ops.embedding([0, 0, 1], t, max_norm=1.0).sum())(table)[1]
    np.testing.assert_array_equal(slope, [[2, 2], [1, 1], [0, 0]])


def test_embedding_scales_gradients_by_frequency() -> None:
    table = normal(4, 2).astype("float32")
    function = rv.value_and_grad(lambda t: ops.embedding([[1, 1], [1, 3]], t, scale_grad_by_freq=True).sum())
    value, slope = function(table)
    np.testing.assert_allclose(value, table[[1, 1, 1, 3]].sum(), rtol=1e-6)
    np.testing.assert_allclose(slope, [[0, 0], [1, 1], [0, 0], [1, 1]], rtol=1e-6)


def test_an_embedding_from_given_vectors() -> None:
    vectors = normal(4, 2).astype("float32")
    frozen = nn.Embedding.from_pretrained(vectors, padding_idx=1)
    assert not frozen.weight.requires_grad
    np.testing.assert_array_equal(frozen([1, 3]), vectors[[1, 3]])
    vectors[3] = 0
    assert frozen([3]).any()
    trained = nn.Embedding.from_pretrained(vectors.astype("float64"), freeze=False, max_norm=0.5)
    assert trained.weight.requires_grad and trained.weight.dtype == "float64"
    assert np.linalg.norm(trained([0, 1, 2]), axis=1).max() < 0.5 + 1e-6


BAD = [
    (lambda: ops.add([1.0], [2.0], alpha="2"), TypeError, "add: alpha must be a number, got '2'"),
    (lambda: ops.sub([1], [2], alpha=0.5), TypeError, "sub: alpha of int64 must be an integer, got 0.5"),
    (lambda: ops.div([1.0], [2.0], rounding_mode="ceil"), ValueError,
     "div: rounding_mode must be None, 'floor' or 'trunc', got 'ceil'"),
    (lambda: ops.round([1.0], decimals=0.5), TypeError, "round: decimals must be an integer, got 0.5"),
    (lambda: ops.round([1], decimals=-1), TypeError, "round: decimals=-1 needs floating numbers, got int64"),
    (lambda: ops.var([1.0, 2.0], correction=0, unbiased=True), TypeError,
     "var: unbiased and correction mean the same"),
    (lambda: ops.var([1.0, 2.0], unbiased=1), TypeError, "var: unbiased must be True or False, got 1"),
    (lambda: ops.std([1.0, 2.0], correction="1"), TypeError, "correction must be a number"),
    (lambda: ops.max(2, np.ones(3)), TypeError,
     r"max: the first of two must be a tensor or an array, got 2; maximum\(2, other\) takes numbers"),
    (lambda: ops.max(2.5, other=ops.abs([1.0])), TypeError,
     "max: the first of two must be a tensor or an array, got 2.5"),
    (lambda: ops.min(True, np.ones(3, bool)), TypeError,
     r"min: the first of two .* got True; minimum\(True, other\)"),
    (lambda: ops.min(np.float32(2.5), [[1.0]], other=np.ones(1)), TypeError,
     "min: of two tensors there is no dim"),
    (lambda: ops.min(np.float32(2.5), other=np.ones(1)), TypeError,
     "min: the first of two must be a tensor or an array"),
    (lambda: ops.sum([1.0], dtype="float16"), TypeError, "dtype float16 is not supported"),
    (lambda: ops.softmax(1.0, 1), IndexError, "softmax: dim 1 is out of range for a tensor of 0 dimensions"),
    (lambda: ops.normalize([1.0], math.nan, 0), ValueError, "normalize: p must be a number"),
    (lambda: ops.conv2d(np.ones((4, 4)), np.ones((1, 1, 2, 2))), ValueError,
     r"conv2d: input must be images of shape \[N, C, H, W\], or one image \[C, H, W\], got shape \(4, 4\)"),
    (lambda: ops.conv2d(np.ones((3, 4, 4)), np.ones((1, 1, 2, 2))), ValueError,
     r"conv2d: input of shape \(3, 4, 4\) has 3 channels"),
    (lambda: ops.max_pool2d(np.ones((1, 1, 1, 4, 4)), 2), ValueError, "max_pool2d: input must be images"),
    (lambda: ops.avg_pool2d(np.ones((1, 4, 4)), 2, divisor_override=0), ValueError,
     "avg_pool2d: divisor_override must not be 0"),
    (lambda: nn.AvgPool2d(2, divisor_override=0.5), TypeError,
     "AvgPool2d: divisor_override must be an integer"),
    (lambda: nn.InstanceNorm2d(2)(np.ones((4, 4))), ValueError, "InstanceNorm2d: input must have shape"),
    (lambda: ops.abs(np.ones((3, 4)))[[0, 3], [0, 1]], IndexError,
     "index 3 is out of range for a dimension of size 3"),
    (lambda: ops.abs(np.ones((3, 4)))[[0, 1], [0, 1, 2]], IndexError,
     r"index arrays of shapes \(2,\), \(3,\) do not broadcast"),
    (lambda: ops.abs(np.ones((3, 4)))[[0.5]], TypeError, "an index array must hold integers .* got float32"),
    (lambda: run(lambda x: x[x > 0], np.ones(3)), IndexError, "the number of elements a mask selects is not"),
    (lambda: run(lambda x, i, j: x[i, j], np.ones((3, 4)), np.array([0]), np.array([4])), ValueError,
     r"index 12 is outside \[0, 12\)"),
    (lambda: ops.embedding([0], np.ones((2, 2)), max_norm=-1.0), ValueError,
     "embedding: max_norm must be a finite number at least 0"),
    (lambda: ops.embedding([0], np.ones((2, 2)), max_norm=1.0, norm_type=0), ValueError,
     "embedding: norm_type must be above 0"),
    (lambda: nn.Embedding(2, 2, norm_type=-1.0), ValueError, "Embedding: norm_type must be above 0"),
    (lambda: nn.Embedding.from_pretrained([1.0]), ValueError,
     r"Embedding.from_pretrained: expected .* got \(1,\)"),
    (lambda: ops.index_select(1.0, 0, [0, 0]), ValueError, "index_select: a scalar takes one index"),
    (lambda: ops.hardtanh([1.0], 2.0, 1.0), ValueError, "hardtanh: max_val must not be below min_val"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
