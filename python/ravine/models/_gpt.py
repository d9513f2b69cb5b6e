"""A small GPT: a transformer that foretells the next token, and writes."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core, init, nn, ops

__all__ = ["GPT", "gpt"]


class GPTBlock(nn.Module):
    """Causal attention and a net for each position, each behind a LayerNorm and around it a residual."""

    def __init__(self, embed_dim: int, num_heads: int, dropout: float, bias: bool) -> None:
        super().__init__()
        self.num_heads, self.head_dim, self.dropout = num_heads, embed_dim // num_heads, dropout
        self.norm1 = nn.LayerNorm(embed_dim, bias=bias)
        self.in_proj = nn.Linear(embed_dim, 3 * embed_dim, bias)
        self.out_proj = nn.Linear(embed_dim, embed_dim, bias)
        self.norm2 = nn.LayerNorm(embed_dim, bias=bias)
        self.linear1 = nn.Linear(embed_dim, 4 * embed_dim, bias)
        self.linear2 = nn.Linear(4 * embed_dim, embed_dim, bias)
        self.residual_dropout = nn.Dropout(dropout)

    def forward(self, input: Any, cache: nn.KeyValueCache | None = None) -> Any:
        x = input + self.residual_dropout(self._attend(self.norm1(input), cache))
        return x + self.residual_dropout(self.linear2(ops.gelu(self.linear1(self.norm2(x)))))

    def _attend(self, x: Any, cache: nn.KeyValueCache | None) -> Any:
        n, length, width = x.shape
        heads = ops.reshape(self.in_proj(x), (n, length, 3, self.num_heads, self.head_dim))
        q, k, v = (ops.permute(heads[:, :, i], (0, 2, 1, 3)) for i in range(3))
        if cache is None:
            p = self.dropout if self.training else 0.0
            y = ops.scaled_dot_product_attention(q, k, v, dropout_p=p, is_causal=True)
        else:
            k, v, mask = cache(k, v)
            y = ops.scaled_dot_product_attention(q, k, v, mask)
        return self.out_proj(ops.reshape(ops.permute(y, (0, 2, 1, 3)), (n, length, width)))


class _Writer(nn.Module):
    """The model with memory: the next tokens to the logits of the one behind them."""

    def __init__(self, model: GPT, batch_size: int) -> None:
        super().__init__()
        self.model, block = model, model.blocks[0]
        sizes = (batch_size, block.num_heads, model.context_length, block.head_dim)
        dtype = model.tokens.weight.dtype
        self.caches = nn.ModuleList([nn.KeyValueCache(*sizes, dtype=dtype) for _ in model.blocks])

    def forward(self, tokens: Any) -> Any:
        positions = np.arange(tokens.shape[1]) + self.caches[0].length
        x = self.model.embed(tokens, positions)
        for block, cache in zip(self.model.blocks, self.caches, strict=True):
            x = block(x, cache)
        return self.model.head(x[:, -1])

    def read(self, tokens: np.ndarray) -> np.ndarray:
        """The logits behind the last of the tokens [N, T]."""
        logits, begin = np.empty(0), 0
        for length in _parts(tokens.shape[1]):
            logits = self(tokens[:, begin : begin + length])
            begin += length
        return logits

    def reset(self) -> None:
        for cache in self.caches:
            cache.reset()


class _Writers:
    """A model's writers that are not in use, with their programs; no part of the model.

    `generate` takes one that fits, or a new one, and gives it back: calls in several threads have memories of
    their own.
    """

    KEPT = 2

    def __init__(self) -> None:
        self._idle: dict[Any, _Writer] = {}  # the last used comes last; each step on it is atomic

    def take(self, model: GPT, batch_size: int) -> tuple[Any, _Writer]:
        """What the writer fits, and the writer."""
        fits = batch_size, model.context_length, model.tokens.weight.dtype, tuple(model.blocks)
        writer = self._idle.pop(fits, None)
        if writer is None:
            return fits, _Writer(model, batch_size)
        writer.reset()
        return fits, writer

    def give_back(self, fits: Any, writer: _Writer) -> None:
        self._idle.pop(fits, None)
        self._idle[fits] = writer
        for oldest in list(self._idle)[: -self.KEPT]:
            self._idle.pop(oldest, None)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Writers:
        return _Writers()

    def __reduce__(self) -> Any:
        return _Writers, ()


def _parts(length: int) -> list[int]:
    """Powers of two with this sum, the largest first: few programs serve every length."""
    return [1 << bit for bit in range(length.bit_length() - 1, -1, -1) if length >> bit & 1]


class GPT(nn.Module):
    """The network of `models.gpt`."""

    def __init__(
        self,
        vocab_size: int,
        context_length: int,
        num_layers: int,
        embed_dim: int,
        num_heads: int,
        dropout: float,
        bias: bool,
    ) -> None:
        super().__init__()
        if embed_dim % num_heads:
            raise ValueError(f"gpt: num_heads must divide embed_dim, got {num_heads} heads of {embed_dim}")
        self.context_length = context_length
        self.tokens = nn.Embedding(vocab_size, embed_dim)
        self.positions = nn.Embedding(context_length, embed_dim)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            [GPTBlock(embed_dim, num_heads, dropout, bias) for _ in range(num_layers)]
        )
        self.norm = nn.LayerNorm(embed_dim, bias=bias)
        self._writers = _Writers()
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                is_last = name.endswith(("out_proj.weight", "linear2.weight"))
                init.normal_(parameter, 0.0, 0.02 / (2 * len(self.blocks)) ** 0.5 if is_last else 0.02)
            elif name.endswith("bias"):
                init.zeros_(parameter)

    def embed(self, tokens: Any, positions: Any) -> Any:
        return self.dropout(self.tokens(tokens) + self.positions(positions))

    def head(self, x: Any) -> Any:
        return ops.linear(self.norm(x), self.tokens.weight)

    def forward(self, tokens: Any) -> Any:
        if tokens.ndim != 2 or tokens.shape[1] > self.context_length:
            raise ValueError(
                f"GPT: tokens must have shape [N, T], T at most {self.context_length}, got {tokens.shape}"
            )
        x = self.embed(tokens, np.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(x)

    def generate(
        self,
        tokens: Any,
        max_new_tokens: int,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int | None = None,
    ) -> np.ndarray:
        """The tokens [N, T] and `max_new_tokens` behind each row, drawn one by one from the model.

        Keys and values of earlier tokens are kept, so that a token costs one position, by one program
        whatever the length; known tokens are read in parts of powers of two, so that few programs serve all
        lengths. Programs and memory are kept for the next call with as many rows. When the context is full,
        its later half is read again as the beginning.

        Args:
            tokens: integers [N, T] or [T], T at least 1.
            max_new_tokens: how many to draw.
            temperature: divides the logits; 0 takes the most probable token.
            top_k: draw from so many of the most probable tokens only.
            seed: of the draws; None takes the next of `rv.seed`.

        Example:
            >>> import ravine as rv
            >>> model = rv.models.gpt(5, context_length=8, num_layers=1, embed_dim=8, num_heads=2)
            >>> model.generate([1, 2], 10, seed=0).shape
            (1, 12)
        """
        known = np.atleast_2d(np.asarray(tokens))
        if known.ndim != 2 or known.shape[1] < 1 or known.dtype.kind not in "iu":
            raise ValueError(
                f"generate: tokens must be integers [N, T], T at least 1, got shape {known.shape} of "
                f"{known.dtype}"
            )
        if max_new_tokens < 0:
            raise ValueError(f"generate: max_new_tokens must not be negative, got {max_new_tokens}")
        if not temperature >= 0:
            raise ValueError(f"generate: temperature must not be negative, got {temperature}")
        if top_k is not None and top_k < 1:
            raise ValueError(f"generate: top_k must be at least 1, got {top_k}")
        rng = np.random.default_rng(_core.draw_seed() if seed is None else seed)
        training = self.training
        fits, writer = self._writers.take(self, len(known))
        writer.eval()
        start = known.shape[1]
        known = np.concatenate([known.astype("int64"), np.zeros((len(known), max_new_tokens), "int64")], 1)
        unread, read = known[:, max(0, start - self.context_length) : start], 0
        try:
            for length in range(start, start + max_new_tokens):
                if read + unread.shape[1] > self.context_length:
                    writer.reset()
                    unread, read = known[:, length - (self.context_length + 1) // 2 : length], 0
                logits = writer.read(unread)
                known[:, length] = _draw(logits, temperature, top_k, rng)
                read, unread = read + unread.shape[1], known[:, length : length + 1]
        finally:
            self.train(training)
        self._writers.give_back(fits, writer)
        return known


def _draw(logits: np.ndarray, temperature: float, top_k: int | None, rng: np.random.Generator) -> np.ndarray:
    """A token for each row of logits, by the Gumbel-max trick."""
    if temperature == 0:
        return logits.argmax(-1)
    scores = logits.astype("float64") / temperature
    if top_k is not None and top_k < scores.shape[-1]:
        least = np.partition(scores, -top_k, -1)[:, -top_k, None]
        scores = np.where(scores < least, -np.inf, scores)
    return (scores + rng.gumbel(size=scores.shape)).argmax(-1)


def gpt(
    vocab_size: int,
    *,
    context_length: int = 256,
    num_layers: int = 6,
    embed_dim: int = 384,
    num_heads: int = 6,
    dropout: float = 0.0,
    bias: bool = True,
) -> GPT:
    """GPT-2's network at any size: tokens to the logits of the token behind each.

    Embeddings of tokens and positions, blocks of causal attention and a net of two layers with GELU, each
    behind a LayerNorm, and a last LayerNorm; the head shares the weights of the tokens' embedding. Train it
    by `nn.CrossEntropyLoss` on logits reshaped to [N · T, vocab_size]; `model.generate` writes.

    Args:
        vocab_size: number of tokens.
        context_length: the longest sequence.
        num_layers: blocks.
        embed_dim: features.
        num_heads: heads, which divide embed_dim.
        dropout: probability, in training, in the attention's weights and behind embeddings and each part.
        bias: whether linear layers and LayerNorms have biases.

    Shape: integers [N, T] to [N, T, vocab_size].

    Weights are normal with a deviation of 0.02, those before a residual smaller by √(2 · num_layers).

    Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners".

    Example:
        >>> import numpy as np, ravine as rv
        >>> model = rv.models.gpt(65, context_length=16, num_layers=2, embed_dim=32, num_heads=4)
        >>> model(np.zeros((3, 16), "int64")).shape
        (3, 16, 65)
    """
    return GPT(vocab_size, context_length, num_layers, embed_dim, num_heads, dropout, bias)
