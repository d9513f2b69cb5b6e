"""FT-Transformer: a transformer over the features of a table's row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import init, nn, ops

__all__ = ["FTTransformer", "ft_transformer"]


class _Vector(nn.Module):
    """The vector of the token whose place the answer is read from."""

    def __init__(self, d_block: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(np.zeros(d_block, "float32"))

    def forward(self, n: int) -> Any:
        return ops.broadcast_to(self.weight, (n, 1, self.weight.shape[0]))


class LinearEmbeddings(nn.Module):
    """x · weight + bias, a vector for each number."""

    def __init__(self, n_features: int, d_block: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(np.zeros((n_features, d_block), "float32"))
        self.bias = nn.Parameter(np.zeros((n_features, d_block), "float32"))

    def forward(self, x: Any) -> Any:
        return ops.unsqueeze(x, -1) * self.weight + self.bias


class CategoricalEmbeddings(nn.Module):
    """A vector for each category, and one for each feature."""

    def __init__(self, cardinalities: Sequence[int], d_block: int) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList([nn.Embedding(n, d_block) for n in cardinalities])
        self.bias = nn.Parameter(np.zeros((len(cardinalities), d_block), "float32"))

    def forward(self, x: Any) -> Any:
        return ops.stack([table(x[:, i]) for i, table in enumerate(self.embeddings)], 1) + self.bias


class Attention(nn.Module):
    """Attention with separate projections; with one head there is none behind it."""

    def __init__(self, d_block: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.n_heads, self.dropout = n_heads, dropout
        self.W_q, self.W_k, self.W_v = (nn.Linear(d_block, d_block) for _ in range(3))
        self.W_out = nn.Linear(d_block, d_block) if n_heads > 1 else None
        for layer in self.children():
            if isinstance(layer, nn.Linear):
                init.zeros_(layer.bias)

    def _heads(self, x: Any) -> Any:
        n, tokens, width = x.shape
        return ops.permute(ops.reshape(x, (n, tokens, self.n_heads, width // self.n_heads)), (0, 2, 1, 3))

    def forward(self, of: Any, over: Any) -> Any:
        q, k, v = self._heads(self.W_q(of)), self._heads(self.W_k(over)), self._heads(self.W_v(over))
        p = self.dropout if self.training else 0.0
        y = ops.scaled_dot_product_attention(q, k, v, dropout_p=p)
        y = ops.reshape(ops.permute(y, (0, 2, 1, 3)), of.shape)
        return y if self.W_out is None else self.W_out(y)


class ReGLU(nn.Module):
    """The first half of the features times the ReLU of the second."""

    def forward(self, x: Any) -> Any:
        a, b = ops.chunk(x, 2, -1)
        return a * ops.relu(b)


class Block(nn.Module):
    """Attention and a net for each token, each behind a LayerNorm and around it a residual.

    The first block's attention sees what has no LayerNorm, and the last computes the first token alone.
    """

    def __init__(
        self,
        d_block: int,
        n_heads: int,
        ffn_d_hidden: int,
        dropouts: tuple[float, float, float],
        is_first: bool,
        is_last: bool,
    ) -> None:
        super().__init__()
        of_attention, of_ffn, of_residual = dropouts
        self.is_last = is_last
        self.attention_normalization = None if is_first else nn.LayerNorm(d_block)
        self.attention = Attention(d_block, n_heads, of_attention)
        self.ffn_normalization = nn.LayerNorm(d_block)
        self.ffn = nn.Sequential(
            {
                "linear1": nn.Linear(d_block, 2 * ffn_d_hidden),
                "activation": ReGLU(),
                "dropout": nn.Dropout(of_ffn),
                "linear2": nn.Linear(ffn_d_hidden, d_block),
            }
        )
        self.attention_residual_dropout = nn.Dropout(of_residual)
        self.ffn_residual_dropout = nn.Dropout(of_residual)

    def forward(self, x: Any) -> Any:
        over = x if self.attention_normalization is None else self.attention_normalization(x)
        of, x = (over[:, :1], x[:, :1]) if self.is_last else (over, x)
        x = x + self.attention_residual_dropout(self.attention(of, over))
        return x + self.ffn_residual_dropout(self.ffn(self.ffn_normalization(x)))


class Backbone(nn.Module):
    """Blocks, and the answer from the first token."""

    def __init__(self, blocks: list[Block], d_block: int, d_out: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.output = nn.Sequential(
            {
                "normalization": nn.LayerNorm(d_block),
                "activation": nn.ReLU(),
                "linear": nn.Linear(d_block, d_out),
            }
        )

    def forward(self, x: Any) -> Any:
        for block in self.blocks:
            x = block(x)
        return self.output(x[:, 0])


class FTTransformer(nn.Module):
    """The network of `models.ft_transformer`."""

    def __init__(
        self,
        n_cont_features: int,
        cat_cardinalities: Sequence[int],
        d_out: int,
        n_blocks: int,
        d_block: int,
        n_heads: int,
        ffn_d_hidden: int | None,
        dropouts: tuple[float, float, float],
    ) -> None:
        super().__init__()
        if n_cont_features < 0 or n_cont_features + len(cat_cardinalities) == 0:
            raise ValueError(
                "ft_transformer: at least one feature is expected, got "
                f"n_cont_features={n_cont_features}, cat_cardinalities={tuple(cat_cardinalities)}"
            )
        if n_blocks < 1:
            raise ValueError(f"ft_transformer: n_blocks must be at least 1, got {n_blocks}")
        if n_heads < 1 or d_block % n_heads:
            raise ValueError(
                f"ft_transformer: attention_n_heads must divide d_block, got {n_heads} heads of {d_block}"
            )
        hidden = d_block * 4 // 3 if ffn_d_hidden is None else ffn_d_hidden
        self.n_cont_features, self.n_cat_features = n_cont_features, len(cat_cardinalities)
        self.cls_embedding = _Vector(d_block)
        self.cont_embeddings = LinearEmbeddings(n_cont_features, d_block) if n_cont_features else None
        self.cat_embeddings = CategoricalEmbeddings(cat_cardinalities, d_block) if cat_cardinalities else None
        blocks = [
            Block(d_block, n_heads, hidden, dropouts, i == 0, i == n_blocks - 1) for i in range(n_blocks)
        ]
        self.backbone = Backbone(blocks, d_block, d_out)
        for embeddings in (self.cls_embedding, self.cont_embeddings, self.cat_embeddings):
            for parameter in () if embeddings is None else embeddings.parameters():
                init.uniform_(parameter, -(d_block**-0.5), d_block**-0.5)

    def forward(self, x_cont: Any = None, x_cat: Any = None) -> Any:
        tokens = []
        for name, x, embeddings, features in (
            ("x_cont", x_cont, self.cont_embeddings, self.n_cont_features),
            ("x_cat", x_cat, self.cat_embeddings, self.n_cat_features),
        ):
            if embeddings is None:
                if x is not None:
                    raise ValueError(f"FTTransformer: {name} must be None, as there are no such features")
                continue
            if x is None or x.shape[1:] != (features,):
                seen = None if x is None else x.shape
                raise ValueError(f"FTTransformer: {name} must have shape [N, {features}], got {seen}")
            tokens.append(embeddings(x))
        return self.backbone(ops.concat([self.cls_embedding(tokens[0].shape[0]), *tokens], 1))


def ft_transformer(
    n_cont_features: int,
    cat_cardinalities: Sequence[int] = (),
    d_out: int = 1,
    *,
    n_blocks: int = 3,
    d_block: int = 192,
    attention_n_heads: int = 8,
    attention_dropout: float = 0.2,
    ffn_d_hidden: int | None = None,
    ffn_dropout: float = 0.1,
    residual_dropout: float = 0.0,
) -> FTTransformer:
    """FT-Transformer: each number and category of a table's row becomes a token of a transformer.

    Numbers are best standardised, or by `preprocessing` made normal, before. Slower than an MLP by the number
    of features; stronger on many tables. The paper trains it by AdamW with lr=1e-4 and a decay of 1e-5 that
    leaves out embeddings, biases and LayerNorms.

    Source: Y. Gorishniy, I. Rubachev, V. Khrulkov, A. Babenko, "Revisiting Deep Learning Models for Tabular
    Data", NeurIPS 2021; the defaults are its own for three blocks. The state_dict has the keys and shapes of
    the authors' package rtdl_revisiting_models: cls_embedding.weight, cont_embeddings.weight,
    cat_embeddings.embeddings.0.weight, backbone.blocks.0.attention.W_q.weight, ..., backbone.output.linear.

    Args:
        n_cont_features: numbers of a row.
        cat_cardinalities: how many categories each categorical feature has.
        d_out: outputs.
        n_blocks: blocks.
        d_block: length of a token's vector.
        attention_n_heads: heads, which divide d_block.
        attention_dropout: probability, in training, in the attention's weights.
        ffn_d_hidden: hidden width of a block's net; 4/3 of d_block if None.
        ffn_dropout: probability behind its activation.
        residual_dropout: probability before each sum with a residual.

    Shape: x_cont float [n, n_cont_features] and x_cat integers [n, len(cat_cardinalities)] to [n, d_out];
    None stands for the one whose features there are none of.

    Raises:
        ValueError: no features, no blocks, heads that do not divide; in a call, shapes that do not fit.

    Example:
        >>> import numpy as np, ravine as rv
        >>> model = rv.models.ft_transformer(3, (10, 4), 2, d_block=16).eval()
        >>> model(np.zeros((5, 3), np.float32), np.zeros((5, 2), np.int64)).shape
        (5, 2)
    """
    dropouts = attention_dropout, ffn_dropout, residual_dropout
    return FTTransformer(
        n_cont_features,
        cat_cardinalities,
        d_out,
        n_blocks,
        d_block,
        attention_n_heads,
        ffn_d_hidden,
        dropouts,
    )
