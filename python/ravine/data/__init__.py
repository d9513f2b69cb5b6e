"""Data sets, file readers, splits and mini-batches: NumPy arrays, examples along the first axis."""

from . import idx, npz
from ._batches import Batches
from ._digits import digits
from ._fashion_mnist import FASHION_MNIST_CLASSES, fashion_mnist
from ._split import TrainTest, train_test_split

__all__ = [
    "FASHION_MNIST_CLASSES",
    "Batches",
    "TrainTest",
    "digits",
    "fashion_mnist",
    "idx",
    "npz",
    "train_test_split",
]
