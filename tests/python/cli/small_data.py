"""Small tables and folders of images for the tests of the command."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image


def write_pets(path: Path, n: int = 120, **changes: str) -> Path:
    """A table of three kinds with numbers, texts, missing values and quoted fields."""
    rng = np.random.default_rng(0)
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "kind", "weight", "age", "colour"])
        for i in range(n):
            kind = ["cat", "dog", "fish, gold"][i % 3]
            weight = "" if i % 17 == 1 else f"{[4, 20, 0.1][i % 3] + rng.normal() * 0.01:.3f}"
            writer.writerow([f"id{i}", kind, weight, rng.integers(1, 15), ["red", "black", ""][i // 3 % 3]])
    text = path.read_text()
    for old, new in changes.items():
        text = text.replace(old, new)
    path.write_text(text)
    return path


def write_images(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    for name, level in (("dark", 40), ("light", 200)):
        (folder / name).mkdir(parents=True)
        for i in range(10):
            pixels = (level + rng.integers(-20, 20, size=(8, 9, 3))).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder
