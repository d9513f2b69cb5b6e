"""Affine maps, what many fitted transformers are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Affine(NamedTuple):
    """y = (x - mean) · scale, or (x - mean) @ matrix, + offset, in float64.

    Attributes:
        mean: broadcast over examples from the last dimension on.
        scale: likewise; None where there is a matrix.
        matrix: [features in, features out], of the flattened example, or None.
        offset: added at the end, or None.
        limit: of a smooth clipping y / √(1 + (y / limit)²) that follows, or None.
    """

    mean: np.ndarray
    scale: np.ndarray | None = None
    matrix: np.ndarray | None = None
    offset: np.ndarray | None = None
    limit: float | None = None

    def then(self, other: Affine) -> Affine:
        """This map, and then the other. Raises TypeError after a clipping."""
        if self.limit is not None:
            raise TypeError("Chain: a map after a smooth clipping is not affine, so it cannot become a layer")
        shift = (0.0 if self.offset is None else self.offset) - other.mean
        scale = matrix = None
        if other.matrix is None:
            assert other.scale is not None
            moved = shift * other.scale
            if self.matrix is None:
                assert self.scale is not None
                scale = self.scale * other.scale
            else:
                kept = self.matrix.shape[1] == self.mean.size
                shape = self.mean.shape if kept else self.matrix.shape[1:]
                matrix = self.matrix * np.broadcast_to(other.scale, shape).reshape(-1)
        else:
            moved = np.broadcast_to(shift, other.mean.shape).reshape(-1) @ other.matrix
            if moved.size == other.mean.size:
                moved = moved.reshape(other.mean.shape)
            if self.matrix is None:
                assert self.scale is not None
                matrix = np.broadcast_to(self.scale, other.mean.shape).reshape(-1, 1) * other.matrix
            else:
                matrix = self.matrix @ other.matrix
        offset = moved if other.offset is None else moved + other.offset
        return Affine(self.mean, scale, matrix, offset if np.any(offset) else None, other.limit)
