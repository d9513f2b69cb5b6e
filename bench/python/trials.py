"""Data of the trials that the examples do not make by themselves."""

from __future__ import annotations

import numpy as np
from examples import dqn


def remembered() -> dqn.Memory:
    """What "dqn" draws from: random transitions, the same on every call."""
    random, memory = np.random.default_rng(0), dqn.Memory(dqn.MEMORY)
    for _ in range(2000):
        state, following = random.standard_normal((2, 4), dtype=np.float32)
        memory.add(state, random.integers(2), following, random.random() < 0.05)
    return memory
