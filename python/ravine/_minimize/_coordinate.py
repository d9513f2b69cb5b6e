"""Coordinate and block-coordinate descent: some of the unknowns move while the others stay."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._numbers import whole
from ._descent import bfgs, cg, gd, lbfgs
from ._line_search import make_line_search
from ._newton import newton, newton_cg
from ._problem import Leaf, Problem, largest
from ._run import EVALUATIONS, Run, Stop

ORDERS = ("cyclic", "random", "greedy")
INNER = {"gd": gd, "cg": cg, "bfgs": bfgs, "l-bfgs": lbfgs, "newton": newton, "newton-cg": newton_cg}


def coordinate(run: Run, *, order: str = "cyclic", seed: int = 0, c1: float = 1e-4, c2: float = 0.1) -> None:
    if order not in ORDERS:
        raise ValueError(f"minimize: order must be 'cyclic', 'random' or 'greedy', got {order!r}")
    search = make_line_search("strong-wolfe", c1, c2)
    n = len(run.x)
    rng = np.random.default_rng(whole("minimize", "seed", seed, 0))
    curvature = np.zeros(n)  # along each coordinate, from its last step; 0 where unknown
    unit = np.zeros(n, run.x.dtype)
    while True:
        x, f, g = run.x, run.f, run.g
        moved = False
        for k in rng.permutation(n) if order == "random" else range(n):
            i = int(np.argmax(np.abs(g))) if order == "greedy" else int(k)
            slope = float(g[i])
            if slope == 0.0:
                continue
            unit[i] = -math.copysign(1.0, slope)
            sweep = _At(run, x, f, g)
            step = abs(slope) / curvature[i] if curvature[i] > 0 else min(1.0, abs(slope))
            point = search(sweep, unit, -abs(slope), step)
            unit[i] = 0
            if point is None:
                continue
            change = float(point.x[i]) - float(x[i])
            if change != 0.0:
                curvature[i] = max(0.0, (float(point.g[i]) - slope) / change)
                moved = True
            x, f, g = point.x, point.f, point.g
        if not moved:
            raise run.give_up(largest(g) * largest(x), "no coordinate's line search found a lower point")
        run.accept(x, f, g)


class _At(Run):
    """A run seen from another point, within one of its iterations."""

    def __init__(self, run: Run, x: np.ndarray, f: float, g: np.ndarray) -> None:
        self.problem = run.problem
        self.max_evaluations = run.max_evaluations
        self.x, self.f, self.g = x, f, g


class _Block:
    """The problem as a function of some of its unknowns, the others fixed."""

    def __init__(self, problem: Problem, index: np.ndarray, x: np.ndarray) -> None:
        self._problem = problem
        self._index = index
        self._x = x
        self.dtype, self.eps = problem.dtype, problem.eps
        self.gradients: list[tuple[np.ndarray, np.ndarray]] = []  # of all unknowns, by point

    @property
    def evaluations(self) -> int:
        return self._problem.evaluations

    def whole(self, part: np.ndarray) -> np.ndarray:
        x = self._x.copy()
        x[self._index] = part
        return x

    def evaluate(self, part: np.ndarray) -> tuple[float, np.ndarray]:
        f, g = self._problem.evaluate(self.whole(part))
        self.gradients.append((part, g))
        return f, g[self._index]

    def product(self, part: np.ndarray, vector: np.ndarray) -> np.ndarray:
        whole = np.zeros_like(self._x)
        whole[self._index] = vector
        return self._problem.product(self.whole(part), whole)[self._index]


class _Part(Run):
    """A minimisation over one block; it knows the whole gradient at the point reached."""

    problem: _Block
    whole_gradient: np.ndarray

    def accept(self, x: np.ndarray, f: float, g: np.ndarray) -> None:
        self.whole_gradient = next(whole for point, whole in self.problem.gradients if point is x)
        self.problem.gradients.clear()
        super().accept(x, f, g)


def block_coordinate(
    run: Run, *, blocks: Sequence[Any] | None = None, inner: str = "l-bfgs", inner_iterations: int = 10
) -> None:
    if inner not in INNER:
        raise ValueError(f"minimize: inner must be one of {', '.join(INNER)}, got {inner!r}")
    inner_iterations = whole("minimize", "inner_iterations", inner_iterations)
    indices = block_indices(run.problem.leaves, blocks)
    while True:
        x, f, g = run.x, run.f, run.g
        for index in indices:
            part = _Part(
                _Block(run.problem, index, x),
                x[index],
                gtol=0.1 * run.gtol,
                max_iterations=inner_iterations,
                max_evaluations=run.max_evaluations,
            )
            part.f, part.g, part.whole_gradient = f, g[index], g
            try:
                part.check_gradient()
                INNER[inner](part)
            except Stop as stop:
                x, f, g = part.problem.whole(part.x), part.f, part.whole_gradient
                if stop.status == EVALUATIONS:
                    run.x, run.f, run.g = x, f, g
                    raise
        if np.array_equal(x, run.x):
            raise run.give_up(largest(g) * largest(x), "no block's minimisation found a lower point")
        run.accept(x, f, g)


def block_indices(leaves: Sequence[Leaf], blocks: Sequence[Any] | None) -> list[np.ndarray]:
    """Blocks as positions in the flat vector; every unknown is in one of them."""
    if blocks is None:
        if len(leaves) == 1:
            raise ValueError(
                "minimize: method 'block-coordinate' of one array needs blocks, a list of indices into it"
            )
        blocks = [leaf.name for leaf in leaves]
    n = leaves[-1].place.stop
    owner = np.full(n, -1)
    indices = []
    for number, block in enumerate(blocks):
        index = _named(leaves, block) if _is_named(block) else _indexed(leaves, block)
        if index.size == 0 or len(np.unique(index)) != index.size or (owner[index] >= 0).any():
            what = "is empty" if index.size == 0 else "overlaps itself or one before"
            raise ValueError(f"minimize: block {number}, {block!r}, {what}; disjoint blocks are expected")
        owner[index] = number
        indices.append(index)
    if (owner < 0).any():
        missing = [leaf.name for leaf in leaves if (owner[leaf.place] < 0).any()]
        raise ValueError(f"minimize: no block has all of {', '.join(missing)}; every unknown must be in one")
    return indices


def _is_named(block: Any) -> bool:
    return isinstance(block, str) or (
        isinstance(block, list | tuple) and all(isinstance(x, str) for x in block)
    )


def _named(leaves: Sequence[Leaf], block: str | Sequence[str]) -> np.ndarray:
    """Positions of arrays given by name, or by the name of a module that they belong to."""
    parts = []
    for name in [block] if isinstance(block, str) else block:
        found = [leaf for leaf in leaves if leaf.name == name or leaf.name.startswith(f"{name}.")]
        if not found:
            names = ", ".join(leaf.name for leaf in leaves)
            raise ValueError(f"minimize: there is no {name!r} for a block, expected some of {names}")
        parts += [np.arange(leaf.place.start, leaf.place.stop) for leaf in found]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _indexed(leaves: Sequence[Leaf], block: Any) -> np.ndarray:
    """Positions given by an index into the only array."""
    if len(leaves) > 1:
        raise TypeError(f"minimize: blocks of several arrays are lists of their names, got {block!r}")
    (leaf,) = leaves
    index = np.asarray(block) if isinstance(block, list) else block
    try:
        return np.ravel(np.arange(leaf.place.stop).reshape(leaf.shape)[index])
    except (IndexError, TypeError) as error:
        raise ValueError(f"minimize: block {block!r} is no index into shape {leaf.shape}: {error}") from None
