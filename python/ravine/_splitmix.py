"""SplitMix64: numbers that look random, each a function of a seed and of its place alone.

Source: G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators", 2014.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_GAMMA = np.uint64(0x9E3779B97F4A7C15)


def numbers_at(seed: int, places: Any) -> np.ndarray:
    """The 64-bit numbers of the seed's stream at these places, whole numbers from 0."""
    with np.errstate(over="ignore"):  # modulo 2^64
        x = (np.asarray(places).astype(np.uint64) + np.uint64(1)) * _GAMMA + np.uint64(seed & (1 << 64) - 1)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def number_at(seed: int, place: int) -> int:
    """The number at one place: a seed for each (seed, place), without the collisions of seed + place."""
    return int(numbers_at(seed, place))
