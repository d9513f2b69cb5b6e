"""Seeing what a model does, and what ails it: modules on a batch, curvature, noise, slices, findings."""

from ._check import Finding, check
from ._hessian import Curvature, hessian_eigenvalues
from ._inspect import Inspection, Record, inspect
from ._noise import GradientNoise, gradient_variance
from ._report import report
from ._slice import LossSlice, loss_slice

__all__ = [
    "Curvature",
    "Finding",
    "GradientNoise",
    "Inspection",
    "LossSlice",
    "Record",
    "check",
    "gradient_variance",
    "hessian_eigenvalues",
    "inspect",
    "loss_slice",
    "report",
]
