"""Inputs: signs, scales, directions.

If all inputs of a unit are positive, the gradient of all its weights has the same sign, that of the error
behind the unit: the weights can only rise or fall together, and the way to where some should rise and
others fall is a zig-zag. Subtracting the mean frees them. Columns of very different scale make a ravine
that scaling removes, as long as the columns are not correlated; if they are, only whitening, which rotates
first, makes the loss round. And what was done to the inputs in training must be done at prediction, with
the numbers of the training set: `nn.Normalize.from_(scaler)` puts it into the model, where it cannot be
forgotten.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import ravine as rv
from ravine import nn, optim, preprocessing

from .ravines import regression
from .tools import Claim, accuracy, descend, digits, first_below, mlp, train


def same_sign(x: np.ndarray, y: np.ndarray, seed: int) -> float:
    """The share of units whose weights all have gradients of one sign, for single examples."""
    rv.seed(seed)
    model = mlp((x.shape[1], 16, 10), nn.Tanh)
    gradient = rv.value_and_grad(lambda m, x, y: nn.CrossEntropyLoss()(m(x), y), model)
    shares = []
    for i in range(64):
        signs = np.sign(gradient(x[i : i + 1], y[i : i + 1])[1]["0.weight"])
        shares.append((np.abs(signs.sum(1)) == x.shape[1]).mean())
    return float(np.mean(shares))


def steps_needed(x: np.ndarray, y: np.ndarray, steps: int) -> tuple[np.ndarray, float]:
    """Losses of descent with the rate 1/λ, and the condition number λ/λ₋ of the Hessian."""
    curvatures = np.linalg.eigvalsh(x.T @ x / len(x))
    losses, _ = descend(regression(x, y), np.zeros(x.shape[1]), optim.SGD(lr=1 / curvatures[-1]), steps)
    return losses / losses[0], curvatures[-1] / curvatures[0]


def experiment(fast: bool, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    x, y, x_test, y_test = digits()
    positive = rng.uniform(0.1, 1.0, (64, 8)).astype("float32")
    found: dict[str, Any] = {
        "same sign": (same_sign(positive, y[:64], seed), same_sign(positive - positive.mean(0), y[:64], seed))
    }
    # Two pairs of correlated columns on two scales, and a target that has weight in every direction.
    common = rng.standard_normal((500, 2))
    columns = np.concatenate([common, common + 0.1 * rng.standard_normal((500, 2))], axis=1)
    raw = columns * [1.0, 30.0, 1.0, 30.0] + [5.0, 0.0, 0.0, 100.0]
    scaler, whitener = preprocessing.StandardScaler().fit(raw), preprocessing.PCA(whiten=True).fit(raw)
    target = scaler.transform(raw) @ [1.0, -1.0, -0.5, 2.0]
    forms = {
        "centred": raw - raw.mean(0),
        "scaled": scaler.transform(raw),
        "whitened": whitener.transform(raw),
    }
    steps = 2000 if fast else 20000
    found["columns"] = {name: steps_needed(form, target, steps) for name, form in forms.items()}

    stretched = np.geomspace(0.1, 10, 64)[rng.permutation(64)].astype("float32")
    x, x_test = 5 + x * stretched, 5 + x_test * stretched
    epochs = 5 if fast else 30
    trained = preprocessing.StandardScaler().fit(x)
    rv.seed(seed)
    inside = nn.Sequential(nn.Normalize.from_(trained), mlp((64, 32, 10)))
    rv.seed(seed)
    plain = nn.Sequential(mlp((64, 32, 10)))
    found["losses"] = {
        "scaled": train(inside, optim.SGD(lr=0.05), x, y, epochs=epochs, seed=seed),
        "as they are": train(plain, optim.SGD(lr=0.05), x, y, epochs=epochs, seed=seed),
    }
    found["accuracy"] = {
        "scaled": accuracy(inside, x_test, y_test),
        "as they are": accuracy(plain, x_test, y_test),
        "forgotten": accuracy(inside[1], x_test, y_test),
    }
    return found


def claims(found: dict[str, Any]) -> list[Claim]:
    positive, centred = found["same sign"]
    columns, shares = found["columns"], found["accuracy"]
    needed = {name: first_below(losses, 1e-3) for name, (losses, _) in columns.items()}
    text = "; ".join(
        f"{name} {columns[name][1]:.3g}, {steps if steps is not None else 'more than all'} steps"
        for name, steps in needed.items()
    )
    return [
        Claim(
            "LeCun et al. 1998, Efficient BackProp, section 4.3",
            "weights of units with positive inputs all get gradients of one sign",
            f"{positive:.0%} of the units; {centred:.1%} with centred inputs",
            positive == 1.0 and centred < 0.2,
        ),
        Claim(
            "LeCun et al. 1998, Efficient BackProp, section 4.3",
            "scaling the columns makes the loss rounder, whitening makes it round",
            f"condition numbers, and steps to a thousandth of the loss: {text}",
            columns["centred"][1] > 2 * columns["scaled"][1] > 20 * columns["whitened"][1]
            and needed["whitened"] is not None
            and (needed["scaled"] is None or needed["scaled"] > 5 * needed["whitened"]),
        ),
        Claim(
            "Bishop 1995, section 8.2; CS231n, Neural networks 2",
            "a net of inputs of unequal scale learns with the scaler and badly without",
            f"accuracy on new digits {shares['scaled']:.3f} with, {shares['as they are']:.3f} without",
            shares["scaled"] > shares["as they are"] + 0.1,
        ),
        Claim(
            "CS231n, Neural networks 2, data preprocessing",
            "a model that was trained on scaled inputs fails on inputs as they are",
            f"accuracy {shares['forgotten']:.3f} where scaling is forgotten at prediction",
            shares["forgotten"] < shares["scaled"] - 0.2,
        ),
    ]


def draw(figure: Any, found: dict[str, Any]) -> None:
    left, right, last = figure.subplots(1, 3)
    for name, (losses, condition) in found["columns"].items():
        left.loglog(1 + np.arange(len(losses)), np.maximum(losses, 1e-12), label=f"{name} ({condition:.3g})")
    left.set(title="regression (condition number)", xlabel="step", ylabel="loss over loss at the start")
    left.legend(fontsize="small")
    for name, losses in found["losses"].items():
        width = max(1, len(losses) // 60)
        smooth = losses[: len(losses) // width * width].reshape(-1, width).mean(1)
        right.plot(width * np.arange(len(smooth)), smooth, label=name)
    right.set(title="digits on unequal scales", xlabel="step", ylabel="loss")
    right.legend(fontsize="small")
    last.bar(list(found["accuracy"]), list(found["accuracy"].values()), color=["C0", "C1", "C3"])
    last.set(title="accuracy on new digits", ylim=(0, 1))
