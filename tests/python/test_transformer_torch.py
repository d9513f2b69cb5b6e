"""Layers of attention and transformers agree with torch from the same weights: results and every gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ravine as rv

torch = pytest.importorskip("torch")

N, L, S, E, HEADS = 3, 5, 7, 8, 2


def numbers(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def bools(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Masks of what is hidden; key 0 never is, as torch has NaN where a query sees nothing."""
    hidden = np.random.default_rng([seed, *shape]).random(shape) < 0.4
    hidden[..., 0] = False
    return hidden


LAYER = {"d_model": E, "nhead": HEADS, "dim_feedforward": 12, "dropout": 0.0}
SRC, TGT, SRC_FIRST, TGT_FIRST = (S, N, E), (L, N, E), (N, S, E), (N, L, E)
MHA = "MultiheadAttention"
# The class, its arguments, shapes of its inputs, arguments of forward.
CASES: dict[str, tuple[str, dict[str, Any], list[tuple[int, ...]], dict[str, Any]]] = {
    "attention": (MHA, {}, [TGT, SRC, SRC], {}),
    "attention to itself": (MHA, {"batch_first": True}, [SRC_FIRST], {"need_weights": False}),
    "no batch": (MHA, {"bias": False}, [(L, E), (S, E), (S, E)], {"average_attn_weights": False}),
    "other widths": (MHA, {"kdim": 3, "vdim": 4}, [TGT, (S, N, 3), (S, N, 4)], {"need_weights": False}),
    "added keys": (
        MHA,
        {"add_bias_kv": True, "add_zero_attn": True, "batch_first": True},
        [TGT_FIRST, SRC_FIRST, SRC_FIRST],
        {"key_padding_mask": bools((N, S), 1), "attn_mask": bools((L, S), 2)},
    ),
    "masks of heads": (
        MHA,
        {},
        [TGT, SRC, SRC],
        {"attn_mask": numbers((N * HEADS, L, S), 3), "key_padding_mask": numbers((N, S), 4)},
    ),
    "causal": (
        MHA,
        {},
        [SRC],
        {"attn_mask": ~np.tri(S, dtype=bool), "is_causal": True, "need_weights": False},
    ),
    "encoder layer": ("TransformerEncoderLayer", LAYER, [SRC], {}),
    "norm first": (
        "TransformerEncoderLayer",
        {**LAYER, "norm_first": True, "activation": "gelu", "batch_first": True, "bias": False},
        [SRC_FIRST],
        {"src_mask": bools((S, S), 5), "src_key_padding_mask": bools((N, S), 6)},
    ),
    "decoder layer": (
        "TransformerDecoderLayer",
        LAYER,
        [TGT, SRC],
        {
            "tgt_mask": bools((L, L), 5),
            "memory_mask": bools((L, S), 6),
            "tgt_key_padding_mask": bools((N, L), 7),
            "memory_key_padding_mask": bools((N, S), 8),
        },
    ),
    "transformer": (
        "Transformer",
        {**LAYER, "num_encoder_layers": 2, "num_decoder_layers": 2, "norm_first": True},
        [SRC, TGT],
        {"tgt_mask": ~np.tri(L, dtype=bool), "tgt_is_causal": True},
    ),
    "root mean square": ("RMSNorm", {"normalized_shape": (N, E)}, [SRC], {}),
}


def flat(results: Any) -> list[Any]:
    return [r for r in (results if isinstance(results, tuple) else [results]) if r is not None]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore:enable_nested_tensor:UserWarning")
@pytest.mark.filterwarnings("ignore:Support for mismatched:UserWarning")
def test_layer(name: str) -> None:
    kind, arguments, shapes, given = CASES[name]
    torch.manual_seed(0)
    theirs = (
        getattr(torch.nn, kind)(**arguments)
        if kind != MHA
        else torch.nn.MultiheadAttention(E, HEADS, **arguments)
    )
    theirs = theirs.double()
    with torch.no_grad():
        for i, parameter in enumerate(theirs.parameters()):  # biases too
            parameter += 0.1 * torch.tensor(numbers(tuple(parameter.shape), 20 + i))
    ours = getattr(rv.nn, kind)(*([E, HEADS] if kind == MHA else []), **arguments, dtype="float64")
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({n: w.numpy() for n, w in theirs.state_dict().items()})
    repeat = 3 if kind == MHA and len(shapes) == 1 else 1
    arrays = [numbers(shape, 10 + i) for i, shape in enumerate(shapes)]
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    expected = flat(
        theirs(
            *(tensors * repeat),
            **{n: torch.tensor(a) if isinstance(a, np.ndarray) else a for n, a in given.items()},
        )
    )
    total: Any = sum((y * torch.tensor(numbers(tuple(y.shape), 9))).sum() for y in expected)
    total.backward()

    def loss(model: Any, inputs: dict[str, Any]) -> Any:
        results = flat(model(*(list(inputs.values()) * repeat), **given))
        return sum((y * numbers(tuple(y.shape), 9)).sum() for y in results)

    results = flat(ours(*(arrays * repeat), **given))
    for got, want in zip(results, expected, strict=True):
        np.testing.assert_allclose(got, want.detach().numpy(), rtol=0, atol=1e-13)
    inputs = {str(i): a for i, a in enumerate(arrays)}
    _, gradients = rv.value_and_grad(loss, ours)(inputs)
    for parameter, tensor in theirs.named_parameters():
        np.testing.assert_allclose(
            gradients[parameter], tensor.grad.numpy(), rtol=0, atol=1e-12, err_msg=parameter
        )
    _, by_inputs = rv.value_and_grad(lambda a: loss(ours, a))(inputs)
    for i, tensor in enumerate(tensors):
        np.testing.assert_allclose(
            by_inputs[str(i)], tensor.grad.numpy(), rtol=0, atol=1e-12, err_msg=f"input {i}"
        )


@pytest.mark.filterwarnings("ignore:enable_nested_tensor:UserWarning")
def test_stacks_have_torchs_keys() -> None:
    def stacks(nn: Any, **dtype: Any) -> Any:
        encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(**LAYER), 2, nn.LayerNorm(E))
        decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(**LAYER), 2)
        return encoder, decoder

    for ours, theirs in zip(stacks(rv.nn), stacks(torch.nn), strict=True):
        assert list(ours.state_dict()) == list(theirs.state_dict())
        shapes = {n: tuple(w.shape) for n, w in theirs.state_dict().items()}
        assert {n: tuple(w.shape) for n, w in ours.state_dict().items()} == shapes
