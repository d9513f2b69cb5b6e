"""Fashion-MNIST from its four IDX files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from . import idx
from ._split import TrainTest

__all__ = ["FASHION_MNIST_CLASSES", "fashion_mnist"]

FASHION_MNIST_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

_DEBIAN_FOLDER = "/usr/share/datasets/fashion-mnist"


def fashion_mnist(folder: str | os.PathLike[str] | None = None) -> TrainTest:
    """60,000 training and 10,000 test images of clothes, 28x28 pixels, 10 classes (`FASHION_MNIST_CLASSES`).

    Images are float32 [n, 1, 28, 28] in 0..1, labels int64 [n].
    Source: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST", arXiv:1708.07747, 2017.

    Args:
        folder: where train-images-idx3-ubyte, train-labels-idx1-ubyte and the two t10k files lie, plain or
            with .gz; None means the folder of Debian's package dataset-fashion-mnist.
            Relatives of the same form (MNIST, KMNIST) serve as well.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged, or images and labels do not fit.
    """
    where = Path(folder) if folder is not None else Path(_DEBIAN_FOLDER)
    if not where.is_dir():
        hint = (
            "" if folder is not None else "; install Debian's package dataset-fashion-mnist or name a folder"
        )
        raise FileNotFoundError(f"fashion_mnist: no folder {where}{hint}")
    x_train, y_train = _read_pair(where, "train")
    x_test, y_test = _read_pair(where, "t10k")
    return TrainTest(x_train, y_train, x_test, y_test)


def _read_pair(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    image_file = _find(folder, f"{name}-images-idx3-ubyte")
    label_file = _find(folder, f"{name}-labels-idx1-ubyte")
    images, labels = idx.read(image_file), idx.read(label_file)
    if images.ndim != 3 or images.dtype != np.uint8:
        raise ValueError(
            f"{image_file}: holds {images.dtype} {images.shape}, expected uint8 images [n, rows, columns]"
        )
    if labels.shape != (len(images),) or labels.dtype != np.uint8:
        raise ValueError(
            f"{label_file}: holds {labels.dtype} {labels.shape}, expected uint8 labels ({len(images)},)"
        )
    scaled = images[:, None].astype(np.float32)
    scaled /= np.float32(255.0)
    return scaled, labels.astype(np.int64)


def _find(folder: Path, name: str) -> Path:
    for file in (folder / f"{name}.gz", folder / name):
        if file.exists():
            return file
    raise FileNotFoundError(f"fashion_mnist: neither {name}.gz nor {name} in {folder}")
