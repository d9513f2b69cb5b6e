"""Normalisation of the channels of sequences and volumes."""

from __future__ import annotations

from ._norm import BatchNorm, InstanceNorm2d


class BatchNorm3d(BatchNorm):
    """Batch normalisation of each channel of volumes over batch and positions; see `BatchNorm1d`.

    Shapes: [N, C, D, H, W], the same out. Arguments as for `BatchNorm1d`.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.BatchNorm3d(3)(np.zeros((2, 3, 4, 4, 4))).shape
        (2, 3, 4, 4, 4)
    """

    ranks, layout = (5,), "[N, C, D, H, W]"


class InstanceNorm1d(InstanceNorm2d):
    """Normalisation of each channel of each sequence over its length; see `InstanceNorm2d`.

    Shapes: [N, C, L], or one sequence [C, L]; the same out. Arguments as for `InstanceNorm2d`.

    Example:
        >>> from ravine import nn
        >>> nn.InstanceNorm1d(1, eps=0.0)([[1.0, 3.0]])
        array([[-1.,  1.]], dtype=float32)
    """

    ranks, layout = (3,), "[N, C, L]"


class InstanceNorm3d(InstanceNorm2d):
    """Normalisation of each channel of each volume over its positions; see `InstanceNorm2d`.

    Shapes: [N, C, D, H, W], or one volume [C, D, H, W]; the same out. Arguments as for `InstanceNorm2d`.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.InstanceNorm3d(3)(np.zeros((2, 3, 4, 4, 4))).shape
        (2, 3, 4, 4, 4)
    """

    ranks, layout = (5,), "[N, C, D, H, W]"
