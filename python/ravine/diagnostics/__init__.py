"""Seeing what a model does: modules on a batch, curvature, the noise of gradients, slices of the loss."""

from ._hessian import Curvature, hessian_eigenvalues
from ._inspect import Inspection, Record, inspect
from ._noise import GradientNoise, gradient_variance
from ._slice import LossSlice, loss_slice

__all__ = [
    "Curvature",
    "GradientNoise",
    "Inspection",
    "LossSlice",
    "Record",
    "gradient_variance",
    "hessian_eigenvalues",
    "inspect",
    "loss_slice",
]
