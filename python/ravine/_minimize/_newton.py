"""Second-order methods: damped Newton with the whole Hessian, and Newton-CG with products only."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .. import _core
from .._numbers import flag, number, positive, whole
from ._problem import dot, hessian, largest, norm, times
from ._run import Run

MAX_REJECTED = 60


class _Step:
    """The outcome of a trial step: how good the model of the function was there."""

    __slots__ = ("accepted", "f", "g", "ratio", "x")

    def __init__(self, run: Run, p: np.ndarray, promised: float) -> None:
        self.x = run.moved(1.0, p)
        self.f, self.g = run.evaluate(self.x)
        finite = math.isfinite(self.f) and bool(np.isfinite(self.g).all())
        if finite and promised <= run.rounding() and abs(run.f - self.f) <= run.rounding():
            # Values tell nothing any more; gradients still do.
            self.ratio = 1.0 if largest(self.g) < largest(run.g) else -1.0
        else:
            self.ratio = (run.f - self.f) / promised if finite and promised > 0 else -math.inf
        self.accepted = self.ratio > 1e-4


def _trust_region(
    run: Run,
    radius: float,
    propose: Callable[[float], tuple[np.ndarray, float, bool]],
    why: str,
    max_radius: float = math.inf,
) -> float:
    """One iteration: shorter steps until one is accepted. Returns the next radius.

    `propose` gives the step for a radius, by how much the function should fall, and whether the radius made
    the step shorter.
    """
    expected = None  # of the first step, where it was no shorter than it should be
    for _ in range(MAX_REJECTED):
        p, promised, at_edge = propose(radius)
        if expected is None:
            expected = math.inf if at_edge else promised
        step = _Step(run, p, promised)
        if step.ratio < 0.25:
            radius = 0.25 * norm(p)
        elif step.ratio > 0.75 and at_edge:
            radius = min(2.0 * radius, max_radius)
        if step.accepted:
            run.accept(step.x, step.f, step.g)
            return radius
        if promised <= run.rounding() or np.array_equal(step.x, run.x):
            break
    assert expected is not None
    raise run.give_up(expected, why)


def newton(run: Run, *, saddle_free: bool = False, damping: float = 0.0, radius: float | None = None) -> None:
    saddle_free = flag("minimize", "saddle_free", saddle_free)
    damping = number("minimize", "damping", damping)
    bound = math.inf if radius is None else positive("minimize", "radius", radius)
    while True:
        H = hessian(run.problem, run.x)
        if not np.isfinite(H).all():
            raise run.give_up(math.inf, "the Hessian is not finite")
        g = run.g.astype(np.float64)
        if math.isinf(bound) and _full_step(run, H + damping * np.eye(len(g)), g):
            continue
        values, vectors = _core.symmetric_eigen(H)
        # Those that rounding alone keeps from 0 tell nothing of how far to go.
        values[np.abs(values) <= len(g) * np.finfo(np.float64).eps * np.abs(values).max()] = 0.0
        values = (np.abs(values) if saddle_free else values) + damping
        if math.isinf(bound) and not values.min() > 0:
            bound = max(1.0, norm(run.x))
        model = _Model(values, vectors, times(vectors.T, g))
        bound = _trust_region(run, bound, model.minimum, "no damped Newton step reduces the function")


class _Model(NamedTuple):
    """The function's quadratic model, by the eigenvalues and eigenvectors of its Hessian."""

    values: np.ndarray
    vectors: np.ndarray
    along: np.ndarray  # the gradient in their basis

    def minimum(self, radius: float) -> tuple[np.ndarray, float, bool]:
        """The lowest point within a radius, how much lower it is, and whether it lies at the edge."""
        q, at_edge = _bounded(self.values, self.along, radius)
        promised = -dot(self.along, q) - 0.5 * dot(q, self.values * q)
        return times(self.vectors, q), promised, at_edge


def _full_step(run: Run, H: np.ndarray, g: np.ndarray) -> bool:
    """Moves by -H⁻¹ g where H is positive definite and the function falls about as much as promised."""
    p = _core.solve_positive_definite(H, -g)
    if p is None:
        return False
    step = _Step(run, p, -0.5 * dot(g, p))
    if step.ratio < 0.25:
        return False
    run.accept(step.x, step.f, step.g)
    return True


def _bounded(values: np.ndarray, along: np.ndarray, bound: float) -> tuple[np.ndarray, bool]:
    """The minimum q of along·q + q·(values q) / 2 with |q| <= bound, and whether it lies at that bound.

    It is -along / (values + λ) for the least λ >= 0 that makes all denominators positive and |q| small
    enough, found by Newton's method on 1 / |q| (Moré and Sorensen 1983).
    """
    lowest = float(values.min())
    if lowest > 0:
        q = -along / values
        if norm(q) <= bound:
            return q, False
    shifted = values - min(lowest, 0.0)
    tiny = float(np.finfo(np.float64).eps) * max(float(shifted.max()), norm(along) / bound)
    extra = max(tiny, float(np.max(np.abs(along) / bound - shifted)))  # from below
    q = -along / (shifted + extra)
    size = norm(q)
    for _ in range(100):
        if size <= 1.001 * bound:
            break
        extra += size * size / dot(q, q / (shifted + extra)) * (size - bound) / bound
        q = -along / (shifted + extra)
        size = norm(q)
    if size < 0.999 * bound and lowest <= 0:  # the "hard case": more of the lowest direction costs nothing
        i = int(np.argmin(values))
        rest = max(0.0, bound * bound - (size * size - float(q[i]) ** 2))
        q[i] = -math.copysign(math.sqrt(rest), along[i])
    return q, True


def newton_cg(
    run: Run, *, radius: float = 1.0, max_radius: float = 1e6, max_products: int | None = None
) -> None:
    radius, max_radius = number("minimize", "radius", radius), number("minimize", "max_radius", max_radius)
    if not 0 < radius <= max_radius:
        raise ValueError(f"minimize: 0 < radius <= max_radius is expected, got {radius} and {max_radius}")
    most = 2 * len(run.x) if max_products is None else whole("minimize", "max_products", max_products)

    def propose(radius: float) -> tuple[np.ndarray, float, bool]:
        size = norm(run.g)
        p, promised, at_edge = _steihaug(run, radius, most, min(0.5, math.sqrt(size)))
        if promised <= run.rounding() and not at_edge:  # is there no more to gain, or did it end too early?
            p, promised, at_edge = _steihaug(run, radius, most, 1e-8)
        return p, promised, at_edge

    why = "no step within the trust region reduces the function"
    while True:
        radius = _trust_region(run, radius, propose, why, max_radius)


def _steihaug(run: Run, radius: float, most: int, residual: float) -> tuple[np.ndarray, float, bool]:
    """The model's minimum within the radius by conjugate gradients (Steihaug 1983), the decrease, whether at
    the edge.

    They end where the residual is at most that share of the gradient (which Dembo and Steihaug 1983 let fall
    with the gradient), where the curvature is not positive, or at the edge.
    """
    g = run.g.astype(np.float64)
    size = norm(g)
    enough = residual * size
    p, Hp = np.zeros_like(g), np.zeros_like(g)
    r, d = g, -g
    rr = size * size
    at_edge = False
    for _ in range(most):
        Hd = run.problem.product(run.x, d).astype(np.float64)
        curvature = dot(d, Hd)
        alpha = rr / curvature if curvature > 0 else math.inf
        if not curvature > 0 or norm(p + alpha * d) >= radius:
            alpha = _to_edge(p, d, radius)
            p, Hp, at_edge = p + alpha * d, Hp + alpha * Hd, True
            break
        p, Hp = p + alpha * d, Hp + alpha * Hd
        r = r + alpha * Hd
        before, rr = rr, dot(r, r)
        if math.sqrt(rr) <= enough:
            break
        d = (rr / before) * d - r
    return p, -dot(g, p) - 0.5 * dot(p, Hp), at_edge


def _to_edge(p: np.ndarray, d: np.ndarray, radius: float) -> float:
    """The a >= 0 with |p + a d| = radius."""
    dd, pd = dot(d, d), dot(p, d)
    room = max(0.0, radius * radius - dot(p, p))
    root = math.sqrt(pd * pd + dd * room)
    return room / (pd + root) if pd > 0 else (root - pd) / dd
