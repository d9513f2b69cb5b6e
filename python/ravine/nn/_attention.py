"""Attention with several heads."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import init, ops
from .._numbers import number
from ..record import Operand, Parameter, as_tensor, dtype_name
from ._linear import Linear, check_positive
from ._module import Module


def _heads(x: Operand, num_heads: int) -> Any:
    """[N, T, heads · d] as [N, heads, T, d]."""
    n, length, width = x.shape
    return ops.permute(ops.reshape(x, (n, length, num_heads, width // num_heads)), (0, 2, 1, 3))


def _join_heads(x: Operand) -> Any:
    n, heads, length, width = x.shape
    return ops.reshape(ops.permute(x, (0, 2, 1, 3)), (n, length, heads * width))


class MultiheadAttention(Module):
    """Attention of several heads, each on its own projections of query, key and value.

        MultiHead(Q, K, V) = (head_1, ..., head_h) W_Oᵀ,  head_i = attention(Q W_Qᵢᵀ, K W_Kᵢᵀ, V W_Vᵢᵀ)

    Called as `attention(query, key, value)`; returns the output, in the layout of the query, and the weights
    [N, L, S], averaged over the heads, or None. Pass `need_weights=False` unless you look at them: arrays of
    L x S are made for them alone.

    Shapes: query [L, N, E], key [S, N, kdim], value [S, N, vdim], output [L, N, E]; with `batch_first` the
    batch comes first; all without the batch for one sequence.

    Args:
        embed_dim: features E of query and output.
        num_heads: heads, which divide embed_dim.
        dropout: probability of dropping a weight, in training.
        bias: whether the projections have biases.
        add_bias_kv: whether a trained key and value are added to every sequence.
        add_zero_attn: whether a key and a value of zeros are added to every sequence.
        kdim, vdim: features of key and value, embed_dim by default.
        batch_first: whether the batch is the first dimension.
        dtype: float32 or float64.

    Forward's arguments, with torch's meaning of masks, which is the opposite of that in
    `ops.scaled_dot_product_attention`:
        key_padding_mask: [N, S], True for keys that are ignored, or numbers added to the scores.
        need_weights: whether to return the weights.
        attn_mask: [L, S] or [N · num_heads, L, S], True where a query may not see a key, or numbers added.
        average_attn_weights: whether the weights are the mean over the heads, else [N, num_heads, L, S].
        is_causal: query i sees keys 0 to i only. Unlike torch's, it needs no mask beside it.

    A query that sees no key has the output of the last projection's bias, where torch gives NaN. Parameters
    are initialised by Glorot's rule, biases by 0. Raises ValueError naming the shapes for others.

    Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> x = np.zeros((2, 7, 8), "float32")
        >>> output, _ = nn.MultiheadAttention(8, 2, batch_first=True)(x, x, x, need_weights=False)
        >>> output.shape
        (2, 7, 8)
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        *,
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        self.embed_dim, self.num_heads = embed_dim, num_heads
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        check_positive(self, embed_dim=embed_dim, num_heads=num_heads, kdim=self.kdim, vdim=self.vdim)
        if embed_dim % num_heads:
            raise ValueError(
                f"MultiheadAttention: num_heads must divide embed_dim, got {num_heads} heads of {embed_dim}"
            )
        self.dropout = number("MultiheadAttention", "dropout", dropout, 0, 1)
        self.batch_first, self.add_zero_attn = batch_first, add_zero_attn
        self.head_dim = embed_dim // num_heads
        name = dtype_name(dtype)
        same = self.kdim == self.vdim == embed_dim
        shapes = {
            "q_proj_weight": None if same else (embed_dim, embed_dim),
            "k_proj_weight": None if same else (embed_dim, self.kdim),
            "v_proj_weight": None if same else (embed_dim, self.vdim),
            "in_proj_weight": (3 * embed_dim, embed_dim) if same else None,
            "in_proj_bias": (3 * embed_dim,) if bias else None,
            "bias_k": (1, 1, embed_dim) if add_bias_kv else None,
            "bias_v": (1, 1, embed_dim) if add_bias_kv else None,
        }
        for parameter, shape in shapes.items():
            zeros = None if shape is None else Parameter(np.zeros(shape, name))
            self.register_parameter(parameter, zeros)
        self.out_proj = Linear(embed_dim, embed_dim, bias, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for name in ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"):
            if (weight := getattr(self, name)) is not None:
                init.xavier_uniform_(weight)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)
        for bias in (self.bias_k, self.bias_v):
            if bias is not None:
                init.xavier_normal_(bias)

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> Any:
        one = key is query and value is query
        q = as_tensor(query)
        k, v = (q, q) if one else (as_tensor(key), q if value is query else as_tensor(value))
        batched = self._check(q, k, v)
        inputs = [q] if one else [q, k, v]
        if not batched:
            inputs = [ops.unsqueeze(x, 0) for x in inputs]
        elif not self.batch_first:
            inputs = [ops.permute(x, (1, 0, 2)) for x in inputs]
        q, k, v = (_heads(x, self.num_heads) for x in self._with_added(*self._project(inputs)))
        mask = self._mask(attn_mask, key_padding_mask, q, k)
        p = self.dropout if self.training else 0.0
        weights = self._weights(q, k, mask, is_causal, p) if need_weights else None
        if weights is not None and p > 0:  # the weights that are returned are those of the run
            output = ops.matmul(weights, v)
        else:
            output = ops.scaled_dot_product_attention(q, k, v, mask, p, is_causal)
        output = self.out_proj(_join_heads(output))
        if weights is not None and average_attn_weights:
            weights = ops.mean(weights, 1)
        if not batched:
            return ops.squeeze(output, 0), None if weights is None else ops.squeeze(weights, 0)
        return output if self.batch_first else ops.permute(output, (1, 0, 2)), weights

    def _check(self, q: Operand, k: Operand, v: Operand) -> bool:
        """Whether there is a batch."""
        widths, batch = (self.embed_dim, self.kdim, self.vdim), 0 if self.batch_first else 1
        fit = (
            q.ndim in (2, 3)
            and q.ndim == k.ndim == v.ndim
            and all(x.shape[-1] == width for x, width in zip((q, k, v), widths, strict=True))
            and k.shape[:-1] == v.shape[:-1]
            and (q.ndim == 2 or q.shape[batch] == k.shape[batch])
        )
        if not fit:
            order = "[N, {}, {}]" if self.batch_first else "[{}, N, {}]"
            expected = [order.format(rows, w) for rows, w in zip("LSS", widths, strict=True)]
            raise ValueError(
                f"MultiheadAttention: query, key and value must have shapes {', '.join(expected)}, or those "
                f"without N, got {q.shape}, {k.shape}, {v.shape}"
            )
        return q.ndim == 3

    def _project(self, inputs: list[Any]) -> list[Any]:
        """The projected query, key and value [N, T, E]; one input is all three."""
        width, bias = self.embed_dim, self.in_proj_bias
        if len(inputs) == 1 and self.in_proj_weight is not None:  # one product
            return list(ops.chunk(ops.linear(inputs[0], self.in_proj_weight, bias), 3, -1))
        if self.in_proj_weight is not None:
            weights = ops.chunk(self.in_proj_weight, 3, 0)
        else:
            weights = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
        biases = [None] * 3 if bias is None else [bias[i * width : (i + 1) * width] for i in range(3)]
        inputs = inputs * 3 if len(inputs) == 1 else inputs
        return [ops.linear(x, w, b) for x, w, b in zip(inputs, weights, biases, strict=True)]

    def _with_added(self, q: Any, k: Any, v: Any) -> tuple[Any, Any, Any]:
        """With the keys and values that the layer adds."""
        row = (k.shape[0], 1, self.embed_dim)
        if self.bias_k is not None:
            k = ops.concat([k, ops.broadcast_to(self.bias_k, row)], 1)
            v = ops.concat([v, ops.broadcast_to(self.bias_v, row)], 1)
        if self.add_zero_attn:
            zeros = np.zeros(row, k.dtype)
            k, v = ops.concat([k, zeros], 1), ops.concat([v, zeros], 1)
        return q, k, v

    def _mask(self, attn_mask: Any, key_padding_mask: Any, q: Any, k: Any) -> Any:
        """Both masks as one of `scaled_dot_product_attention`, or None."""
        n, length, keys = q.shape[0], q.shape[2], k.shape[2]
        added = (self.bias_k is not None) + self.add_zero_attn
        masks = []
        if attn_mask is not None:
            m = as_tensor(attn_mask)
            shapes = {2: (length, keys - added), 3: (n * self.num_heads, length, keys - added)}
            if m.shape != shapes.get(m.ndim):
                raise ValueError(
                    f"MultiheadAttention: attn_mask must have shape {shapes[2]} or {shapes[3]}, got {m.shape}"
                )
            masks.append(ops.reshape(m, (n, self.num_heads, *m.shape[1:])) if m.ndim == 3 else m)
        if key_padding_mask is not None:
            m = as_tensor(key_padding_mask)
            if m.shape not in ((n, keys - added), *([(keys - added,)] if n == 1 else [])):
                raise ValueError(
                    f"MultiheadAttention: key_padding_mask must have shape {(n, keys - added)}, got {m.shape}"
                )
            masks.append(ops.reshape(m, (n, 1, 1, keys - added)))
        for m in masks:
            if m.dtype not in ("bool", q.dtype):
                raise TypeError(f"MultiheadAttention: a mask must be bool or {q.dtype}, got {m.dtype}")
        if added:  # what the layer adds is seen by all
            masks = [ops.pad(m, (0, added)) if m.dtype != "bool" else _pad_bools(m, added) for m in masks]
        if all(m.dtype == "bool" for m in masks):
            seen = [ops.logical_not(m) for m in masks]
            return None if not seen else seen[0] if len(seen) == 1 else ops.logical_and(*seen)
        hidden = np.asarray(-math.inf, q.dtype)
        numbers = [ops.where(m, hidden, np.zeros((), q.dtype)) if m.dtype == "bool" else m for m in masks]
        return numbers[0] if len(numbers) == 1 else numbers[0] + numbers[1]

    def _weights(self, q: Any, k: Any, mask: Any, is_causal: bool, p: float) -> Any:
        """[N, heads, L, S], as dropout leaves them."""
        hidden = np.asarray(-math.inf, q.dtype)
        scores = ops.matmul(q * (1 / math.sqrt(self.head_dim)), ops.transpose(k, -1, -2))
        if mask is not None:
            scores = ops.where(mask, scores, hidden) if mask.dtype == "bool" else scores + mask
        if is_causal:
            scores = ops.where(np.tri(*scores.shape[-2:], dtype=bool), scores, hidden)
        # 0 in a row that sees nothing
        log_sums = ops.logsumexp(scores, -1, keepdim=True)
        weights = ops.exp(scores - ops.where(log_sums == hidden, -hidden, log_sums))
        return ops.dropout(weights, p) if p > 0 else weights

    def extra_repr(self) -> str:
        return f"embed_dim={self.embed_dim}, num_heads={self.num_heads}, batch_first={self.batch_first}"


def _pad_bools(mask: Any, added: int) -> Any:
    """The mask of keys with columns of False behind."""
    return ops.concat([mask, np.zeros((*mask.shape[:-1], added), bool)], -1)
