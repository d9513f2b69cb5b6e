"""Layers and models: torch.nn's names, arguments, defaults, initialisation and state_dict keys."""

from typing import TYPE_CHECKING

from .. import init
from .._late import late
from .._parameter import Buffer, Parameter
from . import functional, utils
from ._activation import (
    ELU,
    GELU,
    GLU,
    SELU,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    LeakyReLU,
    LogSigmoid,
    LogSoftmax,
    Mish,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softmin,
    Softplus,
    Softsign,
    Tanh,
    Tanhshrink,
)
from ._containers import ModuleDict, ModuleList, Sequential
from ._conv import Conv2d
from ._dropout import Dropout, Dropout1d, Dropout2d, Dropout3d, DropPath, GaussianNoise
from ._embedding import Embedding
from ._freeze import freeze, unfreeze
from ._linear import Flatten, Identity, Linear, Unflatten
from ._loss import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
    SmoothL1Loss,
)
from ._module import Module
from ._norm import BatchNorm1d, BatchNorm2d, GroupNorm, InstanceNorm2d, LayerNorm
from ._pool import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d

if TYPE_CHECKING:
    from . import constraints
    from ._loss_ctc import CTCLoss
    from ._loss_margin import (
        CosineEmbeddingLoss,
        CosineSimilarity,
        GaussianNLLLoss,
        HingeEmbeddingLoss,
        MarginRankingLoss,
        MultiLabelMarginLoss,
        MultiLabelSoftMarginLoss,
        MultiMarginLoss,
        PairwiseDistance,
        PoissonNLLLoss,
        QuantileLoss,
        SigmoidFocalLoss,
        SoftMarginLoss,
        TripletMarginLoss,
        TripletMarginWithDistanceLoss,
    )
    from ._normalize import Normalize
    from ._recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell
    from ._shrink import CELU, Hardshrink, Softshrink, Threshold

_LATE = {
    "_loss_ctc": ("CTCLoss",),
    "_loss_margin": (
        "CosineEmbeddingLoss",
        "CosineSimilarity",
        "GaussianNLLLoss",
        "HingeEmbeddingLoss",
        "MarginRankingLoss",
        "MultiLabelMarginLoss",
        "MultiLabelSoftMarginLoss",
        "MultiMarginLoss",
        "PairwiseDistance",
        "PoissonNLLLoss",
        "QuantileLoss",
        "SigmoidFocalLoss",
        "SoftMarginLoss",
        "TripletMarginLoss",
        "TripletMarginWithDistanceLoss",
    ),
    "_normalize": ("Normalize",),
    "_recurrent": ("GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell"),
    "_shrink": ("CELU", "Hardshrink", "Softshrink", "Threshold"),
}

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "GRU",
    "LSTM",
    "RNN",
    "SELU",
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "Buffer",
    "CTCLoss",
    "Conv2d",
    "CosineEmbeddingLoss",
    "CosineSimilarity",
    "CrossEntropyLoss",
    "DropPath",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "Embedding",
    "Flatten",
    "GRUCell",
    "GaussianNLLLoss",
    "GaussianNoise",
    "GroupNorm",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "HingeEmbeddingLoss",
    "HuberLoss",
    "Identity",
    "InstanceNorm2d",
    "KLDivLoss",
    "L1Loss",
    "LSTMCell",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSigmoid",
    "LogSoftmax",
    "MSELoss",
    "MarginRankingLoss",
    "MaxPool2d",
    "Mish",
    "Module",
    "ModuleDict",
    "ModuleList",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "NLLLoss",
    "Normalize",
    "PReLU",
    "PairwiseDistance",
    "Parameter",
    "PoissonNLLLoss",
    "QuantileLoss",
    "RNNCell",
    "ReLU",
    "ReLU6",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SigmoidFocalLoss",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "Softmax",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
    "Unflatten",
    "constraints",
    "freeze",
    "functional",
    "init",
    "unfreeze",
    "utils",
]

__getattr__ = late(__name__, _LATE, modules=("constraints",))


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
