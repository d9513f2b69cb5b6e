"""Where PyTorch has functions on gradients; here optimizers bound them, and each name says how."""

from __future__ import annotations

from typing import Any

from .._from_torch import UTILS, absent


def __getattr__(name: str) -> Any:
    raise absent("ravine.nn.utils", name, UTILS, UTILS)
