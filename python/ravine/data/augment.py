"""Random changes of images while batches are assembled: `Batches(x, y, augment=[...], workers=2)`.

Every image draws from a stream of its own, a function of (seed, epoch, number of the image in the epoch): the
batches do not depend on the number of workers, and a run that resumes inside an epoch sees the same ones.

Images are [n, C, H, W], or [n, H, W] for one channel, in uint8, float32 or float64, and stay so: uint8 is
computed in float32 and rounded to the nearest number of 0..255. Changes apply in the order of the list, in
C++, without the GIL.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import _core
from .._numbers import number, positive, whole
from .._splitmix import number_at

__all__ = ["Affine", "Augmentation", "ColorJitter", "Crop", "CutMix", "Cutout", "Flip", "Mixup", "Noise"]

_STREAM = 0xA5A5_5A5A_C3C3_3C3C  # apart from the streams of the orders
_BORDERS = {"constant": 0, "edge": 1, "reflect": 2}


def _pair(owner: str, name: str, value: Any, low: int = 0) -> tuple[int, int]:
    """Rows and columns, from one number or two."""
    if isinstance(value, tuple | list):
        if len(value) != 2:
            raise ValueError(f"{owner}: {name} must be a number or a pair, got {value!r}")
        return whole(owner, f"{name}[0]", value[0], low), whole(owner, f"{name}[1]", value[1], low)
    return whole(owner, name, value, low), whole(owner, name, value, low)


def _range(owner: str, name: str, value: Any, low: float) -> tuple[float, float]:
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(f"{owner}: {name} must be a pair of numbers, got {value!r}")
    first = number(owner, f"{name}[0]", value[0], low)
    return first, number(owner, f"{name}[1]", value[1], first)


class Augmentation:
    """Base of the changes of images.

    Example:
        >>> import numpy as np, ravine as rv
        >>> from ravine.data import augment
        >>> x = np.arange(32, dtype=np.uint8).reshape(2, 1, 4, 4)
        >>> changes = [augment.Crop(padding=1), augment.Flip()]
        >>> batches = rv.data.Batches(x, np.zeros(2), batch_size=2, augment=changes, seed=0)
        >>> [(image.shape, image.dtype.name) for image, _ in batches]
        [((2, 1, 4, 4), 'uint8')]
    """

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in vars(self).items())})"


class _PerImage(Augmentation):
    """A change of each image by itself, made in C++."""

    kind = ""

    def out_shape(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """Channels, rows and columns behind it. Raises ValueError for images that it does not fit."""
        return shape

    def numbers(self, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> list[float]:
        """What the engine knows of it, for images of this shape and dtype."""
        raise NotImplementedError


class Flip(_PerImage):
    """Mirrors images left to right with probability `p`, upside down with probability `vertical`.

    Args:
        p, vertical: probabilities.

    Example:
        >>> from ravine.data import augment
        >>> augment.Flip()
        Flip(p=0.5, vertical=0.0)
    """

    kind = "flip"

    def __init__(self, p: float = 0.5, vertical: float = 0.0) -> None:
        self.p = number("Flip", "p", p, high=1.0)
        self.vertical = number("Flip", "vertical", vertical, high=1.0)

    def numbers(self, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> list[float]:
        return [self.p, self.vertical]


class Crop(_PerImage):
    """Takes a window at a random place of the image with a border around it; every place is equally likely.

    Args:
        padding: rows and columns of the border on each side, a number or a pair; 4 is usual for 32x32.
        size: of the window, a number or (rows, columns); None: that of the image.
        fill: what the border is made of, with border="constant".
        border: "constant", "edge" (the outermost pixels repeated) or "reflect" (mirrored about them).

    Example:
        >>> from ravine.data import augment
        >>> augment.Crop(padding=4)
        Crop(padding=(4, 4), size=None, fill=0.0, border='constant')
    """

    kind = "crop"

    def __init__(
        self, padding: Any = 0, size: Any = None, fill: float = 0.0, border: str = "constant"
    ) -> None:
        self.padding = _pair("Crop", "padding", padding)
        self.size = None if size is None else _pair("Crop", "size", size, 1)
        self.fill = number("Crop", "fill", fill, -np.inf)
        if border not in _BORDERS:
            raise ValueError(f"Crop: border must be {', '.join(map(repr, _BORDERS))}, got {border!r}")
        self.border = border

    def out_shape(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        rows, columns = self.size or shape[1:]
        for wanted, n, pad in ((rows, shape[1], self.padding[0]), (columns, shape[2], self.padding[1])):
            if wanted > n + 2 * pad:
                raise ValueError(
                    f"Crop: a window of {rows}x{columns} is larger than images of {shape[1]}x{shape[2]} with "
                    f"padding {self.padding}"
                )
            if self.border == "reflect" and pad >= n:
                raise ValueError(
                    f"Crop: border='reflect' needs images larger than the padding {self.padding}, got "
                    f"{shape[1]}x{shape[2]}"
                )
        return shape[0], rows, columns

    def numbers(self, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> list[float]:
        rows, columns = self.out_shape(shape)[1:]
        return [*self.padding, rows, columns, self.fill, _BORDERS[self.border]]


class Affine(_PerImage):
    """Turns, shifts, scales and shears images about their centre, with bilinear interpolation.

    Args:
        degrees: the largest turn to either side.
        translate: the largest shifts, as shares of (width, height).
        scale: the least and the largest factor of the size.
        shear: the largest angle of the sides to either side, in degrees.
        fill: what lies outside of the image.

    Example:
        >>> from ravine.data import augment
        >>> augment.Affine(degrees=10, translate=(0.1, 0.1)).scale
        (1.0, 1.0)
    """

    kind = "affine"

    def __init__(
        self,
        degrees: float = 0.0,
        translate: tuple[float, float] = (0.0, 0.0),
        scale: tuple[float, float] = (1.0, 1.0),
        shear: float = 0.0,
        fill: float = 0.0,
    ) -> None:
        self.degrees = number("Affine", "degrees", degrees, high=180.0)
        if not isinstance(translate, tuple | list) or len(translate) != 2:
            raise ValueError(f"Affine: translate must be a pair of shares, got {translate!r}")
        self.translate = tuple(
            number("Affine", f"translate[{i}]", x, high=1.0) for i, x in enumerate(translate)
        )
        self.scale = _range("Affine", "scale", scale, 0.0)
        if self.scale[0] == 0:
            raise ValueError(f"Affine: scale must be above 0, got {scale!r}")
        self.shear = number("Affine", "shear", shear, below=90.0)
        self.fill = number("Affine", "fill", fill, -np.inf)

    def numbers(self, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> list[float]:
        return [self.degrees, *self.translate, *self.scale, self.shear, self.fill]


class Cutout(_PerImage):
    """Covers a rectangle about a random pixel; what would lie outside of the image is cut off.

    Args:
        size: of the rectangle, a number or (rows, columns).
        p: probability that an image is covered.
        fill: with what.

    Source: DeVries and Taylor 2017, https://arxiv.org/abs/1708.04552.

    Example:
        >>> from ravine.data import augment
        >>> augment.Cutout(8)
        Cutout(size=(8, 8), p=1.0, fill=0.0)
    """

    kind = "cutout"

    def __init__(self, size: Any, p: float = 1.0, fill: float = 0.0) -> None:
        self.size = _pair("Cutout", "size", size, 1)
        self.p = number("Cutout", "p", p, high=1.0)
        self.fill = number("Cutout", "fill", fill, -np.inf)

    def numbers(self, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> list[float]:
        return [*self.size, self.p, self.fill]


class ColorJitter(_PerImage):
    """Changes brightness, contrast, saturation and hue, in this order, as torchvision's.

    A factor is uniform in [max(0, 1 - b), 1 + b]: brightness `f · x`, contrast `f · x + (1 - f) · mean gray`,
    saturation `f · x + (1 - f) · gray`. The hue turns by a uniform share of the circle in [-hue, hue]. After
    each, values are bounded to [0, high]. Saturation and hue need three channels.

    Args:
        brightness, contrast, saturation: at least 0.
        hue: in [0, 0.5].
        high: of white; None: 255 for uint8 and 1 for floating images.

    Example:
        >>> from ravine.data import augment
        >>> augment.ColorJitter(brightness=0.4, hue=0.1).hue
        0.1
    """

    kind = "jitter"

    def __init__(
        self,
        brightness: float = 0.0,
        contrast: float = 0.0,
        saturation: float = 0.0,
        hue: float = 0.0,
        high: float | None = None,
    ) -> None:
        self.brightness = number("ColorJitter", "brightness", brightness)
        self.contrast = number("ColorJitter", "contrast", contrast)
        self.saturation = number("ColorJitter", "saturation", saturation)
        self.hue = number("ColorJitter", "hue", hue, high=0.5)
        self.high = None if high is None else positive("ColorJitter", "high", high)

    def out_shape(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        if shape[0] != 3 and (self.saturation or self.hue):
            raise ValueError(f"ColorJitter: saturation and hue need three channels, got {shape[0]}")
        return shape

    def numbers(self, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> list[float]:
        high = self.high if self.high is not None else 255.0 if dtype == np.uint8 else 1.0
        return [self.brightness, self.contrast, self.saturation, self.hue, high]


class Noise(_PerImage):
    """Adds normal numbers of mean 0 to every pixel.

    Args:
        std: standard deviation, in units of the pixels.

    Example:
        >>> from ravine.data import augment
        >>> augment.Noise(8.0)
        Noise(std=8.0)
    """

    kind = "noise"

    def __init__(self, std: float) -> None:
        self.std = number("Noise", "std", std)

    def numbers(self, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> list[float]:
        return [self.std]


class _PerBatch(Augmentation):
    """A change that mixes each image, and its target, with another of the batch."""

    def __init__(self, alpha: float, classes: int | None) -> None:
        owner = type(self).__name__
        self.alpha = positive(owner, "alpha", alpha)
        self.classes = None if classes is None else whole(owner, "classes", classes, 2)

    def boxes(
        self, shares: np.ndarray, rows: int, columns: int, rng: np.random.Generator
    ) -> np.ndarray | None:
        """What is pasted of the partners, [n, 4]; None for all in shares."""
        return None

    def apply(
        self, images: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The mixed images, their partners, and the share of each that is its own."""
        n = len(images)
        partners, shares = rng.permutation(n), rng.beta(self.alpha, self.alpha, n)
        rows, columns = images.shape[2:]
        boxes = self.boxes(shares, rows, columns, rng)
        if boxes is not None:
            pasted = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
            shares = 1 - pasted / (rows * columns)
        return _core.mix(images, partners, shares, boxes), partners, shares


class Mixup(_PerBatch):
    """Mixes each image, and its target, with another of its batch: `s · x + (1 - s) · x'`.

    The share s of each image is drawn from Beta(alpha, alpha). Integer labels become rows of shares
    [n, classes], for losses that take probabilities, such as `nn.CrossEntropyLoss`; floating targets are
    mixed as they are.

    Args:
        alpha: above 0; 0.2 is usual.
        classes: of integer labels; None: the largest label of all examples and one.

    Source: Zhang et al. 2018, https://arxiv.org/abs/1710.09412.

    Example:
        >>> from ravine.data import augment
        >>> augment.Mixup(0.4, classes=10)
        Mixup(alpha=0.4, classes=10)
    """

    def __init__(self, alpha: float = 0.2, classes: int | None = None) -> None:
        super().__init__(alpha, classes)


class CutMix(_PerBatch):
    """Pastes a rectangle of another image of the batch into each image, and mixes the targets by its area.

    The area is a share 1 - s of the image with s from Beta(alpha, alpha), its centre any pixel; what would
    lie outside is cut off, and counts in the targets as it is. Targets are as of `Mixup`.

    Args:
        alpha: above 0.
        classes: as of `Mixup`.

    Source: Yun et al. 2019, https://arxiv.org/abs/1905.04899.

    Example:
        >>> from ravine.data import augment
        >>> augment.CutMix()
        CutMix(alpha=1.0, classes=None)
    """

    def __init__(self, alpha: float = 1.0, classes: int | None = None) -> None:
        super().__init__(alpha, classes)

    def boxes(
        self, shares: np.ndarray, rows: int, columns: int, rng: np.random.Generator
    ) -> np.ndarray | None:
        side = np.sqrt(1 - shares)
        edges = []
        for extent in (rows, columns):
            cut = (extent * side).astype(np.int64)
            centre = rng.integers(0, extent, len(shares))
            edges.append((np.clip(centre - cut // 2, 0, extent), np.clip(centre - cut // 2 + cut, 0, extent)))
        (top, bottom), (left, right) = edges
        return np.stack([top, left, bottom, right], axis=1)


class Plan:
    """Changes made ready for the images of a data set.

    Args:
        changes: in order; those of whole batches come last.
        images: [n, C, H, W] or [n, H, W].
        target: of the examples, None where there is none.

    Raises TypeError and ValueError for images and targets that do not go with the changes.
    """

    def __init__(self, changes: Sequence[Augmentation], images: Any, target: Any) -> None:
        given = [changes] if isinstance(changes, Augmentation) else list(changes)
        if not isinstance(images, np.ndarray) or images.ndim not in (3, 4) or 0 in images.shape[1:]:
            seen = f"shape {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__
            raise ValueError(f"Batches: augment needs images [n, C, H, W] or [n, H, W] as x, got {seen}")
        if images.dtype.name not in ("uint8", "float32", "float64"):
            raise TypeError(f"Batches: augment needs images of uint8, float32 or float64, got {images.dtype}")
        channels = images.shape[1] if images.ndim == 4 else 1
        self._flat = images.ndim == 3
        shape = (channels, *images.shape[-2:])
        self._changes: list[tuple[str, list[float]]] = []
        self._batch: list[_PerBatch] = []
        for i, change in enumerate(given):
            if isinstance(change, _PerBatch):
                self._batch.append(change)
            elif not isinstance(change, _PerImage):
                raise TypeError(f"Batches: augment[{i}] must be one of ravine.data.augment, got {change!r}")
            elif self._batch:
                raise ValueError(
                    f"Batches: {type(change).__name__} changes single images, so it must stand before "
                    f"{type(self._batch[0]).__name__}, which mixes them"
                )
            else:
                behind = change.out_shape(shape)
                self._changes.append((change.kind, change.numbers(shape, images.dtype)))
                shape = behind
        self._out = (shape[1], shape[2])
        self._classes = _checked_classes(self._batch, target) if self._batch else None

    def images(self, images: np.ndarray, chosen: Any, seed: int, epoch: int, first: int) -> np.ndarray:
        """The chosen images, changed; the first of them has this number in the epoch."""
        slices = isinstance(chosen, slice)
        rows = np.arange(*chosen.indices(len(images))) if slices else np.asarray(chosen, np.int64)
        if not (images.flags.c_contiguous and images.flags.aligned and images.dtype.isnative):
            images, rows = (
                np.ascontiguousarray(images[rows], images.dtype.newbyteorder("=")),
                np.arange(len(rows)),
            )
        if self._flat:
            images = images[:, None]
        stream = number_at(seed ^ _STREAM, epoch)
        result = _core.augment(images, rows, self._changes, self._out[0], self._out[1], stream, first)
        return result[:, 0] if self._flat else result

    def batch(self, pieces: tuple[Any, ...], seed: int, epoch: int, number: int) -> tuple[Any, ...]:
        """A batch whose images were changed each by itself, mixed."""
        if not self._batch:
            return pieces
        images, target, *others = pieces
        images = images[:, None] if self._flat else images
        target = self._as_shares(target)
        for k, change in enumerate(self._batch):
            rng = np.random.default_rng([seed & (1 << 64) - 1, epoch, number, k])
            images, partners, shares = change.apply(images, rng)
            own = shares.astype(target.dtype).reshape(-1, *[1] * (target.ndim - 1))
            target = own * target + (1 - own) * target[partners]
        return (images[:, 0] if self._flat else images, target, *others)

    def _as_shares(self, target: np.ndarray) -> np.ndarray:
        if self._classes is None:
            return target
        return (target[:, None] == np.arange(self._classes)).astype(np.float32)


def _checked_classes(changes: Sequence[_PerBatch], target: Any) -> int | None:
    """The number of classes of integer labels; None for targets that are mixed as they are."""
    name = type(changes[0]).__name__
    if not isinstance(target, np.ndarray):
        raise ValueError(f"Batches: {name} mixes targets too, so an array of them must be the second")
    if target.dtype.kind == "f":
        return None
    if target.ndim != 1 or target.dtype.kind not in "iu":
        raise ValueError(
            f"Batches: {name} needs integer labels [n] or floating targets, got {target.dtype} {target.shape}"
        )
    low, high = (int(target.min()), int(target.max())) if len(target) else (0, 0)
    classes = next((change.classes for change in changes if change.classes is not None), high + 1)
    if low < 0 or high >= classes:
        raise ValueError(f"Batches: {name}: labels from {low} to {high} are no {classes} classes")
    return classes
