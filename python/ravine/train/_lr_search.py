"""Finding a learning rate: Smith's range test, and a grid of rates trained side by side.

Both train copies: the model and the optimizer that are given stay as they are.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core, nn
from .._plot import new_axes
from .._step import TrainStep
from ..data import Batches
from ..ensemble import Ensemble, EnsembleStep
from ..optim import LearningRate, Optimizer
from ._inputs import EVALUATED_AT_ONCE, check_examples
from ._validation import EnsembleEvaluator
from .metrics import MetricLike, named_metrics

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["LRGridSearch", "LRRangeTest", "lr_grid_search", "lr_range_test"]


def _rates(caller: str, low: float, high: float, n: int, least: int) -> np.ndarray:
    """n rates from low to high, each the same multiple of the one before."""
    if not (math.isfinite(low) and math.isfinite(high) and 0 < low < high):
        raise ValueError(f"{caller}: 0 < lr_min < lr_max is expected, got {low} and {high}")
    if n < least:
        raise ValueError(f"{caller}: at least {least} rates are expected, got {n}")
    return np.geomspace(low, high, n)


def _twin(
    caller: str, model: nn.Module, optimizer: Optimizer, lr: LearningRate
) -> tuple[nn.Module, Optimizer]:
    """Copies of model and optimizer, the latter with another rate. Groups of its parameters come along."""
    if not isinstance(model, nn.Module) or not isinstance(optimizer, Optimizer):
        seen = f"{type(model).__name__} and {type(optimizer).__name__}"
        raise TypeError(f"{caller}: a Module and an optimizer of ravine.optim are expected, got {seen}")
    model, optimizer = copy.deepcopy((model, optimizer))
    optimizer.lr = lr  # type: ignore[attr-defined]  # every rule and wrapper has one
    return model.train(), optimizer


def _forever(batches: Batches) -> Iterator[tuple[np.ndarray, ...]]:
    return itertools.chain.from_iterable(itertools.repeat(batches))


@dataclass(frozen=True)
class LRRangeTest:
    """What `lr_range_test` found.

    Attributes:
        lrs: the rates tried, increasing, [n].
        losses: the loss of the mini-batch trained at each rate, before its update, [n].
        smoothed: their exponential average with bias correction, [n].
        diverged: whether the loss exploded before the last rate.
    """

    lrs: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    diverged: bool

    @property
    def suggestion(self) -> float:
        """The rate at which the smoothed loss falls fastest, as a function of log lr, up to its minimum.

        Raises ValueError where the loss never fell: the rates were all too small, or all too large.
        """
        lowest = int(np.argmin(self.smoothed))
        if lowest < 2:
            raise ValueError(
                f"lr_range_test: the loss never fell from lr={self.lrs[0]:g} to {self.lrs[-1]:g}; try others"
            )
        slopes = np.gradient(self.smoothed[: lowest + 1], np.log(self.lrs[: lowest + 1]))
        return float(self.lrs[int(np.argmin(slopes))])

    def plot(self) -> Figure:
        """Draws loss over learning rate, and the suggestion; `figure.savefig(path)` saves it.

        Raises ModuleNotFoundError without matplotlib.
        """
        figure, axes = new_axes("LRRangeTest.plot", xscale="log", xlabel="learning rate", ylabel="loss")
        axes.plot(self.lrs, self.losses, alpha=0.3, label="mini-batch")
        axes.plot(self.lrs, self.smoothed, label="smoothed")
        if int(np.argmin(self.smoothed)) >= 2:
            suggested = self.suggestion
            axes.axvline(suggested, color="black", linestyle=":", label=f"suggested {suggested:.2g}")
        axes.legend()
        return figure


def lr_range_test(
    model: nn.Module,
    loss: Callable[..., Any],
    optimizer: Optimizer,
    x: np.ndarray,
    y: np.ndarray,
    *,
    lr_min: float = 1e-6,
    lr_max: float = 10.0,
    steps: int = 100,
    batch_size: int = 32,
    smoothing: float = 0.9,
    stop_factor: float = 4.0,
    seed: int | None = None,
) -> LRRangeTest:
    """Smith's learning rate range test: trains with a growing rate, and sees where the loss falls and
    explodes.

    Step i of n has the rate `lr_min · (lr_max / lr_min)^(i / (n - 1))`. It ends early where the smoothed loss
    is more than `stop_factor` times the lowest so far, or not finite. A copy is trained: the model, its
    statistics and the optimizer stay as they are. Parameter groups with a rate of their own keep it.

    Args:
        model: the module to find a rate for, usually untrained.
        loss: a module or function of (output, y) that returns a scalar tensor.
        optimizer: the rule; its lr is replaced.
        x: examples [n, ...].
        y: targets [n, ...].
        lr_min: the first rate.
        lr_max: the last rate.
        steps: mini-batches, at least 5. The data are passed over as often as that takes.
        batch_size: examples in a mini-batch; short ones are left out where there is a full one.
        smoothing: share of the average loss that a step keeps, in [0, 1).
        stop_factor: above 1.
        seed: of the order of the examples; None draws one from the process generator (`rv.seed`).

    Raises ValueError for arguments out of range, and FloatingPointError where the first loss is not finite.

    Source: Smith 2017, https://arxiv.org/abs/1506.01186.

    Example:
        >>> import ravine as rv
        >>> from ravine import nn, optim
        >>> x, y, _, _ = rv.data.digits()
        >>> rv.seed(0)
        >>> model, loss = rv.models.mlp(64, 10), nn.CrossEntropyLoss()
        >>> test = rv.train.lr_range_test(model, loss, optim.Adam(), x, y, seed=0)
        >>> 1e-4 < test.suggestion < 1e-1
        True
    """
    x, y = check_examples("lr_range_test", x, y)
    rates = _rates("lr_range_test", lr_min, lr_max, steps, 5)
    if not 0 <= smoothing < 1:
        raise ValueError(f"lr_range_test: smoothing must be in [0, 1), got {smoothing}")
    if not stop_factor > 1:
        raise ValueError(f"lr_range_test: stop_factor must be above 1, got {stop_factor}")
    batches = Batches(x, y, batch_size=batch_size, shuffle=True, seed=seed, drop_last=len(x) >= batch_size)
    twin, rule = _twin("lr_range_test", model, optimizer, lambda step: float(rates[step]))
    step = TrainStep(twin, loss, rule)
    losses: list[float] = []
    smoothed: list[float] = []
    average, diverged = 0.0, False
    for i, (x_batch, y_batch) in zip(range(steps), _forever(batches), strict=False):
        value = step(x_batch, y_batch)
        average = smoothing * average + (1 - smoothing) * value
        now = average / (1 - smoothing ** (i + 1))
        if not math.isfinite(now):
            if i == 0:
                raise FloatingPointError(f"lr_range_test: the loss is {value} before the first update")
            diverged = True
            break
        losses.append(value)
        smoothed.append(now)
        # A loss below 0 has no multiples that mean anything.
        if now > stop_factor * min(smoothed) and min(smoothed) > 0:
            diverged = True
            break
    return LRRangeTest(rates[: len(losses)], np.array(losses), np.array(smoothed), diverged)


@dataclass(frozen=True)
class LRGridSearch:
    """What `lr_grid_search` found; printing it shows a table.

    Attributes:
        lrs: the rates, [n].
        results: for each rate its "loss" (mean of the last epoch's mini-batches), and with validation data
            "val_loss" and "val_" metrics; all NaN where the loss did not stay finite.
        steps: updates done with each rate; fewer where the loss did not stay finite.
    """

    lrs: np.ndarray
    results: list[dict[str, float]]
    steps: list[int]

    @property
    def best(self) -> float:
        """The rate with the lowest val_loss, without validation data the lowest loss.

        Raises ValueError where none stayed finite.
        """
        name = "val_loss" if "val_loss" in self.results[0] else "loss"
        values = np.array([row[name] for row in self.results])
        if np.isnan(values).all():
            seen = f"{self.lrs[0]:g} to {self.lrs[-1]:g}"
            raise ValueError(f"lr_grid_search: no rate from {seen} kept the loss finite")
        return float(self.lrs[int(np.nanargmin(values))])

    def __str__(self) -> str:
        names = list(self.results[0])
        lines = ["        lr  " + "  ".join(f"{name:>12}" for name in names)]
        best = None if all(math.isnan(row["loss"]) for row in self.results) else self.best
        for lr, row, steps in zip(self.lrs, self.results, self.steps, strict=True):
            if math.isnan(row["loss"]):
                lines.append(f"{lr:10.3g}  diverged after {steps} updates")
            else:
                mark = "  best" if lr == best else ""
                lines.append(f"{lr:10.3g}  " + "  ".join(f"{row[name]:12.5g}" for name in names) + mark)
        return "\n".join(lines)

    def plot(self) -> Figure:
        """Draws the losses over the learning rate. Raises ModuleNotFoundError without matplotlib."""
        figure, axes = new_axes("LRGridSearch.plot", xscale="log", xlabel="learning rate", ylabel="loss")
        for name in ("loss", "val_loss"):
            if name in self.results[0]:
                axes.plot(self.lrs, [row[name] for row in self.results], marker="o", label=name)
        axes.legend()
        return figure


def lr_grid_search(
    model: nn.Module,
    loss: Callable[..., Any],
    optimizer: Optimizer,
    x: np.ndarray,
    y: np.ndarray,
    *,
    lrs: Sequence[float] | None = None,
    lr_min: float = 1e-4,
    lr_max: float = 1.0,
    points: int = 5,
    schedule: Callable[[float], LearningRate] | None = None,
    epochs: int = 1,
    batch_size: int = 32,
    validation_data: tuple[np.ndarray, np.ndarray] | None = None,
    metrics: Sequence[MetricLike] | Mapping[str, MetricLike] = (),
    seed: int | None = None,
) -> LRGridSearch:
    """Trains a copy of the model with each of some rates, side by side on the same mini-batches, in one
    program (see `rv.Ensemble`).

    All copies start from the model's present parameters; a copy whose loss does not stay finite ends early.
    The model, its statistics and the optimizer stay as they are. Parameter groups with a rate of their own
    keep it.

    Args:
        model: the module to find a rate for.
        loss: a module or function of (output, y) that returns a scalar tensor.
        optimizer: the rule; its lr is replaced.
        x: examples [n, ...].
        y: targets [n, ...].
        lrs: the rates; or
        lr_min, lr_max, points: a logarithmic grid.
        schedule: makes a schedule of each rate, such as `lambda lr: Cosine(lr, n)`; constant by default.
        epochs: passes over the examples.
        batch_size: examples in a mini-batch; short ones are left out where there is a full one.
        validation_data: (x, y) evaluated after the last epoch.
        metrics: as in `Trainer`, of the validation data.
        seed: of the order of the examples; None draws one from the process generator (`rv.seed`).

    Raises ValueError for arguments out of range, or metrics without validation data.

    Example:
        >>> import ravine as rv
        >>> from ravine import nn, optim
        >>> x, y, x_test, y_test = rv.data.digits()
        >>> rv.seed(0)
        >>> search = rv.train.lr_grid_search(
        ...     rv.models.mlp(64, 10), nn.CrossEntropyLoss(), optim.SGD(), x, y, lrs=[1e-5, 1e-1], seed=0,
        ...     validation_data=(x_test, y_test), metrics=["accuracy"],
        ... )
        >>> search.best, list(search.results[0])
        (0.1, ['loss', 'val_loss', 'val_accuracy'])
    """
    x, y = check_examples("lr_grid_search", x, y)
    if lrs is None:
        rates = _rates("lr_grid_search", lr_min, lr_max, points, 2)
    else:
        rates = np.asarray(lrs, np.float64)
        if rates.ndim != 1 or rates.size == 0 or not (np.isfinite(rates) & (rates > 0)).all():
            raise ValueError(f"lr_grid_search: lrs must be finite numbers above 0, got {lrs!r}")
    if epochs < 1:
        raise ValueError(f"lr_grid_search: epochs={epochs}, expected at least 1")
    named = named_metrics(metrics, loss)
    if named and validation_data is None:
        raise ValueError(f"lr_grid_search: metrics {', '.join(named)} need validation_data")
    if validation_data is not None:
        validation_data = check_examples("lr_grid_search: validation_data", *validation_data)
    order = _core.draw_seed() if seed is None else seed
    drop_last = len(x) >= batch_size
    batches = Batches(x, y, batch_size=batch_size, shuffle=True, seed=order, drop_last=drop_last)
    lrs_or_schedules = [float(rate) if schedule is None else schedule(float(rate)) for rate in rates]
    twins = [_twin("lr_grid_search", model, optimizer, lr) for lr in lrs_or_schedules]
    n, models = len(twins), iter([twin for twin, _ in twins])
    ensemble = Ensemble(lambda: next(models), n, seeds=[0] * n)  # copies draw no weights
    step = TrainStep(ensemble.train(), loss, [rule for _, rule in twins])  # type: ignore[arg-type]
    assert isinstance(step, EnsembleStep)
    steps, losses = np.zeros(n, np.int64), [np.zeros(n)]  # losses of the newest epoch
    for _ in range(epochs):
        losses = []
        for x_batch, y_batch in batches:
            steps += step.active
            losses.append(step(x_batch, y_batch))
            step.active = step.active & np.isfinite(losses[-1])
            if not step.active.any():
                break
    values = {"loss": np.array(losses, np.float64).mean(axis=0)}
    if validation_data is not None:
        measured = EnsembleEvaluator(ensemble, loss, named)(validation_data, None, EVALUATED_AT_ONCE)
        values |= {f"val_{name}": value for name, value in measured.items()}
    finite = step.active & np.all([np.isfinite(value) for value in values.values()], axis=0)
    results = [
        {name: float(value[i]) if finite[i] else math.nan for name, value in values.items()} for i in range(n)
    ]
    return LRGridSearch(rates, results, steps.tolist())
