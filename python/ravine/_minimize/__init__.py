"""Minimisation of whole functions: full-batch and second-order methods."""

from ._api import minimize
from ._run import MinimizeResult

__all__ = ["MinimizeResult", "minimize"]
