"""Where PyTorch has schedulers; here an optimizer takes a schedule as `lr`, and each name says which."""

from __future__ import annotations

from typing import Any

from .._from_torch import LR_SCHEDULER, absent


def __getattr__(name: str) -> Any:
    raise absent("ravine.optim.lr_scheduler", name, LR_SCHEDULER, LR_SCHEDULER)
