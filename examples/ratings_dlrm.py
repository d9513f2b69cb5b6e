"""DLRM learns who rates what how, from ratings with gaps.

Users and films have tastes of three kinds that no one sees, an age and a year that everyone sees, and
habits: some rate high, some films are loved by all. A rating is the sum of these and noise, from 1 to 5.
DLRM (Naumov et al. 2019) looks up a vector for each user and film, makes one of the numbers, and
multiplies all pairs. Beside it stands what means can tell: the mean of all, plus the user's and the
film's distance from it.

    python examples/ratings_dlrm.py --epochs 12
"""

from __future__ import annotations

import argparse

import numpy as np

import ravine as rv
from ravine import nn, optim

USERS, FILMS, RATINGS, NOISE = 300, 150, 20_000, 0.4


def ratings(rng):
    """Numbers [n, 2], users and films [n, 2], ratings [n, 1]."""
    tastes, kinds = rng.normal(0, 0.7, (USERS, 3)), rng.normal(0, 0.9, (FILMS, 3))
    of_user, of_film = rng.normal(0, 0.3, USERS), rng.normal(0, 0.4, FILMS)
    age, year = rng.uniform(-1, 1, USERS), rng.uniform(-1, 1, FILMS)
    pairs = rng.choice(USERS * FILMS, RATINGS, replace=False)
    u, f = pairs // FILMS, pairs % FILMS
    score = 3.2 + of_user[u] + of_film[f] + (tastes[u] * kinds[f]).sum(axis=1) - 0.6 * age[u] * year[f]
    score = np.clip(score + rng.normal(0, NOISE, RATINGS), 1, 5)
    numbers = np.stack([age[u], year[f]], axis=1).astype("float32")
    return numbers, np.stack([u, f], axis=1), score[:, None].astype("float32")


def by_means(train, test):
    """The error of the mean plus the distances of the user and of the film from it."""
    (_, pairs, score), (_, unseen, wanted) = train, test
    mean = score.mean()
    foretold = np.full(len(unseen), mean)
    for column, count in ((0, USERS), (1, FILMS)):
        sums = np.bincount(pairs[:, column], (score - mean)[:, 0], count)
        foretold += (sums / np.maximum(np.bincount(pairs[:, column], minlength=count), 1))[unseen[:, column]]
    return np.sqrt(np.mean((foretold - wanted[:, 0]) ** 2))


def main(epochs):
    rv.seed(0)
    rng = np.random.default_rng(0)
    data = ratings(rng)
    train, test = zip(*(np.split(part, [RATINGS * 4 // 5]) for part in data), strict=True)
    numbers, pairs, wanted = test
    model = rv.models.dlrm(2, (USERS, FILMS), 8, bottom=(16,), top=(32,), interact_itself=True)
    batch, n = 128, len(train[0])
    adam = optim.Adam(lr=optim.schedules.Cosine(1e-2, epochs * (n // batch)), weight_decay=1e-5)
    step = rv.TrainStep(model, nn.MSELoss(), adam)
    for epoch in range(epochs):
        order, squares = rng.permutation(n), []
        for first in range(0, n - batch + 1, batch):
            some = order[first : first + batch]
            squares.append(step((train[0][some], train[1][some]), train[2][some]))
        if epoch % (epochs // 3) == 0:
            print(f"epoch {epoch}: error {np.sqrt(np.mean(squares)):.3f}")
    error = np.sqrt(np.mean((model.eval()(numbers, pairs) - wanted) ** 2))
    print(
        f"error of {len(wanted)} unseen ratings: DLRM {error:.3f}, means {by_means(train, test):.3f}, ",
        end="",
    )
    print(f"all alike {wanted.std():.3f}, noise alone {NOISE}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=12, help="passes over the ratings, at least 3")
    main(parser.parse_args().epochs)
