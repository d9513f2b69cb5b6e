"""Steps of the examples' trainings, by the examples' own code."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from examples import dcgan, dqn, gan, physics_informed, vae

import ravine as rv

from ..trials import remembered


def prepare_gan() -> Callable[[], float]:
    step_d, step_g = gan.new_steps(gan.new_models())
    rng = np.random.default_rng(0)
    return lambda: step_d(gan.real_points(rng, gan.BATCH)) + step_g()


def prepare_dcgan() -> Callable[[], float]:
    step_d, step_g = dcgan.new_steps(dcgan.new_models())
    real = dcgan.discs(np.random.default_rng(0), dcgan.BATCH)
    return lambda: step_d(real) + step_g()


def prepare_dqn() -> Callable[[], float]:
    q, memory, rng = dqn.new_network(), remembered(), np.random.default_rng(0)
    step, target = dqn.new_step(q)
    counter = itertools.count()

    def iteration() -> float:
        i = next(counter)
        if i % dqn.FOLLOW == 0:
            target.load_state_dict(q.state_dict())
        q(memory.states[i % memory.n, None]).argmax()
        return step(*memory.sample(rng))

    return iteration


def prepare_vae() -> Callable[[], float]:
    beta = rv.Scalar(0.0)
    step = vae.new_step(vae.Autoencoder(), beta)
    x = np.random.default_rng(0).random((vae.BATCH, vae.PIXELS), np.float32)

    def iteration() -> float:
        beta.value = min(1.0, beta.value + 1e-4)
        return step(x)

    return iteration


def prepare_pinn(optimizer: str) -> Callable[[], float]:
    model, optimizers = physics_informed.new_model(), physics_informed.new_optimizers()
    step = rv.TrainStep(physics_informed.loss_of, model, optimizers[optimizer])
    data = physics_informed.x, physics_informed.force, physics_informed.ends
    return lambda: step(*data)


TRIALS: dict[str, Callable[[], Callable[[], float]]] = {
    "dcgan": prepare_dcgan,
    "gan": prepare_gan,
    "dqn": prepare_dqn,
    "vae": prepare_vae,
    "pinn": lambda: prepare_pinn("Adam"),
    "pinn-lbfgs": lambda: prepare_pinn("LBFGS"),
}
