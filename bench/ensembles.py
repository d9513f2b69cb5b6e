"""Many nets in one program: 64 small nets, and 5-fold cross-validation; `python -m bench.ensembles`.

    python -m bench.ensembles            # both; figures are medians of rounds in which all take turns
    python -m bench.ensembles --check    # ends with 1 where a ratio misses its target

The nets are 30-64-64-2 with batches of 32 and Adam: 64 steps of Ravine one after the other, one step over an
ensemble of 64, and in torch a loop over 64 nets and `vmap` over stacked modules. The cross-validation trains
a dense net on the digits, for as many epochs as one fit, to which it is compared.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

import ravine as rv
from ravine import nn, optim

NETS, BATCH = 64, 32


def small_net() -> nn.Module:
    return nn.Sequential(nn.Linear(30, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))


def torch_steps(x: np.ndarray, y: np.ndarray) -> dict[str, Callable[[], object]]:
    """A loop over nets, and vmap over stacked ones; none without torch."""
    try:
        import torch
        from torch.func import functional_call, grad, stack_module_state, vmap
    except ModuleNotFoundError:
        return {}
    torch.set_num_threads(rv.get_num_threads())

    def net() -> torch.nn.Module:
        layers = (torch.nn.Linear(30, 64), torch.nn.ReLU(), torch.nn.Linear(64, 64), torch.nn.ReLU())
        return torch.nn.Sequential(*layers, torch.nn.Linear(64, 2))

    nets = [net() for _ in range(NETS)]
    optimizers = [torch.optim.Adam(own.parameters(), fused=True) for own in nets]
    loss = torch.nn.functional.cross_entropy
    x_torch, y_torch = torch.from_numpy(x), torch.from_numpy(y)

    def loop() -> None:
        for own, optimizer in zip(nets, optimizers, strict=True):
            optimizer.zero_grad()
            loss(own(x_torch), y_torch).backward()
            optimizer.step()

    state, buffers = stack_module_state([net() for _ in range(NETS)])
    template = net()

    def loss_of(own: dict, own_buffers: dict) -> torch.Tensor:
        return loss(functional_call(template, (own, own_buffers), (x_torch,)), y_torch)

    gradients = vmap(grad(loss_of))
    stacked = torch.optim.Adam(state.values(), fused=True)

    def mapped() -> None:
        for name, slope in gradients(state, buffers).items():
            state[name].grad = slope
        stacked.step()

    return {"torch, a loop": loop, "torch, vmap": mapped}


def in_turns(functions: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for i in range(rounds + 3):
        for name, function in functions.items():
            begin = time.perf_counter()
            function()
            if i >= 3:
                seconds[name].append(time.perf_counter() - begin)
    return {name: statistics.median(own) for name, own in seconds.items()}


def nets(rounds: int) -> dict[str, float]:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((BATCH, 30)).astype(np.float32), rng.integers(0, 2, BATCH)
    loss = nn.CrossEntropyLoss()
    singles = [rv.TrainStep(small_net(), loss, optim.Adam()) for _ in range(NETS)]
    step = rv.TrainStep(rv.Ensemble(small_net, NETS), loss, optim.Adam())
    return in_turns(
        {
            "64 steps": lambda: [single(x, y) for single in singles],
            "an ensemble of 64": lambda: step(x, y),
            **torch_steps(x, y),
        },
        rounds,
    )


def folds(rounds: int, epochs: int = 20) -> dict[str, float]:
    x, y, _, _ = rv.data.digits()
    loss, rule = nn.CrossEntropyLoss(), optim.Adam(lr=1e-3)

    def one_fit() -> None:
        rv.Trainer(rv.models.mlp(64, 10), loss, rule, ["accuracy"]).fit(x, y, epochs=epochs, verbose=0)

    def cross_validation() -> None:
        rv.train.cross_validate(
            lambda: rv.models.mlp(64, 10), loss, rule, x, y, metrics=["accuracy"], epochs=epochs, seed=0
        )

    return in_turns({"one fit": one_fit, "5 folds": cross_validation}, rounds)


def main() -> int:
    parser = argparse.ArgumentParser(description="Many nets in one program.")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--check", action="store_true", help="end with 1 where a target is missed")
    arguments = parser.parse_args()
    rv.seed(0)
    times = nets(arguments.rounds)
    for name, seconds in times.items():
        print(f"{name:20} {1e3 * seconds:9.3f} ms")
    ensemble = times["an ensemble of 64"]
    ratios = [("64 steps by the ensemble", times["64 steps"] / ensemble, 4.0, True)]
    of_torch = [seconds for name, seconds in times.items() if name.startswith("torch")]
    if of_torch:
        ratios.append(("torch's best by the ensemble", min(of_torch) / ensemble, 15.0, True))
    times = folds(max(3, arguments.rounds // 10))
    for name, seconds in times.items():
        print(f"{name:20} {1e3 * seconds:9.1f} ms")
    ratios.append(("5 folds by one fit", times["5 folds"] / times["one fit"], 1.8, False))
    for name, ratio, target, at_least in ratios:
        print(f"{name:30} {ratio:6.2f}, target {'at least' if at_least else 'at most'} {target:g}")
    missed = any(ratio < target if at_least else ratio > target for _, ratio, target, at_least in ratios)
    return int(arguments.check and missed)


if __name__ == "__main__":
    sys.exit(main())
