"""Pools of sequences and volumes, adaptive maxima, powers, and the way back from maxima."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..ops._pool import output_sides
from ..ops._spatial import Single, Triple, check_divisor, sides
from ._arguments import changed_arguments
from ._module import Module


class _Pool(Module):
    """A pool that is the function `operation` of `ops`, with the layer's arguments."""

    rank, operation = 1, ""

    def _check(self, least: int, **arguments: Any) -> None:
        for name, value in arguments.items():
            sides(value, name, type(self).__name__, least, self.rank)


class _MaxPool(_Pool):
    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self._check(1, kernel_size=kernel_size, stride=self.stride, dilation=dilation)
        self._check(0, padding=padding)
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, input: Any) -> Any:
        return getattr(ops, self.operation)(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )

    def extra_repr(self) -> str:
        window = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        window += f", dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        return ", ".join([window, *changed_arguments(self, "return_indices")])


class MaxPool1d(_MaxPool):
    """Largest value of each window of sequences [(N,) C, L]. Arguments as for `MaxPool2d`.

    Example:
        >>> from ravine import nn
        >>> nn.MaxPool1d(2)([[1.0, 3.0, 2.0, 0.0]])
        array([[3., 2.]], dtype=float32)
    """

    rank, operation = 1, "max_pool1d"


class MaxPool3d(_MaxPool):
    """Largest value of each window of volumes [(N,) C, D, H, W]. Arguments as for `MaxPool2d`.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.MaxPool3d(2)(np.arange(8.0).reshape(1, 2, 2, 2))
        array([[[[7.]]]], dtype=float32)
    """

    rank, operation = 3, "max_pool3d"


class AvgPool1d(_Pool):
    """Mean of each window of sequences [(N,) C, L]. Arguments as for `AvgPool2d`.

    Example:
        >>> from ravine import nn
        >>> nn.AvgPool1d(2)([[1.0, 3.0, 2.0, 0.0]])
        array([[2., 1.]], dtype=float32)
    """

    def __init__(
        self,
        kernel_size: Single,
        stride: Single | None = None,
        padding: Single = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding = padding
        self._check(1, kernel_size=kernel_size, stride=self.stride)
        self._check(0, padding=padding)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, input: Any) -> Any:
        how = (self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)
        return ops.avg_pool1d(input, *how)

    def extra_repr(self) -> str:
        window = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        return ", ".join([window, *changed_arguments(self, "ceil_mode", "count_include_pad")])


class AvgPool3d(_Pool):
    """Mean of each window of volumes [(N,) C, D, H, W]. Arguments as for `AvgPool2d`.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.AvgPool3d(2)(np.arange(8.0).reshape(1, 2, 2, 2))
        array([[[[3.5]]]], dtype=float32)
    """

    rank = 3

    def __init__(
        self,
        kernel_size: Triple,
        stride: Triple | None = None,
        padding: Triple = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding = padding
        self._check(1, kernel_size=kernel_size, stride=self.stride)
        self._check(0, padding=padding)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad
        self.divisor_override = check_divisor(divisor_override, "AvgPool3d")

    def forward(self, input: Any) -> Any:
        how = (self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)
        return ops.avg_pool3d(input, *how, self.divisor_override)

    def extra_repr(self) -> str:
        window = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        changed = changed_arguments(self, "ceil_mode", "count_include_pad", "divisor_override")
        return ", ".join([window, *changed])


class _AdaptivePool(Module):
    rank, operation = 1, ""

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        output_sides(output_size, (1,) * self.rank, type(self).__name__)
        self.output_size = output_size

    def forward(self, input: Any) -> Any:
        return getattr(ops, self.operation)(input, self.output_size)

    def extra_repr(self) -> str:
        return ", ".join([f"output_size={self.output_size}", *changed_arguments(self)])


class AdaptiveAvgPool1d(_AdaptivePool):
    """Mean over as many windows as the output has elements; see `ops.adaptive_avg_pool2d`.

    Shapes: [(N,) C, L] to [(N,) C, output_size]; None keeps the length.

    Example:
        >>> from ravine import nn
        >>> nn.AdaptiveAvgPool1d(2)([[1.0, 3.0, 2.0, 0.0]])
        array([[2., 1.]], dtype=float32)
    """

    rank, operation = 1, "adaptive_avg_pool1d"


class AdaptiveAvgPool3d(_AdaptivePool):
    """Mean over as many windows as the output has elements; see `ops.adaptive_avg_pool2d`.

    Shapes: [(N,) C, D, H, W] to [(N,) C, *output_size]; None keeps a side.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.AdaptiveAvgPool3d(1)(np.ones((2, 3, 5, 5, 5))).shape
        (2, 3, 1, 1, 1)
    """

    rank, operation = 3, "adaptive_avg_pool3d"


class _AdaptiveMaxPool(_AdaptivePool):
    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, input: Any) -> Any:
        return getattr(ops, self.operation)(input, self.output_size, self.return_indices)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """Largest value of as many windows as the output has elements; see `ops.adaptive_max_pool2d`.

    Shapes: [(N,) C, L] to [(N,) C, output_size]; None keeps the length.

    Example:
        >>> from ravine import nn
        >>> nn.AdaptiveMaxPool1d(2)([[1.0, 3.0, 2.0, 0.0]])
        array([[3., 2.]], dtype=float32)
    """

    rank, operation = 1, "adaptive_max_pool1d"


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """Largest value of as many windows as the output has pixels; see `ops.adaptive_max_pool2d`.

    Shapes: [(N,) C, H, W] to [(N,) C, *output_size].

    Args:
        output_size: a number or (height, width); None keeps a side's size.
        return_indices: also return the index of each maximum in the flattened plane.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.AdaptiveMaxPool2d(1)(np.arange(16.0).reshape(1, 4, 4))
        array([[[15.]]], dtype=float32)
    """

    rank, operation = 2, "adaptive_max_pool2d"


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """Largest value of as many windows as the output has elements; see `ops.adaptive_max_pool2d`.

    Shapes: [(N,) C, D, H, W] to [(N,) C, *output_size], a number or (depth, height, width).

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.AdaptiveMaxPool3d(1)(np.arange(8.0).reshape(1, 2, 2, 2))
        array([[[[7.]]]], dtype=float32)
    """

    rank, operation = 3, "adaptive_max_pool3d"


class _PowerPool(_Pool):
    def __init__(
        self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self._check(1, kernel_size=kernel_size, stride=self.stride)
        self.norm_type, self.ceil_mode = norm_type, ceil_mode
        if not norm_type:
            raise ValueError(f"{type(self).__name__}: norm_type must not be 0")

    def forward(self, input: Any) -> Any:
        function = getattr(ops, self.operation)
        return function(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_PowerPool):
    """`(Σ x^p)^(1/p)` over each window of sequences [(N,) C, L]; see `ops.lp_pool2d`.

    Example:
        >>> from ravine import nn
        >>> nn.LPPool1d(2, 2)([[3.0, 4.0]])
        array([[5.]], dtype=float32)
    """

    rank, operation = 1, "lp_pool1d"


class LPPool2d(_PowerPool):
    """`(Σ x^p)^(1/p)` over each window of images [(N,) C, H, W]; see `ops.lp_pool2d`.

    Args:
        norm_type: p, not 0.
        kernel_size: window in pixels, a number or (height, width).
        stride: step of the window; None means kernel_size.
        ceil_mode: another window takes the pixels left behind the last whole one.

    Example:
        >>> from ravine import nn
        >>> nn.LPPool2d(2, (1, 2))([[[3.0, 4.0]]])
        array([[[5.]]], dtype=float32)
    """

    rank, operation = 2, "lp_pool2d"


class LPPool3d(_PowerPool):
    """`(Σ x^p)^(1/p)` over each window of volumes [(N,) C, D, H, W]; see `ops.lp_pool2d`.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.LPPool3d(2, (2, 2, 1))(np.ones((1, 2, 2, 1)))
        array([[[[2.]]]], dtype=float32)
    """

    rank, operation = 3, "lp_pool3d"


class _MaxUnpool(_Pool):
    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding = padding
        self._check(1, kernel_size=kernel_size, stride=self.stride)
        self._check(0, padding=padding)

    def forward(self, input: Any, indices: Any, output_size: Any = None) -> Any:
        function = getattr(ops, self.operation)
        return function(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Maxima of `MaxPool1d(..., return_indices=True)` put back; see `ops.max_unpool2d`.

    Example:
        >>> from ravine import nn
        >>> nn.MaxUnpool1d(2)([[3.0, 2.0]], [[1, 2]])
        array([[0., 3., 2., 0.]], dtype=float32)
    """

    rank, operation = 1, "max_unpool1d"


class MaxUnpool2d(_MaxUnpool):
    """Maxima of `MaxPool2d(..., return_indices=True)` put back, zeros elsewhere; see `ops.max_unpool2d`.

    Called with the maxima, their indices and, where it is not `(H - 1)·stride - 2·padding + kernel`, the
    `output_size`.

    Args:
        kernel_size, stride, padding: those of the pool.

    Example:
        >>> from ravine import nn
        >>> nn.MaxUnpool2d(2)([[[4.0]]], [[[2]]])
        array([[[0., 0.],
                [4., 0.]]], dtype=float32)
    """

    rank, operation = 2, "max_unpool2d"


class MaxUnpool3d(_MaxUnpool):
    """Maxima of `MaxPool3d(..., return_indices=True)` put back; see `ops.max_unpool2d`.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.MaxUnpool3d((1, 2, 2))(np.ones((1, 1, 1, 1)), np.full((1, 1, 1, 1), 3))
        array([[[[0., 0.],
                 [0., 1.]]]], dtype=float32)
    """

    rank, operation = 3, "max_unpool3d"
