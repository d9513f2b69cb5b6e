"""The keys and values of a sequence that grows."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ops
from ..record import Buffer, apply, as_tensor, dtype_name
from ._linear import check_positive
from ._module import Module


class KeyValueCache(Module):
    """Keeps the keys and values of a sequence, so that its next token costs one query.

    The memory has a fixed size and the length is state, so that a program is compiled once, whatever the
    length. Called with the new rows of key and value, returns all keys, all values and the mask for
    `ops.scaled_dot_product_attention`, under which each new query sees the keys up to its own:

        keys, values, mask = cache(key, value)
        y = ops.scaled_dot_product_attention(query, keys, values, mask)

    Shapes: key and value [N, heads, T, head_dim]; keys and values [N, heads, capacity, head_dim], mask
    [T, capacity].

    Args:
        batch_size: N.
        num_heads: heads of key and value.
        capacity: the longest sequence.
        head_dim: features of a head.
        dtype: float32 or float64.

    `cache.length` is a Buffer, the number of rows so far; `cache.reset()` sets it to 0. Rows past the
    capacity are lost: look at the length before. The state is in no `state_dict`.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> cache = nn.KeyValueCache(1, 2, 4, 8).eval()
        >>> row = np.ones((1, 2, 1, 8), "float32")
        >>> _ = cache(row, row)
        >>> cache(row, row)[2]
        array([[ True,  True, False, False]])
    """

    def __init__(
        self, batch_size: int, num_heads: int, capacity: int, head_dim: int, *, dtype: Any = "float32"
    ) -> None:
        super().__init__()
        sizes = {"batch_size": batch_size, "num_heads": num_heads, "capacity": capacity, "head_dim": head_dim}
        check_positive(self, **sizes)
        self.batch_size, self.num_heads = batch_size, num_heads
        self.capacity, self.head_dim = capacity, head_dim
        zeros = np.zeros((batch_size, num_heads, capacity, head_dim), dtype_name(dtype))
        self.keys = Buffer(zeros, persistent=False)
        self.values = Buffer(zeros, persistent=False)
        self.length = Buffer(np.asarray(0, "int64"), persistent=False)

    def reset(self) -> None:
        """Forgets the sequence."""
        self.length.data[...] = 0

    def forward(self, key: Any, value: Any) -> Any:
        k, v = as_tensor(key), as_tensor(value)
        n, heads, width = self.batch_size, self.num_heads, self.head_dim
        for name, x in (("key", k), ("value", v)):
            if x.ndim != 4 or (*x.shape[:2], x.shape[3]) != (n, heads, width) or x.shape[2] > self.capacity:
                raise ValueError(
                    f"KeyValueCache: {name} must have shape [{n}, {heads}, T, {width}], T at most "
                    f"{self.capacity}, got {x.shape}"
                )
        rows = k.shape[2]
        mask = np.arange(self.capacity) <= ops.unsqueeze(np.arange(rows) + self.length, 1)
        full = []
        for buffer, x in ((self.keys, k), (self.values, v)):
            full.append(apply("append_rows", buffer, x, self.length))  # in place, as it becomes the buffer
            buffer.assign(full[-1])
        self.length.assign(ops.minimum(self.length + rows, self.capacity))
        return *full, mask

    def extra_repr(self) -> str:
        return f"{self.batch_size}, {self.num_heads}, {self.capacity}, {self.head_dim}"
