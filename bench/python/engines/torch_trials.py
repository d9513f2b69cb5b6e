"""Steps of the examples' trainings in torch: the same networks, losses, batches, optimizers and numbers."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from examples import dcgan, dqn, gan, physics_informed, vae
from torch import nn
from torch.nn import functional

from ..trials import remembered

Compile = Callable[[Callable[..., torch.Tensor]], Callable[..., torch.Tensor]]
Adam = Callable[..., torch.optim.Optimizer]


def update(optimizer: torch.optim.Optimizer, loss: torch.Tensor, inputs: list[nn.Parameter]) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward(inputs=inputs)
    optimizer.step()


def prepare_gan(compiled: Compile, adam: Adam) -> Callable[[], float]:
    def network(inputs: int, outputs: int) -> nn.Module:
        hidden = nn.Linear(inputs, gan.HIDDEN), nn.LeakyReLU(0.2), nn.Linear(gan.HIDDEN, gan.HIDDEN)
        return nn.Sequential(*hidden, nn.LeakyReLU(0.2), nn.Linear(gan.HIDDEN, outputs))

    g, d = network(gan.NOISE, 2), network(2, 1)
    of_g, of_d = list(g.parameters()), list(d.parameters())
    adam_g, adam_d = (adam(of, lr=1e-3, betas=(0.5, 0.999)) for of in (of_g, of_d))
    rng = np.random.default_rng(0)

    @compiled
    def discriminator_loss(real: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            fake = g(torch.randn(gan.BATCH, gan.NOISE))
        return functional.softplus(-d(real)).mean() + functional.softplus(d(fake)).mean()

    @compiled
    def generator_loss() -> torch.Tensor:
        return functional.softplus(-d(g(torch.randn(gan.BATCH, gan.NOISE)))).mean()

    def iteration() -> float:
        loss_d = discriminator_loss(torch.from_numpy(gan.real_points(rng, gan.BATCH)))
        update(adam_d, loss_d, of_d)
        loss_g = generator_loss()
        update(adam_g, loss_g, of_g)
        return loss_d.item() + loss_g.item()

    return iteration


def prepare_dcgan(compiled: Compile, adam: Adam) -> Callable[[], float]:
    w = dcgan.WIDTH

    def enlarged(before: int, after: int) -> tuple[nn.Module, ...]:
        return nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(True)

    g = nn.Sequential(
        *(nn.ConvTranspose2d(dcgan.NOISE, 4 * w, 4, bias=False), nn.BatchNorm2d(4 * w), nn.ReLU(True)),
        *enlarged(4 * w, 2 * w),
        *(nn.ConvTranspose2d(2 * w, 1, 4, 2, 1), nn.Tanh()),
    )
    d = nn.Sequential(
        *(nn.Conv2d(1, 2 * w, 4, 2, 1), nn.LeakyReLU(0.2, True)),
        *(nn.Conv2d(2 * w, 4 * w, 4, 2, 1, bias=False), nn.BatchNorm2d(4 * w), nn.LeakyReLU(0.2, True)),
        *(nn.Conv2d(4 * w, 1, 4), nn.Flatten()),
    )
    of_g, of_d = list(g.parameters()), list(d.parameters())
    adam_g, adam_d = (adam(of, lr=1e-3, betas=(0.5, 0.999)) for of in (of_g, of_d))
    real = torch.from_numpy(dcgan.discs(np.random.default_rng(0), dcgan.BATCH))

    @compiled
    def discriminator_loss(real: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            drawn = g(torch.randn(dcgan.BATCH, dcgan.NOISE, 1, 1))
        return functional.softplus(-d(real)).mean() + functional.softplus(d(drawn)).mean()

    @compiled
    def generator_loss() -> torch.Tensor:
        return functional.softplus(-d(g(torch.randn(dcgan.BATCH, dcgan.NOISE, 1, 1)))).mean()

    def iteration() -> float:
        loss_d = discriminator_loss(real)
        update(adam_d, loss_d, of_d)
        loss_g = generator_loss()
        update(adam_g, loss_g, of_g)
        return loss_d.item() + loss_g.item()

    return iteration


def prepare_dqn(compiled: Compile, adam: Adam) -> Callable[[], float]:
    hidden = nn.Linear(4, dqn.HIDDEN), nn.ReLU(), nn.Linear(dqn.HIDDEN, dqn.HIDDEN), nn.ReLU()
    q = nn.Sequential(*hidden, nn.Linear(dqn.HIDDEN, 2))
    target = copy.deepcopy(q).requires_grad_(False)
    parameters = list(q.parameters())
    optimizer = adam(parameters, lr=1e-3)
    memory, rng, counter = remembered(), np.random.default_rng(0), itertools.count()

    @compiled
    def loss_of(
        states: torch.Tensor, actions: torch.Tensor, following: torch.Tensor, ends: torch.Tensor
    ) -> torch.Tensor:
        chosen = q(states).gather(1, actions[:, None])[:, 0]
        with torch.no_grad():
            best = q(following).argmax(1, keepdim=True)
            wanted = 1.0 + dqn.DISCOUNT * (1.0 - ends) * target(following).gather(1, best)[:, 0]
        return functional.smooth_l1_loss(chosen, wanted)

    def iteration() -> float:
        i = next(counter)
        if i % dqn.FOLLOW == 0:
            target.load_state_dict(q.state_dict())
        with torch.inference_mode():
            q(torch.from_numpy(memory.states[i % memory.n, None])).argmax().item()
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(*map(torch.from_numpy, memory.sample(rng)))
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, dqn.CLIP)
        optimizer.step()
        return loss.item()

    return iteration


def prepare_vae(compiled: Compile, adam: Adam) -> Callable[[], float]:
    encoder = nn.Sequential(nn.Linear(vae.PIXELS, vae.HIDDEN), nn.ReLU(), nn.Linear(vae.HIDDEN, 2 * vae.CODE))
    decoder = nn.Sequential(nn.Linear(vae.CODE, vae.HIDDEN), nn.ReLU(), nn.Linear(vae.HIDDEN, vae.PIXELS))
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer = adam(parameters, lr=2e-3)
    x = torch.from_numpy(np.random.default_rng(0).random((vae.BATCH, vae.PIXELS), np.float32))
    beta = torch.zeros(())

    @compiled
    def loss_of(x: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
        mean, log_variance = encoder(x).chunk(2, dim=1)
        logits = decoder(mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean))
        unsaid = functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
        divergence = 0.5 * (mean.square() + torch.exp(log_variance) - 1.0 - log_variance).sum(1)
        return unsaid.mean() + beta * divergence.mean()

    def iteration() -> float:
        beta.fill_(min(1.0, beta.item() + 1e-4))
        loss = loss_of(x, beta)
        update(optimizer, loss, parameters)
        return loss.item()

    return iteration


def pinn() -> tuple[nn.Module, Callable[[], torch.Tensor]]:
    """The network, and its loss as a function of nothing."""
    hidden = nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh()
    model = nn.Sequential(*hidden, nn.Linear(16, 1)).double()
    force, ends = map(torch.from_numpy, (physics_informed.force, physics_informed.ends))
    x = torch.from_numpy(physics_informed.x).requires_grad_()

    def loss_of() -> torch.Tensor:
        u = model(x)
        (slope,) = torch.autograd.grad(u.sum(), x, create_graph=True)
        (curvature,) = torch.autograd.grad(slope.sum(), x, create_graph=True)
        return (curvature - force).square().mean() + 100.0 * model(ends).square().sum()

    return model, loss_of


def prepare_pinn(compiled: Compile, adam: Adam) -> Callable[[], float]:
    model, loss_of = pinn()
    parameters = list(model.parameters())
    optimizer, loss_of = adam(parameters, lr=1e-2), compiled(loss_of)

    def iteration() -> float:
        loss = loss_of()
        update(optimizer, loss, parameters)
        return loss.item()

    return iteration


def prepare_pinn_lbfgs(compiled: Compile, adam: Adam) -> Callable[[], float]:
    """One evaluation and one update a call, as a training step of ours."""
    model, loss_of = pinn()
    loss_of = compiled(loss_of)
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=1, history_size=10)  # our default

    def closure() -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of()
        loss.backward(inputs=list(model.parameters()))
        return loss

    return lambda: float(optimizer.step(closure).item())


TRIALS: dict[str, Callable[[Compile, Adam], Callable[[], float]]] = {
    "dcgan": prepare_dcgan,
    "gan": prepare_gan,
    "dqn": prepare_dqn,
    "vae": prepare_vae,
    "pinn": prepare_pinn,
    "pinn-lbfgs": prepare_pinn_lbfgs,
}


def modes(name: str) -> list[str]:
    """L-BFGS has one form."""
    foreach = [] if name == "pinn-lbfgs" else ["foreach+tcmalloc"]
    return ["eager", "eager+tcmalloc", *foreach, "compile"]


def prepare(name: str, mode: str) -> Callable[[], float]:
    """A step in a mode: fused optimizers but in "foreach"."""
    form = {"foreach": True} if "foreach" in mode else {"fused": True}
    if "compile" in mode:
        torch.compiler.reset()
        return TRIALS[name](torch.compile, partial(torch.optim.Adam, **form))
    return TRIALS[name](lambda function: function, partial(torch.optim.Adam, **form))
