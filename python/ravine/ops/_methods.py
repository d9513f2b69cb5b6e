"""The methods of tensors, parameters and buffers: one table of the functions of `ravine.ops`.

A function whose first argument is a tensor is the method itself, so that name, arguments and documentation
are written once. What only a method can be stands at the end.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .._dims import is_dim
from .._tensor import Operand, Tensor, target_dtype
from . import (
    _activation,
    _compare,
    _conv,
    _elementwise,
    _index,
    _indexing,
    _linalg,
    _loss,
    _norm,
    _pool,
    _random,
    _reduce,
    _shape,
)


def _one_by_one(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A method whose sizes or dims may be given one by one: x.reshape(2, 3) as well as x.reshape((2, 3))."""

    @functools.wraps(function)
    def method(self: Any, *numbers: Any, **named: Any) -> Tensor:
        if not numbers and named:
            return function(self, **named)
        return function(
            self, numbers[0] if len(numbers) == 1 and not is_dim(numbers[0]) else numbers, **named
        )

    return method


def _cast_to(dtype: str) -> Callable[..., Tensor]:
    def method(self: Any, memory_format: Any = None) -> Tensor:
        return _elementwise.cast(self, dtype)

    method.__doc__ = f"The same numbers as {dtype}. `memory_format` is Ravine's own business and left alone."
    return method


def _itself(self: Any, *, memory_format: Any = None) -> Tensor:
    """The tensor itself: its numbers never change. A parameter or buffer gives its value at this point."""
    return self if isinstance(self, Tensor) else _shape.reshape(self, self.shape)


def _to(
    self: Any,
    *target: Any,
    dtype: Any = None,
    device: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """The same numbers in another dtype; of another tensor where that is given. The only device is "cpu".

    Args:
        target: a dtype, "cpu", "cpu" and a dtype, or a tensor whose dtype is taken; then torch's flags.
        dtype, device: the same by name.
        non_blocking, copy, memory_format: taken for torch's sake; without effect, as tensors never change.

    Raises ValueError for another device, TypeError for what is no dtype and for two of them.

    Example:
        >>> import ravine as rv
        >>> rv.ops.relu([-1.0, 2.5]).to("int64")
        tensor([0, 2], dtype=int64)
    """
    name = target_dtype(target, dtype, device)
    return _itself(self) if name is None else _elementwise.cast(self, name)


def _where(self: Any, condition: Any, other: Any) -> Tensor:
    """`ops.where(condition, self, other)`: the tensor where the condition holds, else `other`.

    Example:
        >>> import ravine as rv
        >>> rv.ops.abs([-1.0, 2.0]).where([True, False], 0.0)
        tensor([1., 0.], dtype=float32)
    """
    return _elementwise.where(condition, self, other)


def _t(self: Any) -> Tensor:
    """The transposed matrix; a vector or a scalar is itself.

    Raises ValueError for more than two dimensions.
    """
    if self.ndim > 2:
        raise ValueError(f"t: a tensor of at most 2 dimensions is expected, got shape {self.shape}")
    return _reversed(self)


def _reversed(self: Any) -> Tensor:
    """The tensor with its dimensions in reverse order."""
    return _shape.permute(self, range(self.ndim)[::-1])


class Methods:
    """What `Tensor`, `Parameter` and `Buffer` have besides their data."""

    __slots__ = ()

    # activations, softmax
    celu = _activation.celu
    elu = _activation.elu
    gelu = _activation.gelu
    glu = _activation.glu
    hardshrink = _activation.hardshrink
    hardsigmoid = _activation.hardsigmoid
    hardswish = _activation.hardswish
    hardtanh = _activation.hardtanh
    leaky_relu = _activation.leaky_relu
    log_softmax = _activation.log_softmax
    logsigmoid = _activation.logsigmoid
    mish = _activation.mish
    normalize = _activation.normalize
    prelu = _activation.prelu
    relu = _activation.relu
    relu6 = _activation.relu6
    selu = _activation.selu
    sigmoid = _activation.sigmoid
    silu = _activation.silu
    softmax = _activation.softmax
    softmin = _activation.softmin
    softplus = _activation.softplus
    softshrink = _activation.softshrink
    softsign = _activation.softsign
    tanhshrink = _activation.tanhshrink
    threshold = _activation.threshold

    # comparison, logic, bits
    bitwise_and = _compare.bitwise_and
    bitwise_not = _compare.bitwise_not
    bitwise_or = _compare.bitwise_or
    bitwise_xor = _compare.bitwise_xor
    eq = _compare.eq
    equal = _compare.equal
    ge = _compare.ge
    greater = _compare.greater
    greater_equal = _compare.greater_equal
    gt = _compare.gt
    isnan = _compare.isnan
    le = _compare.le
    less = _compare.less
    less_equal = _compare.less_equal
    logical_and = _compare.logical_and
    logical_not = _compare.logical_not
    logical_or = _compare.logical_or
    logical_xor = _compare.logical_xor
    lt = _compare.lt
    ne = _compare.ne
    not_equal = _compare.not_equal

    # elementwise
    abs = _elementwise.abs
    add = _elementwise.add
    atan = _elementwise.atan
    cast = _elementwise.cast
    ceil = _elementwise.ceil
    clamp = _elementwise.clamp
    clip = _elementwise.clip
    cos = _elementwise.cos
    detach = _elementwise.detach
    div = _elementwise.div
    erf = _elementwise.erf
    exp = _elementwise.exp
    expm1 = _elementwise.expm1
    floor = _elementwise.floor
    log = _elementwise.log
    log1p = _elementwise.log1p
    maximum = _elementwise.maximum
    minimum = _elementwise.minimum
    mul = _elementwise.mul
    neg = _elementwise.neg
    pow = _elementwise.pow
    reciprocal = _elementwise.reciprocal
    round = _elementwise.round
    rsqrt = _elementwise.rsqrt
    sign = _elementwise.sign
    sin = _elementwise.sin
    sqrt = _elementwise.sqrt
    square = _elementwise.square
    stop_gradient = _elementwise.stop_gradient
    sub = _elementwise.sub
    tanh = _elementwise.tanh

    # lookup, products, reductions
    embedding = _index.embedding
    gather = _index.gather
    index_select = _index.index_select
    one_hot = _index.one_hot
    linear = _linalg.linear
    matmul = _linalg.matmul
    amax = _reduce.amax
    amin = _reduce.amin
    argmax = _reduce.argmax
    argmin = _reduce.argmin
    logsumexp = _reduce.logsumexp
    max = _reduce.max
    mean = _reduce.mean
    min = _reduce.min
    prod = _reduce.prod
    std = _reduce.std
    sum = _reduce.sum
    var = _reduce.var

    # layers and losses
    adaptive_avg_pool2d = _pool.adaptive_avg_pool2d
    avg_pool2d = _pool.avg_pool2d
    max_pool2d = _pool.max_pool2d
    conv2d = _conv.conv2d
    batch_norm = _norm.batch_norm
    group_norm = _norm.group_norm
    instance_norm = _norm.instance_norm
    layer_norm = _norm.layer_norm
    dropout = _random.dropout
    dropout2d = _random.dropout2d
    binary_cross_entropy = _loss.binary_cross_entropy
    binary_cross_entropy_with_logits = _loss.binary_cross_entropy_with_logits
    cross_entropy = _loss.cross_entropy
    huber_loss = _loss.huber_loss
    kl_div = _loss.kl_div
    l1_loss = _loss.l1_loss
    mse_loss = _loss.mse_loss
    nll_loss = _loss.nll_loss
    smooth_l1_loss = _loss.smooth_l1_loss

    # shape
    broadcast_to = _one_by_one(_shape.broadcast_to)
    chunk = _shape.chunk
    expand = _shape.expand
    flatten = _shape.flatten
    flip = _one_by_one(_shape.flip)
    narrow = _shape.narrow
    pad = _shape.pad
    permute = _one_by_one(_shape.permute)
    reshape = _one_by_one(_shape.reshape)
    split = _shape.split
    squeeze = _shape.squeeze
    transpose = _shape.transpose
    unflatten = _shape.unflatten
    unsqueeze = _shape.unsqueeze

    # methods alone, with torch's names
    view = reshape
    where = _where
    to = _to
    clone = contiguous = cpu = _itself
    float = _cast_to("float32")
    double = _cast_to("float64")
    int = _cast_to("int32")
    long = _cast_to("int64")
    byte = _cast_to("uint8")
    bool = _cast_to("bool")
    t = _t
    T = property(_reversed)

    # operators that are more than one recorded operation; the others stand in `_tensor.Operand`
    __getitem__ = _indexing.getitem
    __invert__ = _compare.bitwise_not
    __matmul__ = _linalg.matmul
    __pow__ = _elementwise.pow

    def __rmatmul__(self, other: Any) -> Tensor:
        return _linalg.matmul(other, self)

    def __rpow__(self, base: Any) -> Tensor:
        return _elementwise.pow(base, self)


for _name, _method in vars(Methods).items():
    if callable(_method) or isinstance(_method, property):
        setattr(Operand, _name, _method)
