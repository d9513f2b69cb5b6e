"""Data sets, file readers, splits and sources of mini-batches: arrays with examples along the first axis."""

from . import augment, idx, npz
from ._batches import Batches
from ._csv import MISSING, read_csv
from ._digits import digits
from ._fashion_mnist import FASHION_MNIST_CLASSES, fashion_mnist
from ._image_folder import ImageFolder, image_folder
from ._member_batches import MemberBatches
from ._npy import open_npy
from ._prefetch import Prefetch
from ._sequences import pad_sequences
from ._source import Map, Source, Stream
from ._split import TrainTest, k_fold, split_indices, train_test_split
from ._table import Table

__all__ = [
    "FASHION_MNIST_CLASSES",
    "MISSING",
    "Batches",
    "ImageFolder",
    "Map",
    "MemberBatches",
    "Prefetch",
    "Source",
    "Stream",
    "Table",
    "TrainTest",
    "augment",
    "digits",
    "fashion_mnist",
    "idx",
    "image_folder",
    "k_fold",
    "npz",
    "open_npy",
    "pad_sequences",
    "read_csv",
    "split_indices",
    "train_test_split",
]
