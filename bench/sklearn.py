"""`ravine.sklearn` beside scikit-learn's multilayer perceptrons and skorch: scores and times of a fit.

`python -m bench.sklearn [--quick] [--seeds 5] [--threads 1]`. The same architecture (one hidden layer of
100, ReLU), optimizer (Adam, 1e-3), mini-batches (200) and epochs on standardised float32 examples, of which
a quarter is for testing. The engines take turns within a process; times are medians over the seeds, with
compiling. skorch takes part if it and torch are installed.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn import datasets, neural_network
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import scale
from threadpoolctl import threadpool_limits

import ravine as rv
from ravine import sklearn as ours

WIDTH, RATE, BATCH = 100, 1e-3, 200


class Task(NamedTuple):
    x: np.ndarray
    y: np.ndarray
    epochs: int
    classes: int  # 0: numbers


def tasks(quick: bool) -> dict[str, Task]:
    few = 3 if quick else 100
    n = 5_000 if quick else 100_000
    large = {"n_samples": n, "n_features": 50, "n_informative": 20, "random_state": 0}
    loaded = {
        "breast_cancer": (datasets.load_breast_cancer(return_X_y=True), few),
        "digits": (datasets.load_digits(return_X_y=True), few),
        "diabetes": (datasets.load_diabetes(return_X_y=True), few),
        "friedman1": (datasets.make_friedman1(2_000, noise=1.0, random_state=0), few),
        "synthetic": (datasets.make_classification(**large), 2 if quick else 10),
    }
    made = {}
    for name, ((x, y), epochs) in loaded.items():
        numbers = name in ("diabetes", "friedman1")
        y = scale(y).astype(np.float32) if numbers else y.astype(np.int64)
        made[name] = Task(scale(x).astype(np.float32), y, epochs, 0 if numbers else len(np.unique(y)))
    return made


def perceptron(module: Any) -> Callable[[Task, int], Any]:
    def make(task: Task, seed: int) -> Any:
        kind = module.MLPClassifier if task.classes else module.MLPRegressor
        return kind(
            hidden_layer_sizes=(WIDTH,),
            alpha=0.0,
            batch_size=BATCH,
            learning_rate_init=RATE,
            max_iter=task.epochs,
            tol=0.0,
            n_iter_no_change=np.inf,
            random_state=seed,
        )

    return make


def skorch_engine() -> Callable[[Task, int], Any] | None:
    try:
        import skorch
        import torch
    except ModuleNotFoundError:
        return None

    def make(task: Task, seed: int) -> Any:
        torch.manual_seed(seed)
        outputs = task.classes or 1
        layers = [torch.nn.Linear(task.x.shape[1], WIDTH), torch.nn.ReLU(), torch.nn.Linear(WIDTH, outputs)]
        kind = skorch.NeuralNetClassifier if task.classes else skorch.NeuralNetRegressor
        more = {"criterion": torch.nn.CrossEntropyLoss} if task.classes else {}
        return kind(
            torch.nn.Sequential(*layers),
            optimizer=torch.optim.Adam,
            lr=RATE,
            batch_size=BATCH,
            max_epochs=task.epochs,
            iterator_train__shuffle=True,
            train_split=None,
            verbose=0,
            **more,
        )

    return make


class Run(NamedTuple):
    score: float
    seconds: float


def measure(make: Callable[[Task, int], Any], task: Task, seed: int, columns: bool) -> Run:
    """One fit and its score; `columns` tells that numbers are wanted as [n, 1]."""
    y = task.y.reshape(-1, 1) if columns and not task.classes else task.y
    x_train, x_test, y_train, y_test = train_test_split(task.x, y, random_state=seed)
    model = make(task, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the epochs did not suffice
        started = time.perf_counter()
        model.fit(x_train, y_train)
        seconds = time.perf_counter() - started
    return Run(float(model.score(x_test, y_test)), seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="that it runs, not how fast")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    engines = {"ravine": perceptron(ours), "scikit-learn": perceptron(neural_network)}
    skorch = skorch_engine()
    if skorch is None:
        print("skorch or torch is not installed: without skorch")
    else:
        import torch

        torch.set_num_threads(options.threads)
        engines["skorch"] = skorch
    rv.set_num_threads(options.threads)
    seeds = 1 if options.quick else options.seeds
    ratios: dict[str, list[float]] = {name: [] for name in engines if name != "ravine"}
    print(f"{'':14} {'engine':13} {'score':>8} {'from':>8} {'to':>8} {'seconds':>9} {'/ ravine':>9}")
    with threadpool_limits(options.threads):
        warm_up = tasks(quick=True)["breast_cancer"]._replace(epochs=1)
        for name, make in engines.items():
            measure(make, warm_up, 0, name == "skorch")  # what is imported and set up once
        for task_name, task in tasks(options.quick).items():
            runs: dict[str, list[Run]] = {name: [] for name in engines}
            for seed in range(seeds):
                for name, make in engines.items():
                    runs[name].append(measure(make, task, seed, name == "skorch"))
            seconds = {name: statistics.median(run.seconds for run in of) for name, of in runs.items()}
            for name, of in runs.items():
                scores = [run.score for run in of]
                ratio = seconds[name] / seconds["ravine"]
                numbers = f"{statistics.mean(scores):8.4f} {min(scores):8.4f} {max(scores):8.4f}"
                print(f"{task_name:14} {name:13} {numbers} {seconds[name]:9.4f} {ratio:9.2f}", flush=True)
                if name in ratios:
                    ratios[name].append(ratio)
    for name, values in ratios.items():
        mean = math.exp(statistics.mean(map(math.log, values)))
        print(f"geometric mean of {name} / ravine: {mean:.2f}, least {min(values):.2f}")


if __name__ == "__main__":
    main()
