"""Second order: curvature that is used, and where axes mislead.

A Newton step divides the gradient by the curvature, so a quadratic needs one. Quasi-Newton methods learn
the curvature from gradients alone: BFGS keeps a whole matrix, L-BFGS the last few steps, and on
Rosenbrock's valley in twenty dimensions both are compared here with SciPy's from the same start, to the
same tolerance, where SciPy is installed. Coordinate descent minimises along one axis at a time; when two
unknowns are strongly correlated, every such step is a tiny one across the valley, and a sweep gains only
the share 1 - ρ⁴ of what is left. What makes alternating minimisation worth while is that blocks can be
easy where the whole is not: sparse coding is smooth in the codes for a fixed dictionary and in the
dictionary for fixed codes. It is given signals of two atoms each and looks for the atoms, bumps that
overlap with their neighbours (drawn on the right: what it found as dots, the true ones in grey).
"""

from __future__ import annotations

from typing import Any

import numpy as np

import ravine as rv
from ravine import ops

from .tools import Claim

CORRELATION = 0.999
ACTIVE, PENALTY = 2, 0.1


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def correlated(x):
    """A quadratic of two unknowns whose curvatures are 1 + ρ and 1 - ρ, along the diagonals."""
    return 0.5 * (x * x).sum() + CORRELATION * x[0] * x[1]


def unit(atoms):
    return atoms / ops.sqrt((atoms * atoms).sum(dim=1, keepdim=True))


def coding(unknowns, signals):
    codes = unknowns["codes"]
    misfit = 0.5 * ((signals - ops.matmul(codes, unit(unknowns["atoms"]))) ** 2).sum()
    return misfit + PENALTY * ops.sqrt(codes * codes + 1e-4).sum()


def sparse_signals(rng: np.random.Generator, count: int, atoms: int, length: int):
    """Signals of two atoms each, and the atoms: bumps of one width at different places and of either sign."""
    places = np.arange(length)[None] - np.linspace(1, length - 2, atoms)[:, None]
    known = np.exp(-0.5 * (places / 0.8) ** 2)
    known += 0.3 * rng.standard_normal(known.shape)
    known /= np.linalg.norm(known, axis=1, keepdims=True)
    codes = np.zeros((count, atoms))
    for row in codes:
        row[rng.choice(atoms, ACTIVE, replace=False)] = rng.choice([-1, 1], ACTIVE) * rng.uniform(
            0.5, 2, ACTIVE
        )
    return codes @ known, known


def values_of(function, start, args=(), **options) -> tuple[Any, list[float]]:
    """The result of a minimisation, and the function's value after each iteration."""
    values: list[float] = []
    result = rv.minimize(function, start, args, callback=lambda so_far: values.append(so_far.fun), **options)
    return result, values


def scipy_evaluations(start: np.ndarray, method: str) -> int | None:
    try:
        from scipy import optimize
    except ModuleNotFoundError:
        return None
    return optimize.minimize(
        optimize.rosen, start, jac=optimize.rosen_der, method=method, options={"gtol": 1e-6}
    ).nfev


def experiment(fast: bool, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    unknowns = 20 if fast else 200
    factor = rng.standard_normal((unknowns, unknowns))
    hessian = factor @ factor.T + 0.1 * np.eye(unknowns)
    start = rng.standard_normal(unknowns)
    newton = rv.minimize(lambda x: 0.5 * (x * ops.matmul(hessian, x)).sum(), start, method="newton")
    found: dict[str, Any] = {
        "unknowns": unknowns,
        "newton": (newton.nit, float(np.abs(newton.x).max())),
        "runs": {},
        "values": {},
    }

    start = np.zeros(20)
    for method, peer in (
        ("gd", None),
        ("cg", "CG"),
        ("bfgs", "BFGS"),
        ("l-bfgs", "L-BFGS-B"),
        ("newton", None),
    ):
        result, values = values_of(rosenbrock, start, method=method, gtol=1e-6, max_iterations=1000)
        found["runs"][method] = (result.nfev, scipy_evaluations(start, peer) if peer else None, result.fun)
        found["values"][method] = values
    _, values = values_of(correlated, np.array([1.0, -1.0]), method="coordinate", max_iterations=100)
    found["coordinate"], found["coordinate newton"] = (
        values,
        rv.minimize(correlated, np.ones(2), method="newton").nit,
    )

    count, atoms, length = (400, 8, 8) if fast else (800, 12, 12)
    signals, known = sparse_signals(rng, count, atoms, length)
    best = None
    for _ in range(3):  # from three starts, as minima are local
        first = {
            "codes": 0.01 * rng.standard_normal((count, atoms)),
            "atoms": signals[rng.choice(count, atoms, replace=False)],
        }
        result, values = values_of(
            coding,
            first,
            (signals,),
            method="block-coordinate",
            blocks=["codes", "atoms"],
            inner_iterations=15,
            max_iterations=30 if fast else 60,
        )
        if best is None or result.fun < best[0].fun:
            best = result, values
    assert best is not None
    result, found["coding"] = best
    learned = result.x["atoms"] / np.linalg.norm(result.x["atoms"], axis=1, keepdims=True)
    cosines = known @ learned.T
    nearest = np.abs(cosines).argmax(1)
    signs = np.sign(cosines[np.arange(atoms), nearest])
    found["known"], found["learned"] = known, signs[:, None] * learned[nearest]
    found["cosines"] = np.abs(cosines).max(1)
    return found


def claims(found: dict[str, Any]) -> list[Claim]:
    nit, error = found["newton"]
    runs, sweeps = found["runs"], found["coordinate"]
    ratio, left = sweeps[-1] / sweeps[-2], sweeps[-1] / (1 - CORRELATION)
    cosines, objective = found["cosines"], np.array(found["coding"])
    recovered = cosines > 0.95
    table = [
        Claim(
            "Nocedal and Wright 2006, section 3.3",
            "Newton's method minimises a quadratic in one step",
            f"{nit} step for {found['unknowns']} unknowns, {error:.1e} from the minimum",
            nit == 1 and error < 1e-6,
        ),
        Claim(
            "Nocedal and Wright 2006, sections 6.1 and 7.2",
            "BFGS and L-BFGS need far fewer evaluations than gradient descent on Rosenbrock's function",
            f"evaluations: BFGS {runs['bfgs'][0]}, L-BFGS {runs['l-bfgs'][0]}; "
            f"descent has f = {runs['gd'][2]:.1e} left after {runs['gd'][0]}",
            4 * max(runs["bfgs"][0], runs["l-bfgs"][0]) < runs["gd"][0] and runs["gd"][2] > 1e-3,
        ),
        Claim(
            "Wright 2015, Coordinate descent algorithms, section 3; Friedman et al. 2010",
            "with a correlation of 0.999 a sweep over two coordinates leaves ρ⁴ = 0.996 of the loss",
            f"{ratio:.4f} a sweep, {left:.2f} of the loss after {len(sweeps)} sweeps; "
            f"Newton {found['coordinate newton']} step",
            abs(ratio - CORRELATION**4) < 1e-3 and found["coordinate newton"] == 1,
        ),
        Claim(
            "Olshausen and Field 1996; Goodfellow et al. 2016, section 8.7",
            "alternating minimisation never goes up, and finds the atoms that made the signals",
            f"{recovered.sum()} of {len(cosines)} atoms with a cosine over 0.95, lowest {cosines.min():.3f}",
            bool(recovered.all()) and bool((np.diff(objective) <= 1e-9 * objective[:-1]).all()),
        ),
    ]
    if runs["bfgs"][1] is not None:
        pairs = {method: (runs[method][0], runs[method][1]) for method in ("cg", "bfgs", "l-bfgs")}
        text = ", ".join(f"{method} {ours} to {theirs}" for method, (ours, theirs) in pairs.items())
        worst = max(ours / theirs for ours, theirs in pairs.values())
        table.insert(
            2,
            Claim(
                "SciPy's CG, BFGS and L-BFGS-B",
                "the same methods need about as many evaluations",
                f"ours to SciPy's: {text}",
                worst < 2,
            ),
        )
    return table


def draw(figure: Any, found: dict[str, Any]) -> None:
    left, middle, right = figure.subplots(1, 3)
    for method, values in found["values"].items():
        left.loglog(1 + np.arange(len(values)), np.maximum(values, 1e-16), label=method)
    left.set(title="Rosenbrock, 20 unknowns", xlabel="iteration", ylabel="value")
    left.legend(fontsize="small")
    middle.plot(found["coordinate"], label="coordinate descent")
    middle.set(title="two unknowns, correlation 0.999", xlabel="sweep", ylabel="value", ylim=(0, None))
    middle.legend(fontsize="small")
    for number, (known, learned) in enumerate(zip(found["known"], found["learned"], strict=True)):
        right.plot(known - number, color="0.6")
        right.plot(learned - number, ".", color="C3", markersize=4)
    right.set(title="dictionary: true (grey), found (dots)", yticks=[], xlabel="place")
