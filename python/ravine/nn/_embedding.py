"""Tables of vectors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import init, ops
from .._numbers import flag, number, whole
from ..record import Parameter, dtype_name
from ._arguments import changed_arguments
from ._initial import InitialisedModule
from ._linear import check_positive

_READING = ("padding_idx", "max_norm", "norm_type", "scale_grad_by_freq", "sparse")


class _Table(InitialisedModule):
    """A trainable table of vectors, and how they are read."""

    weight: Parameter

    def _make_table(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None, dtype: Any
    ) -> None:
        owner = type(self).__name__
        check_positive(self, num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if padding_idx is not None:
            whole(owner, "padding_idx", padding_idx, -num_embeddings)
            if padding_idx >= num_embeddings:
                raise ValueError(
                    f"{owner}: padding_idx {padding_idx} is out of range for {num_embeddings} rows"
                )
            padding_idx %= num_embeddings
        self.num_embeddings, self.embedding_dim, self.padding_idx = num_embeddings, embedding_dim, padding_idx
        self.weight = Parameter(np.zeros((num_embeddings, embedding_dim), dtype_name(dtype)))

    def _keep_reading(
        self, max_norm: float | None, norm_type: float, scale_grad_by_freq: bool, sparse: bool
    ) -> None:
        owner = type(self).__name__
        self.max_norm = None if max_norm is None else number(owner, "max_norm", max_norm)
        self.norm_type, self.scale_grad_by_freq = norm_type, scale_grad_by_freq
        largest = isinstance(norm_type, float) and norm_type == math.inf
        if not largest and number(owner, "norm_type", norm_type, -math.inf) <= 0:
            raise ValueError(f"{owner}: norm_type must be above 0, got {norm_type}")
        self.sparse = flag(owner, "sparse", sparse)
        if sparse and scale_grad_by_freq:
            raise ValueError(f"{owner}: scale_grad_by_freq has no sparse gradient; use sparse=False")

    def reset_parameters(self) -> None:
        self._initialise("weight", init.normal_)
        if self.padding_idx is not None:
            self.weight.data[self.padding_idx] = 0


def _given_table(cls: type[_Table], embeddings: Any, freeze: bool) -> Parameter:
    weight = Parameter(embeddings, requires_grad=not freeze)
    if len(weight.shape) != 2:
        raise ValueError(
            f"{cls.__name__}.from_pretrained: expected a table [rows, features], got {weight.shape}"
        )
    return weight


class Embedding(_Table):
    """A trainable vector for each of a number of things, looked up by index.

    Shapes: integers [...] to [..., embedding_dim]; weight [num_embeddings, embedding_dim], by default
    initialised normally with mean 0 and variance 1.

    Args:
        num_embeddings: number of vectors.
        embedding_dim: length of a vector.
        padding_idx: an index whose vector starts as zeros and is not trained.
        max_norm: vectors that are longer come out scaled to this length; the table stays as it is.
        norm_type: p of the norm that `max_norm` limits.
        scale_grad_by_freq: divide each vector's gradient by how often its index occurs in the batch.
        sparse: a training step updates the vectors of its batch, and looks at no other, so that it costs as
            much for 10 million vectors as for a thousand.
        dtype: float32 or float64.
        weight_init: a name ("xavier_uniform"), a number or a function, see `init.get`.

    Raises TypeError for indices that are no integers, ValueError for indices out of range.

    With `sparse` the update of plain SGD, Adagrad and RowWiseAdagrad is the same to the bit. Rules with more
    memory leave that of other vectors as it is: SGD's momentum (which begins as 0), Adam (lazily: its bias
    correction counts all steps) and `optim.SparseAdam`. Other rules, weight decay, averages of the weights,
    and stages that need whole gradients (accumulation, noise, SAM) raise ValueError; clipping sees each
    vector's gradients summed. A table that is used in other ways too (a head that shares its weights) has a
    dense gradient, as in torch, and is updated as any other.

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
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        *,
        dtype: Any = "float32",
        weight_init: init.Initializer | None = None,
    ) -> None:
        super().__init__()
        self._make_table(num_embeddings, embedding_dim, padding_idx, dtype)
        self._keep_reading(max_norm, norm_type, scale_grad_by_freq, sparse)
        self._keep_initialisers(weight_init=weight_init)
        self.reset_parameters()

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Any,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """An embedding with these vectors, which are copied.

        Args:
            embeddings: [num_embeddings, embedding_dim], float32 or float64.
            freeze: leave the vectors out of training.
            padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse: as for the class; no vector is
                changed.

        Raises ValueError for an array that is no table, TypeError for one that is not floating.

        Example:
            >>> from ravine import nn
            >>> nn.Embedding.from_pretrained([[1.0, 2.0], [3.0, 4.0]])([1])
            array([[3., 4.]], dtype=float32)
        """
        weight = _given_table(cls, embeddings, freeze)
        rows, features = weight.shape
        reading = (max_norm, norm_type, scale_grad_by_freq, sparse)
        layer = cls(rows, features, padding_idx, *reading, dtype=weight.dtype)
        layer.weight = weight
        return layer

    def forward(self, input: Any) -> Any:
        limits = (self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse)
        return ops.embedding(input, self.weight, self.padding_idx, *limits)

    def extra_repr(self) -> str:
        return ", ".join(
            [f"{self.num_embeddings}, {self.embedding_dim}", *changed_arguments(self, *_READING)]
        )


class EmbeddingBag(_Table):
    """The sum, mean or maximum of the vectors of a bag of things; 0 for an empty bag.

    Shapes: integers [N, L], or [n] cut into bags by offsets [N], to [N, embedding_dim]; weight
    [num_embeddings, embedding_dim], by default initialised normally with mean 0 and variance 1.

    Args:
        num_embeddings: number of vectors.
        embedding_dim: length of a vector.
        max_norm, norm_type, scale_grad_by_freq: as for `Embedding`.
        mode: "sum", "mean" or "max".
        sparse: as for `Embedding`.
        include_last_offset: offsets are [N + 1], and end with the number of indices.
        padding_idx: an index that does not count; its vector starts as zeros and is not trained.
        dtype: float32 or float64.
        weight_init: a name ("xavier_uniform"), a number or a function, see `init.get`.

    Raises TypeError for indices that are no integers, ValueError for shapes and modes that do not fit and for
    indices out of range; see `ops.embedding_bag`.

    Example:
        >>> from ravine import nn
        >>> bag = nn.EmbeddingBag(10, 4, mode="sum")
        >>> bag([1, 2, 9], [0, 2]).shape, bag([[1, 2], [3, 4]]).shape
        ((2, 4), (2, 4))
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        *,
        dtype: Any = "float32",
        weight_init: init.Initializer | None = None,
    ) -> None:
        super().__init__()
        if mode not in ("sum", "mean", "max"):
            raise ValueError(f"EmbeddingBag: mode must be sum, mean or max, got {mode!r}")
        self._make_table(num_embeddings, embedding_dim, padding_idx, dtype)
        self._keep_reading(max_norm, norm_type, scale_grad_by_freq, sparse)
        self.mode, self.include_last_offset = mode, include_last_offset
        self._keep_initialisers(weight_init=weight_init)
        self.reset_parameters()

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Any,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> EmbeddingBag:
        """Bags of these vectors, which are copied.

        Args:
            embeddings: [num_embeddings, embedding_dim], float32 or float64.
            freeze: leave the vectors out of training.
            max_norm, norm_type, scale_grad_by_freq, mode, sparse, include_last_offset, padding_idx: as for
                the class; no vector is changed.

        Raises ValueError for an array that is no table, TypeError for one that is not floating.

        Example:
            >>> from ravine import nn
            >>> nn.EmbeddingBag.from_pretrained([[1.0, 2.0], [3.0, 4.0]])([[0, 1]])
            array([[2., 3.]], dtype=float32)
        """
        weight = _given_table(cls, embeddings, freeze)
        rows, features = weight.shape
        reading = (max_norm, norm_type, scale_grad_by_freq, mode, sparse, include_last_offset, padding_idx)
        layer = cls(rows, features, *reading, dtype=weight.dtype)
        layer.weight = weight
        return layer

    def forward(self, input: Any, offsets: Any = None, per_sample_weights: Any = None) -> Any:
        return ops.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        names = ("mode", "include_last_offset", *_READING)
        return ", ".join([f"{self.num_embeddings}, {self.embedding_dim}", *changed_arguments(self, *names)])
