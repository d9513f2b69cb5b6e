"""What is timed: whole training steps and inference, described without reference to any engine."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Workload:
    """One network, batch size and optimizer; softmax cross-entropy on random data.

    `net` is "mlp", "lenet", "resnet18", "lstm" or "gru" (a head on the last state of the last layer), "gpt"
    (the next of `steps` tokens each), "tcn" (a class of each of `steps` steps), "table" (the sum of the
    squares of a batch of its rows, with sparse gradients; `steps` batches in turn), "update": an optimizer's
    step alone, on gradients that are there, or "trial": the training of an example.
    "sgd" means momentum 0.9, Nesterov, lr 0.01; "adam" means lr 1e-3; others are classes of ravine.optim.
    """

    name: str
    net: str
    batch: int  # 0: an update
    optimizer: str
    # Features of every layer, input first (lstm, gru, tcn: input and state; gpt: tokens and width; table: its
    # rows and features).
    sizes: tuple[int, ...] = ()
    batch_norm: bool = False  # mlp: BatchNorm1d before each ReLU
    width: int = 64  # resnet18: channels of the first stage
    steps: int = 0  # lstm, gru, gpt, tcn: length of the sequences; table: batches
    heads: int = 0  # gpt
    layers: int = 1
    bidirectional: bool = False
    ragged: bool = False  # sequences of lengths from 1 to `steps`
    tensors: tuple[
        int | tuple[int, int], ...
    ] = ()  # update: elements, or rows and columns, of each parameter
    inference: bool = (
        False  # the forward pass alone, as a trained model serves: BatchNorm's running statistics
    )

    @property
    def input_shape(self) -> tuple[int, ...]:
        if self.net == "mlp":
            return (self.batch, self.sizes[0])
        if self.net == "gpt":
            return (self.batch, self.steps)
        if self.net == "tcn":
            return (self.batch, self.sizes[0], self.steps)
        if self.is_recurrent:
            return (self.batch, self.steps, self.sizes[0])
        return (self.batch, 1, 28, 28) if self.net == "lenet" else (self.batch, 3, 32, 32)

    @property
    def classes(self) -> int:
        if self.net == "gpt":
            return self.sizes[0]
        return self.sizes[-1] if self.net == "mlp" else 10

    @property
    def is_convolutional(self) -> bool:
        return self.net in ("lenet", "resnet18")

    @property
    def is_recurrent(self) -> bool:
        return self.net in ("lstm", "gru")

    @property
    def is_sequential(self) -> bool:
        return self.is_recurrent or self.net in ("gpt", "tcn")

    def lengths(self) -> np.ndarray | None:
        """Of ragged sequences, int64 [batch]; the same on every call."""
        return np.random.default_rng(1).integers(1, self.steps + 1, self.batch) if self.ragged else None

    @property
    def is_update(self) -> bool:
        return self.net == "update"

    @property
    def is_table(self) -> bool:
        return self.net == "table"

    @property
    def is_trial(self) -> bool:
        return self.net == "trial"

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """float32 inputs in the NCHW order, or tokens; int64 labels; the same on every call."""
        random = np.random.default_rng(0)
        if self.net == "gpt":
            tokens = random.integers(0, self.classes, self.input_shape)
            return tokens, random.integers(0, self.classes, tokens.size)
        x = random.standard_normal(self.input_shape, dtype=np.float32)
        labels = self.batch * (self.steps if self.net == "tcn" else 1)
        return x, random.integers(0, self.classes, labels)

    def indices(self) -> np.ndarray:
        """Of a table the rows of each step, int64 [steps, batch]; the same on every call."""
        return np.random.default_rng(0).integers(0, self.sizes[0], (self.steps, self.batch))

    def parameters(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """An update's parameters and their gradients, float32; the same on every call."""
        random = np.random.default_rng(0)

        def arrays() -> list[np.ndarray]:
            return [random.standard_normal(size, dtype=np.float32) for size in self.tensors]

        return arrays(), arrays()


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("tab", "mlp", 32, "adam", (30, 64, 64, 2)),
        Workload("mlp32", "mlp", 32, "sgd", (784, 128, 10)),
        Workload("mlp", "mlp", 128, "adam", (784, 256, 128, 10), batch_norm=True),
        Workload("wide", "mlp", 32, "adam", (784, 4096, 4096, 10)),
        Workload("deep", "mlp", 128, "sgd", (2048, 2048, 2048, 2048, 2048, 2048, 10)),
        Workload("lenet", "lenet", 64, "sgd"),
        Workload("r18s", "resnet18", 64, "sgd", width=16),
        Workload("r18", "resnet18", 64, "sgd", width=64),
        Workload("gpt", "gpt", 8, "adam", (1000, 384), steps=256, layers=6, heads=6),
        Workload("chars", "gpt", 32, "adam", (65, 128), steps=64, layers=4, heads=4),
        Workload("tcn", "tcn", 16, "adam", (8, 64), steps=256, layers=6),
        *(
            workload
            for net in ("lstm", "gru")
            for workload in (
                Workload(net, net, 32, "adam", (64, 128), steps=40),
                Workload(f"{net}2", net, 64, "adam", (32, 256), steps=100, layers=2),
                Workload(f"{net}-both", net, 32, "adam", (64, 128), steps=40, bidirectional=True),
                Workload(f"{net}-ragged", net, 32, "adam", (64, 128), steps=40, ragged=True),
            )
        ),
    )
}


INFERENCE_SUFFIX = "-inference"
INFERENCE = {
    f"{name}{INFERENCE_SUFFIX}": replace(workload, name=f"{name}{INFERENCE_SUFFIX}", inference=True)
    for name, workload in WORKLOADS.items()
}


# What the examples train, step by step: see examples/.
TRIALS = {
    name: Workload(name, "trial", batch, optimizer)
    for name, batch, optimizer in (
        ("gan", 128, "adam"),  # a step of the discriminator and one of the generator
        ("dqn", 64, "adam"),  # an action, a draw from the memory, an update
        ("vae", 64, "adam"),
        ("dcgan", 32, "adam"),  # as of "gan"
        ("pinn", 33, "adam"),  # float64, second derivatives in the loss
        ("pinn-lbfgs", 33, "LBFGS"),
    )
}


# Embeddings with sparse gradients, and the optimizers that torch has for them (its Adam is SparseAdam).
TABLES = {
    f"{optimizer}-{size}x32": Workload(
        f"{optimizer}-{size}x32", "table", 1024, optimizer, (rows, 32), steps=64
    )
    for size, rows in (("100k", 100_000), ("10M", 10_000_000))
    for optimizer in ("SGD", "Adagrad", "SparseAdam")
}


UPDATES = {
    workload.name: workload
    for optimizer in ("sgd", "adam")
    for workload in (
        Workload(f"{optimizer}100k", "update", 0, optimizer, tensors=(100_000,)),
        Workload(f"{optimizer}100x1k", "update", 0, optimizer, tensors=(1_000,) * 100),
        Workload(f"{optimizer}10M", "update", 0, optimizer, tensors=(10_000_000,)),
    )
}
# Every optimizer, by the name of its class in Ravine; its default numbers.
RULES = (
    "SGD", "ASGD", "Rprop", "Lion", "LARS", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "AdaBelief", "Yogi",
    "Adan", "LAMB", "Adagrad", "Adadelta", "RMSprop", "Adafactor", "ScheduleFreeSGD", "ScheduleFreeAdamW",
    "Muon",
)  # fmt: skip
NUMBERS: dict[str, tuple[int, ...]] = {"100k": (100_000,), "100x1k": (1_000,) * 100, "10M": (10_000_000,)}
# About as many in matrices, for rules that treat these otherwise.
MATRICES = {"100k": ((316, 316),), "100x1k": ((32, 32),) * 100, "10M": ((1_000, 1_000),) * 10}
RULE_UPDATES = {
    f"{rule}-{size}": Workload(f"{rule}-{size}", "update", 0, rule, tensors=tensors)
    for rule in RULES
    for size, tensors in (MATRICES if rule == "Muon" else NUMBERS).items()
} | {
    f"Adafactor-{size}-matrices": Workload(
        f"Adafactor-{size}-matrices", "update", 0, "Adafactor", tensors=tensors
    )
    for size, tensors in MATRICES.items()
}
SWEEP_WIDTHS = (8, 32, 128, 512, 2048, 4096)
SWEEP_BATCHES = (1, 8, 32, 128, 1024)


def dense(width: int, batch: int) -> Workload:
    """A net of the sweep over dense shapes: two square layers and ten outputs."""
    return Workload(f"dense{width}x{batch}", "mlp", batch, "sgd", (width, width, width, 10))


def find(name: str) -> Workload:
    """A workload by its name; "dense128x32" is one of the sweep. KeyError where there is none."""
    workloads = WORKLOADS | INFERENCE | TABLES | UPDATES | RULE_UPDATES | TRIALS
    if name in workloads:
        return workloads[name]
    if match := re.fullmatch(r"dense([1-9][0-9]*)x([1-9][0-9]*)", name):
        return dense(int(match[1]), int(match[2]))
    known = ", ".join(WORKLOADS | INFERENCE | TABLES | UPDATES | TRIALS)
    raise KeyError(f"no workload '{name}'; there are {known}, <optimizer>-<size> and dense<w>x<b>")
