"""Data sets, file readers, splits and sources of mini-batches: arrays with examples along the first axis."""

from . import augment, idx, npz
from ._batches import Batches
from ._digits import digits
from ._fashion_mnist import FASHION_MNIST_CLASSES, fashion_mnist
from ._prefetch import Prefetch
from ._sequences import pad_sequences
from ._source import Map, Source, Stream
from ._split import TrainTest, split_indices, train_test_split

__all__ = [
    "FASHION_MNIST_CLASSES",
    "Batches",
    "Map",
    "Prefetch",
    "Source",
    "Stream",
    "TrainTest",
    "augment",
    "digits",
    "fashion_mnist",
    "idx",
    "npz",
    "pad_sequences",
    "split_indices",
    "train_test_split",
]
