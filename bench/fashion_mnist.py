"""Trains a convolutional net on Fashion-MNIST, and PyTorch beside it: test accuracy and time of every epoch.

    python -m bench.fashion_mnist            5 epochs of Ravine and, where it is installed, of PyTorch
    python -m bench.fashion_mnist --quick    a tenth of the images, one epoch: does it run

The net: convolutions 5x5 with 32 and 64 channels, ReLU and 2x2 maxima behind each, a layer of 1024 units with
ReLU, 10 outputs; Adam at 1e-3, mini-batches of 128 in a new order each epoch. Engines run in processes of
their own and take turns, epoch by epoch; a time is that of training alone. PyTorch runs in both layouts, with
a fused Adam, and with tcmalloc preloaded where it is installed. Writes fashion_mnist.json and
fashion_mnist.md into --out.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from .python.__main__ import machine, tcmalloc

ROOT = Path(__file__).resolve().parents[1]
BATCH = 128
MODES = {"ravine": ("default",), "torch": ("eager", "channels_last")}
Epoch = Callable[[int], float]  # trains one epoch; returns the seconds that it took
Accuracy = Callable[[], float]  # on the test images


def images(share: float):
    """The data set, or the first part of its training and test images."""
    from ravine import data

    x_train, y_train, x_test, y_test = data.fashion_mnist()
    n_train, n_test = int(len(x_train) * share), int(len(x_test) * share)
    return x_train[:n_train], y_train[:n_train], x_test[:n_test], y_test[:n_test]


# ---- engines


def ravine_engine(mode: str, threads: int, share: float) -> tuple[Epoch, Accuracy]:
    import ravine as rv
    from ravine import nn, optim

    rv.set_num_threads(threads)
    rv.seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(3136, 1024), nn.ReLU(), nn.Linear(1024, 10)),
    )
    x_train, y_train, x_test, y_test = images(share)
    trainer = rv.Trainer(model, nn.CrossEntropyLoss(), optim.Adam(lr=1e-3))

    def train(epoch: int) -> float:
        start = time.perf_counter()
        trainer.fit(x_train, y_train, epochs=1, batch_size=BATCH, seed=epoch, verbose=0)
        return time.perf_counter() - start

    return train, lambda: float((trainer.predict(x_test).argmax(axis=1) == y_test).mean())


def torch_engine(mode: str, threads: int, share: float) -> tuple[Epoch, Accuracy]:
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    layout = torch.channels_last if mode == "channels_last" else torch.contiguous_format
    model = nn.Sequential(
        *(nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(3136, 1024), nn.ReLU(inplace=True), nn.Linear(1024, 10)),
    )
    model = model.to(memory_format=layout)  # pyright: ignore[reportCallIssue]
    x_train, y_train, x_test, y_test = (torch.from_numpy(array) for array in images(share))
    x_train, x_test = (x.contiguous(memory_format=layout) for x in (x_train, x_test))
    loss_of = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def train(epoch: int) -> float:
        model.train()
        start = time.perf_counter()
        for rows in torch.randperm(len(x_train)).split(BATCH):
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(model(x_train[rows]), y_train[rows])
            loss.backward()
            optimizer.step()
            loss.item()  # as any loop that shows its loss does
        return time.perf_counter() - start

    @torch.inference_mode()
    def accuracy() -> float:
        model.eval()
        right = sum(
            int((model(x).argmax(1) == y).sum())
            for x, y in zip(x_test.split(256), y_test.split(256), strict=True)
        )
        return right / len(y_test)

    return train, accuracy


ENGINES = {"ravine": ravine_engine, "torch": torch_engine}


def work(engine: str, mode: str, threads: int, share: float) -> None:
    """A worker reads an epoch's number a line, and answers with its seconds and the accuracy after it."""
    train, accuracy = ENGINES[engine](mode, threads, share)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        seconds = train(int(line))
        print(json.dumps({"seconds": seconds, "accuracy": accuracy()}), flush=True)


# ---- the comparison


class Worker:
    """The process of an engine in a mode."""

    def __init__(self, engine: str, mode: str, options: argparse.Namespace) -> None:
        library = tcmalloc() if engine == "torch" else None
        self.engine, self.name = engine, f"{engine} {mode}" + ("+tcmalloc" if library else "")
        self.epochs: list[dict[str, float]] = []
        threads = str(options.threads)
        environment = dict(os.environ, OMP_NUM_THREADS=threads)
        if library:
            environment["LD_PRELOAD"] = library
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "bench.fashion_mnist",
                "--worker",
                engine,
                mode,
                threads,
                str(options.share),
            ],
            cwd=ROOT,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._reply()

    def _reply(self) -> dict[str, float]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name}: the process ended with code {self.process.wait()}")
        return json.loads(line)

    def run_epoch(self, epoch: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{epoch}\n")
        self.process.stdin.flush()
        self.epochs.append(self._reply())

    @property
    def median(self) -> float:
        return statistics.median(epoch["seconds"] for epoch in self.epochs)

    def close(self) -> None:
        self.process.communicate()


def markdown(report: dict) -> str:
    """A row an engine: accuracy after each epoch, the median epoch, and how many times Ravine's it takes."""
    at = report["machine"]
    epochs = len(report["engines"][0]["epochs"])
    lines = [
        f"{at['cpu']}, {at['isa']}, {at['threads']} threads, Python {at['python']}. Fashion-MNIST, "
        f"{report['images']} training images, batch {BATCH}, Adam at 1e-3; medians of {epochs} epochs.",
        "",
        "| engine | test accuracy after each epoch | seconds an epoch | beside Ravine |",
        "|---|---|---|---|",
    ]
    own = next((engine["median"] for engine in report["engines"] if engine["engine"] == "ravine"), None)
    for engine in report["engines"]:
        accuracies = ", ".join(f"{epoch['accuracy']:.4f}" for epoch in engine["epochs"])
        ratio = f"{engine['median'] / own:.2f}" if own else ""
        lines.append(f"| {engine['name']} | {accuracies} | {engine['median']:.2f} | {ratio} |")
    return "\n".join(lines) + "\n"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.fashion_mnist", description=(__doc__ or "").split("\n")[0]
    )
    installed = [name for name in ENGINES if importlib.util.find_spec(name) is not None]
    parser.add_argument("--engines", nargs="+", choices=installed, default=installed)
    parser.add_argument("--epochs", type=int, help="default: 5, or 1 with --quick")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="a tenth of the images, one epoch")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.share = 0.1 if options.quick else 1.0
    options.epochs = options.epochs or (1 if options.quick else 5)
    return options


def main() -> None:
    options = parse()
    if options.worker:
        engine, mode, threads, share = options.worker
        work(engine, mode, int(threads), float(share))
        return
    workers = [Worker(engine, mode, options) for engine in options.engines for mode in MODES[engine]]
    try:
        for epoch in range(options.epochs):
            for worker in workers:
                worker.run_epoch(epoch)
                last = worker.epochs[-1]
                figures = f"accuracy {last['accuracy']:.4f}, {last['seconds']:.2f} s"
                print(f"{worker.name}, epoch {epoch + 1}: {figures}", file=sys.stderr, flush=True)
    finally:
        for worker in workers:
            worker.close()
    report = {
        "machine": machine(options.threads),
        "images": int(60_000 * options.share),
        "engines": [
            {"engine": w.engine, "name": w.name, "median": w.median, "epochs": w.epochs} for w in workers
        ],
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "fashion_mnist.json").write_text(json.dumps(report, indent=1))
    table = markdown(report)
    (options.out / "fashion_mnist.md").write_text(table)
    print(table)


if __name__ == "__main__":
    main()
