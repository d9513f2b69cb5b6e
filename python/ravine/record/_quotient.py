"""A number that remembers that it is a quotient, so that a file can have it for any size of the batch."""

from __future__ import annotations

from typing import Any

__all__ = ["Quotient"]


class Quotient(float):
    """scale · (numerator / denominator), of whole numbers such as counts of elements.

    It computes like any float; times a number it remembers its parts.

    Example:
        >>> half = Quotient(1, 2)
        >>> half + 1, (0.1 * half).scale
        (1.5, 0.1)
    """

    __slots__ = ("denominator", "numerator", "scale")
    numerator: int
    denominator: int
    scale: float

    def __new__(cls, numerator: int, denominator: int, scale: float = 1.0) -> Quotient:
        self = super().__new__(cls, scale * (numerator / denominator))
        self.numerator, self.denominator, self.scale = numerator, denominator, scale
        return self

    def __mul__(self, other: Any) -> Any:
        if self.scale == 1 and type(other) in (int, float):
            return Quotient(self.numerator, self.denominator, float(other))
        return super().__mul__(other)

    __rmul__ = __mul__
