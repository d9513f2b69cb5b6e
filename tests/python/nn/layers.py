"""The table of all layers: for each its arguments and inputs. `test_layer_contract.py` runs over it.

A new layer is a row, `layer(name, *arguments, **options).on(*inputs)`, with options that are not the
defaults; or several rows, until each argument was given. torch.nn's layer of the same name gets the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Layer:
    """A layer of `nn`, how it is built, and what it is called on."""

    name: str
    arguments: tuple[Any, ...] | Callable[[Any], tuple[Any, ...]]
    options: dict[str, Any]
    inputs: tuple[Any, ...] = ()
    axes: tuple[int, ...] = ()  # of the batch, for each array of the inputs
    out: tuple[int, ...] = (0,)  # likewise of the outputs; the last one counts for those that follow
    apart: bool = True  # whether what is computed of an example in evaluation depends on no other
    peer: bool = True  # whether torch has it too, and with the same results
    random: bool = False  # whether it draws random numbers in training

    def on(
        self,
        *inputs: Any,
        axes: int | tuple[int, ...] = 0,
        out: int | tuple[int, ...] = 0,
        apart: bool = True,
        peer: bool = True,
        random: bool = False,
    ) -> Layer:
        """This row with inputs: a shape means normal numbers, a list of shapes a tuple of arrays.

        Args:
            axes, out: the axis of the batch in the inputs' and the outputs' arrays, one for all or each.
            apart: whether what is computed of an example in evaluation depends on no other.
            peer: whether torch has the layer, with the same results.
            random: whether it draws random numbers in training.
        """
        rng = np.random.default_rng(len(self.name))

        def array(of: Any) -> Any:
            if isinstance(of, list):
                return tuple([array(one) for one in of])
            return rng.standard_normal(of).astype("float32") if isinstance(of, tuple) else of

        arrays = tuple([array(one) for one in inputs])
        n = len(leaves(arrays))
        return replace(
            self,
            inputs=arrays,
            axes=(axes,) * n if isinstance(axes, int) else axes,
            out=(out,) if isinstance(out, int) else out,
            apart=apart,
            peer=peer,
            random=random,
        )

    def build(self, nn: Any, convert: Callable[[np.ndarray], Any] = np.asarray, **changes: Any) -> Any:
        """The layer of the namespace `nn`; `convert` makes its arrays of NumPy's, `changes` are options."""

        def given(value: Any) -> Any:
            return convert(value) if isinstance(value, np.ndarray) else value

        arguments = self.arguments if isinstance(self.arguments, tuple) else self.arguments(nn)
        options = {key: given(value) for key, value in (self.options | changes).items()}
        return getattr(nn, self.name)(*map(given, arguments), **options)


def leaves(values: Any) -> list[Any]:
    """The arrays in nested tuples and lists, in order."""
    if isinstance(values, tuple | list):
        return [leaf for value in values for leaf in leaves(value)]
    return [values]


def regrouped(flat: list[Any], values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arrays of `flat` in the tuples of `values`."""
    rest = iter(flat)
    return tuple([tuple([next(rest) for _ in v]) if isinstance(v, tuple) else next(rest) for v in values])


def layer(name: str, *arguments: Any, **options: Any) -> Layer:
    """A row without inputs. One function as argument makes the arguments of a namespace `nn`."""
    if len(arguments) == 1 and callable(arguments[0]):
        return Layer(name, arguments[0], options)
    return Layer(name, arguments, options)


def squared_distance(a: Any, b: Any) -> Any:
    return ((a - b) ** 2).sum(-1)


LABELS = np.array([2, 0, 4, 1])
CLASS_WEIGHTS = np.array([0.5, 1.0, 2.0, 0.125, 3.0], "float32")
SIGNS = np.array([1, -1, -1, 1])
SHARES = np.array([[0.25, 0.5, 0.125], [0.75, 0.25, 0.5], [0.5, 0.25, 1.0], [0.0, 0.5, 0.5]], "float32")
COUNTS = np.array([[1, 2, 5], [1, 3, 3], [4, 1, 1], [2, 2, 2]], "float32")
SETS = np.array([[3, 0, -1, 1, 2], [0, -1, 1, 2, 3], [1, 4, 2, -1, 0], [2, -1, 0, 0, 0]])
BITS = np.array([[1, 0, 1, 0, 0], [0, 0, 1, 1, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]], "float32")
LOG_PROBABILITIES = np.log(SHARES[:, None, :].repeat(2, 1) * 0.5 + 0.125)
INDICES = np.array([[1, 2, 2], [6, 1, 0]])

ACTIVATIONS = [
    *[layer(name).on((4, 6)) for name in (
        "Hardsigmoid", "Hardswish", "LogSigmoid", "Mish", "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid",
        "Softsign", "Tanh", "Tanhshrink",
    )],
    layer("CELU", alpha=0.5).on((4, 6)),
    layer("ELU", alpha=0.5).on((4, 6)),
    layer("GELU", approximate="tanh").on((4, 6)),
    layer("GLU", dim=1).on((4, 6, 3)),
    layer("Hardshrink", lambd=0.25).on((4, 6)),
    layer("Hardtanh", min_val=-0.5, max_val=0.25).on((4, 6)),
    layer("LeakyReLU", negative_slope=0.25).on((4, 6)),
    layer("LogSoftmax", dim=1).on((4, 6, 3)),
    layer("PReLU", num_parameters=6).on((4, 6)),
    layer("Softmax", dim=1).on((4, 6, 3)),
    layer("Softmin", dim=1).on((4, 6, 3)),
    layer("Softplus", beta=3.0, threshold=4.0).on((4, 6)),
    layer("Softshrink", lambd=0.25).on((4, 6)),
    layer("Threshold", threshold=0.25, value=-3.0).on((4, 6)),
]  # fmt: skip

MAPS = [
    layer("Linear", 5, 7).on((4, 5)),
    layer("Linear", 5, 7, bias=False).on((4, 3, 5)),
    layer("Identity").on((4, 5)),
    layer("Flatten", start_dim=2, end_dim=3).on((4, 2, 3, 5)),
    layer("Unflatten", dim=1, unflattened_size=(2, 3)).on((4, 6)),
    layer("Embedding", 7, 4, padding_idx=2, scale_grad_by_freq=True).on(INDICES),
    layer("Embedding", 7, 4, sparse=True).on(INDICES, peer=False),  # PyTorch's gradient is no array
    # PyTorch divides the gradient of the largest index by another's frequency.
    layer("EmbeddingBag", 7, 4, mode="sum", scale_grad_by_freq=True).on(INDICES, peer=False),
    layer("EmbeddingBag", 7, 4, padding_idx=2).on(INDICES),
    layer("EmbeddingBag", 7, 4, mode="max", include_last_offset=True).on(
        INDICES.ravel(), np.array([0, 2, 6]), apart=False
    ),
    layer("EmbeddingBag", 7, 4, max_norm=1.0, norm_type=1.0, sparse=True).on(INDICES, peer=False),
    # PyTorch scales the table itself.
    layer("Embedding", 7, 4, max_norm=1.0, norm_type=1.0).on(INDICES, peer=False),
    layer("Dropout", p=0.25).on((4, 6), random=True),
    layer("Dropout1d", p=0.25).on((4, 3, 5), random=True),
    layer("Dropout2d", p=0.25).on((4, 3, 2, 2), random=True),
    layer("Dropout3d", p=0.25).on((4, 3, 2, 2, 2), random=True),
    layer("DropPath", p=0.25, scale_by_keep=False).on((16, 3), random=True, peer=False),
    layer("AlphaDropout", p=0.25).on((4, 6), random=True),
    layer("FeatureAlphaDropout", p=0.25).on((4, 3, 5), random=True),
    layer("RReLU", lower=0.25, upper=0.75).on((4, 6), random=True),
    layer("GaussianNoise", std=0.25).on((4, 3), random=True, peer=False),
    layer("Normalize", np.array([1.0, 2.0]), np.array([0.5, 4.0]), offset=np.array([1.0, 0.0]), limit=3.0).on(
        (4, 2), peer=False
    ),
    layer("Normalize", np.array([1.0, 2.0]), matrix=np.eye(2) + 1).on((4, 2), peer=False),
    layer("CosineSimilarity", dim=2, eps=1e-4).on((4, 3, 5), (4, 3, 5)),
    layer("PairwiseDistance", p=1.0, eps=1e-3, keepdim=True).on((4, 5), (4, 5)),
    layer("Sequential", lambda nn: (nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Tanh())).on((4, 5)),
    layer("ModuleList", lambda nn: ([nn.Linear(2, 3), nn.PReLU()],)),
    layer("Bilinear", 3, 4, 5, bias=False).on((4, 3), (4, 4)),
    layer("Bilinear", 3, 4, 5).on((4, 2, 3), (4, 2, 4)),
    layer("BatchEnsembleLinear", 3, 5, 2, scaling_init="normal").on((4, 2, 3), peer=False),
    layer("BatchEnsembleLinear", 3, 5, 2, bias=False).on((4, 2, 3), peer=False),
    layer("EnsembleView", 3).on((4, 2), peer=False),
    layer("ParameterList", [np.ones((2, 3), "float32"), np.zeros(4, "float32")]),
    layer("ParameterDict", {"a": np.ones((2, 3), "float32")}),
    layer("ModuleDict", lambda nn: ({"a": nn.Linear(2, 3), "b": nn.BatchNorm1d(3)},)),
]  # fmt: skip

BORDERS = ("Zero", "Reflection", "Replication", "Circular")

IMAGES = [
    layer("Conv2d", 3, 5, 3).on((2, 3, 6, 5)),
    layer("Conv2d", 4, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2, bias=False).on(
        (2, 4, 6, 5)
    ),
    layer("MaxPool2d", 3, stride=2, padding=1, ceil_mode=True).on((2, 3, 8, 7)),
    layer("MaxPool2d", 2, dilation=2, return_indices=True).on((2, 3, 8, 7)),
    layer("AvgPool2d", 3, stride=2, padding=1, ceil_mode=True, count_include_pad=False).on((2, 3, 8, 7)),
    layer("AvgPool2d", 2, divisor_override=3).on((2, 3, 8, 7)),
    layer("AdaptiveAvgPool2d", (3, 4)).on((2, 3, 7, 9)),
    layer("AdaptiveMaxPool2d", (3, 4), return_indices=True).on((2, 3, 7, 9)),
    layer("Conv2d", 3, 5, 3, padding="same", padding_mode="circular").on((2, 3, 6, 5)),
    layer("ConvTranspose2d", 4, 6, (3, 2), stride=(3, 1), padding=(1, 0), output_padding=(2, 0)).on(
        (2, 4, 3, 5)
    ),
    layer("ConvTranspose2d", 4, 6, 3, groups=2, bias=False, dilation=2).on((2, 4, 3, 5)),
    layer("LPPool2d", 2.0, 2, stride=1, ceil_mode=True).on((2, 3, 7, 9)),
    layer("MaxUnpool2d", 2, stride=3, padding=1).on((1, 1, 2, 2), np.array([[[[0, 2], [6, 8]]]])),
    layer("Upsample", scale_factor=1.5, mode="bilinear", align_corners=True, recompute_scale_factor=True).on(
        (2, 3, 4, 5)
    ),
    layer("Upsample", size=(7, 3)).on((2, 3, 4, 5)),
    layer("UpsamplingNearest2d", size=(7, 3)).on((2, 3, 4, 5)),
    layer("UpsamplingNearest2d", scale_factor=2).on((2, 3, 4, 5)),
    layer("UpsamplingBilinear2d", size=(7, 3)).on((2, 3, 4, 5)),
    layer("UpsamplingBilinear2d", scale_factor=2).on((2, 3, 4, 5)),
    layer("PixelShuffle", 2).on((2, 8, 3, 2)),
    layer("PixelUnshuffle", 2).on((2, 3, 4, 6)),
    layer("ChannelShuffle", 3).on((2, 6, 3, 2)),
    layer("Unfold", (2, 3), dilation=2, padding=1, stride=(1, 2)).on((2, 3, 6, 7)),
    layer("Fold", (6, 7), (2, 3), dilation=2, padding=1, stride=(1, 2)).on((2, 18, 18)),
    layer("LocalResponseNorm", 3, alpha=0.5, beta=0.5, k=2.0).on((2, 6, 3, 2)),
    layer("Softmax2d").on((2, 6, 3, 2)),
    layer("ConstantPad2d", (1, 2, 0, 3), 0.5).on((2, 3, 4, 5)),
    *[layer(f"{name}Pad2d", (1, 2, 0, 3)).on((2, 3, 4, 5)) for name in BORDERS],
]

SEQUENCES = [
    layer("Conv1d", 3, 5, 3).on((2, 3, 8)),
    layer(
        "Conv1d", 4, 6, 3, stride=2, padding=1, dilation=2, groups=2, bias=False, padding_mode="reflect"
    ).on((2, 4, 9)),
    layer("Conv1d", 3, 5, 3, padding="causal", dilation=2).on((2, 3, 8), peer=False),
    layer("ConvTranspose1d", 4, 6, 3, stride=3, padding=1, output_padding=2).on((2, 4, 5)),
    layer("ConvTranspose1d", 4, 6, 3, groups=2, bias=False, dilation=2).on((2, 4, 5)),
    layer("MaxPool1d", 3, stride=2, padding=1, dilation=2, return_indices=True, ceil_mode=True).on(
        (2, 3, 10)
    ),
    layer("AvgPool1d", 3, stride=2, padding=1, ceil_mode=True, count_include_pad=False).on((2, 3, 10)),
    layer("AdaptiveAvgPool1d", 3).on((2, 3, 7)),
    layer("AdaptiveMaxPool1d", 3, return_indices=True).on((2, 3, 7)),
    layer("LPPool1d", 2.0, 2, stride=1, ceil_mode=True).on((2, 3, 7)),
    layer("MaxUnpool1d", 2, stride=3, padding=1).on((1, 2, 2), np.array([[[0, 2], [1, 2]]])),
    layer("InstanceNorm1d", 5, eps=1e-3, momentum=0.25, track_running_stats=True).on((4, 5, 3)),
    layer("InstanceNorm1d", 5, affine=True, bias=False).on((4, 5, 3)),
    layer("ConstantPad1d", (1, 2), 0.5).on((2, 3, 4)),
    *[layer(f"{name}Pad1d", (1, 2)).on((2, 3, 4)) for name in BORDERS],
]

VOLUMES = [
    layer("Conv3d", 3, 5, 2).on((2, 3, 3, 4, 5)),
    layer(
        "Conv3d",
        4,
        6,
        (2, 3, 2),
        stride=(2, 1, 1),
        padding=(1, 0, 1),
        dilation=(2, 1, 1),
        groups=2,
        bias=False,
        padding_mode="replicate",
    ).on((2, 4, 5, 4, 3)),
    layer(
        "ConvTranspose3d", 4, 6, (2, 3, 2), stride=(3, 1, 2), padding=(1, 1, 0), output_padding=(2, 0, 1)
    ).on((2, 4, 2, 3, 2)),
    layer("ConvTranspose3d", 4, 6, 2, groups=2, bias=False, dilation=2).on((2, 4, 2, 3, 2)),
    layer("MaxPool3d", 2, stride=1, padding=1, dilation=2, return_indices=True, ceil_mode=True).on(
        (2, 3, 4, 5, 3)
    ),
    layer("AvgPool3d", 2, stride=3, padding=1, ceil_mode=True, count_include_pad=False).on((2, 3, 4, 5, 3)),
    layer("AvgPool3d", 2, divisor_override=3).on((2, 3, 4, 5, 3)),
    layer("AdaptiveAvgPool3d", (3, 2, None)).on((2, 3, 4, 5, 3)),
    layer("AdaptiveMaxPool3d", (3, 2, None), return_indices=True).on((2, 3, 4, 5, 3)),
    layer("LPPool3d", 2.0, 2, stride=1, ceil_mode=True).on((2, 3, 4, 5, 3)),
    layer("MaxUnpool3d", (1, 2, 2), stride=(1, 3, 3), padding=(0, 1, 1)).on(
        (1, 1, 1, 2, 2), np.array([[[[[0, 2], [6, 8]]]]])
    ),
    layer("BatchNorm3d", 5, eps=1e-3, momentum=0.25, affine=False).on((4, 5, 2, 3, 2)),
    layer("BatchNorm3d", 5, track_running_stats=False, bias=False).on((4, 5, 2, 3, 2), apart=False),
    layer("InstanceNorm3d", 5, eps=1e-3, momentum=0.25, track_running_stats=True).on((4, 5, 2, 3, 2)),
    layer("InstanceNorm3d", 5, affine=True, bias=False).on((4, 5, 2, 3, 2)),
    layer("ConstantPad3d", (1, 2, 0, 3, 1, 0), 0.5).on((2, 3, 4, 5, 3)),
    *[layer(f"{name}Pad3d", (1, 2, 0, 3, 1, 0)).on((2, 3, 4, 5, 3)) for name in BORDERS],
]

# Before their first call; what becomes of them is tested in test_lazy.py.
LAZY = [
    layer("LazyLinear", 5, False),
    *[layer(f"LazyConv{n}d", 5, 3, 2) for n in (1, 2, 3)],
    *[layer(f"LazyConvTranspose{n}d", 5, 3, 2) for n in (1, 2, 3)],
    *[layer(f"LazyBatchNorm{n}d", 1e-3) for n in (1, 2, 3)],
    *[layer(f"LazyInstanceNorm{n}d", 1e-3) for n in (1, 2, 3)],
]

NORMS = [
    layer("BatchNorm1d", 5).on((4, 5)),
    layer("BatchNorm1d", 5, eps=1e-3, momentum=0.25, affine=False).on((4, 5, 3)),
    layer("BatchNorm1d", 5, track_running_stats=False, bias=False).on((4, 5, 3), apart=False),
    layer("BatchNorm1d", 5).on((4, 5, 3), np.arange(12).reshape(4, 3) < 7, peer=False),
    layer("BatchNorm2d", 5).on((4, 5, 2, 3)),
    layer("BatchNorm2d", 5, eps=1e-3, momentum=None, affine=False).on((4, 5, 2, 3)),
    layer("BatchNorm2d", 5, track_running_stats=False, bias=False).on((4, 5, 2, 3), apart=False),
    layer("InstanceNorm2d", 5, eps=1e-3, momentum=0.25, track_running_stats=True).on((4, 5, 2, 3)),
    layer("InstanceNorm2d", 5, affine=True, bias=False).on((4, 5, 2, 3)),
    layer("GroupNorm", 2, 6, eps=1e-3, bias=False).on((4, 6, 3)),
    layer("GroupNorm", 3, 6, affine=False).on((4, 6, 3)),
    layer("LayerNorm", (3, 4), eps=1e-3, bias=False).on((4, 3, 4)),
    layer("LayerNorm", 4, elementwise_affine=False).on((4, 3, 4)),
    layer("RMSNorm", (3, 4), eps=1e-3).on((4, 3, 4)),
    layer("RMSNorm", 4, elementwise_affine=False).on((4, 3, 4)),
]  # fmt: skip

RECURRENT = [
    layer("RNN", 3, 4, num_layers=2, nonlinearity="relu", bidirectional=True).on((5, 2, 3), axes=1, out=1),
    layer("RNN", 3, 4, bias=False, batch_first=True).on((2, 5, 3), (1, 2, 4), axes=(0, 1), out=(0, 1)),
    layer("RNN", 3, 4, num_layers=2, dropout=0.5).on((5, 2, 3), axes=1, out=1, random=True),
    layer("GRU", 3, 4, num_layers=2, bias=False).on((5, 2, 3), axes=1, out=1),
    layer("GRU", 3, 4, batch_first=True, bidirectional=True).on((2, 5, 3), out=(0, 1)),
    layer("GRU", 3, 4, num_layers=2, dropout=0.5).on((5, 2, 3), axes=1, out=1, random=True),
    layer("LSTM", 3, 4, num_layers=2, proj_size=2).on((5, 2, 3), axes=1, out=1),
    layer("LSTM", 3, 4, bias=False, batch_first=True, bidirectional=True).on(
        (2, 5, 3), [(2, 2, 4), (2, 2, 4)], axes=(0, 1, 1), out=(0, 1, 1)
    ),
    layer("LSTM", 3, 4, num_layers=2, dropout=0.5).on((5, 2, 3), axes=1, out=1, random=True),
    layer("RNNCell", 3, 4, bias=False, nonlinearity="relu").on((4, 3), (4, 4)),
    layer("GRUCell", 3, 4, bias=False).on((4, 3), (4, 4)),
    layer("LSTMCell", 3, 4, bias=False).on((4, 3), [(4, 4), (4, 4)]),
]

ATTENTION = [
    layer("MultiheadAttention", 8, 2, 0.5, False, True, True, 6, 4).on(
        (5, 3, 8), (7, 3, 6), (7, 3, 4), axes=1, out=(1, 0), random=True
    ),
    layer("MultiheadAttention", 8, 2, batch_first=True).on((3, 5, 8), (3, 7, 8), (3, 7, 8)),
    layer("TransformerEncoderLayer", 8, 2, 12, 0.5, "gelu", 1e-3, False, True, False).on(
        (5, 3, 8), axes=1, out=1, random=True
    ),
    layer("TransformerDecoderLayer", 8, 2, 12, 0.5, "gelu", 1e-3, True, True, False).on(
        (3, 5, 8), (3, 7, 8), random=True
    ),
    layer(
        "TransformerEncoder",
        lambda nn: (nn.TransformerEncoderLayer(8, 2, 12, 0.0), 2, nn.LayerNorm(8), False, False),
    ).on((5, 3, 8), axes=1, out=1),
    layer(
        "TransformerDecoder", lambda nn: (nn.TransformerDecoderLayer(8, 2, 12, 0.0), 2, nn.LayerNorm(8))
    ).on((5, 3, 8), (7, 3, 8), axes=1, out=1),
    layer("Transformer", 8, 2, 1, 2, 12, 0.5, "gelu", None, None, 1e-3, True, True, False).on(
        (3, 7, 8), (3, 5, 8), random=True
    ),
    layer("RoPE", 4, traditional=True, base=100.0).on((3, 5, 6), peer=False),
    layer("SinusoidalPositionalEncoding", 6, dropout=0.5, base=100.0).on((3, 5, 6), peer=False, random=True),
    layer("KeyValueCache", 2, 3, 5, 4),  # a call changes what it keeps
]

LOSSES = [
    layer("BCELoss", weight=SHARES[0], reduction="sum").on(SHARES * 0.5 + 0.25, SHARES),
    layer("BCEWithLogitsLoss", weight=SHARES[0], pos_weight=SHARES[2], reduction="sum").on((4, 3), SHARES),
    # PyTorch's gradient is that of what stands before a log_softmax, tests/python/ops/test_loss_margin.py.
    layer("CTCLoss", blank=2, reduction="sum", zero_infinity=True).on(
        LOG_PROBABILITIES,
        *(np.array([[1, 0], [0, 0]]), np.array([4, 4]), np.array([2, 1])),
        axes=(1, 0, 0, 0),
        peer=False,
    ),
    layer("CosineEmbeddingLoss", margin=0.25, reduction="sum").on((4, 5), (4, 5), SIGNS),
    layer("CrossEntropyLoss").on((4, 5), LABELS),
    layer("CrossEntropyLoss", weight=CLASS_WEIGHTS, ignore_index=0, reduction="sum", label_smoothing=0.25).on(
        (4, 5), LABELS
    ),
    layer("GaussianNLLLoss", full=True, eps=0.25, reduction="sum").on((4, 3), (4, 3), SHARES),
    layer("HingeEmbeddingLoss", margin=0.5, reduction="sum").on((4,), SIGNS),
    layer("HuberLoss", reduction="sum", delta=0.5).on((4, 3), SHARES),
    layer("KLDivLoss", reduction="batchmean").on((4, 3), SHARES + 0.25),
    layer("KLDivLoss", log_target=True).on((4, 3), (4, 3)),
    layer("L1Loss", reduction="sum").on((4, 3), SHARES),
    layer("MSELoss", reduction="sum").on((4, 3), SHARES),
    layer("MarginRankingLoss", margin=0.25, reduction="sum").on((4,), (4,), SIGNS),
    layer("MultiLabelMarginLoss", reduction="sum").on((4, 5), SETS),
    layer("MultiLabelSoftMarginLoss", weight=CLASS_WEIGHTS, reduction="sum").on((4, 5), BITS),
    layer("MultiMarginLoss", p=2, margin=0.5, weight=CLASS_WEIGHTS, reduction="sum").on((4, 5), LABELS),
    layer("NLLLoss", weight=CLASS_WEIGHTS, ignore_index=0, reduction="sum").on((4, 5), LABELS),
    layer("PoissonNLLLoss", log_input=False, full=True, eps=0.25, reduction="sum").on(SHARES, COUNTS),
    layer("QuantileLoss", q=[0.25, 0.5, 0.875], reduction="sum").on((4, 3), (4, 3), peer=False),
    layer("NegativeSamplingLoss", 5, 9, 4, sparse=True, subtract_log_q=True).on(
        (4, 5), LABELS, peer=False, random=True
    ),
    layer("NegativeSamplingLoss", 5, 9, 4, bias=False, remove_accidental_hits=True, reduction="sum").on(
        (4, 5), LABELS, peer=False, random=True
    ),
    layer("SampledSoftmaxLoss", 5, 9, 4, sparse=True, reduction="sum").on(
        (4, 5), LABELS, peer=False, random=True
    ),
    layer("SampledSoftmaxLoss", 5, 9, 4, bias=False, remove_accidental_hits=False).on(
        (4, 5), LABELS, peer=False, random=True
    ),
    layer("SigmoidFocalLoss", alpha=0.5, gamma=1.0, reduction="sum").on((4, 3), SHARES, peer=False),
    layer("SmoothL1Loss", reduction="sum", beta=0.5).on((4, 3), SHARES),
    layer("SoftMarginLoss", reduction="sum").on((4,), SIGNS),
    layer("TripletMarginLoss", margin=0.5, p=1.0, eps=1e-3, swap=True, reduction="sum").on(*[(4, 5)] * 3),
    layer(
        "TripletMarginWithDistanceLoss",
        distance_function=squared_distance,
        margin=0.5,
        swap=True,
        reduction="sum",
    ).on(*[(4, 5)] * 3),
]

LAYERS = [*ACTIVATIONS, *MAPS, *IMAGES, *SEQUENCES, *VOLUMES, *LAZY, *NORMS, *RECURRENT, *ATTENTION, *LOSSES]

# Names of `nn` that are no layers.
OTHER_NAMES = {
    "Buffer",
    "Module",
    "Parameter",
    "constraints",
    "freeze",
    "functional",
    "init",
    "unfreeze",
    "utils",
}
