"""Sparse coding by alternating minimisation.

Signals x are written as sums of a few atoms a of a dictionary: x ≈ codes · atoms, with most codes near zero.
The objective (Olshausen and Field 1996) is smooth in the codes for fixed atoms and in the atoms for fixed
codes:

    |x - codes · atoms|² / 2 + penalty · Σ sqrt(codes² + ε),  atoms of length 1.

Each sweep minimises over one block, then over the other. The signals are made from known atoms, which are
found.
"""

from __future__ import annotations

import numpy as np

import ravine as rv
from ravine import ops

SIGNALS, ATOMS, LENGTH, ACTIVE = 400, 12, 10, 2


def unit(atoms):
    return atoms / ops.sqrt((atoms * atoms).sum(dim=1, keepdim=True))


def objective(unknowns, x):
    codes, atoms = unknowns["codes"], unit(unknowns["atoms"])
    misfit = 0.5 * ((x - ops.matmul(codes, atoms)) ** 2).sum()
    return misfit + 0.1 * ops.sqrt(codes * codes + 1e-4).sum()


def signals(rng):
    atoms = rng.standard_normal((ATOMS, LENGTH))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    codes = np.zeros((SIGNALS, ATOMS))
    for row in codes:
        row[rng.choice(ATOMS, ACTIVE, replace=False)] = rng.choice([-1, 1], ACTIVE) * rng.uniform(
            0.5, 2, ACTIVE
        )
    return codes @ atoms, atoms


def report(so_far):
    if so_far.nit % 10 == 0:
        print(f"sweep {so_far.nit}: objective {so_far.fun:.2f}")


if __name__ == "__main__":
    rng = np.random.default_rng(0)
    x, known = signals(rng)
    result = rv.minimize(
        objective,
        {
            "codes": 0.01 * rng.standard_normal((SIGNALS, ATOMS)),
            "atoms": x[rng.choice(SIGNALS, ATOMS, replace=False)],
        },
        (x,),
        method="block-coordinate",
        blocks=["codes", "atoms"],
        inner_iterations=20,
        max_iterations=60,
        callback=report,
    )
    atoms = result.x["atoms"] / np.linalg.norm(result.x["atoms"], axis=1, keepdims=True)
    found = np.abs(known @ atoms.T).max(axis=1) > 0.99  # by the cosine of the nearest atom
    used = np.abs(result.x["codes"]) > 0.05
    print(f"{found.sum()} of {ATOMS} atoms found, {used.mean():.0%} of the codes in use")
