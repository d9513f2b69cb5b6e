"""A GPT reads one-line descriptions of this package's functions, and writes some of its own.

The text is the first line of every docstring of `ravine.nn`, `ravine.ops` and `ravine.optim`; its last
tenth is kept for the test. Each character is foretold from the 64 before it. For comparison a table says
how often a character follows another: what can be known from one character alone. Then the model
continues lines by itself, with the keys and values of what it wrote kept in a cache.

    python examples/character_gpt.py --steps 1000
"""

from __future__ import annotations

import argparse

import numpy as np

import ravine as rv
from ravine import nn, ops, optim

LENGTH, BATCH = 64, 16


def descriptions():
    """A line for each function and class: its name and what it is."""
    lines = []
    for module in (nn, ops, optim):
        for name in module.__all__:
            text = getattr(module, name).__doc__ or ""
            if text and text[0].isupper() and hasattr(getattr(module, name), "__qualname__"):
                lines.append(f"{name}: {text.splitlines()[0]}")
    return [line for line in dict.fromkeys(lines) if line.isascii()]


def by_pairs(train, test, alphabet):
    """Nats a character by the frequencies of pairs, each counted once more than seen."""
    counts = np.ones((alphabet, alphabet))
    np.add.at(counts, (train[:-1], train[1:]), 1)
    shares = counts / counts.sum(axis=1, keepdims=True)
    return -np.log(shares[test[:-1], test[1:]]).mean()


def loss(logits, following):
    return ops.cross_entropy(logits.reshape((-1, logits.shape[-1])), following.reshape((-1,)))


def windows(text, starts):
    return text[starts[:, None] + np.arange(LENGTH + 1)]


def main(steps):
    rv.seed(0)
    rng = np.random.default_rng(0)
    lines = descriptions()
    rng.shuffle(lines)
    text = "\n".join(lines) + "\n"
    characters = sorted(set(text))
    numbers = np.array([characters.index(c) for c in text])
    train, test = np.split(numbers, [len(numbers) * 9 // 10])
    print(f"{len(lines)} lines, {len(text)} characters, {len(characters)} different ones")

    model = rv.models.gpt(len(characters), context_length=LENGTH, num_layers=2, embed_dim=64, num_heads=4)
    adam = optim.AdamW(lr=optim.schedules.Cosine(3e-3, steps), clip_norm=1.0)
    step = rv.TrainStep(model, loss, adam)
    for i in range(steps):
        part = windows(train, rng.integers(0, len(train) - LENGTH, BATCH))
        value = step(part[:, :-1], part[:, 1:])
        if i % (steps // 4) == 0:
            print(f"step {i}: {value:.2f} nats a character")

    part = windows(test, np.arange(0, len(test) - LENGTH, LENGTH))
    unseen = float(loss(model.eval()(part[:, :-1]), part[:, 1:]))
    pairs = by_pairs(train, test, len(characters))
    evenly = np.log(len(characters))
    print(f"unseen text: {unseen:.2f} nats a character, by pairs {pairs:.2f}, evenly {evenly:.2f}")

    beginning = [characters.index(c) for c in "Soft"]
    written = model.generate(np.tile(beginning, (3, 1)), 120, temperature=0.7, seed=0)
    known = set("".join(c if c.isalpha() else " " for c in text).split())
    for row in written:
        print("|", "".join(characters[c] for c in row).split("\n")[0])
    words = "".join(characters[c] if characters[c].isalpha() else " " for row in written for c in row).split()
    print(f"{np.mean([word in known for word in words]):.0%} of the words are words of the text")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1000, help="updates, at least 4")
    main(parser.parse_args().steps)
