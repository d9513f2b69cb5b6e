"""A recommendation model: numbers and categories, compared in pairs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import init, nn, ops

__all__ = ["DLRM", "dlrm"]


def _mlp(widths: Sequence[int], *, ends_with_relu: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        linear = nn.Linear(before, after)
        init.xavier_normal_(linear.weight)
        init.normal_(linear.bias, 0.0, after**-0.5)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*(layers if ends_with_relu else layers[:-1]))


class DLRM(nn.Module):
    """The network of `models.dlrm`."""

    def __init__(
        self,
        dense_features: int,
        cardinalities: Sequence[int],
        embedding_dim: int,
        bottom: Sequence[int],
        top: Sequence[int],
        num_outputs: int,
        itself: bool,
    ) -> None:
        super().__init__()
        if dense_features < 1 or not cardinalities:
            raise ValueError(
                "dlrm: at least one dense feature and one table are expected, got "
                f"dense_features={dense_features}, cardinalities={tuple(cardinalities)}"
            )
        self.dense_features = dense_features
        self.emb_l = nn.ModuleList([nn.Embedding(n, embedding_dim) for n in cardinalities])
        for table, n in zip(self.emb_l, cardinalities, strict=True):
            init.uniform_(table.weight, -(n**-0.5), n**-0.5)
        vectors = 1 + len(cardinalities)
        rows, columns = np.tril_indices(vectors, 0 if itself else -1)
        self.pairs = rows * vectors + columns
        self.bot_l = _mlp((dense_features, *bottom, embedding_dim), ends_with_relu=True)
        widths = (embedding_dim + len(self.pairs), *top, num_outputs)
        self.top_l = _mlp(widths, ends_with_relu=False)

    def forward(self, dense: Any, indices: Any) -> Any:
        n, tables = dense.shape[0], len(self.emb_l)
        if dense.shape[1:] != (self.dense_features,):
            raise ValueError(f"DLRM: dense must have shape [N, {self.dense_features}], got {dense.shape}")
        if indices.ndim not in (2, 3) or indices.shape[:2] != (n, tables):
            raise ValueError(
                f"DLRM: indices must have shape [{n}, {tables}] or [{n}, {tables}, P], got {indices.shape}"
            )
        x = self.bot_l(dense)
        vectors = [x]
        for i, table in enumerate(self.emb_l):
            found = table(indices[:, i])
            vectors.append(found if indices.ndim == 2 else ops.sum(found, 1))
        stacked = ops.stack(vectors, 1)
        products = ops.matmul(stacked, ops.permute(stacked, (0, 2, 1)))
        pairs = ops.index_select(ops.reshape(products, (n, len(vectors) ** 2)), 1, self.pairs)
        return self.top_l(ops.concat([x, pairs], 1))


def dlrm(
    dense_features: int,
    cardinalities: Sequence[int],
    embedding_dim: int = 16,
    *,
    bottom: Sequence[int] = (64, 32),
    top: Sequence[int] = (64, 32),
    num_outputs: int = 1,
    interact_itself: bool = False,
) -> DLRM:
    """DLRM: a recommendation model from numbers and categories, for clicks, ratings, purchases.

    A net makes one vector of the numbers, each category looks up another, the products of all pairs and the
    first vector go through a second net. The output is a logit: train it by `nn.BCEWithLogitsLoss`, or by
    `nn.MSELoss` for ratings.

    Source: M. Naumov et al., "Deep Learning Recommendation Model for Personalization and Recommendation
    Systems", 2019. The state_dict has the keys of the authors' implementation: emb_l.0.weight,
    bot_l.0.weight, ..., top_l.0.weight; their last sigmoid is left to the loss.

    Args:
        dense_features: numbers of one example.
        cardinalities: rows of each table of embeddings.
        embedding_dim: length of the vectors.
        bottom: hidden widths of the net of the numbers, whose output has embedding_dim.
        top: hidden widths of the net of the products.
        num_outputs: outputs.
        interact_itself: also the product of each vector with itself.

    Shape: float [n, dense_features] and integers [n, tables], or [n, tables, p] for the sum of p vectors a
    table, to [n, num_outputs].

    Raises:
        ValueError: no dense feature, or no table; in a call, shapes or indices that do not fit.

    Example:
        >>> import numpy as np, ravine as rv
        >>> model = rv.models.dlrm(3, (100, 20), 8)
        >>> model(np.zeros((4, 3), np.float32), np.array([[99, 0], [1, 19], [2, 2], [50, 7]])).shape
        (4, 1)
    """
    return DLRM(dense_features, cardinalities, embedding_dim, bottom, top, num_outputs, interact_itself)
