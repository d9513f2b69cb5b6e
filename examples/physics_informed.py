"""A network that solves u'' = -pi² sin(pi x), u(0) = u(1) = 0, by its residual alone: Adam, then L-BFGS.

The derivatives in the loss are `ops.grad`, and the training differentiates through them. The solution is
u = sin(pi x).
"""

import numpy as np

import ravine as rv
from ravine import nn, ops, optim

x = np.linspace(0.0, 1.0, 33)[:, None]
force = -(np.pi**2) * np.sin(np.pi * x)
ends = np.array([[0.0], [1.0]])


def loss_of(model, x, force, ends):
    u = model(x)
    slope = ops.grad(u.sum(), x)
    curvature = ops.grad(slope.sum(), x)
    inside, boundary = (curvature - force).square().mean(), model(ends).square().sum()
    return inside + 100.0 * boundary, {"inside": inside, "boundary": boundary}


def new_optimizers():
    return {"Adam": optim.Adam(lr=1e-2), "LBFGS": optim.LBFGS(lr=0.5)}


def new_model():
    layers = nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1)
    return nn.Sequential(*layers).double()


if __name__ == "__main__":
    rv.seed(0)
    model = new_model()
    for name, optimizer in new_optimizers().items():
        step = rv.TrainStep(loss_of, model, optimizer)
        for _ in range(500):
            step(x, force, ends)
        error = np.abs(model(x) - np.sin(np.pi * x)).max()
        print(f"{name}: residual {step.parts['inside']:.2e}, largest error {error:.2e}")
