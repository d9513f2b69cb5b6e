"""Attention: masks, causality, shared and grouped heads, rows that see nothing, dropout; torch's results."""

from __future__ import annotations

import numpy as np
import pytest
from helper import Case, bools, case, check, normal, record, run

from ravine import _core, ops


def reference(q, k, v, mask=None, causal=False, scale=None, groups=1):
    k, v = (np.repeat(x, groups, -3) if groups > 1 else x for x in (k, v))
    scores = q @ np.swapaxes(k, -1, -2) * (1 / np.sqrt(max(q.shape[-1], 1)) if scale is None else scale)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    if causal:
        scores = np.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf)
    largest = scores.max(-1, keepdims=True, initial=-np.inf)
    weights = np.exp(scores - np.where(np.isinf(largest), 0, largest))
    sums = weights.sum(-1, keepdims=True)
    return weights / np.where(sums == 0, 1, sums) @ v


def attention(name, *shapes, mask=None, causal=False, scale=None, groups=1, **how):
    """A case of query, key, value; `mask` is a shape of booleans or the numbers themselves."""
    arrays = [normal(*shape, seed=i) for i, shape in enumerate(shapes)]
    if isinstance(mask, tuple):
        mask = bools(*mask, seed=3)
    if mask is not None:
        arrays.append(mask)
    options = {"is_causal": causal, "scale": scale, "enable_gqa": groups > 1}
    return case(
        name,
        lambda q, k, v, m=None: ops.scaled_dot_product_attention(q, k, v, m, **options),
        lambda q, k, v, m=None: reference(q, k, v, m, causal, scale, groups),
        *arrays,
        **how,
    )


HIDDEN_ROW = np.where(np.arange(4)[:, None] == 1, -np.inf, normal(4, 5, seed=7))
CASES = [
    attention("plain", (2, 3, 4, 5), (2, 3, 6, 5), (2, 3, 6, 2)),
    attention("causal", (2, 7, 3), (2, 7, 3), (2, 7, 3), causal=True),
    attention("causal_more_keys", (3, 4), (6, 4), (6, 4), causal=True, scale=-0.3),
    attention("causal_more_queries", (6, 4), (3, 4), (3, 4), causal=True),
    attention("leading_dims_broadcast", (2, 1, 3, 4), (3, 5, 4), (1, 1, 5, 2)),
    attention("mask", (2, 2, 4, 3), (2, 2, 5, 3), (2, 2, 5, 3), mask=(2, 1, 4, 5)),
    attention("mask_of_keys", (2, 2, 4, 3), (2, 2, 5, 3), (2, 2, 5, 3), mask=(2, 1, 1, 5), causal=True),
    attention("mask_of_queries", (2, 4, 3), (2, 5, 3), (2, 5, 3), mask=(4, 1)),
    attention("mask_vector", (2, 4, 3), (2, 5, 3), (2, 5, 3), mask=(5,)),
    attention("added", (2, 2, 4, 3), (2, 2, 5, 3), (2, 2, 5, 3), mask=normal(2, 1, 4, 5, seed=5)),
    attention("hidden_row", (2, 4, 3), (2, 5, 3), (2, 5, 3), mask=-np.inf < HIDDEN_ROW),
    attention("hidden_row_added", (2, 4, 3), (2, 5, 3), (2, 5, 3), mask=HIDDEN_ROW, frozen=(3,)),
    attention("grouped", (2, 6, 4, 3), (2, 2, 5, 3), (2, 2, 5, 3), groups=3, mask=(2, 6, 4, 5)),
    attention("grouped_one", (4, 3, 2), (1, 3, 2), (1, 3, 2), groups=4, causal=True),
    attention("one", (1, 1), (1, 1), (1, 1)),
    attention("no_queries", (2, 0, 3), (2, 4, 3), (2, 4, 3), second=False),
    attention("no_keys", (2, 4, 3), (2, 0, 3), (2, 0, 3), second=False),
    attention("no_features", (2, 4, 0), (2, 3, 0), (2, 3, 2), second=False),
    attention("blocks", (2, 140, 8), (2, 150, 8), (2, 150, 8), causal=True, second=False),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_attention(case: Case) -> None:
    check(case)


def test_dropout_scales_what_it_keeps_and_is_the_same_backward() -> None:
    """Values that begin with an identity matrix show the weights of the run."""
    p, q, k, v = 0.4, normal(2, 70, 8), normal(2, 70, 8, seed=1), normal(2, 70, 3, seed=2)
    both = np.concatenate([np.broadcast_to(np.eye(70), (2, 70, 70)), v], -1)
    weight = normal(2, 70, 73, seed=3)
    graph, inputs, (output,) = record(
        lambda q, k, v: ops.scaled_dot_product_attention(q, k, v, dropout_p=p), [q, k, both]
    )
    total = graph.apply("sum", graph.apply("mul", [output, graph.constant(weight)], {}), {})[0]
    program = _core.Program(graph, [output, *graph.gradients(total, inputs)])
    out, *grads = program.run([q, k, both])
    weights = reference(q, k, np.eye(70))
    factors = out[..., :70] / weights
    np.testing.assert_allclose(np.unique(np.round(factors, 9)), [0, 1 / (1 - p)], atol=1e-8)
    assert abs((factors == 0).mean() - p) < 0.02
    np.testing.assert_allclose(out[..., 70:], (weights * factors) @ v, rtol=1e-11, atol=1e-12)
    of_weights = factors * (weight @ np.swapaxes(both, -1, -2))
    of_scores = weights * (of_weights - (weights * of_weights).sum(-1, keepdims=True)) / np.sqrt(8)
    expected = [
        of_scores @ k,
        np.swapaxes(of_scores, -1, -2) @ q,
        np.swapaxes(weights * factors, -1, -2) @ weight,
    ]
    for got, want in zip(grads, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-11)
    assert not np.array_equal(program.run([q, k, both])[0], out)  # another run, other weights


def test_dropout_of_all_is_zero() -> None:
    x = normal(2, 3, 4)
    assert not run(lambda q: ops.scaled_dot_product_attention(q, q, q, dropout_p=1.0), x).any()


def test_memory_is_linear_in_the_length() -> None:
    def arena(length: int) -> int:
        x = np.zeros((1, 2, length, 8), "float32")
        graph, inputs, (output,) = record(lambda q: ops.scaled_dot_product_attention(q, q, q), [x])
        total = graph.apply("sum", [output], {})[0]
        return _core.Program(graph, graph.gradients(total, inputs)).arena_bytes

    assert arena(16384) < 8.5 * arena(2048)


def test_a_nan_stays_one() -> None:
    x = normal(1, 5, 4)
    x[0, 3, 1] = np.nan
    assert np.isnan(run(lambda q: ops.scaled_dot_product_attention(q, q, q), x)).all()


@pytest.mark.parametrize(
    ("shapes", "options", "message"),
    [
        ([(3,), (3,), (3,)], {}, r"query must have shape \[\.\.\., rows, features\], got \(3,\)"),
        ([(2, 3), (2, 4), (2, 4)], {}, r"queries of 3 features do not fit keys of 4"),
        ([(2, 3), (4, 3), (5, 3)], {}, r"4 keys do not fit 5 values"),
        ([(2, 4, 3), (3, 4, 3), (2, 4, 3)], {}, r"\(2,\) and \(3,\)"),
        ([(2, 3), (4, 3), (4, 3)], {"attn_mask": np.ones((2, 3), bool)}, r"attn_mask of shape \(2, 3\)"),
        (
            [(2, 3), (4, 3), (4, 3)],
            {"attn_mask": np.ones((3, 4), bool)},
            r"mask of shape \(3, 4\) .*\(2, 4\)",
        ),
        ([(2, 3), (4, 3), (4, 3)], {"attn_mask": np.ones((2, 4), int)}, "must be bool or float64"),
        ([(2, 3), (4, 3), (4, 3)], {"dropout_p": 1.5}, r"probability in \[0, 1\], got 1.5"),
        ([(5, 2, 3), (2, 4, 3), (2, 4, 3)], {"enable_gqa": True}, "enable_gqa expects"),
        ([(2, 9000), (4, 9000), (4, 3)], {}, "9000 features are too many for a head, at most 8192"),
    ],
)
def test_what_does_not_fit_is_named(shapes, options, message) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        ops.scaled_dot_product_attention(*(np.zeros(shape) for shape in shapes), **options)
