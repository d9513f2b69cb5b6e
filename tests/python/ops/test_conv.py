"""Convolution against a sum over taps in NumPy: strides, padding, dilation, groups, depthwise."""

from __future__ import annotations

import numpy as np
import pytest
from helper import Case, case, check, normal, record

from ravine import _core, ops


def conv2d(x, w, b=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1):
    """The definition, tap by tap."""
    n, channels = x.shape[:2]
    out_channels, _, *kernel = w.shape
    padded = np.pad(x, ((0, 0), (0, 0), *[(p, p) for p in padding]))
    size = [
        (m - d * (k - 1) - 1) // s + 1
        for m, k, s, d in zip(padded.shape[2:], kernel, stride, dilation, strict=True)
    ]
    images = padded.reshape(n, groups, channels // groups, *padded.shape[2:])
    filters = w.reshape(groups, out_channels // groups, channels // groups, *kernel)
    y = np.zeros((n, groups, out_channels // groups, *size))
    for tap in np.ndindex(*kernel):
        first = [t * d for t, d in zip(tap, dilation, strict=True)]
        window = tuple(slice(f, f + s * (m - 1) + 1, s) for f, s, m in zip(first, stride, size, strict=True))
        y += np.einsum("ngchw,goc->ngohw", images[(..., *window)], filters[(..., *tap)])
    y = y.reshape(n, out_channels, *size)
    return y if b is None else y + b.reshape(1, -1, 1, 1)


CONFIGURATIONS = [
    # images, filters, attributes
    ((2, 3, 7, 6), (4, 3, 3, 3), {}),
    ((2, 3, 7, 6), (4, 3, 3, 3), {"padding": (1, 1)}),
    ((1, 1, 5, 5), (1, 1, 1, 1), {}),
    ((3, 8, 5, 4), (17, 8, 1, 1), {}),
    ((2, 8, 5, 4), (16, 8, 1, 1), {"stride": (2, 2)}),
    ((2, 1, 9, 9), (5, 1, 5, 5), {"padding": (2, 2), "stride": (2, 2)}),
    ((2, 3, 8, 9), (4, 3, 3, 2), {"stride": (2, 3), "padding": (1, 0)}),
    ((2, 3, 9, 8), (4, 3, 3, 3), {"dilation": (2, 3), "padding": (2, 1)}),
    ((2, 3, 9, 8), (4, 3, 2, 3), {"dilation": (3, 1), "stride": (2, 1), "padding": (3, 2)}),
    ((2, 4, 6, 5), (6, 2, 3, 3), {"groups": 2, "padding": (1, 1)}),
    ((2, 6, 6, 5), (9, 2, 3, 3), {"groups": 3, "stride": (2, 2), "padding": (1, 1)}),
    ((2, 5, 6, 5), (5, 1, 3, 3), {"groups": 5, "padding": (1, 1)}),  # depthwise
    ((2, 3, 7, 7), (6, 1, 3, 3), {"groups": 3, "stride": (2, 2), "padding": (1, 1)}),  # with a multiplier
    ((1, 17, 5, 5), (17, 1, 3, 3), {"groups": 17, "dilation": (2, 2), "padding": (2, 2)}),
    ((1, 2, 4, 4), (3, 2, 4, 4), {}),  # one position
    ((1, 2, 2, 3), (3, 2, 4, 4), {"padding": (2, 3)}),  # the kernel is larger than the image
    ((2, 2, 5, 5), (3, 2, 2, 2), {"stride": (3, 3)}),  # pixels that no window touches
    ((0, 3, 5, 5), (4, 3, 3, 3), {}),
    ((2, 33, 4, 4), (35, 33, 3, 3), {"padding": (1, 1)}),
]


def configured(shape, filters, attributes):
    return case(
        "conv2d-" + "-".join(f"{k}{v}" for k, v in attributes.items()),
        lambda x, w: ops.conv2d(x, w, **attributes),
        lambda x, w: conv2d(x, w, **attributes),
        normal(*shape),
        normal(*filters, seed=1),
        tolerance32=2e-5,
    )


CASES = [
    *[configured(*configuration) for configuration in CONFIGURATIONS],
    case(
        "bias_and_activation",
        lambda x, w, b: ops.sigmoid(ops.conv2d(x, w, b, padding=1)),
        lambda x, w, b: 1 / (1 + np.exp(-conv2d(x, w, b, padding=(1, 1)))),
        normal(2, 3, 6, 5),
        normal(4, 3, 3, 3, seed=1),
        normal(4),
    ),
    case(
        "residual",
        lambda x, w: ops.tanh(ops.conv2d(x, w, padding=1) + x),
        lambda x, w: np.tanh(conv2d(x, w, padding=(1, 1)) + x),
        normal(2, 3, 6, 5),
        normal(3, 3, 3, 3, seed=1, scale=0.3),
    ),
    case(
        "two_layers",
        lambda x, v, w: ops.conv2d(ops.tanh(ops.conv2d(x, v)), w, stride=2),
        lambda x, v, w: conv2d(np.tanh(conv2d(x, v)), w, stride=(2, 2)),
        normal(2, 2, 8, 8),
        normal(3, 2, 3, 3, seed=1),
        normal(2, 3, 2, 2, seed=2),
    ),
    case(
        "transposed_images",
        lambda x, w: ops.conv2d(ops.permute(x, (0, 3, 1, 2)), w),
        lambda x, w: conv2d(np.transpose(x, (0, 3, 1, 2)), w),
        normal(2, 5, 6, 3),
        normal(4, 3, 2, 2, seed=1),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operation(case: Case) -> None:
    check(case)


def test_bias_and_activation_run_inside_the_convolution() -> None:
    arrays = [normal(2, 3, 6, 5), normal(4, 3, 3, 3), normal(4)]
    graph, _, outputs = record(lambda x, w, b: ops.relu(ops.conv2d(x, w, b)), arrays)
    text = _core.Program(graph, outputs).describe()
    assert [line for line in text.splitlines() if "conv2d" in line and "+ add, relu" in line]
    # What is left is the change of layout at the border of the program.
    assert all("copy" in line for line in text.splitlines() if "elementwise" in line)


@pytest.mark.parametrize(
    ("shapes", "attributes", "message"),
    [
        (
            ((8, 3, 32, 32), (16, 4, 3, 3)),
            {},
            r"conv2d: the input has 3 channels \(shape \(8, 3, 32, 32\)\), the weight expects 4 "
            r"\(shape \(16, 4, 3, 3\), groups=1\)",
        ),
        (((8, 3, 4), (16, 3, 3, 3)), {}, r"conv2d: expected images \[N, C, H, W\], got shape \(8, 3, 4\)"),
        (((8, 3, 4, 4), (16, 3, 3)), {}, r"conv2d: expected a weight .*, got shape \(16, 3, 3\)"),
        (
            ((8, 4, 9, 9), (6, 1, 3, 3)),
            {"groups": 4},
            r"conv2d: 4 input channels .* 6 output channels .* groups=4",
        ),
        (((8, 4, 9, 9), (6, 4, 3, 3)), {"groups": 0}, "groups must be at least 1, got 0"),
        (
            ((8, 4, 9, 9), (6, 4, 3, 3)),
            {"padding": (-1, 0)},
            r"conv2d: padding must be at least 0, got \(-1, 0\)",
        ),
        (((8, 4, 9, 9), (6, 4, 3, 3)), {"stride": 0}, r"conv2d: stride must be at least 1, got \(0, 0\)"),
        (((8, 4, 9, 9), (6, 4, 3, 3)), {"stride": (1, 2, 3)}, "stride must be one integer or two"),
        (((8, 4, 9, 9), (6, 4, 3, 3)), {"dilation": (5, 1)}, r"a kernel of 11 x 3 .* images of 9 x 9"),
        (((8, 4, 2, 9), (6, 4, 3, 3)), {}, r"a kernel of 3 x 3 .* images of 2 x 9 .* padding \(0, 0\)"),
        (((8, 4, 9, 9), (6, 4, 3, 3)), {"padding": 2**40}, "too large"),
        (((8, 4, 9, 9), (6, 4, 0, 3)), {}, "kernel is empty"),
    ],
)
def test_shapes_that_do_not_fit(shapes: tuple, attributes: dict, message: str) -> None:
    graph = _core.Graph()
    values = [graph.input(shape, "float32") for shape in shapes]
    with pytest.raises(ValueError, match=message):
        graph.apply("conv2d", values, attributes)


def test_integers_are_refused() -> None:
    graph = _core.Graph()
    values = [graph.input((1, 1, 3, 3), "float32"), graph.input((1, 1, 3, 3), "int64")]
    with pytest.raises(TypeError, match="float32"):
        graph.apply("conv2d", [values[1], values[0]], {"unknown": 1})
    with pytest.raises(TypeError, match="unknown"):
        graph.apply("conv2d", [values[0], values[0]], {"unknown": 1})
