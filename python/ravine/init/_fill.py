"""Initialisers of a given distribution or structure, in place. Every function returns its argument.

`tensor` is a Parameter, a Buffer or a writable NumPy array. Random numbers come from the process's generator
(`rv.seed`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from .. import _core
from ..record import State

S = TypeVar("S", State, np.ndarray)


def _fill(tensor: S, fill: Callable[[_core.Array], None]) -> S:
    if isinstance(tensor, State):
        fill(tensor.array)
        return tensor
    array = _core.Array(np.ascontiguousarray(tensor))
    fill(array)
    tensor[...] = array.numpy()
    return tensor


def _view(tensor: State | np.ndarray) -> np.ndarray:
    return tensor.data if isinstance(tensor, State) else tensor


def _check_finite(name: str, **values: float) -> None:
    for key, value in values.items():
        if not math.isfinite(value):
            raise ValueError(f"{name}: {key} must be finite, got {value}")


def uniform_(tensor: S, a: float = 0.0, b: float = 1.0) -> S:
    """Uniform numbers in [a, b).

    Example:
        >>> import ravine as rv
        >>> w = rv.init.uniform_(rv.nn.Parameter([[0.0] * 100]), 2.0, 3.0)
        >>> bool(((w.data >= 2) & (w.data < 3)).all())
        True
    """
    _check_finite("uniform_", a=a, b=b)
    if a > b:
        raise ValueError(f"uniform_: a must not exceed b, got {a} and {b}")
    return _fill(tensor, lambda array: _core.fill_uniform(array, a, b))


def normal_(tensor: S, mean: float = 0.0, std: float = 1.0) -> S:
    """Normal numbers of the given mean and standard deviation.

    Example:
        >>> import ravine as rv
        >>> rv.init.normal_(rv.nn.Parameter([0.0]), 5.0, 0.0).data
        array([5.], dtype=float32)
    """
    _check_finite("normal_", mean=mean, std=std)
    if std < 0:
        raise ValueError(f"normal_: std must not be negative, got {std}")
    return _fill(tensor, lambda array: _core.fill_normal(array, mean, std))


def trunc_normal_(tensor: S, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0) -> S:
    """Normal numbers conditioned to lie in [a, b] (absolute bounds, as in torch).

    Example:
        >>> import ravine as rv
        >>> w = rv.init.trunc_normal_(rv.nn.Parameter([0.0] * 100), std=3.0)
        >>> bool((abs(w.data) <= 2).all())
        True
    """
    _check_finite("trunc_normal_", mean=mean, std=std, a=a, b=b)
    if std <= 0 or a >= b:
        raise ValueError(f"trunc_normal_: std must be positive and a < b, got std={std}, a={a}, b={b}")
    return _fill(tensor, lambda array: _core.fill_trunc_normal(array, mean, std, a, b))


def constant_(tensor: S, val: float) -> S:
    """The same number everywhere.

    Example:
        >>> import ravine as rv
        >>> rv.init.constant_(rv.nn.Parameter([0.0, 0.0]), 3.0).data
        array([3., 3.], dtype=float32)
    """
    _view(tensor)[...] = val
    return tensor


def ones_(tensor: S) -> S:
    """Ones.

    Example:
        >>> import ravine as rv
        >>> rv.init.ones_(rv.nn.Parameter([0.0, 0.0])).data
        array([1., 1.], dtype=float32)
    """
    return constant_(tensor, 1.0)


def zeros_(tensor: S) -> S:
    """Zeros.

    Example:
        >>> import ravine as rv
        >>> rv.init.zeros_(rv.nn.Parameter([2.0, 3.0])).data
        array([0., 0.], dtype=float32)
    """
    return constant_(tensor, 0.0)


def eye_(tensor: S) -> S:
    """The identity matrix, cut or padded with zeros to the shape [rows, columns].

    Example:
        >>> import ravine as rv
        >>> rv.init.eye_(rv.nn.Parameter([[5.0, 5.0]])).data
        array([[1., 0.]], dtype=float32)
    """
    if tensor.ndim != 2:
        raise ValueError(f"eye_: a matrix is needed, got shape {tensor.shape}")
    _view(tensor)[...] = np.eye(tensor.shape[0], tensor.shape[1])
    return tensor


def identity_(tensor: S, gain: float = 1.0) -> S:
    """`gain` times the map that changes nothing: `eye_` for a matrix, `dirac_` for a convolution's weight.

    For the recurrent matrix of rectifier nets and for deep plain nets that are to start as the identity.

    Source: Le, Jaitly and Hinton 2015, https://arxiv.org/abs/1504.00941.

    Raises ValueError for other than 2 to 5 dimensions.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.init.identity_(np.zeros((2, 2)), 0.5)
        array([[0.5, 0. ],
               [0. , 0.5]])
    """
    _check_finite("identity_", gain=gain)
    if not 2 <= tensor.ndim <= 5:
        raise ValueError(f"identity_: a weight of 2 to 5 dimensions is needed, got shape {tensor.shape}")
    fill = eye_ if tensor.ndim == 2 else dirac_
    _view(fill(tensor))[...] *= gain
    return tensor


def dirac_(tensor: S, groups: int = 1) -> S:
    """Filters that pass each input channel through unchanged, within each group.

    Args:
        tensor: [O, C / groups, kh, kw] or another rank from 3 to 5.
        groups: number of groups; divides O.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.init.dirac_(np.zeros((1, 1, 3, 3)))[0, 0]
        array([[0., 0., 0.],
               [0., 1., 0.],
               [0., 0., 0.]])
    """
    if not 3 <= tensor.ndim <= 5:
        raise ValueError(f"dirac_: a weight of 3 to 5 dimensions is needed, got shape {tensor.shape}")
    if groups < 1 or tensor.shape[0] % groups:
        raise ValueError(f"dirac_: {tensor.shape[0]} filters cannot be split into {groups} groups")
    view = _view(tensor)
    view[...] = 0
    per_group = tensor.shape[0] // groups
    center = tuple(n // 2 for n in tensor.shape[2:])
    for group in range(groups):
        for channel in range(min(per_group, tensor.shape[1])):
            view[(group * per_group + channel, channel, *center)] = 1
    return tensor


def orthogonal_(tensor: S, gain: float = 1.0) -> S:
    """A random matrix with orthonormal rows or columns (whichever are fewer), times `gain`.

    Dimensions after the first are flattened.

    Source: Saxe et al. 2014, https://arxiv.org/abs/1312.6120.

    Example:
        >>> import numpy as np, ravine as rv
        >>> w = rv.init.orthogonal_(np.zeros((2, 3)))
        >>> bool(np.allclose(w @ w.T, np.eye(2)))
        True
    """
    if tensor.ndim < 2:
        raise ValueError(f"orthogonal_: at least 2 dimensions are needed, got shape {tensor.shape}")
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    if rows and columns:
        matrix = _core.orthogonal(rows, columns, _core.draw_seed())
        _view(tensor)[...] = gain * np.asarray(matrix).reshape(tensor.shape)
    return tensor


def sparse_(tensor: S, sparsity: float, std: float = 0.01) -> S:
    """Normal numbers, of which a share `sparsity` in each column is set to 0.

    Source: Martens 2010, https://www.cs.toronto.edu/~jmartens/docs/Deep_HessianFree.pdf.

    Example:
        >>> import numpy as np, ravine as rv
        >>> int((rv.init.sparse_(np.ones((10, 4)), 0.3) == 0).sum())
        12
    """
    if tensor.ndim != 2:
        raise ValueError(f"sparse_: a matrix is needed, got shape {tensor.shape}")
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparse_: sparsity must be in [0, 1], got {sparsity}")
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    normal_(tensor, 0.0, std)
    for column in range(columns):
        _view(tensor)[_core.permutation(rows, _core.draw_seed())[:zeros], column] = 0
    return tensor
