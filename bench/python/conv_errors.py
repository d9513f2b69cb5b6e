"""Errors of the algorithms for convolutions on ResNet-18's layers, against the same sums in float64.

    python -m bench.python.conv_errors

An error is the largest difference divided by the largest result. Images and gradients are normally
distributed, filters too, clipped at one deviation and divided by the square root of the fan-in.
"""

from __future__ import annotations

import os

import numpy as np

from ravine import _core, nn

from .convolutions import PASSES, STAGES, Convolution

ALGORITHMS = ("direct", "winograd_2x2", "winograd_4x4")


def run(convolution: Convolution, dtype: str, algorithm: str) -> np.ndarray:
    """The result of one pass, computed in `dtype` by the algorithm."""
    os.environ["RAVINE_CONV"] = algorithm
    x, w, dy = convolution.arrays()
    w = w.clip(-1, 1) / np.sqrt(convolution.kernel**2 * convolution.channels, dtype=np.float32)
    graph = _core.Graph()
    values = [
        graph.state(nn.Parameter(array.astype(dtype)).array, name)
        for array, name in ((x, "x"), (w, "w"), (dy, "dy"))
    ]
    x, w, dy = (graph.apply("transpose", [value], {"axes": (0, 3, 1, 2)})[0] for value in values)
    attributes = {"padding": convolution.padding}
    if convolution.direction == "forward":
        result = graph.apply("conv2d", [x, w], attributes)
    elif convolution.direction == "grad_input":
        result = graph.apply("conv2d_grad_input", [dy, w], attributes | {"input_shape": x.shape})
    else:
        result = graph.apply("conv2d_grad_filter", [x, dy], attributes | {"filter_shape": w.shape})
    return _core.Program(graph, result).run([])[0]


def error(convolution: Convolution, algorithm: str) -> float:
    exact = run(convolution, "float64", "direct")
    return float(np.abs(run(convolution, "float32", algorithm) - exact).max() / np.abs(exact).max())


def main() -> None:
    print("| layer | pass | " + " | ".join(ALGORITHMS) + " |")
    print("|---" * (len(ALGORITHMS) + 2) + "|")
    for stage in STAGES:
        for direction in PASSES:
            convolution = Convolution(*stage, direction=direction)
            batch, size, channels, out_channels = stage
            cells = [f"{error(convolution, algorithm):.1e}" for algorithm in ALGORITHMS]
            layer = f"{batch}x{size}x{size}, {channels} to {out_channels}"
            print(f"| {layer} | {direction} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
