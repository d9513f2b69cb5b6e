"""`ravine.ops` under the name that PyTorch gives to functions of layers: `import ravine.nn.functional as F`.

`unfold` is `ops.im2col` here, and the method of tensors, windows along one dimension, is `ops.unfold_dim`.

Example:
    >>> import ravine.nn.functional as F
    >>> F.relu([-1.0, 2.0])
    tensor([0., 2.], dtype=float32)
"""

from __future__ import annotations

from typing import Any

from .. import ops
from .._from_torch import absent


def __getattr__(name: str) -> Any:
    if name in ops.__all__ or name == "unfold":
        return getattr(ops, "im2col" if name == "unfold" else name)
    raise absent("ravine.nn.functional, which is ravine.ops,", name, {}, ops.__all__)


def __dir__() -> list[str]:
    return sorted([*ops.__all__, "unfold"])
