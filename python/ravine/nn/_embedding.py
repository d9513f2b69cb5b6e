"""Tables of vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import init, ops
from .._parameter import Parameter
from .._tensor import dtype_name
from ._linear import check_positive
from ._module import Module


class Embedding(Module):
    """A trainable vector for each of a number of things, looked up by index.

    Shapes: integers [...] to [..., embedding_dim]; weight [num_embeddings, embedding_dim], initialised
    normally with mean 0 and variance 1.

    Args:
        num_embeddings: number of vectors.
        embedding_dim: length of a vector.
        padding_idx: an index whose vector starts as zeros and is not trained.
        dtype: float32 or float64.

    Raises TypeError for indices that are no integers, ValueError for indices out of range.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> nn.Embedding(10, 4)(np.array([[1, 2, 9]])).shape
        (1, 3, 4)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        check_positive(self, num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError(
                    f"Embedding: padding_idx {padding_idx} is out of range for {num_embeddings} rows"
                )
            padding_idx %= num_embeddings
        self.num_embeddings, self.embedding_dim, self.padding_idx = num_embeddings, embedding_dim, padding_idx
        self.weight = Parameter(np.zeros((num_embeddings, embedding_dim), dtype_name(dtype)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight.data[self.padding_idx] = 0

    def forward(self, input: Any) -> Any:
        return ops.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        return text if self.padding_idx is None else f"{text}, padding_idx={self.padding_idx}"
