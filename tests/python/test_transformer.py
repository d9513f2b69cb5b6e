"""Layers of attention, transformers, positions, the cache of keys and values, and the GPT that uses them."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import ravine as rv
from ravine import nn, ops


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype("float32")


def test_a_row_that_sees_nothing_has_the_bias() -> None:
    layer = nn.MultiheadAttention(4, 2, batch_first=True).eval()
    layer.out_proj.bias.data[...] = [1, 2, 3, 4]
    x = numbers(1, 3, 4)
    hidden = np.array([[False] * 3, [True] * 3, [False] * 3])
    for need_weights in (False, True):
        output, weights = layer(x, x, x, attn_mask=hidden, need_weights=need_weights)
        np.testing.assert_array_equal(output[0, 1], [1, 2, 3, 4])
        assert weights is None or not weights[0, 1].any()


def test_weights_of_training_are_those_of_the_run() -> None:
    """Values that are an identity matrix show them in the output."""
    layer = nn.MultiheadAttention(6, 1, dropout=0.5, bias=False, batch_first=True)
    layer.in_proj_weight.data[12:] = np.eye(6)
    layer.out_proj.weight.data[...] = np.eye(6)
    output, weights = layer(numbers(1, 6, 6), numbers(1, 6, 6, seed=1), np.eye(6, dtype="float32")[None])
    np.testing.assert_allclose(output, weights, rtol=1e-6)
    assert 0 < (weights == 0).sum() < 36


def test_causal_attention_needs_no_mask() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True).eval()
    x = numbers(2, 5, 8)
    causal = layer(x, is_causal=True)
    masked = layer(x, nn.Transformer.generate_square_subsequent_mask(5))
    np.testing.assert_allclose(causal, masked, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(causal[:, :3], layer(x[:, :3], is_causal=True), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.MultiheadAttention(10, 3), "num_heads must divide embed_dim, got 3 heads of 10"),
        (lambda: nn.MultiheadAttention(4, 2)(*[numbers(3, 2, 5)] * 3), r"\[L, N, 4\].* got \(3, 2, 5\)"),
        (
            lambda: nn.MultiheadAttention(4, 2)(*[numbers(3, 2, 4)] * 3, attn_mask=np.ones((2, 3), bool)),
            r"attn_mask must have shape \(3, 3\) or \(4, 3, 3\), got \(2, 3\)",
        ),
        (
            lambda: nn.MultiheadAttention(4, 2)(*[numbers(3, 2, 4)] * 3, np.ones((3, 2), bool)),
            r"key_padding_mask must have shape \(2, 3\), got \(3, 2\)",
        ),
        (
            lambda: nn.MultiheadAttention(4, 2)(*[numbers(3, 2, 4)] * 3, attn_mask=np.ones((3, 3), int)),
            "a mask must be bool or float32, got int64",
        ),
        (lambda: nn.TransformerEncoderLayer(4, 2, activation="selu"), "activation must be 'relu', 'gelu'"),
        (lambda: nn.RoPE(3), "dims must be even, got 3"),
        (lambda: nn.RoPE(4)(numbers(5, 2)), r"at least 4\], got \(5, 2\)"),
        (lambda: nn.SinusoidalPositionalEncoding(5), "d_model must be even"),
        (lambda: nn.RMSNorm(3, eps=-1.0), "eps must be a finite number at least 0"),
        (
            lambda: nn.KeyValueCache(1, 2, 4, 3)(*[numbers(1, 2, 5, 3)] * 2),
            r"T at most 4, got \(1, 2, 5, 3\)",
        ),
        (lambda: rv.models.gpt(5, embed_dim=10, num_heads=3), "num_heads must divide embed_dim"),
        (lambda: small_gpt()(np.zeros((1, 9), "int64")), r"T at most 8, got \(1, 9\)"),
        (lambda: small_gpt().generate([], 1), "tokens must be integers"),
        (lambda: small_gpt().generate([1], -1), "max_new_tokens must not be negative"),
        (lambda: small_gpt().generate([1], 1, temperature=-1.0), "temperature must not be negative"),
        (lambda: small_gpt().generate([1], 1, top_k=0), "top_k must be at least 1"),
    ],
)
def test_what_does_not_fit_is_named(call, message) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        call()


# ---- positions


def test_positions_of_a_later_part() -> None:
    x = numbers(2, 6, 8)
    for layer in (nn.SinusoidalPositionalEncoding(8), nn.RoPE(8), nn.RoPE(6, traditional=True)):
        whole = layer(x)
        np.testing.assert_allclose(layer(x[:, 4:], 4), whole[:, 4:], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(layer(x[:, 4:], np.asarray(4)), whole[:, 4:], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(nn.RoPE(6)(x)[..., 6:], x[..., 6:])


@pytest.mark.parametrize("traditional", [False, True])
def test_rotary_products_depend_on_the_distance(traditional: bool) -> None:
    q, k = numbers(1, 8), numbers(1, 8, seed=1)
    rope = nn.RoPE(8, traditional)
    products = [(rope(q, at + 3) * rope(k, at)).sum() for at in (0, 5, 40)]
    np.testing.assert_allclose(products, products[0], rtol=1e-5)
    assert abs((rope(q, 4) * rope(k, 0)).sum() - products[0]) > 1e-3


# ---- the cache


def test_a_cache_gives_what_the_whole_sequence_gives() -> None:
    q, k, v = (numbers(2, 3, 7, 4, seed=i) for i in range(3))
    cache = nn.KeyValueCache(2, 3, 10, 4).eval()
    whole = ops.scaled_dot_product_attention(q, k, v, is_causal=True).numpy()
    for _ in range(2):
        for part in (slice(0, 4), slice(4, 5), slice(5, 7)):
            keys, values, mask = cache(k[:, :, part], v[:, :, part])
            y = ops.scaled_dot_product_attention(q[:, :, part], keys, values, mask).numpy()
            np.testing.assert_allclose(y, whole[:, :, part], rtol=1e-5, atol=1e-6)
        assert cache.length.data == 7
        cache.reset()


def test_rows_are_written_into_the_cache_itself() -> None:
    """The program copies no cache; eager execution, which makes copies, has the same numbers."""
    x, y = numbers(2, 1, 3, 4), numbers(2, 1, 3, 4, seed=1)
    caches = [nn.KeyValueCache(2, 1, 5, 4).eval() for _ in range(2)]
    memory = caches[0].keys.data
    for _ in range(2):
        full = caches[0](x, y)
        with rv.eager():
            expected = caches[1](x, y)
        for mine, theirs in zip(full, expected, strict=True):
            np.testing.assert_array_equal(mine, theirs)
        for name, buffer in caches[0].named_buffers():
            np.testing.assert_array_equal(buffer.data, dict(caches[1].named_buffers())[name].data)
    assert caches[0].length.data == 5  # of the last three rows one is lost
    assert np.shares_memory(caches[0].keys.data, memory)
    text = caches[0].programs()[0].describe()
    assert text.count("append_rows") == 2
    assert text.count("in place in (2, 1, 5, 4)") == 2, text


def test_a_cache_that_is_read_before_it_grows_keeps_its_old_rows() -> None:
    class Change(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cache = nn.KeyValueCache(1, 1, 4, 2)

        def forward(self, x):
            before = self.cache.keys[:, :, :2]
            keys, _, _ = self.cache(x, x)
            return keys[:, :, :2] - before

    model = Change().eval()
    for x in (numbers(1, 1, 1, 2), numbers(1, 1, 1, 2, seed=1)):
        old = model.cache.keys.data.copy()
        change = model(x)
        np.testing.assert_array_equal(change, (model.cache.keys.data - old)[:, :, :2])
        assert change.any()


def test_gradients_pass_a_cache() -> None:
    x, factor = numbers(1, 1, 2, 3), numbers(1, 1, 4, 3, seed=1)
    cache = nn.KeyValueCache(1, 1, 4, 3).eval()
    cache(x[:, :, :1], x[:, :, :1])
    _, gradient = rv.value_and_grad(lambda x: (cache(x, x)[0] * factor).sum())(x)
    np.testing.assert_array_equal(gradient, factor[:, :, 1:3])


# ---- the model


def small_gpt(**options) -> rv.models.GPT:
    sizes = {"context_length": 8, "num_layers": 2, "embed_dim": 16, "num_heads": 2}
    return rv.models.gpt(11, **{**sizes, **options})


def test_generation_is_that_of_the_whole_context() -> None:
    rv.seed(1)
    model = small_gpt()
    for parameter in model.parameters():
        parameter.data[...] += 0.5 * numbers(*parameter.shape)
    known = np.array([[3, 1, 4], [1, 5, 9]])
    written = model.generate(known, 5, temperature=0)
    for _ in range(5):
        logits = model.eval()(known)
        known = np.concatenate([known, logits[:, -1].argmax(-1)[:, None]], 1)
    np.testing.assert_array_equal(written, known)


def test_generation_goes_on_past_the_context_and_repeats_with_its_seed() -> None:
    model = small_gpt().train()
    first = model.generate(np.arange(10), 20, top_k=5, seed=3)
    assert first.shape == (1, 30)
    assert model.training
    np.testing.assert_array_equal(first, model.generate(np.arange(10), 20, top_k=5, seed=3))
    assert not np.array_equal(first, model.generate(np.arange(10), 20, top_k=5, seed=4))
    np.testing.assert_array_equal(first[0, :10], np.arange(10))


def test_generation_keeps_its_programs() -> None:
    """For all lengths of a batch: powers of two, of which 1 serves the tokens that are drawn."""
    model = small_gpt()
    model.generate([1, 2, 3], 20, seed=0)
    (writer,) = model._writers._idle.values()
    assert len(writer.programs()) == 3  # 2 and 1; 4, half of the context
    first = model.generate([1, 2], 5, seed=0)
    model.tokens.weight.data[...] *= 2
    changed = model.generate([1, 2], 5, temperature=0)
    assert (writer,) == tuple(model._writers._idle.values())
    assert len(writer.programs()) == 3
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert not other._writers._idle
        np.testing.assert_array_equal(other.generate([1, 2], 5, temperature=0), changed)
    model.tokens.weight.data[...] /= 2
    np.testing.assert_array_equal(model.generate([1, 2], 5, seed=0), first)
    for rows in (2, 3, 4):
        model.generate(np.ones((rows, 2), "int64"), 1)
    assert len(model._writers._idle) == 2
    assert model.to("float64").generate([1, 2], 5, seed=0).shape == first.shape


def test_threads_generate_by_memories_of_their_own() -> None:
    model = small_gpt()
    prompts = [np.arange(i, i + 3) for i in range(4)]
    expected = [model.generate(prompt, 12, seed=0) for prompt in prompts]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            written = list(pool.map(lambda prompt: model.generate(prompt, 12, seed=0), prompts))
            np.testing.assert_array_equal(written, expected)


def test_a_gpt_learns() -> None:
    rv.seed(0)
    model = small_gpt(dropout=0.1)
    tokens = np.arange(9 * 16).reshape(16, 9) % 11
    step = rv.TrainStep(
        model,
        lambda logits, following: ops.cross_entropy(logits.reshape((-1, 11)), following.reshape((-1,))),
        rv.optim.Adam(lr=1e-2),
    )
    losses = [step(tokens[:, :-1], tokens[:, 1:]) for _ in range(60)]
    assert losses[-1] < 0.3 < 2 < losses[0]
