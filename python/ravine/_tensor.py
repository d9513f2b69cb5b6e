"""Tensors by the name under which programs of others know their classes."""

from .record import Operand, Tensor

__all__ = ["Operand", "Tensor"]
