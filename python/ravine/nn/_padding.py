"""Layers that surround sequences, images and volumes."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..ops._spatial import sides
from ._module import Module


class _Padding(Module):
    rank, mode = 1, "constant"

    def __init__(self, padding: Any) -> None:
        super().__init__()
        try:
            items = tuple(padding)
        except TypeError:
            items = (padding,) * (2 * self.rank)
        if len(items) != 2 * self.rank:
            raise TypeError(
                f"{type(self).__name__}: padding must be an integer or {2 * self.rank} integers (before and "
                f"after the last side, then the one before it), got {padding!r}"
            )
        for item in items:
            sides(item, "padding", type(self).__name__, -(2**62), 1)
        self.padding = tuple(int(item) for item in items)

    def forward(self, input: Any) -> Any:
        rank = len(input.shape)
        if rank not in (self.rank + 1, self.rank + 2):
            raise ValueError(
                f"{type(self).__name__}: input must have {self.rank + 1} or {self.rank + 2} dimensions, got "
                f"shape {tuple(input.shape)}"
            )
        return ops.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPadding(_Padding):
    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Any) -> Any:
        return ops.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class _ZeroPadding(_Padding):
    def forward(self, input: Any) -> Any:
        return ops.pad(input, self.padding)


class ConstantPad1d(_ConstantPadding):
    """Surrounds sequences [(N,) C, L] with a constant; see `ops.pad`.

    Args:
        padding: a number for all sides, or (before, after); negative ones cut.
        value: what is added.

    Example:
        >>> from ravine import nn
        >>> nn.ConstantPad1d((1, 0), 9.0)([[1.0, 2.0, 3.0]])
        array([[9., 1., 2., 3.]], dtype=float32)
    """

    rank = 1


class ConstantPad2d(_ConstantPadding):
    """Surrounds images [(N,) C, H, W] with a constant; see `ops.pad`.

    Args:
        padding: a number for all sides, or (left, right, top, bottom); negative ones cut.
        value: what is added.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.ConstantPad2d(1, 0.5)(np.zeros((1, 4, 4))).shape
        (1, 6, 6)
    """

    rank = 2


class ConstantPad3d(_ConstantPadding):
    """Surrounds volumes [(N,) C, D, H, W] with a constant; see `ops.pad`.

    Args:
        padding: a number for all sides, or (left, right, top, bottom, front, back); negative ones cut.
        value: what is added.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.ConstantPad3d(1, 0.5)(np.zeros((1, 4, 4, 4))).shape
        (1, 6, 6, 6)
    """

    rank = 3


class ZeroPad1d(_ZeroPadding):
    """Surrounds sequences [(N,) C, L] with zeros; see `ops.pad`.

    Args:
        padding: a number for all sides, or (before, after); negative ones cut.

    Example:
        >>> from ravine import nn
        >>> nn.ZeroPad1d((1, 2))([[1.0, 2.0, 3.0]])
        array([[0., 1., 2., 3., 0., 0.]], dtype=float32)
    """

    rank = 1


class ZeroPad2d(_ZeroPadding):
    """Surrounds images [(N,) C, H, W] with zeros; see `ops.pad`.

    Args:
        padding: a number for all sides, or (left, right, top, bottom); negative ones cut.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.ZeroPad2d(1)(np.zeros((1, 4, 4))).shape
        (1, 6, 6)
    """

    rank = 2


class ZeroPad3d(_ZeroPadding):
    """Surrounds volumes [(N,) C, D, H, W] with zeros; see `ops.pad`.

    Args:
        padding: a number for all sides, or (left, right, top, bottom, front, back); negative ones cut.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.ZeroPad3d(1)(np.zeros((1, 4, 4, 4))).shape
        (1, 6, 6, 6)
    """

    rank = 3


class ReflectionPad1d(_Padding):
    """Surrounds sequences [(N,) C, L] by mirroring at the first and last elements; see `ops.pad`.

    Args:
        padding: a number for all sides, or (before, after); negative ones cut.

    Example:
        >>> from ravine import nn
        >>> nn.ReflectionPad1d((2, 1))([[1.0, 2.0, 3.0]])
        array([[3., 2., 1., 2., 3., 2.]], dtype=float32)
    """

    rank, mode = 1, "reflect"


class ReflectionPad2d(_Padding):
    """Surrounds images [(N,) C, H, W] by mirroring at the first and last elements; see `ops.pad`.

    Args:
        padding: a number for all sides, or (left, right, top, bottom); negative ones cut.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.ReflectionPad2d(1)(np.zeros((1, 4, 4))).shape
        (1, 6, 6)
    """

    rank, mode = 2, "reflect"


class ReflectionPad3d(_Padding):
    """Surrounds volumes [(N,) C, D, H, W] by mirroring at the first and last elements; see `ops.pad`.

    Args:
        padding: a number for all sides, or (left, right, top, bottom, front, back); negative ones cut.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.ReflectionPad3d(1)(np.zeros((1, 4, 4, 4))).shape
        (1, 6, 6, 6)
    """

    rank, mode = 3, "reflect"


class ReplicationPad1d(_Padding):
    """Surrounds sequences [(N,) C, L] with the first and last elements; see `ops.pad`.

    Args:
        padding: a number for all sides, or (before, after); negative ones cut.

    Example:
        >>> from ravine import nn
        >>> nn.ReplicationPad1d((2, 0))([[1.0, 2.0, 3.0]])
        array([[1., 1., 1., 2., 3.]], dtype=float32)
    """

    rank, mode = 1, "replicate"


class ReplicationPad2d(_Padding):
    """Surrounds images [(N,) C, H, W] with the first and last elements; see `ops.pad`.

    Args:
        padding: a number for all sides, or (left, right, top, bottom); negative ones cut.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.ReplicationPad2d(1)(np.zeros((1, 4, 4))).shape
        (1, 6, 6)
    """

    rank, mode = 2, "replicate"


class ReplicationPad3d(_Padding):
    """Surrounds volumes [(N,) C, D, H, W] with the first and last elements; see `ops.pad`.

    Args:
        padding: a number for all sides, or (left, right, top, bottom, front, back); negative ones cut.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.ReplicationPad3d(1)(np.zeros((1, 4, 4, 4))).shape
        (1, 6, 6, 6)
    """

    rank, mode = 3, "replicate"


class CircularPad1d(_Padding):
    """Surrounds sequences [(N,) C, L] with what is at the other end; see `ops.pad`.

    Args:
        padding: a number for all sides, or (before, after); negative ones cut.

    Example:
        >>> from ravine import nn
        >>> nn.CircularPad1d((1, 1))([[1.0, 2.0, 3.0]])
        array([[3., 1., 2., 3., 1.]], dtype=float32)
    """

    rank, mode = 1, "circular"


class CircularPad2d(_Padding):
    """Surrounds images [(N,) C, H, W] with what is at the other end; see `ops.pad`.

    Args:
        padding: a number for all sides, or (left, right, top, bottom); negative ones cut.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.CircularPad2d(1)(np.zeros((1, 4, 4))).shape
        (1, 6, 6)
    """

    rank, mode = 2, "circular"


class CircularPad3d(_Padding):
    """Surrounds volumes [(N,) C, D, H, W] with what is at the other end; see `ops.pad`.

    Args:
        padding: a number for all sides, or (left, right, top, bottom, front, back); negative ones cut.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.CircularPad3d(1)(np.zeros((1, 4, 4, 4))).shape
        (1, 6, 6, 6)
    """

    rank, mode = 3, "circular"
