"""The handwritten digits of scikit-learn."""

from __future__ import annotations

import numpy as np

from ._split import TrainTest, train_test_split

__all__ = ["digits"]


def digits(*, test_size: float | int = 0.2, seed: int = 0) -> TrainTest:
    """1797 images of handwritten digits, 8x8 pixels, 10 classes; needs scikit-learn (the extra "demo").

    Images are float32 [n, 1, 8, 8] in 0..1, labels int64 [n]. The split is seeded and stratified.
    Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998.

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.

    Example:
        >>> import ravine as rv
        >>> x_train, y_train, x_test, y_test = rv.data.digits()
        >>> x_train.shape, y_test.shape
        ((1438, 1, 8, 8), (359,))
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "data.digits needs scikit-learn, which is not installed: pip install 'ravine[demo]'"
        ) from error
    pixels, labels = load_digits(return_X_y=True)
    images = (np.asarray(pixels) / 16.0).astype(np.float32).reshape(-1, 1, 8, 8)
    return train_test_split(images, np.asarray(labels, dtype=np.int64), test_size, seed=seed, stratify=True)
