"""Many nets of one architecture, trained in one program."""

from ._module import Ensemble, Predictions, piece
from ._step import EnsembleHyper, EnsembleStep

__all__ = ["Ensemble", "EnsembleHyper", "EnsembleStep", "Predictions", "piece"]
