"""Pooling of images against windows cut out in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from helper import Case, case, check, distinct, normal, record

import ravine as rv
from ravine import _core, ops


def windows(x, kernel, stride, padding, dilation=(1, 1), fill=np.nan, ceil=False):
    """[N, C, oh, ow, kh, kw]; `fill` outside the image."""
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    behind = [p + (s - 1 if ceil else 0) for p, s in zip(padding, stride, strict=True)]
    starts = [
        p + extent for p, extent in zip(padding, x.shape[2:], strict=True)
    ]  # those of windows come before
    x = np.pad(x, ((0, 0), (0, 0), *zip(padding, behind, strict=True)), constant_values=fill)
    cut = np.lib.stride_tricks.sliding_window_view(x, reach, axis=(2, 3))
    if ceil:
        cut = cut[:, :, : starts[0], : starts[1]]
    return cut[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]


def max_pool2d(x, kernel, stride=None, padding=(0, 0), dilation=(1, 1), ceil_mode=False):
    cut = windows(x, kernel, stride or kernel, padding, dilation, ceil=ceil_mode)
    return np.nanmax(cut, axis=(-2, -1))


def max_pool2d_indices(x, kernel, stride, padding):
    h, w = x.shape[2:]
    places = np.broadcast_to(np.arange(h * w, dtype=np.float64).reshape(h, w), x.shape)
    values = windows(x, kernel, stride, padding, fill=-np.inf)
    places = windows(places, kernel, stride, padding)
    first = values.reshape(*values.shape[:4], -1).argmax(-1)
    return np.take_along_axis(places.reshape(first.shape + (-1,)), first[..., None], -1)[..., 0].astype(
        "int64"
    )


def avg_pool2d(x, kernel, stride=None, padding=(0, 0), count_include_pad=True, ceil_mode=False):
    stride = stride or kernel
    cut = windows(x, kernel, stride, padding, ceil=ceil_mode)
    if not count_include_pad:
        return np.nanmean(cut, axis=(-2, -1))
    padded = np.pad(np.zeros_like(x), ((0, 0), (0, 0), *[(p, p) for p in padding]))
    counted = windows(padded, kernel, stride, (0, 0), ceil=ceil_mode)[:, :, : cut.shape[2], : cut.shape[3]]
    return np.nansum(cut, axis=(-2, -1)) / np.isfinite(counted).sum((-2, -1))


def adaptive_avg_pool2d(x, size):
    y = np.empty((*x.shape[:2], *size))
    for i, j in np.ndindex(*size):
        rows, columns = (
            slice(k * extent // m, -(-(k + 1) * extent // m))
            for k, extent, m in zip((i, j), x.shape[2:], size, strict=True)
        )
        y[:, :, i, j] = x[:, :, rows, columns].mean(axis=(2, 3))
    return y


MAX = [
    ((2, 3, 6, 4), {"kernel": (2, 2)}),
    ((2, 3, 7, 5), {"kernel": (2, 2)}),  # rows and columns that no window reaches
    ((1, 1, 5, 5), {"kernel": (3, 3), "stride": (1, 1), "padding": (1, 1)}),
    ((2, 17, 8, 7), {"kernel": (3, 3), "stride": (2, 2), "padding": (1, 1)}),
    ((2, 3, 7, 8), {"kernel": (3, 2), "stride": (2, 1), "padding": (0, 1)}),
    ((1, 2, 9, 9), {"kernel": (3, 2), "stride": (2, 2), "padding": (1, 0), "dilation": (2, 3)}),
    ((2, 2, 4, 4), {"kernel": (1, 1), "stride": (3, 3)}),
    ((0, 3, 6, 4), {"kernel": (2, 2)}),
    ((3, 1, 4, 6), {"kernel": (4, 6)}),
    ((2, 5, 7, 6), {"kernel": (2, 2), "ceil_mode": True}),
    ((2, 3, 6, 8), {"kernel": (3, 3), "stride": (2, 2), "ceil_mode": True}),
    ((1, 17, 6, 7), {"kernel": (3, 2), "stride": (2, 3), "padding": (1, 1), "ceil_mode": True}),
    ((1, 2, 9, 8), {"kernel": (2, 3), "stride": (3, 2), "dilation": (2, 2), "ceil_mode": True}),
    ((1, 2, 3, 3), {"kernel": (4, 4), "ceil_mode": True}),  # larger than the image
    ((1, 2, 4, 4), {"kernel": (1, 1), "stride": (3, 3), "ceil_mode": True}),
]
AVERAGE = [
    ((2, 3, 6, 4), {"kernel": (2, 2)}),
    ((2, 3, 7, 5), {"kernel": (3, 2)}),
    ((1, 1, 5, 5), {"kernel": (3, 3), "stride": (1, 1), "padding": (1, 1)}),
    ((1, 1, 5, 5), {"kernel": (3, 3), "stride": (1, 1), "padding": (1, 1), "count_include_pad": False}),
    ((2, 17, 8, 7), {"kernel": (3, 2), "stride": (2, 3), "padding": (1, 0)}),
    ((2, 17, 8, 7), {"kernel": (2, 5), "stride": (2, 3), "padding": (1, 2), "count_include_pad": False}),
    ((2, 5, 7, 6), {"kernel": (2, 2), "ceil_mode": True}),
    ((2, 17, 6, 7), {"kernel": (3, 3), "stride": (2, 2), "padding": (1, 1), "ceil_mode": True}),
    ((2, 3, 5, 6), {"kernel": (2, 3), "stride": (3, 3), "padding": (1, 1), "ceil_mode": True}),
    (
        (2, 3, 6, 8),
        {
            "kernel": (3, 3),
            "stride": (2, 2),
            "padding": (1, 1),
            "ceil_mode": True,
            "count_include_pad": False,
        },
    ),
    ((0, 3, 6, 4), {"kernel": (2, 2)}),
]
ADAPTIVE = [((2, 3, 7, 7), (1, 1)), ((2, 3, 7, 5), (3, 2)), ((1, 17, 3, 4), (5, 7)), ((0, 2, 4, 4), (2, 2))]


def spelled(arguments):
    renamed = {"kernel": "kernel_size"}
    return {renamed.get(name, name): value for name, value in arguments.items()}


CASES = [
    *[
        case(
            f"max_pool2d-{arguments}",
            lambda x, arguments=arguments: ops.max_pool2d(x, **spelled(arguments)),
            lambda x, arguments=arguments: max_pool2d(x, **arguments),
            distinct(*shape),
        )
        for shape, arguments in MAX
    ],
    *[
        case(
            f"avg_pool2d-{arguments}",
            lambda x, arguments=arguments: ops.avg_pool2d(x, **spelled(arguments)),
            lambda x, arguments=arguments: avg_pool2d(x, **arguments),
            normal(*shape),
        )
        for shape, arguments in AVERAGE
    ],
    *[
        case(
            f"adaptive_avg_pool2d-{size}",
            lambda x, size=size: ops.adaptive_avg_pool2d(x, size),
            lambda x, size=size: adaptive_avg_pool2d(x, size),
            normal(*shape),
        )
        for shape, size in ADAPTIVE
    ],
    case(
        "max_pool2d_indices",
        lambda x: ops.max_pool2d(x, 3, 2, 1, return_indices=True)[1],
        lambda x: max_pool2d_indices(x, (3, 3), (2, 2), (1, 1)),
        distinct(2, 3, 8, 7),
        gradient=False,
    ),
    case(
        "nonlinear",  # second derivatives go through the gathered maxima
        lambda x: ops.exp(ops.max_pool2d(ops.sin(x), 2, 1)),
        lambda x: np.exp(max_pool2d(np.sin(x), (2, 2), (1, 1))),
        distinct(2, 2, 4, 3) * 0.4,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operation(case: Case) -> None:
    check(case)


def test_the_first_of_equal_maxima_has_the_gradient() -> None:
    graph = _core.Graph()
    x = graph.input((1, 1, 2, 2), "float32")
    y = graph.apply("max_pool2d", [x], {"kernel_size": (2, 2)})[0]
    total = graph.apply("sum", [y], {"axes": ()})[0]
    (gradient,) = _core.Program(graph, graph.gradients(total, [x])).run([np.ones((1, 1, 2, 2), "float32")])
    np.testing.assert_array_equal(gradient[0, 0], [[1, 0], [0, 0]])


def gradients_program(function, *arrays):
    graph, inputs, outputs = record(function, arrays)
    total = graph.apply("sum", [outputs[0]], {"axes": ()})[0]
    return _core.Program(graph, [*outputs, *graph.gradients(total, inputs)])


def test_gradients_alone_keep_offsets_of_a_byte() -> None:
    x = distinct(4, 16, 8, 8)
    without = gradients_program(lambda x: ops.max_pool2d(x, 2), x)
    with_indices = gradients_program(lambda x: ops.max_pool2d(x, 2, return_indices=True), x)
    large = gradients_program(lambda x: ops.max_pool2d(x, 8), x)
    assert "index 1 B" in without.describe()
    assert "index 1 B" not in with_indices.describe()
    assert "index 1 B" in large.describe()
    assert (
        "index 1 B"
        not in gradients_program(lambda x: ops.max_pool2d(x, 16), distinct(1, 1, 16, 16)).describe()
    )
    np.testing.assert_array_equal(without.run([x])[1], with_indices.run([x])[2])


def test_a_nan_is_the_maximum() -> None:
    x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    x[0, 0, 1, 0] = np.nan
    with rv.eager():
        y = ops.max_pool2d(x, 2).numpy()
    np.testing.assert_array_equal(y[0, 0], [[np.nan, 7], [13, 15]])


@pytest.mark.parametrize(
    ("op", "shape", "attributes", "message"),
    [
        ("max_pool2d", (2, 3, 4), {"kernel_size": 2}, r"max_pool2d: expected images .* shape \(2, 3, 4\)"),
        ("max_pool2d", (2, 3, 4, 4), {"kernel_size": 5}, r"max_pool2d: a kernel of 5 x 5 .* images of 4 x 4"),
        (
            "max_pool2d",
            (2, 3, 4, 4),
            {"kernel_size": 2, "padding": 2},
            "padding must be at most half of the kernel",
        ),
        (
            "max_pool2d",
            (2, 3, 4, 4),
            {"kernel_size": (0, 1)},
            r"kernel_size must be at least 1, got \(0, 1\)",
        ),
        ("max_pool2d", (2, 3, 0, 4), {"kernel_size": 2}, r"the images are empty \(shape \(2, 3, 0, 4\)\)"),
        (
            "max_pool2d",
            (1, 1, 1, 1),
            {"kernel_size": 2, "dilation": 2, "padding": 1},
            "lies in the padding only",
        ),
        (
            "avg_pool2d",
            (2, 3, 4, 4),
            {"kernel_size": 2, "stride": 0},
            "avg_pool2d: stride must be at least 1",
        ),
        (
            "avg_pool2d",
            (2, 3, 4, 4),
            {"kernel_size": 2, "padding": -1},
            "avg_pool2d: padding must be at least 0",
        ),
        ("adaptive_avg_pool2d", (2, 3, 4, 4), {"output_size": 0}, "output_size must be at least 1"),
        ("adaptive_avg_pool2d", (3, 4, 4), {"output_size": 1}, r"expected images .* shape \(3, 4, 4\)"),
    ],
)
def test_bad_arguments(op: str, shape: tuple, attributes: dict, message: str) -> None:
    graph = _core.Graph()
    with pytest.raises(ValueError, match=message):
        graph.apply(op, [graph.input(shape, "float32")], attributes)


@pytest.mark.parametrize("op", ["max_pool2d", "avg_pool2d", "adaptive_avg_pool2d"])
def test_kernel_is_required(op: str) -> None:
    graph = _core.Graph()
    with pytest.raises(TypeError, match="missing"):
        graph.apply(op, [graph.input((1, 1, 4, 4), "float32")], {})


def test_the_gradient_takes_offsets_where_the_pooling_tells_them() -> None:
    windows = {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0)}
    gradients = {}
    for offsets in (False, True):
        graph = _core.Graph()
        x = graph.input((2, 3, 7, 6), "float32")
        y, places = graph.apply("max_pool2d", [x], windows | {"offsets": offsets})
        assert places.dtype == ("uint8" if offsets else "int64")
        dy = graph.input(y.shape, "float32")
        told = windows | {"input_shape": x.shape}
        (dx,) = graph.apply("max_pool2d_grad", [dy, places], told | {"offsets": offsets})
        with pytest.raises(ValueError, match=r"max_pool2d_grad: the (offsets|indices) are .* expected"):
            graph.apply("max_pool2d_grad", [dy, places], told | {"offsets": not offsets})
        arrays = [np.asarray(normal(*value.shape), dtype=np.float32) for value in (x, dy)]
        gradients[offsets] = _core.Program(graph, [dx]).run(arrays)[0]
        if offsets:
            loss = graph.apply("sum", [graph.apply("mul", [dx, dx])[0]], {"axes": (0, 1, 2, 3)})[0]
            with pytest.raises(ValueError, match="a derivative needs indices, not offsets"):
                graph.gradients(loss, [dy])
    assert np.count_nonzero(gradients[True]) > 50
    np.testing.assert_array_equal(gradients[True], gradients[False])


def test_offsets_of_a_large_window_do_not_fit_a_byte() -> None:
    graph = _core.Graph()
    images = graph.input((1, 1, 20, 20), "float32")
    with pytest.raises(ValueError, match=r"offsets of a window of \(16, 16\) do not fit a byte"):
        graph.apply("max_pool2d", [images], {"kernel_size": 16, "offsets": True})
