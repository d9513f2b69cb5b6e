"""Random graphs: whatever the compiler fuses, reorders and keeps in place, the numbers are NumPy's.

Each graph applies random operations to random earlier values and returns several of them. `helper.check`
compares values with NumPy and derivatives with differences, compiled, eager and on every instruction set.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from helper import Case, case, check, normal
from scipy import special

from ravine import ops

Shape = tuple[int, ...]


class Step(NamedTuple):
    """One operation, on values by their number: as a function of tensors and as one of arrays."""

    of: tuple[int, ...]
    tensors: Callable[..., Any]
    arrays: Callable[..., Any]


# Smooth functions that keep numbers of moderate size, so that differences are accurate.
UNARY = [
    (ops.tanh, np.tanh),
    (ops.sigmoid, special.expit),
    (ops.sin, np.sin),
    (ops.softplus, lambda x: np.logaddexp(x, 0)),
    (ops.gelu, lambda x: x * special.ndtr(x)),
    (lambda x: ops.exp(-ops.square(x)), lambda x: np.exp(-np.square(x))),
    (lambda x: x * 0.5 + 1, lambda x: x * 0.5 + 1),
    (lambda x: ops.log(ops.square(x) + 1), lambda x: np.log(x**2 + 1)),
    (lambda x: ops.rsqrt(ops.square(x) + 0.5), lambda x: (x**2 + 0.5) ** -0.5),
]
BINARY = [
    (ops.add, np.add),
    (ops.sub, np.subtract),
    (lambda a, b: ops.tanh(a * b), lambda a, b: np.tanh(a * b)),
    (lambda a, b: a / (ops.square(b) + 1), lambda a, b: a / (b**2 + 1)),
    # Not at 0, where differences of equal values lie up to rounding.
    (lambda a, b: ops.where(a > 0.37, a, b * 0.5), lambda a, b: np.where(a > 0.37, a, b * 0.5)),
]
REDUCTIONS = [
    (
        lambda x, axes, keep: ops.sum(x, axes, keep) * 0.2,
        lambda x, axes, keep: x.sum(axes, keepdims=keep) * 0.2,
    ),
    (ops.mean, lambda x, axes, keep: x.mean(axes, keepdims=keep)),
    (ops.logsumexp, lambda x, axes, keep: special.logsumexp(x, axes, keepdims=keep)),
]
KINDS = ["unary", "unary", "binary", "binary", "reduce", "transpose", "slice", "flatten", "concat", "matmul"]


def fits(a: Shape, b: Shape) -> bool:
    try:
        return bool(np.prod(np.broadcast_shapes(a, b)) < 2000)
    except ValueError:
        return False


def random_step(rng: np.random.Generator, shapes: list[Shape]) -> Step:
    """A random operation on values of these shapes; a unary one where the drawn kind does not apply."""
    i = int(rng.integers(len(shapes)))
    shape, rank = shapes[i], len(shapes[i])
    kind = rng.choice(KINDS)
    if kind == "binary":
        j = int(rng.choice([j for j, other in enumerate(shapes) if fits(shape, other)]))
        return Step((i, j), *BINARY[rng.integers(len(BINARY))])
    if kind == "reduce" and rank:
        axes = tuple(int(a) for a in rng.choice(rank, rng.integers(1, rank + 1), replace=False))
        keep = bool(rng.integers(2))
        f, want = REDUCTIONS[rng.integers(len(REDUCTIONS)) if 0 not in shape else 0]
        return Step((i,), lambda x: f(x, axes, keep), lambda x: want(x, axes, keep))
    if kind == "transpose" and rank > 1:
        order = tuple(int(a) for a in rng.permutation(rank))
        return Step((i,), lambda x: ops.permute(x, order), lambda x: x.transpose(order))
    if kind == "slice" and rank and max(shape) > 1:
        part = (slice(None),) * int(np.argmax(shape)) + (slice(rng.integers(2), None, rng.integers(1, 3)),)
        return Step((i,), lambda x: x[part], lambda x: x[part])
    if kind == "flatten" and rank > 1:
        merged = shape[-2] * shape[-1]
        return Step((i,), lambda x: ops.flatten(x, rank - 2), lambda x: x.reshape(*x.shape[:-2], merged))
    if kind == "concat" and rank and np.prod(shape) < 200:
        return Step(
            (i, i), lambda a, b: ops.concat([a, b * 0.5], -1), lambda a, b: np.concatenate([a, b * 0.5], -1)
        )
    if kind == "matmul" and rank == 2:
        return Step((i, i), lambda a, b: ops.tanh(a @ b.transpose(0, 1)), lambda a, b: np.tanh(a @ b.T))
    return Step((i,), *UNARY[rng.integers(len(UNARY))])


INPUTS = [
    [(3, 5), (5,), (3, 1)],
    [(2, 3, 4), (4,), ()],
    [(7,), (7,)],
    [(4, 33), (1, 33), (4, 1)],
    [(2, 3, 4, 5), (3, 1, 1), (5,)],
    [(6, 0), (6, 1)],
]


def windows(x: np.ndarray, size: int, stride: int) -> np.ndarray:
    """[N, C, out_h, out_w, size, size]"""
    return np.lib.stride_tricks.sliding_window_view(x, (size, size), (2, 3))[:, :, ::stride, ::stride]


def convolution(x: np.ndarray, w: np.ndarray, stride: int, padding: int) -> np.ndarray:
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    return np.einsum("nchwij,ocij->nohw", windows(padded, w.shape[2], stride), w)


def batch_norm(x: np.ndarray) -> np.ndarray:
    return (x - x.mean((0, 2, 3), keepdims=True)) / np.sqrt(x.var((0, 2, 3), keepdims=True) + 0.1)


def image_step(rng: np.random.Generator, shapes: list[Shape]) -> Step:
    """A random operation of a convolutional net; values 0 and 1 are filters, 3x3 of 3 channels."""
    i = int(rng.integers(2, len(shapes)))
    shape = shapes[i]
    if len(shape) != 4:
        return random_step(rng, shapes)
    kind = rng.choice(["conv", "conv", "norm", "pool", "maximum", "other", "other", "other"])
    if kind == "conv" and shape[1] == 3 and min(shape[2:]) >= 3:
        w, stride, padding = int(rng.integers(2)), int(rng.integers(1, 3)), int(rng.integers(2))
        return Step(
            (i, w),
            lambda x, w: ops.conv2d(x, w, stride=stride, padding=padding) * 0.3,
            lambda x, w: convolution(x, w, stride, padding) * 0.3,
        )
    if kind == "norm" and np.prod(shape) > shape[1]:
        return Step((i,), lambda x: ops.batch_norm(x, None, None, training=True, eps=0.1), batch_norm)
    if kind == "pool" and min(shape[2:]) >= 2:
        return Step((i,), lambda x: ops.avg_pool2d(x, 2), lambda x: windows(x, 2, 2).mean((4, 5)))
    if kind == "maximum" and min(shape[2:]) >= 2:
        return Step((i,), lambda x: ops.max_pool2d(x, 2, stride=1), lambda x: windows(x, 2, 1).max((4, 5)))
    return random_step(rng, shapes)


INPUTS_OF_IMAGES = [(3, 3, 3, 3), (3, 3, 3, 3), (2, 3, 7, 6), (1, 3, 1, 1)]


def random_graph(seed: int, shapes: list[Shape], random_step: Callable[..., Step]) -> Case:
    rng = np.random.default_rng(seed)
    inputs = [normal(*shape, seed=seed) for shape in shapes]
    values, steps = list(inputs), []
    for _ in range(int(rng.integers(4, 24))):
        step = random_step(rng, [np.shape(v) for v in values])
        steps.append(step)
        values.append(step.arrays(*[values[i] for i in step.of]))
    chosen = sorted({len(values) - 1, *(int(i) for i in rng.integers(len(inputs), len(values), 2))})

    def run(given: tuple[Any, ...], which: str) -> list[Any]:
        held = list(given)
        for step in steps:
            held.append(getattr(step, which)(*[held[i] for i in step.of]))
        return [held[i] for i in chosen]

    return case(
        f"graph {seed}",
        lambda *x: run(x, "tensors"),
        lambda *x: run(x, "arrays"),
        *inputs,
        tolerance32=5e-5,
        tolerance64=1e-11,
        gradient_tolerance32=1e-3,
    )


@pytest.mark.parametrize("seed", range(60))
def test_graph(seed: int) -> None:
    check(random_graph(seed, INPUTS[seed % len(INPUTS)], random_step))


@pytest.mark.parametrize("seed", range(40))
def test_convolutional_graph(seed: int) -> None:
    check(random_graph(seed, INPUTS_OF_IMAGES, image_step))
