"""Transformers: layers of attention and of a net for each position, stacks of them, and both together."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import init, ops
from ._attention import MultiheadAttention
from ._containers import ModuleList
from ._dropout import Dropout
from ._linear import Linear, check_positive
from ._module import Module
from ._norm import LayerNorm

Activation = str | Callable[[Any], Any]


def _activation(module: str, activation: Activation) -> Callable[[Any], Any]:
    if isinstance(activation, str):
        if activation not in ("relu", "gelu"):
            raise ValueError(f"{module}: activation must be 'relu', 'gelu' or a function, got {activation!r}")
        return getattr(ops, activation)
    if not callable(activation):
        raise TypeError(f"{module}: activation must be a string or a function, got {activation!r}")
    name, owner = getattr(activation, "__name__", ""), getattr(activation, "__self__", None)
    if name in ("relu", "gelu") and f"{activation.__module__} {owner!r}".find("torch") >= 0:
        return getattr(ops, name)  # PyTorch's own can mean only this
    return activation


class _Layer(Module):
    """What the layers share: a residual block around each part, normalised behind it or before it."""

    def __init__(
        self,
        parts: int,
        d_model: int,
        nhead: int,
        dim_feedforward: int,
        dropout: float,
        activation: Activation,
        layer_norm_eps: float,
        batch_first: bool,
        norm_first: bool,
        bias: bool,
        dtype: Any,
    ) -> None:
        super().__init__()
        check_positive(self, d_model=d_model, nhead=nhead, dim_feedforward=dim_feedforward)

        def attention() -> MultiheadAttention:
            return MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype)

        self.self_attn = attention()
        if parts == 3:
            self.multihead_attn = attention()
        self.linear1 = Linear(d_model, dim_feedforward, bias, dtype=dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, dtype=dtype)
        self.norm_first = norm_first
        for part in range(1, parts + 1):
            setattr(self, f"norm{part}", LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype))
        for part in range(1, parts + 1):
            setattr(self, f"dropout{part}", Dropout(dropout))
        self.activation = _activation(type(self).__name__, activation)

    def extra_repr(self) -> str:
        attention, norm = self.self_attn, self.norm1
        activation = getattr(self.activation, "__name__", repr(self.activation))
        return (
            f"d_model={attention.embed_dim}, nhead={attention.num_heads}, activation={activation}, "
            f"norm_first={self.norm_first}, batch_first={attention.batch_first}, bias={norm.bias is not None}"
        )

    def _add(self, part: int, x: Any, block: Callable[[Any], Any]) -> Any:
        norm, dropout = getattr(self, f"norm{part}"), getattr(self, f"dropout{part}")
        if self.norm_first:
            return x + dropout(block(norm(x)))
        return norm(x + dropout(block(x)))

    def _feed_forward(self, x: Any) -> Any:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))


class TransformerEncoderLayer(_Layer):
    """Attention of a sequence to itself, then a net of two linear layers for each position.

    Each has a residual connection and a LayerNorm behind it, or with `norm_first` before it, which trains
    more easily when there are many layers. Shapes: [T, N, d_model] or with `batch_first` [N, T, d_model], the
    same out; [T, d_model] for one sequence.

    Args:
        d_model: features.
        nhead: heads, which divide d_model.
        dim_feedforward: width of the net.
        dropout: probability in the attention's weights, behind the activation and behind each part.
        activation: "relu", "gelu" or a function of a tensor.
        layer_norm_eps: of the LayerNorms.
        batch_first: whether the batch is the first dimension.
        norm_first: whether each part is normalised before it instead of behind it.
        bias: whether linear layers and LayerNorms have biases.
        dtype: float32 or float64.

    Forward's arguments: `src_mask`, `src_key_padding_mask` and `is_causal` are those of `MultiheadAttention`.

    Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; norms first: Xiong et al. 2020,
    https://arxiv.org/abs/2002.04745.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        >>> layer(np.zeros((2, 5, 8), "float32"), is_causal=True).shape
        (2, 5, 8)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        *,
        dtype: Any = "float32",
    ) -> None:
        super().__init__(
            2, d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first,
            bias, dtype,
        )  # fmt: skip

    def forward(
        self, src: Any, src_mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool = False
    ) -> Any:
        def attend(x: Any) -> Any:
            return self.self_attn(x, x, x, src_key_padding_mask, False, src_mask, is_causal=is_causal)[0]

        return self._add(2, self._add(1, src, attend), self._feed_forward)


class TransformerDecoderLayer(_Layer):
    """As `TransformerEncoderLayer`, with attention to the encoder's output, the memory, in between.

    Shapes: tgt [T, N, d_model] and memory [S, N, d_model], or with `batch_first` the batch first; the output
    is as tgt. Arguments are those of `TransformerEncoderLayer`; forward's masks are those of
    `MultiheadAttention`, for tgt and for memory.

    Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> layer = nn.TransformerDecoderLayer(8, 2, 16)
        >>> layer(np.zeros((5, 2, 8), "float32"), np.zeros((7, 2, 8), "float32"), tgt_is_causal=True).shape
        (5, 2, 8)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        *,
        dtype: Any = "float32",
    ) -> None:
        super().__init__(
            3, d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first,
            bias, dtype,
        )  # fmt: skip

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Any:
        def attend(x: Any) -> Any:
            return self.self_attn(x, x, x, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal)[0]

        def read_memory(x: Any) -> Any:
            return self.multihead_attn(
                x, memory, memory, memory_key_padding_mask, False, memory_mask, is_causal=memory_is_causal
            )[0]

        x = self._add(2, self._add(1, tgt, attend), read_memory)
        return self._add(3, x, self._feed_forward)


class _Stack(Module):
    """Copies of a layer, one on the other."""

    def __init__(self, layer: Module, num_layers: int, norm: Module | None) -> None:
        super().__init__()
        check_positive(self, num_layers=num_layers)
        self.layers = ModuleList([copy.deepcopy(layer) for _ in range(num_layers)])
        self.num_layers, self.norm = num_layers, norm

    def extra_repr(self) -> str:
        return f"num_layers={self.num_layers}"


class TransformerEncoder(_Stack):
    """Copies of an encoder layer, one on the other; they begin with equal weights, as in torch.

    Args:
        encoder_layer: the layer to copy.
        num_layers: how many of it.
        norm: a module for the end, usually a LayerNorm where the layers have theirs first.
        enable_nested_tensor, mask_check: torch's, without effect.

    Forward's arguments are those of the layer, the mask is called `mask`.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 3)
        >>> encoder(np.zeros((5, 2, 8), "float32")).shape
        (5, 2, 8)
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__(encoder_layer, num_layers, norm)

    def forward(
        self, src: Any, mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool | None = None
    ) -> Any:
        x = src
        for layer in self.layers:
            x = layer(x, mask, src_key_padding_mask, is_causal=bool(is_causal))
        return x if self.norm is None else self.norm(x)


class TransformerDecoder(_Stack):
    """Copies of a decoder layer, one on the other; they begin with equal weights, as in torch.

    Args:
        decoder_layer: the layer to copy.
        num_layers: how many of it.
        norm: a module for the end.

    Forward's arguments are those of the layer.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16), 2)
        >>> decoder(np.zeros((5, 2, 8), "float32"), np.zeros((7, 2, 8), "float32")).shape
        (5, 2, 8)
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__(decoder_layer, num_layers, norm)

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        x = tgt
        for layer in self.layers:
            x = layer(
                x,
                memory,
                tgt_mask,
                memory_mask,
                tgt_key_padding_mask,
                memory_key_padding_mask,
                tgt_is_causal=bool(tgt_is_causal),
                memory_is_causal=memory_is_causal,
            )
        return x if self.norm is None else self.norm(x)


class Transformer(Module):
    """An encoder that reads a source and a decoder that writes a target, each with a LayerNorm at its end.

    Shapes: src [S, N, d_model] and tgt [T, N, d_model], or with `batch_first` the batch first; the output is
    as tgt.

    Args:
        d_model, nhead, dim_feedforward, dropout, activation: of the layers, see `TransformerEncoderLayer`.
        layer_norm_eps, batch_first, norm_first, bias, dtype: of the layers as well.
        num_encoder_layers, num_decoder_layers: how many.
        custom_encoder, custom_decoder: modules to use instead.

    Forward's masks are those of `MultiheadAttention`, for src, tgt and memory, which is the encoder's output.
    Matrices are initialised by Glorot's rule.

    Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762.

    Example:
        >>> import numpy as np
        >>> from ravine import nn
        >>> model = nn.Transformer(8, 2, 1, 1, 16)
        >>> model(np.zeros((7, 2, 8), "float32"), np.zeros((5, 2, 8), "float32"), tgt_is_causal=True).shape
        (5, 2, 8)
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        *,
        dtype: Any = "float32",
    ) -> None:
        super().__init__()
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first
        shape = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps)
        layout = (batch_first, norm_first, bias)

        def norm() -> LayerNorm:
            return LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)

        if custom_encoder is None:
            layer = TransformerEncoderLayer(*shape, *layout, dtype=dtype)
            custom_encoder = TransformerEncoder(layer, num_encoder_layers, norm())
        if custom_decoder is None:
            layer = TransformerDecoderLayer(*shape, *layout, dtype=dtype)
            custom_decoder = TransformerDecoder(layer, num_decoder_layers, norm())
        self.encoder, self.decoder = custom_encoder, custom_decoder
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)

    def extra_repr(self) -> str:
        return f"d_model={self.d_model}, nhead={self.nhead}, batch_first={self.batch_first}"

    @staticmethod
    def generate_square_subsequent_mask(sz: int) -> np.ndarray:
        """[sz, sz] of 0 and, where a query would see a later key, -inf. `is_causal=True` says it cheaper.

        Example:
            >>> from ravine import nn
            >>> nn.Transformer.generate_square_subsequent_mask(2)
            array([[  0., -inf],
                   [  0.,   0.]], dtype=float32)
        """
        return np.where(np.tri(sz, dtype=bool), np.float32(0), np.float32(-np.inf))

    def forward(
        self,
        src: Any,
        tgt: Any,
        src_mask: Any = None,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        src_key_padding_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        memory = self.encoder(src, src_mask, src_key_padding_mask, is_causal=src_is_causal)
        return self.decoder(
            tgt,
            memory,
            tgt_mask,
            memory_mask,
            tgt_key_padding_mask,
            memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )
