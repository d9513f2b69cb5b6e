"""Every layer of the table leaves Python: for batches of other sizes it has the bits of the original."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from layers import LAYERS, Layer, leaves, regrouped

import ravine as rv
from ravine import nn

CALLED = [row for row in LAYERS if row.inputs]
# An array that Python makes for the batch at hand is part of these graphs: they serve one size.
FIXED = {"Fold", "MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d"}


def is_fixed(row: Layer) -> bool:
    return row.name in FIXED or (row.name == "MultiheadAttention" and not row.options)


# A row for each kind of layer: the others differ by numbers.
EVERY = list({row.name: row for row in CALLED if not is_fixed(row)}.values())


def of_size(row: Layer, n: int) -> tuple[Any, ...]:
    """The inputs with the first examples, over and over."""
    flat = [
        np.take(np.asarray(array), np.arange(n) % np.shape(array)[axis], axis)
        for array, axis in zip(leaves(row.inputs), row.axes, strict=True)
    ]
    return regrouped(flat, row.inputs)


@pytest.mark.parametrize("row", EVERY, ids=lambda row: row.name)
def test_an_exported_layer_has_the_bits_of_the_original(row: Layer, tmp_path: Path) -> None:
    layer = row.build(nn).eval()
    rv.export(tmp_path / "layer", layer, *row.inputs, batch=row.axes)
    loaded = rv.load_model(tmp_path / "layer")
    for n in (1, 7):
        inputs = of_size(row, n)
        for one, other in zip(leaves(loaded(*inputs)), leaves(layer(*inputs)), strict=True):
            np.testing.assert_array_equal(one, other, strict=True)


@pytest.mark.parametrize("row", [row for row in CALLED if is_fixed(row)], ids=lambda row: row.name)
def test_a_layer_for_one_size_says_so(row: Layer, tmp_path: Path) -> None:
    layer = row.build(nn).eval()
    with pytest.raises(ValueError, match="made in Python depends on the size of the batch"):
        rv.export(tmp_path / "layer", layer, *row.inputs, batch=row.axes)
    rv.export(tmp_path / "layer", layer, *row.inputs, batch="fixed")
    loaded = rv.load_model(tmp_path / "layer")
    for one, other in zip(leaves(loaded(*row.inputs)), leaves(layer(*row.inputs)), strict=True):
        np.testing.assert_array_equal(one, other, strict=True)
