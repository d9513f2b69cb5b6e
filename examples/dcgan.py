"""A DCGAN (Radford et al. 2016) learns to draw discs.

Transposed convolutions enlarge noise to images, strided ones judge them, BatchNorm stands between. The
images show a bright disc somewhere on dark ground, so that it can be counted how many of the drawn ones
do. The discriminator sees real and drawn images in batches of their own, as each has statistics of its
own.

    python examples/dcgan.py --steps 600
"""

from __future__ import annotations

import argparse

import numpy as np

import ravine as rv
from ravine import init, nn, ops, optim

SIDE, RADIUS, BATCH, NOISE, WIDTH = 16, 3.0, 32, 16, 16


def discs(rng, n):
    """Images [n, 1, SIDE, SIDE] from -1 to 1, float32."""
    centres = rng.uniform(RADIUS, SIDE - 1 - RADIUS, (n, 2))
    rows, columns = np.mgrid[:SIDE, :SIDE]
    distances = np.hypot(rows - centres[:, :1, None], columns - centres[:, 1:, None])
    return np.tanh(2.0 * (RADIUS - distances))[:, None].astype("float32")


def new_models():
    def enlarged(before, after):
        return nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()

    g = nn.Sequential(
        *(nn.ConvTranspose2d(NOISE, 4 * WIDTH, 4, bias=False), nn.BatchNorm2d(4 * WIDTH), nn.ReLU()),
        *enlarged(4 * WIDTH, 2 * WIDTH),
        *(nn.ConvTranspose2d(2 * WIDTH, 1, 4, 2, 1), nn.Tanh()),
    )
    d = nn.Sequential(
        *(nn.Conv2d(1, 2 * WIDTH, 4, 2, 1), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(2 * WIDTH, 4 * WIDTH, 4, 2, 1, bias=False), nn.BatchNorm2d(4 * WIDTH), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(4 * WIDTH, 1, 4), nn.Flatten()),
    )
    for module in (*g, *d):
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            init.normal_(module.weight, 0.0, 0.02)
    return {"g": g, "d": d}


def discriminator_loss(models, real):
    """-ln d(real) - ln(1 - d(drawn)), from logits."""
    drawn = ops.stop_gradient(models["g"](ops.randn(BATCH, NOISE, 1, 1)))
    return ops.softplus(-models["d"](real)).mean() + ops.softplus(models["d"](drawn)).mean()


def generator_loss(models):
    return ops.softplus(-models["d"](models["g"](ops.randn(BATCH, NOISE, 1, 1)))).mean()


def new_steps(models):
    adam = optim.Adam(lr=1e-3, betas=(0.5, 0.999))
    return (
        rv.TrainStep(discriminator_loss, models, {"d": adam}),
        rv.TrainStep(generator_loss, models, {"g": adam}),
    )


def judged(images):
    """The share of images that are a disc, and the number of quarters in which a tenth of these lie.

    An image is a disc where a disc about the centre of its bright pixels has nearly all of these and few
    others.
    """
    rows, columns = np.mgrid[:SIDE, :SIDE]
    quarters, found = [], 0
    for image in images[:, 0]:
        bright = image > 0
        if not bright.any():
            continue
        row, column = rows[bright].mean(), columns[bright].mean()
        disc = np.hypot(rows - row, columns - column) < RADIUS
        if (disc & bright).sum() > 0.7 * (disc | bright).sum():
            found += 1
            quarters.append(2 * (row > (SIDE - 1) / 2) + (column > (SIDE - 1) / 2))
    counts = np.bincount(np.array(quarters, dtype=int), minlength=4)
    return found / len(images), int((counts > 0.1 * max(found, 1)).sum())


def main(steps):
    rv.seed(0)
    rng = np.random.default_rng(0)
    models = new_models()
    step_d, step_g = new_steps(models)
    noise = rng.standard_normal((200, NOISE, 1, 1)).astype("float32")
    print(f"real: {judged(discs(rng, 200))[0]:.0%} discs")
    for i in range(steps + 1):
        if i % (steps // 4) == 0:
            share, quarters = judged(models["g"].eval()(noise))
            print(f"step {i}: {share:.0%} discs, in {quarters} of 4 quarters")
            models["g"].train()
        loss_d, loss_g = step_d(discs(rng, BATCH)), step_g()
    print(f"losses: discriminator {loss_d:.3f}, generator {loss_g:.3f}; at rest 1.386 and 0.693")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=600, help="updates of each network, at least 4")
    main(parser.parse_args().steps)
