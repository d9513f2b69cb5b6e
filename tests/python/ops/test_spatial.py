"""Convolutions and pools of any number of sides, patches and resizing, against their definitions."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from helper import Case, case, check, distinct, normal, run

import ravine as rv
from ravine import ops


def spread(value: Any, rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else tuple(value)


def convolution(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    """The definition, window by window."""
    rank = w.ndim - 2
    stride, padding, dilation = (spread(v, rank) for v in (stride, padding, dilation))
    x = np.pad(x, ((0, 0), (0, 0), *[(p, p) for p in padding]))
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, w.shape[2:], strict=True)]
    size = [(n - r) // s + 1 for n, r, s in zip(x.shape[2:], reach, stride, strict=True)]
    y = np.zeros((x.shape[0], w.shape[0], *size))
    per, out = w.shape[1], w.shape[0] // groups
    for place in np.ndindex(*size):
        window = tuple(
            slice(i * s, i * s + r, d) for i, s, r, d in zip(place, stride, reach, dilation, strict=True)
        )
        for g in range(groups):
            part = x[(slice(None), slice(g * per, (g + 1) * per), *window)]
            filters = w[g * out : (g + 1) * out]
            y[(slice(None), slice(g * out, (g + 1) * out), *place)] = np.tensordot(
                part, filters, (range(1, rank + 2), range(1, rank + 2))
            )
    return y if b is None else y + b.reshape(1, -1, *[1] * rank)


def transposed(x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The definition: every input element adds its multiple of the filters."""
    rank = w.ndim - 2
    stride, padding, more, dilation = (spread(v, rank) for v in (stride, padding, output_padding, dilation))
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, w.shape[2:], strict=True)]
    full = [(n - 1) * s + r for n, s, r in zip(x.shape[2:], stride, reach, strict=True)]
    y = np.zeros((x.shape[0], w.shape[1] * groups, *[f + m for f, m in zip(full, more, strict=True)]))
    per, out = w.shape[0] // groups, w.shape[1]
    for place in np.ndindex(*x.shape[2:]):
        window = tuple(
            slice(i * s, i * s + r, d) for i, s, r, d in zip(place, stride, reach, dilation, strict=True)
        )
        for g in range(groups):
            part = x[(slice(None), slice(g * per, (g + 1) * per), *place)]
            y[(slice(None), slice(g * out, (g + 1) * out), *window)] += np.tensordot(
                part, w[g * per : (g + 1) * per], 1
            )
    cut = tuple(slice(p, n - p) for p, n in zip(padding, y.shape[2:], strict=True))
    y = y[(slice(None), slice(None), *cut)]
    return y if b is None else y + b.reshape(1, -1, *[1] * rank)


def pooled(x, kernel, stride, padding, dilation=1, fill=0.0, reduce=np.max):
    rank = x.ndim - 2
    kernel, padding, dilation = (spread(v, rank) for v in (kernel, padding, dilation))
    stride = spread(stride, rank)
    x = np.pad(x, ((0, 0), (0, 0), *[(p, p) for p in padding]), constant_values=fill)
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    size = [(n - r) // s + 1 for n, r, s in zip(x.shape[2:], reach, stride, strict=True)]
    y = np.zeros((*x.shape[:2], *size))
    for place in np.ndindex(*size):
        window = tuple(
            slice(i * s, i * s + r, d) for i, s, r, d in zip(place, stride, reach, dilation, strict=True)
        )
        y[(slice(None), slice(None), *place)] = reduce(
            x[(slice(None), slice(None), *window)], axis=tuple(range(2, rank + 2))
        )
    return y


def parts(x, output, reduce):
    """Adaptive pooling."""
    y = np.zeros((*x.shape[:2], *output))
    for place in np.ndindex(*output):
        window = tuple(
            slice(i * n // m, -(-(i + 1) * n // m))
            for i, n, m in zip(place, x.shape[2:], output, strict=True)
        )
        y[(slice(None), slice(None), *place)] = reduce(
            x[(slice(None), slice(None), *window)], axis=tuple(range(2, x.ndim))
        )
    return y


def linear_resize(x, size, aligned):
    for axis, m in enumerate(size, 2):
        n = x.shape[axis]
        i = np.arange(m)
        place = i * (n - 1) / max(m - 1, 1) if aligned else np.clip((i + 0.5) * n / m - 0.5, 0, n - 1)
        weights = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(n)))
        x = np.moveaxis(np.tensordot(weights, x, (1, axis)), 0, axis)
    return x


def of(function, reference, name, *arrays, tolerance32=2e-5, **attributes):
    text = "-".join(f"{k}{v}" for k, v in attributes.items())
    return case(
        f"{name}-{text}",
        lambda *t: function(*t, **attributes),
        lambda *a: reference(*a, **attributes),
        *arrays,
        tolerance32=tolerance32,
    )


CONVOLUTIONS = [
    of(ops.conv1d, convolution, "conv1d", normal(2, 3, 9), normal(4, 3, 3, seed=1), normal(4)),
    of(
        ops.conv1d,
        convolution,
        "conv1d",
        normal(2, 4, 9),
        normal(6, 2, 3, seed=1),
        stride=2,
        padding=2,
        groups=2,
    ),
    of(
        ops.conv1d,
        convolution,
        "conv1d",
        normal(2, 5, 9),
        normal(5, 1, 3, seed=1),
        dilation=3,
        padding=3,
        groups=5,
    ),
    of(ops.conv3d, convolution, "conv3d", normal(2, 3, 3, 4, 5), normal(4, 3, 2, 3, 2, seed=1), normal(4)),
    of(
        ops.conv3d,
        convolution,
        "conv3d",
        normal(2, 4, 5, 4, 5),
        normal(6, 2, 2, 3, 2, seed=1),
        stride=(2, 1, 2),
        padding=(1, 0, 1),
        dilation=(2, 1, 1),
        groups=2,
    ),
    of(
        ops.conv3d,
        convolution,
        "conv3d",
        normal(1, 3, 3, 3, 3),
        normal(3, 1, 3, 2, 2, seed=1),
        padding=1,
        groups=3,
    ),
    of(
        ops.conv_transpose1d,
        transposed,
        "transpose1d",
        normal(2, 3, 5),
        normal(3, 4, 3, seed=1),
        normal(4),
        stride=2,
    ),
    of(
        ops.conv_transpose1d,
        transposed,
        "transpose1d",
        normal(2, 4, 5),
        normal(4, 3, 3, seed=1),
        stride=3,
        padding=1,
        output_padding=2,
        groups=2,
    ),
    of(
        ops.conv_transpose2d,
        transposed,
        "transpose2d",
        normal(2, 3, 4, 3),
        normal(3, 4, 3, 2, seed=1),
        normal(4),
    ),
    of(
        ops.conv_transpose2d,
        transposed,
        "transpose2d",
        normal(2, 4, 4, 3),
        normal(4, 3, 3, 4, seed=1),
        stride=(2, 1),
        padding=(1, 2),
        output_padding=(1, 0),
        groups=2,
        dilation=(1, 2),
    ),
    # as much output_padding as dilation allows, more than the stride
    of(
        ops.conv_transpose2d,
        transposed,
        "transpose2d",
        normal(1, 2, 3, 3),
        normal(2, 3, 2, 2, seed=1),
        padding=(1, 0),
        output_padding=(2, 1),
        dilation=3,
    ),
    of(
        ops.conv_transpose3d,
        transposed,
        "transpose3d",
        normal(2, 3, 2, 3, 2),
        normal(3, 4, 2, 3, 2, seed=1),
        normal(4),
    ),
    of(
        ops.conv_transpose3d,
        transposed,
        "transpose3d",
        normal(1, 4, 3, 2, 2),
        normal(4, 3, 2, 3, 2, seed=1),
        stride=(3, 1, 2),
        padding=(1, 1, 0),
        output_padding=(2, 0, 1),
        groups=2,
        dilation=(2, 1, 1),
    ),
]

POOLS = [
    case(
        "lp1d",
        lambda x: ops.lp_pool1d(x, 2.0, 3, 2),
        lambda x: pooled(x**2, 3, 2, 0, reduce=np.sum) ** 0.5,
        normal(1, 2, 7) + 3,
    ),
    case(
        "lp3d",
        lambda x: ops.lp_pool3d(x, 2.0, 2),
        lambda x: pooled(x**2, 2, 2, 0, reduce=np.sum) ** 0.5,
        normal(1, 2, 2, 4, 3) + 3,
    ),
    case(
        "max1d",
        lambda x: ops.max_pool1d(x, 3, 2, 1, 2),
        lambda x: pooled(x, 3, 2, 1, 2, fill=-np.inf),
        distinct(2, 3, 10),
    ),
    case(
        "max3d",
        lambda x: ops.max_pool3d(x, (2, 3, 2), (1, 2, 2), (1, 0, 1)),
        lambda x: pooled(x, (2, 3, 2), (1, 2, 2), (1, 0, 1), fill=-np.inf),
        distinct(2, 2, 3, 5, 4),
    ),
    case(
        "avg1d",
        lambda x: ops.avg_pool1d(x, 3, 2, 1),
        lambda x: pooled(x, 3, 2, 1, reduce=np.mean),
        normal(2, 3, 10),
    ),
    case(
        "avg3d",
        lambda x: ops.avg_pool3d(x, (2, 3, 2), (1, 2, 2), (1, 0, 1)),
        lambda x: pooled(x, (2, 3, 2), (1, 2, 2), (1, 0, 1), reduce=np.mean),
        normal(2, 2, 3, 5, 4),
    ),
    case(
        "avg3d-divisor",
        lambda x: ops.avg_pool3d(x, 2, divisor_override=-3),
        lambda x: pooled(x, 2, 2, 0, reduce=np.sum) / -3,
        normal(2, 2, 3, 5, 4),
    ),
    case(
        "adaptive_avg1d",
        lambda x: ops.adaptive_avg_pool1d(x, 3),
        lambda x: parts(x, (3,), np.mean),
        normal(2, 3, 7),
    ),
    case(
        "adaptive_avg3d",
        lambda x: ops.adaptive_avg_pool3d(x, (2, 4, None)),
        lambda x: parts(x, (2, 4, 2), np.mean),
        normal(2, 2, 3, 5, 2),
    ),
    case(
        "adaptive_max1d",
        lambda x: ops.adaptive_max_pool1d(x, 3),
        lambda x: parts(x, (3,), np.max),
        distinct(2, 3, 7),
    ),
    case(
        "adaptive_max2d",
        lambda x: ops.adaptive_max_pool2d(x, (3, 4)),
        lambda x: parts(x, (3, 4), np.max),
        distinct(2, 2, 7, 6),
    ),
    case(
        "adaptive_max3d",
        lambda x: ops.adaptive_max_pool3d(x, (2, 4, 1)),
        lambda x: parts(x, (2, 4, 1), np.max),
        distinct(2, 2, 3, 5, 2),
    ),
    case(
        "lp2d",
        lambda x: ops.lp_pool2d(x * x, 3.0, 2, 1),
        lambda x: pooled(x**6, 2, 1, 0, reduce=np.sum) ** (1 / 3),
        normal(1, 2, 4, 3),
        gradient_tolerance32=2e-4,
    ),
]

RESIZED = [
    case(
        "upsample_nearest",
        lambda x: ops.upsample_nearest(x, scale_factor=2),
        lambda x: x.repeat(2, 2),
        normal(2, 3, 4),
    ),
    case(
        "upsample_bilinear",
        lambda x: ops.upsample_bilinear(x, (3, 7)),
        lambda x: linear_resize(x, (3, 7), True),
        normal(2, 2, 5, 4),
    ),
    case(
        "linear",
        lambda x: ops.interpolate(x, 7, mode="linear"),
        lambda x: linear_resize(x, (7,), False),
        normal(2, 3, 5),
    ),
    case(
        "bilinear",
        lambda x: ops.interpolate(x, (3, 7), mode="bilinear", align_corners=True),
        lambda x: linear_resize(x, (3, 7), True),
        normal(2, 2, 5, 4),
    ),
    case(
        "trilinear",
        lambda x: ops.interpolate(x, (3, 5, 2), mode="trilinear"),
        lambda x: linear_resize(x, (3, 5, 2), False),
        normal(1, 2, 2, 3, 4),
    ),
    case(
        "nearest",
        lambda x: ops.interpolate(x, scale_factor=2),
        lambda x: x.repeat(2, 2).repeat(2, 3),
        normal(2, 2, 3, 2),
    ),
    case(
        "area",
        lambda x: ops.interpolate(x, (3, 2), mode="area"),
        lambda x: parts(x, (3, 2), np.mean),
        normal(2, 2, 7, 5),
    ),
    case(
        "pixel_shuffle",
        lambda x: ops.pixel_unshuffle(ops.pixel_shuffle(x, 2) * 2.0, 2),
        lambda x: 2 * x,
        normal(2, 8, 3, 2),
    ),
    case(
        "im2col",
        lambda x, w: w @ ops.im2col(x, (2, 3), 1, 1, 2),
        lambda x, w: convolution(x, w.reshape(5, 3, 2, 3), stride=2, padding=1).reshape(2, 5, -1),
        normal(2, 3, 5, 6),
        normal(5, 18),
    ),
    case(
        "local_response_norm",
        lambda x: ops.local_response_norm(x, 3, 0.5, 0.75, 2.0),
        lambda x: (
            x
            / (2 + 0.5 / 3 * sum(np.pad(x * x, ((0, 0), (1, 1), (0, 0)))[:, i : i + 4] for i in range(3)))
            ** 0.75
        ),
        normal(2, 4, 3),
    ),
    case(
        "bilinear-product",
        ops.bilinear,
        lambda a, b, w, c: np.einsum("ni,kij,nj->nk", a, w, b) + c,
        normal(3, 4),
        normal(3, 2, seed=1),
        normal(5, 4, 2),
        normal(5),
    ),
]


@pytest.mark.parametrize("case", [*CONVOLUTIONS, *POOLS, *RESIZED], ids=str)
def test_operation(case: Case) -> None:
    check(case)


def test_causal_outputs_see_no_later_input() -> None:
    x, w = normal(1, 2, 12), normal(3, 2, 4)
    y = run(lambda a, b: ops.conv1d(a, b, padding="causal", dilation=2), x, w)
    assert y.shape == (1, 3, 12)
    changed = x.copy()
    changed[..., 7:] += 1
    np.testing.assert_array_equal(
        run(lambda a, b: ops.conv1d(a, b, padding="causal", dilation=2), changed, w)[..., :7], y[..., :7]
    )


SAME = [
    (function, rank, size, kernel, stride)
    for (function, rank) in ((ops.conv1d, 1), (ops.conv2d, 2), (ops.conv3d, 3))
    for size, kernel, stride in ((5, 3, 2), (7, 3, 2), (6, 1, 3), (7, 5, 3), (9, 3, 4))
]


@pytest.mark.parametrize(("function", "rank", "size", "kernel", "stride"), SAME)
def test_same_padding_with_a_stride_where_it_means_one_thing(
    function: Any, rank: int, size: int, kernel: int, stride: int
) -> None:
    x, w = normal(1, 1, *(size,) * rank), normal(1, 1, *(kernel,) * rank)
    y = run(lambda a, b: function(a, b, padding="same", stride=stride), x, w)
    assert y.shape[2:] == (math.ceil(size / stride),) * rank
    np.testing.assert_allclose(y, convolution(x, w, stride=stride, padding=kernel // 2), rtol=1e-12)


def test_same_padding_with_two_meanings_is_refused() -> None:
    with pytest.raises(ValueError, match=r"padding='same' with stride 2 over 6 elements has two meanings"):
        ops.conv1d(np.zeros((1, 1, 6)), np.zeros((1, 1, 3)), padding="same", stride=2)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_maxima_go_back_where_they_came_from(rank: int) -> None:
    pool = (ops.max_pool1d, ops.max_pool2d, ops.max_pool3d)[rank - 1]
    back = (ops.max_unpool1d, ops.max_unpool2d, ops.max_unpool3d)[rank - 1]
    x = distinct(2, 3, *(6, 4, 4)[:rank])
    values, indices = pool(x, 2, return_indices=True)
    flat = x.reshape(2, 3, -1)
    np.testing.assert_array_equal(
        np.take_along_axis(flat, indices.numpy().reshape(2, 3, -1), 2), values.numpy().reshape(2, 3, -1)
    )
    restored = back(values, indices, 2).numpy()
    assert restored.shape == x.shape
    np.testing.assert_array_equal(restored, np.where(np.isin(x, values.numpy()), x, 0))


def test_fold_is_the_transpose_of_im2col() -> None:
    x, y = normal(2, 3, 5, 6), normal(2, 18, 12)
    columns = ops.im2col(x, (2, 3), (2, 1), 1, (1, 2)).numpy()
    y = normal(*columns.shape)
    images = ops.fold(y, (5, 6), (2, 3), (2, 1), 1, (1, 2)).numpy()
    assert np.vdot(columns, y) == pytest.approx(np.vdot(x, images), rel=1e-12)


@pytest.mark.parametrize(
    ("mode", "padding", "aligned"),
    list(itertools.product(("bilinear", "nearest"), ("zeros", "border", "reflection"), (True, False))),
)
def test_the_grid_of_the_identity_samples_the_image(mode: str, padding: str, aligned: bool) -> None:
    x = normal(2, 3, 4, 5)
    identity = np.broadcast_to(np.eye(2, 3), (2, 2, 3))
    grid = ops.affine_grid(identity, x.shape, align_corners=aligned)
    y = ops.grid_sample(x, grid, mode, padding, aligned).numpy()
    np.testing.assert_allclose(y, x, atol=1e-12)


BAD = [
    (
        lambda: ops.conv1d(np.zeros((2, 3)), np.zeros((4, 3, 3))),
        ValueError,
        "conv1d: input of shape (2, 3) has 2",
    ),
    (lambda: ops.conv1d(np.zeros((1, 2, 3)), np.zeros((4, 2))), ValueError, "conv1d: weight must have shape"),
    (
        lambda: ops.conv1d(np.zeros((1, 2, 3, 4)), np.zeros((4, 2, 3))),
        ValueError,
        "conv1d: input must be sequences",
    ),
    (
        lambda: ops.conv3d(np.zeros((1, 2, 2, 4, 4)), np.zeros((4, 2, 3, 3, 3))),
        ValueError,
        "a filter of 3 slices",
    ),
    (
        lambda: ops.conv3d(np.zeros((1, 2, 3, 4, 4)), np.zeros((4, 2, 3, 3, 3)), stride=(1, 2)),
        TypeError,
        "stride",
    ),
    (
        lambda: ops.conv_transpose2d(np.zeros((1, 2, 3, 3)), np.zeros((3, 2, 2, 2))),
        ValueError,
        "weight must have",
    ),
    (
        lambda: ops.conv_transpose2d(np.zeros((1, 2, 3, 3)), np.zeros((2, 2, 2, 2)), output_padding=1),
        ValueError,
        "output_padding must be below stride or dilation",
    ),
    (
        lambda: ops.conv_transpose1d(np.zeros((1, 2, 1)), np.zeros((2, 2, 1)), padding=1),
        ValueError,
        "is too large",
    ),
    (
        lambda: ops.max_pool3d(np.zeros((1, 2, 3, 3, 3)), 2, padding=2),
        ValueError,
        "at most half of kernel_size",
    ),
    (
        lambda: ops.adaptive_max_pool2d(np.zeros((1, 2, 3, 3)), 0),
        ValueError,
        "output_size must be at least 1",
    ),
    (
        lambda: ops.max_unpool2d(np.zeros((1, 1, 2, 2)), np.zeros((1, 1, 2, 1), "int64"), 2),
        ValueError,
        "indices",
    ),
    (
        lambda: ops.max_unpool1d(np.zeros((1, 2)), np.zeros((1, 2), "int64"), 2, output_size=(9,)),
        ValueError,
        "stride",
    ),
    (lambda: ops.interpolate(np.zeros((1, 1, 3)), 2, mode="bilinear"), ValueError, "takes 4 dimensions"),
    (lambda: ops.interpolate(np.zeros((1, 1, 3)), 2, 2.0), ValueError, "one of size and scale_factor"),
    (lambda: ops.interpolate(np.zeros((1, 1, 3)), scale_factor=0.1), ValueError, "leaves nothing"),
    (lambda: ops.interpolate(np.zeros((1, 1, 3)), 2, align_corners=True), ValueError, "align_corners is for"),
    (lambda: ops.interpolate(np.zeros((1, 1, 3)), 2, mode="cubic"), ValueError, "mode must be one of"),
    (
        lambda: ops.grid_sample(np.zeros((1, 1, 3, 3)), np.zeros((1, 2, 2, 3))),
        ValueError,
        "grid_sample: input must",
    ),
    (lambda: ops.im2col(np.zeros((1, 1, 2, 2)), 3), ValueError, "do not fit into images"),
    (lambda: ops.fold(np.zeros((1, 5, 4)), 3, 2), ValueError, "fold: input must be"),
    (lambda: ops.pixel_shuffle(np.zeros((3, 2, 2)), 2), ValueError, "pixel_shuffle: input must be"),
    (lambda: ops.channel_shuffle(np.zeros((1, 3, 2)), 2), ValueError, "a multiple of 2"),
    (lambda: ops.bilinear(np.zeros(3), np.zeros(2), np.zeros((4, 2, 3))), ValueError, "bilinear: "),
]


@pytest.mark.parametrize(("call", "error", "words"), BAD)
def test_bad_arguments(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert words in str(caught.value)


def test_methods_and_functional_names() -> None:
    x = rv.ops.reshape(np.arange(4.0), (1, 4))
    np.testing.assert_array_equal(x.unfold(1, 2, 1).numpy(), [[[0, 1], [1, 2], [2, 3]]])
    images = np.arange(9.0).reshape(1, 1, 3, 3)
    np.testing.assert_array_equal(rv.nn.functional.unfold(images, 2).numpy(), ops.im2col(images, 2).numpy())
