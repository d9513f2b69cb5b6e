"""Images in folders, one folder a class, decoded when a batch needs them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ._batches import Batches
from ._prefetch import Prefetch
from ._source import Map, Source

__all__ = ["ImageFolder", "image_folder"]

_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
_CHANNELS = {"L": 1, "RGB": 3}
_MAX_PIXELS = 1 << 26  # of one file


class ImageFolder:
    """The images of `image_folder`, in the order of their paths.

    Attributes:
        folder: as given.
        files: the paths of the images.
        labels: the number of each one's class, int64 [n]; all 0 without labels.
        classes: the names of the classes, in order; none without labels.
        shape: of an image, (channels, height, width).
    """

    def __init__(
        self,
        folder: Path,
        files: Sequence[Path],
        labels: np.ndarray,
        classes: Sequence[str],
        size: tuple[int, int] | None,
        mode: str,
    ) -> None:
        self.folder, self.files, self.labels, self.classes = folder, list(files), labels, list(classes)
        self._mode = mode
        self._resize = size is not None
        height, width = size or self._size_of_first()
        self.shape = (_CHANNELS[mode], height, width)

    def __len__(self) -> int:
        return len(self.files)

    def __repr__(self) -> str:
        return f"ImageFolder({str(self.folder)!r}: {len(self)} images {list(self.shape)} of {self.classes})"

    def read(self, rows: Any) -> np.ndarray:
        """The images of these numbers, uint8 [n, channels, height, width].

        Raises ValueError, naming the file, for one that is damaged or of another size.
        """
        rows = np.asarray(rows)
        images = np.empty((len(rows), *self.shape), np.uint8)
        for image, row in zip(images, rows, strict=True):
            image[...] = self._decoded(self.files[row])
        return images

    def batches(self, *, rows: Any = None, prefetch: int = 2, **options: Any) -> Source:
        """A source of batches (images, labels) for training, whose images are decoded when they are needed.

        Args:
            rows: the images that take part, by number; all by default.
            prefetch: batches that a thread decodes ahead of the training, 0 for none.
            options: of `data.Batches`: batch_size, shuffle, seed, drop_last, sampler.
        """
        numbers = Batches(np.arange(len(self)), self.labels, rows=rows, **options)
        source = Map(numbers, lambda rng, x, y: (self.read(x), y))
        return Prefetch(source, prefetch) if prefetch else source

    def _size_of_first(self) -> tuple[int, int]:
        image = _opened(self.files[0])
        with image:
            return image.height, image.width

    def _decoded(self, path: Path) -> np.ndarray:
        _, height, width = self.shape
        image = _opened(path)
        with image:
            if image.mode.startswith(("I", "F")):
                raise ValueError(f"{path}: an image of mode {image.mode}; 8 bits a channel are expected")
            if not self._resize and (image.height, image.width) != (height, width):
                raise ValueError(
                    f"{path}: an image of {image.height}x{image.width}, but {self.files[0]} is "
                    f"{height}x{width}; give size=(height, width)"
                )
            try:
                pixels = image.convert(self._mode)
                if self._resize and pixels.size != (width, height):
                    pixels = pixels.resize((width, height), 2)  # bilinear
                array = np.asarray(pixels)
            except (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError) as error:
                raise ValueError(f"{path}: a damaged image: {error}") from None
        return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def image_folder(
    folder: str | os.PathLike[str],
    *,
    size: tuple[int, int] | None = None,
    mode: str = "RGB",
    classes: Sequence[str] | None = None,
    labels: bool = True,
) -> ImageFolder:
    """Images in a folder with one folder for each class, as `pets/cat/1.png`; needs Pillow (extra "images").

    Only names are read now; images are decoded batch by batch. Files with other endings than those of images
    (.png, .jpg, .bmp, .gif, .tif, .webp, .ppm, .pgm) and hidden ones do not count.

    Args:
        folder: whose folders are the classes. Images may lie deeper in these.
        size: (height, width) to which all images are brought; None: all must have that of the first.
        mode: "RGB", or "L" for grey.
        classes: the classes and their order; None takes all folders in the order of their names.
        labels: False takes all images below the folder, which then has no classes.

    Raises:
        ModuleNotFoundError: Pillow is not installed.
        ValueError: naming the folder, where it has no folders of classes, one without images or one that is
            not in `classes`; naming the file, when an image is read that is damaged, too large, of another
            size, or of more than 8 bits a channel; for wrong arguments.
        OSError: where the system refuses (FileNotFoundError, NotADirectoryError, ...).

    Example:
        >>> import os, tempfile, ravine as rv
        >>> from PIL import Image
        >>> folder = tempfile.mkdtemp()
        >>> for name, grey in (("dark", 10), ("light", 200)):
        ...     os.mkdir(os.path.join(folder, name))
        ...     Image.new("L", (6, 4), grey).save(os.path.join(folder, name, "1.png"))
        >>> images = rv.data.image_folder(folder, mode="L")
        >>> images.classes, images.shape, images.read([1]).max()
        (['dark', 'light'], (1, 4, 6), np.uint8(200))
        >>> [(x.shape, y.tolist()) for x, y in images.batches(batch_size=2)]
        [((2, 1, 4, 6), [0, 1])]
    """
    if mode not in _CHANNELS:
        raise ValueError(f"image_folder: mode must be one of {', '.join(_CHANNELS)}, got {mode!r}")
    if size is not None and (len(size) != 2 or not all(isinstance(n, int) and n > 0 for n in size)):
        raise ValueError(f"image_folder: size must be (height, width), got {size!r}")
    _pillow()
    folder = Path(folder)
    if not labels:
        files = _images(folder)
        if not files:
            raise ValueError(f"{folder}: there are no images ({', '.join(_SUFFIXES)})")
        return ImageFolder(folder, files, np.zeros(len(files), np.int64), [], size, mode)
    found = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and entry.name[0] != ".")
    if not found:
        raise ValueError(f"{folder}: there are no folders in it; one for each class is expected")
    if classes is None:
        classes = found
    unknown = [name for name in found if name not in classes]
    if unknown:
        raise ValueError(f"{folder}: the folder {unknown[0]!r} is no class; known are {', '.join(classes)}")
    files, numbers = [], []
    for name in found:
        of_class = _images(folder / name)
        if not of_class:
            raise ValueError(f"{folder / name}: there are no images ({', '.join(_SUFFIXES)})")
        files += of_class
        numbers += [list(classes).index(name)] * len(of_class)
    return ImageFolder(folder, files, np.array(numbers, np.int64), classes, size, mode)


def _images(folder: Path) -> list[Path]:
    """The images below a folder, by name."""

    def refuse(error: OSError) -> None:
        raise error

    return sorted(
        Path(path, name)
        for path, _, names in os.walk(folder, onerror=refuse)
        for name in names
        if name.lower().endswith(_SUFFIXES) and not name.startswith(".")
    )


def _pillow() -> Any:
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "data.image_folder needs Pillow, which is not installed: pip install 'ravine[images]'"
        ) from error
    return Image


def _opened(path: Path) -> Any:
    """The image, of which only the header has been read."""
    pillow = _pillow()
    try:
        image = pillow.open(path)
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except (pillow.DecompressionBombError, OSError, ValueError, SyntaxError, TypeError) as error:
        raise ValueError(f"{path}: no image that Pillow reads: {error}") from None
    if image.width * image.height > _MAX_PIXELS:
        image.close()
        raise ValueError(
            f"{path}: an image of {image.height}x{image.width}, at most {_MAX_PIXELS:,} pixels are read"
        )
    return image
