"""What functions that make tensors take besides numbers: sizes, and PyTorch's device and requires_grad."""

from __future__ import annotations

from typing import Any

from .._dims import is_dim, sizes_of
from .._from_torch import check_device


def sizes_given(size: tuple[Any, ...], op: str) -> tuple[int, ...]:
    """Sizes given one by one or as one sequence; none of them may be negative."""
    shape = sizes_of(size[0] if len(size) == 1 and not is_dim(size[0]) else size, op)
    if min(shape, default=0) < 0:
        raise ValueError(f"{op}: sizes must not be negative, got {shape}")
    return shape


def check_placing(op: str, device: Any, requires_grad: bool) -> None:
    """The only device is the CPU, and what is made here has no gradient: otherwise ValueError."""
    check_device(op, device)
    if requires_grad:
        raise ValueError(
            f"{op}: requires_grad=True: tensors do not collect gradients; make a parameter of it, "
            "rv.nn.Parameter(...), or differentiate a function of it with rv.value_and_grad"
        )
