"""Data sets, file readers, splits and mini-batches: NumPy arrays, examples along the first axis."""

from ravine.data import idx, npz
from ravine.data._batches import Batches
from ravine.data._digits import digits
from ravine.data._fashion_mnist import FASHION_MNIST_CLASSES, fashion_mnist
from ravine.data._split import TrainTest, train_test_split

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
