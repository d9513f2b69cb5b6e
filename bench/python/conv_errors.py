"""Errors of the algorithms for convolutions, against the same sums in float64.

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
# ResNet-18's stages and its convolutions of stride 2, one of 5x5.
LAYERS = (*STAGES, (64, 32, 64, 128, 3, 2), (64, 16, 128, 256, 3, 2), (64, 14, 32, 64, 5))


def run(convolution: Convolution, dtype: str, algorithm: str) -> np.ndarray | None:
    """The result of one pass, computed in `dtype` by the algorithm; None where it does not apply."""
    os.environ["RAVINE_CONV"] = algorithm
    x, w, dy = convolution.arrays()
    w = w.clip(-1, 1) / np.sqrt(convolution.kernel**2 * convolution.channels, dtype=np.float32)
    graph = _core.Graph()
    values = [
        graph.state(nn.Parameter(array.astype(dtype)).array, name)
        for array, name in ((x, "x"), (w, "w"), (dy, "dy"))
    ]
    x, w, dy = (graph.apply("transpose", [value], {"axes": (0, 3, 1, 2)})[0] for value in values)
    attributes = {"padding": convolution.padding, "stride": convolution.stride}
    if convolution.direction == "forward":
        result = graph.apply("conv2d", [x, w], attributes)
    elif convolution.direction == "grad_input":
        result = graph.apply("conv2d_grad_input", [dy, w], attributes | {"input_shape": x.shape})
    else:
        result = graph.apply("conv2d_grad_filter", [x, dy], attributes | {"filter_shape": w.shape})
    program = _core.Program(graph, result)
    if algorithm != "direct" and algorithm.replace("_", " ") not in program.describe():
        return None
    return program.run([])[0]


def error(convolution: Convolution, algorithm: str) -> str:
    exact, result = run(convolution, "float64", "direct"), run(convolution, "float32", algorithm)
    if exact is None or result is None:
        return ""
    return f"{np.abs(result - exact).max() / np.abs(exact).max():.1e}"


def main() -> None:
    print("| layer | pass | " + " | ".join(ALGORITHMS) + " |")
    print("|---" * (len(ALGORITHMS) + 2) + "|")
    for layer in LAYERS:
        for direction in PASSES:
            convolution = Convolution(*layer, direction=direction)
            cells = [error(convolution, algorithm) for algorithm in ALGORITHMS]
            name = convolution.name.split(":")[0]
            print(f"| {name} | {direction} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
