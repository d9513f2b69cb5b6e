"""A variational autoencoder (Kingma and Welling 2014) of handwritten digits, with an annealed KL term.

It maximises a lower bound of the log-likelihood (ELBO): how well the code z ~ q(z | x) explains the image,
less the divergence of q from the prior. At the beginning the divergence would win, and the codes say nothing
(Bowman et al. 2016); so its weight beta grows from 0 to 1. It is an `rv.Scalar`, a number of the compiled
step that changes without a compilation.

    python examples/vae.py --epochs 60
"""

from __future__ import annotations

import argparse

import numpy as np

import ravine as rv
from ravine import nn, ops, optim

PIXELS, HIDDEN, CODE, BATCH = 64, 128, 8, 64


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(PIXELS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 * CODE))
        self.decoder = nn.Sequential(nn.Linear(CODE, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, PIXELS))

    def forward(self, x):
        """Logits of the pixels, mean and log-variance of the code."""
        mean, log_variance = ops.chunk(self.encoder(x), 2, dim=1)
        z = mean + ops.exp(0.5 * log_variance) * ops.randn(*mean.shape)
        return self.decoder(z), mean, log_variance


def terms(model, x):
    """What a code leaves unsaid of an image, and its divergence from the prior, in nats, [n] each."""
    logits, mean, log_variance = model(x)
    unsaid = ops.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
    divergence = 0.5 * (mean.square() + ops.exp(log_variance) - 1.0 - log_variance).sum(1)
    return unsaid, divergence


def new_step(model, beta):
    def loss_of(model, x):
        unsaid, divergence = (term.mean() for term in terms(model, x))
        return unsaid + beta * divergence, {"unsaid": unsaid, "divergence": divergence}

    return rv.TrainStep(loss_of, model, optim.Adam(lr=2e-3))


def main(epochs):
    x_train, _, x_test, _ = rv.data.digits()
    x_train, x_test = (x.reshape(len(x), PIXELS) / x_train.max() for x in (x_train, x_test))
    rv.seed(0)
    model, beta = Autoencoder(), rv.Scalar(0.0)
    step = new_step(model, beta)

    @rv.compile
    def elbo(x):
        unsaid, divergence = terms(model, x)
        return -(unsaid + divergence).mean()

    share = np.clip(x_train.mean(0), 1e-3, 1 - 1e-3)
    pixelwise = (x_test * np.log(share) + (1 - x_test) * np.log(1 - share)).sum(1).mean()
    print(
        f"ELBO of independent pixels {pixelwise:.2f}, of the model before training {float(elbo(x_test)):.2f}"
    )
    batches = rv.data.Batches(x_train, batch_size=BATCH, shuffle=True)
    growth = 1 / (0.5 * epochs * len(batches))  # of beta in a step: the first half of the training
    for epoch in range(epochs):
        for (x,) in batches:
            step(x)
            beta.value = min(1.0, beta.value + growth)
        if (epoch + 1) % (epochs // 4) == 0:
            parts = ", ".join(f"{name} {value:.2f}" for name, value in step.parts.items())
            print(f"epoch {epoch + 1}: beta {beta.value:.2f}, {parts}, ELBO {float(elbo(x_test)):.2f}")
    print(f"{len(step.programs())} programs, one for the short last batch")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=60, help="at least 4")
    main(parser.parse_args().epochs)
