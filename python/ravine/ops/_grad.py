"""Gradients inside of a recording, which are tensors like any other and can be differentiated again."""

from __future__ import annotations

from typing import Any

from ..record import FLOATING, Operand, Tensor, Trace, current, gradients


def grad(y: Any, x: Any) -> Any:
    """The gradient of a scalar tensor by tensors it was computed from, as tensors of the same recording.

    For losses that hold derivatives: physics-informed losses, gradient penalties, forces as the gradient of
    an energy. It works in `forward`, in a loss, and in functions given to `rv.TrainStep`, `rv.minimize`,
    `rv.value_and_grad` and `rv.compile`. The result is computed by ordinary operations, so gradients of
    gradients, of any order, are right.

    As in torch, the gradient follows the recorded computation: y depends on x through every path. By a tensor
    that y does not depend on it is 0.

    Args:
        y: the scalar, a floating tensor. Of a column of values whose rows depend on their own rows of x alone
            take `y.sum()`: the gradient then has the derivative of each row.
        x: a tensor, parameter or buffer, or a list or tuple of these.

    Returns:
        A tensor of x's shape and dtype, or a list of them.

    Raises:
        RuntimeError: outside of a recording, and for tensors of another recording.
        TypeError: for arrays and numbers, and for x that is not floating.
        ValueError: for y that is no scalar.

    Example:
        >>> import numpy as np, ravine as rv
        >>> @rv.compile
        ... def slope_and_curvature(x):
        ...     slope = rv.ops.grad((x ** 3).sum(), x)
        ...     return slope, rv.ops.grad(slope.sum(), x)
        >>> slope_and_curvature(np.array([1.0, 2.0]))
        (array([ 3., 12.]), array([ 6., 12.]))
    """
    trace = current()
    if trace is None:
        raise RuntimeError(
            "grad: there is no recording under way; call it in forward, in a loss, or in a function given to "
            "rv.compile, rv.value_and_grad or rv.TrainStep"
        )
    _check(trace, y, "y")
    if y.shape != ():
        raise ValueError(f"grad: y must be a scalar, got shape {y.shape}; take its sum() or mean()")
    several = isinstance(x, list | tuple)
    wrt = list(x) if several else [x]
    for i, item in enumerate(wrt):
        _check(trace, item, f"x[{i}]" if several else "x")
    found = gradients(trace, y._as_value(trace), [item._as_value(trace) for item in wrt])
    tensors = [Tensor(value, trace) for value in found]
    return tensors if several else tensors[0]


def _check(trace: Trace, x: Any, name: str) -> None:
    if not isinstance(x, Operand):
        raise TypeError(
            f"grad: {name} must be a tensor of this recording, a parameter or a buffer, got "
            f"{type(x).__name__}"
        )
    if isinstance(x, Tensor) and x._trace is not trace:
        raise RuntimeError(f"grad: {name} belongs to another recording, so nothing here was computed from it")
    if x.dtype not in FLOATING:
        raise TypeError(f"grad: {name} must be floating, got dtype {x.dtype}")
