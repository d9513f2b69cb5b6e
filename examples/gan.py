"""A generative adversarial network (Goodfellow et al. 2014) learns eight clusters on a circle.

Two training steps share two models. In the step of the generator the discriminator is read only, and the
other way round; a model that a step does not train is simply one without an optimizer. The noise is drawn
inside of the compiled step, by `ops.randn`.

    python examples/gan.py --steps 4000
"""

from __future__ import annotations

import argparse

import numpy as np

import ravine as rv
from ravine import nn, ops, optim

BATCH, NOISE, HIDDEN, CLUSTERS, SPREAD = 128, 8, 64, 8, 0.05
ANGLES = 2 * np.pi * np.arange(CLUSTERS) / CLUSTERS
CENTRES = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)


def real_points(rng, n):
    """Points of the clusters, float32 [n, 2]."""
    centres = CENTRES[rng.integers(0, CLUSTERS, n)]
    return (centres + SPREAD * rng.standard_normal((n, 2))).astype("float32")


def network(inputs, outputs):
    return nn.Sequential(
        *(nn.Linear(inputs, HIDDEN), nn.LeakyReLU(0.2), nn.Linear(HIDDEN, HIDDEN), nn.LeakyReLU(0.2)),
        nn.Linear(HIDDEN, outputs),
    )


def new_models():
    return {"g": network(NOISE, 2), "d": network(2, 1)}


def discriminator_loss(models, real):
    """-ln d(real) - ln(1 - d(fake)), from logits."""
    fake = ops.stop_gradient(models["g"](ops.randn(BATCH, NOISE)))
    of_real, of_fake = ops.softplus(-models["d"](real)).mean(), ops.softplus(models["d"](fake)).mean()
    return of_real + of_fake, {"real": of_real, "fake": of_fake}


def generator_loss(models):
    """-ln d(fake): the form whose gradient does not vanish while the discriminator wins."""
    return ops.softplus(-models["d"](models["g"](ops.randn(BATCH, NOISE)))).mean()


def new_steps(models):
    adam = optim.Adam(lr=1e-3, betas=(0.5, 0.999))
    return (
        rv.TrainStep(discriminator_loss, models, {"d": adam}),
        rv.TrainStep(generator_loss, models, {"g": adam}),
    )


def judged(points):
    """Clusters with at least a third of their share of the points, and the share of points in a cluster."""
    distances = np.linalg.norm(points[:, None] - CENTRES, axis=2)
    near = distances.min(axis=1) < 4 * SPREAD
    counts = np.bincount(distances.argmin(axis=1)[near], minlength=CLUSTERS)
    return int((counts > len(points) / CLUSTERS / 3).sum()), near.mean()


def main(steps):
    rv.seed(0)
    rng = np.random.default_rng(0)
    models = new_models()
    step_d, step_g = new_steps(models)
    noise = rng.standard_normal((2000, NOISE)).astype("float32")
    for i in range(steps + 1):
        if i % (steps // 4) == 0:
            clusters, share = judged(models["g"](noise))
            print(f"step {i}: {clusters} of {CLUSTERS} clusters, {share:.0%} of the points in one")
        loss_d, loss_g = step_d(real_points(rng, BATCH)), step_g()
    print(f"losses: discriminator {loss_d:.3f}, generator {loss_g:.3f}; at rest 1.386 and 0.693")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=4000, help="updates of each network, at least 4")
    main(parser.parse_args().steps)
