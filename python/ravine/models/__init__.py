"""Ready-made networks, initialised and untrained."""

from ._cnn import cnn
from ._dlrm import DLRM, dlrm
from ._ft_transformer import FTTransformer, ft_transformer
from ._gpt import GPT, gpt
from ._mlp import mlp
from ._mobilenet import InvertedResidual, MobileNetV2, mobilenet_v2
from ._resnet import BasicBlock, Bottleneck, ResNet, resnet18
from ._standardize import Standardize
from ._tcn import TCN, tcn
from ._vgg import VGG, vgg
from ._wide_resnet import WideResNet, wide_resnet, wide_resnet50_2

__all__ = [
    "DLRM",
    "GPT",
    "TCN",
    "VGG",
    "BasicBlock",
    "Bottleneck",
    "FTTransformer",
    "InvertedResidual",
    "MobileNetV2",
    "ResNet",
    "Standardize",
    "WideResNet",
    "cnn",
    "dlrm",
    "ft_transformer",
    "gpt",
    "mlp",
    "mobilenet_v2",
    "resnet18",
    "tcn",
    "vgg",
    "wide_resnet",
    "wide_resnet50_2",
]
