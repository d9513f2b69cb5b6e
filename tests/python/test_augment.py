"""Augmentation against a reference in NumPy, for any number of workers, and from inside an epoch."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn, optim
from ravine._splitmix import number_at, numbers_at
from ravine.data import Batches, augment

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (37, 3, 9, 7), dtype=np.uint8)
GRAYS = RNG.integers(0, 256, (37, 1, 8, 8), dtype=np.uint8)
LABELS = np.arange(37) % 5


def uniform(seed: int, n: int) -> np.ndarray:
    return (numbers_at(seed, np.arange(n)) >> np.uint64(11)).astype(np.float64) * 2.0**-53


# --- the reference: one image [C, H, W] in float64, the numbers u of its stream


def flip(change: augment.Flip, x: np.ndarray, u: np.ndarray) -> np.ndarray:
    x = x[:, :, ::-1] if u[0] < change.p else x
    return x[:, ::-1] if u[1] < change.vertical else x


def crop(change: augment.Crop, x: np.ndarray, u: np.ndarray) -> np.ndarray:
    rows, columns = change.size or x.shape[1:]
    (top, left), widths = change.padding, [(0, 0), *((p, p) for p in change.padding)]
    options = {"constant_values": change.fill} if change.border == "constant" else {}
    padded = np.pad(x, widths, mode=change.border, **options)
    y = int(u[0] * (x.shape[1] + 2 * top - rows + 1))
    z = int(u[1] * (x.shape[2] + 2 * left - columns + 1))
    return padded[:, y : y + rows, z : z + columns]


def affine(change: augment.Affine, x: np.ndarray, u: np.ndarray) -> np.ndarray:
    height, width = x.shape[1:]
    angle, shear = (np.deg2rad((2 * u[i] - 1) * most) for i, most in ((0, change.degrees), (4, change.shear)))
    shift = np.array(
        [(2 * u[1] - 1) * change.translate[0] * width, (2 * u[2] - 1) * change.translate[1] * height]
    )
    scale = change.scale[0] + u[3] * (change.scale[1] - change.scale[0])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    inverse = np.linalg.inv(scale * turn @ [[1, -np.tan(shear)], [0, 1]])
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    padded = np.pad(x, [(0, 0), (2, 2), (2, 2)], constant_values=change.fill)
    result = np.full_like(x, change.fill)
    for i in range(height):
        for j in range(width):
            sx, sy = inverse @ (np.array([j, i]) - middle - shift) + middle
            left, top = int(np.floor(sx)), int(np.floor(sy))
            if -1 <= left < width and -1 <= top < height:
                p = padded[:, top + 2 : top + 4, left + 2 : left + 4]
                fx, fy = sx - left, sy - top
                result[:, i, j] = (p[:, 0, 0] * (1 - fx) + p[:, 0, 1] * fx) * (1 - fy) + (
                    p[:, 1, 0] * (1 - fx) + p[:, 1, 1] * fx
                ) * fy
    return result


def cutout(change: augment.Cutout, x: np.ndarray, u: np.ndarray) -> np.ndarray:
    x = x.copy()
    if u[0] < change.p:
        top, left = (int(u[i + 1] * x.shape[i + 1]) - change.size[i] // 2 for i in (0, 1))
        x[:, max(top, 0) : top + change.size[0], max(left, 0) : left + change.size[1]] = change.fill
    return x


def gray(x: np.ndarray) -> np.ndarray:
    return np.tensordot([0.2989, 0.587, 0.114], x, 1) if len(x) == 3 else x.mean(0)


def jitter(change: augment.ColorJitter, x: np.ndarray, u: np.ndarray) -> np.ndarray:
    high = change.high or 255.0

    def factor(i: int, b: float) -> float:
        return max(0.0, 1 - b) + u[i] * (1 + b - max(0.0, 1 - b))

    def blend(other: Any, f: float) -> np.ndarray:
        return np.clip(f * x + (1 - f) * other, 0, high)

    if change.brightness:
        x = blend(0.0, factor(0, change.brightness))
    if change.contrast:
        x = blend(gray(x).mean(), factor(1, change.contrast))
    if change.saturation:
        x = blend(gray(x), factor(2, change.saturation))
    if change.hue:
        import colorsys

        turn = (2 * u[3] - 1) * change.hue
        pixels = []
        for r, g, b in (x / high).reshape(3, -1).T:
            h, s, v = colorsys.rgb_to_hsv(r, g, b)
            pixels.append(colorsys.hsv_to_rgb((h + turn) % 1.0, s, v))
        x = (np.array(pixels).T * high).reshape(x.shape)
    return x


def noise(change: augment.Noise, x: np.ndarray, u: np.ndarray) -> np.ndarray:
    radius, angle = change.std * np.sqrt(-2 * np.log(1 - u[0::2])), 2 * np.pi * u[1::2]
    added = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(-1)
    return x + added[: x.size].reshape(x.shape)


REFERENCE: dict[type, Callable[..., np.ndarray]] = {
    augment.Flip: flip, augment.Crop: crop, augment.Affine: affine, augment.Cutout: cutout,
    augment.ColorJitter: jitter, augment.Noise: noise,
}  # fmt: skip


def reference(x: np.ndarray, changes: list[Any], seed: int, epoch: int, order: np.ndarray) -> np.ndarray:
    """All images of an epoch."""
    stream, images = number_at(seed ^ 0xA5A5_5A5A_C3C3_3C3C, epoch), []
    for place, i in enumerate(order):
        own, image = number_at(stream, place), x[i].astype(np.float64)
        for k, change in enumerate(changes):
            draws = uniform(number_at(own, k), 2 * image.size + 8)
            image = REFERENCE[type(change)](change, image, draws)
        images.append(image)
    result = np.stack(images)
    return np.clip(np.floor(result + 0.5), 0, 255).astype(np.uint8) if x.dtype == np.uint8 else result


CASES: dict[str, tuple[list[Any], np.ndarray]] = {
    "flip": ([augment.Flip()], GRAYS),
    "flip_both": ([augment.Flip(0.3, vertical=0.6)], COLOURS),
    "crop": ([augment.Crop(padding=2)], GRAYS),
    "crop_smaller": ([augment.Crop(size=(5, 3))], COLOURS),
    "crop_larger": ([augment.Crop(padding=(4, 3), size=(11, 12), fill=9)], COLOURS),
    "crop_edge": ([augment.Crop(padding=3, border="edge")], COLOURS),
    "crop_reflect": ([augment.Crop(padding=3, border="reflect"), augment.Flip()], COLOURS),
    "crop_twice": ([augment.Crop(padding=2, fill=1), augment.Flip(), augment.Crop(padding=1, fill=7)], GRAYS),
    "affine": ([augment.Affine(30, (0.2, 0.1), (0.7, 1.3), 20, fill=3.0)], COLOURS),
    "cutout": ([augment.Cutout((4, 3), p=0.8, fill=11)], COLOURS),
    "jitter": ([augment.ColorJitter(0.5, 0.4, 0.3, 0.2)], COLOURS),
    "jitter_gray": ([augment.ColorJitter(brightness=1.5, contrast=2.0)], GRAYS),
    "noise": ([augment.Noise(20.0)], COLOURS),
    "all": (
        [
            *(augment.Crop(padding=2), augment.Flip(), augment.Affine(degrees=15), augment.Cutout(3)),
            *(augment.Crop(padding=1), augment.ColorJitter(0.2, 0.2), augment.Noise(4.0), augment.Flip(1.0)),
        ],
        COLOURS,
    ),
}


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_images_are_those_of_the_reference(name: str, dtype: str) -> None:
    changes, images = CASES[name]
    images = images.astype(dtype)
    batches = Batches(images, LABELS, batch_size=16, augment=changes, seed=11)
    batches.epoch = 3
    drawn = list(batches)
    actual = np.concatenate([x for x, _ in drawn])
    np.testing.assert_array_equal(np.concatenate([y for _, y in drawn]), LABELS)
    changes = [augment.ColorJitter(**(vars(c) | {"high": c.high or (255.0 if dtype == "uint8" else 1.0)}))
               if isinstance(c, augment.ColorJitter) else c for c in changes]  # fmt: skip
    expected = reference(images, changes, 11, 3, np.arange(37))
    assert actual.dtype == dtype and actual.shape == expected.shape
    if dtype == "uint8":  # float32 may round to the other side
        difference = np.abs(actual.astype(int) - expected)
        assert difference.max() <= 1 and (difference > 0).mean() < 0.01
    else:
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-10 if dtype == "float64" else 2e-3)
    assert (actual.shape != images.shape) or (actual != images).any()


@pytest.mark.parametrize(
    "changes", [CASES["all"][0], [augment.Flip(), augment.Mixup()], [augment.CutMix()], []]
)
def test_batches_are_the_same_for_any_number_of_workers(changes: list[Any]) -> None:
    def drawn(workers: int) -> list[bytes]:
        source = Batches(
            COLOURS, LABELS, batch_size=4, shuffle=True, augment=changes, workers=workers, seed=5
        )
        return [piece.tobytes() for _ in range(2) for batch in source for piece in batch]

    expected = drawn(0)
    assert len(set(expected)) > 20
    for workers in (1, 3):
        assert drawn(workers) == expected


def test_an_epoch_that_is_left_goes_on_with_the_same_batches() -> None:
    def source() -> Batches:
        return Batches(
            COLOURS,
            LABELS,
            batch_size=4,
            shuffle=True,
            augment=[augment.Noise(3), augment.CutMix()],
            workers=2,
        )

    whole = [piece.tobytes() for _ in range(2) for batch in source() for piece in batch][:30]
    first, second = source(), source()
    begun = iter(first)
    for _ in range(3):
        next(begun)
    second.load_state_dict(first.state_dict())
    assert [piece.tobytes() for batch in second for piece in batch] == whole[6:20]
    begun.close()  # type: ignore[attr-defined]


def test_a_training_that_resumes_inside_an_epoch_ends_with_the_same_bits() -> None:
    def run(stop: int | None) -> dict[str, np.ndarray]:
        rv.seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 5))
        step = rv.TrainStep(model, nn.CrossEntropyLoss(), optim.SGD(lr=1e-4))

        def loop() -> rv.train.Loop:
            changes = [augment.Crop(padding=1), augment.Flip(), augment.Mixup()]
            return rv.train.Loop(
                step, Batches(GRAYS, LABELS, batch_size=4, shuffle=True, augment=changes, workers=2)
            )

        first = loop()
        if stop is not None:
            first.run(max_steps=stop)
            second = loop()
            second.load_state_dict(first.state_dict())
            second.source.load_state_dict(first.source.state_dict())
            first = second
        first.run(epochs=2)
        return model.state_dict()

    expected = run(None)
    for name, value in run(7).items():
        np.testing.assert_array_equal(value, expected[name])


def test_memory_maps_and_images_without_channels(tmp_path: Any) -> None:
    np.save(tmp_path / "x.npy", GRAYS)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    changes = [augment.Crop(padding=2), augment.Flip(), augment.Mixup()]
    expected = [x for x, _ in Batches(GRAYS, LABELS, augment=changes)]
    for images in (mapped, np.asfortranarray(GRAYS), GRAYS.repeat(2, 0)[::2]):
        for (x, _), other in zip(Batches(images, LABELS, augment=changes), expected, strict=True):
            np.testing.assert_array_equal(x, other)
    for (x, _), other in zip(Batches(GRAYS[:, 0], LABELS, augment=changes), expected, strict=True):
        np.testing.assert_array_equal(x, other[:, 0])


@pytest.mark.parametrize("targets", ["labels", "vectors"])
def test_mixup_and_cutmix_mix_images_and_targets_alike(targets: str) -> None:
    x = np.broadcast_to(np.arange(37.0)[:, None, None, None], (37, 2, 6, 8)).copy()
    y = np.arange(37) if targets == "labels" else np.eye(37)
    for change in (augment.Mixup(0.8), augment.CutMix(0.8)):
        ((images, shares),) = Batches(x, y, batch_size=37, augment=[change])
        assert shares.shape == (37, 37)
        np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-6)
        # The mean pixel is the mean of the two numbers, weighted as the targets are.
        np.testing.assert_allclose(images.mean((1, 2, 3)), shares @ np.arange(37.0), rtol=1e-6)
        if isinstance(change, augment.CutMix):
            for i, image in enumerate(images):
                assert set(np.unique(image)) <= {float(i), *np.flatnonzero(shares[i]).astype(float)}
        else:
            assert np.ptp(images.reshape(37, -1), axis=1).max() < 1e-12
        assert ((shares > 0).sum(1) == 2).mean() > 0.7


def test_workers_run_ahead_and_end_with_the_pass() -> None:
    import threading

    before = threading.active_count()
    batches = iter(Batches(GRAYS, LABELS, batch_size=2, augment=[augment.Flip()], workers=2))
    next(batches)
    assert threading.active_count() > before
    batches.close()  # type: ignore[attr-defined]
    for _ in range(100):
        if threading.active_count() == before:
            break
        time.sleep(0.01)
    assert threading.active_count() == before


class Failing(augment.Flip):
    def numbers(self, *_: Any) -> list[float]:
        return [0.0] * 9


BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: augment.Flip(2), ValueError, r"Flip: p must be a finite number in \[0, 1\], got 2"),
    (lambda: augment.Crop(padding=-1), ValueError, "Crop: padding must be at least 0, got -1"),
    (lambda: augment.Crop(padding=(1, 2, 3)), ValueError, "Crop: padding must be a number or a pair"),
    (
        lambda: augment.Crop(border="wrap"),
        ValueError,
        "border must be 'constant', 'edge', 'reflect', got 'wrap'",
    ),
    (
        lambda: augment.Affine(scale=(2, 1)),
        ValueError,
        r"Affine: scale\[1\] must be a finite number at least 2",
    ),
    (lambda: augment.Affine(scale=(0, 1)), ValueError, "Affine: scale must be above 0"),
    (lambda: augment.Affine(translate=2), ValueError, "Affine: translate must be a pair of shares, got 2"),
    (lambda: augment.Cutout(0), ValueError, "Cutout: size must be at least 1, got 0"),
    (
        lambda: augment.ColorJitter(hue=0.6),
        ValueError,
        r"ColorJitter: hue must be a finite number in \[0, 0.5\]",
    ),
    (lambda: augment.Noise(-1), ValueError, "Noise: std must be a finite number at least 0"),
    (lambda: augment.Mixup(0), ValueError, "Mixup: alpha must be above 0"),
    (lambda: Batches(GRAYS, LABELS, augment=[3]), TypeError, r"Batches: augment\[0\] must be one of"),
    (
        lambda: Batches(LABELS, augment=[augment.Flip()]),
        ValueError,
        r"needs images \[n, C, H, W\] .* \(37,\)",
    ),
    (
        lambda: Batches(GRAYS.astype("int32"), augment=[augment.Flip()]),
        TypeError,
        "images of uint8, float32 or float64, got int32",
    ),
    (
        lambda: Batches(GRAYS, augment=[augment.Crop(size=99)]),
        ValueError,
        "Crop: a window of 99x99 is larger than images of 8x8",
    ),
    (
        lambda: Batches(GRAYS, augment=[augment.Crop(padding=8, border="reflect")]),
        ValueError,
        "images larger than the padding",
    ),
    (
        lambda: Batches(GRAYS, augment=[augment.ColorJitter(hue=0.1)]),
        ValueError,
        "saturation and hue need three channels, got 1",
    ),
    (
        lambda: Batches(GRAYS, LABELS, augment=[augment.Mixup(), augment.Flip()]),
        ValueError,
        "Flip changes single images, so it must stand before Mixup",
    ),
    (lambda: Batches(GRAYS, augment=[augment.CutMix()]), ValueError, "CutMix mixes targets too"),
    (
        lambda: Batches(GRAYS, LABELS, augment=[augment.CutMix(classes=3)]),
        ValueError,
        "CutMix: labels from 0 to 4 are no 3 classes",
    ),
    (lambda: Batches(GRAYS, LABELS, workers=-1), ValueError, "Batches: workers must be at least 0, got -1"),
    (lambda: list(Batches(GRAYS, LABELS, augment=[Failing()], workers=1)), ValueError, "flip: got 9 numbers"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_arguments(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
