"""Attention."""

from __future__ import annotations

import math
from typing import Any

from .._numbers import probability
from ..record import Operand, Tensor, apply_all, as_tensor, current
from ._shape import broadcast_to, reshape, unsqueeze


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Attention, `dropout(softmax(scale · Q Kᵀ + mask)) V`, in one kernel that keeps no array of L x S.

    Memory is linear in the lengths, forward and backward; under `is_causal` the half that no query sees is
    not computed. A query that sees no key has the output 0.

    Args:
        query: [..., L, E]. Leading dimensions of all three broadcast.
        key: [..., S, E].
        value: [..., S, F].
        attn_mask: broadcasts to [..., L, S]; booleans, True where a query sees a key, or numbers that are
            added to the scores.
        dropout_p: probability of dropping a weight, applied whenever it is positive, as in torch: pass 0 in
            evaluation.
        is_causal: query i sees keys 0 to i only; beside a mask both count.
        scale: factor of the scores, 1/√E by default.
        enable_gqa: the heads of query, its dimension -3, may be a multiple of those of key and value, each of
            which serves as many neighbouring heads of query.

    Raises ValueError naming the shapes if they do not fit, TypeError for other dtypes than float32 and
    float64 or several of them. A second derivative and the gradient of a mask are recorded as products of
    matrices, whose memory grows with L x S.

    Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; the algorithm: Dao 2023,
    https://arxiv.org/abs/2307.08691; grouped heads: Ainslie et al. 2023, https://arxiv.org/abs/2305.13245.

    Example:
        >>> import numpy as np, ravine as rv
        >>> q = np.zeros((1, 4, 10, 8), "float32")
        >>> k = v = np.ones((1, 2, 20, 8), "float32")
        >>> rv.ops.scaled_dot_product_attention(q, k, v, enable_gqa=True).shape
        (1, 4, 10, 8)
    """
    op = "scaled_dot_product_attention"
    q, k, v = (as_tensor(x) for x in (query, key, value))
    dropout_p = probability(op, dropout_p)
    for name, x in (("query", q), ("key", k), ("value", v)):
        if x.ndim < 2:
            raise ValueError(f"{op}: {name} must have shape [..., rows, features], got {x.shape}")
    if scale is None:
        scale = 1 / math.sqrt(q.shape[-1]) if q.shape[-1] else 1.0
    mask = None if attn_mask is None else _mask(op, as_tensor(attn_mask), q, k)
    grouped = enable_gqa and not (q.ndim > 2 and q.shape[-3] == k.shape[-3] == v.shape[-3])
    shape = (*q.shape[:-1], v.shape[-1])
    if grouped:
        q, k, v, mask = _in_groups(op, q, k, v, mask)
    if dropout_p > 0:
        trace = current()
        if trace is not None:
            trace.draws = True
    output = apply_all(
        "attention",
        [q, k, v] if mask is None else [q, k, v, mask],
        scale=float(scale),
        causal=bool(is_causal),
        dropout=float(dropout_p),
        mask=mask is not None,
    )[0]
    return reshape(output, (*output.shape[:-4], *shape[-3:])) if grouped else output


def _mask(op: str, mask: Operand, q: Operand, k: Operand) -> Operand:
    """The mask with two dimensions at least, the last of which is that of the keys."""
    if mask.dtype != "bool" and mask.dtype != q.dtype:
        raise TypeError(f"{op}: attn_mask must be bool or {q.dtype}, as query is, got {mask.dtype}")
    keys = k.shape[-2]
    if mask.ndim == 0 or mask.shape[-1] not in (1, keys):
        raise ValueError(
            f"{op}: attn_mask of shape {mask.shape} does not broadcast to [..., {q.shape[-2]}, {keys}]"
        )
    if mask.ndim == 1:
        mask = unsqueeze(mask, 0)
    return broadcast_to(mask, (*mask.shape[:-1], keys)) if mask.shape[-1] != keys else mask


def _in_groups(op: str, q: Operand, k: Operand, v: Operand, mask: Any) -> tuple[Any, Any, Any, Any]:
    """Heads [..., H, rows, features] as [..., heads of the key, neighbours, rows, features]."""
    if min(x.ndim for x in (q, k, v)) < 3 or k.shape[-3] != v.shape[-3] or q.shape[-3] % max(k.shape[-3], 1):
        raise ValueError(
            f"{op}: enable_gqa expects [..., heads, rows, features] with a multiple of the heads of key and "
            f"value in query, got query {q.shape}, key {k.shape}, value {v.shape}"
        )
    groups, neighbours = k.shape[-3], q.shape[-3] // max(k.shape[-3], 1)

    def split(x: Operand) -> Tensor:
        return reshape(x, (*x.shape[:-3], groups, neighbours, *x.shape[-2:]))

    if mask is not None and mask.ndim > 2:
        mask = split(mask) if mask.shape[-3] != 1 else unsqueeze(mask, -3)
    return split(q), unsqueeze(k, -3), unsqueeze(v, -3), mask
