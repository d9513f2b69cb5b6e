"""Layers that learn the size of their input from the first one they see, and become the ordinary layer."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

from ._conv import Conv2d
from ._conv_sides import Conv1d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from ._linear import Linear
from ._module import Module
from ._norm import BatchNorm1d, BatchNorm2d, InstanceNorm2d
from ._norm_sides import BatchNorm3d, InstanceNorm1d, InstanceNorm3d


class Lazy(Module):
    """A layer without parameters that becomes one of `layer` when it is called.

    Call the model once on a batch, or one example, before its parameters are counted, saved or trained.
    """

    layer: ClassVar[Any]
    axis = 1  # of a batch: the dimension whose size is the layer's first argument
    rank: int | None = None  # of a batch; one example has one dimension less, where that can be told

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self._given = (args, kwargs)
        inspect.signature(self.layer).bind(0, *args, **kwargs)  # raises where one is not known

    def forward(self, input: Any) -> Any:
        axis = self.axis
        if self.rank is not None and len(input.shape) == self.rank - 1:
            axis -= 1
        if not -len(input.shape) <= axis < len(input.shape):
            raise ValueError(
                f"{type(self).__name__}: input of shape {tuple(input.shape)} has too few dimensions"
            )
        self._become(int(input.shape[axis]))
        return self.forward(input)

    def _become(self, size: int) -> None:
        """Turns into the ordinary layer, in the place and the mode that this one has."""
        (args, kwargs), training, dtype = self._given, self.training, self._floating
        self.__class__ = self.layer
        self.__init__(size, *args, **kwargs)
        self.train(training)
        if dtype != "float32":
            self.to(dtype)

    def extra_repr(self) -> str:
        args, kwargs = self._given
        return ", ".join([*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())])


class LazyLinear(Lazy):
    """`Linear` with the first input's in_features; its other arguments are the same.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> layer = nn.LazyLinear(8)
        >>> _ = layer(np.zeros((2, 5)))
        >>> type(layer).__name__, layer.in_features
        ('Linear', 5)
    """

    layer = Linear
    axis = -1


class LazyConv1d(Lazy):
    """`Conv1d` with the first input's in_channels; its other arguments are the same.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> layer = nn.LazyConv1d(8, 3)
        >>> _ = layer(np.zeros((2, 5, 9)))
        >>> type(layer).__name__, layer.in_channels
        ('Conv1d', 5)
    """

    layer = Conv1d
    rank = 3


class LazyConv2d(Lazy):
    """`Conv2d` with the first input's in_channels; its other arguments are the same.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> layer = nn.LazyConv2d(8, 3)
        >>> _ = layer(np.zeros((2, 5, 9, 9)))
        >>> type(layer).__name__, layer.in_channels
        ('Conv2d', 5)
    """

    layer = Conv2d
    rank = 4


class LazyConv3d(Lazy):
    """`Conv3d` with the first input's in_channels; its other arguments are the same.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> layer = nn.LazyConv3d(8, 3)
        >>> _ = layer(np.zeros((2, 5, 4, 4, 4)))
        >>> type(layer).__name__, layer.in_channels
        ('Conv3d', 5)
    """

    layer = Conv3d
    rank = 5


class LazyConvTranspose1d(Lazy):
    """`ConvTranspose1d` with the first input's in_channels; its other arguments are the same.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> layer = nn.LazyConvTranspose1d(8, 3)
        >>> _ = layer(np.zeros((2, 5, 9)))
        >>> type(layer).__name__, layer.in_channels
        ('ConvTranspose1d', 5)
    """

    layer = ConvTranspose1d
    rank = 3


class LazyConvTranspose2d(Lazy):
    """`ConvTranspose2d` with the first input's in_channels; its other arguments are the same.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> layer = nn.LazyConvTranspose2d(8, 3)
        >>> _ = layer(np.zeros((2, 5, 9, 9)))
        >>> type(layer).__name__, layer.in_channels
        ('ConvTranspose2d', 5)
    """

    layer = ConvTranspose2d
    rank = 4


class LazyConvTranspose3d(Lazy):
    """`ConvTranspose3d` with the first input's in_channels; its other arguments are the same.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> layer = nn.LazyConvTranspose3d(8, 3)
        >>> _ = layer(np.zeros((2, 5, 4, 4, 4)))
        >>> type(layer).__name__, layer.in_channels
        ('ConvTranspose3d', 5)
    """

    layer = ConvTranspose3d
    rank = 5


class LazyBatchNorm1d(Lazy):
    """`BatchNorm1d` with the first input's num_features; its other arguments are the same.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> layer = nn.LazyBatchNorm1d()
        >>> _ = layer(np.zeros((2, 5, 9)))
        >>> type(layer).__name__, layer.num_features
        ('BatchNorm1d', 5)
    """

    layer = BatchNorm1d


class LazyBatchNorm2d(Lazy):
    """`BatchNorm2d` with the first input's num_features; its other arguments are the same.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> layer = nn.LazyBatchNorm2d()
        >>> _ = layer(np.zeros((2, 5, 9, 9)))
        >>> type(layer).__name__, layer.num_features
        ('BatchNorm2d', 5)
    """

    layer = BatchNorm2d


class LazyBatchNorm3d(Lazy):
    """`BatchNorm3d` with the first input's num_features; its other arguments are the same.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> layer = nn.LazyBatchNorm3d()
        >>> _ = layer(np.zeros((2, 5, 4, 4, 4)))
        >>> type(layer).__name__, layer.num_features
        ('BatchNorm3d', 5)
    """

    layer = BatchNorm3d


class LazyInstanceNorm1d(Lazy):
    """`InstanceNorm1d` with the first input's num_features; its other arguments are the same.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> layer = nn.LazyInstanceNorm1d()
        >>> _ = layer(np.zeros((2, 5, 9)))
        >>> type(layer).__name__, layer.num_features
        ('InstanceNorm1d', 5)
    """

    layer = InstanceNorm1d
    rank = 3


class LazyInstanceNorm2d(Lazy):
    """`InstanceNorm2d` with the first input's num_features; its other arguments are the same.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> layer = nn.LazyInstanceNorm2d()
        >>> _ = layer(np.zeros((2, 5, 9, 9)))
        >>> type(layer).__name__, layer.num_features
        ('InstanceNorm2d', 5)
    """

    layer = InstanceNorm2d
    rank = 4


class LazyInstanceNorm3d(Lazy):
    """`InstanceNorm3d` with the first input's num_features; its other arguments are the same.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> layer = nn.LazyInstanceNorm3d()
        >>> _ = layer(np.zeros((2, 5, 4, 4, 4)))
        >>> type(layer).__name__, layer.num_features
        ('InstanceNorm3d', 5)
    """

    layer = InstanceNorm3d
    rank = 5
