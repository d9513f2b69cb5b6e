"""A character model: a GRU learns to write numbers in words.

The text counts upwards from a random place, "twenty one, twenty two, ...", and the model foretells each next
character from those before. Sequences follow one another in the text, so the state of one is where the next
begins (truncated backpropagation through time, Williams and Peng 1990). Afterwards the model writes by
itself, character by character, with the state as its only memory.
"""

from __future__ import annotations

import numpy as np

import ravine as rv
from ravine import nn, ops, optim

ONES = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
STREAMS, CHARACTERS, LENGTH, HIDDEN, EPOCHS = 16, 1600, 20, 64, 16


def text(start, count):
    numbers = [ten if one == 0 else f"{ten} {ONES[one - 1]}" for ten in TENS for one in range(10)]
    return ", ".join(numbers[(start + i) % len(numbers)] for i in range(count)) + ", "


ALPHABET = sorted(set(text(0, 80)))


def encode(characters):
    return np.array([ALPHABET.index(c) for c in characters])


class Writer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(len(ALPHABET), 16)
        self.gru = nn.GRU(16, HIDDEN, batch_first=True)
        self.head = nn.Linear(HIDDEN, len(ALPHABET))

    def forward(self, characters, state):
        output, state = self.gru(self.embedding(characters), state)
        return self.head(output), state


def loss(result, following):
    logits, _ = result
    return ops.cross_entropy(logits.reshape((-1, len(ALPHABET))), following.reshape((-1,)))


def write(model, beginning, count):
    """The most probable continuation."""
    state, written = np.zeros((1, 1, HIDDEN), "float32"), beginning
    for i in range(len(beginning) + count - 1):
        logits, state = model(encode(written[i])[None], state)
        if i + 1 == len(written):
            written += ALPHABET[logits[0, 0].argmax()]
    return written


if __name__ == "__main__":
    rv.seed(0)
    rng = np.random.default_rng(0)
    model = Writer()
    steps = EPOCHS * CHARACTERS // LENGTH
    step = rv.TrainStep(model, loss, optim.Adam(lr=optim.schedules.Cosine(0.01, steps), clip_norm=1.0))
    for epoch in range(EPOCHS):
        streams = np.stack(
            [encode(text(start, 160)[: CHARACTERS + 1]) for start in rng.integers(0, 80, STREAMS)]
        )
        state, losses = np.zeros((1, STREAMS, HIDDEN), "float32"), []
        for first in range(0, CHARACTERS, LENGTH):
            part = streams[:, first : first + LENGTH + 1]
            value, (_, state) = step.with_output((part[:, :-1], state), part[:, 1:])
            losses.append(value)
        print(f"epoch {epoch}: loss {np.mean(losses):.3f}")
    print(write(model.eval(), text(26, 2), 60))
